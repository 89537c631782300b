"""Schedules published as rules or tables, against their definitions in sixty digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp
from schedule_contracts import ScheduleContract

from design_space.schedules.named import schedule, song
from design_space.schedules.published import TABLES, align_your_steps, beta_quantiles

LOW, HIGH = exact(0.002), exact(80.0)


def beta_quantile(q, a, b):
    """The root of the regularized incomplete beta function, by bisection in the logit."""
    if q in (0, 1):
        return mp.mpf(q)

    def share(y):
        return mp.betainc(a, b, 0, 1 / (1 + mp.exp(-y)), regularized=True) - q

    return 1 / (1 + mp.exp(-mp.findroot(share, (mp.mpf(-60), mp.mpf(60)), solver="anderson")))


class TestBetaOnTheVariancePreservingClock(ScheduleContract):
    schedule = beta_quantiles(7)
    tolerance = 1e-13  # quantiles come in 1e-15, and exp(9.95 t^2) magnifies them by up to 18

    def twin_sigma(self, j):
        def clock(sigma):
            square = mp.log(1 + sigma**2)
            return mp.findroot(
                lambda t: mp.mpf("9.95") * t * t + t / 10 - square, (0, 2), "anderson"
            )

        u = beta_quantile(mp.mpf(j) / 7, mp.mpf("0.6"), mp.mpf("0.6"))
        t = clock(LOW) + u * (clock(HIGH) - clock(LOW))
        return mp.sqrt(mp.exp(mp.mpf("9.95") * t * t + t / 10) - 1)


class TestBetaInSigma(ScheduleContract):
    schedule = beta_quantiles(6, 0.01, 14.0, alpha=0.5, beta=2.0, map="sigma")
    tolerance = 1e-14

    def twin_sigma(self, j):
        u = beta_quantile(mp.mpf(j) / 6, mp.mpf("0.5"), mp.mpf(2))
        return exact(0.01) + u * (14 - exact(0.01))


class TestAlignYourSteps(ScheduleContract):
    schedule = align_your_steps(25, "svd")

    def twin_sigma(self, j):
        table = [exact(level) for level in TABLES["svd"]][::-1]
        place = mp.mpf(10 * j) / 25
        k = min(int(place), 9)
        return table[k] * (table[k + 1] / table[k]) ** (place - k)


class TestStretchedAlignYourSteps(ScheduleContract):
    schedule = align_your_steps(10, "sd15", 0.002, 80.0)

    def twin_sigma(self, j):
        table = [exact(level) for level in TABLES["sd15"]][::-1]
        share = mp.log(table[j] / table[0]) / mp.log(table[-1] / table[0])
        return LOW * (HIGH / LOW) ** share


@pytest.mark.parametrize("table", TABLES)
def test_ten_steps_are_the_table(table):
    np.testing.assert_allclose(
        align_your_steps(10, table).backward_sigmas, TABLES[table], rtol=1e-14
    )


def test_arcsine_quantiles_in_closed_form():
    """Beta(1/2, 1/2) has the quantiles sin^2(pi q/2)."""
    found = beta_quantiles(8, 1.0, 3.0, alpha=0.5, beta=0.5, map="sigma").forward_sigmas
    np.testing.assert_allclose(found, 1 + 2 * np.sin(np.pi * np.arange(9) / 16) ** 2, rtol=1e-14)


def test_uniform_quantiles_are_uniform_times():
    found = beta_quantiles(8, 1.0, 3.0, alpha=1.0, beta=1.0, map="sigma").forward_sigmas
    expected = schedule(time="uniform", steps=8, sigma_min=1.0, sigma_max=3.0).forward_sigmas
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_uniform_in_log_snr_is_the_grid_of_song():
    log_snr = np.linspace(-2 * np.log(80.0), -2 * np.log(0.002), 21)
    np.testing.assert_allclose(song(20).backward_sigmas, np.exp(-log_snr / 2), rtol=1e-13)


@pytest.mark.parametrize("steps", [1, 2, 500])
def test_any_number_of_steps(steps):
    for grid in (
        beta_quantiles(steps),
        beta_quantiles(steps, map="sigma"),
        align_your_steps(steps),
    ):
        assert grid.steps == steps
        assert np.all(np.diff(grid.forward_sigmas) > 0)


def test_ends_may_be_traced():
    highs = jnp.array([9.0, 80.0])
    for build in (
        lambda high: beta_quantiles(5, 0.01, high),
        lambda high: align_your_steps(5, "sdxl", 0.01, high),
    ):
        batch = jax.vmap(lambda high: build(high).backward_sigmas)(highs)  # noqa: B023
        np.testing.assert_allclose(batch[1], build(80.0).backward_sigmas, rtol=1e-13)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: beta_quantiles(0), r"steps = 0: must be a whole number"),
        (lambda: beta_quantiles(3, alpha=0.0), r"alpha = 0.0: must be above 0"),
        (lambda: beta_quantiles(3, beta=float("inf")), r"beta = inf: must be finite"),
        (lambda: beta_quantiles(3, map="linear"), r"map = 'linear': must be one of sigma, vp"),
        (lambda: beta_quantiles(3, 2.0, 1.0), r"sigma_min = 2.0: must be below sigma_max"),
        (lambda: align_your_steps(3, "sd21"), r"table = 'sd21': must be one of deepfloyd, sd15"),
        (lambda: align_your_steps(3, "svd", 0.1), r"sigma_max = None: must be given together"),
        (lambda: align_your_steps(3, "svd", None, 9.0), r"sigma_min = None: must be given"),
        (lambda: align_your_steps(3, "svd", 0.0, 9.0), r"sigma_min = 0.0: must be above 0"),
        (lambda: align_your_steps(3, "svd", 1.0, float("inf")), r"sigma_max = inf: must be finite"),
    ],
)
def test_bad_input_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()

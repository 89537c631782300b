import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.precision import exact, mp
from schedule_contracts import ScheduleContract

from design_space.schedules.named import TIMES, VARIANCES, edm, schedule, song
from design_space.schedules.time import CustomTimes
from design_space.schedules.variance import Power, linear

LOW, HIGH = exact(0.002), exact(80.0)

steps_of_a_design = st.sampled_from([1, 2, 7, 40])  # every new shape compiles anew
lows = st.floats(1e-4, 0.5)
highs = st.floats(1.0, 1e3)
rhos = st.floats(0.5, 20.0)


def karras(i, n, low=LOW, high=HIGH):
    """Eq. (5) of Karras et al., level i of n (their i counts from the largest), seven as rho."""
    a, b = high ** (mp.one / 7), low ** (mp.one / 7)
    return (a + mp.mpf(i) / (n - 1) * (b - a)) ** 7


class TestEdm(ScheduleContract):
    schedule = edm(17)

    def twin_sigma(self, j):
        return karras(17 - j, 18)

    def test_time_is_the_noise_level(self):
        np.testing.assert_array_equal(self.schedule.forward_times, self.schedule.forward_sigmas)


class TestSong(ScheduleContract):
    schedule = song(20)

    def twin_sigma(self, j):
        return mp.sqrt(HIGH**2 * (LOW**2 / HIGH**2) ** (mp.one * (20 - j) / 20))

    def test_diffusion_is_one_half(self):
        np.testing.assert_allclose(self.schedule.forward_diffusions, 0.5, rtol=1e-15)


class TestSqrtCosine(ScheduleContract):
    schedule = schedule("sqrt", "cosine", steps=7, sigma_min=0.01, sigma_max=50.0)

    def twin_sigma(self, j):
        a, b = mp.atan(exact(0.01) ** 2), mp.atan(mp.mpf(50) ** 2)
        return mp.sqrt(mp.tan(a + (b - a) * j / 7))


class TestPowerUniform(ScheduleContract):
    schedule = schedule(Power(0.25), "uniform", steps=6, sigma_min=0.5, sigma_max=3.0)

    def twin_sigma(self, j):
        low, high = exact(0.5) ** 4, mp.mpf(3) ** 4
        return (low + (high - low) * j / 6) ** (mp.one / 4)


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("time", TIMES)
@given(steps=steps_of_a_design, low=lows, high=highs)
def test_any_pair_is_a_monotone_schedule_with_exact_ends(variance, time, steps, low, high):
    grid = schedule(variance, time, steps=steps, sigma_min=low, sigma_max=high)
    assert grid.steps == steps
    assert grid.forward_sigmas[0] == low
    assert grid.forward_sigmas[-1] == high
    assert np.all(np.diff(grid.forward_sigmas) > 0)
    # the telescoped sum of N terms: N roundings
    np.testing.assert_allclose(
        np.sum(grid.backward_variance_steps), high**2 - low**2, rtol=(steps + 2) * 1e-15
    )


@given(steps=steps_of_a_design, low=lows, high=highs, exponent=st.floats(0.2, 3.0))
def test_exponential_times_give_songs_levels_whatever_the_power(steps, low, high, exponent):
    grid = schedule(Power(exponent), "exponential", steps=steps, sigma_min=low, sigma_max=high)
    expected = song(steps, low, high).forward_sigmas
    # logarithms of times up to (1/exponent) * 16 = 80, and their rounding: 100 EPS
    np.testing.assert_allclose(grid.forward_sigmas, expected, rtol=1e-13)


@given(steps=steps_of_a_design, low=lows, high=highs, rho=rhos)
def test_polynomial_times_with_the_square_root_halve_rho(steps, low, high, rho):
    grid = schedule("sqrt", "polynomial", steps=steps, sigma_min=low, sigma_max=high, rho=rho)
    expected = edm(steps, low, high, rho / 2).forward_sigmas
    # (.)^rho magnifies rounding by up to 20
    np.testing.assert_allclose(grid.forward_sigmas, expected, rtol=1e-13)


@given(steps=steps_of_a_design, low=lows, high=highs)
def test_large_rho_tends_to_the_geometric_grid(steps, low, high):
    grid = edm(steps, low, high, 1e5)
    expected = song(steps, low, high).forward_sigmas
    # relative distance L^2/(8 rho), L = ln(1e7) = 16 at most: 3.3e-4
    np.testing.assert_allclose(grid.forward_sigmas, expected, rtol=5e-4)


def test_numbers_may_be_traced():
    rho, low, high = jnp.array([3.0, 7.0]), jnp.array([0.002, 0.1]), jnp.array([80.0, 9.0])
    batch = jax.vmap(lambda r, a, b: edm(10, a, b, r).forward_sigmas)(rho, low, high)
    for k in range(2):
        alone = edm(10, float(low[k]), float(high[k]), float(rho[k])).forward_sigmas
        # compiled in a batch, powers may round otherwise
        np.testing.assert_allclose(batch[k], alone, rtol=1e-14)


def test_a_schedule_is_differentiable_in_rho():
    def middle(rho):
        return edm(10, rho=rho).forward_sigmas[5]

    step = 1e-5
    slope = (middle(7.0 + step) - middle(7.0 - step)) / (2 * step)
    # central difference: truncation of order step^2, rounding EPS/step = 2e-11
    np.testing.assert_allclose(jax.grad(middle)(7.0), slope, rtol=1e-8)


def test_objects_are_accepted_in_place_of_names():
    grid = schedule(linear(), CustomTimes([0.5, 1.0, 4.0]), steps=2, sigma_min=0.5, sigma_max=4.0)
    np.testing.assert_array_equal(grid.forward_sigmas, [0.5, 1.0, 4.0])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: edm(0), r"steps = 0: must be a whole number of at least 1; give an integer"),
        (lambda: edm(-3), r"steps = -3: must be a whole number of at least 1"),
        (lambda: edm(True), r"steps = True: must be a whole number"),
        (lambda: song(0), r"steps = 0: must be a whole number of at least 1"),
        (lambda: edm(5, 2.0, 1.0), r"sigma_min = 2.0: must be below sigma_max = 1.0; swap"),
        (lambda: edm(5, 1.0, 1.0), r"sigma_min = 1.0: must be below sigma_max = 1.0"),
        (lambda: song(5, 0.0), r"sigma_min = 0.0: must be above 0; give a positive number"),
        (lambda: song(5, -1.0), r"sigma_min = -1.0: must be above 0"),
        (lambda: edm(5, sigma_max=float("inf")), r"sigma_max = inf: must be finite; remove"),
        (lambda: edm(5, sigma_min=float("nan")), r"sigma_min = nan: must be finite"),
        (lambda: edm(5, rho=0.0), r"rho = 0.0: must be above 0; give a positive number"),
        (lambda: edm(5, rho=float("nan")), r"rho = nan: must be finite"),
        (lambda: schedule("cubic", steps=5), r"variance = 'cubic': must be one of linear, sqrt"),
        (lambda: schedule(time="sigmoid", steps=5), r"time = 'sigmoid': must be one of cosine, "),
    ],
)
def test_bad_input_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()

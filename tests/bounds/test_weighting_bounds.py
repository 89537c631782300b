import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.precision import exact, mp

from design_space.bounds import table_1, weighting
from design_space.schedules.named import edm, song
from design_space.weightings.named import edm_weighting

STANDARD = (0.002, 80.0, 7.0)
BELL = (-1.2, 1.2, 0.5)


def levels(name, steps, low, high, rho):
    low, high, rho = (mp.mpf(str(x)) for x in (low, high, rho))
    share = [mp.mpf(steps - j) / steps for j in range(steps + 1)]
    if name == "edm":
        a, b = high ** (1 / rho), low ** (1 / rho)
        return [(a - (a - b) * x) ** rho for x in share]
    return [high * (low / high) ** x for x in share]


def factors(name, convention, steps, design=STANDARD, bell=BELL):
    """sigma_t^2/w level by level, from the definitions."""
    sigmas = levels(name, steps, *design)
    times = sigmas if name == "edm" else [s**2 for s in sigmas]
    mean, std, data = (mp.mpf(str(x)) for x in bell)
    found = []
    for j in range(1, steps + 1):
        s = sigmas[j]
        beta = mp.exp(-((mp.log(s) - mean) ** 2) / (2 * std**2)) * (s**2 + data**2)
        beta /= s * data**2
        if convention.startswith("density"):
            beta *= s - sigmas[j - 1]
        power = 1 if convention.endswith("printed") else 2
        w = beta * s**power / (times[j] - times[j - 1])
        found.append((s if name == "edm" else mp.mpf(1) / 2) / w)
    return found


@pytest.mark.parametrize("steps", [1, 7, 40])
@pytest.mark.parametrize("convention", list(weighting.CONVENTIONS))
@pytest.mark.parametrize("name", ["edm", "song"])
def test_factors_of_every_convention(name, convention, steps):
    grid = edm(steps) if name == "edm" else song(steps)
    w = weighting.CONVENTIONS[convention](edm_weighting(), grid)
    found = weighting.score_error_factors(grid, w)
    wanted = [float(x) for x in factors(name, convention, steps)]
    # The steps in time are differences of levels, which lose a digit or two at 40 steps.
    np.testing.assert_allclose(found, wanted, rtol=1e-11)


@pytest.mark.parametrize("steps", [2, 10, 60])
def test_closed_forms_are_the_last_factors(steps):
    prefactor = weighting.h3_prefactor(80.0, *BELL)
    ours = weighting.h3_edm(steps, *STANDARD, prefactor)
    theirs = weighting.h3_song(steps, *STANDARD[:2], prefactor)
    for name, value in (("edm", ours), ("song", theirs)):
        each = factors(name, "pointwise, printed", steps)
        assert each[-1] == max(each)
        np.testing.assert_allclose(value, float(each[-1]), rtol=1e-12)


def test_the_scale_divides_the_prefactor():
    once, twice = weighting.h3_prefactor(80.0, *BELL), weighting.h3_prefactor(80.0, *BELL, 2.0)
    np.testing.assert_allclose(once, 2 * twice, rtol=1e-15)
    hand = 80 * 0.25 * np.exp((np.log(80) + 1.2) ** 2 / 2.88) / (6400 + 0.25)
    np.testing.assert_allclose(once, hand, rtol=1e-13)


def closed_ratio(steps, low, high, rho):
    low, high, rho = (mp.mpf(str(x)) for x in (low, high, rho))
    ours = high - (high ** (1 / rho) - (high ** (1 / rho) - low ** (1 / rho)) / steps) ** rho
    return ours / (high / 2 * (1 - (low**2 / high**2) ** (1 / mp.mpf(steps))))


@pytest.mark.parametrize("design", [STANDARD, (0.01, 10.0, 3.0), (0.002, 80.0, 1.0)])
def test_crossover_and_limit(design):
    root = weighting.h3_crossover(*design)
    wanted = mp.findroot(lambda n: closed_ratio(n, *design) - 1, exact(root) + 0.01)
    np.testing.assert_allclose(root, float(wanted), rtol=1e-12)
    limit = weighting.h3_limit_ratio(*design)
    np.testing.assert_allclose(limit, float(closed_ratio(mp.mpf(10) ** 20, *design)), rtol=1e-13)


def test_the_numbers_of_the_standard_design():
    assert abs(weighting.h3_crossover(*STANDARD) - 9.705) < 5e-4
    assert abs(weighting.h3_limit_ratio(*STANDARD) - 0.5152) < 5e-5
    assert abs(weighting.h3_density_ratio(10, *STANDARD[:2]) - 1.485) < 5e-4
    assert abs(weighting.h3_density_ratio(500, *STANDARD[:2]) - 1.011) < 5e-4


@pytest.mark.parametrize("steps", [10, 60])
def test_density_ratio_is_that_of_the_largest_factors(steps):
    ours, theirs = (max(factors(name, "density, printed", steps)) for name in ("edm", "song"))
    found = weighting.h3_density_ratio(steps, *STANDARD[:2])
    np.testing.assert_allclose(found, float(ours / theirs), rtol=1e-13)


@settings(max_examples=60)
@given(
    st.tuples(st.floats(1e-3, 0.1), st.floats(2.0, 200.0), st.floats(1.0, 20.0)),
    st.tuples(st.floats(-6.0, 2.0), st.floats(0.5, 2.5), st.floats(0.05, 5.0)),
    st.integers(2, 30),
)
def test_where_the_margin_is_positive_the_maximum_is_last(design, bell, steps):
    if weighting.h3_margin(*design, *bell[:2]) < 0:
        return
    for name in ("edm", "song"):
        each = factors(name, "pointwise, printed", steps, design, bell)
        assert each[-1] == max(each)


def test_margin_of_the_standard_design_is_small_but_positive():
    margin = weighting.h3_margin(*STANDARD, *BELL[:2])
    np.testing.assert_allclose(margin, np.log(0.4) + 1.2 - 1.44 / 7, rtol=1e-12)
    assert margin > 0


@pytest.mark.parametrize("steps", [1, 9, 50])
def test_table_1(steps):
    wanted = [float(x) for x in levels("edm", steps, *STANDARD)]
    np.testing.assert_allclose(table_1.edm_times(steps, *STANDARD), wanted, rtol=1e-12)
    wanted = [float(x**2) for x in levels("song", steps, *STANDARD)]
    np.testing.assert_allclose(table_1.song_times(steps, *STANDARD[:2]), wanted, rtol=1e-12)
    assert jnp.all(jnp.diff(table_1.edm_times(steps, *STANDARD)) > 0)

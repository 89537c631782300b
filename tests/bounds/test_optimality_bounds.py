"""What the best designs achieve, against numerical optimization and sixty-digit products."""

import itertools

import numpy as np
import pytest
from reference import gaussian as twin
from reference.precision import exact, mp
from scipy import optimize

from design_space.bounds import optimality


def e_d(value, levels):
    """E_D of N(0, l) in one dimension: (1/2) sum [r - 1 - ln r], r = (l + v_{j+1})/(l + v_j)."""
    r = (value + levels[1:]) / (value + levels[:-1])
    return 0.5 * np.sum(r - 1 - np.log(r))


def best_by_search(value, high, low, steps):
    """The least E_D over grids, by a search over the shares of ln(v_0/v_N) of the steps."""

    def total(logits):
        shares = np.exp(logits - logits.max())
        removed = np.log(high / low) * np.cumsum(shares) / shares.sum()
        return e_d(value, np.concatenate([[high], high * np.exp(-removed)]))

    starts = [np.zeros(steps), *np.random.default_rng(0).normal(size=(4, steps))]
    options = {"gtol": 1e-10}
    return min(optimize.minimize(total, x, options=options).fun for x in starts)


@pytest.mark.parametrize("steps", [2, 3])
@pytest.mark.parametrize(
    ("value", "high", "low"),
    [(0.25, 9.0, 0.01), (4.0, 9.0, 1.0), (0.0, 9.0, 0.01), (1e-4, 4.0, 0.04)],
)
def test_no_grid_has_less(value, high, low, steps):
    found = float(optimality.least_discretization(3, value, high, low, steps))
    # the search stops where its differences are rounding: the square root of EPS in the grid
    np.testing.assert_allclose(found, 3 * best_by_search(value, high, low, steps), rtol=1e-7)


@pytest.mark.parametrize("value", [0.0, 1e-8, 0.25, 400.0])
@pytest.mark.parametrize("steps", [1, 4, 500])
def test_the_grid_geometric_in_the_whole_variance_attains_it(value, steps):
    first, last = exact(value) + 6400, exact(value) + exact(0.002) ** 2
    grid = [first * (last / first) ** (mp.mpf(j) / steps) - exact(value) for j in range(steps + 1)]
    found = optimality.least_discretization(1, value, 6400.0, 0.002**2, steps)
    # ln R to EPS, N times a defect with x = ln R / N
    np.testing.assert_allclose(found, float(twin.discretization(exact(value), grid)), rtol=1e-12)


def test_near_dirac_data_need_song_s_grid():
    ratio = 0.002**2 / 6400.0
    for steps in (1, 10, 500):
        song = 0.5 * (steps * (mp.mpf(ratio) ** (mp.mpf(1) / steps) - 1) - mp.log(ratio))
        for value in (0.0, 1e-16):
            found = optimality.least_discretization(1, value, 6400.0, 0.002**2, steps)
            np.testing.assert_allclose(found, float(song), rtol=1e-9)  # 1e-16/v_N = 3e-11


def test_public_reference_numbers():
    # theory.md: E_D on N(0, 1/4) of the Fisher-optimal grid
    for steps, number, half in ((10, 1.8871, 5e-5), (50, 0.48199, 5e-6), (500, 0.051168, 5e-7)):
        found = float(optimality.least_discretization(1, 0.25, 6400.0, 4e-6, steps))
        assert abs(found - number) <= half


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_the_constant_is_the_limit(value):
    # |I'| = 1/(l + v)^2, so int sqrt|I'| = ln((l + v_0)/(l + v_N))
    root = float(mp.log((exact(value) + 100) / (exact(value) + exact(0.01))))
    limit = float(optimality.discretization_constant(root))
    for steps in (1000, 100000):
        found = steps * float(optimality.least_discretization(1, value, 100.0, 0.01, steps))
        # N E_D = L^2/4 (1 - L/(3N) + ...)
        np.testing.assert_allclose(found, limit * (1 - root / (3 * steps)), rtol=root**2 / steps**2)
    assert float(optimality.discretization_constant(6.0)) == 9


def step_kl(values, h, high, tau):
    """Mean KL of one step with variance tau; the exact kernel has h (l + v')/(l + v)."""
    low = high - h
    return float(
        sum(
            twin.kl(0, exact(h) * (exact(x) + low) / (exact(x) + high), 0, exact(tau))
            for x in values
        )
    )


STEPS = [((0.25,), 3.0, 4.0), ((0.0, 0.0), 1.0, 4.0), ((0.01, 1.0, 50.0), 8.0, 9.0)]


@pytest.mark.parametrize(("values", "h", "high"), STEPS)
def test_step_variance_is_the_best_one(values, h, high):
    dim, information = len(values), sum(1 / (x + high) for x in values)
    best = float(optimality.best_step_variance(h, information, dim))
    found = optimize.minimize_scalar(
        lambda log_tau: step_kl(values, h, high, np.exp(log_tau)),
        bounds=(np.log(h) - 8, np.log(h) + 1),
        options={"xatol": 1e-9},
    )
    # a scalar minimum is known to the square root of rounding
    np.testing.assert_allclose(np.exp(found.x), best, rtol=1e-6)
    gain = float(optimality.step_variance_gain(h, information, dim))
    np.testing.assert_allclose(found.fun - step_kl(values, h, high, h), gain, rtol=1e-9)
    assert gain < 0


def test_step_variance_by_hand():
    # h = 2, I = 1/2, d = 2: x = 1/2
    assert float(optimality.best_step_variance(2.0, 0.5, 2)) == 1
    np.testing.assert_allclose(
        optimality.step_variance_gain(2.0, 0.5, 2), 0.5 - np.log(2), rtol=1e-15
    )


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
@pytest.mark.parametrize(
    ("c", "high", "low"), [(0.5, 80.0, 0.002), (1.0, 3.0, 0.1), (20.0, 80.0, 1.0)]
)
def test_tangent_ratio_is_the_product_of_euler_s_factors(c, high, low, steps):
    c_, start, stop = exact(c), exact(high), exact(low)
    angles = [mp.atan(start / c_), mp.atan(stop / c_)]
    share = [angles[0] + (angles[1] - angles[0]) * j / steps for j in range(steps + 1)]
    sigmas = [c_ * mp.tan(angle) for angle in share]
    scale = start
    for a, b in itertools.pairwise(sigmas):  # dy/dsigma = sigma y/(c^2 + sigma^2)
        scale *= 1 + (b - a) * a / (c_**2 + a**2)
    ratio = float(scale**2 / (c_**2 + stop**2))
    found = optimality.tangent_variance_ratio(c**2, high**2, low**2, steps)
    # the cosine to the power 2 N carries 2 N EPS tan(angle); near a quarter turn tan is 160
    np.testing.assert_allclose(found, ratio, rtol=1e-12)


def test_most_discretization():
    assert float(optimality.most_discretization(3, 4.0)) == 6
    for value, steps in itertools.product((0.0, 1.0), (1, 3)):
        levels = np.geomspace(100.0, 1e-3, steps + 1)
        bound = float(optimality.most_discretization(1, np.log(levels[0] / levels[-1])))
        assert e_d(value, levels) < bound
    # a point mass and one long step come within 1/2 of it
    assert bound - e_d(0.0, np.array([100.0, 1e-3])) < 0.5

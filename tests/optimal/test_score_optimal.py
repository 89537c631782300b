"""Score-optimal schedules: equal lengths, the closed form for Gaussians, the cost they minimize."""

import numpy as np
import pytest
from reference.precision import exact, mp
from scipy.optimize import minimize

from design_space.optimal.score_optimal import score_optimal, score_rates
from design_space.targets.empirical import Empirical
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

BIMODAL = GaussianMixture.isotropic([0.3, 0.7], [[-1.0], [1.0]], [0.1, 0.4])


def log_density_slope(x, v):
    """(log p_v)' of the mixture in NumPy."""
    parts = [(0.3, -1.0, 0.01), (0.7, 1.0, 0.16)]
    bells = [w * np.exp(-((x - m) ** 2) / 2 / (s + v)) / np.sqrt(s + v) for w, m, s in parts]
    pulls = [b * (m - x) / (s + v) for b, (_, m, s) in zip(bells, parts, strict=True)]
    return sum(pulls) / sum(bells), sum(bells) / np.sqrt(2 * np.pi)


@pytest.mark.parametrize("v", [0.01, 0.3, 20.0])
def test_rate_of_a_mixture_by_differences(v):
    x = np.linspace(-2, 2, 200001) * (1.2 + 6 * np.sqrt(0.16 + v))
    x = x[np.abs(x) < 1 + 9 * np.sqrt(0.16 + v)]
    step = 1e-4 * v
    rate = (log_density_slope(x, v + step)[0] - log_density_slope(x, v - step)[0]) / (2 * step)
    expected = np.trapezoid(rate**2 * log_density_slope(x, v)[1], x)
    # central differences: step^2 of relative truncation, EPS/step of rounding
    np.testing.assert_allclose(score_rates(BIMODAL, np.array([v])), expected, rtol=1e-6)


def test_rate_of_a_mixture_of_equal_means_is_that_of_the_gaussian():
    v = np.array([0.01, 1.0])
    twice = GaussianMixture.isotropic([0.4, 0.6], [[1.0, 0.0, 2.0]] * 2, 0.5)
    np.testing.assert_allclose(score_rates(twice, v), 3 / (0.25 + v) ** 3, rtol=1e-12)


@pytest.mark.parametrize("std", [0.05, 0.5, 30.0])
def test_isotropic_gaussians_in_sixty_digits(std):
    """Equal increments of asinh(sigma/s) - sigma/sqrt(s^2 + sigma^2)."""
    s = exact(std)

    def length(sigma):
        return mp.asinh(sigma / s) - sigma / mp.sqrt(s**2 + sigma**2)

    low, high = length(exact(0.002)), length(exact(80.0))
    found = np.asarray(score_optimal(Gaussian.isotropic(2, std), 7).forward_sigmas)
    for j, sigma in enumerate(found):
        expected = low + (high - low) * j / 7
        # 512 cells of 0.02 in log sigma, interpolated to fourth order
        assert abs(length(exact(sigma)) - expected) < 1e-8 * (high - low)


@pytest.mark.parametrize("velocity", [0.0, 1.0])
def test_no_grid_has_a_smaller_sum_of_squared_lengths(velocity):
    """sum (int sqrt(delta) dt)^2 is what equal shares minimize."""
    target = Gaussian.diagonal([0.0, 0.0], [0.04, 4.0])
    fine = np.linspace(np.log(0.01), np.log(20.0), 20001)
    v = np.exp(2 * fine)
    rate = 1 / (0.04 + v) ** 3 + 1 / (4 + v) ** 3
    speed = 2 * np.exp((velocity + 2) * fine) * np.sqrt(rate)
    length = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(fine))])

    def cost(y):
        return np.sum(
            np.diff(np.interp(np.concatenate([[fine[0]], np.sort(y), [fine[-1]]]), fine, length))
            ** 2
        )

    found = score_optimal(target, 5, 0.01, 20.0, velocity=velocity)
    best = cost(np.log(np.asarray(found.forward_sigmas))[1:-1])
    rng = np.random.default_rng(0)
    for _ in range(5):
        other = minimize(cost, rng.uniform(fine[0], fine[-1], 4), method="Nelder-Mead")
        assert other.fun >= best * (1 - 1e-9)


def test_ends_are_exact_and_levels_fall():
    for steps in (1, 2, 500):
        sigmas = score_optimal(BIMODAL, steps).backward_sigmas
        assert sigmas[0] == 80.0
        assert sigmas[-1] == 0.002
        assert np.all(np.diff(sigmas) < 0)


def test_points_on_a_line():
    assert score_optimal(Empirical([[-1.0], [0.0], [2.0]]), 4, 0.05, 20.0).steps == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((BIMODAL, 0), "steps = 0: must be a whole number"),
        ((BIMODAL, 3, 1.0, 0.5), "sigma_min = 1.0: must be below sigma_max"),
        (
            (Empirical([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 3),
            "target = .*empirical.*a Gaussian, or",
        ),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        score_optimal(*arguments)

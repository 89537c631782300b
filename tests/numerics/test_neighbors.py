"""Nearest-neighbor divergences against closed forms of Gaussians and against quadrature."""

import numpy as np
import pytest
from scipy.special import logsumexp

from design_space.numerics.mixture_fit import FittedMixture, fit_mixture, gaussian_start
from design_space.numerics.neighbors import (
    neighbor_kl,
    neighbor_kl_between,
    neighbor_log_densities,
)

CASES = {"equal": (1.0, 0.0), "near": (1.1, 0.1), "wide": (1.5, 0.0), "narrow": (0.6, 0.0)}


def gaussian_kl(dim, std, shift):
    """KL(N(0, I) | N(b, s^2 I)) with equal entries b."""
    return 0.5 * dim * (2 * np.log(std) + (1 + shift**2) / std**2 - 1)


def draws(dim, std, shift, seed, count=2048):
    random = np.random.default_rng(seed)
    x = random.standard_normal((count, dim))
    log_p = -0.5 * np.sum(x * x, axis=1) - 0.5 * dim * np.log(2 * np.pi)
    return x, log_p, shift + std * random.standard_normal((count, dim))


@pytest.mark.parametrize("dim", [1, 2, 5])
@pytest.mark.parametrize("case", CASES)
def test_interval_holds_the_divergence_of_gaussians(dim, case):
    std, shift = CASES[case]
    x, log_p, y = draws(dim, std, shift, seed=dim)
    true = gaussian_kl(dim, std, shift)
    for found in (neighbor_kl(x, log_p, y), neighbor_kl_between(x, y)):
        assert found.method == "monte carlo"
        assert abs(float(found.value) - true) <= float(found.error)
        # An interval that says something: half of it is below 0.3 for laws that are near.
        assert float(found.error) < 0.3 + 0.3 * true


@pytest.mark.slow
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_intervals_cover_as_often_as_they_say(dim):
    """99 % are promised. Of 400 at most 12 may miss: more have a chance below 1e-3 (binomial)."""
    missed, values = 0, []
    for case, (std, shift) in CASES.items():
        for seed in range(100):
            x, log_p, y = draws(dim, std, shift, seed=1000 + seed)
            found, true = neighbor_kl(x, log_p, y, seed=seed), gaussian_kl(dim, std, shift)
            missed += abs(float(found.value) - true) > float(found.error)
            values.append((case, float(found.value) - true))
    assert missed <= 12
    # Without bias to speak of: the mean of 100 lies within four of its standard errors and 0.01.
    for case in CASES:
        off = np.array([value for name, value in values if name == case])
        assert abs(off.mean()) < 4 * off.std() / 10 + 0.01


def test_a_mixture_needs_the_reference_that_fits_it():
    """Two modes on the line whose weights and widths differ, against quadrature."""

    def log_density(x, weights, stds):
        z = (x[:, None] - np.array([-2.0, 2.0])) / stds
        return logsumexp(np.log(weights / stds) - 0.5 * z * z, axis=1) - 0.5 * np.log(2 * np.pi)

    def sample(random, count, weights, stds):
        k = random.choice(2, size=count, p=weights)
        return (np.array([-2.0, 2.0])[k] + stds[k] * random.standard_normal(count))[:, None]

    p = (np.array([0.3, 0.7]), np.array([0.5, 0.5]))
    q = (np.array([0.5, 0.5]), np.array([0.6, 0.4]))
    grid = np.linspace(-8, 8, 20001)
    log_p, log_q = log_density(grid, *p), log_density(grid, *q)
    true = np.sum(np.exp(log_p) * (log_p - log_q)) * (grid[1] - grid[0])
    random = np.random.default_rng(5)
    x, y = sample(random, 4096, *p), sample(random, 4096, *q)
    start = FittedMixture(p[0], np.array([[-2.0], [2.0]]), np.full((2, 1, 1), 0.25))
    found = neighbor_kl(x, log_density(x[:, 0], *p), y, fit=lambda z: fit_mixture(z, start))
    plain = neighbor_kl(x, log_density(x[:, 0], *p), y)
    assert abs(float(found.value) - true) <= float(found.error) < 0.12
    assert abs(float(plain.value) - true) <= float(plain.error)


def test_the_estimate_of_a_constant_density_has_no_bias():
    """Uniform on a long interval: E log qhat = log q for every k, away from the ends."""
    random, length = np.random.default_rng(3), 50.0
    points = np.linspace(20.0, 30.0, 11)[:, None]
    found = np.mean(
        [
            neighbor_log_densities(points, length * random.random((400, 1)), (1, 3))
            for _ in range(400)
        ],
        axis=(0, 2),
    )
    # sd of log qhat is sqrt(trigamma(k)) = 1.28 and 0.63; 11 points of 1 unit apart hold 8 samples
    # per unit and are nearly independent: 4400 draws leave 0.02 and 0.01.
    assert np.all(np.abs(found + np.log(length)) < 4 * np.array([0.02, 0.01]))


def test_own_points_are_left_out():
    x = np.array([[0.0], [1.0], [3.0], [7.0]])
    own = neighbor_log_densities(x, x, (1,), own=True)[0]
    by_hand = [
        neighbor_log_densities(x[i : i + 1], np.delete(x, i, axis=0), (1,))[0, 0] for i in range(4)
    ]
    np.testing.assert_allclose(own, by_hand, rtol=1e-14)


def test_the_fit_finds_a_mixture_and_leaves_empty_components_alone():
    random = np.random.default_rng(0)
    true = FittedMixture(
        np.array([0.3, 0.7]), np.array([[-3.0, 0.0], [3.0, 1.0]]), np.stack([np.eye(2)] * 2)
    )
    x = true.draws(random, 20000)
    start = FittedMixture(
        np.array([0.4, 0.4, 0.2]),
        np.array([[-2.0, 0.0], [2.0, 0.0], [99.0, 99.0]]),
        np.stack([2 * np.eye(2)] * 3),
    )
    found = fit_mixture(x, start, 20)
    # standard errors: sqrt(.21/2e4) = .003 of a weight, 1/sqrt(6000) = .013 of a mean
    np.testing.assert_allclose(found.weights, [0.3, 0.7, 0.0], atol=0.015)
    np.testing.assert_allclose(found.means[:2], true.means, atol=0.06)
    np.testing.assert_array_equal(found.means[2], start.means[2])
    np.testing.assert_allclose(np.mean(true.log_density(x)), -2.9, atol=0.6)
    single = gaussian_start(x)
    np.testing.assert_allclose(single.covariances[0], np.cov(x.T))


@pytest.mark.parametrize(
    ("points", "samples", "field"),
    [
        (np.zeros((10, 1)), np.zeros((200, 1)), "len.points."),
        (np.zeros((200, 1)), np.zeros((10, 1)), "len.samples."),
        (np.zeros((200, 2)), np.zeros((200, 1)), "points.shape"),
        (np.zeros((200, 1)), np.zeros((200, 1)), "at positive distances"),
    ],
)
def test_refusals(points, samples, field):
    with pytest.raises(ValueError, match=field):
        neighbor_kl(
            points,
            np.zeros(len(points)),
            samples,
            fit=lambda z: FittedMixture(
                np.ones(1), np.zeros((1, z.shape[1])), np.eye(z.shape[1])[None]
            ),
        )

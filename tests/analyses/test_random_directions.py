"""Measured probabilities of directions against scipy and counting; intervals that cover."""

import numpy as np
import pytest
from scipy import integrate, stats

from analyses import sphere
from analyses.columns import each, labels, normals


def one(function, *numbers):
    return function(*(np.array([float(x)]) for x in numbers))[0]


@pytest.mark.parametrize(("angle", "dim"), [(0.3, 3), (1.7, 6), (3.0, 40)])
def test_orthants_are_those_of_two_correlated_normals(angle, dim):
    correlation = np.cos(angle)
    law = stats.multivariate_normal(cov=[[1, correlation], [correlation, 1]])
    np.testing.assert_allclose(one(sphere.orthant, angle, dim), law.cdf([0, 0]), rtol=1e-6)


@pytest.mark.parametrize(("q", "dim"), [(0.4, 2), (1.1, 9), (2.5, 4), (0.05, 60)])
def test_caps(q, dim):
    def density(t):
        return np.sin(t) ** (dim - 2)

    found = integrate.quad(density, 0, q)[0] / integrate.quad(density, 0, np.pi)[0]
    np.testing.assert_allclose(one(sphere.cap, q, dim), found, rtol=1e-9)


@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_balls_and_caps_are_counted(spread):
    x = np.random.default_rng(0).normal(size=(400_000, 4))
    x[:, 0] *= spread
    size = np.linalg.norm(x, axis=1)
    found = np.mean((size <= 2.2) & (x[:, 0] >= np.cos(0.9) * size))
    measured = one(sphere.ball_and_cap, 2.2, 0.9, 4, spread)
    assert abs(found - measured) < 5 * np.sqrt(measured / len(x))


def test_intervals_hold_their_confidence_and_see_what_is_wrong():
    random = np.random.default_rng(1)
    p = np.linspace(0.02, 0.98, 50)
    successes = random.binomial(2000, p)
    seen = sphere.counted(successes, 2000, p, ("",) * 50, 50)
    assert seen.confidence == 0.99
    assert np.all(np.abs(seen.left - p) <= seen.error)
    # Taken together they are exact intervals of confidence 1 - 0.01/50 each.
    exact = stats.binomtest(int(successes[7]), 2000).proportion_ci(1 - 0.01 / 50)
    widest = max(exact.high - seen.left[7], seen.left[7] - exact.low)
    np.testing.assert_allclose(seen.error[7], widest, rtol=1e-9)
    assert np.all(np.abs(seen.left - p - 0.2) > seen.error)


@pytest.mark.parametrize("successes", [0, 50])
def test_intervals_at_the_ends(successes):
    seen = sphere.counted(np.array([successes]), 50, np.array([0.5]), ("",), 1)
    assert 0 < seen.error[0] < 0.2


@pytest.mark.parametrize("law", [sphere.normal, sphere.laplace, sphere.corners])
def test_laws_have_variance_one(law):
    x = law(np.random.default_rng(2), 100_000, 2)
    np.testing.assert_allclose(np.cov(x.T), np.eye(2), atol=0.03)  # five deviations of x^2


def test_normals_are_normal():
    assert stats.kstest(normals(np.random.default_rng(3), 20_000), "norm").pvalue > 0.01


def test_stretched_entries():
    x = sphere.stretched(np.random.default_rng(4), 100_000, 3)
    np.testing.assert_allclose(x.std(axis=0), [1.0, 2.0, 4.0], rtol=0.02)


def test_columns():
    first, second = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    np.testing.assert_array_equal(each(lambda a, b: a + 2 * b, first, second), first + 2)
    assert labels(a=np.array([1.0, 2.5]), b=np.array([3, 4])) == ("a 1, b 3", "a 2.5, b 4")

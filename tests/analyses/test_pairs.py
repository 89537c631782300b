"""Expectations over pairs of noise levels, on one Gaussian where all moments are known."""

import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp

from analyses.pairs import expectation, pair_expectation
from design_space.targets.gaussian import Gaussian
from design_space.targets.line import at_point
from design_space.targets.mixture import GaussianMixture

MEAN, VALUE = 0.7, 0.3


def target():
    """The Gaussian as a mixture of one, and of two equal parts."""
    return GaussianMixture.diagonal([0.4, 0.6], [[MEAN], [MEAN]], [[VALUE], [VALUE]])


def moments(line, x, y, xi):
    return jnp.stack([jnp.ones_like(x), x - MEAN, (x - MEAN) ** 2, (x - MEAN) * (y - MEAN), y**2])


@pytest.mark.parametrize(
    ("law", "high", "low"),
    [
        pytest.param(target(), 2.0, 0.5, id="two equal parts"),
        pytest.param(
            Gaussian.diagonal([MEAN], [VALUE]), 400.0, 1e-3, marks=pytest.mark.slow, id="a Gaussian"
        ),
    ],
)
def test_moments_of_a_pair(law, high, low):
    found, error = pair_expectation(law, high, low, moments)
    shared = VALUE + low
    expected = [1, 0, shared, shared, VALUE + high + MEAN**2]
    # both rules are exact for polynomials times the density up to the tails they leave out
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    assert np.all(np.abs(found - np.asarray(expected)) <= error + 1e-12 * (1 + VALUE + high))


@pytest.mark.parametrize(("high", "low"), [(1.0, 0.99), (400.0, 1e-3)])
def test_noise_between_is_independent_of_the_later_point(high, low):
    def value(line, x, y, xi):
        return jnp.stack([xi, xi**2, xi * (x - MEAN), xi * (y - MEAN)])

    found, _ = pair_expectation(target(), high, low, value)
    np.testing.assert_allclose(
        found, [0, 1, 0, np.sqrt(high - low)], rtol=1e-12, atol=1e-12 * np.sqrt(VALUE + low)
    )


def test_functions_that_are_no_polynomials():
    """E cos(X_v) = cos(m) exp(-(l + v)/2), E exp(X_v' - X_v) = exp((v - v')/2), and the mean square
    of the change of the score, 1/(l + v') - 1/(l + v).
    """

    def value(line, x, y, xi):
        change = at_point(line, x, 0.5).score - at_point(line, y, 2.0).score
        return jnp.stack([jnp.cos(y), jnp.exp(x - y), change**2])

    found, error = pair_expectation(target(), 2.0, 0.5, value)
    expected = [
        float(mp.cos(exact(MEAN)) * mp.exp(-(exact(VALUE) + 2) / 2)),
        float(mp.exp(mp.mpf("0.75"))),
        1 / (VALUE + 0.5) - 1 / (VALUE + 2.0),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    assert np.all(error < 1e-8)


@pytest.mark.parametrize("variance", [1e-3, 400.0])
def test_expectation_at_one_level(variance):
    def value(line, x):
        at = at_point(line, x, variance)
        return jnp.stack([jnp.ones_like(x), x, x**2, at.score**2, at.posterior_variance])

    total = VALUE + variance
    expected = [1, MEAN, total + MEAN**2, 1 / total, VALUE * variance / total]
    found = expectation(target(), variance, value)
    # the posterior variance is had from the mixture's moments, a difference of order l + v
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_two_modes_have_the_moments_of_two_modes():
    law = GaussianMixture.diagonal([0.3, 0.7], [[-1.0], [1.0]], [[0.01], [0.04]])

    def value(line, x, y, xi):
        return jnp.stack([x, x**2, x * y])

    found, _ = pair_expectation(law, 1.5, 0.25, value)
    second = 0.3 * 0.01 + 0.7 * 0.04 + 1 + 0.25
    np.testing.assert_allclose(found, [0.4, second, second], rtol=1e-11)

"""Lemmas 11 and 12 on Gaussian data, whose posterior is known in closed form."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import mp

from design_space.bounds.posterior import lemma_11_rate, lemma_12

VALUES = (0.01, 1.0, 50.0)


def sigma_bar(exponent, t):
    return mp.mpf(t) ** mp.mpf(exponent)


def posterior(value, variance):
    """Var(X_0 | X_v) of N(0, l) is l v/(l + v)."""
    return value * variance / (value + variance)


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("t", [0.1, 2.0])
def test_lemma_11_is_the_derivative_of_the_posterior_variance(exponent, value, t):
    def covariance(time):
        return posterior(mp.mpf(value), sigma_bar(exponent, time) ** 2)

    variance = float(sigma_bar(exponent, t) ** 2)
    # sigma_t^2 = (1/2) d(t^{2a})/dt
    diffusion = jnp.asarray(exponent * t ** (2 * exponent - 1))
    squared = jnp.asarray(float(covariance(t)) ** 2)
    found = lemma_11_rate(diffusion, variance, squared)
    np.testing.assert_allclose(found, float(mp.diff(covariance, mp.mpf(t))), rtol=1e-12)


def test_lemma_11_by_hand_and_entry_by_entry():
    # 2 * 3 / 4 * Sigma^2
    squared = jnp.array([[4.0, 1.0], [1.0, 2.0]])
    np.testing.assert_array_equal(lemma_11_rate(jnp.array(3.0), 2.0, squared), 1.5 * squared)


@pytest.mark.parametrize(("high", "low"), [(4.0, 1.0), (6400.0, 1e-4), (2.0, 1.99)])
@pytest.mark.parametrize("values", [VALUES, (0.0,), (0.3, 0.3)])
def test_lemma_12_is_the_mean_square_of_the_change(high, low, values):
    """L_u = -X_u/(l + u) along one path: Var L_low - 2 Cov + Var L_high with Cov(X) = l + low."""
    high_, low_ = mp.mpf(high), mp.mpf(low)
    square = mp.zero
    for value in map(mp.mpf, values):
        with_less, with_more = value + low_, value + high_
        square += 1 / with_less - 2 * with_less / (with_less * with_more) + 1 / with_more
    # int sigma^2/sigma_bar^4 dt = (1/2) int dv/v^2
    integral = float((1 / low_ - 1 / high_) / 2)
    ends = [(v, float(sum(posterior(mp.mpf(x), mp.mpf(v)) for x in values))) for v in (high, low)]
    found = lemma_12(len(values), integral, *ends)
    # The right side is a difference of terms of the size of d/v'.
    np.testing.assert_allclose(found, float(square), rtol=1e-13, atol=4e-16 * len(values) / low)


def test_lemma_12_adds_up_along_a_grid():
    levels = [(9.0, 0.9), (4.0, 0.8), (1.0, 0.5), (0.25, 0.2)]

    def step(start, end):
        return float(lemma_12(2, (1 / end[0] - 1 / start[0]) / 2, start, end))

    whole = step(levels[0], levels[-1])
    np.testing.assert_allclose(
        sum(itertools.starmap(step, itertools.pairwise(levels))), whole, rtol=1e-14
    )

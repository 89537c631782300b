"""What networks predict, against the definitions in variance-preserving variables."""

import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from design_space.scores.predictions import noised, predictions, score_from_velocity

LEVELS = st.floats(1e-3, 1e3)
NUMBERS = st.lists(st.floats(-5, 5), min_size=3, max_size=3).map(np.asarray)


def close(found, expected, scale):
    # a handful of roundings of numbers of the given size
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * (1 + scale))


@given(LEVELS, NUMBERS, NUMBERS)
def test_the_definitions(sigma, x0, noise):
    """A score that knows the noise predicts the data, the noise and v as they are defined."""
    angle = np.arctan(sigma)
    alpha, sigma_t = np.cos(angle), np.sin(angle)
    y = x0 + sigma * noise
    found = predictions(jnp.asarray(y), jnp.asarray(sigma), jnp.asarray(-noise / sigma))
    size = sigma * np.max(np.abs(noise)) + np.max(np.abs(x0))
    close(found.data, x0, 4 * size)
    close(found.noise, noise, 8)
    close(found.velocity, alpha * noise - sigma_t * x0, 8 * (1 + sigma) * (1 + size))


@given(LEVELS, NUMBERS, NUMBERS)
def test_conversions_invert(sigma, y, velocity):
    score = score_from_velocity(jnp.asarray(y), jnp.asarray(sigma), jnp.asarray(velocity))
    found = predictions(jnp.asarray(y), jnp.asarray(sigma), score).velocity
    close(found, velocity, 40 * (1 + sigma))


@given(LEVELS, LEVELS, NUMBERS, NUMBERS, NUMBERS)
def test_noise_at_another_level(sigma, other, x0, noise, score):
    """What is noised anew differs from the truth by (sigma - sigma') (sigma S + eps)."""
    y = x0 + sigma * noise
    found = predictions(jnp.asarray(y), jnp.asarray(sigma), jnp.asarray(score))
    gap = noised(found, jnp.asarray(other)) - (x0 + other * noise)
    size = (1 + sigma + other) * (1 + sigma) * 10
    close(gap, (sigma - other) * (sigma * score + noise), 4 * size)

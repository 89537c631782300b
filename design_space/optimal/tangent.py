"""The tangent law: noise levels that suit Euler's method for the probability flow."""

import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar, float64


def tangent_sigmas(
    data_variance: Scalar, steps: int, sigma_min: Scalar, sigma_max: Scalar
) -> Float[Array, " nodes"]:
    """Noise levels sigma = c tan(angle) at equidistant angles, c^2 the variance of the data.

    They are optimal at every number of steps for Euler's method on N(0, c^2 I): each step
    multiplies the deviation from the mean by cos(angle)/cos(angle') times the cosine of the angle
    between, and the logarithm of the cosine is concave. Numbers may be traced.

    Args:
      data_variance: c^2, above 0, in squared data units.
      steps: N.
      sigma_min: the last noise level, above 0.
      sigma_max: the first one, above sigma_min.

    Returns:
      sigma_0 > ... > sigma_N, shape [steps + 1].

    Source: arXiv 2601.13602.
    """
    c = jnp.sqrt(float64(data_variance))
    low, high = jnp.arctan(float64(sigma_min) / c), jnp.arctan(float64(sigma_max) / c)
    share = jnp.arange(steps, -1, -1) / steps
    sigmas = c * jnp.tan(low + share * (high - low))
    return sigmas.at[0].set(sigma_max).at[-1].set(sigma_min)

"""The tangent law: noise levels that suit Euler's method for the probability flow."""

import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Scalar, float64
from design_space.schedules.schedule import Schedule


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


def tangent(
    data_std: Scalar, steps: int, sigma_min: Scalar = 0.002, sigma_max: Scalar = 80.0
) -> Schedule:
    """The tangent law's schedule: sigma = c tan(angle) at equidistant angles.

    The law is optimal for another sampler than the frozen-score one: Euler's method for the
    probability flow on N(0, c^2 I). With c = 1 it is the cosine schedule.

    Args:
      data_std: c, above 0, in data units; may be traced.
      steps: N, at least 1.
      sigma_min: last noise level, above 0; may be traced.
      sigma_max: first noise level, above `sigma_min`; may be traced.

    Returns:
      The schedule, with sigma_bar_t = t.

    Raises:
      ValueError: if a number is outside its domain.

    Source: arXiv 2601.13602.
    """
    steps = checks.count("steps", steps)
    c = float64(checks.positive("data_std", data_std))
    checks.positive("sigma_min", sigma_min)
    checks.positive("sigma_max", sigma_max)
    checks.ordered("sigma_min", sigma_min, "sigma_max", sigma_max)
    return Schedule.from_sigmas(tangent_sigmas(c * c, steps, sigma_min, sigma_max))

"""Measured orders: slopes in logarithmic coordinates, with intervals."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, ArrayLike, float64, is_concrete
from design_space.checks import numbers, refusal, same_dimension
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import interval_factor


def log_log_slope(x: ArrayLike | Sequence[Any], y: ArrayLike | Sequence[Any]) -> Estimate:
    """Fits the order p of y ~ C x^p.

    The least-squares slope of log y on log x, with the 99 % Student interval from the residuals,
    half-width t sqrt(sum r_i^2/((k - 2) sum (log x_i - mean)^2)). It covers p with that probability
    if log y is linear in log x up to independent normal errors of one variance. For a curved
    sequence it does *not* promise to cover the slope that is reached in the limit: the residuals
    see the curvature inside the range only. Take a narrower or farther range then.

    Args:
      x: numbers above 0, not all equal, shape [k], k at least 3.
      y: numbers above 0, shape [k].

    Returns:
      The slope and the half-width of its interval, method "monte carlo".

    Raises:
      ValueError: if an entry is not a finite number above 0, the lengths differ, there are fewer
        than 3 points, or all of x are equal.
    """
    across, up = _logarithms("x", x), _logarithms("y", y)
    points = across.shape[0]
    same_dimension("y", up.shape[0], "x", points)
    if points < 3:
        raise refusal("x", points, "at least 3 points", "add points: two leave no residual")
    if is_concrete(across) and np.all(across == across[0]):
        raise refusal("x", x, "not all equal", "spread the points")
    across = across - jnp.mean(across)
    spread = jnp.sum(across**2)
    up = up - jnp.mean(up)
    slope = jnp.sum(across * up) / spread
    residual = jnp.sum((up - slope * across) ** 2)
    # interval_factor(k) has k - 1 degrees of freedom; here the slope takes one more.
    error = interval_factor(points - 1) * jnp.sqrt(residual / ((points - 2) * spread))
    return Estimate(slope, error, "monte carlo")


def _logarithms(field: str, values: ArrayLike | Sequence[Any]) -> Array:
    array = numbers(field, values, 1)
    if is_concrete(array) and not np.all(array > 0):
        raise refusal(field, values, "above 0", "an order is of positive quantities; drop the rest")
    return jnp.log(float64(array))

"""Differences that cancel near zero, written so that they do not."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike

from design_space.arrays import Array

_SWITCH_LOG = 0.25  # below, |s| <= 1/7 and ten terms leave (1/7)^20 / 23 < 1e-18
_LOG_TERMS = 10
_SWITCH_EXP = 0.5  # below, 0.5^15 / 17! * 2 < 1e-18
_EXP_TERMS = 15


def log1p_defect(x: ArrayLike, rest: ArrayLike | None = None) -> Array:
    """Computes x - log(1 + x) >= 0 to a few units in the last place, for x > -1.

    With s = x / (2 + x), log(1 + x) = 2 artanh s and x - 2 s = x s, so that near zero

        x - log(1 + x) = x s - 2 s^3 (1/3 + s^2/5 + s^4/7 + ...),

    which has no cancellation of leading terms; elsewhere the difference is taken as it stands.

    Args:
      x: numbers above -1, any shape.
      rest: 1 + x, where it is known more accurately than by that sum; same shape.

    Returns:
      The defect, same shape; NaN below -1.
    """
    x = jnp.asarray(x)
    near = jnp.abs(x) < _SWITCH_LOG
    small = jnp.where(near, x, 0.0)
    s = small / (2 + small)
    s2 = s * s
    tail = jnp.zeros_like(s)
    for k in reversed(range(_LOG_TERMS)):
        tail = tail * s2 + 1 / (2 * k + 3)
    far = jnp.where(near, 1.0, x)
    # log(1 + x), since XLA's log1p is off by some thirty units near x = -0.4.
    inside = 1 + far if rest is None else jnp.where(near, 2.0, rest)
    return jnp.where(near, small * s - 2 * s * s2 * tail, far - jnp.log(inside))


def expm1_defect(x: ArrayLike) -> Array:
    """Computes exp(x) - 1 - x >= 0 to a few units in the last place.

    Near zero by the Taylor series x^2/2 (1 + x/3 (1 + x/4 (...))), elsewhere as it stands.

    Args:
      x: real numbers, any shape.

    Returns:
      The defect, same shape.
    """
    x = jnp.asarray(x)
    near = jnp.abs(x) < _SWITCH_EXP
    small = jnp.where(near, x, 0.0)
    tail = jnp.ones_like(small)
    for k in reversed(range(3, _EXP_TERMS + 3)):
        tail = 1 + small / k * tail
    far = jnp.where(near, 1.0, x)
    return jnp.where(near, 0.5 * small * small * tail, jnp.expm1(far) - far)


_SWITCH_SUM = 0.02  # above, a term is at least 2e-4, so its logarithm's rounding is 1e-12 of it
_SUM_TERMS = 9  # 0.02^9 / 11 * 2 < 1e-16


class DefectSum(eqx.Module):
    """A running sum of -x - log(1 - x) over many x in [0, 1) that takes one logarithm at its end.

    Large x multiply into a product whose logarithm is taken once; small x add their Taylor series.
    A small x never meets the logarithm, so nothing cancels.

    Attributes:
      series: sum over small x, minus the sum of the large x.
      product: product of 1 - x over the large x.
    """

    series: Array
    product: Array

    @staticmethod
    def zeros(shape: tuple[int, ...]) -> "DefectSum":
        """The empty sum, for an array of sums."""
        return DefectSum(jnp.zeros(shape), jnp.ones(shape))

    def add(self, x: Array, rest: Array | None = None) -> "DefectSum":
        """Adds one x to each sum.

        Args:
          x: numbers in [0, 1).
          rest: 1 - x, where it is known more accurately than by that difference.
        """
        tail = jnp.zeros_like(x)
        for k in reversed(range(_SUM_TERMS)):
            tail = tail * x + 1 / (k + 2)
        small = x < _SWITCH_SUM
        return DefectSum(
            self.series + jnp.where(small, x * x * tail, -x),
            self.product * jnp.where(small, 1.0, 1 - x if rest is None else rest),
        )

    def total(self) -> Array:
        """The sums."""
        return self.series - jnp.log(self.product)

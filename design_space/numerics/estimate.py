"""A number with its error and the way it was had."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, ArrayLike, Float

Method = Literal["closed form", "quadrature", "monte carlo", "unavailable"]
_ORDER: tuple[Method, ...] = ("closed form", "quadrature", "monte carlo", "unavailable")


def weakest(*methods: Method) -> Method:
    """The least exact of the given methods."""
    return max(methods, key=_ORDER.index)


class Estimate(eqx.Module):
    """A value, the size of its error, and its method.

    The error of "closed form" and "quadrature" is a bound on rounding plus truncation; that of
    "monte carlo" is the half-width of a 99 % confidence interval.

    Attributes:
      value: the quantity, a number or an array of them; NaN where it cannot be had.
      error: its error, same shape and unit.
      method: "closed form", "quadrature" or "monte carlo"; "unavailable" with a reason.
      condition: where cancellation is in the problem, the factor by which it magnifies rounding:
        the sum of the absolute parts over the absolute value of the whole.
      reason: why the value cannot be had, or None.
    """

    value: Float[Array, "*shape"]
    error: Float[Array, "*shape"]
    method: Method = eqx.field(static=True)
    condition: Float[Array, ""] | None = None
    reason: str | None = eqx.field(static=True, default=None)

    @staticmethod
    def unavailable(reason: str) -> "Estimate":
        """An estimate that could not be had, with its reason."""
        nan = jnp.asarray(jnp.nan)
        return Estimate(nan, nan, "unavailable", reason=reason)

    def __add__(self, other: "Estimate") -> "Estimate":
        """The sum; errors add, and the method is the weaker one."""
        return Estimate(
            self.value + other.value,
            self.error + other.error,
            weakest(self.method, other.method),
            reason=self.reason or other.reason,
        )

    def scaled(self, factor: ArrayLike) -> "Estimate":
        """The estimate times a number known exactly."""
        return Estimate(
            self.value * factor,
            self.error * jnp.abs(jnp.asarray(factor)),
            self.method,
            self.condition,
            self.reason,
        )

    def total(self) -> "Estimate":
        """The sum over all entries; errors add."""
        return Estimate(jnp.sum(self.value), jnp.sum(self.error), self.method, reason=self.reason)

    def to_dict(self) -> dict[str, object]:
        """The entry of the JSON contract: value, error, method; nulls and a reason if there is
        none; the condition number where one is reported.
        """
        if self.reason is not None or not np.all(np.isfinite(self.value)):
            reason = self.reason or "not a number"
            return {"value": None, "error": None, "method": None, "reason": reason}
        entry: dict[str, object] = {
            "value": float(self.value),
            "error": float(self.error),
            "method": self.method,
        }
        if self.condition is not None:
            entry["condition"] = float(self.condition)
        return entry

"""The arithmetic of the slow twins: a private mpmath context, so that no global state changes."""

from collections.abc import Iterable
from typing import Any

from mpmath import MPContext

mp: Any = MPContext()
mp.dps = 60
"""Sixty digits: fifty are wanted, and ten are spent on the cancellations of small divergences."""


def exact(value: Any) -> Any:
    """The mpf with exactly the binary value of a float; an mpf passes unchanged."""
    return value if isinstance(value, mp.mpf) else mp.mpf(float(value))


def exacts(values: Iterable[Any]) -> tuple[Any, ...]:
    """`exact` of every entry."""
    return tuple(exact(value) for value in values)


def variances(sigmas: Iterable[Any]) -> tuple[Any, ...]:
    """The grid v_j = sigma_j^2 without rounding, in the order given (largest first)."""
    return tuple(exact(sigma) ** 2 for sigma in sigmas)


def digits(value: Any, count: int = 30) -> str:
    """`value` as a decimal string of `count` significant digits."""
    return mp.nstr(value, count, strip_zeros=False)

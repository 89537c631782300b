"""One check per kind of input. Every message names field, value, domain and remedy.

Checks look at concrete values only: a traced value passes, since nothing is known of it yet.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from design_space.arrays import Array, is_concrete

_NOT_NUMBERS = "bcSUmM"  # NumPy would turn truth values, complex numbers, texts, dates into floats


def refusal(field: str, value: object, domain: str, remedy: str) -> ValueError:
    """Builds the one form of message for a refused input.

    Args:
      field: name of the argument or, in a specification, its dotted path.
      value: what was given.
      domain: what is allowed, as it would follow "must be".
      remedy: what to do, as an instruction.

    Returns:
      The error, for the caller to raise.
    """
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic | Array) else value
    shown = " ".join(repr(plain).split())
    if len(shown) > 120:
        shown = shown[:100] + "..." + shown[-15:]
    return ValueError(f"{field} = {shown}: must be {domain}; {remedy}")


def numbers(field: str, value: Any, rank: int | tuple[int, ...] | None = None) -> Any:
    """Checks that `value` is an array of finite real numbers, of the given rank or ranks.

    Returns:
      `value` as a float64 NumPy array if it is concrete, else `value` itself.
    """
    if not is_concrete(value):
        return value
    try:
        if np.asarray(value).dtype.kind in _NOT_NUMBERS:
            raise TypeError("a conversion would guess")
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise refusal(field, value, "an array of numbers", "check its entries") from error
    ranks = (rank,) if isinstance(rank, int) else rank
    if ranks is not None and array.ndim not in ranks:
        wanted = " or ".join(str(r) for r in ranks)
        raise refusal(
            field, value, f"an array of rank {wanted}, not {array.ndim}", "check the brackets"
        )
    if not np.all(np.isfinite(array)):
        raise refusal(field, value, "finite", "remove the infinite or NaN entries")
    return array


def nonempty(field: str, value: Any, rank: int) -> Any:
    """Checks that `value` is an array of finite real numbers, of the given rank, and not empty."""
    value = numbers(field, value, rank)
    if is_concrete(value) and value.size == 0:
        raise refusal(field, value, "an array with entries", "give at least one number")
    return value


def finite(field: str, value: Any) -> Any:
    """Checks that `value` is one finite real number."""
    if is_concrete(value) and isinstance(value, bool | str):
        raise refusal(field, value, "a number", "give a number, without quotes")
    return numbers(field, value, 0)


def positive(field: str, value: Any) -> Any:
    """Checks that `value` is one finite number above zero."""
    value = finite(field, value)
    if is_concrete(value) and not value > 0:
        raise refusal(field, float(value), "above 0", "give a positive number")
    return value


def nonnegative(field: str, value: Any) -> Any:
    """Checks that `value` is one finite number of at least zero."""
    value = finite(field, value)
    if is_concrete(value) and not value >= 0:
        raise refusal(field, float(value), "at least 0", "give a number that is not negative")
    return value


def count(field: str, value: Any, least: int = 1) -> int:
    """Checks that `value` is a whole number of at least `least`; it must be concrete."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise refusal(field, value, f"a whole number of at least {least}", "give an integer")
    return int(value)


def whole(field: str, value: Any) -> int:
    """Checks that `value` is a whole number of either sign; it must be concrete."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise refusal(field, value, "a whole number", "give an integer")
    return int(value)


def seed(field: str, value: Any) -> Any:
    """Checks that `value` is a whole number of at least zero, which may be traced."""
    return count(field, value, least=0) if is_concrete(value) else value


def one_of(field: str, value: Any, allowed: Iterable[str]) -> str:
    """Checks that `value` is one of the names in `allowed`."""
    names = sorted(allowed)
    if value not in names:
        raise refusal(field, value, "one of " + ", ".join(names), "choose one of these names")
    return value


def ordered(low_field: str, low: Any, high_field: str, high: Any) -> None:
    """Checks that `low` < `high`."""
    if is_concrete(low, high) and not low < high:
        raise refusal(
            low_field, float(low), f"below {high_field} = {float(high)!r}", "swap or move them"
        )


def decreasing(field: str, value: Any) -> None:
    """Checks that a rank-1 array falls strictly."""
    if is_concrete(value) and not np.all(np.diff(np.asarray(value, dtype=np.float64)) < 0):
        raise refusal(field, value, "strictly decreasing", "sort it from large to small")


def probabilities(field: str, value: Any) -> Any:
    """Checks that a rank-1 array is non-negative and sums to one within 1e-9 (then it is rescaled
    by the remaining rounding, so that it sums to one as closely as float64 can).
    """
    value = numbers(field, value, 1)
    if not is_concrete(value):
        return value
    if value.size == 0 or np.any(value < 0):
        raise refusal(field, value, "non-negative, with one entry per component", "check the signs")
    total = float(value.sum())
    if abs(total - 1) > 1e-9:
        raise refusal(field, value, f"a vector that sums to 1, not {total!r}", "divide by the sum")
    return value / total


def covariance(field: str, value: Any, dim: int) -> Any:
    """Checks that `value` is a symmetric positive semidefinite matrix of `dim` rows.

    Asymmetry up to 1e-10 and negative eigenvalues down to -1e-10, both relative to the largest
    entry, count as rounding; the matrix is returned symmetrized.
    """
    value = numbers(field, value, 2)
    if not is_concrete(value):
        return value
    if value.shape != (dim, dim):
        raise refusal(field, value, f"a {dim} x {dim} matrix", "match the dimension of the mean")
    scale = float(np.max(np.abs(value), initial=0.0))
    if np.max(np.abs(value - value.T), initial=0.0) > 1e-10 * scale:
        raise refusal(field, value, "symmetric", "replace it by (A + A^T)/2 if that is meant")
    value = (value + value.T) / 2
    least = float(np.linalg.eigvalsh(value)[0])
    if least < -1e-10 * scale:
        raise refusal(
            field, value, f"positive semidefinite; its least eigenvalue is {least:.3g}", "check it"
        )
    return value


def same_dimension(field: str, size: int, other_field: str, other: int) -> None:
    """Checks that two dimensions agree."""
    if size != other:
        raise refusal(field, size, f"the dimension of {other_field}, {other}", "make them agree")

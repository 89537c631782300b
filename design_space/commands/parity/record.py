"""What one comparison is: a row of the table, and what was measured for it."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

SINGLE, DOUBLE = 2.0**-24, 2.0**-53
"""Unit roundoffs of float32 and float64."""

Quantity = Literal["noise levels", "states"]


def rounding(unit: float, operations: int) -> float:
    """The relative difference that `operations` roundings of one size can make: their sum.

    Args:
      unit: unit roundoff of the coarser side.
      operations: how many of them may add up.
    """
    return unit * operations


class Sides(NamedTuple):
    """The same numbers, computed twice.

    Attributes:
      theirs: what the library gives.
      ours: what this package gives.
    """

    theirs: np.ndarray
    ours: np.ndarray


class Row(NamedTuple):
    """One comparison.

    Attributes:
      name: of the row.
      theirs: function of the library, with its parameters.
      ours: the object that is the same here.
      quantity: what is compared. Noise levels differ by the largest relative difference of an
        entry; states by the largest difference of a coordinate over the largest coordinate.
      tolerance: the relative difference that rounding explains.
      note: what is known to differ, and how the comparison takes it into account; may be empty.
      sides: computes both sides, given the modules of the library.
    """

    name: str
    theirs: str
    ours: str
    quantity: Quantity
    tolerance: float
    note: str
    sides: Callable[[Any], Sides]


class Comparison(NamedTuple):
    """A row with what was measured.

    Attributes:
      row: the row.
      library: name of the library, as it is installed.
      version: its version; None if it is not installed.
      difference: the relative difference; None if it could not be measured.
      trouble: why it could not be measured, and what to do; else empty.
      failed: whether the library is there, and the comparison failed.
    """

    row: Row
    library: str
    version: str | None
    difference: float | None
    trouble: str
    failed: bool

    @property
    def agrees(self) -> bool | None:
        """Whether the difference is within the tolerance; None if the library is not there."""
        if self.difference is None:
            return False if self.failed else None
        return self.difference <= self.row.tolerance

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values; a difference that is no finite number is None."""
        row = self.row._asdict()
        del row["sides"]
        found = self.difference
        finite = found if found is not None and np.isfinite(found) else None
        own = {"library": self.library, "version": self.version, "difference": finite}
        return row | own | {"agrees": self.agrees, "trouble": self.trouble}


def difference(quantity: Quantity, sides: Sides) -> float:
    """How far two sides are apart, relatively; see `Row`.

    Args:
      quantity: what they are.
      sides: two arrays of one shape.

    Returns:
      The difference, inf if shapes differ or a number is not finite.
    """
    theirs, ours = (np.asarray(side, dtype=np.float64) for side in sides)
    if theirs.shape != ours.shape or not np.all(np.isfinite(theirs) & np.isfinite(ours)):
        return float("inf")
    size = np.abs(ours) if quantity == "noise levels" else np.max(np.abs(ours))
    return float(np.max(np.abs(theirs - ours) / size))

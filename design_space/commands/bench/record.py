"""The record of a benchmark as JSON, and two of them compared by their ratios."""

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from design_space.checks import refusal
from design_space.commands.bench.rates import Rate
from design_space.commands.bench.timing import Row

FORMAT = 1
"""Number of the form of records."""

FACTOR = 1.3
"""A ratio that changed by more has drifted, unless told otherwise."""

_TEXTS = ("name", "task", "floor", "device")
_NUMBERS = ("seconds", "floor_seconds", "ratio")
_REMEDY = "give a file that `design-space bench --json` wrote"

WORSE, BETTER, SAME, OTHER = "worse", "better", "same", "another task"
"""What may have become of a row; of another task where sizes differ, so that ratios say nothing."""


def encoded(
    rows: Collection[Row], rates: Collection[Rate], machine: Mapping[str, Any]
) -> dict[str, Any]:
    """A record as plain data. It holds no date: the same run gives the same record.

    Args:
      rows: of the table.
      rates: of the machine.
      machine: what it is.
    """
    return {
        "format": FORMAT,
        "machine": dict(machine),
        "rates": [rate._asdict() for rate in rates],
        "rows": [
            row._asdict() | {"target": None if row.target is None else row.target._asdict()}
            for row in rows
        ],
    }


def read(path: Path) -> dict[str, Any]:
    """Reads a record back.

    Args:
      path: of the file.

    Raises:
      ValueError: if it is no record of this form.
      OSError: if it cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise refusal("compare", str(path), f"a JSON file ({error})", _REMEDY) from error
    if not isinstance(found, dict) or "rows" not in found or "format" not in found:
        raise refusal("compare", str(path), 'a record with "format" and "rows"', _REMEDY)
    if found["format"] != FORMAT:
        domain = f"a record of format {FORMAT}, not {found['format']!r}"
        raise refusal("compare", str(path), domain, "write it again with this version")
    if not isinstance(found["rows"], list):
        raise refusal("compare", str(path), 'a record whose "rows" is a list', _REMEDY)
    for number, row in enumerate(found["rows"]):
        if wrong := _wrong(row):
            domain = f"a record whose rows[{number}] has {wrong}"
            raise refusal("compare", str(path), domain, _REMEDY)
    return found


def _wrong(row: Any) -> str | None:
    """What a row of a record lacks."""
    if not isinstance(row, dict):
        return "the form of a row"
    for key in _TEXTS:
        if not isinstance(row.get(key), str):
            return f'a text "{key}"'
    for key in _NUMBERS:
        value = row.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f'a number "{key}"'
        if not 0 < value < math.inf:
            return f'a number "{key}" above 0'
    return None


class Change(NamedTuple):
    """What became of one row.

    Attributes:
      name: of the row.
      then: its ratio in the other record.
      now: its ratio in this one.
      factor: now over then; above 1 is worse.
      verdict: "worse", "better", "same" or "another task".
    """

    name: str
    then: float
    now: float
    factor: float
    verdict: str


class Comparison(NamedTuple):
    """Two records beside each other.

    Attributes:
      changes: the rows that both have.
      only_then: names of rows that only the other record has.
      only_now: names of rows that only this one has.
      factor: beyond which a row has drifted.
    """

    changes: tuple[Change, ...]
    only_then: tuple[str, ...]
    only_now: tuple[str, ...]
    factor: float

    @property
    def worse(self) -> bool:
        """Whether a row drifted for the worse."""
        return any(change.verdict == WORSE for change in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "factor": self.factor,
            "rows": [change._asdict() for change in self.changes],
            "only_then": list(self.only_then),
            "only_now": list(self.only_now),
        }


def _change(then: Mapping[str, Any], now: Mapping[str, Any], factor: float) -> Change:
    moved = now["ratio"] / then["ratio"]
    if any(then[key] != now[key] for key in ("task", "floor")):
        verdict = OTHER
    elif moved > factor:
        verdict = WORSE
    else:
        verdict = BETTER if moved < 1 / factor else SAME
    return Change(now["name"], then["ratio"], now["ratio"], moved, verdict)


def compared(
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    factor: float = FACTOR,
    wanted: Collection[str] | None = None,
) -> Comparison:
    """Compares the ratios of two records; seconds depend on the machine and on its load.

    Args:
      then: a record.
      now: a later one.
      factor: above 1; a ratio that changed by more has drifted.
      wanted: names of the rows that were to be measured now; others are not missing.

    Raises:
      ValueError: if the factor is not above 1.
    """
    check_factor(factor)
    old, new = ({row["name"]: row for row in record["rows"]} for record in (then, now))
    return Comparison(
        tuple(_change(old[name], new[name], factor) for name in new if name in old),
        tuple(n for n in old if n not in new and (wanted is None or n in wanted)),
        tuple(name for name in new if name not in old),
        factor,
    )


def check_factor(factor: float) -> None:
    """Refuses a factor that is not above 1.

    Args:
      factor: of drift.

    Raises:
      ValueError: if it is not a finite number above 1.
    """
    if not 1 < factor < math.inf:
        raise refusal("factor", factor, "a number above 1", "give for instance 1.3")

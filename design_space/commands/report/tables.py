"""Tables as text for the page: which rows are shown, and what a cell says."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from design_space.commands.report.badges import badge_of, is_of_statements

WHOLE = 60
"""A part of a table with no more rows than these is shown whole."""

_FIRST = 8  # rows shown of a longer part: what its columns hold; the data are one click away
_SHEET = 135  # characters that fit on a printed line of a table, at its 6.5 points
_NOTHING = "–"


def parts_of(table: pd.DataFrame, whole: Sequence[str]) -> list[dict[str, Any]]:
    """The parts of a table as text; columns empty in a part are left out.

    Args:
      table: any table; its column "part", if it has one, says to which part a row belongs.
      whole: parts that are shown whole, however long they are.

    Returns:
      For each part its label, columns, rows as text, and how many rows it has in all.
    """
    groups: Iterable[tuple[Any, pd.DataFrame]] = [("", table)]
    if "part" in table.columns:
        groups = table.groupby("part", sort=False)
    parts = []
    for label, group in groups:
        shown = group.drop(columns="part", errors="ignore").dropna(axis=1, how="all")
        some = shown if label in whole or len(shown) <= WHOLE else shown.head(_FIRST)
        rows = [[_text(value) for value in row] for row in some.to_numpy(dtype=object)]
        parts.append(
            {"label": label, "columns": list(shown.columns), "rows": rows, "total": len(group)}
        )
    return parts


def _text(value: Any) -> str:
    """One cell as text: five digits, an en dash for nothing."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return _NOTHING
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value)


def dressed(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part with what the page needs to show and sort it.

    Args:
      part: one of `parts_of`, or one read from a file.

    Returns:
      The part, each column as its name and its kind ("number", "verdict" or "text"), each row with
      its anchor ("" for none), each cell as its text and its badge or None. A verdict stands beside
      its statement. `wide` says that words must be broken for the part to fit on a sheet.
    """
    if is_of_statements(part):
        part = _verdict_second(part)
    columns = [
        {"name": name, "kind": _kind(name, [row[i] for row in part["rows"]])}
        for i, name in enumerate(part["columns"])
    ]
    named = part["columns"].index("statement") if is_of_statements(part) else None
    rows = [
        {
            "anchor": "" if named is None else anchor(row[named]),
            "cells": [
                {"text": text, "badge": badge_of(text) if column["kind"] == "verdict" else None}
                for text, column in zip(row, columns, strict=True)
            ],
        }
        for row in part["rows"]
    ]
    return {**part, "columns": columns, "rows": rows, "wide": _least_width(part) > _SHEET}


def _least_width(part: Mapping[str, Any]) -> int:
    """Characters that a part needs from side to side if no word of it is broken."""
    columns = zip(part["columns"], *part["rows"], strict=True)
    return sum(max(len(word) for text in column for word in text.split()) for column in columns)


def _verdict_second(part: Mapping[str, Any]) -> dict[str, Any]:
    """The part with statement and verdict first: on a narrow screen the others need scrolling."""
    first = ["statement", "verdict"]
    columns = first + [name for name in part["columns"] if name not in first]
    places = [part["columns"].index(name) for name in columns]
    return {**part, "columns": columns, "rows": [[row[i] for i in places] for row in part["rows"]]}


def anchor(statement: str) -> str:
    """Where the page has the row of a statement."""
    return f"statement-{statement}"


def _kind(name: str, texts: Sequence[str]) -> str:
    """How a column is set and sorted."""
    if name == "verdict":
        return "verdict"
    filled = [text for text in texts if text != _NOTHING]
    return "number" if filled and all(_is_number(text) for text in filled) else "text"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

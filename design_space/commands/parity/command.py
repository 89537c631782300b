"""`design-space parity`: compares grids and samplers with public implementations."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from design_space.commands.parity import show
from design_space.commands.parity.libraries import Library, loaded
from design_space.commands.parity.record import Comparison, Row, difference
from design_space.commands.parity.registry import chosen


def compared(library: Library, rows: Sequence[Row]) -> list[Comparison]:
    """Measures the rows of a library; one that is not installed, or fails, says so in its rows.

    Args:
      library: the library.
      rows: its rows.
    """
    modules, trouble = loaded(library)
    version = library.version()
    if modules is None:
        return [Comparison(row, library.name, version, None, trouble, False) for row in rows]
    return [_compared(library.name, version, row, modules) for row in rows]


def _compared(library: str, version: str | None, row: Row, modules: Any) -> Comparison:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # theirs, about NumPy
            found = difference(row.quantity, row.sides(modules))
    except Exception as error:  # a library whose functions changed: a row, not a traceback
        trouble = f"{type(error).__name__}: {error}"
        return Comparison(row, library, version, None, trouble, True)
    return Comparison(row, library, version, found, "", False)


def parity(
    as_json: bool = False,
    markdown: Path | None = None,
    only: Sequence[str] = (),
    strict: bool = False,
) -> int:
    """Compares, and prints the table.

    Args:
      as_json: print one JSON object and nothing else.
      markdown: a page whose table is replaced.
      only: names or patterns of the rows that are compared; all of them if none is given.
      strict: a library that cannot be imported is a failure.

    Returns:
      The exit status: 1 if a row differs by more than rounding, else 0.

    Raises:
      ValueError: if a name is unknown, or a page cannot take the table.
      OSError: if the page cannot be read or written.
    """
    found = [each for library, rows in chosen(only) for each in compared(library, rows)]
    if markdown is not None:
        show.write(markdown, found)
    if as_json:
        print(json.dumps({"comparisons": [each.to_dict() for each in found]}, indent=2))
    else:
        show.table(Console(), found)
    verdicts = {each.agrees for each in found}
    return int(False in verdicts or (strict and None in verdicts))

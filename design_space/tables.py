"""Specification files as nested tables: read from TOML, and single fields replaced."""

import copy
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from design_space import checks

_BARE_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*")


def read_toml(path: str | Path) -> dict[str, Any]:
    """Reads a TOML file.

    Args:
      path: the file.

    Raises:
      ValueError: if the file is not TOML, with line and column.
      OSError: if the file cannot be read.
    """
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: must be UTF-8 text; save it as a TOML file") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: must be TOML; correct it: {error}") from error


def overridden(given: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of the tables with some fields replaced.

    Args:
      given: section name -> table.
      overrides: each `section.key=value`, the value in TOML; a bare word is a string.

    Raises:
      ValueError: if an override cannot be read.
    """
    found = copy.deepcopy(dict(given))
    for text in overrides:
        path, value = _read_override(text)
        _replace(found, path, value)
    return found


def _read_override(text: str) -> tuple[list[str], Any]:
    """Splits `section.key=value` and reads the value as TOML, or as a string if it is bare."""
    name, equals, value = (part.strip() for part in text.partition("="))
    path = name.split(".")
    if not equals or len(path) < 2 or not all(path):
        example = "write it like schedule.steps=100"
        raise checks.refusal("override", text, "section.key=value", example)
    try:
        read = tomllib.loads(f"value = {value}")
        if set(read) != {"value"}:
            raise ValueError("more than one value")
        return path, read["value"]
    except ValueError as error:
        if _BARE_WORD.fullmatch(value):
            return path, value
        remedy = "quote strings, and put lists in brackets"
        raise checks.refusal(name, value, "a TOML value", remedy) from error


def _replace(given: dict[str, Any], path: list[str], value: Any) -> None:
    """Puts `value` into nested tables at `path`."""
    table = given
    for depth, name in enumerate(path[:-1]):
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            field = ".".join(path[: depth + 1])
            raise checks.refusal(field, table, "a table, to hold " + ".".join(path), "set it whole")
    table[path[-1]] = value

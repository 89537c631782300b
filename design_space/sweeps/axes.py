"""The [sweep] table of a specification: the axes of a product of designs."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from design_space import checks
from design_space.grammar import GRAMMAR

RESERVED = ("where", "zip")
"""Keys of [sweep] that are not axes."""

MOST_VALUES = 10_000_000
"""More values on one axis are a slip of the keyboard."""

_ROUNDING = 1e-12
"""Relative: a logarithmic range from 10 to 80 in 4 meets 20 and 40 up to rounding."""

_RANGE = {"from", "to", "count", "spacing"}
_SEEDS = {"seeds", "first"}
_FORMS = (
    "a list of values, a range {from = 1, to = 10, count = 5, spacing = "
    '"linear" or "log"}, or seeds {seeds = 20, first = 0}'
)


class Axis(NamedTuple):
    """One factor of the product: fields that move together.

    Attributes:
      names: the fields, by dotted name; a section's name alone stands for tables that are merged
        into it.
      values: the values of each field, all equally many.
    """

    names: tuple[str, ...]
    values: tuple[list[Any] | np.ndarray, ...]

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.values[0])


class Product(NamedTuple):
    """The designs of a sweep: all combinations of the axes' values, the first axis slowest.

    Attributes:
      axes: the factors.
      where: conditions, as they were written; a design counts if all hold.
    """

    axes: tuple[Axis, ...]
    where: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(axis.size for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of combinations, before the conditions."""
        return math.prod(self.shape)

    def fields(self) -> Iterator[tuple[int, str, Sequence[Any] | np.ndarray]]:
        """Every field that moves, with the number of its axis and its values."""
        for number, axis in enumerate(self.axes):
            for name, values in zip(axis.names, axis.values, strict=True):
                yield number, name, values


def read_product(table: Any) -> Product:
    """Reads a [sweep] table.

    Args:
      table: as TOML gives it; dotted names may be quoted, or be nested tables.

    Returns:
      The product.

    Raises:
      ValueError: names the axis, its value, its domain and a remedy.
    """
    if not isinstance(table, Mapping):
        raise checks.refusal("sweep", table, "a table", "write [sweep] and its axes below it")
    axes = [Axis((name,), (_values(name, given),)) for name, given in _flat(table)]
    axes += [_zipped(i, given) for i, given in enumerate(_list_of("zip", table, "tables"))]
    if not axes:
        example = 'add one, for instance "schedule.steps" = [10, 20, 50]'
        raise checks.refusal("sweep", dict(table), "a table with an axis", example)
    _refuse_repeated([name for axis in axes for name in axis.names])
    for axis in axes:
        _refuse_repeats(axis)
    where = tuple(_list_of("where", table, "conditions in quotes"))
    for i, condition in enumerate(where):
        if not isinstance(condition, str):
            remedy = 'write it in quotes, like "schedule.sigma_min < target.std"'
            raise checks.refusal(f"sweep.where[{i}]", condition, "a condition", remedy)
    return Product(tuple(axes), where)


def _list_of(name: str, table: Mapping[str, Any], what: str) -> list[Any]:
    given = table.get(name, [])
    if not isinstance(given, list | tuple):
        raise checks.refusal(f"sweep.{name}", given, f"a list of {what}", "put it in brackets")
    return list(given)


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The axes of a table by dotted name: an unquoted name has become nested tables."""
    for key, given in table.items():
        if not above and key in RESERVED:
            continue
        name = f"{above}{key}"
        nested = isinstance(given, Mapping) and given and not set(given) & (_RANGE | _SEEDS)
        if nested and "." not in name:
            yield from _flat(given, f"{name}.")
        else:
            yield name, given


def _zipped(number: int, given: Any) -> Axis:
    field = f"sweep.zip[{number}]"
    if not isinstance(given, Mapping) or not given:
        remedy = 'write it like {"schedule.variance" = [...], "schedule.time" = [...]}'
        raise checks.refusal(field, given, "a table of axes of one length", remedy)
    fields = list(_flat(given))
    values = tuple(_values(name, each) for name, each in fields)
    lengths = {name: len(each) for (name, _), each in zip(fields, values, strict=True)}
    if len(set(lengths.values())) > 1:
        raise checks.refusal(f"lengths in {field}", lengths, "equal", "make the lists equally long")
    return Axis(tuple(name for name, _ in fields), values)


def _refuse_repeated(names: list[str]) -> None:
    for name in names:
        section = name.partition(".")[0]
        clash = names.count(name) > 1 or (section != name and section in names)
        if clash:
            domain = "moved by one axis only"
            raise checks.refusal("sweep axis", name, domain, "drop it from the other axis")


def _refuse_repeats(axis: Axis) -> None:
    """Refuses an axis that takes the same values twice: its designs could not be told apart."""
    if any(isinstance(values, np.ndarray) for values in axis.values):
        return  # a range rises or falls
    seen: set[str] = set()
    for row in zip(*axis.values, strict=True):
        text = json.dumps(_same_numbers(row), sort_keys=True)
        if text in seen:
            names, shown = ", ".join(axis.names), json.dumps(row)[1:-1]
            raise checks.refusal(f"sweep.{names}", shown, "listed once", "remove the repeat")
        seen.add(text)


def _same_numbers(value: Any) -> Any:
    """The value with 3.0 written as 3, which is the same design."""
    if isinstance(value, list | tuple):
        return [_same_numbers(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _same_numbers(each) for key, each in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_name(name: str) -> None:
    """Refuses a field that no kind of design has."""
    section, dot, key = name.partition(".")
    keys = {"kind"} if section in GRAMMAR and any(GRAMMAR[section]) else set()
    keys |= {k for kind in GRAMMAR.get(section, {}).values() for k in kind}
    if section in GRAMMAR and (not dot or key in keys):
        return
    known = sorted(keys) if section in GRAMMAR else sorted(GRAMMAR)
    what = f"one of the keys of [{section}]" if section in GRAMMAR else "section.key, a section of"
    domain = f"{what} ({', '.join(known)})"
    raise checks.refusal("sweep axis", name, domain, "correct the name, or remove the axis")


def _values(name: str, given: Any) -> list[Any] | np.ndarray:
    """The values of one field."""
    _check_name(name)
    if isinstance(given, Mapping) and "seeds" in given:
        return _seeds(name, given)
    if isinstance(given, Mapping):
        return _range(name, given)
    if not isinstance(given, list | tuple):
        raise checks.refusal(f"sweep.{name}", given, _FORMS, "put the values in brackets")
    if not given:
        raise checks.refusal(f"sweep.{name}", given, "a list with values", "give at least one")
    for position, value in enumerate(given):
        _check_value(f"sweep.{name}[{position}]", value, whole="." not in name)
    return list(given)


def _check_value(field: str, value: Any, whole: bool) -> None:
    """Refuses what cannot be the value of a field: of a whole section only tables are."""
    if whole and not isinstance(value, Mapping):
        remedy = 'write it like {kind = "edm"}, or move one key of the section'
        raise checks.refusal(field, value, "a table of the section", remedy)
    try:
        json.dumps(value)
    except TypeError as error:
        domain = "made of numbers, texts, truth values, lists and tables"
        raise checks.refusal(field, value, domain, "take out dates and times") from error


def _known_keys(name: str, given: Mapping[str, Any], known: set[str], needed: set[str]) -> None:
    if not needed <= set(given) <= known:
        raise checks.refusal(f"sweep.{name}", dict(given), _FORMS, "correct its keys")


def _seeds(name: str, given: Mapping[str, Any]) -> list[int]:
    _known_keys(name, given, _SEEDS, {"seeds"})
    count = _few(f"sweep.{name}.seeds", given["seeds"], 1)
    first = checks.count(f"sweep.{name}.first", given.get("first", 0), least=0)
    return list(range(first, first + count))


def _range(name: str, given: Mapping[str, Any]) -> np.ndarray:
    """Numbers from one end to the other, both included; whole ones if all of them are."""
    _known_keys(name, given, _RANGE, {"from", "to", "count"})
    field = f"sweep.{name}"
    low, high = (float(checks.finite(f"{field}.{end}", given[end])) for end in ("from", "to"))
    count = _few(f"{field}.count", given["count"], 2)
    spacing = checks.one_of(f"{field}.spacing", given.get("spacing", "linear"), ("linear", "log"))
    if low == high:
        raise checks.refusal(f"{field}.to", high, "different from `from`", "move one of the ends")
    if spacing == "log":
        checks.positive(f"{field}.from", low)
        checks.positive(f"{field}.to", high)
    values = (np.linspace if spacing == "linear" else np.geomspace)(low, high, count)
    if not all(isinstance(given[end], int) for end in ("from", "to")):
        return values
    whole = np.rint(values)
    return whole.astype(np.int64) if np.allclose(values, whole, rtol=_ROUNDING, atol=0) else values


def _few(field: str, given: Any, least: int) -> int:
    """Checks how many values there are."""
    count = checks.count(field, given, least)
    if count > MOST_VALUES:
        raise checks.refusal(field, count, f"at most {MOST_VALUES:,}", "take fewer")
    return count

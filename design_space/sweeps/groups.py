"""Groups of designs that compile alike: what is fixed in each, and what moves."""

import copy
import functools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from design_space import checks, grammar, readers
from design_space.specification import Specification
from design_space.sweeps.axes import Axis, Product
from design_space.sweeps.conditions import Condition

WHOLE = ("training.seed", "training.steps")
"""Whole numbers that may flow through a program."""

CHUNK = 1 << 18
"""Combinations whose conditions are looked at together."""


class Group(NamedTuple):
    """Designs of a product that differ in numbers only.

    Attributes:
      fixed: fields that change what is compiled, by dotted name, with the group's values.
      positions: of each axis, the positions of the values that belong to the group.
    """

    fixed: dict[str, Any]
    positions: tuple[np.ndarray, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values of each axis belong to the group."""
        return tuple(len(each) for each in self.positions)

    @property
    def size(self) -> int:
        """Number of combinations, before the conditions."""
        return math.prod(self.shape)

    def places(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """The position on each axis of the given rows of the group."""
        local = np.unravel_index(rows, self.shape)
        return tuple(own[at] for own, at in zip(self.positions, local, strict=True))


def put(document: dict[str, Any], field: str, value: Any) -> None:
    """Puts the value of a field into a document, in place; tables are merged into a section.

    Args:
      document: section -> table, as TOML gives it.
      field: `section.key`, or `section` for a table.
      value: the value.
    """
    section, dot, key = field.partition(".")
    table = document.setdefault(section, {})
    table.update({key: value} if dot else value)


def plain(value: Any) -> Any:
    """A value of an axis as TOML gives it."""
    return value.item() if isinstance(value, np.generic) else value


def document_of(base: Mapping[str, Any], product: Product, places: Sequence[int]) -> dict[str, Any]:
    """The specification of one design.

    Args:
      base: the sections without [sweep].
      product: the axes.
      places: the position on each axis.
    """
    found = copy.deepcopy(dict(base))
    for number, name, values in product.fields():
        put(found, name, copy.deepcopy(plain(values[places[number]])))
    return found


def ends(values: Sequence[Any] | np.ndarray) -> list[Any]:
    """The values to look at: all that were listed, both ends of a range."""
    return [plain(v) for v in (values[[0, -1]] if isinstance(values, np.ndarray) else values)]


def moves(name: str, values: Sequence[Any] | np.ndarray, key: readers.Key) -> bool:
    """Whether a field only flows through a compiled program: numbers, or arrays of one shape.

    Args:
      name: dotted name of the field.
      values: its values.
      key: how the grammar reads them.

    Raises:
      ValueError: if one of them cannot be read.
    """
    read = [key.read(name, value) for value in ends(values)]
    if key.read is readers.read_seed or all(isinstance(value, float) for value in read):
        return True
    shapes = {value.shape if isinstance(value, np.ndarray) else None for value in read}
    return len(shapes) == 1 and None not in shapes


def _kinds(base: Mapping[str, Any], product: Product) -> dict[str, set[str]]:
    """The kinds that each section may have somewhere in the product."""
    found: dict[str, set[str]] = {}
    tables = [(name, table) for name, table in base.items() if isinstance(table, Mapping)]
    for _, name, values in product.fields():
        section, dot, key = name.partition(".")
        if not dot:
            tables += [(section, value) for value in values if isinstance(value, Mapping)]
        elif key == "kind":
            tables += [(section, {"kind": value}) for value in values]
    for name, table in tables:
        if isinstance(table.get("kind"), str):
            found.setdefault(name, set()).add(table["kind"])
    for name in grammar.GRAMMAR:
        implicit = {grammar.PAIR, grammar.SETTINGS} & set(grammar.GRAMMAR[name])
        found.setdefault(name, implicit | {grammar.DEFAULT_KINDS.get(name, "")})
    return found


def moving_fields(base: Mapping[str, Any], product: Product) -> tuple[str, ...]:
    """The fields that only flow through compiled programs, under every kind of their section.

    Args:
      base: the sections without [sweep].
      product: the axes.

    Raises:
      ValueError: if a value is not what its field takes under any kind.
    """
    kinds, found = _kinds(base, product), []
    steps_move = "budgets" not in base.get("training", {})
    for _, name, values in product.fields():
        section, _, key = name.partition(".")
        tables = (grammar.GRAMMAR[section].get(kind, {}) for kind in kinds[section])
        known = [table[key] for table in tables if key in table]
        if name == "training.steps":
            known, moved = [], steps_move
        else:
            moved = bool(known)
        if all(moves(name, values, each) for each in known) and moved:
            found.append(name)
    return tuple(found)


def _parts(axis: Axis, moving: Sequence[str]) -> list[tuple[dict[str, Any], np.ndarray]]:
    """Splits the positions of an axis by the values of its fixed fields."""
    fixed = [i for i, name in enumerate(axis.names) if name not in moving]
    if not fixed:
        return [({}, np.arange(axis.size))]
    found: dict[str, tuple[dict[str, Any], list[int]]] = {}
    for position in range(axis.size):
        own = {axis.names[i]: plain(axis.values[i][position]) for i in fixed}
        text = json.dumps(own, sort_keys=True)
        found.setdefault(text, (own, []))[1].append(position)
    return [(own, np.asarray(positions)) for own, positions in found.values()]


def groups_of(product: Product, moving: Sequence[str]) -> list[Group]:
    """Splits a product into groups, the first axis slowest.

    Args:
      product: the axes.
      moving: the fields that move within a group.
    """
    groups = [Group({}, ())]
    for axis in product.axes:
        parts = _parts(axis, moving)
        groups = [
            Group(group.fixed | own, (*group.positions, positions))
            for group in groups
            for own, positions in parts
        ]
    return groups


class Designs:
    """The designs of a sweep: groups, the rows that count, and their values.

    Args:
      base: the sections without [sweep].
      product: the axes and conditions.
      folder: where relative file names start.

    Attributes:
      base, product, folder: as given.
      moving: fields that only flow through compiled programs.
      groups: the groups.
    """

    def __init__(self, base: Mapping[str, Any], product: Product, folder: Path):
        self.base = dict(base)
        self.product = product
        self.folder = folder
        self.moving = moving_fields(base, product)
        self.groups = groups_of(product, self.moving)
        self._conditions = [Condition(text) for text in product.where]
        self._columns = {name: (n, values) for n, name, values in product.fields()}

    @functools.cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        """The values of each field as an array; texts and tables as texts."""
        found = {}
        for name, (_, values) in self._columns.items():
            array = _column(values)
            whole = name in WHOLE or name not in self.moving
            found[name] = array if whole else array.astype(np.float64)
        return found

    def values(self, group: Group, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The values of every field at the given rows of a group."""
        places = group.places(rows)
        return {name: self._arrays[name][places[n]] for name, (n, _) in self._columns.items()}

    def design_numbers(self, group: Group, rows: np.ndarray) -> np.ndarray:
        """The place of the given rows of a group in the whole product."""
        return np.ravel_multi_index(group.places(rows), self.product.shape).astype(np.int64)

    def specification(self, group: Group, row: int) -> Specification:
        """The checked specification of one design.

        Raises:
          ValueError: if there is no such design.
        """
        places = [int(p[0]) for p in group.places(np.asarray([row]))]
        return Specification.parse(document_of(self.base, self.product, places), self.folder)

    def counting(self, group: Group, start: int, stop: int) -> np.ndarray:
        """The rows of a group from `start` to `stop` that fulfil all conditions."""
        rows = np.arange(start, stop)
        if not self._conditions or not rows.size:
            return rows
        fields = self.values(group, rows)
        kept = np.ones(len(rows), dtype=bool)
        for condition in self._conditions:
            own = {name: self._field(group, rows, name, fields) for name in condition.names}
            kept &= condition.holds(own)
        return rows[kept]

    def counts(self, places: Sequence[int]) -> bool:
        """Whether the design with these positions on the axes fulfils all conditions."""
        fixed = {
            name: plain(values[places[number]])
            for number, name, values in self.product.fields()
            if name not in self.moving
        }
        alone = Group(fixed, tuple(np.asarray([place]) for place in places))
        return len(self.counting(alone, 0, 1)) == 1

    def _field(
        self, group: Group, rows: np.ndarray, name: str, fields: Mapping[str, np.ndarray]
    ) -> Any:
        """The values of a field of a condition: of an axis, of tables that are merged into its
        section, or of the base.
        """
        section, _, key = name.partition(".")
        given = self.base.get(section, {}).get(key)
        if name in fields:
            values, found = self._columns[name][1], fields[name]
        elif key and section in self._columns:
            number, tables = self._columns[section]
            values = [table.get(key, given) for table in tables]
            found = _column(values)[group.places(rows)[number]]
        else:
            values, found = [given], given
        if isinstance(values, list) and None in values:
            known = sorted([*fields, *(f"{s}.{k}" for s, t in self.base.items() for k in t)])
            domain = f"given for every design, as {', '.join(known)} are"
            raise readers.missing(f"{name} in sweep.where", domain, "correct the name")
        kinds = bool | int | float | str
        if isinstance(values, list) and not all(isinstance(value, kinds) for value in values):
            domain = "one number, text or truth value for each design"
            raise checks.refusal(f"{name} in sweep.where", values[0], domain, "remove it")
        return found

    def rows(self, group: Group, start: int, count: int) -> np.ndarray:
        """The first `count` counting rows of a group from `start` on."""
        if not self._conditions:
            return np.arange(start, min(start + count, group.size))
        found: list[np.ndarray] = []
        have = 0
        for chunk in self._chunks(group, start):
            found.append(chunk[: count - have])
            have += len(found[-1])
            if have == count:
                break
        return np.concatenate(found) if found else np.arange(0)

    def _chunks(self, group: Group, start: int = 0) -> Iterator[np.ndarray]:
        for first in range(start, group.size, CHUNK):
            yield self.counting(group, first, min(first + CHUNK, group.size))

    def cut(self, group: Group, size: int) -> Iterator[tuple[int, int]]:
        """Cuts the counting rows of a group into pieces: first row and number of designs."""
        if not self._conditions:
            for start in range(0, group.size, size):
                yield start, min(size, group.size - start)
            return
        left = np.arange(0)
        for chunk in self._chunks(group):
            left = np.concatenate([left, chunk])
            while len(left) >= size:
                yield int(left[0]), size
                left = left[size:]
        if len(left):
            yield int(left[0]), len(left)


def _uniform(values: Any) -> bool:
    """Whether values are numbers, truth values, or arrays of numbers of one shape."""
    if isinstance(values, np.ndarray):
        return True
    if all(isinstance(v, bool) for v in values):
        return True
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return True
    if not all(isinstance(v, list | tuple) for v in values):
        return False
    try:
        return np.asarray(values).dtype.kind in "if"
    except ValueError:
        return False


def _column(values: Any) -> np.ndarray:
    """Values as an array; texts, tables and a mixture of kinds as texts."""
    return np.asarray(values) if _uniform(values) else np.asarray(labels(values))


def labels(values: Any) -> list[str]:
    """Values as texts for a column: texts as they are, tables and lists as JSON."""
    return [v if isinstance(v, str) else json.dumps(plain(v), sort_keys=True) for v in values]

"""The plan of a sweep: checked as a whole, cut into pieces, written down as a manifest."""

import copy
import importlib.metadata
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from design_space import checks
from design_space.evaluate import evaluate
from design_space.provenance import source_hash
from design_space.readers import missing
from design_space.schedules.named import edm
from design_space.specification import Specification
from design_space.sweeps.axes import Product, read_product
from design_space.sweeps.content import ONE_BY_ONE, TOGETHER
from design_space.sweeps.groups import Designs, Group, document_of, put
from design_space.sweeps.measure import QUANTITIES, TRAINING
from design_space.sweeps.program import first_design, trace
from design_space.targets.empirical import Empirical
from design_space.targets.gaussian import Gaussian

FORMAT = 1
"""Number of the form of manifests and pieces."""

PIECE = 1 << 16
"""Designs of a piece that are evaluated together, unless told otherwise."""

MOST_COMBINATIONS = 10_000_000_000
"""More are not looked at, even where conditions leave few of them."""

_TRIED = 128

FEW = 8
"""Designs of a piece that are evaluated one at a time: a kill loses a piece in flight."""


def without_files(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A specification with the points of its files in place of their names.

    The manifest of a sweep holds all that its numbers depend on.

    Args:
      given: the sections.
      folder: where relative file names start.

    Raises:
      ValueError: if a file holds no points.
      OSError: if a file cannot be read.
    """
    found = copy.deepcopy(dict(given))

    def inlined(points: Any) -> Any:
        if not isinstance(points, str):
            return points
        try:
            return Empirical.from_file(folder / points).points.tolist()
        except ValueError as error:
            raise ValueError(f"target.{error}") from error

    def in_table(table: Any) -> None:
        if isinstance(table, dict) and "points" in table:
            table["points"] = inlined(table["points"])

    def in_axis(table: Any, name: str) -> None:
        if isinstance(table, dict) and isinstance(table.get(name), list):
            table[name] = [inlined(points) for points in table[name]]

    in_table(found.get("target"))
    table = found.get("sweep")
    zipped = table.get("zip", []) if isinstance(table, dict) else []
    for axes in [table, *(zipped if isinstance(zipped, list) else [])]:
        in_axis(axes, "target.points")
        targets = axes.get("target") if isinstance(axes, dict) else None
        in_axis(targets, "points")  # the axis without quotes
        for each in targets if isinstance(targets, list) else []:
            in_table(each)
    return found


def check_values(designs: Designs) -> None:
    """Refuses a value of an axis with which no design exists, whatever the other axes say.

    Each value is tried with the first, the middle and the last values of the other axes, then with
    single values of another axis; a value that goes with some others only is left to the designs,
    which get a row with the reason. A value that the conditions leave no design is never refused.

    Raises:
      ValueError: the refusal of such a design.
    """
    product = designs.product
    for number, axis in enumerate(product.axes):
        for place in range(axis.size) if _listed(axis) else (0, axis.size - 1):
            _some_exists(designs, _trials(product.shape, number, place))


def _trials(shape: Sequence[int], number: int, place: int) -> Iterator[list[int]]:
    """Designs with one value of an axis: first with others alike, then with each of another."""
    shared = [[int(share * (n - 1)) for n in shape] for share in (0, 0.5, 1)]
    for places in shared:
        yield [*places[:number], place, *places[number + 1 :]]
    for other, size in enumerate(shape):
        for moved in dict.fromkeys(np.linspace(0, size - 1, _TRIED).astype(int).tolist()):
            for places in shared:
                trial = [*places[:number], place, *places[number + 1 :]]
                trial[other] = place if other == number else moved
                yield trial


def _listed(axis: Any) -> bool:
    return any(isinstance(values, list) for values in axis.values)


def _some_exists(designs: Designs, trials: Iterator[list[int]]) -> None:
    """Refuses if none of the designs exists, with what is wrong with the first that counts."""
    first = None
    for places in trials:
        try:
            Specification.parse(document_of(designs.base, designs.product, places), designs.folder)
            return
        except ValueError as error:
            first = first or (error if designs.counts(places) else None)
    if first is not None:
        raise ValueError(f"sweep: no design with one of its values exists: {first}") from first


def bound_names(trains: bool) -> list[str]:
    """The ids of the bounds that are listed beside a budget.

    Args:
      trains: whether scores are trained.
    """
    found = jax.eval_shape(lambda: evaluate(Gaussian.isotropic(1, 1.0), edm(2)).bounds)
    return [*found, *(["theorem-3", "theorem-3-corrected"] if trains else [])]


def columns(trains: bool) -> list[str]:
    """The measured columns of a sweep, in order.

    Args:
      trains: whether scores are trained.
    """
    entries = itertools.chain.from_iterable(
        (name, f"{name}_error", f"{name}_method") for name in QUANTITIES
    )
    bounds = (f"bound.{name}" for name in bound_names(trains))
    return [*(TRAINING if trains else ()), *entries, *bounds, "reason"]


def _kinds_of(designs: Designs, group: Group) -> str:
    """What decides whether the designs of a group go together: all words, and which keys there are.

    Whole numbers change sizes only.
    """
    document = copy.deepcopy(designs.base)
    for name, value in group.fixed.items():
        put(document, name, value)

    def outline(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: outline(each) for key, each in value.items()}
        return value if isinstance(value, str | bool) else None

    return json.dumps(outline(document), sort_keys=True)


def row_bytes(manifest: Mapping[str, Any]) -> int:
    """Bytes of a row before compression, which hardly shortens random digits.

    Args:
      manifest: with "columns" and "axes".
    """
    words = ("_method", "reason")
    numbers = [name for name in manifest["columns"] if not name.endswith(words)]
    single = sum(name.endswith("_error") for name in numbers)
    return 8 * (1 + len(manifest["axes"]) + len(numbers)) - 4 * single


def check_room(needed: int, room: int, what: str) -> None:
    """Refuses a table that does not fit on the disk.

    Raises:
      ValueError: with both sizes.
    """
    if needed > room:
        domain = f"at most what is free, {room / 1e6:,.1f} MB"
        remedy = "take fewer values or add a condition to sweep.where, or sweep into another disk"
        raise checks.refusal(f"size of {what}", f"{needed / 1e6:,.1f} MB", domain, remedy)


def plan(
    given: Mapping[str, Any],
    folder: str | Path = ".",
    *,
    seed: int = 0,
    draws: int = 4096,
    piece: int = PIECE,
    room: int | None = None,
) -> dict[str, Any]:
    """Checks a sweep and writes down what will be computed.

    Args:
      given: the sections of a specification, `sweep` among them.
      folder: where relative file names start.
      seed: seed of what can only be sampled.
      draws: Monte-Carlo draws per noise level then, at least 64.
      piece: designs of a piece that are evaluated together.
      room: bytes that there are for the table, if it is known.

    Returns:
      The manifest: plain data, from which everything else follows.

    Raises:
      ValueError: names what is wrong with the sweep; nothing has been computed then.
      OSError: if a file that it names cannot be read.
    """
    checks.count("seed", seed, least=0)
    checks.count("samples", draws, least=64)
    checks.count("piece", piece)
    specification = _checked(given, Path(folder))
    base = {name: table for name, table in specification.items() if name != "sweep"}
    designs = Designs(base, read_product(specification["sweep"]), Path("."))
    product = designs.product
    head = {
        "format": FORMAT,
        "package": importlib.metadata.version("design-space"),
        "source": source_hash(),
        "specification": specification,
        "seed": seed,
        "draws": draws,
        "piece": piece,
        "combinations": product.size,
        "axes": [name for _, name, _ in product.fields()],
    }
    _check_size(product, row_bytes(head | {"columns": columns(False)}), room)
    check_values(designs)
    for name, table in specification.items():
        _refuse_infinite(name, table)
    groups, pieces = _cut(designs, seed, draws, piece)
    rows = sum(entry["rows"] for entry in pieces)
    return head | {
        "designs": sum(entry["designs"] for entry in pieces),
        "rows": rows,
        "columns": columns(any(group["trains"] for group in groups)),
        "groups": groups,
        "pieces": pieces,
    }


def _checked(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The sections, all of them tables and `sweep` among them, with points in place of files."""
    if "sweep" not in given:
        remedy = 'add it, for instance with "schedule.steps" = [10, 20, 50]'
        raise missing("sweep", "a table of axes", remedy)
    specification = without_files(given, folder)
    for name, table in specification.items():
        if name != "sweep" and not isinstance(table, Mapping):
            raise checks.refusal(name, table, "a table", f"write [{name}] and its keys below it")
    return specification


def _refuse_infinite(field: str, value: Any) -> None:
    """Refuses what a single design may have, and a manifest, which is JSON, cannot say."""
    if isinstance(value, Mapping):
        for name, entry in value.items():
            _refuse_infinite(f"{field}.{name}", entry)
    elif isinstance(value, list | tuple):
        for position, entry in enumerate(value):
            _refuse_infinite(f"{field}[{position}]", entry)
    elif isinstance(value, float) and not math.isfinite(value):
        remedy = "take a number above all noise levels, which does the same"
        raise checks.refusal(field, value, "finite in a sweep", remedy)


def _check_size(product: Product, bytes_each: int, room: int | None) -> None:
    """Refuses a product that is too large before it is looked at design by design."""
    shown = f"{product.size:,} combinations"
    if product.size > MOST_COMBINATIONS:
        domain = f"at most {MOST_COMBINATIONS:,}"
        raise checks.refusal("sweep", shown, domain, "take fewer values on an axis")
    if room is not None and not product.where:
        check_room(product.size * bytes_each, room, f"the table of {shown}")


def _cut(
    designs: Designs, seed: int, draws: int, piece: int
) -> tuple[list[dict[str, Any]], list[dict[str, int]]]:
    """The groups and pieces of the manifest.

    Raises:
      ValueError: if no design fulfils the conditions.
    """
    known: dict[str, str] = {}
    groups, pieces = [], []
    for number, group in enumerate(designs.groups):
        first, kinds = first_design(designs, group), _kinds_of(designs, group)
        if first is not None and kinds not in known:
            traced = trace(designs, group, seed, draws)
            known[kinds] = ONE_BY_ONE if traced is None else TOGETHER
        how = ONE_BY_ONE if first is None else known[kinds]
        trains = first is not None and first.trains
        rows = len(first.training["budgets"]) if trains and first is not None else 1
        size = piece if how == TOGETHER else min(FEW, piece)
        cuts = list(designs.cut(group, size))
        count = sum(own for _, own in cuts)
        groups.append(
            {"fixed": group.fixed, "how": how, "trains": trains, "designs": count, "rows": rows}
        )
        pieces += [
            {"group": number, "start": start, "designs": own, "rows": own * rows}
            for start, own in cuts
        ]
    if not pieces:
        where: Sequence[str] = designs.product.where
        domain = f"true for some of the {designs.product.size:,} combinations"
        raise checks.refusal("sweep.where", list(where), domain, "relax a condition")
    return groups, pieces

"""The content of a piece: the table of its designs, made from the manifest and nothing else."""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from design_space.errors.path import without_path
from design_space.pipeline import evaluate_specification
from design_space.provenance import device, dtype, versions
from design_space.specification import Specification
from design_space.sweeps.axes import read_product
from design_space.sweeps.groups import Designs, Group
from design_space.sweeps.measure import QUANTITIES, TRAINING, Measured, measured
from design_space.sweeps.pieces import encode
from design_space.sweeps.program import Batches
from design_space.trained_budgets import divergence

TOGETHER = "together"
"""How the designs of a group are evaluated: by one compiled program."""

ONE_BY_ONE = "one at a time"
"""How they are evaluated where their laws are planned from their numbers."""

REFUSALS = (ValueError, ArithmeticError, MemoryError, np.linalg.LinAlgError)
"""What a bad design raises; anything else is a defect, and stops the sweep."""


class Opened(NamedTuple):
    """A sweep ready to be computed."""

    designs: Designs
    batches: Batches


_LOCK = threading.Lock()
_OPENED: list[tuple[Mapping[str, Any], Opened]] = []


def designs_of(specification: Mapping[str, Any]) -> Designs:
    """The designs of a specification with a [sweep] table and no files in it."""
    base = {name: table for name, table in specification.items() if name != "sweep"}
    return Designs(base, read_product(specification["sweep"]), Path("."))


def opened(manifest: Mapping[str, Any]) -> Opened:
    """The designs and programs of a manifest; those of the last one are kept.

    Args:
      manifest: of the sweep.
    """
    names = ("specification", "seed", "draws", "piece")
    with _LOCK:
        for known, found in _OPENED:
            same = known is manifest  # the comparison takes long where points are in it
            if same or all(known[name] == manifest[name] for name in names):
                return found
        designs = designs_of(manifest["specification"])
        settings = (manifest["seed"], manifest["draws"], manifest["piece"])
        found = Opened(designs, Batches(designs, *settings))
        _OPENED[:] = [(manifest, found)]
        return found


def compute(manifest: dict, piece: int) -> bytes:
    """Computes a piece.

    Args:
      manifest: of the sweep.
      piece: number of the piece.

    Returns:
      The bytes of its Parquet file. The table is the same in every bit on every CPU of one kind.
    """
    start = time.perf_counter()
    designs, batches = opened(manifest)
    entry = manifest["pieces"][piece]
    number, rows_each = entry["group"], manifest["groups"][entry["group"]]["rows"]
    group = designs.groups[number]
    rows = designs.rows(group, entry["start"], entry["designs"])
    about: dict[str, Any] = {"versions": versions(), "device": device(), "dtype": dtype()}
    if manifest["groups"][number]["how"] == TOGETHER:
        found = batches.together(number, rows)
        found = found._replace(reasons=_reasons(designs, group, rows, found))
        about["batch"] = batches.program(number).batch
    else:
        settings = {"seed": manifest["seed"], "draws": manifest["draws"]}
        each = [_one(designs, group, int(row), settings, rows_each) for row in rows]
        found = _stacked(each)
    table = _table(manifest, designs, group, rows, found, rows_each)
    names = {"piece": piece, "group": number, "seed": manifest["seed"], "draws": manifest["draws"]}
    about |= names | {"seconds": round(time.perf_counter() - start, 3)}
    return encode(table, about)


def _one(
    designs: Designs, group: Group, row: int, settings: Mapping[str, Any], rows_each: int
) -> Measured:
    """Evaluates one design; one that cannot be evaluated gets its reason."""
    try:
        found = evaluate_specification(designs.specification(group, row), **settings)
        got = measured(found)
    except REFUSALS as error:
        return Measured({}, {}, (_text(error),) * rows_each)
    numbers = {name: np.asarray(column) for name, column in got.numbers.items()}
    return Measured(numbers, got.methods, got.reasons)


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _stacked(each: Sequence[Measured]) -> Measured:
    """Designs one below the other, with NaN and "unavailable" where one has no such column."""
    names = dict.fromkeys(name for one in each for name in one.numbers)
    numbers = {}
    for name in names:
        columns = [one.numbers.get(name, np.full(len(one.reasons), np.nan)) for one in each]
        numbers[name] = np.stack([np.asarray(column, dtype=np.float64) for column in columns])
    methods = {
        name: tuple(
            method
            for one in each
            for method in one.methods.get(name, ("unavailable",) * len(one.reasons))
        )
        for name in QUANTITIES
    }
    return Measured(numbers, methods, tuple(reason for one in each for reason in one.reasons))


def _reasons(
    designs: Designs, group: Group, rows: np.ndarray, found: Measured
) -> tuple[str | None, ...]:
    """Why numbers are missing in each row of a piece that was evaluated together."""
    finite = {}
    for name in QUANTITIES:  # what no design of the kind has is not missing from this one
        none = np.array([method == "unavailable" for method in found.methods[name]])
        finite[name] = np.isfinite(found.numbers[name]) | none[None, :]
    fine = np.logical_and.reduce(list(finite.values()))
    reasons = list(found.reasons) * len(rows)
    each = fine.shape[1]
    for i in np.flatnonzero(~fine.all(axis=1)):
        try:
            design = designs.specification(group, int(rows[i]))
        except ValueError as error:
            reasons[i * each : (i + 1) * each] = [_text(error)] * each
            continue
        for j in np.flatnonzero(~fine[i]):
            missing = [name for name in QUANTITIES if not finite[name][i, j]]
            why = _no_path(design, missing) or _not_finite(found.numbers, missing, int(i), int(j))
            reasons[i * each + j] = why
    return tuple(reasons)


def _no_path(design: Specification, missing: Sequence[str]) -> str | None:
    """Why a sampler has no path KL, if that is all that is missing: a share of noise may be 0."""
    if not set(missing) <= {"discretization", "score", "path_kl"}:
        return None
    grid = design.schedule()
    why = without_path(design.sampler(grid).moves(grid))
    return None if why is None else f"{', '.join(missing)}: {why}"


def _not_finite(numbers: Mapping[str, Any], missing: Sequence[str], i: int, j: int) -> str:
    """Why numbers of an existing design are not finite."""
    if "learning_rate" in numbers:
        step, rate, limit = (numbers[name][i, j] for name in TRAINING[:3])
        if not rate < limit:
            return divergence(step, rate, limit)
    return f"not finite: {', '.join(missing)}; the numbers of the design overflow"


def _table(
    manifest: Mapping[str, Any],
    designs: Designs,
    group: Group,
    rows: np.ndarray,
    found: Measured,
    rows_each: int,
) -> pa.Table:
    """The rows of a piece, all pieces with the same columns."""
    values = designs.values(group, rows)
    columns = {"design": pa.array(np.repeat(designs.design_numbers(group, rows), rows_each))}
    for name, column in values.items():
        columns[name] = _axis(np.repeat(column, rows_each, axis=0))
    refused = np.array([reason is not None for reason in found.reasons])
    for name in manifest["columns"]:
        quantity = name.removesuffix("_method")
        if name == "reason":
            columns[name] = pa.array(found.reasons, pa.string())
        elif quantity != name:
            columns[name] = _methods(found, quantity, len(rows), refused)
        else:
            columns[name] = _numbers(name, found.numbers.get(name), len(refused))
    return pa.table(columns)


def _axis(values: np.ndarray) -> pa.Array:
    """The column of a field that moves; vectors as JSON."""
    if values.dtype.kind in "iu":
        return pa.array(values.astype(np.int64))
    if values.ndim == 1:
        return pa.array(values)
    different, places = np.unique(values, axis=0, return_inverse=True)
    texts = np.array([json.dumps(value.tolist()) for value in different])
    return pa.array(texts[np.ravel(places)])


def _methods(found: Measured, quantity: str, designs: int, refused: np.ndarray) -> pa.Array:
    """The method of a quantity in each row; none where the number is missing."""
    methods = found.methods.get(quantity, ("unavailable",) * len(refused))
    texts = np.asarray(methods)
    if len(texts) != len(refused):  # one program: the same for all designs
        texts = np.tile(texts, designs)
    value = found.numbers.get(quantity)
    missing = refused if value is None else ~np.isfinite(np.ravel(value))
    return pa.array(texts, mask=missing | (texts == "unavailable"))


def _numbers(name: str, values: Any, count: int) -> pa.Array:
    """A column of numbers, null where one is missing; errors in single precision, rounded up."""
    flat = np.full(count, np.nan) if values is None else np.ravel(np.asarray(values, np.float64))
    missing = ~np.isfinite(flat)
    if name == "step":
        whole = np.where(missing, 0, flat).astype(np.int64)
        return pa.array(whole, mask=missing)
    if not name.endswith("_error"):
        return pa.array(flat, mask=missing)
    with np.errstate(over="ignore", invalid="ignore"):
        single = flat.astype(np.float32)
        single = np.where(single < flat, np.nextafter(single, np.float32(np.inf)), single)
    return pa.array(single, mask=missing)

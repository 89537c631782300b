"""A sweep read back: a tidy frame of what is asked for, and one digest of the whole table."""

import hashlib
import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from design_space.checks import refusal
from design_space.sweeps.manifest import read_manifest
from design_space.sweeps.pieces import damage
from design_space.sweeps.store import PIECES, pieces_in

Where = pc.Expression | Sequence[Any]
"""A condition on rows: `[("schedule.rho", ">", 3.0), ...]`, all of which hold; a list of such
lists, one of which holds; or an expression of `pyarrow.dataset`."""

_TEXTS = pa.dictionary(pa.int32(), pa.string())
_NULLABLE: dict[pa.DataType, Any] = {  # pandas would turn integers with gaps into floats
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


def read_sweep(
    folder: str | Path,
    columns: Iterable[str] | None = None,
    where: Where | None = None,
    *,
    verify: bool = False,
) -> pd.DataFrame:
    """Reads the table of a sweep, or a part of it, in the order of "design".

    Only the columns and pieces that are asked for are read: each piece says between which values
    its columns lie. A sweep may be read while it runs.

    Args:
      folder: the directory of the sweep.
      columns: names of columns, in the order wanted; all of them by default.
      where: which rows: `[("schedule.kind", "==", "edm"), ("marginal_kl", "<", 0.1)]`, a list of
        such lists of which one must hold, or an expression of `pyarrow.dataset`. No comparison
        with a missing value holds, and of those with NaN only `!=`.
      verify: whether to check every piece against the hash in its name, which reads all of it. A
        sweep that is resumed does so always; reading does not unless asked.

    Returns:
      The rows of every design, in the order of its piece. Texts are categoricals, of the sorted
      texts that occur; a missing number is NaN, or `pd.NA` among integers. `attrs` holds
      "specification" and "package".

    Raises:
      ValueError: if `folder` is no sweep or has no piece yet, a column is not there, `where` cannot
        be understood, or a piece is damaged.

    Warns:
      UserWarning: if pieces are missing.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    paths = _pieces(folder, manifest)
    _warn_of_missing(folder, manifest, paths)
    if verify:
        _refuse_damaged(folder, manifest, paths)
    data = _dataset(folder, paths, filtered=where is not None)
    names = _checked("columns", data.schema.names if columns is None else columns, data.schema)
    table = _rows(folder, data, names, _condition(where, data.schema))
    frame = _frame(table).loc[:, names]
    frame.attrs = {name: manifest[name] for name in ("specification", "package")}
    return frame


def table_digest(folder: str | Path) -> str:
    """SHA-256 of what a finished sweep found, column by column in the order of "design".

    Two sweeps have the same digest if and only if their tables agree, bit by bit, up to collisions
    of SHA-256: however the designs were cut into pieces, whoever computed them and when. All NaN
    count as one, 0.0 and -0.0 as two.

    Args:
      folder: the directory of the sweep.

    Returns:
      64 hexadecimal digits.

    Raises:
      ValueError: if `folder` is no sweep, or pieces are missing or cannot be read.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    paths = _pieces(folder, manifest)
    if len(paths) < len(manifest["pieces"]):
        raise ValueError(_progress(folder, manifest, paths))
    data = _dataset(folder, paths)
    order = _order(_read(folder, data, ["design"], None))
    digest = hashlib.sha256()
    for field in sorted(data.schema, key=lambda field: field.name):
        column = _read(folder, data, [field.name], None)[field.name].combine_chunks()
        _update(digest, field, column if order is None else column.take(order))
    return digest.hexdigest()


def _pieces(folder: Path, manifest: dict[str, Any]) -> dict[int, Path]:
    """The files of the pieces by number; of two of one piece the first, as in the store."""
    kept: dict[int, Path] = {}
    for number, path in pieces_in(folder / PIECES):
        if number < len(manifest["pieces"]):
            kept.setdefault(number, path)
    return kept


def _progress(folder: Path, manifest: dict[str, Any], paths: dict[int, Path]) -> str:
    """How far a sweep has come, and how to go on."""
    entries = manifest["pieces"]
    rows = sum(entries[number]["rows"] for number in paths)
    return (
        f"{folder} holds {len(paths)} of {len(entries)} pieces, {rows:,} of {manifest['rows']:,} "
        "designs; run `design-space sweep` with --resume to compute the others"
    )


def _warn_of_missing(folder: Path, manifest: dict[str, Any], paths: dict[int, Path]) -> None:
    """Warns the caller of `read_sweep` if the table is not whole."""
    if not paths:
        raise ValueError(_progress(folder, manifest, paths))
    if len(paths) < len(manifest["pieces"]):
        warnings.warn(_progress(folder, manifest, paths), UserWarning, stacklevel=3)


def _refuse_damaged(folder: Path, manifest: dict[str, Any], paths: dict[int, Path]) -> None:
    """Checks the pieces against their hashes."""
    for number, path in paths.items():
        why = damage(path, manifest["pieces"][number]["rows"])
        if why is not None:
            raise _damaged(folder, f"{path.name}: {why}")


def _damaged(folder: Path, why: str) -> ValueError:
    return ValueError(
        f"{folder}: its pieces must be as they were written, but one is damaged ({why}); "
        "run `design-space sweep` with --resume, which sets it aside and computes it again"
    )


def _dataset(folder: Path, paths: dict[int, Path], filtered: bool = False) -> ds.FileSystemDataset:
    """The pieces as one table that is not read yet. A column that a piece lacks is null there.

    Texts stay in their dictionaries, which is fastest; where rows are `filtered` they are read one
    by one, since Arrow passes over pieces by the bounds of plain texts only.
    """
    try:
        schema = pa.unify_schemas([pq.read_schema(path) for path in paths.values()])
    except (pa.ArrowException, OSError) as error:
        raise _damaged(folder, " ".join(str(error).split())) from error
    texts = [field.name for field in schema if field.type == pa.string() and not filtered]
    for name in texts:
        place = schema.get_field_index(name)
        schema = schema.set(place, schema.field(place).with_type(_TEXTS))
    kind = ds.ParquetFileFormat(dictionary_columns=texts)
    return ds.dataset([str(path) for path in paths.values()], schema=schema, format=kind)


def _checked(field: str, names: Iterable[str], schema: pa.Schema) -> list[str]:
    """The names as a list, if the table has them all."""
    names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    for name in names:
        if name not in schema.names:
            raise refusal(
                field, name, f"among {', '.join(schema.names)}", "take a column that is there"
            )
    return names


def _condition(where: Where | None, schema: pa.Schema) -> pc.Expression | None:
    """The condition as an expression, if it makes sense for these columns."""
    if where is None:
        return None
    domain = 'a list of (column, operator, value), such as [("schedule.rho", ">", 3.0)]'
    remedy = "write it so, with ==, !=, <, <=, >, >=, in or not in"
    names: list[str] = []
    try:
        if isinstance(where, pc.Expression):
            expression = where
        else:
            rules = [[part] if isinstance(part, tuple) else part for part in where]
            names = [name for part in rules for name, _, _ in part]
            expression = pq.filters_to_expression(list(where))
    except (ValueError, TypeError) as error:
        raise refusal("where", str(where), f"{domain} ({error})", remedy) from error
    _checked("where", names, schema)
    try:
        schema.empty_table().filter(expression)
    except (pa.ArrowException, TypeError) as error:
        raise refusal("where", str(where), f"{domain} ({error})", remedy) from error
    return expression


def _read(
    folder: Path, data: ds.FileSystemDataset, names: list[str], condition: pc.Expression | None
) -> pa.Table:
    """Columns of the rows for which the condition holds, in any order, texts in one dictionary."""
    try:
        return data.to_table(columns=names, filter=condition).unify_dictionaries()
    except (pa.ArrowException, OSError) as error:
        raise _damaged(folder, " ".join(str(error).split())) from error


def _rows(
    folder: Path, data: ds.FileSystemDataset, names: list[str], condition: pc.Expression | None
) -> pa.Table:
    """The table in the order of "design", which is among its columns."""
    wanted = names if "design" in names else [*names, "design"]
    table = _read(folder, data, wanted, condition)
    order = _order(table)
    return table if order is None else table.take(order)


def _order(table: pa.Table) -> pa.Array | None:
    """The rows in the order of "design", those of one design as they are; None if they are so."""
    designs = table["design"].to_numpy()
    if np.all(designs[1:] >= designs[:-1]):
        return None
    return pa.array(np.argsort(designs, kind="stable"))


def _frame(table: pa.Table) -> pd.DataFrame:
    """The table as pandas has it, every integer exact and every category in its sorted place."""
    exact = {
        field.name: table[field.name].to_pandas(types_mapper=_NULLABLE.get)
        for field in table.schema
        if field.type in _NULLABLE and table[field.name].null_count
    }
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    frame = table.to_pandas(split_blocks=True, categories=texts).assign(**exact)
    for name in table.column_names:
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            texts = frame[name].cat
            frame[name] = texts.reorder_categories(sorted(texts.categories))
    return frame


def _update(digest: Any, field: pa.Field, column: pa.Array) -> None:
    """Feeds one column to the digest: name, type, which values are there, and the values."""
    header: dict[str, Any] = {"name": field.name}
    there = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_dictionary(field.type):
        texts = column.dictionary.to_pylist()
        codes = column.indices.fill_null(0).to_numpy(zero_copy_only=False)
        used = sorted({texts[code] for code in np.unique(codes[there])})
        place = {text: number for number, text in enumerate(used)}
        renumber = np.array([place.get(text, 0) for text in texts] or [0], dtype="<i4")
        header["texts"] = used
        values = np.where(there, renumber[codes], 0)
    else:
        values = column.fill_null(False if field.type == pa.bool_() else 0)
        header["type"], values = str(field.type), values.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.nan, values)
    line = json.dumps(header, sort_keys=True).encode()
    digest.update(len(line).to_bytes(8, "little") + line)
    digest.update(len(values).to_bytes(8, "little") + np.packbits(there).tobytes())
    digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)

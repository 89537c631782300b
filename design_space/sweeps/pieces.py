"""Pieces of a sweep: Parquet bytes, and file names that tell a whole piece from a damaged one."""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from design_space.checks import refusal
from design_space.files import canonical, digest_of

ABOUT = b"design_space"
"""The key of a piece's provenance in the metadata of its file."""

ROWS_OF_A_GROUP = 1 << 16
"""Rows that a reader must take or leave together."""

COMPRESSION_LEVEL = 3
"""Of zstd: on random mantissas as fast as level 1 and 2 % smaller."""

_OTHERS = (pa.float32(), pa.float64(), pa.bool_())
_NAME = re.compile(r"(?P<number>\d{6,})-(?P<hash>[0-9a-f]{16})\.parquet")


def name_of(number: int, content: bytes) -> str:
    """The file name of a piece: its number and the first 16 digits of its SHA-256."""
    return f"{number:06d}-{digest_of(content)[:16]}.parquet"


def number_in(name: str) -> int | None:
    """The number of the piece that a file name belongs to, or None if it is no piece's name."""
    match = _NAME.fullmatch(name)
    if match is None or f"{int(match['number']):06d}" != match["number"]:
        return None
    return int(match["number"])


def encode(table: pa.Table, about: Mapping[str, Any]) -> bytes:
    """Writes the table of one piece as Parquet.

    Floats have their bytes split into streams, which saves 7 % on random mantissas (7.1 bytes a
    number instead of 7.7) and makes reading faster; texts are dictionary-encoded; all is compressed
    by zstd. Every column carries its least and greatest value, by which readers pass over pieces,
    but for floats with a NaN among them: the bounds say nothing of it, and a filter such as
    `x != 1` would lose its row.

    Args:
      table: column "design" first: int64, ascending, without nulls; a design may have several rows.
        The others hold integers, floats, booleans or texts.
      about: provenance of the piece, plain data, kept in the metadata of the file.

    Returns:
      The bytes of the file, the same for the same table and provenance.

    Raises:
      ValueError: if a column is of another type, or "design" is missing or not ascending.
    """
    table = _with_texts(table)
    _check_designs(table)
    columns = dict(zip(table.column_names, table.columns, strict=True))
    floats = [name for name, column in columns.items() if pa.types.is_floating(column.type)]
    bounded = [name for name, column in columns.items() if name not in floats or not _nan(column)]
    texts = [name for name, column in columns.items() if column.type == pa.string()]
    lists: dict[str, Any] = {  # pyarrow takes lists of columns where its types say bool
        "use_dictionary": texts,
        "use_byte_stream_split": floats,
        "write_statistics": bounded,
    }
    buffer = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata({ABOUT: canonical(dict(about)).encode()}),
        buffer,
        row_group_size=ROWS_OF_A_GROUP,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        **lists,
    )
    return buffer.getvalue()


def about(path: Path) -> dict[str, Any]:
    """The provenance of the piece in the file `path`."""
    return json.loads(pq.read_schema(path).metadata[ABOUT])


def rows_in(content: bytes) -> int:
    """How many rows a piece has.

    Raises:
      ValueError: if `content` is no Parquet file.
    """
    try:
        return pq.read_metadata(io.BytesIO(content)).num_rows
    except (pa.ArrowException, OSError) as error:
        raise refusal(
            "content", content[:8], f"a Parquet file ({error})", "pass what `encode` returned"
        ) from error


def damage(path: Path, rows: int) -> str | None:
    """Says what is wrong with the file of a piece.

    Args:
      path: the file, whose name holds the hash of what was written.
      rows: how many rows the piece must have.

    Returns:
      The reason why the file is not the piece, or None if it is.
    """
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found[:16] != path.stem.partition("-")[2]:
        return "its content does not fit the hash in its name"
    try:
        there = pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError) as error:
        return f"it cannot be read as Parquet: {' '.join(str(error).split())}"
    return None if there == rows else f"it has {there} rows instead of {rows}"


def _with_texts(table: pa.Table) -> pa.Table:
    """The table with texts as texts, which Parquet puts in dictionaries; other columns checked.

    Of columns that Arrow itself holds as dictionaries it would not read the bounds.
    """
    fields = []
    for field in table.schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            field = field.with_type(pa.string())
        elif not (pa.types.is_integer(kind) or kind in _OTHERS):
            raise refusal(
                f'column "{field.name}"',
                str(field.type),
                "of integers, floats, booleans or texts",
                "convert it before it is stored",
            )
        fields.append(field)
    return table.cast(pa.schema(fields))


def _check_designs(table: pa.Table) -> None:
    """Checks that "design" comes first and numbers the rows in ascending order."""
    if not table.column_names or table.column_names[0] != "design":
        raise refusal("columns", table.column_names, 'led by "design"', "put it first")
    column = table["design"].combine_chunks()
    if column.type != pa.int64() or column.null_count:
        raise refusal(
            'column "design"',
            f"{column.type} with {column.null_count} nulls",
            "int64 without nulls",
            "number every row",
        )
    designs = column.to_numpy()
    if np.any(designs[1:] < designs[:-1]):
        raise refusal('column "design"', designs, "ascending", "sort the rows by it")


def _nan(column: pa.ChunkedArray) -> bool:
    """Says whether a column of floats holds a NaN."""
    return bool(np.isnan(column.drop_null().to_numpy()).any())

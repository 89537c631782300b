"""Piece files: what they hold, how large they are, and what is refused."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sweep_tables import table

from design_space.sweeps import pieces


def read(content):
    return pq.read_table(io.BytesIO(content))


def statistics_of(content, name):
    group = pq.read_metadata(io.BytesIO(content)).row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    return next(column.statistics for column in columns if column.path_in_schema == name)


def test_the_bytes_depend_on_table_and_provenance_only():
    first = pieces.encode(table(100), {"device": "cpu"})
    assert first == pieces.encode(table(100), {"device": "cpu"})
    assert first != pieces.encode(table(100), {"device": "gpu"})
    assert pieces.rows_in(first) == 100


def test_provenance_comes_back(tmp_path):
    about = {"device": "cpu", "seconds": 0.25, "versions": {"jax": "1"}}
    path = tmp_path / "piece.parquet"
    path.write_bytes(pieces.encode(table(3), about))
    assert pieces.about(path) == about


def test_texts_are_stored_once_and_come_back():
    plain = table(6)
    coded = plain.set_column(1, "schedule.kind", plain["schedule.kind"].dictionary_encode())
    assert pieces.encode(plain, {}) == pieces.encode(coded, {})
    back = read(pieces.encode(plain, {}))
    assert back["schedule.kind"].type == pa.string()
    assert back["schedule.kind"].to_pylist() == plain["schedule.kind"].to_pylist()


def test_a_row_of_twenty_columns_takes_under_110_bytes():
    """Twelve columns of random mantissas: 52 of 64 bits hold no pattern, so at least 78 bytes."""
    rows = 100_000
    wide = table(rows, measured=12)
    for place in range(3):
        wide = wide.append_column(f"axis_{place}", pa.array(np.arange(rows) % 10 * 0.1))
    assert wide.num_columns == 20
    per_row = len(pieces.encode(wide, {})) / rows
    assert 78 < per_row < 110


def test_a_column_with_nan_carries_no_bounds():
    """Arrow would pass over rows of NaN by the bounds of the other rows."""
    holed = table(4).append_column("x", pa.array([1.0, 1.0, np.nan, 1.0]))
    content = pieces.encode(holed.append_column("y", pa.array([1.0, None, 2.0, 3.0])), {})
    assert statistics_of(content, "x") is None
    assert statistics_of(content, "y").max == 3.0
    assert statistics_of(content, "design").max == 3


@pytest.mark.parametrize("number", [0, 12, 999_999, 1_000_000, 12_345_678])
def test_names_hold_number_and_hash(number):
    name = pieces.name_of(number, b"content")
    assert pieces.number_in(name) == number


@pytest.mark.parametrize(
    "name",
    [
        "12-0123456789abcdef.parquet",
        "0000012-0123456789abcdef.parquet",
        "000012-0123456789abcde.parquet",
        "000012-0123456789ABCDEF.parquet",
        "000012-0123456789abcdef.parquet.json",
        ".000012-0123456789abcdef.tmp",
    ],
)
def test_other_names_are_no_pieces(name):
    assert pieces.number_in(name) is None


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (table(3).drop_columns(["design"]), "columns = .*must be led by"),
        (table(3).select(["seed", "design"]), "columns = .*must be led by"),
        (table(3).take(pa.array([0, 2, 1])), "must be ascending"),
        (pa.table({"design": pa.array([0, None], pa.int64())}), "int64 with 1 nulls"),
        (pa.table({"design": pa.array([0, 1], pa.int32())}), "must be int64"),
        (
            table(1).append_column("when", pa.array([0], pa.timestamp("s"))),
            r'column "when" = .timestamp\[s\].: must be of integers',
        ),
        (table(1).append_column("x", pa.array([[1.0]])), 'column "x" = .list'),
    ],
)
def test_refused_tables(bad, message):
    with pytest.raises(ValueError, match=message):
        pieces.encode(bad, {})


def test_what_is_no_parquet_has_no_rows():
    with pytest.raises(ValueError, match="must be a Parquet file"):
        pieces.rows_in(b"not at all")


def test_an_empty_piece_and_one_of_one_row():
    assert pieces.rows_in(pieces.encode(table(0), {})) == 0
    assert pieces.rows_in(pieces.encode(table(1), {})) == 1

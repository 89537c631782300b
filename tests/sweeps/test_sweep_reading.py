"""A sweep read back: the same table, only what is asked for, and one digest."""

import hashlib
import itertools
import json
import struct
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_tables import manifest_of, silent, stored, table

import design_space
from design_space.sweeps.pieces import encode
from design_space.sweeps.reading import read_sweep, table_digest
from design_space.sweeps.store import Store, pieces_in

WHOLE = table(40)


def cut(whole, places):
    """The rows of a table, each in the piece whose number stands at its place."""
    places = np.asarray(places)
    return [whole.filter(pa.array(places == number)) for number in np.unique(places)]


@pytest.fixture
def sweep(tmp_path):
    return stored(tmp_path / "sweep", cut(WHOLE, np.arange(40) // 10))


def test_the_table_comes_back_in_the_order_of_the_designs(tmp_path):
    expected = WHOLE.to_pandas().astype({"schedule.kind": "category"})
    for name, places in {"runs": np.arange(40) // 7, "interleaved": np.arange(40) % 3}.items():
        frame = read_sweep(stored(tmp_path / name, cut(WHOLE, places)))
        pd.testing.assert_frame_equal(frame, expected, check_exact=True)
        assert frame.attrs == {
            "specification": {"schedule": {"kind": "edm", "steps": 20}},
            "package": "0.1.0",
        }


def test_rows_of_one_design_stay_together_and_in_their_order(tmp_path):
    design = np.repeat(np.arange(10), 3)
    whole = pa.table({"design": design, "step": np.tile([2, 0, 1], 10)})
    folders = [stored(tmp_path / str(n), cut(whole, design % n)) for n in (1, 2, 3)]
    for folder in folders:
        pd.testing.assert_frame_equal(read_sweep(folder), whole.to_pandas())
    assert len({table_digest(folder) for folder in folders}) == 1


def test_the_root_hands_it_on(sweep):
    assert design_space.read_sweep is read_sweep
    assert len(design_space.read_sweep(str(sweep))) == 40


def test_columns_come_in_the_order_asked_for(tmp_path):
    folder = stored(tmp_path, cut(WHOLE, np.arange(40) % 3))
    frame = read_sweep(folder, columns=["seed", "schedule.kind"])
    assert list(frame.columns) == ["seed", "schedule.kind"]
    assert frame["seed"].tolist() == WHOLE["seed"].to_pylist()
    assert list(read_sweep(folder, columns=["seed", "design"]).columns) == ["seed", "design"]


@pytest.mark.parametrize(
    ("where", "query"),
    [
        ([("schedule.kind", "==", "edm")], "kind == 'edm'"),
        ([("schedule.kind", "!=", "edm"), ("seed", ">", 1)], "kind == 'song' and seed > 1"),
        ([[("design", "<", 5)], [("design", ">=", 33)]], "design < 5 or design >= 33"),
        ([("schedule.rho", "in", [2.0, 4.0])], "rho in [2.0, 4.0]"),
        ((pc.field("schedule.rho") > 3.5) & (pc.field("seed") == 0), "rho > 3.5 and seed == 0"),
        ([("measured_0", "<=", 1.0)], "measured_0 <= 1.0"),
        ([("design", "<", 0)], "design < 0"),
    ],
)
def test_conditions_choose_the_rows_that_pandas_would(sweep, where, query):
    plain = WHOLE.to_pandas().rename(columns=lambda name: name.removeprefix("schedule."))
    frame = read_sweep(sweep, where=where)
    assert frame["design"].tolist() == plain.query(query)["design"].tolist()
    assert set(frame["schedule.kind"].cat.categories) == set(frame["schedule.kind"])


def test_conditions_see_rows_of_nan_that_bounds_would_hide(tmp_path):
    """Arrow takes the bounds of a column to hold for its NaN, and would drop them unread."""
    holed = table(4).append_column("x", pa.array([1.0, 1.0, np.nan, 1.0]))
    folder = stored(tmp_path, [holed])
    assert read_sweep(folder, where=[("x", "!=", 1.0)])["design"].tolist() == [2]
    assert read_sweep(folder, where=pc.is_nan(pc.field("x")))["design"].tolist() == [2]
    assert read_sweep(folder, where=~(pc.field("x") <= 1.0))["design"].tolist() == [2]


def blotted(path, columns=None):
    """Overwrites the data of a piece with zeros and keeps what it says about itself at its end."""
    content = bytearray(path.read_bytes())
    group = pq.read_metadata(path).row_group(0)
    for place in range(group.num_columns):
        column = group.column(place)
        if columns is None or column.path_in_schema in columns:
            begin = column.dictionary_page_offset or column.data_page_offset
            content[begin : begin + column.total_compressed_size] = bytes(
                column.total_compressed_size
            )
    path.write_bytes(content)


def test_pieces_outside_the_condition_are_not_read(sweep):
    """Their data are unreadable, so that reading would fail."""
    for number, path in pieces_in(sweep / "pieces"):
        if number != 2:
            blotted(path)
    inside = [("design", ">=", 20), ("design", "<", 30)]
    assert read_sweep(sweep, where=inside)["design"].tolist() == list(range(20, 30))
    with pytest.raises(ValueError, match="its pieces must be as they were written"):
        read_sweep(sweep, where=[("design", ">=", 19), ("design", "<", 30)])


def test_texts_bound_pieces_too(tmp_path):
    folder = stored(tmp_path, cut(WHOLE, np.arange(40) % 2))
    blotted(dict(pieces_in(folder / "pieces"))[0])
    assert len(read_sweep(folder, where=[("schedule.kind", "==", "edm")])) == 20


def test_columns_not_asked_for_are_not_read(sweep):
    for _, path in pieces_in(sweep / "pieces"):
        blotted(path, ["measured_0"])
    assert len(read_sweep(sweep, columns=["measured_1"])) == 40
    with pytest.raises(ValueError, match="its pieces must be as they were written"):
        read_sweep(sweep, columns=["measured_0"])


def test_missing_pieces_are_told(tmp_path):
    cuts = cut(WHOLE, np.arange(40) // 10)
    with Store(tmp_path, manifest_of([10] * 4), silent) as store:
        with pytest.raises(ValueError, match="holds 0 of 4 pieces, 0 of 40 designs; run"):
            read_sweep(tmp_path)
        store.put(2, encode(cuts[2], {}))
        store.put(1, encode(cuts[1], {}))
        with pytest.warns(UserWarning, match="holds 2 of 4 pieces, 20 of 40 .* --resume"):
            frame = read_sweep(tmp_path)
    assert frame["design"].tolist() == list(range(10, 30))
    with pytest.raises(ValueError, match="holds 2 of 4 pieces"):
        table_digest(tmp_path)


def test_verifying_finds_what_reading_may_not(sweep):
    path = dict(pieces_in(sweep / "pieces"))[3]
    path.write_bytes(path.read_bytes().replace(b'{"piece":3}', b'{"piece":4}'))
    assert len(read_sweep(sweep)) == 40
    with pytest.raises(ValueError, match=f"{path.name}: its content does not fit .* --resume"):
        read_sweep(sweep, verify=True)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="one is damaged"):
        read_sweep(sweep)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": ["rho"]}, "columns = 'rho': must be among design, schedule.kind, sched"),
        ({"where": [("rho", ">", 1)]}, "where = 'rho': must be among design, schedule.kind, sched"),
        ({"where": pc.field("rho") > 1}, r"where = .*FieldRef.Name\(rho\)"),
        ({"where": [("seed", "about", 1)]}, "where = .*must be a list of"),
        ({"where": [("seed", ">", "x")]}, "where = .*must be a list of"),
        ({"where": ("seed", ">", 1)}, "where = "),
        ({"where": [("seed", ">")]}, "where = .*must be a list of"),
        ({"where": [3]}, "where = .*must be a list of"),
        ({"where": "seed > 1"}, "where = "),
        ({"where": []}, "where = "),
    ],
)
def test_refused_requests(sweep, arguments, message):
    with pytest.raises(ValueError, match=message):
        read_sweep(sweep, **arguments)


def test_a_folder_that_is_no_sweep_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ValueError, match=r"must be the directory of a sweep, with a sweep\.js"):
            read_sweep(folder)
        with pytest.raises(ValueError, match="must be the directory of a sweep"):
            table_digest(folder)


NUMBER = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
WHOLE_NUMBER = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
TEXT = st.one_of(st.none(), st.text(max_size=4))
TRUTH = st.one_of(st.none(), st.booleans())
ROW = st.tuples(WHOLE_NUMBER, NUMBER, TEXT, TRUTH, st.integers(0, 2))


def table_of(rows):
    return pa.table(
        {
            "design": pa.array(range(len(rows)), pa.int64()),
            "i": pa.array([row[0] for row in rows], pa.int64()),
            "x": pa.array([row[1] for row in rows], pa.float64()),
            "t": pa.array([row[2] for row in rows], pa.string()),
            "b": pa.array([row[3] for row in rows], pa.bool_()),
        }
    )


def bits(value):
    """A float by its bits, so that NaN equals itself and 0.0 differs from -0.0."""
    return np.float64(value).tobytes()


@given(st.lists(ROW, min_size=1, max_size=12))
def test_any_table_makes_the_round_trip(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    frame = read_sweep(stored(folder, cut(table_of(rows), [row[-1] for row in rows])))
    assert frame["design"].tolist() == list(range(len(rows)))
    for place, name in ((0, "i"), (2, "t"), (3, "b")):
        back = [None if pd.isna(value) else value for value in frame[name].tolist()]
        assert back == [row[place] for row in rows]
    numbers = [np.nan if row[1] is None else row[1] for row in rows]
    assert [bits(value) for value in frame["x"]] == [bits(value) for value in numbers]
    texts = {row[2] for row in rows} - {None}
    assert list(frame["t"].cat.categories) == sorted(texts)


DIGESTS = itertools.count()


def digest_of(folder, whole, places, about=None):
    return table_digest(stored(folder / str(next(DIGESTS)), cut(whole, places), about))


def test_the_digest_is_that_of_the_table_however_it_is_cut(tmp_path):
    whole = table(30).append_column("x", pa.array([np.nan, None, -0.0] * 10))
    ways = [np.zeros(30), np.arange(30) // 7, np.arange(30) % 4, np.arange(30) * 7 % 5]
    digests = {digest_of(tmp_path, whole, places) for places in ways}
    digests.add(digest_of(tmp_path, whole, ways[0], {"device": "another", "seconds": 3}))
    assert len(digests) == 1


def test_the_digest_does_not_see_which_nan_it_was(tmp_path):
    odd = np.array([0x7FF8000000000001], np.int64).view(np.float64)[0]
    one, other = (table(1).append_column("x", pa.array([nan])) for nan in (np.nan, odd))
    assert digest_of(tmp_path, one, [0]) == digest_of(tmp_path, other, [0])


def changed(name, place, value):
    column = table(30)[name].to_pylist()
    column[place] = value
    whole = table(30)
    return whole.set_column(whole.column_names.index(name), name, pa.array(column))


def test_the_digest_sees_every_change(tmp_path):
    whole = table(30)
    number = whole["measured_1"][17].as_py()
    others = [
        whole,
        changed("measured_1", 17, np.nextafter(number, np.inf)),
        changed("measured_1", 17, None),
        changed("measured_1", 17, np.nan),
        changed("measured_1", 17, 0.0),
        changed("zero", 3, -0.0),
        changed("seed", 3, 7),
        changed("schedule.kind", 3, "other"),
        changed("schedule.kind", 3, None),
        whole.slice(0, 29),
        whole.rename_columns([*whole.column_names[:-1], "renamed"]),
        whole.drop_columns(["zero"]),
    ]
    digests = [digest_of(tmp_path, each, np.zeros(each.num_rows)) for each in others]
    assert len(set(digests)) == len(others)


def test_the_digest_is_that_of_bytes_written_by_hand(tmp_path):
    """A change of the form would make old and new sweeps look different."""
    whole = pa.table({"design": [0, 1, 2], "x": [0.5, None, np.nan], "t": ["b", "a", None]})
    by_hand = b""
    for header, there, form, values in (
        (b'{"name": "design", "type": "int64"}', 0b11100000, "<3q", (0, 1, 2)),
        (b'{"name": "t", "texts": ["a", "b"]}', 0b11000000, "<3i", (1, 0, 0)),
        (b'{"name": "x", "type": "double"}', 0b10100000, "<3d", (0.5, 0.0, np.nan)),
    ):
        by_hand += struct.pack("<q", len(header)) + header + struct.pack("<qB", 3, there)
        by_hand += struct.pack(form, *values)
    assert digest_of(tmp_path, whole, [0, 1, 0]) == hashlib.sha256(by_hand).hexdigest()


def test_a_column_that_a_piece_lacks_is_missing_there(tmp_path):
    with_x = table(2, start=2).append_column("x", pa.array([1.0, 2.0]))
    frame = read_sweep(stored(tmp_path, [table(2), with_x]))
    assert frame["x"].isna().tolist() == [True, True, False, False]


def test_reading_says_nothing_when_all_is_there(sweep):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = read_sweep(sweep, verify=True)
    assert json.dumps(frame.attrs)

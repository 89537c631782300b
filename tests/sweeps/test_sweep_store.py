"""The directory of a sweep: whose it is, who may write it, and which pieces count."""

import json
import signal
import subprocess
import sys

import pytest
from sweep_tables import manifest_of, silent, stored, table

from design_space.sweeps.pieces import encode, name_of
from design_space.sweeps.store import Store, pieces_in

CUTS = [table(4, start=0), table(4, start=4), table(3, start=8)]
MANIFEST = manifest_of([4, 4, 3])


@pytest.fixture
def sweep(tmp_path):
    return stored(tmp_path / "sweep", CUTS)


def resumed(folder, tell=silent, manifest=MANIFEST):
    return Store(folder, manifest, tell, resume=True)


def test_what_was_put_is_there_and_the_rest_is_missing(tmp_path):
    folder = tmp_path / "a" / "sweep"
    with Store(folder, MANIFEST, silent) as store:
        assert store.missing() == [0, 1, 2]
        path = store.put(1, encode(CUTS[1], {}))
        assert path.read_bytes() == encode(CUTS[1], {})
        assert store.missing() == [0, 2]
        assert store.done() == {1: path}
    with resumed(folder) as store:
        assert store.done() == {1: path}
        assert store.missing() == [0, 2]
    assert sorted(p.name for p in folder.iterdir()) == [".lock", "pieces", "sweep.json"]


def test_the_manifest_is_plain_json_with_its_checksum(sweep):
    record = json.loads((sweep / "sweep.json").read_text(encoding="utf-8"))
    assert len(record.pop("sha256")) == 64
    assert record == MANIFEST


def test_a_piece_that_is_there_is_not_written_again(sweep):
    with resumed(sweep) as store:
        before = store.done()
        assert store.put(0, encode(CUTS[0], {"seconds": 7})) == before[0]
        assert store.done() == before


def test_pieces_that_the_manifest_does_not_have_are_refused(sweep):
    with resumed(sweep) as store:
        with pytest.raises(ValueError, match="piece = 3: must be 0 to 2"):
            store.put(3, encode(CUTS[0], {}))
        with pytest.raises(ValueError, match="piece = -1: must be 0 to 2"):
            store.put(-1, encode(CUTS[0], {}))
    with Store(sweep.parent / "other", MANIFEST, silent) as store:
        with pytest.raises(ValueError, match="rows of piece 2 = 4: must be 3"):
            store.put(2, encode(CUTS[0], {}))
        assert store.missing() == [0, 1, 2]


def flipped(content):
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "harm",
    [flipped, lambda content: content[:-1], lambda content: b"", lambda content: content + b"\0"],
    ids=["a bit", "truncated", "empty", "longer"],
)
def test_a_damaged_piece_is_set_aside_and_missing_again(sweep, harm):
    path = dict(pieces_in(sweep / "pieces"))[1]
    path.write_bytes(harm(path.read_bytes()))
    harmed = path.read_bytes()
    told = []
    with resumed(sweep, told.append) as store:
        assert store.missing() == [1]
        assert sorted(store.done()) == [0, 2]
        (message,) = told
        assert f"{path} is damaged: its content does not fit the hash" in message
        assert (sweep / "damaged" / path.name).read_bytes() == harmed
        store.put(1, encode(CUTS[1], {"piece": 1}))
        assert store.missing() == []
    assert path.exists()


def test_what_is_damaged_again_and_again_is_kept(sweep):
    path = dict(pieces_in(sweep / "pieces"))[0]
    for harmed in (b"first", b"second", b"third"):
        path.write_bytes(harmed)
        told = []
        with resumed(sweep, told.append) as store:
            assert store.missing() == [0]
            store.put(0, encode(CUTS[0], {"piece": 0}))
    kept = sorted((sweep / "damaged").iterdir())
    assert [each.read_bytes() for each in kept] == [b"first", b"second", b"third"]


@pytest.mark.parametrize(
    ("number", "content", "why"),
    [
        (2, encode(CUTS[0], {}), "it has 4 rows instead of 3"),
        (3, encode(CUTS[0], {}), "is none of the 3 pieces of this sweep"),
        (2, b"whole, but no table", "it cannot be read as Parquet"),
    ],
)
def test_a_whole_file_that_is_not_the_piece_is_set_aside(sweep, number, content, why):
    for old, path in pieces_in(sweep / "pieces"):
        if old == number:
            path.unlink()
    (sweep / "pieces" / name_of(number, content)).write_bytes(content)
    told = []
    with resumed(sweep, told.append) as store:
        assert store.missing() == [2] * (number == 2)
    assert len(told) == 1
    assert why in told[0]


def test_of_two_files_of_one_piece_the_first_by_name_is_kept(sweep):
    with Store(sweep.parent / "other", MANIFEST, silent) as store:
        twin = store.put(1, encode(CUTS[1], {"seconds": 2}))
    (sweep / "pieces" / twin.name).write_bytes(twin.read_bytes())
    both = [path.name for number, path in pieces_in(sweep / "pieces") if number == 1]
    told = []
    with resumed(sweep, told.append) as store:
        assert store.done()[1].name == min(both)
    assert "is piece 1 once more" in told[0]
    assert [path.name for path in (sweep / "damaged").iterdir()] == [max(both)]


def test_other_files_are_named_and_left(sweep):
    (sweep / "pieces" / "notes.txt").write_text("mine")
    told = []
    with resumed(sweep, told.append) as store:
        assert store.missing() == []
    assert len(told) == 1
    assert "notes.txt is no piece of a sweep" in told[0]
    assert (sweep / "pieces" / "notes.txt").read_text() == "mine"


def test_leftovers_of_a_killed_process_are_removed(sweep):
    for place in (sweep / ".abc.tmp", sweep / "pieces" / ".xyz.tmp"):
        place.write_bytes(b"half")
    with resumed(sweep) as store:
        assert store.missing() == []
    assert not list(sweep.rglob(".*.tmp"))


def test_a_directory_left_before_its_manifest_is_taken_up(tmp_path):
    for name in (".lock", ".holder", ".abc.tmp", ".writable"):
        (tmp_path / name).write_text("")
    with Store(tmp_path, MANIFEST, silent) as store:
        assert store.missing() == [0, 1, 2]


def test_going_on_must_be_meant(sweep):
    with pytest.raises(ValueError, match="holds 3 of the 3 pieces of this sweep; go on with --res"):
        Store(sweep, MANIFEST, silent).__enter__()
    with Store(sweep.parent / "new", MANIFEST, silent):
        pass
    with Store(sweep.parent / "new", MANIFEST, silent) as store:  # nothing is there to lose
        assert store.missing() == [0, 1, 2]


def changed(**entries):
    return {**MANIFEST, **entries}


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (
            changed(specification={"schedule": {"kind": "edm", "steps": 50}}, package="2", rows=12),
            "specification.schedule.steps = 20 there, 50 here",
        ),
        (changed(package="0.2.0", rows=12, batch=8), 'package = "0.1.0" there, "0.2.0" here'),
        (changed(batch=8, pieces=[]), "batch = absent there, 8 here"),
        (changed(pieces=[{"rows": 4}, {"rows": 5}]), r"pieces\[1\].rows = 4 there, 5 here"),
        (changed(pieces=MANIFEST["pieces"][:2]), r'pieces\[2\] = {"rows":3} there, absent here'),
        (
            manifest_of([4, 4, 3], sweep={"schedule.rho": [1.0]}),
            'specification.sweep = absent there, {"schedule.rho":',
        ),
        (changed(rows=11.0), "rows = 11 there, 11.0 here"),
    ],
)
def test_another_sweep_is_refused_by_its_first_difference(sweep, other, difference):
    with pytest.raises(ValueError, match=f"{sweep} holds another sweep: {difference}"):
        resumed(sweep, manifest=other).__enter__()
    with resumed(sweep) as store:  # the lock is free again, nothing was touched
        assert store.missing() == []


def test_a_key_with_dots_is_quoted(tmp_path):
    axes = [manifest_of([1], sweep={"schedule.rho": [1.0, value]}) for value in (2.0, 3.0)]
    with Store(tmp_path, axes[0], silent):
        pass
    with pytest.raises(ValueError, match=r'specification.sweep."schedule.rho"\[1\] = 2.0 there'):
        Store(tmp_path, axes[1], silent).__enter__()


@pytest.mark.parametrize("harm", [b"{", b"[]", b"{}", b"\xff", b""])
def test_a_damaged_manifest_is_refused(sweep, harm):
    (sweep / "sweep.json").write_bytes(harm)
    with pytest.raises(ValueError, match=r"sweep\.json: must be the manifest as it was written"):
        resumed(sweep).__enter__()


def test_a_changed_number_in_the_manifest_is_damage_and_no_other_sweep(sweep):
    path = sweep / "sweep.json"
    path.write_text(path.read_text().replace('"steps": 20', '"steps": 21'))
    with pytest.raises(ValueError, match="does not fit its checksum"):
        resumed(sweep).__enter__()


def test_a_directory_of_something_else_is_refused_and_left_as_it_was(tmp_path, sweep):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="empty or the directory of a sweep, but it holds notes"):
        Store(tmp_path, MANIFEST, silent).__enter__()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt", "sweep"]
    (sweep / "sweep.json").unlink()
    with pytest.raises(ValueError, match=r"it holds pieces and no sweep\.json"):
        resumed(sweep).__enter__()
    with pytest.raises(ValueError, match="must be a folder; choose another name"):
        Store(tmp_path / "notes.txt", MANIFEST, silent).__enter__()


HOLD = """
import json, sys
from pathlib import Path
from design_space.sweeps.store import Store
with Store(Path(sys.argv[1]), json.loads(sys.argv[2]), print, resume=True):
    print("held", flush=True)
    sys.stdin.read()  # until the test ends, however it does
"""


def test_one_process_at_a_time_writes_and_a_kill_frees_the_lock(sweep):
    command = [sys.executable, "-c", HOLD, str(sweep), json.dumps(MANIFEST)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        with pytest.raises(ValueError, match=f"{sweep}.*but process {holder.pid} on .+ is; wait"):
            resumed(sweep).__enter__()
        holder.send_signal(signal.SIGKILL)
    with resumed(sweep) as store:
        assert store.missing() == []


def test_two_stores_of_one_process_exclude_each_other(sweep):
    with resumed(sweep), pytest.raises(ValueError, match="no other sweep is writing"):
        resumed(sweep).__enter__()
    (sweep / ".holder").write_text("{")  # a message must not depend on it
    with resumed(sweep):
        (sweep / ".holder").write_text("{")
        with pytest.raises(ValueError, match="but another process is"):
            resumed(sweep).__enter__()

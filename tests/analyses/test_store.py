"""The store: what is finished is kept, what is damaged is redone, what is killed resumes."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tiny_experiment import tiny

from analyses.store import from_parquet, piece_key, run, to_parquet
from design_space.files import check_writable, read_described, sidecar, write_described

SCRIPT = Path(__file__).parent / "tiny_experiment.py"


def _pieces(out):
    return sorted((out / "tiny" / "pieces").glob("*.parquet"))


def test_a_second_run_computes_nothing(tmp_path):
    calls = []
    first = run(tiny(calls), "quick", tmp_path)
    second = run(tiny(calls), "quick", tmp_path)
    assert calls == [0, 1, 2, 3]
    assert (first.computed, second.computed) == (4, 0)
    assert first.sha256 == second.sha256
    pd.testing.assert_frame_equal(first.table, second.table)
    assert second.finding == "The thirds sum to 2.000."  # (0 + 1 + 2 + 3)/3


def test_the_other_preset_computes_only_its_new_piece(tmp_path):
    calls = []
    run(tiny(calls), "quick", tmp_path)
    full = run(tiny(calls), "full", tmp_path)
    assert calls == [0, 1, 2, 3, 4]
    assert list(full.table["number"]) == [0, 1, 2, 3, 4]


def test_table_bytes_do_not_depend_on_when_they_were_computed(tmp_path):
    one, two = run(tiny(), "quick", tmp_path / "a"), run(tiny(), "quick", tmp_path / "b")
    assert one.path.read_bytes() == two.path.read_bytes()


def test_provenance_lies_beside_the_table(tmp_path):
    result = run(tiny(), "quick", tmp_path)
    record = json.loads(sidecar(result.path).read_text())
    assert record["preset"] == "quick"
    piece = record["pieces"][2]
    assert piece["settings"] == {"number": 2}
    assert {"versions", "device", "dtype", "seed", "time", "seconds", "source"} <= set(piece)
    assert piece["dtype"] == "float64"
    assert set(result.table.columns) == {"number", "third", "word"}


@pytest.mark.parametrize("damage", ["truncate", "flip", "sidecar"])
def test_a_damaged_piece_is_set_aside_and_computed_again(tmp_path, damage):
    good = run(tiny(), "quick", tmp_path)
    whole = good.path.read_bytes()
    victim = _pieces(tmp_path)[1]
    content = victim.read_bytes()
    if damage == "truncate":
        victim.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        victim.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    else:
        sidecar(victim).write_text('{"sha256": ')
    told, calls = [], []
    again = run(tiny(calls), "quick", tmp_path, tell=told.append)
    assert len(calls) == 1
    assert len(told) == 1
    assert "damaged" in told[0]
    assert victim.name in told[0]
    assert victim.with_name(victim.name + ".damaged").exists()
    assert again.path.read_bytes() == whole


def test_a_damaged_table_is_rebuilt_from_its_pieces(tmp_path):
    good = run(tiny(), "quick", tmp_path)
    whole = good.path.read_bytes()
    good.path.write_bytes(whole[:-10])
    told, calls = [], []
    again = run(tiny(calls), "quick", tmp_path, tell=told.append)
    assert calls == []
    assert len(told) == 1
    assert again.path.read_bytes() == whole
    assert (tmp_path / "tiny" / "table.parquet.damaged").exists()


def test_a_checksummed_file_that_is_no_parquet_is_damage_too(tmp_path):
    run(tiny(), "quick", tmp_path)
    write_described(_pieces(tmp_path)[0], b"not a table", {})
    told = []
    assert run(tiny(), "quick", tmp_path, tell=told.append).computed == 1
    assert len(told) == 1


def test_an_unfinished_file_counts_as_absent_without_a_word(tmp_path):
    run(tiny(), "quick", tmp_path)
    sidecar(_pieces(tmp_path)[0]).unlink()  # as if killed between the two writes
    told = []
    assert run(tiny(), "quick", tmp_path, tell=told.append).computed == 1
    assert told == []


def test_a_killed_run_loses_at_most_the_piece_in_flight(tmp_path):
    """SIGKILL for real, in the middle of the third piece of four."""
    command = [sys.executable, str(SCRIPT), str(tmp_path), "0.4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.strip() == "2":
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert len(_pieces(tmp_path)) == 2
    kept = {path: path.read_bytes() for path in _pieces(tmp_path)}
    assert not (tmp_path / "tiny" / "table.parquet").exists()
    calls = []
    resumed = run(tiny(calls), "quick", tmp_path)
    assert calls == [2, 3]
    assert all(path.read_bytes() == content for path, content in kept.items())
    unbroken = run(tiny(), "quick", tmp_path / "unbroken")
    assert resumed.path.read_bytes() == unbroken.path.read_bytes()


def test_keys_tell_settings_and_sources_apart():
    base = piece_key({"a": 1, "b": [1.5]}, "s")
    assert base == piece_key({"b": [1.5], "a": 1}, "s")
    assert len({base, piece_key({"a": 2, "b": [1.5]}, "s"), piece_key({"a": 1}, "t")}) == 3


def test_settings_that_json_cannot_hold_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        piece_key({"a": float("nan")}, "s")


def test_parquet_round_trip_keeps_types():
    table = pd.DataFrame({"n": [1, 2], "x": [0.1, float("nan")], "w": ["a", "b"]})
    back = from_parquet(to_parquet(table))
    assert back["n"].dtype == table["n"].dtype
    assert back["x"].dtype == table["x"].dtype
    assert back.to_dict("list")["w"] == ["a", "b"]


def test_a_folder_that_cannot_be_written_is_named_with_its_remedy(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"out = .*file.*choose another folder"):
        check_writable("out", tmp_path / "file" / "results")


def test_missing_files_are_absent(tmp_path):
    assert read_described(tmp_path / "none", lambda message: None) is None

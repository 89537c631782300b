"""The benchmark: its clock, its rows, its record, and how two records compare."""

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from design_space.cli import app
from design_space.commands.bench import (
    command,
    gaussian,
    rates,
    record,
)
from design_space.commands.bench.registry import FAMILIES, NAMES, chosen
from design_space.commands.bench.timing import (
    Family,
    Line,
    Row,
    Target,
    Times,
    Work,
    in_turn,
    measure,
)

PROCESSES = ("reproduce", "help")
TASKS = (
    "gaussian-sweep",
    "mixture-density",
    "particles",
    "descent-step",
    "ensemble-step",
    "trained-designs",
    "reproduce",
    "help",
    "table-store",
    "table-read",
)
FIELDS = {"name", "task", "seconds", "floor", "floor_seconds", "ratio", "target", "repeats"}


def invoke(*words):
    return CliRunner().invoke(app, ["bench", *[str(word) for word in words]])


def tiny(names, monkeypatch):
    """Leaves some families in the command, at their tiny size, and tiny rates."""
    for name, family in list(FAMILIES.items()):
        if name in names:
            small = family._replace(sizes=lambda platform, size=family.tiny: size, rounds=1)
            monkeypatch.setitem(FAMILIES, name, small)
    monkeypatch.setattr(rates, "sizes", lambda platform: rates.Sizes(8, 1 << 10))


class TestTiming:
    def test_works_take_turns(self):
        calls = []
        works = {k: Work(k, lambda k=k: calls.append(k)) for k in ("a", "b")}
        in_turn(works, 2)
        assert calls == ["a", "b"] * 3

    def test_a_share_is_extrapolated_and_the_first_call_is_not(self, monkeypatch):
        clock = map(float, range(100))  # each run takes one second
        monkeypatch.setattr("time.perf_counter", lambda: next(clock))
        found = in_turn({"part": Work("", lambda: None, share=0.25)}, 3)["part"]
        assert found == ((4.0, 4.0, 4.0), 1.0)

    def test_a_ratio_is_of_times_in_one_round(self):
        """Load in one round falls on both works, and leaves the ratio as it is."""
        ours, floor = Times((2.0, 20.0, 2.0, 9.0), None), Times((1.0, 10.0, 1.0, 1.0), None)
        assert (ours.ratio(floor), ours.seconds, floor.seconds) == (2.0, 5.5, 1.0)

    def test_what_comes_before_is_not_timed(self, monkeypatch):
        clock = [0.0]
        monkeypatch.setattr("time.perf_counter", lambda: clock[0])

        def wait():
            clock[0] += 7.0

        found = in_turn({"a": Work("", lambda: None, before=wait)}, 1)["a"]
        assert found.seconds == 0.0

    def test_only_what_wanted_rows_need_is_run(self, tmp_path):
        ran = set()
        works = {k: Work(k, lambda k=k: ran.add(k)) for k in "abc"}
        lines = (Line("ab", "a", "b"), Line("ac", "a", "c"), Line("ad", "a", "d"))
        family = Family(lambda size, folder: works, lambda platform: 0, 0, lines)
        assert [row.name for row in measure(family, tmp_path, 0, {"ac"})] == ["ac"]
        assert ran == {"a", "c"}
        # "d" cannot be done here, and its row is left out
        assert [row.name for row in measure(family, tmp_path, 0)] == ["ab", "ac"]


class TestRegistry:
    def test_every_task_is_there_once(self):
        assert set(TASKS) <= set(NAMES)
        assert len(set(NAMES)) == len(NAMES)

    def test_targets_are_of_fields_of_a_row(self):
        for family in FAMILIES.values():
            for each in family.lines:
                assert each.target is None or each.target.of in Row._fields

    def test_names_and_patterns(self):
        assert chosen([]) == set(NAMES)
        assert chosen(["help"]) == {"help"}
        assert {"gaussian-sweep", "gaussian-loop", "help"} <= chosen(["gaussian-*", "help"])
        with pytest.raises(ValueError, match=r"only = 'nothing': must be .*gaussian-sweep"):
            chosen(["help", "nothing"])

    def test_a_gpu_is_given_more(self):
        for name, family in FAMILIES.items():
            on_cpu, on_gpu = family.sizes("cpu"), family.sizes("gpu")
            assert on_gpu is not None, name
        assert FAMILIES["step-large"].sizes("cpu") is None
        assert gaussian.sizes("gpu").designs > gaussian.sizes("cpu").designs
        assert on_cpu == on_gpu  # of a process, the last family

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=pytest.mark.slow if name == "trained-designs" else ())
            for name in FAMILIES
            if name not in PROCESSES
        ],
    )
    def test_each_family_runs_at_its_tiny_size(self, name, tmp_path):
        family = FAMILIES[name]._replace(rounds=1)
        rows = measure(family, tmp_path, family.tiny)
        assert rows
        assert {row.name for row in rows} <= {each.name for each in family.lines}
        for row in rows:
            assert row.seconds > 0
            np.testing.assert_allclose(row.ratio, row.seconds / row.floor_seconds)  # one round
            assert row.first_seconds is not None

    def test_the_help_runs(self, tmp_path):
        family = FAMILIES["help"]._replace(rounds=1, warm=False)
        (row,) = measure(family, tmp_path, family.tiny)
        assert row.first_seconds is None
        assert row.ratio > 0

    @pytest.mark.slow
    def test_an_analysis_is_reproduced(self, tmp_path):
        family = FAMILIES["reproduce"]
        new, again = measure(family, tmp_path, family.tiny)
        assert new.ratio > 1  # computing takes longer than finding everything there
        assert again.task.endswith("everything up to date")
        assert (tmp_path / "results-0" / "bell_weighting").is_dir()
        assert len(list(tmp_path.iterdir())) == family.rounds


def a_row(name, ratio, task="task", floor="floor"):
    target = Target("ratio", 2.0)
    rate = (None, None, None)
    return Row(name, task, ratio, None, floor, 1.0, ratio, target, 5, *rate, "cpu: cpu")


def a_record(*rows):
    return json.loads(json.dumps(record.encoded(rows, [], {})))


class TestComparison:
    def test_drift_is_found_and_small_change_is_not(self):
        then = a_record(a_row("a", 1.0), a_row("b", 1.0), a_row("c", 1.0))
        now = a_record(a_row("a", 1.29), a_row("b", 1.31), a_row("c", 0.7))
        found = record.compared(then, now)
        assert [change.verdict for change in found.changes] == ["same", "worse", "better"]
        assert found.worse
        assert not record.compared(then, now, factor=1.5).worse
        assert not record.compared(then, then).worse

    def test_seconds_do_not_count(self):
        slow = a_row("a", 1.0)._replace(seconds=10.0, floor_seconds=10.0)
        found = record.compared(a_record(a_row("a", 1.0)), a_record(slow))
        assert found.changes[0].verdict == "same"

    def test_missing_rows_are_named(self):
        then, now = a_record(a_row("a", 1.0), a_row("b", 1.0)), a_record(a_row("c", 1.0))
        found = record.compared(then, now)
        assert (found.only_then, found.only_now) == (("a", "b"), ("c",))
        assert not found.worse
        assert record.compared(then, now, wanted={"b", "c"}).only_then == ("b",)

    def test_another_size_is_another_task(self):
        then, now = a_record(a_row("a", 1.0)), a_record(a_row("a", 9.0, task="larger"))
        found = record.compared(then, now)
        assert found.changes[0].verdict == "another task"
        assert not found.worse

    @pytest.mark.parametrize("factor", [1.0, 0.5, -1.0, math.inf, math.nan])
    def test_a_factor_must_be_above_one(self, factor):
        with pytest.raises(ValueError, match=r"factor = .*above 1; give"):
            record.compared(a_record(), a_record(), factor)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "a JSON file"),
            ("[]", '"format" and "rows"'),
            ('{"rows": []}', '"format" and "rows"'),
            ('{"format": 2, "rows": []}', "format 1, not 2"),
            ('{"format": 1, "rows": {}}', "is a list"),
            ('{"format": 1, "rows": [3]}', r"rows\[0\] has the form of a row"),
            ('{"format": 1, "rows": [{"name": "a"}]}', 'a text "task"'),
        ],
    )
    def test_what_is_no_record_is_refused(self, text, says, tmp_path):
        path = tmp_path / "a.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"compare = .*a\.json.*{says}"):
            record.read(path)

    @pytest.mark.parametrize("ratio", [0, -1.0, True, "1", None])
    def test_a_ratio_must_be_a_number_above_0(self, ratio, tmp_path):
        content = a_record(a_row("a", 1.0))
        content["rows"][0]["ratio"] = ratio
        path = tmp_path / "a.json"
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match='number "ratio"'):
            record.read(path)

    def test_a_bytes_file_and_an_absent_one(self, tmp_path):
        (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match="a JSON file"):
            record.read(tmp_path / "a.json")
        assert invoke("--compare", tmp_path / "none.json").exit_code == 2


class TestCommand:
    def test_json_is_one_object_that_can_be_compared(self, tmp_path, monkeypatch):
        tiny(["ensemble", "table"], monkeypatch)
        result = invoke("--json", "--only", "ensemble-*", "--only", "table-read")
        assert result.exit_code == 0, result.output + repr(result.exception)
        found = json.loads(result.stdout)
        assert found["format"] == 1
        assert set(found) == {"format", "machine", "rates", "rows"}
        names = [row["name"] for row in found["rows"]]
        assert names == ["ensemble-step", "ensemble-apart", "table-read"]
        for row in found["rows"]:
            assert set(row) >= FIELDS
            assert set(row) == set(Row._fields)
        assert [rate["unit"] for rate in found["rates"]] == ["GFLOP/s", "GFLOP/s", "GB/s"]
        assert all(rate["value"] > 0 for rate in found["rates"])
        path = tmp_path / "a.json"
        path.write_text(result.stdout)
        assert record.read(path) == found

    def test_drift_for_the_worse_is_exit_status_1(self, tmp_path, monkeypatch):
        tiny(["ensemble"], monkeypatch)
        now = a_row("ensemble-step", 2.0)
        monkeypatch.setattr(command, "measured", lambda wanted: [now])
        path = tmp_path / "a.json"
        for then, status in ((1.0, 1), (2.0, 0), (3.0, 0)):
            path.write_text(json.dumps(a_record(a_row("ensemble-step", then), a_row("help", 1.0))))
            result = invoke("--compare", path)
            assert result.exit_code == status, result.output
            assert "only then: help" in result.stdout
            printed = json.loads(invoke("--compare", path, "--json").stdout)
            assert printed["comparison"]["rows"][0]["then"] == then

    def test_bad_input_is_refused_before_anything_is_timed(self, tmp_path, monkeypatch):
        monkeypatch.setattr(rates, "rates", pytest.fail)
        path = tmp_path / "a.json"
        path.write_text("{}")
        for words in (("--only", "none"), ("--compare", path), ("--factor", "0.9")):
            result = invoke(*words)
            assert result.exit_code == 2, words
            assert result.stdout == ""
            assert len(result.stderr.splitlines()) == 1

    def test_a_row_for_which_something_is_missing(self, monkeypatch):
        tiny([], monkeypatch)
        result = invoke("--only", "descent-step-large")
        assert result.exit_code == 2
        assert "a row that this machine can measure" in result.stderr

"""`design-space sweep`: what it prints, writes and refuses."""

import contextlib
import errno
import json
import os
import signal

import pytest
from sweep_commands import finished, report, specification, started
from sweep_designs import GAUSSIAN, MIXTURE
from typer.testing import CliRunner

from design_space.cli import app
from design_space.commands import sweep as command
from design_space.sweeps.reading import read_sweep

AXES = '[sweep]\n"schedule.rho" = {from = 1.0, to = 9.0, count = 20}\n'


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(GAUSSIAN + AXES)
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def check_refusal(result, *fragments):
    """Exit status 2, and one readable line on stderr."""
    assert result.exit_code == 2, result.output + repr(result.exception)
    line = result.stderr.splitlines()[-1]
    assert line.startswith("design-space: ")
    for fragment in fragments:
        assert fragment in line


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(spec, out):
    result = invoke("sweep", spec, "--out", out, "--dry-run", "--piece", 7)
    assert result.exit_code == 0, result.output
    first, second, third = result.stdout.splitlines()
    assert first == "20 designs of 20 combinations; 1 program, 3 pieces"
    assert second.startswith("about ")
    assert "compilation" in second
    assert "MB" in second
    assert third.startswith("table of at most ")
    assert "GB are free" in third
    assert sorted(path.name for path in spec.parent.iterdir()) == ["sweep.toml"]


def test_designs_evaluated_one_at_a_time_are_counted(spec, out):
    spec.write_text(MIXTURE + '[sweep]\n"schedule.rho" = [3, 7]\n')
    result = invoke("sweep", spec, "--out", out, "--dry-run")
    assert "2 of them are evaluated one at a time" in result.stdout


def test_json_is_one_object_and_nothing_else(spec, out):
    result = invoke("sweep", spec, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["designs"] == found["rows"] == found["combinations"] == 20
    assert found["computed"] == found["pieces"] == 1
    assert found["incomplete"] == 0
    assert found["first"] is None
    assert len(found["sha256"]) == 64
    assert found["estimate"]["seconds"] > 0
    assert len(read_sweep(out)) == 20
    dry = json.loads(invoke("sweep", spec, "--out", out, "--json", "--dry-run").stdout)
    assert "sha256" not in dry
    assert dry["estimate"]["disk_bytes"] > 0


def test_a_finished_sweep_is_not_computed_again(spec, out):
    first = json.loads(invoke("sweep", spec, "--out", out, "--json").stdout)
    check_refusal(invoke("sweep", spec, "--out", out), "holds 1 of the 1 pieces", "--resume")
    again = json.loads(invoke("sweep", spec, "--out", out, "--json", "--resume").stdout)
    assert again["computed"] == 0
    assert again["sha256"] == first["sha256"]
    assert "estimate" not in again


def test_the_digest_does_not_depend_on_the_pieces(spec, tmp_path):
    digests = {
        json.loads(
            invoke("sweep", spec, "--out", tmp_path / name, "--json", "--piece", piece).stdout
        )["sha256"]
        for name, piece in (("a", 6), ("b", 4096))
    }
    assert len(digests) == 1


def test_the_summary_counts_rows_without_a_number_and_gives_the_first_reason(spec, out):
    axes = '"schedule.sigma_min" = [0.1, 60]\n"schedule.sigma_max" = [50, 80]\n'
    spec.write_text(f"{GAUSSIAN}[sweep]\n{axes}")
    result = invoke("sweep", spec, "--out", out)
    assert result.exit_code == 0, result.output
    assert "1 of 1 piece computed" in result.stdout
    expected = "1 row without a number; the reason of design 2: schedule.sigma_min = 60.0: must be"
    assert expected in result.stdout
    assert "4 rows, sha256" in result.stdout


def test_fields_are_replaced(spec, out):
    words = ("--set", "schedule.steps=3", "--set", "sweep.schedule.kind=['song', 'edm']")
    found = json.loads(invoke("sweep", spec, "--out", out, "--json", "--dry-run", *words).stdout)
    assert found["designs"] == 40


def test_another_sweep_in_the_folder_is_refused_by_its_first_difference(spec, out):
    assert invoke("sweep", spec, "--out", out).exit_code == 0
    result = invoke("sweep", spec, "--out", out, "--resume", "--set", "schedule.steps=5")
    check_refusal(result, "holds another sweep", "specification.schedule.steps = 4 there, 5 here")


@pytest.mark.parametrize(
    ("text", "words", "fragments"),
    [
        (None, (), ["sweep.toml", "No such file"]),
        ("[target\n", (), ["sweep.toml", "must be TOML", "line 1"]),
        (GAUSSIAN, (), ["sweep is missing", "a table of axes"]),
        (GAUSSIAN + "[sweep]\n", (), ["sweep = {}", "a table with an axis"]),
        (GAUSSIAN + AXES, ("--piece", 0), ["piece = 0", "at least 1"]),
        (GAUSSIAN + AXES, ("--samples", 3), ["samples = 3", "at least 64"]),
        (GAUSSIAN + AXES, ("--cluster", "local:0"), ["cluster = 'local:0'", "HOST:PORT"]),
        (GAUSSIAN + AXES, ("--cluster", "nowhere"), ["cluster = 'nowhere'", "HOST:PORT"]),
        (GAUSSIAN + AXES, ("--set", "rho"), ["override = 'rho'", "section.key=value"]),
    ],
)
def test_refusals(spec, out, text, words, fragments):
    spec.unlink()
    if text is not None:
        spec.write_text(text)
    result = invoke("sweep", spec, "--out", out, *words)
    check_refusal(result, *fragments)
    assert not (out / "pieces").exists() or not list((out / "pieces").iterdir())


def test_an_output_that_is_a_file_is_refused(spec, tmp_path):
    check_refusal(invoke("sweep", spec, "--out", spec), "a folder")


def test_evaluate_says_what_a_sweep_is_for(spec):
    check_refusal(invoke("evaluate", spec), "sweep = ", "run `design-space sweep`")


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_is_told_and_the_sweep_goes_on(tmp_path):
    """The system breaks the write of a piece off, as a full disk does."""
    spec, out, cache = specification(tmp_path, 200), tmp_path / "out", tmp_path / "cache"
    expected = report(spec, tmp_path / "whole", "--piece", 5000, cache=cache)
    process = started(spec, out, "--piece", 5000, cache=cache, most=100_000)
    status, _, errors = finished(process)
    assert status == 2
    assert os.strerror(errno.EFBIG) in errors
    assert "run the same command with --resume" in " ".join(errors.split())
    found = report(spec, out, "--piece", 5000, "--resume", cache=cache)
    assert found["sha256"] == expected["sha256"]


def test_ctrl_c_that_a_callback_swallowed_ends_the_sweep_at_the_next_piece():
    told = []
    with command._interruptible(lambda *rows: told.append(rows)) as progress:
        progress(1, 2)
        with contextlib.suppress(KeyboardInterrupt):  # as the interpreter does in a finalizer
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            progress(2, 2)
    assert told == [(1, 2)]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

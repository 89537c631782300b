"""Tasks in processes of their own: what they say is shown, and none outlives what started it."""

import contextlib
import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import side_by_side_tasks
import typer
from side_by_side_tasks import task

from design_space.cli import refuses_bad_input
from design_space.commands import reproduce as command
from design_space.commands import side_by_side as module
from design_space.commands.screen import Screen
from design_space.commands.side_by_side import processes, side_by_side


def gone(pid, seconds=20.0):
    """Waits until a process has ended; a zombie has, though nobody has asked for its status."""
    end = time.monotonic() + seconds
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
    return True


class Told(Screen):
    """A screen that keeps what it is to show."""

    def __init__(self):
        super().__init__()
        self.lines, self.moves = [], []

    def say(self, message):
        self.lines.append(message)

    def warn(self, message):
        self.lines.append("warning: " + message)

    @contextlib.contextmanager
    def bars(self):
        yield lambda *what: self.moves.append(what)


@refuses_bad_input
def commanded(names):
    side_by_side(task, names, 2, Told())


@pytest.fixture
def child():
    """A process of the caller's own."""
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    process.start()
    yield process
    process.kill()
    process.join()


def test_what_tasks_say_is_shown_and_a_failure_stops_the_others(tmp_path, child):
    told, work = Told(), functools.partial(task, said=tmp_path / "said")
    # of a task's own, not of ours: it is a defect, and no refused input
    with pytest.raises(ValueError, match="this one fails"):
        refuses_bad_input(side_by_side)(work, ["one", "warns", "forever", "fails"], 2, told)
    assert {"one is done", "warning: of a task", "warns is done"} < set(told.lines)
    assert set(told.moves) == {("one", 1, 2), ("warns", 1, 2)}
    (pid,) = (int(line.removeprefix("pid ")) for line in told.lines if line.startswith("pid"))
    assert gone(pid)
    assert child.is_alive()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("refuses", "steps = 0: must be a whole number of at least 1; give an integer"),
        (
            "killed",
            "one of 2 processes was killed, as happens where memory runs out; "
            "take fewer at a time: --jobs 1",
        ),
    ],
    ids=["refuses", "killed"],
)
def test_one_line_and_status_2(name, line, capsys):
    with pytest.raises(typer.Exit) as caught:
        commanded([name, "forever"])
    assert caught.value.exit_code == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"design-space: {line}\n")


def test_processes_end_with_a_killed_starter():
    words = [sys.executable, side_by_side_tasks.__file__, "forever", "forever"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as starter:
        pids = [int(starter.stdout.readline().removeprefix("pid ")) for _ in range(2)]
        assert all(psutil.pid_exists(pid) for pid in pids)
        starter.send_signal(signal.SIGKILL)
    assert starter.returncode == -signal.SIGKILL
    assert all(gone(pid) for pid in pids)


def test_as_many_processes_as_there_is_room_for(monkeypatch):
    def found(tasks, cores=4, room=100, backend="cpu"):
        monkeypatch.setattr(module.jax, "default_backend", lambda: backend)
        monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: range(cores), raising=False)
        monkeypatch.setattr(module, "available_bytes", lambda: room and room * module.MEMORY)
        return processes(tasks)

    assert found(20) == 4
    assert found(3) == 3
    assert found(20, room=2) == 2
    assert found(20, room=0) == 1
    assert found(0) == 1
    assert found(20, room=None) == 2
    assert found(20, backend="gpu") == 1


def test_those_that_measure_times_come_last_and_in_this_process(monkeypatch, tmp_path):
    order = []
    monkeypatch.setattr(command, "build", lambda out, names: out)
    monkeypatch.setattr(command, "_reproduce_named", lambda name, *_, **__: order.append(name))
    monkeypatch.setattr(
        command, "side_by_side", lambda work, names, jobs, screen: order.append((*names, jobs))
    )
    names = ["scaling", "rho_scan", "bell_weighting"]
    command.reproduce(names, out=tmp_path, quiet=True, jobs=2)
    command.reproduce(names, out=tmp_path, quiet=True, jobs=1)
    command.reproduce(["scaling", "rho_scan"], out=tmp_path, quiet=True, jobs=2)
    together = [("rho_scan", "bell_weighting", 2), "scaling"]
    assert order == [*together, "rho_scan", "bell_weighting", "scaling", "rho_scan", "scaling"]


@pytest.mark.slow
def test_a_killed_run_of_two_processes_resumes_to_the_same_bytes(tmp_path):
    """SIGKILL when the first piece is there; then everything, and once more by one process."""
    names = ["bell_weighting", "counterexamples"]
    environment = os.environ | {"DESIGN_SPACE_CACHE": str(tmp_path / "cache")}

    def words(out, jobs):
        start = [sys.executable, "-m", "design_space.cli", "reproduce", *names]
        return [*start, "--out", str(tmp_path / out), "--jobs", str(jobs)]

    def pieces():
        return {p: p.read_bytes() for p in (tmp_path / "two").glob("*/pieces/*.parquet")}

    quietly = {"stdout": subprocess.DEVNULL, "env": environment}
    with subprocess.Popen(words("two", 2), **quietly) as process:
        while not pieces() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    kept = pieces()
    assert kept
    for out, jobs in (("two", 2), ("one", 1)):
        loudly = {"capture_output": True, "text": True, "check": True, "env": environment}
        done = subprocess.run(words(out, jobs), **loudly)
        assert all(f"{name}: " in done.stdout for name in names)
    assert kept.items() <= pieces().items()
    for name in names:
        for file in ("table.parquet", f"{name}.csv", f"{name}.svg"):
            two, one = (Path(tmp_path, out, name, file).read_bytes() for out in ("two", "one"))
            assert two == one, (name, file)

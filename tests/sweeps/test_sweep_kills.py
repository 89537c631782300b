"""A sweep that is killed at any moment goes on, and its table is that of one that was not."""

import contextlib
import json
import random
import signal
import time

import psutil
import pytest
from dask_processes import worker_processes
from sweep_commands import await_pieces, finished, pieces, report, specification, started

from design_space.sweeps.reading import table_digest

PIECE = 500
COUNT = 800  # 40,000 designs, 80 pieces


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The specification, the folder of compiled programs, the table's digest, seconds of work."""
    folder = tmp_path_factory.mktemp("undisturbed")
    spec = specification(folder, COUNT)
    words = ("--piece", PIECE)
    found = report(spec, folder / "out", *words, cache=folder / "cache")
    return spec, folder / "cache", found["sha256"]


def killed(spec, out, cache, chance, words=()):
    """Starts the sweep and kills it at a random moment, before or amid its work.

    Of all pieces that were there, not one may have been touched.

    Returns:
      Number of pieces that it stored.
    """
    before = pieces(out)
    process = started(spec, out, "--resume", "--piece", PIECE, *words, cache=cache)
    if chance.random() < 0.5:  # also while it is read, planned, timed and compiled
        time.sleep(chance.uniform(0, 4))
    else:
        await_pieces(out, len(before) + chance.randrange(1, 4), process)
        time.sleep(chance.uniform(0, 0.05))
    process.send_signal(signal.SIGKILL)
    status, _, errors = finished(process)
    assert status in (-signal.SIGKILL, 0), errors
    after = pieces(out)
    for name, file in before.items():
        assert after[name] == file  # it was not computed again
    numbers = [name.partition("-")[0] for name in after]
    assert len(set(numbers)) == len(numbers)
    return len(after) - len(before)


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_the_table_is_the_same_after_kills(tmp_path, undisturbed, kills):
    spec, cache, digest = undisturbed
    out, chance = tmp_path / "out", random.Random(kills)
    progress = [killed(spec, out, cache, chance) for _ in range(kills)]
    assert sum(progress) > 0
    before = pieces(out)
    found = report(spec, out, "--resume", "--piece", PIECE, cache=cache)
    assert found["computed"] == found["pieces"] - len(before)
    assert found["sha256"] == table_digest(out) == digest
    after = pieces(out)
    assert len(after) == found["pieces"]
    for name, file in before.items():
        assert after[name] == file
    assert sorted(path.name for path in out.iterdir()) == [".lock", "pieces", "sweep.json"]


@pytest.mark.slow
def test_ctrl_c_says_what_is_kept_and_how_to_go_on(tmp_path, undisturbed):
    spec, cache, digest = undisturbed
    out = tmp_path / "out"
    process = started(spec, out, "--piece", 40, cache=cache)
    await_pieces(out, 3, process)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    status, _, errors = finished(process, 60)
    assert time.monotonic() - begin < 10  # no piece in flight is waited for
    assert status == 130
    (line,) = errors.strip().splitlines()
    kept = len(pieces(out))
    assert line.startswith(f"interrupted: {kept} pieces kept in {out}; ")
    assert line.endswith("run the same command with --resume to go on")
    assert kept >= 3
    found = report(spec, out, "--resume", "--piece", 40, cache=cache)
    assert found["computed"] == found["pieces"] - kept
    assert found["sha256"] == digest


@pytest.mark.slow
def test_the_table_is_the_same_after_workers_were_killed(tmp_path, undisturbed):
    spec, cache, digest = undisturbed
    out, chance = tmp_path / "out", random.Random(0)
    words = ("--json", "--piece", 100, "--cluster", "local:2")
    process = started(spec, out, *words, cache=cache)
    kills = 0
    while kills < 5:
        await_pieces(out, len(pieces(out)) + chance.randrange(1, 8), process)
        if process.poll() is not None:
            break
        workers = worker_processes(process.pid)
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            chance.choice(workers).kill()
            kills += 1
    status, output, errors = finished(process)
    assert status == 0, errors
    assert kills > 2
    assert json.loads(output)["sha256"] == table_digest(out) == digest
    assert len(pieces(out)) == json.loads(output)["pieces"]


@pytest.mark.slow
def test_kills_of_a_sweep_on_a_cluster_of_its_own(tmp_path, undisturbed):
    """The process that writes is killed; its workers end by themselves."""
    spec, cache, digest = undisturbed
    out, chance = tmp_path / "out", random.Random(1)
    for _ in range(3):
        killed(spec, out, cache, chance, ("--cluster", "local:2"))
    found = report(spec, out, "--resume", "--piece", PIECE, cache=cache)
    assert found["sha256"] == digest

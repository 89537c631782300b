"""Workers, schedulers and users that leave in the middle of a sweep on a cluster."""

import functools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cluster_work
import psutil
import pytest
from dask_processes import HERE, scheduler, worker_processes, workers

import design_space
from design_space.sweeps import connection
from design_space.sweeps.cluster import clustered

ONE = ("--nworkers", "1", "--nthreads", "1")
MANIFEST = {"name": "a sweep", "seconds": 0.1}

pytestmark = pytest.mark.slow

same_code = functools.partial(clustered, fingerprint=cluster_work.version)


def ignore(message):
    pass


def check_all(results, pieces):
    """Every piece comes once, with the bytes of a plain loop."""
    found = {}
    for piece, content in results:
        assert piece not in found
        found[piece] = content
    fast = {"name": MANIFEST["name"]}
    assert found == {piece: cluster_work.digest(fast, piece) for piece in pieces}


class Killer(threading.Thread):
    """Kills workers below a process at random moments, also while they start."""

    def __init__(self, kills, pause, of=None):
        super().__init__(daemon=True)
        self.left, self.pause, self.of = kills, pause, of

    def run(self):
        chance = random.Random(7)
        while self.left:
            time.sleep(chance.uniform(0.0, self.pause))
            found = worker_processes(self.of)
            if found:
                chance.choice(found).kill()
                self.left -= 1


def test_local_workers_killed_at_random_moments(capfd):
    killer = Killer(kills=12, pause=1.5)

    def pieces():
        yield from range(20)
        piece = 20
        while killer.is_alive():
            yield piece
            piece += 1
        sizes.append(piece)

    sizes = []
    results = same_code(cluster_work.digest, MANIFEST, pieces(), "local:2", ignore)
    first = next(results)
    killer.start()
    rest = list(results)
    check_all(iter([first, *rest]), range(sizes[0]))
    assert not killer.left
    assert not worker_processes()
    assert capfd.readouterr() == ("", "")


def test_workers_of_a_running_cluster_killed_with_and_without_their_nannies(tmp_path):
    with scheduler(tmp_path) as (address, _):
        with workers(address, *ONE, folder=tmp_path) as lost:
            results = same_code(
                cluster_work.digest, MANIFEST, range(80), address, ignore, retries=9
            )
            found = [next(results)]
            killer = Killer(kills=2, pause=3.0, of=lost.pid)
            killer.start()
            found += [next(results) for _ in range(20)]
            killer.join()
        with workers(address, "--nworkers", "2", "--nthreads", "1", folder=tmp_path):
            found += list(results)
    check_all(iter(found), range(80))


def test_each_local_worker_sees_one_gpu_and_its_successor_the_same(monkeypatch):
    monkeypatch.setattr(connection, "visible_gpus", lambda: ["7", "3"])
    results = same_code(cluster_work.gpu, MANIFEST, range(100), "local:2", ignore)
    first = {content for _, content in (next(results) for _ in range(20))}
    for process in worker_processes():
        process.kill()
    assert first == {content for _, content in results} == {b"7", b"3"}


def test_a_piece_that_kills_its_workers_is_given_up_by_name():
    manifest = {**MANIFEST, "bad": 3}
    results = same_code(cluster_work.killing, manifest, range(2, 7), "local:1", ignore, retries=1)
    found = []
    with pytest.raises(ChildProcessError, match=r"piece 3: .* lost 4 times, at last .*--resume"):
        found.extend(piece for piece, _ in results)
    assert set(found) <= {2, 4, 5, 6}
    assert not worker_processes()


def test_a_scheduler_that_dies_is_named(tmp_path):
    with scheduler(tmp_path) as (address, process), workers(address, *ONE, folder=tmp_path):
        results = same_code(cluster_work.digest, MANIFEST, range(999), address, ignore)
        next(results)
        process.kill()
        begin = time.monotonic()
        with pytest.raises(ConnectionError, match=rf"connection to {address} was lost.*--resume"):
            list(results)
        assert time.monotonic() - begin < 60.0


def test_a_worker_that_joins_later_is_looked_at(tmp_path):
    with scheduler(tmp_path) as (address, _), workers(address, *ONE, folder=tmp_path):
        results = same_code(cluster_work.digest, MANIFEST, range(999), address, ignore)
        next(results)
        late = ("--name", "late", *ONE)
        with (
            workers(address, *late, folder=tmp_path, CLUSTER_WORK_VERSION="2"),
            pytest.raises(ValueError, match=r"named 'late.*design-space is 2 there and 1\.0 here"),
        ):
            list(results)


@pytest.fixture
def other_sources(tmp_path):
    """A folder with this package, one comment longer."""
    here = Path(design_space.__file__).parent
    there = tmp_path / "elsewhere" / "design_space"
    shutil.copytree(here, there, ignore=shutil.ignore_patterns("__pycache__"))
    with open(there / "checks.py", "a") as file:
        file.write("# another version\n")
    return there


def test_other_sources_are_refused(tmp_path, other_sources):
    with scheduler(tmp_path) as (address, _):
        results = clustered(cluster_work.digest, MANIFEST, [0], address, ignore)
        with (
            workers(address, *ONE, folder=tmp_path, paths=[other_sources.parent]),
            pytest.raises(ValueError, match=r"worker tcp.*: sources is \w{16} there and \w{16} he"),
        ):
            next(results)


def test_a_package_without_sweeps_is_refused(tmp_path, other_sources):
    shutil.rmtree(other_sources / "sweeps")
    with scheduler(tmp_path) as (address, _):
        results = clustered(cluster_work.digest, MANIFEST, [0], address, ignore)
        with (
            workers(address, *ONE, folder=tmp_path, paths=[other_sources.parent]),
            pytest.raises(ValueError, match=r"worker tcp\S*: it cannot load .*ModuleNotFound"),
        ):
            next(results)


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import cluster_work
from design_space.sweeps.cluster import clustered
if __name__ == "__main__":
    manifest = {"name": "", "seconds": 0.5}
    results = clustered(cluster_work.digest, manifest, range(999), "local:2", print)
    try:
        for piece, _ in results:
            print(piece, flush=True)
    except KeyboardInterrupt:
        print("stopped")
"""


def test_a_script_without_a_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    command = [sys.executable, str(script), str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert re.search(r"ChildProcessError: cluster = 'local:2'.* under `if __name__", done.stderr)


def test_ctrl_c_ends_all_processes_quietly(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(script), str(HERE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    process.stdout.readline()
    family = psutil.Process(process.pid).children(recursive=True)
    pressed, ended = 0, None
    while ended is None:  # again, where Python dropped the interrupt: it fell into a callback
        pressed += 1
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        try:
            ended = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            assert pressed < 3
    out, err = ended
    assert out.splitlines()[-1] == "stopped"
    assert err == "" or (pressed > 1 and "Exception ignored" in err)
    assert process.returncode == 0
    psutil.wait_procs(family, timeout=10)
    assert not [child for child in family if child.is_running()]

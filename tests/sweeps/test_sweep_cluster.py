"""Pieces on a Dask cluster: real schedulers and workers on loopback, against a plain loop."""

import functools
import os
import re
import threading

import cluster_work
import pytest
from dask_processes import scheduler, until, worker_processes, workers

from design_space.sweeps import cluster, connection
from design_space.sweeps.cluster import clustered

ONE = ("--nworkers", "1", "--nthreads", "1")
MANIFEST = {"name": "a sweep", "values": [0.1, 1e-300, None, "text"]}


same_code = functools.partial(clustered, fingerprint=cluster_work.version)
"""Without a look at the sources, so that these may be edited while the tests run."""


def silent(message):
    raise AssertionError(message)


def plain(manifest, pieces):
    return {piece: cluster_work.digest(manifest, piece) for piece in pieces}


def collected(results):
    """What comes back, each piece once."""
    found = {}
    for piece, content in results:
        assert piece not in found
        found[piece] = content
    return found


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A scheduler with two workers."""
    folder = tmp_path_factory.mktemp("cluster")
    two = ("--nworkers", "2", "--nthreads", "1")
    with scheduler(folder) as (found, _), workers(found, *two, folder=folder):
        with connection.connected(found, 0) as client:
            until(lambda: len(client.nthreads()) == 2, "two workers")
        yield found


@pytest.fixture(scope="module")
def lonely(tmp_path_factory):
    """A scheduler to which tests bring their workers."""
    with scheduler(tmp_path_factory.mktemp("lonely")) as (found, _):
        yield found


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            *("local:0", "local:x", "local:", "local", "local:-1", "local:02", "", "host", "host:"),
            *("host:0", "host:65536", "tcp://", "http://host:1", "a b:1", "tcp://host:1/x"),
            "host:1\n",
        ],
    )
    def test_what_is_no_address_is_refused_before_anything_starts(self, address):
        with pytest.raises(ValueError, match=r"cluster = .*must be local:N .*; give local:4"):
            clustered(cluster_work.digest, {}, [0], address, silent)

    @pytest.mark.parametrize(
        ("address", "meaning"),
        [("local:12", 12), ("a.b-c:80", "tcp://a.b-c:80"), ("tcp://[::1]:9", "tcp://[::1]:9")],
    )
    def test_the_others_are_read(self, address, meaning):
        assert connection.parsed(address) == meaning

    def test_a_missing_dask_is_named_with_the_remedy(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "distributed", None)
        with pytest.raises(ValueError, match=re.escape('pip install "design-space[cluster]"')):
            clustered(cluster_work.digest, {}, [0], "local:1", silent)

    @pytest.mark.parametrize("numbers", [{"retries": -1}, {"ahead": 0}])
    def test_numbers_out_of_their_domain_are_refused(self, numbers):
        with pytest.raises(ValueError, match=next(iter(numbers))):
            clustered(cluster_work.digest, {}, [0], "local:1", silent, **numbers)

    def test_an_unreachable_scheduler_is_refused_in_time(self, monkeypatch):
        assert connection.CONNECTING == 10.0
        monkeypatch.setattr(connection, "CONNECTING", 0.5)
        results = clustered(cluster_work.digest, {}, [0], "127.0.0.1:9", silent)
        with pytest.raises(
            ConnectionError, match=r"tcp://127\.0\.0\.1:9.*dask scheduler.*dask wor"
        ):
            next(results)


class TestGpus:
    def test_workers_take_turns(self):
        found = [connection.environment(i, 3, ["0", "5"]) for i in range(3)]
        assert [one["CUDA_VISIBLE_DEVICES"] for one in found] == ["0", "5", "0"]
        shares = [one.get("XLA_PYTHON_CLIENT_MEM_FRACTION") for one in found]
        assert shares == ["0.375", None, "0.375"]
        assert connection.environment(0, 3, []) == {}

    def test_only_visible_ones_count(self, monkeypatch):
        monkeypatch.delenv("JAX_PLATFORMS", raising=False)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 1")
        assert connection.visible_gpus() == ["3", "1"]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        assert connection.visible_gpus() == []
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
        monkeypatch.setenv("JAX_PLATFORMS", "cpu")
        assert connection.visible_gpus() == []

    def test_they_are_counted_by_the_drivers_own_command(self, monkeypatch, tmp_path):
        monkeypatch.delenv("JAX_PLATFORMS", raising=False)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert connection.visible_gpus() == []
        command = tmp_path / "nvidia-smi"
        command.write_text("#!/bin/sh\necho 0\necho 1\n")
        command.chmod(0o755)
        assert connection.visible_gpus() == ["0", "1"]


class TestRunningCluster:
    def test_the_pieces_of_a_plain_loop_each_once(self, address, capfd):
        pieces = range(3, 60)
        found = collected(same_code(cluster_work.digest, MANIFEST, pieces, address, silent))
        assert found == plain(MANIFEST, pieces)
        assert capfd.readouterr() == ("", "")

    def test_the_same_bits_of_64_bit_floats(self, address):
        manifest = {"values": [i / 7 for i in range(500)]}
        found = collected(same_code(cluster_work.numbers, manifest, range(6), address, silent))
        assert found == {piece: cluster_work.numbers(manifest, piece) for piece in range(6)}
        assert len(found[0]) == 500 * 8

    def test_never_more_under_way_than_ahead_times_workers(self, address, monkeypatch):
        most = []
        submit = cluster._UnderWay.submit

        def counting(self, piece):
            submit(self, piece)
            most.append(len(self))

        monkeypatch.setattr(cluster._UnderWay, "submit", counting)
        collected(same_code(cluster_work.digest, MANIFEST, range(30), address, silent, ahead=3))
        assert max(most) == 6

    def test_a_failure_stops_the_run_with_piece_worker_and_traceback(self, address):
        manifest = {**MANIFEST, "bad": 4}
        results = same_code(cluster_work.failing, manifest, range(9), address, silent)
        with pytest.raises(RuntimeError, match=r"piece 4 failed on worker tcp://127") as caught:
            collected(results)
        assert 'raise ZeroDivisionError("a piece that fails")' in str(caught.value)

    def test_closing_early_cancels_what_is_outstanding(self, address):
        manifest = {**MANIFEST, "seconds": 0.2}
        results = same_code(cluster_work.digest, manifest, range(99), address, silent)
        next(results)
        results.close()
        with connection.connected(address, 0) as client:
            until(lambda: not any(client.processing().values()), "idle workers")
            assert not any(client.has_what().values())

    def test_a_large_manifest_travels_once(self, address):
        manifest = {**MANIFEST, "points": [i / 7 for i in range(250_000)]}
        pieces = range(40)
        found = collected(same_code(cluster_work.digest, manifest, pieces, address, silent))
        assert found == plain(manifest, pieces)

    def test_no_pieces_no_results(self, address):
        assert collected(same_code(cluster_work.digest, MANIFEST, [], address, silent)) == {}


class TestRefusedWorkers:
    def test_none(self, lonely):
        said = []
        results = same_code(cluster_work.digest, {}, [0], lonely, said.append, patience=0.5)
        with pytest.raises(ConnectionError, match=rf"{lonely}.*within 0.5 s; run `dask worker"):
            next(results)
        assert said == [f"{lonely} has no workers; waiting for one up to 0.5 s"]

    def test_another_version_is_named(self, lonely, tmp_path):
        environment = {"CLUSTER_WORK_VERSION": "0.9"}
        results = same_code(cluster_work.digest, {}, [0], lonely, lambda _: None)
        more = ("--name", "old-one")
        with (
            workers(lonely, *ONE, *more, folder=tmp_path, **environment),
            pytest.raises(
                ValueError, match=r"named 'old-one.*design-space is 0.9 there and 1.0 he"
            ),
        ):
            next(results)

    def test_several_threads_are_named(self, lonely, tmp_path):
        results = same_code(cluster_work.digest, {}, [0], lonely, lambda _: None)
        two = ("--nworkers", "1", "--nthreads", "2")
        with (
            workers(lonely, *two, folder=tmp_path),
            pytest.raises(ValueError, match=r"worker tcp://.*it has 2 threads.*--nthreads 1"),
        ):
            next(results)


def test_local_workers_give_the_same_and_leave_no_process(capfd):
    before, others = dict(os.environ), set(worker_processes())
    results = same_code(cluster_work.digest, MANIFEST, range(40), "local:2", silent)
    found = dict(next(results) for _ in range(30))
    assert found == plain(MANIFEST, found)
    assert len(set(worker_processes()) - others) == 2
    results.close()
    assert set(worker_processes()) <= others
    assert dict(os.environ) == before
    assert not [t for t in threading.enumerate() if t.name.startswith("Dask-Worker")]
    assert capfd.readouterr() == ("", "")

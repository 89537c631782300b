"""A sweep run in this process: what is computed, kept, told and estimated."""

import threading
import time

import pytest
from sweep_designs import GAUSSIAN, MIXTURE, given, planned, whole

from design_space.sweeps import content, estimate, run
from design_space.sweeps.estimate import cost
from design_space.sweeps.local import local, threads
from design_space.sweeps.reading import read_sweep, table_digest

AXES = "schedule.rho = {from = 1.0, to = 9.0, count = 20}\n"


def silent(message):
    raise AssertionError(message)


def sweep(out, axes=AXES, piece=4, **settings):
    return run.planned(given(GAUSSIAN, axes), ".", out, piece=piece, **settings)


def test_all_pieces_are_computed_and_stored(tmp_path):
    told, before = [], []
    made = sweep(tmp_path / "out")
    counted = run.run(
        made, silent, before=before.append, progress=lambda done, total: told.append((done, total))
    )
    assert counted == 5
    assert before == [[0, 1, 2, 3, 4]]
    assert told == [(n, 20) for n in (4, 8, 12, 16, 20)]
    found = read_sweep(tmp_path / "out")
    assert found["design"].tolist() == list(range(20))
    assert all(found["path_kl"].notna().tolist())


def test_a_finished_sweep_computes_nothing(tmp_path, monkeypatch):
    made = sweep(tmp_path / "out")
    run.run(made, silent)
    monkeypatch.setattr(run, "local", silent_local)
    assert run.run(made, silent, resume=True) == 0
    with pytest.raises(ValueError, match="holds 5 of the 5 pieces of this sweep; go on with"):
        run.run(made, silent)


def silent_local(compute, manifest, pieces):
    assert list(pieces) == []
    yield from ()


def test_a_sweep_that_broke_off_goes_on_with_what_is_missing(tmp_path):
    made = sweep(tmp_path / "out")

    def stop(done, total):
        if done >= 8:
            raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        run.run(made, silent, progress=stop)
    assert run.run(made, silent, resume=True) == 3
    whole = sweep(tmp_path / "whole")
    run.run(whole, silent)
    assert table_digest(tmp_path / "out") == table_digest(tmp_path / "whole")


@pytest.mark.parametrize(
    ("axes", "settings", "message"),
    [
        (AXES.replace("20", "21"), {}, r"specification\.sweep\.schedule\.rho\.count = 20 there"),
        (AXES, {"seed": 1}, "seed = 0 there, 1 here"),
        (AXES, {"piece": 5}, "piece = 4 there, 5 here"),
    ],
)
def test_a_folder_of_another_sweep_is_refused(tmp_path, axes, settings, message):
    run.run(sweep(tmp_path / "out"), silent)
    other = sweep(tmp_path / "out", axes, **settings)
    with pytest.raises(ValueError, match=message):
        run.run(other, silent, resume=True)


def test_size_of_what_is_there_counts_as_room(tmp_path):
    assert run.free_bytes(tmp_path / "not" / "there") > 0
    (tmp_path / "file").write_bytes(bytes(1000))
    assert run._held(tmp_path) == 1000


class TestLocal:
    def test_gives_every_piece_once(self):
        found = dict(local(lambda manifest, piece: bytes([piece]), {}, range(20)))
        assert found == {piece: bytes([piece]) for piece in range(20)}

    def test_takes_few_pieces_ahead(self):
        begun = []

        def work(manifest, piece):
            begun.append(piece)
            return b""

        results = local(work, {}, iter(range(1000)))
        for number in range(1, 20):
            next(results)
            assert len(begun) <= number + threads() + 1
        results.close()

    def test_names_the_piece_that_failed(self):
        def work(manifest, piece):
            if piece == 3:
                raise ZeroDivisionError("none")
            return b""

        with pytest.raises(RuntimeError, match="piece 3 could not be computed: ZeroDivisionError"):
            list(local(work, {}, range(5)))

    def test_does_not_wait_for_pieces_in_flight_when_it_is_closed(self):
        release = threading.Event()

        def work(manifest, piece):
            if piece:
                release.wait(60)
            return b""

        results = local(work, {}, range(100))
        assert next(results) == (0, b"")
        start = time.monotonic()
        results.close()
        assert time.monotonic() - start < 30
        release.set()


class TestEstimates:
    def test_of_designs_evaluated_together(self):
        manifest = planned(GAUSSIAN, AXES + 'schedule.kind = ["edm", "song"]\n', piece=4)
        found = cost(manifest, range(len(manifest["pieces"])))
        assert 0 < found.compilation < found.seconds < 600
        assert 0 < found.device_bytes < 100e6
        assert found.disk_bytes > 40 * 8 * 10

    def test_memory_does_not_grow_with_the_piece_beyond_its_numbers(self):
        axes = "schedule.rho = {from = 1.0, to = 9.0, count = 100000}\n"
        small, large = (planned(GAUSSIAN, axes, piece=piece) for piece in (1000, 100_000))
        costs = [cost(manifest, [0]) for manifest in (small, large)]
        numbers = 100_000 * 8 * (len(large["columns"]) + 1)
        assert costs[1].device_bytes - costs[0].device_bytes < threads() * numbers

    def test_of_bad_designs(self):
        axes = "schedule.sigma_min = [60, 0.1]\nschedule.sigma_max = [50, 80]\n"
        manifest = planned(MIXTURE, axes)
        assert cost(manifest, range(len(manifest["pieces"]))).seconds > 0

    def test_of_nothing(self):
        manifest = planned(GAUSSIAN, AXES)
        assert cost(manifest, []) == (0.0, 0.0, 0, 0)


@pytest.mark.parametrize("error", [MemoryError("too large"), ValueError("odd"), OverflowError()])
def test_a_design_that_cannot_be_evaluated_is_a_row_and_stops_nothing(monkeypatch, error):
    manifest = planned(MIXTURE, "schedule.rho = [3, 7]\n")

    def failing(*arguments, **options):
        raise error

    monkeypatch.setattr(content, "evaluate_specification", failing)
    monkeypatch.setattr(estimate, "evaluate_specification", failing)
    assert estimate.cost(manifest, [0]).seconds >= 0
    rows = whole(manifest).to_pylist()
    assert [row["reason"] for row in rows] == [str(error) or "OverflowError"] * 2
    assert [row["path_kl"] for row in rows] == [None, None]

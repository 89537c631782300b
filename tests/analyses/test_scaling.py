"""What a design costs."""

import numpy as np
import pandas as pd
import pytest

from analyses import scaling
from design_space.sweeps.plan import plan

TINY = {
    "batch": {"shapes": [[2, 5]], "batches": [1, 4], "designs": 8},
    "size": {
        "values": {"d": [1, 2, 4], "N": [2, 4, 8], "n": [10, 20, 40], "m": [4, 8, 16]},
        "designs": 4,
        "batch": 2,
        "last": 3,
    },
    "devices": {"counts": [1, 2], "designs": 8, "pieces": 2},
    "workers": {"counts": [1], "designs": 8, "pieces": 3},
}


def made(rates, exponents):
    """A table with given rates and exponents."""
    rows = [
        {"part": part, "row": "point", "series": series, "x": x, "value": value}
        for part, series, x, value in rates
    ]
    rows += [
        {"part": "size", "row": "exponent", "series": s, "x": 1, "value": v, "off": off}
        for s, v, off in exponents
    ]
    table = pd.DataFrame(rows)
    off = table.pop("off").fillna(0.0)
    return table.assign(low=table["value"] - off, high=table["value"] + off)


def test_the_finding_says_what_the_table_holds():
    rates = [
        ("batch", "d = 1, N = 20", 1, 10.0),
        ("batch", "d = 1, N = 20", 16, 45.0),
        ("batch", "d = 1, N = 20", 64, 30.0),
        ("devices", "devices", 1, 8.0),
        ("devices", "devices", 2, 12.0),
        ("workers", "workers", 1, 4.0),
        ("workers", "workers", 4, 14.0),
    ]
    text = scaling.finding(made(rates, [("d", 1.25, 0.5), ("m", 2.0, 0.25)]))
    assert "d^(1.25 ± 0.50), m^(2.00 ± 0.25)" in text
    assert "4.5 times at a batch of 16 (d = 1, N = 20)" in text
    assert "2 devices 1.50 times the rate of one, 4 workers 3.50 times the rate of one" in text


def test_times_are_of_the_call_after_compilation():
    calls = []

    def work():
        calls.append(1)
        return np.zeros(1)

    found = scaling.timed(work)
    assert len(calls) == 1 + scaling.REPEATS
    assert 0 < found.least <= found.median


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_every_preset_is_legal(preset):
    """Batches divide designs, every exponent has points enough, and all parts are there."""
    settings = scaling.EXPERIMENT.presets[preset]
    pieces = scaling.pieces(settings)
    assert [p["part"] for p in pieces] == ["batch", "devices", "workers", *["size"] * 4]
    assert all(settings["batch"]["designs"] % b == 0 for b in settings["batch"]["batches"])
    for piece in pieces[3:]:
        assert len(piece["values"]) >= piece["last"] >= 3
        assert piece["designs"] % piece["batch"] == 0


@pytest.mark.parametrize("size", ["d", "N", pytest.param("n", marks=pytest.mark.slow), "m"])
def test_cost_against_a_size(size):
    piece = next(p for p in scaling.pieces(TINY) if p.get("size") == size)
    table = scaling.compute_piece(piece)
    points, exponent = table[table["row"] == "point"], table[table["row"] == "exponent"]
    assert points["x"].tolist() == TINY["size"]["values"][size]
    assert np.all((points["value"] > 0) & (points["value"] <= points["high"]))
    # the least-squares slope of three points at equal distances in log x is that of the outer two
    own = np.log(points["value"].to_numpy())
    steps = np.log(points["x"].to_numpy())
    assert exponent["value"].item() == pytest.approx((own[2] - own[0]) / (steps[2] - steps[0]))
    assert exponent["low"].item() < exponent["value"].item() < exponent["high"].item()


def test_rate_against_the_batch():
    table = scaling.compute_piece(scaling.pieces(TINY)[0])
    assert table["x"].tolist() == [1, 4]
    assert np.all((table["low"] > 0) & (table["low"] <= table["value"]))


def test_a_sweep_is_what_it_says():
    manifest = scaling.gaussian_sweep(3, 7, 20, 6)
    again = plan(manifest["specification"], piece=6)
    assert manifest == again
    assert [p["designs"] for p in manifest["pieces"]] == [6, 6, 6, 2]
    trained = scaling.trained_sweep(15, 4)
    assert trained["axes"] == ["training.seed"]
    assert trained["groups"][0]["how"] == "together"


@pytest.mark.slow
def test_devices_and_workers():
    """Processes with devices of their own, and a cluster on this machine."""
    for piece in scaling.pieces(TINY)[1:3]:
        table = scaling.compute_piece(piece)
        assert table["x"].tolist() == piece["counts"]
        assert np.all(table["value"] > 0)


def test_without_dask_workers_are_not_measured(monkeypatch):
    monkeypatch.setattr(scaling.importlib.util, "find_spec", lambda name: None)
    table = scaling.compute_piece(scaling.pieces(TINY)[2])
    assert table["row"].tolist() == ["missing"]
    rates = [("batch", "d = 1, N = 20", 1, 10.0), ("devices", "devices", 1, 8.0)]
    text = scaling.finding(pd.concat([made(rates, [("d", 1.0, 0.5)]), table], ignore_index=True))
    assert "workers not measured" in text

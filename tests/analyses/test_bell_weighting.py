"""EDM's bell and the total weightings against the formulas written out again."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

from analyses import bell_weighting

ENDS = {"sigma_min": 0.002, "sigma_max": 80.0}


@pytest.fixture(scope="module")
def table():
    pieces = [
        {"part": "bell", "points": 50, **ENDS},
        {"part": "schedule", "schedule": "edm", "steps": 6, **ENDS},
        {"part": "schedule", "schedule": "song", "steps": 6, **ENDS},
    ]
    return pd.concat([bell_weighting.compute(p) for p in pieces], ignore_index=True)


def beta_edm(sigma):
    """WHT section 4.1 with Karras et al.'s numbers."""
    return np.exp(-((np.log(sigma) + 1.2) ** 2) / (2 * 1.2**2)) * (sigma**2 + 0.25) / (sigma * 0.25)


def test_bell(table):
    curve = table[(table["part"] == "bell") & (table["reading"] == "at a level")]
    np.testing.assert_allclose(curve["beta"], beta_edm(curve["sigma"].to_numpy()), rtol=1e-12)
    density = table[(table["part"] == "bell") & (table["reading"] == "per unit of ln sigma")]
    np.testing.assert_allclose(
        density["beta"], density["sigma"] * curve["beta"].to_numpy(), rtol=1e-12
    )


@pytest.mark.parametrize(("reading", "power"), [("at a level", 0), ("per unit of ln sigma", 1)])
def test_peak(table, reading, power):
    row = table[(table["part"] == "peak") & (table["reading"] == reading)].iloc[0]

    def height(u):
        return beta_edm(np.exp(u)) * np.exp(power * u)

    top = minimize_scalar(
        lambda u: -height(u), bracket=(np.log(row["sigma"]) - 0.5, np.log(row["sigma"]) + 0.5)
    )
    # The place of a smooth maximum is known to the root of the rounding, 1e-8.
    assert np.log(row["sigma"]) == pytest.approx(top.x, abs=1e-6)
    assert row["beta"] == pytest.approx(-top.fun, rel=1e-12)
    for side in ("half_low", "half_high"):
        assert height(np.log(row[side])) == pytest.approx(row["beta"] / 2, rel=1e-9)


def test_table_1(table):
    grids = table[table["part"] == "schedule"]
    share = np.arange(7) / 6
    edm = (0.002 ** (1 / 7) * (1 - share) + 80 ** (1 / 7) * share) ** 7
    np.testing.assert_allclose(grids[grids["schedule"] == "edm"]["sigma"], edm, rtol=1e-12)
    song = 0.002 * (80 / 0.002) ** share
    rows = grids[grids["schedule"] == "song"]
    np.testing.assert_allclose(rows["sigma"], song, rtol=1e-12)
    np.testing.assert_allclose(rows["time"], song**2, rtol=1e-12)


def test_total_weightings(table):
    totals = table[(table["part"] == "weighting") & (table["schedule"] == "edm")]
    sigma = table[(table["part"] == "schedule") & (table["schedule"] == "edm")]["sigma"].to_numpy()
    expected = {
        "edm": beta_edm(sigma[1:]) * np.diff(sigma),
        "edm pointwise": beta_edm(sigma[1:]),
        "song": np.diff(np.log(sigma)),
        "uniform": np.ones(6),
        "min-snr": np.minimum(1, 5 * sigma[1:] ** 2),
        "p2": 1 / (1 + sigma[1:] ** -2),
    }
    assert set(totals["weighting"]) == set(expected)
    for name, beta in expected.items():
        found = totals[totals["weighting"] == name]["beta"]
        np.testing.assert_allclose(found, beta, rtol=1e-11, err_msg=name)


def test_finding_reads_the_table(table):
    assert "top at σ = 0.0762" in bell_weighting.finding(table)

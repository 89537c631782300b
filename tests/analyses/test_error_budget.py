"""The areas of the error budget against the closed form and the totals of the budget."""

import numpy as np
import pytest

from analyses import error_budget


@pytest.fixture(scope="module")
def table():
    piece = {
        "data": {"name": "N(0, 0.5²)", "std": 0.5},
        "schedule": "song",
        "steps": 6,
        "factor": 1.3,
        "inner": 2001,
    }
    return error_budget.compute(piece)


def test_steps_are_the_closed_form(table):
    steps = table[table["part"] == "step"]
    v = steps["sigma"].to_numpy() ** 2
    after = steps["sigma_after"].to_numpy() ** 2
    ratio = (0.25 + after) / (0.25 + v)
    # Cancellation of ratio - 1 - log(ratio) in the test: below 1e-14 for ratios away from one, but
    # the last steps change nothing (terms of 1e-9), hence the absolute part.
    expected = 0.5 * (ratio - 1 - np.log(ratio))
    np.testing.assert_allclose(steps["discretization"], expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(steps["score"], 0.5 * (v - after) * 0.09 / (0.25 + v), rtol=1e-12)


def test_areas_are_the_contributions(table):
    curve, steps = table[table["part"] == "curve"], table[table["part"] == "step"]
    for step, part in curve.groupby("step"):
        height = (part["information"] - part["frozen"]).to_numpy()
        area = -np.trapezoid(height, np.log(part["sigma"].to_numpy()))
        expected = steps.set_index("step").loc[step, "discretization"]
        # Trapezoid rule with 2000 cells of width 3.5e-3 / 2: second derivatives of order one.
        assert area == pytest.approx(expected, rel=1e-5, abs=1e-12)


def test_budget_is_the_sum(table):
    whole = table[table["part"] == "budget"].iloc[0]
    steps = table[table["part"] == "step"]
    for name in ("discretization", "score"):
        assert whole[name] == pytest.approx(steps[name].sum(), rel=1e-12)
    total = whole["initialization"] + whole["discretization"] + whole["score"]
    assert whole["path_kl"] == pytest.approx(total, rel=1e-12)
    assert whole["marginal_kl"] < whole["path_kl"]


def test_finding_names_every_design(table):
    text = error_budget.finding(table)
    assert "N(0, 0.5²), song" in text
    assert f"{table[table['part'] == 'budget']['discretization'].iloc[0]:.4g}" in text


def test_pieces_cover_every_design():
    settings = error_budget.EXPERIMENT.presets["full"]
    made = error_budget.pieces(settings)
    keys = {(p["data"]["name"], p["schedule"], p["steps"]) for p in made}
    assert len(keys) == len(made) == 3 * 2 * 3

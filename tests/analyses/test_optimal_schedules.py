"""Optimal schedules: errors against closed forms in NumPy, who is beaten, and the certificate."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from analyses import optimal_schedules as analysis

HALF = {"target": "N(0, 0.5²)", "variances": [0.25], "steps": 4, "drawn": True}
SPECTRUM = {"target": "spectrum", "variances": [1.0, 0.01], "steps": 4, "drawn": False}


@pytest.fixture(scope="module")
def table():
    return pd.concat([analysis.compute(HALF), analysis.compute(SPECTRUM)], ignore_index=True)


def rows_of(table, part, target=HALF["target"]):
    return table[(table["part"] == part) & (table["target"] == target)]


def closed_forms(variances, sigmas):
    """E_D and the marginal KL on N(0, diag(variances)), step by step."""
    v, path, marginal = sigmas**2, 0.0, 0.0
    for scale in variances:
        law = v[0]
        for before, after in pairwise(v):
            total, h = scale + before, before - after
            path += 0.5 * (np.log(total / (total - h)) - h / total)
            law = (1 - h / total) ** 2 * law + h
        ratio = (scale + v[-1]) / law
        marginal += 0.5 * (ratio - 1 - np.log(ratio))
    return path, marginal


def test_errors_are_the_closed_forms(table):
    errors = rows_of(table, "error").set_index("design")
    grids = rows_of(table, "grid")
    assert set(grids["design"]) == set(errors.index)
    for name, grid in grids.groupby("design"):
        sigmas = grid.sort_values("level")["sigma"].to_numpy()
        assert (sigmas[0], sigmas[-1]) == (analysis.HIGH, analysis.LOW)
        found = errors.loc[name, ["discretization", "marginal_kl"]].to_numpy(dtype=float)
        np.testing.assert_allclose(found, closed_forms([0.25], sigmas), rtol=1e-10)


@pytest.mark.parametrize("target", [HALF, SPECTRUM], ids=lambda piece: piece["target"])
def test_the_optimum_beats_every_published_schedule(table, target):
    errors = rows_of(table, "error", target["target"]).set_index("design")
    others = errors.drop(analysis.BEST)
    assert set(others["verdict"]) == {"beaten"}
    assert others["marginal_ratio"].min() > 1.01
    assert errors["path_ratio"].min() == errors.loc[analysis.PATH, "path_ratio"] == 1
    optimum = rows_of(table, "optimum", target["target"]).iloc[0]
    assert optimum["beaten"] == len(others.drop([analysis.PATH, analysis.LEADING]))
    assert optimum["rival_ratio"] >= others["marginal_ratio"].min()
    assert optimum["gradient_norm"] < 1e-8 * optimum["marginal_kl"]
    assert optimum["restart_spread"] < 1e-9


def test_no_grid_nearby_is_better(table):
    grid = rows_of(table, "grid")
    best = grid[grid["design"] == analysis.BEST].sort_values("level")["sigma"].to_numpy()
    least = closed_forms([0.25], best)[1]
    for level in range(1, 4):
        for factor in (0.99, 1.01):
            moved = best.copy()
            moved[level] *= factor
            assert closed_forms([0.25], moved)[1] > least


def test_of_one_step_there_is_one_grid_and_everybody_ties():
    table = analysis.compute(HALF | {"steps": 1})
    optimum = rows_of(table, "optimum").iloc[0]
    assert (optimum["beaten"], optimum["better"]) == (0, 0)
    assert optimum["tied"] == len(rows_of(table, "error")) - len(analysis.OURS)


def test_verdicts_are_decided_by_the_stated_errors():
    assert analysis.against(1.0, 0.1, 0.8, 0.05) == "beaten"
    assert analysis.against(1.0, 0.1, 0.8, 0.11) == "tie"
    assert analysis.against(0.5, 0.1, 0.8, 0.05) == "better"
    assert analysis.against(1e-30, 1e-29, 0.0, 1e-29) == "tie"


def test_quantiles_are_levels_between_the_grid_points():
    grid = pd.DataFrame({"level": [0, 1, 2], "sigma": [100.0, 1.0, 0.01]})
    assert analysis.quantile(grid, 0.5) == pytest.approx(1.0)
    assert analysis.quantile(grid, 0.25) == pytest.approx(10.0)


def test_finding_and_presets(table):
    words = analysis.finding(table)
    assert "In 2 cells (data law, N), 20 comparisons" in words
    assert "smaller marginal KL in 20, ties in 0 and loses 0" in words
    for preset in analysis.EXPERIMENT.presets.values():
        pieces = analysis.pieces(preset)
        names = {piece["target"] for piece in pieces}
        assert {piece["target"] for piece in pieces if piece["drawn"]} == names


@pytest.mark.slow
def test_beats_everybody_on_two_modes():
    piece = {"target": "two modes", "weights": [0.5, 0.5], "means": [-1.0, 1.0]}
    table = analysis.compute(piece | {"stds": [0.1, 0.1], "steps": 3, "drawn": False})
    errors = rows_of(table, "error", "two modes").set_index("design")
    assert set(errors.drop(analysis.BEST)["verdict"]) == {"beaten"}

"""Bounds over exact errors against naive sums, closed forms and the published constant."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from analyses import bound_over_exact

POINT = {"name": "point mass", "dim": 1, "mean": 1.0, "std": 0.0}
WIDE = {"name": "N(0, 2²)", "dim": 1, "mean": 0.0, "std": 2.0}


@pytest.fixture(scope="module")
def table():
    piece = {"part": "gaussians", "dim": 1, "targets": [POINT, WIDE], "steps": 6}
    return bound_over_exact.compute(piece)


def row(table, target, design):
    rows = table[(table["target"] == target) & (table["design"] == design)]
    assert len(rows) == 1
    return rows.iloc[0]


def song(steps):
    return 6400.0 * (4e-6 / 6400.0) ** (np.arange(steps + 1) / steps)


@pytest.mark.parametrize(("target", "variance"), [("point mass", 0.0), ("N(0, 2²)", 4.0)])
def test_exact_errors_are_the_naive_sums(table, target, variance):
    v, found = song(6), row(table, target, "song")
    ratio = (variance + v[1:]) / (variance + v[:-1])
    expected = 0.5 * np.sum(ratio - 1 - np.log(ratio))
    assert found["discretization"] == pytest.approx(expected, rel=1e-11)
    generated = v[0]
    for high, low in pairwise(v):
        generated = ((variance + low) / (variance + high)) ** 2 * generated + high - low
    ratio = (variance + v[-1]) / generated
    mean = 1.0 if variance == 0 else 0.0
    off = (mean * (variance + v[-1]) / (variance + v[0])) ** 2 / generated
    assert found["marginal_kl"] == pytest.approx(0.5 * (ratio - 1 - np.log(ratio) + off), rel=1e-9)


def test_theorem_2_is_the_naive_sum_on_song(table):
    """sigma_t^2 = 1/2 and sigma_bar^2 = t: the third integral is that of 1/(4 t^2)."""
    t, found = song(6), row(table, "N(0, 2²)", "song")
    gamma = t[:-1] - t[1:]
    diffusion = np.sum(gamma * (1 / t[1:] - 1 / t[:-1]) / 4)
    last = (t[1:-1] ** 2 - t[2:] * t[:-2]) / (t[:-2] * t[1:-1] ** 2)
    expected = diffusion + 4 * gamma[0] / 2 / t[0] ** 2 + 5 * np.sum((1 - np.exp(-t[1:-1])) * last)
    for name in ("theorem-2", "theorem-2-corrected"):
        # The last sum is 0 for Song's grid; rounding leaves 1e-12 of it.
        assert found[f"{name}, E_D"] == pytest.approx(expected, rel=1e-9)
        assert found[f"{name}, total"] == pytest.approx(expected + 4 / 6400, rel=1e-9)


def test_scale_aware_is_an_equality_on_a_point_mass(table):
    for design in bound_over_exact.SCHEDULES:
        found = row(table, "point mass", design)
        bound = found["discretization-scale-aware, E_D"]
        assert bound == pytest.approx(found["discretization"], rel=1e-10)


def test_the_constant_1_is_nearly_attained():
    piece = {"part": "gaussians", "dim": 1, "targets": [POINT], "steps": 500}
    found = row(bound_over_exact.compute(piece), "point mass", "song")
    assert found["theorem-2, E_D"] / found["discretization"] == pytest.approx(1.014, abs=5e-4)


def test_lemma_10_against_closed_forms():
    common = {"part": "start", "low": 0.1, "high": 100.0, "points": 5, "dim": 3}
    exact = bound_over_exact.compute(common | {"name": "a", "mean": 1.0, "std": 0.0})
    np.testing.assert_allclose(exact["bound"], exact["exact"], rtol=1e-12)
    np.testing.assert_allclose(exact["bound"], 1.5 / exact["variance"], rtol=1e-12)
    loose = bound_over_exact.compute(common | {"name": "b", "mean": 0.0, "std": 2.0})
    x = 4 / loose["variance"]
    np.testing.assert_allclose(loose["exact"], 1.5 * (x - np.log1p(x)), rtol=1e-11)


def test_pieces_and_finding(table):
    settings = bound_over_exact.EXPERIMENT.presets["quick"]
    made = bound_over_exact.pieces(settings)
    assert len(made) == 4 + 2 + 3 + 6
    start = bound_over_exact.compute(made[-1])
    other = table.assign(steps=12)  # a second number of steps, for the slope
    text = bound_over_exact.finding(pd.concat([table, other, start], ignore_index=True))
    assert "N(0, 2²), N = 12" in text
    assert "below E_D in 0 of 12 designs" in text

"""Cells of the comparison against the samplers' algorithms in NumPy, and where samplers cross."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from analyses import sampler_comparison as comparison

DIM = 3
PIECE = {"part": "gaussian", "evaluations": [10, 24], "dim": DIM, "searched": [10]}
DECAYING = np.array([1.0, 1 / 4, 1 / 9])


def edm(n):
    high, low = 80 ** (1 / 7), 0.002 ** (1 / 7)
    return (high + np.arange(n + 1) / n * (low - high)) ** 7


def song(n):
    return 80 * (0.002 / 80) ** (np.arange(n + 1) / n)


def frozen(value, total, a, b, n):
    h = a**2 - b**2
    return (1 - h / (value + a**2)) ** 2 * total + h


def ancestral(value, total, a, b, n):
    up = np.sqrt(b**2 * (a**2 - b**2)) / a
    factor = 1 - a * (a - np.sqrt(b**2 - up**2)) / (value + a**2)
    return factor**2 * total + up**2


def heun(value, total, a, b, n):
    first = a / (value + a**2)
    middle = 1 + (b - a) * first
    return (1 + (b - a) * (first + b / (value + b**2) * middle) / 2) ** 2 * total


def churn(value, total, a, b, n):
    """Algorithm 2 of EDM: s_churn = 40 between 0.05 and 50, s_noise = 1.003."""
    gamma = min(40 / n, 2**0.5 - 1) if 0.05 <= a <= 50 else 0.0
    raised = a + gamma * a
    total = total + (raised**2 - a**2) * 1.003**2
    return heun(value, total, raised, b, n)


def predictor_corrector(value, total, a, b, n):
    """Algorithm 2 of Song et al. with one Langevin step of 2 (0.16 |z|/|s|)^2, in mean squares."""
    total = frozen(value, total, a, b, n)
    step = 2 * 0.16**2 / np.mean(1 / (value + b**2))
    return (1 - step / (value + b**2)) ** 2 * total + 2 * step


ALGORITHMS = {
    "frozen": (frozen, 1),
    "ancestral": (ancestral, 1),
    "heun": (heun, 2),
    "churn": (churn, 2),
    "predictor-corrector": (predictor_corrector, 2),
}


def errors(step, values, sigmas):
    """Marginal KL and W2 of N(0, diag(values))."""
    total = np.full(len(values), sigmas[0] ** 2)
    for a, b in itertools.pairwise(sigmas):
        total = step(values, total, a, b, len(sigmas) - 1)
    true = values + sigmas[-1] ** 2
    kl = 0.5 * np.sum(true / total - 1 - np.log(true / total))
    return kl, np.sqrt(np.sum((np.sqrt(true) - np.sqrt(total)) ** 2))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("heun", "churn") else pytest.mark.slow)
        for name in ALGORITHMS
    ],
)
def test_cells_are_the_algorithm(name):
    step, cost = ALGORITHMS[name]
    table = comparison.compute(PIECE | {"sampler": name}).set_index(["law", "grid", "evaluations"])
    for law, values in (("N(0, 0.5²)", np.array([0.25])), ("decaying, d = 3", DECAYING)):
        for grid, levels in (("edm", edm), ("song", song)):
            for evaluations in PIECE["evaluations"]:
                row = table.loc[(law, grid, evaluations)]
                kl, w2 = errors(step, values, levels(evaluations // cost))
                # variances of 6400 fall to 1/4: naive sums keep eleven digits
                assert row["marginal_kl"] == pytest.approx(kl, rel=1e-8)
                assert row["w2"] == pytest.approx(w2, rel=1e-8)
                assert row["steps"] * cost == evaluations


def mixture_score(x, v):
    total = 0.01 + v
    return (np.tanh(x / total) - x) / total


@pytest.mark.slow
def test_two_modes_by_brute_force():
    piece = {"part": "modes", "sampler": "frozen", "std": 0.1, "grids": ["edm"], "evaluations": [2]}
    found = comparison.compute(piece).iloc[0]
    v = edm(2) ** 2
    x0, x1, x2 = (
        np.linspace(-700, 700, 2801),
        np.linspace(-500, 500, 4001),
        np.linspace(-14, 14, 3501),
    )
    density = norm.pdf(x0, 0, 80)
    for x, y, high, low in ((x0, x1, v[0], v[1]), (x1, x2, v[1], v[2])):
        mean = x + (high - low) * mixture_score(x, high)
        kernel = norm.pdf(y[:, None], mean[None, :], np.sqrt(high - low))
        density = kernel @ density * (x[1] - x[0])
    spread = np.sqrt(0.01 + v[2])
    p = (norm.pdf(x2, -1, spread) + norm.pdf(x2, 1, spread)) / 2
    inside = p > 1e-200
    kl = np.sum(p[inside] * np.log(p[inside] / density[inside])) * (x2[1] - x2[0])
    # trapezoids resolve the step's noise of 2.5 by ten points: nothing but rounding is left
    assert found["marginal_kl"] == pytest.approx(kl, rel=1e-7)
    assert found["path_kl"] > kl
    assert found["reason"] == ""


@pytest.mark.slow
def test_maps_that_fold_say_so():
    piece = {"part": "modes", "sampler": "heun", "std": 0.1, "grids": ["edm"], "evaluations": [16]}
    found = comparison.compute(piece).iloc[0]
    assert np.isnan(found["marginal_kl"])
    assert "folds" in found["reason"]


@pytest.mark.slow
def test_designs_of_the_table():
    table = comparison.compute(PIECE | {"part": "designs"})
    assert set(table["design"]) == set(comparison.DESIGNS)
    row = table[(table["design"] == "VE, Heun") & (table["law"] == "N(0, 0.5²)")].iloc[1]
    sigmas = 100 * (0.02 / 100) ** (np.arange(13) / 12)
    expected = errors(heun, np.array([0.25]), sigmas)[0]
    assert row["marginal_kl"] == pytest.approx(expected, rel=1e-8)


def made_up():
    """Errors 1/E, 10/E^2 and 3e-3, which cross at 10, 333 and 58."""
    counts = np.array([4.0, 8.0, 16.0, 64.0, 128.0, 512.0])
    values = {"ode-euler": 1 / counts, "heun": 10 / counts**2, "frozen": np.full(6, 3e-3)}
    parts = [
        pd.DataFrame({"sampler": name, "evaluations": counts, "marginal_kl": x, "w2": x})
        for name, x in values.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_crossings_of_powers_are_exact():
    def at(one, other):
        return comparison.crossings(made_up(), "marginal_kl", one, other)

    assert at("heun", "ode-euler") == pytest.approx([10.0])
    assert at("ode-euler", "frozen") == pytest.approx([1 / 3e-3])
    assert at("heun", "frozen") == pytest.approx([(10 / 3e-3) ** 0.5])
    assert at("heun", "nobody") == []


def test_the_best_at_each_budget():
    chosen = comparison.best(made_up(), "marginal_kl")
    assert list(chosen[[4.0, 8.0, 16.0, 64.0, 512.0]]) == ["frozen"] * 3 + ["heun"] * 2


def test_finding_reads_the_table():
    rows = made_up().assign(part="error", law="two modes", grid="edm", path_kl=1.0)
    rows.loc[rows["sampler"].eq("heun") & (rows["evaluations"] < 10), "marginal_kl"] = np.nan
    words = {name: 2.0 + i for i, name in enumerate(comparison.COMPARED)}
    small = [
        {"sampler": name, "grid": grid, "marginal_kl": value * (3 if grid == "edm" else 1)}
        for name, value in words.items()
        for grid in ("edm", "own")
    ]
    own = pd.DataFrame(small).assign(part="error", law="N(0, 0.5²)", evaluations=40, path_kl=5.0)
    text = comparison.finding(pd.concat([own, rows], ignore_index=True))
    assert "ode-euler and frozen at 333" in text
    assert "midpoint 3." in text
    assert "heun (up to 8)" in text
    assert "frozen 5 and 6" in text

"""Noise in the sampler: EDM's algorithm on a mean and a variance in NumPy, and other minimizers."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

import design_space as ds
from analyses import churned as churned_errors
from analyses import stochasticity
from analyses.churned import MOST, Cell, errors

VALUE, STEPS = 0.25, 18


def levels():
    share = np.arange(STEPS + 1) / STEPS
    return (80 ** (1 / 7) * (1 - share) + 0.002 ** (1 / 7) * share) ** 7


def score_of(cell, value):
    """Slope and intercept of the score at a noise level."""

    def score(sigma):
        inside = cell.low < sigma <= cell.high
        slope = -(cell.factor if inside else 1.0) / (value + sigma**2)
        return slope, cell.shift if inside else 0.0

    return score


def churned(cell, value=VALUE):
    """KL of Algorithm 2 of arXiv 2206.00364 on N(0, value), from the mean and variance."""
    sigma, score = levels(), score_of(cell, value)
    mean, variance = 0.0, sigma[0] ** 2
    for now, after in pairwise(sigma):
        top = now * (1 + (cell.noise if cell.s_min <= now <= cell.s_max else 0.0))
        variance += cell.s_noise**2 * (top**2 - now**2)
        (a, b), (c, d) = score(top), score(after)
        step = after - top
        # x' = x + step (d_1 + d_2)/2 with d = -sigma s, d_2 at x + step d_1
        first = (-top * a, -top * b)
        inner = (1 + step * first[0], step * first[1])
        second = (-after * c * inner[0], -after * (c * inner[1] + d))
        factor = 1 + step * (first[0] + second[0]) / 2
        mean = factor * mean + step * (first[1] + second[1]) / 2
        variance *= factor**2
    return divergence(value + sigma[-1] ** 2, mean, variance)


def ancestral(cell, value=VALUE):
    """KL of the update (16) of arXiv 2010.02502 for the variance-exploding state."""
    sigma, score = levels(), score_of(cell, value)
    mean, variance = 0.0, sigma[0] ** 2
    for now, after in pairwise(sigma):
        up = cell.noise**2 * after**2 * (now**2 - after**2) / now**2
        gain = now * (now - np.sqrt(after**2 - up))
        a, b = score(now)
        mean = mean + gain * (a * mean + b)
        variance = (1 + gain * a) ** 2 * variance + up
    return divergence(value + sigma[-1] ** 2, mean, variance)


def divergence(true, mean, variance):
    ratio = true / variance
    kl = 0.5 * (ratio - 1 - np.log(ratio) + mean**2 / variance)
    w2 = np.hypot(mean, np.sqrt(true) - np.sqrt(variance))
    return kl, w2, np.sqrt(variance / true)


CELLS = {
    "plain": Cell(0.1),
    "edm": Cell(MOST, s_min=0.05, s_max=50.0, s_noise=1.003),
    "too steep": Cell(0.2, factor=1.1),
    "early shift": Cell(0.3, shift=0.01, low=1.0),
    "late, flat": Cell(0.2, factor=0.9, high=0.1),
}


@pytest.mark.parametrize(("sampler", "naive"), [("churn", churned), ("ancestral", ancestral)])
def test_errors_are_the_algorithm(sampler, naive):
    cells = Cell(*(np.array(x) for x in zip(*CELLS.values(), strict=True)))
    found = errors(sampler, STEPS, np.array([VALUE, 1e-3]), cells)
    for i, cell in enumerate(CELLS.values()):
        for k, value in enumerate((VALUE, 1e-3)):
            kl, w2, spread = naive(cell, value)
            # The naive variance is good to 1e-13; KL and W2 are quadratic and linear in its error.
            assert found.marginal_kl[i, k] == pytest.approx(kl, rel=1e-9), (cell, value)
            assert np.sqrt(found.w2_squared[i, k]) == pytest.approx(w2, rel=1e-9)
            assert found.spread[i, k] == pytest.approx(spread, rel=1e-11)


def test_many_cells_in_parts_are_the_same(monkeypatch):
    cells = Cell(np.linspace(0, MOST, 7), factor=1.1)
    whole = errors("churn", 3, np.array([VALUE]), cells)
    monkeypatch.setattr(churned_errors, "_ROOM", 12)  # numbers of 4 cells
    for one, other in zip(whole, errors("churn", 3, np.array([VALUE]), cells), strict=True):
        assert one.shape == other.shape == (7, 1)
        np.testing.assert_allclose(one, other, rtol=1e-13)


@pytest.fixture(scope="module")
def tables():
    scan = {"sizes": [0.1], "points": 31, "dim": 2, "evaluations": 2 * STEPS}
    share = {"shares": [0.1, MOST], "factors": [0.98, 1.0, 1.02], "range": [0.6, 1.2]}
    given = [
        {"part": "scan", "sampler": "churn", "where": "everywhere"} | scan,
        {"part": "scan", "sampler": "churn", "where": "edm"} | scan,
        {"part": "s_noise", "points": 61, "evaluations": [2 * STEPS]} | share,
    ]
    return [stochasticity.compute(piece) for piece in given]


def test_the_best_churn_is_that_of_another_minimizer(tables):
    optima = tables[0][tables[0]["part"] == "optimum"]
    optima = optima[(optima["law"] == "N(0, 0.5²)") & (optima["criterion"] == "marginal_kl")]
    found = optima.set_index("error")
    for kind, cell in (("early shift", Cell(0.0, shift=0.01, low=1.0)), ("none", Cell(0.0))):
        other = minimize_scalar(
            lambda x, cell=cell: churned(cell._replace(noise=x))[0],
            bounds=(0, MOST),
            method="bounded",
            options={"xatol": 1e-9},
        )
        spacing = MOST / 30 * 2 / 20  # of the second scan
        assert found.loc[kind, "best"] == pytest.approx(other.x, abs=spacing), kind
        assert found.loc[kind, "least"] == pytest.approx(other.fun, rel=1e-3), kind
    assert found.loc["none", "gain"] == 1
    assert found.loc["early shift", "without"] == pytest.approx(
        churned(Cell(0.0, shift=0.01, low=1.0))[0], rel=1e-9
    )


def test_the_best_s_noise_is_that_of_another_minimizer(tables):
    rows = tables[2][tables[2]["part"] == "s_noise"]
    for row in rows.itertuples():
        other = minimize_scalar(
            lambda x, row=row: churned(Cell(row.noise, s_noise=x, factor=row.factor))[0],
            bounds=(0.5, 1.3),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert row.best == pytest.approx(other.x, abs=1e-4)


def test_claims_of_karras_et_al(tables):
    table = pd.concat(tables, ignore_index=True)
    claims = table[table["part"] == "claim"].set_index("claim")
    assert len(claims) == 6
    verdict = claims["verdict"].rename(index=lambda text: text.split(":")[0])
    assert verdict["noise itself adds error"] == "holds"
    assert verdict["the steeper the score, the larger the best s_noise"] == "holds"
    assert verdict["s_noise above 1 is best"] == "fails"
    text = stochasticity.finding(table)
    assert "36 evaluations" in text
    assert "s_noise above 1 is best" in text


def test_claim_of_detail_by_the_algorithm(tables):
    claims = tables[0][tables[0]["part"] == "claim"].set_index("claim")["value"]
    spread = churned(Cell(MOST), 0.25)[2]  # eigenvalues 1 and 1/4: the narrowest direction
    at = "full churn loses detail: narrowest direction, exact score"
    assert claims[at] == pytest.approx(spread, rel=1e-9)


@pytest.mark.slow
def test_two_modes_without_churn_are_heun():
    piece = {"errors": ["too flat"], "size": 0.1, "std": 0.3, "evaluations": 12, "shares": [0.0]}
    found = stochasticity.compute({"part": "modes"} | piece).iloc[0]
    target = ds.GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], 0.3)
    score = ds.scaled_score(ds.exact_score(target), 0.9)
    whole = ds.evaluate(target, ds.edm(6), score, ds.FlowHeun())
    assert found["marginal_kl"] == pytest.approx(float(whole.marginal_kl.value), rel=1e-7)
    assert found["w2"] == pytest.approx(float(whole.w2.value), rel=1e-7)

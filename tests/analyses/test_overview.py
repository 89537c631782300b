"""The overview against closed forms, reference numbers and the errors of single designs."""

import numpy as np
import pandas as pd
import pytest

from analyses import overview

DATA = {"separation": 1.0, "width": 0.2}


@pytest.fixture(scope="module")
def contest():
    # s = 0.5 is the middle of three scales
    piece = {"part": "contest", "low": 0.05, "high": 5.0, "points": 3, "steps": [10, 50]}
    return overview.compute(piece)


def test_contest_has_the_reference_numbers(contest):
    # Public reference numbers for N(0, 0.5^2) and the standard range, five digits.
    expected = {
        ("edm", 10): (2.3076, 0.24041),
        ("song", 10): (2.7484, 0.26505),
        ("edm", 50): (0.64842, 0.010920),
        ("song", 50): (0.85209, 0.011200),
    }
    rows = contest[np.isclose(contest["std"], 0.5)].set_index(["schedule", "steps"])
    for design, numbers in expected.items():
        found = rows.loc[design, ["discretization", "marginal_kl"]].to_numpy(float)
        np.testing.assert_allclose(found, numbers, rtol=5e-5)  # half of the last digit


def test_ratios_are_those_of_the_rows(contest):
    found = overview.ratios(contest, "marginal_kl")
    assert found.shape == (2, 3)
    assert found.iloc[0, 1] == pytest.approx(0.26505 / 0.24041, rel=1e-4)


def test_densities_are_densities_and_the_data_are_the_mixture():
    piece = {"data": DATA, "steps": [5, 20], "reach": 40.0, "points": 40001}
    table = overview.densities(piece)
    x = table.loc[table["steps"] == 0, "x"].to_numpy()
    variance = 0.2**2 + 0.002**2
    expected = sum(np.exp(-((x - m) ** 2) / (2 * variance)) for m in (-1, 1))
    expected /= 2 * np.sqrt(2 * np.pi * variance)
    data = table.loc[table["steps"] == 0, "density"].to_numpy()
    np.testing.assert_allclose(data, expected, rtol=1e-9, atol=1e-300)
    for steps in (5, 20):
        law = table.loc[table["steps"] == steps, "density"].to_numpy()
        # linear interpolation of the log density, and the wide law of 5 steps ends inside +-40
        assert np.trapezoid(law, x) == pytest.approx(1, abs=1e-4)
        np.testing.assert_allclose(law, law[::-1], rtol=1e-6, atol=1e-12)


@pytest.fixture(scope="module")
def budget():
    return overview.budget({"data": DATA, "steps": 12, "factor": 0.9}).iloc[0]


def test_budget_adds_up_and_lies_between_marginal_and_bounds(budget):
    parts = budget["initialization"] + budget["discretization"] + budget["score"]
    assert budget["path_kl"] == pytest.approx(parts, rel=1e-12)
    assert budget["marginal_kl"] < budget["path_kl"]
    for name in overview.BOUNDS:
        assert budget["path_kl"] < budget[name]


def test_score_error_is_its_sum(budget):
    # (1/2) (1 - factor)^2 sum_j h_j I(v_j), I by the trapezoid rule on the density of the mixture
    v = overview.edm(12).backward_variances
    total = 0.0
    for variance, step in zip(v[:-1], v[:-1] - v[1:], strict=True):
        c = 0.04 + float(variance)
        x = np.linspace(-1 - 12 * c**0.5, 1 + 12 * c**0.5, 20001)
        parts = [np.exp(-((x - m) ** 2) / (2 * c)) / (2 * np.sqrt(2 * np.pi * c)) for m in (-1, 1)]
        p = parts[0] + parts[1]
        slope = -(parts[0] * (x + 1) + parts[1] * (x - 1)) / c
        square = np.divide(slope**2, p, out=np.zeros_like(p), where=p > 0)
        total += 0.5 * 0.01 * float(step) * np.trapezoid(square, x)
    # the trapezoid rule is spectral here; the rest is rounding
    assert budget["score"] == pytest.approx(total, rel=1e-8)


def test_finding_has_the_numbers_of_the_table(contest, budget):
    row = budget.to_frame().T.infer_objects()
    text = overview.finding(pd.concat([row, contest], ignore_index=True))
    assert f"E_D = {budget['discretization']:.3g}" in text
    share = (overview.ratios(contest, "discretization") > 1).to_numpy().mean()
    assert f"smaller E_D in {share:.0%}" in text


def test_every_piece_can_be_computed():
    for preset in overview.EXPERIMENT.presets.values():
        made = overview.pieces(preset)
        assert {piece["part"] for piece in made} == {"density", "budget", "contest"}
        assert len({str(piece) for piece in made}) == len(made)

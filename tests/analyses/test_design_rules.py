"""Rules for schedules against closed forms, naive sums and published constants."""

import numpy as np
import pandas as pd
import pytest

from analyses import design_rules


@pytest.fixture(scope="module")
def tables():
    settings = design_rules.EXPERIMENT.presets["quick"] | {
        "factor": {"steps": [10, 500]},
        "steps": {"std": 0.5, "steps": [10, 500]},
    }
    return {p["part"]: design_rules.compute(p) for p in design_rules.pieces(settings)}


def test_cost_of_a_step(tables):
    x = tables["summand"]["x"]
    np.testing.assert_allclose(tables["summand"]["surrogate"], (1 - np.exp(-x)) ** 2, atol=1e-15)
    exact = 0.5 * (2 * x - 1 + np.exp(-2 * x))
    np.testing.assert_allclose(tables["summand"]["exact"], exact, atol=1e-15)


def test_gain_of_two_steps_is_the_closed_form(tables):
    gain = tables["gain"]
    two = gain[(gain["steps"] == 2) & gain["x"].notna()]
    ratio = np.exp(2 * two["x"])
    least = np.where(ratio > 4, 1 - 2 / ratio, 2 * (1 - ratio**-0.5) ** 2)
    np.testing.assert_allclose(two["gain"], 2 * (1 - ratio**-0.5) ** 2 / least, rtol=1e-9)


def test_gain_is_never_below_1_and_ends(tables):
    gain = tables["gain"]
    assert (gain["gain"] >= 1 - 1e-12).all()
    standard = gain[gain["variance"] == "t"].set_index("steps")["gain"]
    assert standard[101] > 1
    assert standard[102] == 1


def test_minima_of_the_criteria(tables):
    table = tables["exponent"]
    at = {name: table["x"].iloc[int(table[name].argmin())] for name in design_rules.CRITERIA}
    cell = 60 ** (1 / 120)  # neighbours of a scan of 121 values from 1 to 60
    for name, expected in (
        ("reduced objective", 0.5 * np.log(4e4)),
        ("discretization", 3.416),  # docs/theory/rho_scan.md, N = 100
        ("marginal_kl", 13.05),
    ):
        assert expected / cell < at[name] < expected * cell, name
    assert at["leading term"] == at["full bound"] == table["x"].iloc[-1]


def test_published_ratios(tables):
    ratio = tables["factor"].set_index(["convention", "x"])["ratio"]
    assert ratio["density, printed", 10] == pytest.approx(1.485, abs=5e-4)
    assert ratio["density, printed", 500] == pytest.approx(1.011, abs=5e-4)
    share = (80 ** (1 / 7) - (80 ** (1 / 7) - 0.002 ** (1 / 7)) / 500) ** 7
    closed = (80 - share) / (40 * (1 - (0.002 / 80) ** (2 / 500)))
    assert ratio["pointwise, printed", 500] == pytest.approx(closed, rel=1e-10)
    assert ratio["pointwise, corrected", 500] == pytest.approx(closed, rel=1e-10)
    crossing = ratio["crossover"].index[0]
    assert crossing == pytest.approx(9.705, abs=5e-4)


def test_path_error_is_the_published_one(tables):
    table = tables["steps"].set_index(["design", "x"])
    published = {"edm": (2.3076, 0.070656), "song": (2.7484, 0.095681)}
    published |= {"path-optimal": (1.8871, 0.051168)}
    for design, values in published.items():
        for steps, expected in zip((10, 500), values, strict=True):
            found = table.loc[(design, steps), "scaled"] / steps
            assert found == pytest.approx(expected, rel=5e-5), design
        limit = table.loc[(design, 500), "limit"]
        assert 0.98 < table.loc[(design, 500), "scaled"] / limit < 1
    length = np.log((0.25 + 6400) / (0.25 + 4e-6))
    assert table.loc[("path-optimal", 10), "limit"] == pytest.approx(length**2 / 4, rel=1e-12)
    # Song's: v falls at the rate 2 L v, so the integrand is (2 L v/(s^2 + v))^2.
    share = np.linspace(0, 1, 100_001)
    v = 4e-6 * (6400 / 4e-6) ** share
    expected = 0.25 * np.trapezoid((2 * np.log(4e4) * v / (0.25 + v)) ** 2, share)
    assert table.loc[("song", 10), "limit"] == pytest.approx(expected, rel=1e-7)


def test_tangent_grid_is_its_closed_form(tables):
    table = tables["steps"].set_index(["design", "x"])
    angle = np.arctan(160.0) - np.arctan(0.004)
    for steps in (10, 500):
        ratio = 6400 / 6400.25 * np.cos(angle / steps) ** (2 * steps)
        expected = 0.5 * (1 / ratio - 1 + np.log(ratio))
        # ratio - 1 is 5e-3 at N = 500: the naive form keeps ten digits of it.
        assert table.loc[("tangent", steps), "flow"] == pytest.approx(expected, rel=1e-8)
        for other in ("edm", "song"):
            assert table.loc[(other, steps), "flow"] > expected


def test_finding_reads_the_table(tables):
    text = design_rules.finding(pd.concat(tables.values(), ignore_index=True))
    assert "from N = 102 (σ̄ = t), 428 (σ̄ = sqrt t) on" in text
    assert "cross at N = 9.705" in text
    assert "path-optimal 25.58" in text

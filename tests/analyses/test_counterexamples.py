"""The drawn counterexamples against naive recursions, closed forms and hand numbers."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from analyses import counterexamples


@pytest.fixture(scope="module")
def tables():
    made = counterexamples.pieces(counterexamples.EXPERIMENT.presets["quick"])
    return {piece["part"]: counterexamples.compute(piece) for piece in made}


def edm(steps):
    share = np.arange(steps + 1) / steps
    return (80 ** (1 / 7) * (1 - share) + 0.002 ** (1 / 7) * share) ** 7


def test_means_follow_the_recursion(tables):
    table, v = tables["lemma-15"], edm(8) ** 2
    mean = [0.0]
    for high, low in pairwise(v):
        mean.append(mean[-1] - (high - low) * (mean[-1] - 1.0) / (0.25 + high))
    np.testing.assert_allclose(table["exact"], mean, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(table["corrected"], mean, rtol=1e-11, atol=1e-14)
    assert table["printed"].iloc[0] == pytest.approx(2 * 6400 / 6400.25)


def test_divergence_is_that_of_two_gaussians(tables):
    table, v = tables["lemma-13"], edm(20) ** 2
    generated = v[0]
    for high, low in pairwise(v):
        generated = ((0.25 + low) / (0.25 + high)) ** 2 * generated + high - low
    final = 0.25 + v[-1]
    off = table["x"] * final / (0.25 + v[0])
    expected = 0.5 * (final / generated - 1 - np.log(final / generated) + off**2 / generated)
    np.testing.assert_allclose(table["exact"], expected, rtol=1e-9)
    np.testing.assert_allclose(table["corrected"], expected, rtol=1e-9)
    assert table["printed"].iloc[-1] > 1e13


def test_cost_is_the_integral_of_the_rate(tables):
    table = tables["lemma-9"]
    np.testing.assert_allclose(table["rate"], table["corrected"], rtol=1e-12)
    x, rate = np.append(0, table["x"]), np.append(0, table["corrected"])
    # Trapezoid rule of 61 cells on a smooth function: relative error of 1e-3 at most.
    assert np.trapezoid(rate, x) == pytest.approx(table["exact"].iloc[-1], rel=2e-3)
    np.testing.assert_allclose(table["printed"], table["corrected"] / 2, rtol=1e-12)
    assert table["exact"].iloc[-1] > 5 * table["printed"].iloc[-1]


def test_irregular_grid_by_hand(tables):
    """Levels 10, 1, 0.5, sigma_bar = t: gamma = 9, .5; int dt/t^2 = .9, 1; shares .99, .75."""
    table = tables["theorem-2, irregular grid"]
    moment = table["x"]
    common = moment / 100 + 9 * 0.9 + 0.5 + moment * 99 / 2 / 1e4
    negative = (moment + 1) * (1 - np.exp(-1)) * (0.75 - 0.99)
    np.testing.assert_allclose(table["corrected"], common, rtol=1e-10)
    np.testing.assert_allclose(table["printed"], common + negative, rtol=1e-9, atol=1e-12)
    assert table["printed"].iloc[-1] < 0 < table["exact"].iloc[-1]
    assert (table["corrected"] > table["exact"]).all()
    assert (table["exact"] > table["marginal_kl"]).all()


def test_score_term_of_one_step_is_the_closed_form(tables):
    table = tables["theorem-2, falling"]
    table = table[table["grid"] == "one step"]
    a = table["x"]
    # gamma sigma^2 over h/2, with t = v^(1/(2a)) and v from 10 to 1
    expected = 2 * a * 10 * (1 - 0.1 ** (1 / (2 * a))) / 9
    np.testing.assert_allclose(table["printed"] / table["exact"], expected, rtol=1e-10)
    quarter = 20 * 0.25 * (1 - 0.1**2) / 9
    assert quarter == pytest.approx(2.475 / 4.5)


def test_equation_4_by_hand(tables):
    table = tables["equation-4"]
    sigma, total = table["x"], 0.25 + table["x"] ** 2
    np.testing.assert_allclose(table["exact"], 0.5 * 0.09 / total, rtol=1e-10)
    # r = v e + mmse/v and C = -mmse/v^2, mmse = .25 v/(.25 + v)
    mmse = 0.25 * sigma**2 / total
    residual = sigma**2 * 0.09 / total + mmse / sigma**2
    expected = 0.5 * (residual / sigma - mmse / sigma**4)
    np.testing.assert_allclose(table["printed"], expected, rtol=1e-9)
    # r/v and C are each 1/(4 v) or more, their sum 0.09/(.25 + v): four digits fewer.
    np.testing.assert_allclose(table["corrected"], table["exact"], rtol=1e-9)


def test_finding_reads_the_table(tables):
    text = counterexamples.finding(pd.concat(tables.values(), ignore_index=True))
    assert "starts at mean 0" in text
    assert "below the path KL at m₂² = 46.5" in text
    assert "0.222 on one step" in text

"""Residuals against the noise level: a forward pass in NumPy, closed forms, Proposition 1."""

import numpy as np
import pandas as pd
import pytest

from analyses import inverse_bell, trained_residuals
from figures import inverse_bell as figure

pytestmark = pytest.mark.slow  # a table of many designs is computed first

SETTINGS = inverse_bell.EXPERIMENT.presets["quick"] | {
    "dim": 2,
    "width": 16,
    "points": 5,
    "levels": 4,
    "seeds": 24,
    "fresh": 64,
    "measured": 45,
    "range": [1e-4, 1e4],
    "stages": [3, 40],
    "dtype": "float64",
}


@pytest.fixture(scope="module")
def table():
    parts = [inverse_bell.compute(piece) for piece in inverse_bell.pieces(SETTINGS)]
    return pd.concat(parts, ignore_index=True)


def rows(table, part, **wanted):
    found = table[table["part"] == part]
    for key, value in wanted.items():
        found = found[found[key] == value]
    return found


def numpy_scores(model, index, x, sigma):
    """The bare network of one seed at points [n, dim], by matrix products."""
    outputs = np.concatenate([x, np.full((len(x), 1), sigma)], axis=1)
    for matrix in (model.first, *model.hidden):
        outputs = np.maximum(outputs @ np.asarray(matrix)[index].T, 0)
    return outputs @ np.asarray(model.last)[index].T


def test_residuals_on_the_training_set_are_those_of_a_loop(table):
    settings = SETTINGS | {"model": "relu", "weighting": "EDM"}
    model, data = trained_residuals.drawn(settings)
    levels = np.asarray(data.sigmas)[0]
    found = rows(table, "training set", model="relu", weighting="EDM", step=0)
    for j, sigma in enumerate(levels):
        means = []
        for seed in range(settings["seeds"]):
            x, xi = np.asarray(data.points)[seed], np.asarray(data.noise)[seed, :, j]
            r = sigma * numpy_scores(model, seed, x + sigma * xi, sigma) + xi
            means.append(np.sqrt(np.mean(np.sum(r**2, axis=1))))
        value = found["value"].iloc[j]
        assert value == pytest.approx(np.exp(np.mean(np.log(means))), rel=1e-12)


def test_mean_squares_before_training_are_the_closed_form(table):
    """24 seeds of width 16: heavy tails, so the 99 % interval is taken twice as wide."""
    for model in ("relu", "preconditioned"):
        start = rows(table, "curve", model=model, step=0)
        off = np.abs(start["square"] - start["expected"]) / start["square_error"]
        assert off.max() < 2, model
        assert len(off) > 40


def test_closed_form_against_plain_sampling():
    """One level, many small networks drawn by NumPy."""
    random, (dim, width, count) = np.random.default_rng(0), (2, 8, 40_000)
    settings = SETTINGS | {"range": [0.7, 0.8], "measured": 2}
    target_second = 1 + dim * 0.09
    x = random.choice([-1, 1], count)[:, None] * np.full(dim, dim**-0.5)
    x = x + 0.3 * random.standard_normal((count, dim))
    xi, sigma = random.standard_normal((count, dim)), 0.7

    def network(given):
        outputs = given
        for _ in range(2):
            w = random.standard_normal((count, width, outputs.shape[1])) * np.sqrt(2 / width)
            outputs = np.maximum(np.einsum("nij,nj->ni", w, outputs), 0)
        last = random.standard_normal((count, dim, width)) / np.sqrt(dim)
        return np.einsum("nij,nj->ni", last, outputs)

    noisy = x + sigma * xi
    bare = sigma * network(np.column_stack([noisy, np.full(count, sigma)])) + xi
    total = sigma**2 + 0.25
    inner = network(np.column_stack([noisy / np.sqrt(total), np.full(count, np.log(sigma) / 4)]))
    wrapped = sigma * (0.5 / (np.sqrt(total) * sigma) * inner - noisy / total) + xi
    assert np.mean(np.sum(x**2, axis=1)) == pytest.approx(target_second, rel=0.02)
    for model, r in (("relu", bare), ("preconditioned", wrapped)):
        squares = np.sum(r**2, axis=1)
        expected = inverse_bell.expected_squares(settings | {"model": model})[0]
        error = 4 * squares.std() / np.sqrt(count)  # four standard errors
        assert squares.mean() == pytest.approx(expected, abs=error), model


def test_asymptotes_hold_at_least_as_far_as_proposition_1_says(table):
    measured = rows(table, "end").set_index(["weighting", "step", "end"])["value"]
    explicit = rows(table, "explicit").set_index(["weighting", "step", "end"])["value"]
    for key, value in explicit.items():
        if key[2] == "small":
            assert measured[key] > value, key
        else:
            assert measured[key] < value, key
    assert len(explicit) == 12


def test_far_ends_are_the_asymptotes(table):
    """At sigma = 1e-4 and 1e4 the deviation is of the order of sigma K and K/sigma: below 1 %."""
    for weighting in ("EDM", "inverse square"):
        for step in (0, 3, 40):
            about = {"model": "relu", "weighting": weighting, "step": step}
            curve = rows(table, "curve", **about)
            limit = rows(table, "limit", **about)["value"].iloc[0]
            assert curve["value"].iloc[0] == pytest.approx(np.sqrt(2), rel=0.1)  # 64 draws a seed
            assert curve["value"].iloc[-1] == pytest.approx(1e8 * limit, rel=0.01)


def test_floor_is_that_of_scipy_quadrature(table):
    """mmse/v of the two modes in two dimensions: along the line of the means, and across."""
    curve = rows(table, "curve", model="relu", weighting="EDM", step=0)
    sigma = curve["sigma"].iloc[22]  # near 1
    v, s2 = sigma**2, 0.09
    y = np.linspace(-12, 12, 40_001)
    density = sum(np.exp(-0.5 * (y - m) ** 2 / (s2 + v)) for m in (-1, 1))
    density /= density.sum()
    mean = (s2 * y + v * np.tanh(y / (s2 + v))) / (s2 + v)  # E(x | y)
    along = 1 + s2 - np.sum(density * mean**2)
    expected = np.sqrt((along + s2 * v / (s2 + v)) / v)
    assert curve["floor"].iloc[22] == pytest.approx(expected, rel=1e-8)


def test_reach_of_a_known_deviation():
    sigmas = np.geomspace(0.01, 100, 4001)
    assert inverse_bell.reach(sigmas, sigmas) == pytest.approx(0.1, rel=1e-3)
    assert inverse_bell.reach(sigmas[::-1], 1 / sigmas[::-1]) == pytest.approx(10, rel=1e-3)
    assert inverse_bell.reach(sigmas, 0 * sigmas) == 100
    assert np.isnan(inverse_bell.reach(sigmas, 1 + sigmas))


def test_dip_of_a_parabola():
    sigmas = np.geomspace(0.01, 100, 41)
    level, least = inverse_bell.dip(sigmas, 0.3 * np.exp(np.log(sigmas / 1.7) ** 2))
    assert level == pytest.approx(1.7, rel=1e-12)
    assert least == pytest.approx(0.3, rel=1e-12)


def test_shares_are_the_weighting_times_the_square(table):
    about = {"model": "relu", "weighting": "EDM", "step": 0, "levels": "trained"}
    flat = rows(table, "share", reading="uniform", **about)["value"].to_numpy()
    falling = rows(table, "share", reading="inverse square", **about)
    sigmas = falling["sigma"].to_numpy()
    ratio = falling["value"].to_numpy() / flat * sigmas**2
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
    assert (rows(table, "uneven")["value"] >= 1).all()


def test_bells_peak_where_they_are_known_to(table):
    """docs/theory/bell_weighting.md: 0.0762 at a level, 5.23 per unit of ln sigma."""
    cell = (1e8) ** (1 / 44)
    for reading, top in (("EDM, at a level", 0.0762), ("EDM, density", 5.23)):
        own = rows(table, "bell", reading=reading)
        at = own["sigma"].iloc[int(own["value"].to_numpy().argmax())]
        assert top / cell < at < top * cell


def test_training_lowers_the_arm_and_the_figure_draws(table):
    limit = rows(table, "limit", weighting="EDM").set_index("step")["value"]
    assert limit[40] < limit[3] < limit[0]
    text = inverse_bell.finding(table)
    assert f"to {limit[40]:.3g} [" in text
    axes = figure.draw(table).axes
    assert len(axes) == 6
    assert all(ax.lines for ax in axes)
    assert len(figure.CAPTION) > 100

"""The race of weightings: its parts against independent computations, and one small race whole."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analyses import weighting_race
from analyses.race import AGAIN, EQUAL, NAMED, entered, measuring, solved, trained
from design_space.training.ensemble import member
from design_space.training.objective import empirical_loss, residuals

TINY = {
    "track": "population",
    "model": "features",
    "dim": 1,
    "points": 5,
    "levels": 3,
    "low": 0.2,
    "high": 2.0,
    "width": 6,
    "depth": 1,
    "dtype": "float64",
    "seed": 3,
    "seeds": 2,
    "steps": 20,
    "records": 4,
    "multiples": [0.5, 0.9],
    "thresholds": {"own": [0.99], "score": [1e-9]},
}


def test_seeds_share_data_noise_and_weights_under_every_weighting():
    runs = entered(TINY, ("EDM", "uniform", EQUAL), 2)
    assert runs.weightings == ("EDM", "EDM", "uniform", "uniform", EQUAL, EQUAL)
    for seed in range(2):
        for place in (2, 4):
            np.testing.assert_array_equal(runs.data.noise[seed], runs.data.noise[place + seed])
            np.testing.assert_array_equal(
                runs.models.features.directions[seed], runs.models.features.directions[place + seed]
            )
    assert not np.any(np.asarray(runs.data.noise[0] == runs.data.noise[1]))


def test_weightings_are_those_named_up_to_a_scale():
    runs = entered(TINY, ("Min-SNR", "Song"), 2)
    sigmas = np.asarray(runs.data.sigmas[0])
    grid = np.concatenate([[0.2], sigmas])
    for place, beta in ((0, np.minimum(1, 5 * sigmas**2)), (2, np.log(grid[1:] / grid[:-1]))):
        found = np.asarray(runs.data.beta[place])
        np.testing.assert_allclose(found / found[0], beta / beta[0], rtol=1e-12)
        assert np.max(found * sigmas**2) == pytest.approx(1, rel=1e-14)
    assert set(NAMED) == {"EDM", "uniform", "Song", "Min-SNR", "P2"}


def test_equal_weights_make_levels_equal():
    runs = entered(TINY, (EQUAL,), 2)
    for index in range(2):
        model, data = member(runs.models, index), member(runs.data, index)
        squares = np.sum(np.asarray(residuals(model, data)) ** 2, axis=-1)
        means = np.asarray(data.beta) * squares.mean(axis=0)
        np.testing.assert_allclose(means, means[0], rtol=1e-12)


def test_simulated_runs_and_the_closed_form_agree():
    runs, at = entered(TINY, ("EDM", "P2"), 2), np.array([1, 4, 20])
    multiples = np.array([0.5, 0.9, 0.5, 0.9])
    measure = measuring(TINY)
    simulated, _ = trained(runs, multiples, at, measure)
    exact, _ = solved(runs, multiples, at, measure)
    for one, other in zip(simulated, exact, strict=True):
        for field in ("own", "residual", "score", "unevenness"):
            # The step is found by Lanczos, to 1e-8; the rest is rounding.
            np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=1e-6)


def test_measures_against_their_definitions():
    runs = entered(TINY, ("EDM",), 2)
    found = measuring(TINY)(runs.models, runs.data)
    model, data = member(runs.models, 0), member(runs.data, 0)
    np.testing.assert_allclose(found.own[0], empirical_loss(model, data), rtol=1e-12)
    np.testing.assert_allclose(found.residual[0], jnp.mean(residuals(model, data) ** 2), rtol=1e-12)
    # Zero weights: E_S = (1/2) sum_j h_j I(v_j), by brute force over x.
    grid = np.concatenate([[0.2], np.asarray(data.sigmas)])
    x = np.linspace(-14, 14, 40001)
    total = 0.0
    for low, high in itertools.pairwise(grid):
        v = 0.09 + high**2
        density = sum(0.5 * np.exp(-((x - m) ** 2) / (2 * v)) for m in (-1, 1))
        density /= np.sqrt(2 * np.pi * v)
        information = np.sum(np.gradient(density, x) ** 2 / np.maximum(density, 1e-300))
        total += 0.5 * (high**2 - low**2) * information * (x[1] - x[0])
    assert float(found.score[0]) == pytest.approx(total, rel=1e-5)  # differences: h^2/6 = 1e-7


def test_adaptive_weights_follow_the_residuals():
    settings = TINY | {"model": "relu", "width": 8}
    runs = entered(settings, (AGAIN,), 2)
    found, lost = trained(runs, np.full(2, 0.5), np.array([2, 10]), measuring(settings))
    assert not lost.any()
    for one in found:
        np.testing.assert_allclose(one.unevenness, 1, rtol=1e-10)
    assert np.all(found[-1].residual < found[0].residual)


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_steps_to_a_threshold_of_a_power_law(power):
    at = np.array([1, 3, 10, 40, 100])
    values = at**-power
    found = weighting_race.steps_to(at, values, 7.0**-power)
    assert found == pytest.approx(7.0, rel=1e-12)
    assert weighting_race.steps_to(at, values, 2.0) == 1.0
    assert np.isnan(weighting_race.steps_to(at, values, 1e-9))


def test_late_rates_of_an_exponential():
    at = np.array([1, 5, 20, 100, 1000])
    values = np.exp(-np.outer([1e-3, 2e-2], at))
    np.testing.assert_allclose(weighting_race.late_rates(at, values), [1e-3, 2e-2], rtol=1e-12)


@pytest.fixture(scope="module")
def table():
    return weighting_race.compute(TINY)


def test_the_table_is_tidy(table):
    assert set(table["part"]) == {"curve", "arrival", "rate", "level"}
    curves = table[table["part"] == "curve"]
    assert set(curves["metric"]) == {"own", "residual", "score", "unevenness"}
    assert np.all(curves["low"] <= curves["value"])
    assert np.all(curves["value"] <= curves["high"])
    starts = curves[(curves["step"] == 0) & (curves["metric"] == "own")]
    np.testing.assert_array_equal(starts["value"], 1.0)
    assert AGAIN not in set(table["weighting"])  # a solved trajectory has one weighting


def test_the_finding_names_everyone_and_who_never_arrived(table):
    words = weighting_race.finding(table)
    assert "EDM" in words
    assert "not in every run" in words


def test_presets_hold_every_race():
    for preset in ("quick", "full"):
        races = weighting_race.pieces(weighting_race.EXPERIMENT.presets[preset])
        named = [(race["track"], race["model"]) for race in races]
        assert len(set(named)) == len(named) == 5
        for race in races:
            shape = jax.eval_shape(
                lambda race=race: eqx.filter(entered(race, ("EDM",), 2), eqx.is_array).data.points
            )
            assert shape.shape == (2, race["points"], race["dim"])

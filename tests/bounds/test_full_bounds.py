"""Theorem 3 and Corollary 1 against sums written out, and numbers by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from design_space.bounds import full
from design_space.bounds.sampling import theorem_2_corrected
from design_space.schedules.named import edm, song
from design_space.schedules.schedule import Schedule
from design_space.schedules.variance import Power
from design_space.weightings.base import CustomWeighting
from design_space.weightings.named import edm_weighting

BETA = np.array([0.3, 2.0, 1.0, 0.7, 0.1])
WEIGHTING = CustomWeighting(BETA)
ERRORS = np.array([3.0, 0.2, 1.5, 0.01, 0.3])  # e_j, ascending in noise
GRIDS = {
    "edm": edm(5, 0.05, 8.0),
    "song": song(5, 0.05, 8.0),
    "falling": Schedule.from_sigmas([8.0, 3.0, 1.0, 0.5, 0.2, 0.05], Power(0.3)),
}


def coefficients(grid, power):
    """sigma_t^2/w, level by level, with w = beta sigma_bar^power/dt."""
    t, sigma = np.asarray(grid.forward_times), np.asarray(grid.forward_sigmas)
    diffusion = np.asarray(grid.forward_diffusions)
    found = [
        diffusion[j] * (t[j] - t[j - 1]) / (BETA[j - 1] * sigma[j] ** power) for j in range(1, 6)
    ]
    return np.array(found)


def excess(grid):
    return 0.5 * np.sum(BETA * np.asarray(grid.forward_sigmas[1:]) ** 2 * ERRORS)


@pytest.mark.parametrize("name", GRIDS)
def test_coefficients(name):
    grid = GRIDS[name]
    for power, function in ((1, full.score_coefficient_printed), (2, full.score_coefficient)):
        np.testing.assert_allclose(function(grid, WEIGHTING), coefficients(grid, power).max())
    v = np.asarray(grid.forward_sigmas) ** 2
    truth = [(v[j] - v[j - 1]) / (BETA[j - 1] * v[j]) for j in range(1, 6)]
    np.testing.assert_allclose(full.step_coefficients(grid, WEIGHTING), truth, rtol=1e-12)


def test_diffusion_is_half_the_growth_of_the_variance():
    """sigma_t^2 = (1/2) dv/dt: t for sigma_bar = t, 1/2 for sqrt t, as `coefficients` reads it."""
    np.testing.assert_allclose(GRIDS["edm"].forward_diffusions, GRIDS["edm"].forward_times)
    np.testing.assert_allclose(GRIDS["song"].forward_diffusions, 0.5)


@pytest.mark.parametrize("name", GRIDS)
def test_the_score_term_bounds_the_score_error(name):
    grid, loss = GRIDS[name], excess(GRIDS[name])
    v = np.asarray(grid.forward_sigmas) ** 2
    score = 0.5 * np.sum(np.diff(v) * ERRORS)
    parts = full.step_coefficients(grid, WEIGHTING) * (0.5 * BETA * v[1:] * ERRORS)
    np.testing.assert_allclose(jnp.sum(parts), score, rtol=1e-12)
    by_steps = full.theorem_3_by_steps(2, 1.0, grid, WEIGHTING, loss)
    assert score <= by_steps.score
    if name != "falling":
        corrected = full.theorem_3_corrected(2, 1.0, grid, WEIGHTING, loss)
        assert by_steps.score <= corrected.score * (1 + 1e-12)
        mismatches = ERRORS[::-1].copy()
        assert theorem_2_corrected(2, 1.0, grid, mismatches).score <= corrected.score


def test_the_rest_is_theorem_2s():
    grid = GRIDS["edm"]
    given = theorem_2_corrected(2, 1.0, grid, np.zeros(5))
    found = full.theorem_3_corrected(2, 1.0, grid, WEIGHTING, 0.0)
    assert found.total == given.total
    constants = full.Theorem3Constants(score=3.0)
    printed = full.theorem_3(2, 1.0, grid, WEIGHTING, 5.0, constants)
    np.testing.assert_allclose(printed.score, 15 * coefficients(grid, 1).max())


def test_with_edms_weighting_the_printed_coefficient_is_too_small():
    """sigma_bar_t = t and a density: sigma_t^2/w = 1/(beta_EDM sigma), printed 1/beta_EDM."""
    grid, weighting = edm(50), edm_weighting()
    sigma = np.asarray(grid.forward_sigmas[1:])
    bell = np.exp(-((np.log(sigma) + 1.2) ** 2) / (2 * 1.44)) * (sigma**2 + 0.25) / (sigma * 0.25)
    np.testing.assert_allclose(full.score_coefficient(grid, weighting), max(1 / (bell * sigma)))
    np.testing.assert_allclose(full.score_coefficient_printed(grid, weighting), max(1 / bell))
    assert np.argmax(1 / (bell * sigma)) == 0
    assert np.argmax(1 / bell) == 49


def test_corollary_1_by_hand():
    """d = 2, m2^2 = 3, delta = 1, T = 128, N = 4, a = 7: (T/delta)^(1/a) = 2."""
    training = full.NetworkTraining(points=2, width=8, learning_rate=1, iterations=3, exponent=0.5)
    found = full.corollary_1(2, 3.0, 1.0, 128.0, 4, training)
    first, second = 49 * 2 / 4, 343 * 4 / 16
    np.testing.assert_allclose(found.initialization, 3 / 128**2)
    np.testing.assert_allclose(found.discretization, 2 * first + 5 * (first + second))
    left = (1 - 8 * 2**-0.25 / (8 * 16)) ** 3
    np.testing.assert_allclose(found.score, (1 + left) / 4)
    constants = full.Corollary1Constants(score=2.0, floor=0.5, rate=0.0, diffusion=0.0)
    other = full.corollary_1_corrected(2, 3.0, 1.0, 128.0, 4, training, constants=constants)
    np.testing.assert_allclose(other.score, 2 * 1.5)
    np.testing.assert_allclose(other.discretization, 5 * (first + second))


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="loss"):
        full.theorem_3(1, 1.0, GRIDS["edm"], WEIGHTING, -1.0)
    training = full.NetworkTraining(2, 8, 1, 3)
    with pytest.raises(ValueError, match="low"):
        full.corollary_1(1, 1.0, 2.0, 1.0, 4, training)

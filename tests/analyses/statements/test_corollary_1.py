"""Corollary 1 in the ledger, and its closed-form chain against the toolkit's."""

import jax
import numpy as np
import pytest

from analyses.judge import judge
from analyses.statements import corollary_1
from analyses.statements.corollary_1 import COROLLARY_1
from design_space.bounds.full import score_coefficient
from design_space.errors.budget import error_budget
from design_space.schedules.named import edm
from design_space.scores.linear import per_level_affine
from design_space.targets.gaussian import Gaussian
from design_space.training.population import population_solvable
from design_space.weightings.named import edm_weighting


def test_the_chain_is_the_toolkits():
    std, low, high, steps, count = 0.7, 0.01, 20.0, 30, 12
    found = corollary_1._chain(std, low, high, steps, count)
    grid, weighting, target = (
        edm(count, low, high),
        edm_weighting().pointwise(),
        Gaussian.isotropic(1, std),
    )
    model = per_level_affine(1, grid, intercept=False)
    training = population_solvable(model, target, grid, weighting)
    rate = training.stability_limit / 2
    errors = error_budget(target, grid, training.at(steps, rate), key=jax.random.key(0))
    known = (
        errors.initialization.value,
        errors.discretization.value,
        errors.score.value,
        score_coefficient(grid, weighting),
        training.excess(steps, rate),
    )
    np.testing.assert_allclose(found[:5], known, rtol=1e-9)


def test_the_score_term_does_not_fall():
    judged = judge(COROLLARY_1, {})
    assert judged.as_recorded
    outcomes = {outcome.claim.name: outcome for outcome in judged.outcomes}
    assert outcomes["corrected"].designs >= 500
    assert outcomes["printed"].margin < 0.1
    exponents = outcomes["1/N"].seen.left
    np.testing.assert_allclose(exponents, 0, atol=0.05)
    assert outcomes["coefficient"].seen.left == pytest.approx(-1, abs=0.02)


def test_the_shape_in_the_range_of_levels_and_in_training():
    outcomes = {outcome.claim.name: outcome for outcome in judge(COROLLARY_1, {}).outcomes}
    names = ("T", "T/delta", "K", "late K")
    assert all(outcomes[name].holds for name in names)
    # N E_D of a point mass is 4 rho^2 sinh^2(L/2 rho), over rho^2 e^(L/rho) (1 - e^(-L/rho))^2
    seen = outcomes["T/delta"].seen
    lengths = np.log(10) * np.linspace(0.5, 9, len(seen.left))
    np.testing.assert_allclose(seen.left / seen.right, (1 - np.exp(-lengths / 7)) ** 2, rtol=1e-3)

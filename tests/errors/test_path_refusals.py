"""Samplers that have no path KL, and noise that is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.errors.budget import error_budget
from design_space.errors.design import SamplerDesign
from design_space.errors.path import path_terms
from design_space.optimal.langevin import predictor_corrector
from design_space.optimal.step_variance import optimal_variance
from design_space.sampling.flows import Churn, FlowEuler, FlowHeun, FlowMidpoint
from design_space.sampling.steppers import Ancestral, OptimalVariance
from design_space.schedules.named import edm
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score
from design_space.targets.gaussian import Gaussian

STEPS = 5
KEY = jax.random.key(3)
GRID = edm(STEPS, 0.02, 8.0)
LINE = Gaussian.isotropic(1, 0.7, np.array([1.25]))


@pytest.mark.parametrize(
    ("stepper", "reason"),
    [
        (FlowEuler(), "moves without noise"),
        (FlowHeun(), "moves without noise"),
        (FlowMidpoint(), "moves without noise"),
        (Ancestral(0.0), "moves without noise"),
        (
            OptimalVariance(np.where(np.arange(STEPS) == 2, -GRID.backward_variance_steps, 0)),
            "moves without noise",
        ),
        (Churn(), "one noisy move per step"),
        (predictor_corrector(LINE, GRID), "one noisy move per step"),
    ],
)
def test_samplers_without_a_path_kl_say_why(stepper, reason):
    found = path_terms(SamplerDesign(LINE, GRID, exact_score(LINE), stepper), KEY, 64)
    assert isinstance(found, str)
    assert reason in found


def test_uneven_noise_takes_the_exact_score():
    target = Gaussian([0.5, -2.0], [[0.5, 0.2], [0.2, 1.0]])
    full = optimal_variance(target, GRID, "full")
    score = scaled_score(exact_score(target), 1.1)
    found = path_terms(SamplerDesign(target, GRID, score, full), KEY, 64)
    assert isinstance(found, str)
    assert "exact score only" in found


@pytest.mark.parametrize(
    ("defects", "message"),
    [
        (
            -1.5 * GRID.backward_variance_steps,
            r"variance of step 0 = -.*: must be at least 0; raise defects\[0\]",
        ),
        (
            np.full((STEPS, 2, 2), -100.0),
            r"least variance of step 4 = -199\..*: must be above 0; raise defects\[4\]",
        ),
    ],
)
def test_a_variance_below_zero_is_refused(defects, message):
    with pytest.raises(ValueError, match=message):
        OptimalVariance(defects).moves(GRID)


def test_no_noise_inside_a_traced_share_gives_no_finite_path_kl():
    """eta = 0 is singular; where eta is traced, only the number can say so."""

    def path(eta):
        found = error_budget(LINE, GRID, stepper=Ancestral(eta))
        return found.path_kl.value, found.marginal_kl.value

    paths, marginals = jax.jit(jax.vmap(path))(jnp.array([0.0, 0.5, 1.0]))
    assert not np.isfinite(paths[0])
    for at, eta in ((1, 0.5), (2, 1.0)):
        alone = error_budget(LINE, GRID, stepper=Ancestral(eta))
        np.testing.assert_allclose(paths[at], alone.path_kl.value, rtol=1e-12)
    ddim = error_budget(LINE, GRID, stepper=Ancestral(0.0))
    np.testing.assert_allclose(marginals[0], ddim.marginal_kl.value, rtol=1e-12)

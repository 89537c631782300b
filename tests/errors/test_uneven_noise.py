"""Noise that is not alike in every direction, that is none, and moves of one's own."""

import itertools
from typing import ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.errors.budget import error_budget
from design_space.errors.gaussian_marginal import gaussian_law
from design_space.errors.metrics import sampler_metrics
from design_space.optimal.step_variance import optimal_variance
from design_space.sampling.flows import Churn
from design_space.sampling.moves import OneStage, as_chain
from design_space.sampling.simulate import simulate
from design_space.sampling.steppers import AbstractStepper, OptimalVariance
from design_space.schedules.named import edm
from design_space.scores.exact import exact_score
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

GRID = edm(4, 0.1, 10.0)
V, H = np.asarray(GRID.backward_variances), np.asarray(GRID.backward_variance_steps)


@final
class Own(AbstractStepper):
    """One move with defects of mean and noise, its score asked at a share of the level."""

    kind: ClassVar[str] = "own"
    covariances: jax.Array
    share: float = eqx.field(static=True, default=1.0)

    def moves(self, schedule):
        h = schedule.backward_variance_steps
        return (
            OneStage(
                sigma=self.share * schedule.backward_sigmas[:-1],
                drop=h,
                stretch=jnp.full_like(h, 0.05),
                gain_defect=0.1 * h,
                variance_defect=self.covariances,
                before=schedule.backward_variances[:-1],
                after=schedule.backward_variances[1:],
                random=True,
            ),
        )


def test_round_noise_given_as_matrices_has_the_same_path_kl():
    target = Gaussian([1.0, -0.5], [[0.5, 0.2], [0.2, 0.3]])
    round_, matrix = -0.1 * jnp.asarray(H), -0.1 * jnp.asarray(H)[:, None, None] * jnp.eye(2)[None]
    one, other = (error_budget(target, GRID, stepper=Own(r)) for r in (round_, matrix))
    # the same sums in another order
    np.testing.assert_allclose(other.path_kl.value, one.path_kl.value, rtol=1e-12)
    np.testing.assert_allclose(other.marginal_kl.value, one.marginal_kl.value, rtol=1e-9)


def test_a_score_that_is_asked_at_another_level():
    """Closed form against the recursion of mean and variance on numbers."""
    m, value, share = 0.7, 0.5, 1.3
    target = Gaussian([m], [[value]])
    mean, variance = 0.0, V[0]
    for (v, _), h in zip(itertools.pairwise(V), H, strict=True):
        rate = 1.1 * h / (value + share**2 * v)
        mean = 1.05 * mean - rate * (mean - m)
        variance = (1.05 - rate) ** 2 * variance + 0.9 * h
    law = gaussian_law(target, GRID, exact_score(target), Own(-0.1 * jnp.asarray(H), share))
    # a score of N(m, l + share^2 v) is asked there: the target's own score at that level
    assert float(law.shift[0]) == pytest.approx(mean - m, rel=1e-12)
    assert float(law.excess[0]) == pytest.approx(variance - value - V[-1], rel=1e-11)


def test_full_covariances_on_a_mixture_that_reduces_to_a_line():
    """Such noise does not split along and across: the plane takes over."""
    target = GaussianMixture.isotropic([0.3, 0.7], [[-1.0, 0.0], [1.0, 1.0]], [0.5, 0.5])
    full = optimal_variance(target, GRID, "full")
    found = error_budget(target, GRID, stepper=full, samples=512)
    assert found.marginal_kl.method == "quadrature"
    assert 0 < float(found.marginal_kl.value) < float(found.path_kl.value)
    assert np.all(np.isfinite(sampler_metrics(target, GRID, None, full, samples=512).mean.value))


def test_the_error_of_the_full_noise_term_is_of_its_size():
    means = [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.5, 0.0], [0.0, 0.0, 1.0]]
    target = GaussianMixture.isotropic([0.25] * 4, means, [0.3] * 4)
    full = optimal_variance(target, GRID, "full", samples=512)
    steps = error_budget(target, GRID, stepper=full, samples=512).discretization_steps
    assert np.all(np.asarray(steps.error) < 2.0)


def test_no_chain_where_a_step_has_no_noise():
    h = jnp.asarray(H)
    assert as_chain(OptimalVariance(-0.5 * h).moves(GRID)) is not None
    assert as_chain(OptimalVariance(-h * jnp.array([0.0, 0, 0, 1])).moves(GRID)) is None


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: OptimalVariance(H[:, None, None] * [[0, 0.4], [0, 0]]), "symmetric"),
        (lambda: _budget(OptimalVariance(np.zeros((4, 1, 1)))), r"covariances = 1: .* 2"),
        (lambda: _budget(OptimalVariance(np.zeros((4, 3, 3)))), r"covariances = 3: .* 2"),
        (lambda: Churn(s_min=50.0, s_max=0.05), "s_min = 50"),
        (lambda: simulate(SCORE, GRID, jax.random.key(0), count=2, dim=2, stepper="x"), "stepper"),
        (lambda: sampler_metrics(PLANE, GRID, sampler="heun"), "sampler = 'heun'"),
    ],
)
def test_refusals(act, message):
    with pytest.raises(ValueError, match=message):
        act()


PLANE = Gaussian([0.0, 0.0], [[1.0, 0.0], [0.0, 2.0]])
SCORE = exact_score(PLANE)


def _budget(stepper):
    return error_budget(PLANE, GRID, stepper=stepper)


def test_churn_without_an_upper_level():
    assert float(Churn(5.0, 0.0, np.inf, 1.0).s_max) == np.inf

"""Errors in the plane against closed forms, and against the line where the law is a product."""

import jax
import numpy as np
import pytest
from reference import grids

from design_space.errors.marginal import marginal_errors
from design_space.errors.plane import plane_marginals
from design_space.sampling.flows import Churn, FlowEuler, FlowHeun
from design_space.sampling.simulate import simulate
from design_space.sampling.steppers import Ancestral, Frozen, OptimalVariance, PredictorCorrector
from design_space.schedules.named import edm
from design_space.schedules.schedule import Schedule
from design_space.scores.exact import exact_score
from design_space.scores.function import function_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

KEY = jax.random.key(0)
SHORT = Schedule.from_sigmas(grids.edm(10, 0.05, 20.0))
MEAN, COVARIANCE = [0.2, -0.1], np.array([[0.3, 0.1], [0.1, 0.2]])
NORMAL = Gaussian(MEAN, COVARIANCE)
DISGUISE = GaussianMixture([0.4, 0.6], [MEAN, MEAN], [COVARIANCE, COVARIANCE])


def assert_agrees(found, truth, useful=5e-6):
    """The estimate is right within its error, and its error is of use.

    Where q falls faster than p (ancestral noise) its tails below 1e-14 leave some 1e-6 of the KL.
    """
    value, error = np.asarray(found.value), np.asarray(found.error)
    assert np.all(np.abs(value - truth) <= error + 1e-12)
    assert np.all(error <= useful)
    assert found.method == "quadrature"


def turned_noise(schedule):
    h = np.asarray(schedule.backward_variance_steps)
    return OptimalVariance(h[:, None, None] * np.array([[-0.2, 0.1], [0.1, 0.3]]))


STEPPERS = {
    "frozen": Frozen(),
    "ancestral": Ancestral(),
    "heun": FlowHeun(),
    "euler": FlowEuler(),
    "churn": Churn(5.0),
    "corrector": PredictorCorrector(0.2 * np.asarray(SHORT.backward_variances[1:])),
    "turned noise": turned_noise(SHORT),
}


SLOW = ("euler", "churn", "turned noise")  # the others compile what they share


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in STEPPERS]
)
def test_equal_components_are_the_gaussian(name):
    stepper = STEPPERS[name]
    closed = marginal_errors(NORMAL, SHORT, exact_score(NORMAL), KEY, 64, stepper=stepper)
    found = plane_marginals(DISGUISE, SHORT, exact_score(DISGUISE), stepper)
    assert_agrees(found.marginal_kl, float(closed.marginal_kl.value))
    assert_agrees(found.mass_defect, 0.0)
    assert_agrees(found.mode_weights, [0.4, 0.6])
    assert 0 <= float(found.total_variation.value) <= (found.marginal_kl.value / 2) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [lambda s: scaled_score(s, 0.8), lambda s: shifted_score(s, [0.3, 0.1])],
)
def test_wrong_scores_on_equal_components(change):
    closed = marginal_errors(NORMAL, SHORT, change(exact_score(NORMAL)), KEY, 64)
    found = plane_marginals(DISGUISE, SHORT, change(exact_score(DISGUISE)), Frozen())
    assert_agrees(found.marginal_kl, float(closed.marginal_kl.value))


def test_mean_covariance_and_variation_of_one_step():
    """From N(0, 4) the score -y / 5 and h = 3 make N(0, .16 * 4 + 3) of it, against N(0, 2)."""
    unit = GaussianMixture.isotropic([0.5, 0.5], np.zeros((2, 2)), 1.0)
    found = plane_marginals(unit, Schedule.from_sigmas([2.0, 1.0]), exact_score(unit), Frozen())
    b, a = 0.16 * 4 + 3, 2.0
    assert_agrees(found.mean, np.zeros(2))
    assert_agrees(found.covariance, b * np.eye(2))
    # The laws of |y|^2 / 2 are exponential of means a and b; the densities cross at r.
    assert_agrees(found.marginal_kl, a / b - 1 + np.log(b / a))
    r = np.log(b / a) / (1 / a - 1 / b)
    assert_agrees(found.total_variation, np.exp(-r / b) - np.exp(-r / a), 5e-3)


def product(std, weights=(0.3, 0.6)):
    """Two independent mixtures of modes at -1 and 1, and the four modes that they make."""
    sides = [GaussianMixture.isotropic([w, 1 - w], [[-1.0], [1.0]], std) for w in weights]
    w, u = weights
    corners = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    all_weights = [w * u, w * (1 - u), (1 - w) * u, (1 - w) * (1 - u)]
    return sides, GaussianMixture.isotropic(all_weights, corners, std)


def assert_product(std, schedule, stepper, useful):
    sides, both = product(std)
    truth = sum(
        float(
            marginal_errors(s, schedule, exact_score(s), KEY, 64, stepper=stepper).marginal_kl.value
        )
        for s in sides
    )
    found = plane_marginals(both, schedule, exact_score(both), stepper)
    assert_agrees(found.marginal_kl, truth, useful)
    assert_agrees(found.mass_defect, 0.0)
    # Independent coordinates stay independent.
    assert_agrees(found.covariance, np.diag(np.diag(found.covariance.value)))


@pytest.mark.slow
def test_a_product_of_lines():
    assert_product(0.4, SHORT, Frozen(), 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("std", [0.1, 0.03, 0.01, 0.002])
def test_a_product_of_lines_down_to_the_standard_end(std):
    assert_product(std, edm(20), Frozen(), 1e-6)


@pytest.mark.slow
def test_a_product_of_lines_in_50_steps():
    assert_product(0.03, edm(50), Frozen(), 1e-6)


@pytest.mark.slow
def test_a_turn_changes_nothing():
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    means = np.array([[-1.0, 0.0], [0.7, 0.5], [0.2, -0.8]])
    found = []
    for m in (means, means @ turn.T):
        data = GaussianMixture.isotropic([0.3, 0.3, 0.4], m, [0.2, 0.1, 0.15])
        found.append(plane_marginals(data, SHORT, exact_score(data), Frozen()))
    one, other = found
    apart = abs(float(one.marginal_kl.value - other.marginal_kl.value))
    assert apart <= float(one.marginal_kl.error + other.marginal_kl.error) + 1e-12
    assert apart < 1e-7
    np.testing.assert_allclose(other.mean.value, turn @ np.asarray(one.mean.value), atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("dim", [2, 5])
def test_a_line_lies_in_a_plane(dim):
    """The KL along a line and across it: in the plane, and beside it a Gaussian."""
    direction = np.arange(1.0, dim + 1) / np.linalg.norm(np.arange(1.0, dim + 1))
    means = np.array([-1.0, 0.5, 1.0])[:, None] * direction
    data = GaussianMixture.isotropic([0.2, 0.5, 0.3], means, 0.3)
    score = exact_score(data)
    truth = float(marginal_errors(data, SHORT, score, KEY, 64).marginal_kl.value)
    point = Gaussian.isotropic(1, 0.3, [0.0])
    across = float(marginal_errors(point, SHORT, exact_score(point), KEY, 64).marginal_kl.value)
    found = plane_marginals(data, SHORT, score, Frozen())
    assert_agrees(found.marginal_kl, truth - (dim - 2) * across)


def test_weights_of_a_law_that_is_wider_than_the_turn_between_modes():
    """Few steps leave q so wide that its grid is coarser than a responsibility is steep."""
    means = [[-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]
    modes = GaussianMixture.isotropic([0.4, 0.3, 0.2, 0.1], means, [0.25] * 4)
    schedule = edm(6, 0.02, 80.0)
    found = plane_marginals(modes, schedule, exact_score(modes), Frozen()).mode_weights
    assert np.max(found.error) < 1e-4
    y = simulate(exact_score(modes), schedule, KEY, count=200_000, dim=2).particles
    v = schedule.backward_variances[-1]
    shares = np.asarray(jax.vmap(lambda x: modes.posterior(x, v).weights)(y))
    # four intervals of 99.9 % and the stated error
    room = 3.3 * np.std(shares, axis=0) / np.sqrt(len(shares)) + np.asarray(found.error)
    assert np.all(np.abs(np.mean(shares, axis=0) - np.asarray(found.value)) <= room)


def test_what_does_not_reduce():
    line = GaussianMixture.isotropic([0.4, 0.6], [[0.0], [1.0]], 0.3)
    space = GaussianMixture.isotropic(np.full(4, 0.25), np.eye(4), 0.3)
    for data in (line, space):
        assert plane_marginals(data, SHORT, exact_score(data), Frozen()) is None
    flat = GaussianMixture.isotropic(np.full(3, 1 / 3), np.eye(3), 0.3)
    other = function_score(lambda x, sigma: -x)
    assert plane_marginals(flat, SHORT, other, Frozen()) is None


def test_scales_too_far_apart_are_refused():
    data = GaussianMixture.isotropic([0.5, 0.5], np.zeros((2, 2)), [1.0, 1e-4])
    schedule = Schedule.from_sigmas([3.0, 1.0, 0.3, 1e-4])
    with pytest.raises(ValueError, match="too fine for its extent"):
        plane_marginals(data, schedule, exact_score(data), Frozen())

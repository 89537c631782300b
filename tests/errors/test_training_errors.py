"""The population loss in its parts against plain sampling and against formulas by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.errors.training import fresh_loss, population_loss
from design_space.schedules.named import edm
from design_space.scores.exact import exact_score
from design_space.scores.linear import per_level_affine, random_features, shared_affine
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.scores.preconditioned import preconditioned
from design_space.scores.relu_network import relu_network
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture
from design_space.training.population import population_solvable
from design_space.weightings.base import CustomWeighting

SCHEDULE = edm(4, sigma_min=0.1, sigma_max=3.0)
V = np.asarray(SCHEDULE.forward_variances[1:])
BETA = np.array([1.0, 0.5, 0.7, 0.2])
WEIGHTING = CustomWeighting(BETA)
KEY = jax.random.key(1)
PAIR = GaussianMixture.isotropic([0.3, 0.7], [[-1.0], [1.0]], [0.2, 0.4])
# components of different spread, not on a line: only Monte Carlo is left
PLANE = GaussianMixture.diagonal([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.5]], [[0.1, 0.3], [0.4, 0.2]])
NARROW = Gaussian([0.5, -1.0], [[0.5, 0.2], [0.2, 1.0]])

WEIGHTS = 0.3 * np.random.default_rng(7).normal(size=(2, 6))
CASES = {
    "exact": (NARROW, lambda: exact_score(NARROW), "closed form"),
    "affine": (NARROW, lambda: shared_affine(2, [0.5, 1.0], weights=WEIGHTS), "closed form"),
    "shifted": (NARROW, lambda: shifted_score(exact_score(NARROW), [0.3, 0.1]), "closed form"),
    "network on the line": (PAIR, lambda: relu_network(KEY, 1, 16), "quadrature"),
    "features on the line": (
        PAIR,
        lambda: preconditioned(random_features(KEY, 1, 9, weights=np.ones((1, 9)))),
        "quadrature",
    ),
    "network in the plane": (PLANE, lambda: relu_network(KEY, 2, 16), "monte carlo"),
    "exact in the plane": (PLANE, lambda: exact_score(PLANE), "monte carlo"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_large_fresh_sample_covers_it(name):
    target, make, method = CASES[name]
    score = make()
    found = population_loss(target, SCHEDULE, WEIGHTING, score, key=KEY, samples=4000)
    assert found.total.method == method
    fresh = fresh_loss(score, target, SCHEDULE, WEIGHTING, jax.random.key(2), 20000)
    assert fresh.method == "monte carlo"
    # two 99 % intervals, one fixed key
    assert abs(fresh.value - found.total.value) < fresh.error + found.total.error
    assert fresh.error < 0.05 * fresh.value
    np.testing.assert_allclose(
        found.total.value, found.floor.value + found.excess.value, rtol=1e-15
    )
    np.testing.assert_allclose(found.floor.value, jnp.sum(found.floors.value), rtol=1e-14)
    np.testing.assert_allclose(found.excess.value, jnp.sum(found.excesses.value), atol=1e-14)


def test_scaled_scores_of_a_gaussian_by_hand():
    """E|(c - 1) L|^2 = (c - 1)^2 d / (s^2 + v); mmse = d s^2 v / (s^2 + v)."""
    target = Gaussian.isotropic(3, 0.5)
    found = population_loss(target, SCHEDULE, WEIGHTING, scaled_score(exact_score(target), 1.1))
    floors = 0.5 * BETA * 3 * 0.25 / (0.25 + V)
    excesses = 0.5 * BETA * V * 0.1**2 * 3 / (0.25 + V)
    np.testing.assert_allclose(found.floors.value, floors, rtol=1e-14)
    np.testing.assert_allclose(found.excesses.value, excesses, rtol=1e-12)
    assert np.all(np.abs(found.excesses.value - excesses) <= found.excesses.error)
    assert abs(found.total.value - np.sum(floors + excesses)) <= found.total.error


def test_the_exact_score_has_no_excess():
    for target in (NARROW, PAIR):
        found = population_loss(target, SCHEDULE, WEIGHTING, exact_score(target))
        assert found.excess.value == 0
        assert found.total.value == found.floor.value


def test_it_agrees_with_the_solved_trajectory():
    for target, model in (
        (NARROW, per_level_affine(2, SCHEDULE)),
        (PAIR, shared_affine(1, [0.5, 1.0])),
        (PAIR, random_features(KEY, 1, 8, bias=True)),
    ):
        solution = population_solvable(model, target, SCHEDULE, WEIGHTING)
        h = 0.5 * solution.stability_limit
        found = population_loss(target, SCHEDULE, WEIGHTING, solution.at(20, h))
        own = solution.level_excesses(20, h)
        assert np.all(np.abs(found.excesses.value - own) <= found.excesses.error + 1e-12 * own)
        assert np.all(found.excesses.error < 1e-10 * own)


@pytest.mark.parametrize("width", [3, 16, 100])
def test_the_stated_error_of_a_network_that_bends_unseen_is_true(width):
    """Against a midpoint rule that is a thousand times finer than the panels."""
    x, spacing = np.linspace(-40, 40, 800001, retstep=True)

    @jax.jit
    def square(score, sigma):
        def at(y):
            density = jnp.exp(PAIR.log_density(y[None], sigma**2))
            return density * (score(y[None], sigma) - PAIR.score(y[None], sigma**2))[0] ** 2

        return spacing * jnp.sum(jax.lax.map(at, jnp.asarray(x), batch_size=8192))

    for seed in range(4):
        score = relu_network(jax.random.key(seed), 1, width)
        found = population_loss(PAIR, SCHEDULE, WEIGHTING, score)
        truth = [square(score, sigma) for sigma in SCHEDULE.forward_sigmas[1:]]
        truth = 0.5 * BETA * V * np.asarray(truth)
        # the reference errs by spacing^2 times the jumps of slope, 1e-8 of the value
        assert np.all(np.abs(found.excesses.value - truth) < found.excesses.error + 1e-8 * truth)
        assert np.all(found.excesses.error < 2e-2 * truth)


def test_a_key_is_asked_for_where_it_is_needed():
    with pytest.raises(ValueError, match="key = None: must be a random key"):
        population_loss(PLANE, SCHEDULE, WEIGHTING, relu_network(KEY, 2, 8))
    with pytest.raises(ValueError, match="key = None: must be a random key"):
        population_loss(NARROW, SCHEDULE, WEIGHTING, relu_network(KEY, 2, 8), samples=16)
    with pytest.raises(ValueError, match="samples"):
        fresh_loss(exact_score(PAIR), PAIR, SCHEDULE, WEIGHTING, KEY, 1)


def test_a_score_of_another_dimension_is_refused():
    network = relu_network(jax.random.key(0), 3, 4)
    with pytest.raises(ValueError, match=r"dimension of the score = 'ReluNetwork': must be 2"):
        population_loss(NARROW, SCHEDULE, WEIGHTING, network)

"""Theorem 3's loss terms against least squares with constraints, densely and in NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from scipy import stats

from design_space.errors.decomposition import loss_decomposition, loss_terms, population_terms
from design_space.errors.training import population_loss
from design_space.schedules.named import edm
from design_space.scores.linear import per_level_affine, random_features, shared_affine
from design_space.scores.preconditioned import noise_coordinate, preconditioned
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture
from design_space.training.objective import denoising_data
from design_space.training.population import population_solvable
from design_space.training.solvable import solvable
from design_space.weightings.base import CustomWeighting

SCHEDULE = edm(3, sigma_min=0.2, sigma_max=2.0)
SIGMAS = np.asarray(SCHEDULE.forward_sigmas[1:])
BETA = np.array([1.0, 0.5, 0.7])
WEIGHTING = CustomWeighting(BETA)
KEY = jax.random.key(3)
PAIR = GaussianMixture.isotropic([0.3, 0.7], [[-1.0], [1.0]], [0.2, 0.4])
STEPS = (0, 7, 400)


def inside(model):
    return preconditioned(model, 0.7)


MODELS = {
    "per level": per_level_affine(1, SCHEDULE),
    "shared": inside(shared_affine(1, [0.3, 1.0])),
    "features": random_features(jax.random.key(0), 1, 7, bias=True),
}


def features(model, x, sigma):
    """phi and offset at many points of the line."""
    row = jax.vmap(lambda y: model.row(y[None], sigma))(jnp.asarray(x))
    return np.asarray(row.input), np.asarray(row.offset)[:, 0]


def empirical(model, data):
    """A and b of Lem = (1/2)|A theta - b|^2."""
    rows, known = [], []
    for j, sigma in enumerate(SIGMAS):
        phi, offset = features(model, data.noisy[:, j, 0], sigma)
        root = np.sqrt(BETA[j] / len(data.points))
        rows.append(root * sigma * phi)
        known.append(-root * (sigma * offset + np.asarray(data.noise[:, j, 0])))
    return np.concatenate(rows), np.concatenate(known)


def population(model):
    """The same of L + C_bar, by a fine trapezoid rule."""
    x = np.linspace(-16, 16, 20_001)
    rows, known = [], []
    for j, sigma in enumerate(SIGMAS):
        parts = [(0.3, -1.0, 0.2), (0.7, 1.0, 0.4)]
        laws = [(w, stats.norm(m, np.hypot(s, sigma))) for w, m, s in parts]
        density = sum(w * law.pdf(x) for w, law in laws)
        slope = sum(-w * law.pdf(x) * (x - law.mean()) / law.var() for w, law in laws)
        score = slope / np.maximum(density, 1e-300)
        phi, offset = features(model, x, sigma)
        root = np.sqrt(BETA[j] * sigma**2 * density * (x[1] - x[0]))
        rows.append(root[:, None] * phi)
        known.append(root * (score - offset))
    q, r = np.linalg.qr(np.concatenate(rows))
    target = np.concatenate(known)
    return r, q.T @ target, 0.5 * np.sum((target - q @ (q.T @ target)) ** 2)


def by_hand(a, b, g, c, rest, theta):
    """All terms of Theorem 3 at some weights, from their definitions."""

    def lem(t):
        return 0.5 * np.sum((a @ t - b) ** 2)

    def loss(t):
        return 0.5 * np.sum((g @ t - c) ** 2) + rest

    some = np.linalg.lstsq(a, b, rcond=1e-12)[0]
    free = scipy.linalg.null_space(a, rcond=1e-12)
    star = some + free @ np.linalg.lstsq(g @ free, c - g @ some, rcond=1e-12)[0]
    best = np.linalg.lstsq(g, c, rcond=1e-12)[0]
    return {
        "train": lem(theta) - lem(star),
        "generalization": abs(loss(theta) - lem(theta) + lem(star) - loss(star)),
        "estimation": loss(star) - loss(best),
        "approximation": loss(best),
        "excess": loss(theta),
    }


# with one point each model interpolates; with two the per-level one does
@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("per level", 1),
        ("per level", 9),
        ("shared", 1),
        ("features", 9),
        pytest.param("features", 1, marks=pytest.mark.slow),
    ],
)
def test_terms_are_their_definitions(name, points):
    model = MODELS[name]
    data = denoising_data(PAIR.sample(KEY, points), SCHEDULE, WEIGHTING, KEY)
    solution = solvable(model, data)
    known = population_solvable(model, PAIR, SCHEDULE, WEIGHTING)
    rate = 0.8 * solution.stability_limit
    found = loss_terms(solution, known, jnp.asarray(STEPS), rate)
    losses = (*empirical(model, data), *population(model))
    for i, step in enumerate(STEPS):
        theta = np.asarray(solution.at(step, rate).weights()[0])[0]
        for field, truth in by_hand(*losses, theta).items():
            own = getattr(found, field)
            # the trapezoid rule of the twin meets kinks: 1e-6
            np.testing.assert_allclose(own.value[i], truth, rtol=2e-6, atol=2e-7, err_msg=field)
            assert own.error[i] < 1e-9 * (1 + own.value[i])
    if points == 1:
        assert float(solution.least_loss) < 1e-25  # theta_* interpolates, as Theorem 3 asks
    np.testing.assert_array_less(found.excess.value, found.total.value * (1 + 1e-12))


@pytest.mark.slow
def test_excess_is_that_of_the_trained_score():
    """In the plane, coupled outputs, against the population loss of the score itself."""
    target = Gaussian([0.5, -1.0], [[0.5, 0.2], [0.2, 1.0]])
    model = inside(per_level_affine(2, noise_coordinate(SIGMAS)))
    data = denoising_data(target.sample(KEY, 6), SCHEDULE, WEIGHTING, KEY)
    solution = solvable(model, data)
    known = population_solvable(model, target, SCHEDULE, WEIGHTING)
    rate = 0.8 * solution.stability_limit
    found = loss_terms(solution, known, 30, rate)
    truth = population_loss(target, SCHEDULE, WEIGHTING, solution.at(30, rate)).excess
    np.testing.assert_allclose(found.excess.value, truth.value, rtol=1e-12)
    assert float(found.approximation.value) == 0  # the exact score is affine
    end = population_loss(target, SCHEDULE, WEIGHTING, solution.optimum).excess
    np.testing.assert_allclose(found.estimation.value, end.value, rtol=1e-11)


def test_the_signed_terms_add_up():
    """excess = train -+ generalization + estimation + approximation: no more is in the bound."""
    model = MODELS["per level"]
    data = denoising_data(PAIR.sample(KEY, 9), SCHEDULE, WEIGHTING, KEY)
    solution = solvable(model, data)
    known = population_solvable(model, PAIR, SCHEDULE, WEIGHTING)
    at = loss_terms(solution, known, jnp.arange(0, 200, 10), 0.5 * solution.stability_limit)
    rest = at.train.value + at.estimation.value + at.approximation.value
    apart = np.abs(np.asarray(at.excess.value - rest))
    np.testing.assert_allclose(apart, at.generalization.value, rtol=1e-9, atol=1e-12)
    assert np.all(np.diff(at.train.value) <= 0)


def test_where_data_determine_the_weights_training_ends_at_theta_star():
    """Rounding is no direction that the data do not see, however little the limit is off. Batched
    over data, and one by one.
    """
    target = Gaussian.isotropic(1, 5.0)
    model = inside(per_level_affine(1, noise_coordinate(SIGMAS)))
    known = population_solvable(model, target, SCHEDULE, WEIGHTING)

    def taken_apart(key):
        points = target.sample(key, 100)
        data = denoising_data(points, SCHEDULE, WEIGHTING, key)
        found = loss_decomposition(solvable(model, data), known)
        return found, found.at(jnp.arange(3), 0.05).total.value

    keys = jax.random.split(KEY, 200)
    found, totals = eqx.filter_jit(eqx.filter_vmap(taken_apart))(keys)
    np.testing.assert_array_equal(found.star, found.limit)
    assert totals.shape == (200, 3)
    np.testing.assert_allclose(totals[2], taken_apart(keys[2])[1], rtol=1e-12)


def test_population_training_has_no_statistical_terms():
    known = population_solvable(MODELS["per level"], PAIR, SCHEDULE, WEIGHTING)
    found = population_terms(known, jnp.asarray(STEPS), 0.1)
    assert np.all(found.generalization.value == 0)
    assert np.all(found.estimation.value == 0)
    np.testing.assert_allclose(found.total.value, found.excess.value, rtol=1e-12)
    assert found.approximation.method == "quadrature"  # the mmse of a mixture


def test_a_diverged_training_is_infinite():
    model = MODELS["per level"]
    data = denoising_data(PAIR.sample(KEY, 9), SCHEDULE, WEIGHTING, KEY)
    solution = solvable(model, data)
    known = population_solvable(model, PAIR, SCHEDULE, WEIGHTING)
    found = loss_terms(solution, known, 100_000, 3 * solution.stability_limit)
    assert np.isposinf(found.train.value)
    assert np.isposinf(found.excess.value)


def test_other_parametrizations_are_refused():
    data = denoising_data(PAIR.sample(KEY, 3), SCHEDULE, WEIGHTING, KEY)
    known = population_solvable(MODELS["shared"], PAIR, SCHEDULE, WEIGHTING)
    with pytest.raises(ValueError, match="same model and levels"):
        loss_terms(solvable(MODELS["per level"], data), known, 1, 0.1)

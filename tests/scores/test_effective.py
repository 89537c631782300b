"""A score as a step of another mean sees it, by direct evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
from score_contract import SIGMAS, ScoreContract

from design_space.scores.affine import AffineScore
from design_space.scores.base import deviations
from design_space.scores.effective import EffectiveScore
from design_space.scores.exact import exact_score
from design_space.scores.function import function_score
from design_space.scores.perturbed import scaled_score
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture
from design_space.targets.reduction import reduce_to_line

LEVELS = jnp.asarray(SIGMAS)
STRETCHES, GAINS = np.array([0.2, -0.5, 0.0]), np.array([1.3, 0.4, -2.0])
MEAN = np.array([1.0, -0.5])
COVARIANCE = np.array([[0.5, 0.2], [0.2, 1.0]])
TARGET = Gaussian(MEAN, COVARIANCE)


def seen(inner):
    return EffectiveScore(inner, LEVELS, jnp.asarray(STRETCHES), jnp.asarray(GAINS))


def gaussian_score(x, sigma):
    return -np.linalg.solve(COVARIANCE + sigma**2 * np.eye(2), (x - MEAN).T).T


class TestEffective(ScoreContract):
    def make(self):
        return seen(exact_score(TARGET))

    def twin(self, x, sigma):
        j = int(np.flatnonzero(np.isclose(SIGMAS, sigma))[0])
        return STRETCHES[j] * x + GAINS[j] * gaussian_score(x, sigma)


def test_a_level_off_by_rounding_is_the_same_level():
    score, x = seen(exact_score(TARGET)), jnp.array([0.3, 1.0])
    np.testing.assert_allclose(score(x, 0.5 * (1 + 1e-15)), score(x, 0.5), rtol=1e-13)


def test_its_deviation_is_the_difference_from_the_exact_score():
    affine = AffineScore(LEVELS, [[[0.1, 0.4], [-0.2, 0.3]]] * 3, [[1.0, 2.0]] * 3)
    points = np.random.default_rng(3).normal(size=(4, 2)) + MEAN
    basis = np.asarray(TARGET.basis)
    for inner in (exact_score(TARGET), scaled_score(exact_score(TARGET), 0.7), affine):
        score = seen(inner)
        found = deviations(TARGET, score, LEVELS)
        at = jax.vmap(lambda s, f=score: jax.vmap(lambda x: f(x, s))(jnp.asarray(points)))(LEVELS)
        for j, sigma in enumerate(SIGMAS):
            slope, intercept = np.asarray(found.slope[j]), np.asarray(found.intercept[j])
            matrix = slope if slope.ndim == 2 else np.diag(slope)
            difference = ((points - MEAN) @ basis @ matrix.T + intercept) @ basis.T
            truth = at[j] - gaussian_score(points, sigma)
            # an eigenbasis against a linear solve of condition below 3
            np.testing.assert_allclose(difference, truth, rtol=1e-12, atol=1e-12)


def test_a_score_that_is_not_affine_has_no_deviation():
    bent = function_score(lambda x, sigma: -jnp.tanh(x))
    assert deviations(TARGET, seen(bent), LEVELS) is None


def test_its_parts_along_and_across_a_line_are_the_whole():
    direction, away = np.array([0.6, 0.8]), np.array([-0.8, 0.6])
    means = np.array([-2.0, 0.5, 1.0])[:, None] * direction + 0.7 * away
    target = GaussianMixture.isotropic([0.2, 0.5, 0.3], means, 0.3)
    reduction = reduce_to_line(target.components())
    score = seen(scaled_score(exact_score(target), 1.2))
    parts = score.split(target, reduction)
    u = np.asarray(reduction.direction)
    axis = np.asarray(reduction.origin) / np.linalg.norm(reduction.origin)
    points = np.random.default_rng(7).normal(size=(6, 2))
    for sigma in SIGMAS[:2]:
        truth = np.array([score(jnp.asarray(x), sigma) for x in points])
        line = np.array([parts.line(jnp.asarray([x @ u]), sigma)[0] for x in points])
        across = np.array([parts.complement(jnp.asarray([x @ axis]), sigma)[0] for x in points])
        np.testing.assert_allclose(line, truth @ u, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(across, truth @ axis, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(parts.complement_target.mean(), [0.7], rtol=1e-14)


def test_what_does_not_split_stays_whole():
    target = GaussianMixture.isotropic([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], 0.3)
    bent = function_score(lambda x, sigma: -jnp.tanh(x))
    assert seen(bent).split(target, reduce_to_line(target.components())) is None

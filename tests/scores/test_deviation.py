"""Affine scores seen from the exact score of a Gaussian, by direct evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.scores.affine import AffineScore
from design_space.scores.base import deviations
from design_space.scores.exact import exact_score
from design_space.scores.function import function_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.targets.gaussian import Gaussian

RNG = np.random.default_rng(0)
SIGMAS = jnp.array([4.0, 0.7, 0.05])
MEAN = np.array([1.0, -0.5, 2.0])
BASIS = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
SPREADS = np.array([0.04, 0.5, 3.0])
ROTATED = (BASIS * SPREADS) @ BASIS.T
TARGETS = {
    "isotropic": (Gaussian.isotropic(3, 0.5, mean=MEAN), 0.25 * np.eye(3)),
    "diagonal": (Gaussian.diagonal(MEAN, SPREADS), np.diag(SPREADS)),
    "rotated": (Gaussian(MEAN, ROTATED), ROTATED),
    "singular": (Gaussian.diagonal(MEAN, [0.0, 0.0, 1.0]), np.diag([0.0, 0.0, 1.0])),
}
NUMBERS = AffineScore(SIGMAS, RNG.normal(size=3))
DIAGONALS = AffineScore(SIGMAS, RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3)))
MATRICES = AffineScore(SIGMAS, RNG.normal(size=(3, 3, 3)), RNG.normal(size=(3, 3)))
SHIFT = [0.3, -0.2, 0.1]
OTHER = Gaussian([0.5, 0.0, -1.0], ROTATED + np.eye(3))
FLAT = Gaussian.diagonal([0.5, 0.0, -1.0], [0.3, 2.0, 0.0])
SCORES = {
    "exact": lambda target: exact_score(target),
    "scaled": lambda target: scaled_score(exact_score(target), 0.8),
    "shifted": lambda target: shifted_score(exact_score(target), SHIFT),
    "both": lambda target: scaled_score(shifted_score(exact_score(target), SHIFT), -1.5),
    "numbers": lambda target: NUMBERS,
    "diagonals": lambda target: DIAGONALS,
    "matrices": lambda target: MATRICES,
    "scaled matrices": lambda target: shifted_score(scaled_score(MATRICES, 0.5), SHIFT),
    "of another Gaussian": lambda target: exact_score(OTHER),
    "of a diagonal one": lambda target: scaled_score(exact_score(FLAT), 1.5),
}


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("name", TARGETS)
def test_deviation_is_the_difference_of_the_scores(name, kind):
    target, covariance = TARGETS[name]
    score = SCORES[kind](target)
    found = deviations(target, score, SIGMAS)
    points = np.random.default_rng(3).normal(size=(4, 3)) + MEAN
    basis = np.eye(3) if target.basis is None else np.asarray(target.basis)
    at = jax.vmap(lambda s: jax.vmap(lambda x: score(x, s))(jnp.asarray(points)))(SIGMAS)
    for i, sigma in enumerate(np.asarray(SIGMAS)):
        exact = -np.linalg.solve(covariance + sigma**2 * np.eye(3), (points - MEAN).T).T
        slope, intercept = np.asarray(found.slope[i]), np.asarray(found.intercept[i])
        matrix = slope if slope.ndim == 2 else np.diag(slope)
        inside = (points - MEAN) @ basis
        difference = (inside @ matrix.T + intercept) @ basis.T
        scale = 1 + np.max(np.abs(exact))
        # the eigenbasis against a linear solve, at a condition of 3 / 0.0025 = 1e3 at most
        np.testing.assert_allclose(difference / scale, (at[i] - exact) / scale, atol=1e-12)


def test_what_commutes_is_told_as_a_diagonal():
    ranks = {
        (name, kind): deviations(target, SCORES[kind](target), SIGMAS).slope.ndim - 1
        for name, (target, _) in TARGETS.items()
        for kind in SCORES
    }
    assert all(
        ranks[name, kind] == 1 for name in TARGETS for kind in ("exact", "scaled", "numbers")
    )
    assert ranks["diagonal", "diagonals"] == 1
    assert ranks["rotated", "diagonals"] == 2
    assert all(ranks[name, "matrices"] == 2 for name in TARGETS)


def test_an_exact_score_deviates_by_exactly_zero():
    for target, _ in TARGETS.values():
        found = exact_score(target).deviation(target, 0.5)
        assert not np.any(found.slope)
        assert not np.any(found.intercept)


def test_equal_targets_count_as_one_and_others_do_not():
    one, same = Gaussian(MEAN, ROTATED), Gaussian(MEAN, ROTATED)
    assert exact_score(one).is_exact_for(same)
    assert not exact_score(one).is_exact_for(OTHER)
    assert not scaled_score(exact_score(one), 1.0).is_exact_for(one)


def test_a_gaussian_of_another_dimension_is_refused():
    with pytest.raises(ValueError, match=r"score's dimension = 2: must be .* 3"):
        exact_score(Gaussian.isotropic(2, 1.0)).deviation(OTHER, 1.0)


def test_any_other_score_has_none():
    score = function_score(lambda x, sigma: -x)
    target = TARGETS["diagonal"][0]
    assert score.deviation(target, 1.0) is None
    for wrapped in (scaled_score(score, 2.0), shifted_score(score, SHIFT)):
        assert wrapped.deviation(target, 1.0) is None
        assert deviations(target, wrapped, SIGMAS) is None

"""A score along and across a line against the score in the whole space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.scores.affine import AffineScore
from design_space.scores.exact import exact_score
from design_space.scores.function import function_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.targets.mixture import GaussianMixture
from design_space.targets.reduction import reduce_to_line

WEIGHTS = np.array([0.2, 0.5, 0.3])
ALONG = np.array([-2.0, 0.5, 1.0])
STD, SIGMA = 0.3, 0.4


def law(dim, off):
    rng = np.random.default_rng(dim)
    direction, away, shift = rng.normal(size=(3, dim))
    direction /= np.linalg.norm(direction)
    away -= (away @ direction) * direction
    means = ALONG[:, None] * direction + (away if off else 0.0)
    return GaussianMixture.isotropic(WEIGHTS, means, STD), shift


def complement_axes(reduction, shift):
    """Orthonormal columns across the line: the first along the origin, the second the shift.

    If the origin is zero, the first is any direction across both the line and the shift.
    """
    u, origin = np.asarray(reduction.direction), np.asarray(reduction.origin)
    axes = []
    for vector in (origin, shift, *np.eye(len(u))):
        rest = vector.copy()
        for axis in (u, *axes, u, *axes):
            rest = rest - (rest @ axis) * axis
        if np.linalg.norm(rest) > 1e-9:
            axes.append(rest / np.linalg.norm(rest))
    if not origin.any():
        axes[:2] = axes[1::-1] if len(u) > 2 else axes[:1]
    return np.stack(axes[: len(u) - 1], axis=1)


def whole(score, points):
    return np.asarray(jax.vmap(lambda x: score(x, SIGMA))(jnp.asarray(points)))


CASES = [(2, True), (2, False), (5, True), (5, False), (1, False)]


@pytest.mark.parametrize("kind", ["exact", "scaled", "shifted", "both"])
@pytest.mark.parametrize(("dim", "off"), CASES)
def test_parts_are_the_whole_in_coordinates(dim, off, kind):
    target, shift = law(dim, off)
    score = exact_score(target)
    if kind in ("scaled", "both"):
        score = scaled_score(score, 1.3)
    if kind in ("shifted", "both"):
        score = shifted_score(score, shift)
    reduction = reduce_to_line(target.components())
    split = score.split(target, reduction)
    assert reduction.complement_dim == dim - 1
    u = np.asarray(reduction.direction)
    points = np.random.default_rng(7).normal(size=(6, dim)) * 1.5
    truth = whole(score, points)
    line = whole(split.line, (points @ u)[:, None])
    np.testing.assert_allclose(line[:, 0], truth @ u, rtol=1e-11, atol=1e-11)
    if dim == 1:
        assert split.complement is None
        assert split.complement_target is None
        return
    axes = complement_axes(reduction, shift)
    across = whole(split.complement, points @ axes)
    # responsibilities from distances in the space and along the line differ by rounding
    np.testing.assert_allclose(across, truth @ axes, rtol=1e-11, atol=1e-11)
    mean = np.asarray(reduction.origin) @ axes
    np.testing.assert_allclose(split.complement_target.mean(), mean, atol=1e-14)
    covariance = STD**2 * np.eye(dim - 1)
    np.testing.assert_allclose(split.complement_target.covariance(), covariance, rtol=1e-15)


def test_the_parts_of_an_exact_score_are_exact():
    target, _ = law(5, True)
    split = exact_score(target).split(target, reduce_to_line(target.components()))
    assert split.complement.is_exact_for(split.complement_target)


def test_other_scores_do_not_split():
    target, shift = law(2, True)
    other, _ = law(2, False)
    reduction = reduce_to_line(target.components())
    for base in (
        exact_score(other),
        function_score(lambda x, sigma: -x),
        AffineScore([SIGMA], [-1.0]),
    ):
        for score in (base, scaled_score(base, 2.0), shifted_score(base, shift)):
            assert score.split(target, reduction) is None


def test_a_shift_of_another_dimension_is_refused():
    target, _ = law(2, True)
    score = shifted_score(exact_score(target), [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"len\(shift\) = 3: must be the dimension of the data, 2"):
        score.split(target, reduce_to_line(target.components()))

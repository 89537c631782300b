"""A mixture in a plane is the plane's mixture beside a round Gaussian, and so is its score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from design_space.scores.exact import exact_score
from design_space.scores.function import function_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.scores.plane import split_in_plane
from design_space.targets.mixture import GaussianMixture
from design_space.targets.plane import reduce_to_plane

WEIGHTS = np.array([0.2, 0.5, 0.3])
INSIDE = np.array([[-2.0, 0.1], [0.5, 1.0], [1.0, -0.7]])
STD, V = 0.3, 0.04
SPREAD = STD**2 + V


def in_a_plane(dim, off):
    """Means on a plane; it passes through zero unless `off`."""
    rng = np.random.default_rng(dim)
    basis, _ = np.linalg.qr(rng.normal(size=(dim, 3)))
    means = INSIDE @ basis[:, :2].T + (0.8 * basis[:, 2] if off else 0.0)
    return GaussianMixture.isotropic(WEIGHTS, means, STD), rng.normal(size=dim)


CASES = [(3, True), (3, False), (6, True), (6, False)]


@pytest.mark.parametrize(("dim", "off"), CASES)
def test_the_parts_make_the_law(dim, off):
    target, shift = in_a_plane(dim, off)
    reduction = reduce_to_plane(target.components())
    axes, origin = np.asarray(reduction.axes), np.asarray(reduction.origin)
    assert reduction.complement_dim == dim - 2
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-14)
    np.testing.assert_allclose(axes @ origin, 0.0, atol=1e-15)
    if not off:
        assert not origin.any()
    means = np.asarray(target.components().means)
    x = means[0] + shift
    rest = x - origin - axes.T @ (axes @ x)
    inside = sum(
        w * stats.multivariate_normal(m, SPREAD * np.eye(2)).pdf(axes @ x)
        for w, m in zip(WEIGHTS, np.asarray(reduction.plane.means), strict=True)
    )
    across = -0.5 * rest @ rest / SPREAD - (dim - 2) / 2 * np.log(2 * np.pi * SPREAD)
    dense = [stats.multivariate_normal(m, SPREAD * np.eye(dim)).pdf(x) for m in means]
    # rounding of exponents of size 50
    assert np.log(inside) + across == pytest.approx(np.log(WEIGHTS @ np.array(dense)), abs=1e-12)
    assert float(reduction.complement_variance) == pytest.approx(STD**2, rel=1e-15)


@pytest.mark.parametrize("kind", ["exact", "scaled", "shifted", "both"])
@pytest.mark.parametrize(("dim", "off"), CASES)
def test_parts_of_a_score_are_the_whole_in_coordinates(dim, off, kind):
    target, shift = in_a_plane(dim, off)
    score = exact_score(target)
    score = scaled_score(score, 1.3) if kind in ("scaled", "both") else score
    score = shifted_score(score, shift) if kind in ("shifted", "both") else score
    reduction = reduce_to_plane(target.components())
    split = split_in_plane(target, score, reduction)
    axes, origin = np.asarray(reduction.axes), np.asarray(reduction.origin)
    points = 1.5 * np.random.default_rng(7).normal(size=(6, dim))
    sigma = V**0.5
    whole = np.asarray(jax.vmap(lambda x: score(x, sigma))(jnp.asarray(points)))
    inside = jax.vmap(lambda x: split.plane(x, sigma))(jnp.asarray(points @ axes.T))
    # responsibilities from distances in the space and in the plane differ by rounding
    np.testing.assert_allclose(inside, whole @ axes.T, rtol=1e-11, atol=1e-11)
    # Across, only lengths and the angle to the origin are kept: seen along the origin, where the
    # score moves the origin itself.
    at_origin = np.asarray(score(jnp.asarray(origin), sigma))
    across = np.asarray(split.complement(reduction.across(jnp.asarray(origin)), sigma))
    rest = at_origin - axes.T @ (axes @ at_origin)
    assert np.linalg.norm(across) == pytest.approx(np.linalg.norm(rest), abs=1e-11)
    if off:
        unit = origin / np.linalg.norm(origin)
        assert across[0] == pytest.approx(rest @ unit, abs=1e-11)
    covariance = STD**2 * np.eye(dim - 2)
    np.testing.assert_allclose(split.complement_target.covariance(), covariance, rtol=1e-15)


def test_two_dimensions_always_reduce():
    target = GaussianMixture([0.4, 0.6], [[1.0, 0.0], [2.0, 1.0]], [np.eye(2), [[2, 1], [1, 3]]])
    reduction = reduce_to_plane(target.components())
    assert reduction.complement_dim == 0
    score = function_score(lambda x, sigma: -x / sigma**2)
    split = split_in_plane(target, score, reduction)
    assert split.plane is score
    assert split.complement is None
    law = GaussianMixture.from_components(reduction.plane)
    np.testing.assert_array_equal(law.covariance(), target.covariance())


def test_one_point_and_a_line_lie_in_a_plane():
    for means in ([[1.0, 2.0, 3.0]], [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [-2.0, -2.0, -2.0]]):
        weights = np.full(len(means), 1 / len(means))
        target = GaussianMixture.isotropic(weights, means, STD)
        reduction = reduce_to_plane(target.components())
        back = np.asarray(reduction.plane.means) @ np.asarray(reduction.axes)
        np.testing.assert_allclose(back + np.asarray(reduction.origin), means, atol=1e-14)


@pytest.mark.parametrize(
    ("means", "variances"),
    [
        (np.eye(3), np.array([[1.0] * 3, [1.0] * 3, [1.1] * 3])),  # two widths
        (np.eye(3), np.tile([1.0, 1.0, 2.0], (3, 1))),  # not round
        (np.concatenate([np.eye(3), np.zeros((1, 3))]), np.ones((4, 3))),  # a tetrahedron
        (np.zeros((2, 1)), np.ones((2, 1))),  # one dimension
    ],
)
def test_other_laws_do_not_reduce(means, variances):
    weights = np.full(len(means), 1 / len(means))
    target = GaussianMixture.diagonal(weights, means, variances)
    assert reduce_to_plane(target.components()) is None
    assert split_in_plane(target, exact_score(target), None) is None


def test_other_scores_do_not_split():
    target, shift = in_a_plane(3, True)
    reduction = reduce_to_plane(target.components())
    base = function_score(lambda x, sigma: -x)
    for score in (base, scaled_score(base, 2.0), shifted_score(base, shift)):
        assert split_in_plane(target, score, reduction) is None

"""A mixture on a line is the line's law beside a round Gaussian."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from design_space.targets.mixture import GaussianMixture
from design_space.targets.reduction import reduce_to_line

WEIGHTS = np.array([0.2, 0.5, 0.3])
ALONG = np.array([-2.0, 0.5, 1.0])
STD, V = 0.3, 0.04


def on_a_line(dim, off, seed):
    """Means on a line; it passes through zero unless `off`."""
    rng = np.random.default_rng(seed)
    direction, away = rng.normal(size=(2, dim))
    direction /= np.linalg.norm(direction)
    away -= (away @ direction) * direction
    means = ALONG[:, None] * direction + (away if off else 0.0)
    return GaussianMixture.isotropic(WEIGHTS, means, STD), means


CASES = [(d, off, seed) for d in (2, 5) for off in (True, False) for seed in range(3)]


@pytest.mark.parametrize(("dim", "off", "seed"), CASES)
def test_the_parts_make_the_law(dim, off, seed):
    target, means = on_a_line(dim, off, seed)
    reduction = reduce_to_line(target.components())
    u, origin = np.asarray(reduction.direction), np.asarray(reduction.origin)
    assert reduction.complement_dim == dim - 1
    assert np.linalg.norm(u) == pytest.approx(1, rel=1e-14)
    assert abs(u @ origin) < 1e-15 * (1 + np.linalg.norm(origin))
    if not off:
        assert not origin.any()
    x = means[0] + np.random.default_rng(seed).normal(size=(5, dim))
    rest = x - origin - (x @ u)[:, None] * u
    spread = STD**2 + V
    line = reduction.line
    weights = np.exp(np.asarray(line.log_weights))
    stds = np.sqrt(np.asarray(line.variances) + V)
    along = stats.norm.pdf((x @ u)[:, None], np.asarray(line.centers), stds) @ weights
    assert float(reduction.complement_variance) == pytest.approx(STD**2, rel=1e-15)
    across = -0.5 * np.sum(rest**2, axis=1) / spread
    across -= (dim - 1) / 2 * np.log(2 * np.pi * spread)
    dense = [stats.multivariate_normal(m, spread * np.eye(dim)).pdf(x) for m in means]
    # the reduction against the mixture of dense densities; rounding of exponents of size 50
    np.testing.assert_allclose(
        np.log(along) + across, np.log(WEIGHTS @ np.array(dense)), atol=1e-12
    )


@pytest.mark.parametrize(("dim", "off", "seed"), CASES)
def test_across_keeps_lengths_and_the_angle_to_the_origin(dim, off, seed):
    reduction = reduce_to_line(on_a_line(dim, off, seed)[0].components())
    u, origin = np.asarray(reduction.direction), np.asarray(reduction.origin)
    at_origin = np.asarray(reduction.across(reduction.origin))
    for vector in np.random.default_rng(9).normal(size=(3, dim)):
        moved = np.asarray(reduction.across(jnp.asarray(vector)))
        rest = vector - (vector @ u) * u
        assert moved.shape == (dim - 1,)
        assert np.linalg.norm(moved) == pytest.approx(np.linalg.norm(rest), rel=1e-13)
        assert moved @ at_origin == pytest.approx(rest @ origin, rel=1e-12, abs=1e-13)


def test_one_dimension_always_reduces():
    target = GaussianMixture.isotropic([0.4, 0.6], [[1.0], [2.0]], [0.1, 3.0])
    reduction = reduce_to_line(target.components())
    assert reduction.complement_dim == 0
    np.testing.assert_array_equal(reduction.line.centers, [1.0, 2.0])
    np.testing.assert_allclose(reduction.line.variances, [0.01, 9.0], rtol=1e-15)


def test_equal_means_reduce_to_any_line():
    target = GaussianMixture.isotropic([0.4, 0.6], np.ones((2, 3)), 0.5)
    reduction = reduce_to_line(target.components())
    information = 3 / (0.25 + V)
    assert float(target.fisher_information(V).value) == pytest.approx(information, rel=1e-12)
    assert reduction.complement_dim == 2


@pytest.mark.parametrize(
    ("means", "variances"),
    [
        ([[0.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [1.1, 1.1]]),  # two widths
        ([[0.0, 0.0], [1.0, 0.0]], [[1.0, 2.0], [1.0, 2.0]]),  # not round
        ([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], np.ones((3, 2))),  # a triangle
        ([[0.0, 0.0], [1.0, 0.0], [2.0, 1e-9]], np.ones((3, 2))),  # nearly a line
    ],
)
def test_other_laws_do_not_reduce(means, variances):
    weights = np.full(len(means), 1 / len(means))
    target = GaussianMixture.diagonal(weights, means, variances)
    assert reduce_to_line(target.components()) is None


def test_a_traced_law_reduces_in_one_dimension_only():
    for dim, reduces in ((1, True), (2, False)):
        target = GaussianMixture.isotropic([0.5, 0.5], np.eye(2)[:, :dim], 1.0)
        seen = []

        def look(t, seen=seen):
            seen.append(reduce_to_line(t.components()) is not None)
            return jnp.zeros(())

        jax.eval_shape(look, eqx.filter(target, eqx.is_array))
        assert seen == [reduces]

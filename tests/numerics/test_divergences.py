"""Divergences of Gaussians that lie from 1e-12 to 1e2 apart, against matrices in mpmath."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import gaussian, matrices
from reference.precision import exact, mp

from design_space.numerics import divergences

EPS = np.finfo(np.float64).eps
SIZES = np.geomspace(1e-12, 1e2, 15)


def relative_error(value, truth):
    return float(abs(exact(value) / truth - 1))


def in_one_coordinate(shift_scale):
    """Variances from 1e-6 to 1e4, excesses of either sign and all sizes, and shifts."""
    rng = np.random.default_rng(3)
    a = 10 ** rng.uniform(-6, 4, 60)
    d = a * np.concatenate([SIZES, -SIZES[SIZES < 0.9], np.geomspace(1e-9, 1e10, 60)])[:60]
    return a, d, shift_scale * np.sqrt(a) * rng.normal(size=60)


@pytest.mark.parametrize("shift_scale", [0.0, 1e-7, 1.0])
def test_kl_per_coordinate(shift_scale):
    a, d, b = in_one_coordinate(shift_scale)
    terms = divergences.gaussian_kl_terms(jnp.asarray(a), jnp.asarray(d), jnp.asarray(b))
    for term, *entry in zip(np.asarray(terms), a, d, b, strict=True):
        variance, excess, shift = (exact(x) for x in entry)
        truth = gaussian.kl(mp.zero, variance, shift, variance + excess)
        # a + D and x = -D/(a + D) are rounded once each, which (x - log1p x) at most doubles
        # below x = 1/4 and magnifies tenfold above; far apart log1p(D/a) has no pole to meet
        assert relative_error(term, truth) < 30 * EPS


@pytest.mark.parametrize("shift_scale", [0.0, 1e-7, 1.0])
def test_squared_w2_per_coordinate(shift_scale):
    a, d, b = in_one_coordinate(shift_scale)
    terms = divergences.gaussian_w2_squared_terms(jnp.asarray(a), jnp.asarray(d), jnp.asarray(b))
    for term, *entry in zip(np.asarray(terms), a, d, b, strict=True):
        variance, excess, shift = (exact(x) for x in entry)
        truth = shift**2 + (mp.sqrt(variance + excess) - mp.sqrt(variance)) ** 2
        assert relative_error(term, truth) < 10 * EPS  # no difference is taken


def in_three_coordinates(spread):
    """A = diag(a), and D that do not commute with it, of every size; also b."""
    rng = np.random.default_rng(7)
    a = np.array([1.0, spread**-1, spread])
    unit = rng.normal(size=(len(SIZES), 3, 3))
    unit = unit @ np.swapaxes(unit, 1, 2) - 0.4 * np.eye(3)  # of either sign
    root = np.sqrt(a)
    relative = unit / np.linalg.norm(unit, 2, axis=(1, 2), keepdims=True)
    relative = np.where(
        np.linalg.eigvalsh(relative)[:, :1, None] < -0.9 / SIZES[:, None, None],
        np.abs(relative) @ np.abs(relative),
        relative,
    )
    d = SIZES[:, None, None] * relative * root[None, :, None] * root[None, None, :]
    d = (d + np.swapaxes(d, 1, 2)) / 2
    return a, d, rng.normal(size=(len(SIZES), 3)) * np.sqrt(SIZES)[:, None] * root[None, :]


def laws(a, d, b):
    base = mp.diag([exact(x) for x in a])
    return (
        matrices.Law(mp.zeros(3, 1), base),
        matrices.Law(matrices.column(b), base + matrices.matrix(d)),
    )


@pytest.mark.parametrize("spread", [1.0, 3.0, 1e3])
def test_kl_and_w2_of_matrices_that_do_not_commute(spread):
    a, d, b = in_three_coordinates(spread)
    if spread > 1:
        assert np.min(np.linalg.norm(d * a[None, :, None] - d * a[None, None, :], axis=(1, 2))) > 0
    kl = jax.vmap(divergences.full_gaussian_kl, (None, 0, 0))(*map(jnp.asarray, (a, d, b)))
    centered = jax.vmap(divergences.full_gaussian_kl, (None, 0, None))(
        jnp.asarray(a), jnp.asarray(d), jnp.zeros(3)
    )
    w2 = jax.vmap(divergences.bures_squared, (None, 0))(jnp.asarray(a), jnp.asarray(d))
    for i in range(len(SIZES)):
        p, q = laws(a, d[i], b[i])
        same_mean = matrices.Law(p.mean, q.covariance)
        # eigenvalues c of the relative excess are good to EPS max|c|; the sum of squares, or the
        # logarithms where c is up to 1e2, magnifies that by no more than the condition 1/(1 + c)
        condition = max(
            1.0, 1 / float(np.min(np.linalg.eigvalsh(np.eye(3) + d[i] / np.sqrt(np.outer(a, a)))))
        )
        assert relative_error(kl[i], matrices.kl(p, q)) < 200 * EPS * condition
        assert relative_error(centered[i], matrices.kl(p, same_mean)) < 200 * EPS * condition
        # the polished root is good to EPS of its largest entry, which 1/a weighs: EPS spread^2
        truth = matrices.w2(p, same_mean) ** 2
        assert relative_error(w2[i], truth) < 1e-10


def test_equal_laws_are_at_distance_zero():
    a, zero = jnp.array([1.0, 0.2, 3.0]), jnp.zeros((3, 3))
    assert float(divergences.full_gaussian_kl(a, zero, jnp.zeros(3))) == 0.0
    assert float(divergences.bures_squared(a, zero)) == 0.0
    terms = divergences.gaussian_kl_terms(a, jnp.zeros(3), jnp.zeros(3))
    np.testing.assert_array_equal(terms, np.zeros(3))


def test_full_forms_agree_with_the_diagonal_ones():
    a, b = jnp.array([1.0, 0.2, 3.0]), jnp.array([0.5, -1.0, 0.0])
    d = jnp.array([0.5, -0.1, 1e-6])
    kl = divergences.full_gaussian_kl(a, jnp.diag(d), b)
    np.testing.assert_allclose(kl, jnp.sum(divergences.gaussian_kl_terms(a, d, b)), rtol=1e-14)
    w2 = jnp.sum(divergences.gaussian_w2_squared_terms(a, d, jnp.zeros(3)))
    np.testing.assert_allclose(divergences.bures_squared(a, jnp.diag(d)), w2, rtol=1e-13)

"""Small decompositions against LAPACK, exact arithmetic, and what defines them."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from design_space.numerics.small_svd import small_svd

SHAPES = [(1, 1), (4, 1), (1, 5), (2, 2), (7, 2), (2, 7), (3, 3), (50, 3), (3, 50)]


def _defects(matrix, left, singular, right):
    """How far U and V are from orthonormal, and U diag(s) V^T from the matrix."""
    rank = singular.shape[0]
    scale = max(np.abs(matrix).max(), 1e-300)
    return (
        np.abs(left.T @ left - np.eye(rank)).max(),
        np.abs(right @ right.T - np.eye(rank)).max(),
        np.abs((left * singular[None, :]) @ right - matrix).max() / scale,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_decomposes_random_matrices(shape):
    matrix = np.random.default_rng(sum(shape)).normal(size=shape)
    found = tuple(np.asarray(x) for x in small_svd(jnp.asarray(matrix)))
    # Some tens of rotations, a few units of rounding each.
    assert max(_defects(matrix, *found)) < 1e-13
    np.testing.assert_allclose(found[1], np.linalg.svd(matrix, compute_uv=False), rtol=1e-13)
    assert np.all(np.diff(found[1]) <= 0)


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((3, 2)),
        np.ones((4, 3)),
        np.array([[1.0, 2.0], [2.0, 4.0]]),
        np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        np.array([[1e-160, 2e-160], [3e-160, -1e-160]]),
        np.array([[1e150, 2e150], [3e150, -1e150], [1.0, 1.0]]),
    ],
    ids=["zero", "rank 1", "square of rank 1", "identity", "tiny", "huge"],
)
def test_degenerate_matrices_keep_orthonormal_factors(matrix):
    found = tuple(np.asarray(x) for x in small_svd(jnp.asarray(matrix)))
    assert max(_defects(matrix, *found)) < 1e-13


def test_small_singular_values_are_relatively_accurate():
    # Columns of very different sizes: LAPACK knows the small value to EPS times the large one only.
    matrix = np.array([[1.0, 1e-12], [1.0, -1e-12], [1.0, 3e-12]])
    with mpmath.workdps(60):
        gram = mpmath.matrix(matrix.tolist()).T * mpmath.matrix(matrix.tolist())
        exact = sorted(
            (mpmath.sqrt(x) for x in mpmath.eigsy(gram, eigvals_only=True)), reverse=True
        )
        exact = [float(x) for x in exact]
    np.testing.assert_allclose(small_svd(jnp.asarray(matrix))[1], exact, rtol=1e-14)


def test_batches_like_the_loop():
    batch = jnp.asarray(np.random.default_rng(0).normal(size=(20, 9, 2)))
    together = jax.jit(jax.vmap(small_svd))(batch)
    for k in range(20):
        for one, all_of in zip(small_svd(batch[k]), together, strict=True):
            np.testing.assert_allclose(
                np.asarray(all_of[k]), np.asarray(one), rtol=1e-12, atol=1e-14
            )

"""The singular value decomposition of matrices with a short side of a few entries, in bulk.

One-sided Jacobi rotations in plain array operations: they batch without a call for each matrix,
which for thousands of matrices with two columns is most of the time that LAPACK takes.
"""

from itertools import combinations

import jax
import jax.numpy as jnp

from design_space.arrays import EPS, Array, Float

SHORT = 3
"""The longest short side that is decomposed here."""

_SWEEPS = {1: 0, 2: 3, 3: 7}  # convergence is quadratic; one sweep finishes two columns


def small_svd(
    matrix: Float[Array, "rows columns"],
) -> tuple[Float[Array, "rows rank"], Float[Array, " rank"], Float[Array, "rank columns"]]:
    """U, s (descending) and V^T of the reduced decomposition U diag(s) V^T.

    Rotations from the right make the columns orthogonal; their norms are the singular values, each
    known to a relative accuracy that does not depend on the others.

    Args:
      matrix: one matrix, with at most SHORT rows or at most SHORT columns; batch with jax.vmap.

    Source: G. Golub and C. Van Loan, Matrix Computations, section 8.6.3.
    """
    if matrix.shape[0] < matrix.shape[1]:
        left, singular, right = small_svd(matrix.T)
        return right.T, singular, left.T
    scale = jnp.max(jnp.abs(matrix))
    scale = jnp.where((scale > 0) & jnp.isfinite(scale), scale, 1.0)
    columns = (matrix / scale).T
    start = (columns, jnp.eye(columns.shape[0], dtype=matrix.dtype))
    columns, turned = jax.lax.fori_loop(0, _SWEEPS[len(columns)], _sweep, start)
    norms = jnp.linalg.norm(columns, axis=1)
    order = jnp.argsort(-norms)
    norms, columns = norms[order], columns[order]
    return _orthonormal(columns, norms).T, scale * norms, turned[order]


def _sweep(_: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
    """Makes each pair of columns orthogonal once; columns are rows here."""
    columns, turned = state
    for i, j in combinations(range(columns.shape[0]), 2):
        both = columns[jnp.array([i, j])]
        first, second, dot = both[0] @ both[0], both[1] @ both[1], both[0] @ both[1]
        apart = jnp.abs(dot) > EPS * EPS * jnp.sqrt(first * second)
        zeta = (second - first) / (2 * jnp.where(apart, dot, 1.0))
        tangent = jnp.copysign(1.0, zeta) / (jnp.abs(zeta) + jnp.hypot(1.0, zeta))
        tangent = jnp.where(apart, tangent, 0.0)
        cosine = 1 / jnp.hypot(1.0, tangent)
        rotation = cosine * jnp.array([[1.0, -tangent], [tangent, 1.0]])
        at = jnp.array([i, j])
        columns = columns.at[at].set(rotation @ both)
        turned = turned.at[at].set(rotation @ turned[at])
    return columns, turned


def _orthonormal(columns: Array, norms: Array) -> Array:
    """The columns over their norms; where a norm is 0, a unit vector orthogonal to the others."""
    found = jnp.zeros_like(columns)
    for k in range(columns.shape[0]):
        unit = columns[k] / jnp.where(norms[k] > 0, norms[k], 1.0)
        other = jnp.zeros_like(unit).at[jnp.argmin(jnp.sum(found**2, axis=0))].set(1.0)
        for _ in range(2):
            other = other - found.T @ (found @ other)
        other = other / jnp.linalg.norm(other)
        found = found.at[k].set(jnp.where(norms[k] > 0, unit, other))
    return found

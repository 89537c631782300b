"""Decompositions that may be batched anywhere, also by several threads at once.

On a CPU, jaxlib's batched LAPACK calls wait inside the thread pool that is to do their work. Two of
them at a time can fill a pool of two threads, and then both wait forever. A call on one matrix does
its work where it stands; so here, batched on a CPU, matrices are decomposed one after another. On
other devices they are batched as usual. These functions have no derivative.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from design_space.arrays import Array, Float
from design_space.numerics.small_svd import SHORT, small_svd


def _one_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of arrays, batched as the module says."""

    @jax.custom_batching.custom_vmap
    def single(*args: Array) -> Any:
        return function(*args)

    def serial(*args: Array) -> Any:
        return jax.lax.map(lambda each: single(*each), args)

    @single.def_vmap
    def _(axis_size: int, in_batched: Any, *args: Array) -> tuple[Any, Any]:
        full = [
            arg if batched else jnp.broadcast_to(arg, (axis_size, *arg.shape))
            for arg, batched in zip(args, in_batched, strict=True)
        ]
        out = jax.lax.platform_dependent(*full, cpu=serial, default=jax.vmap(function))
        return out, jax.tree.map(lambda _: True, out)

    return single


_eigh = _one_at_a_time(lambda matrix: tuple(jnp.linalg.eigh(matrix)))
_eigvalsh = _one_at_a_time(jnp.linalg.eigvalsh)
_svd = _one_at_a_time(lambda matrix: tuple(jnp.linalg.svd(matrix, full_matrices=False)))
_solve = _one_at_a_time(jnp.linalg.solve)


def eigh(
    matrix: Float[Array, "size size"],
) -> tuple[Float[Array, " size"], Float[Array, "size size"]]:
    """Eigenvalues, ascending, and eigenvectors, in columns, of a symmetric matrix.

    Args:
      matrix: one matrix; batch with jax.vmap.
    """
    return _eigh(matrix)


def eigvalsh(matrix: Float[Array, "size size"]) -> Float[Array, " size"]:
    """Eigenvalues of a symmetric matrix, ascending.

    Args:
      matrix: one matrix; batch with jax.vmap.
    """
    return _eigvalsh(matrix)


def svd(
    matrix: Float[Array, "rows columns"],
) -> tuple[Float[Array, "rows rank"], Float[Array, " rank"], Float[Array, "rank columns"]]:
    """U, s (descending) and V^T of the reduced singular value decomposition U diag(s) V^T.

    Args:
      matrix: one matrix; batch with jax.vmap. With a very short side it is decomposed without
        LAPACK.
    """
    return small_svd(matrix) if min(matrix.shape) <= SHORT else _svd(matrix)


def solve(matrix: Float[Array, "size size"], right: Float[Array, " size"]) -> Float[Array, " size"]:
    """The solution x of matrix x = right.

    Args:
      matrix: one invertible matrix; batch with jax.vmap.
      right: one vector.
    """
    return _solve(matrix, right)

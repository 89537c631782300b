"""The largest eigenvalue of a symmetric operator that is only ever applied: Lanczos."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, is_concrete
from design_space.numerics.estimate import Estimate
from design_space.numerics.linear_algebra import eigh


def largest_eigenvalue(
    matvec: Callable[[Array], Array], start: Float[Array, " size"], steps: int = 32
) -> Estimate:
    """The largest eigenvalue of a symmetric operator A, from products with vectors.

    After k steps, theta is the largest Rayleigh quotient of A on the Krylov space span(b, A b, ...,
    A^{k-1} b), and y the unit vector where it is reached: theta never exceeds the largest
    eigenvalue beyond rounding, and an eigenvalue lies within |A y - theta y| of it. That it is the
    *largest* one needs a start b with a part along its eigenvector, as a random b has. In floating
    point it is full reorthogonalization, done twice, that keeps the basis orthogonal; where the
    Krylov space is exhausted (size below `steps`, few distinct eigenvalues, A = 0), the iteration
    stops there. Compiles, and batches over start or over what `matvec` closes over.

    Args:
      matvec: A times a vector of shape [size], with the shape and number type of the vector.
      start: b, not zero, shape [size], float32 or float64; draw it at random.
      steps: k, number of products with A (one more checks the result), at least 1. The basis
        takes k vectors of memory.

    Returns:
      theta, and |A y - theta y| plus rounding.

    Raises:
      ValueError: if `steps` is below 1, or `start` is not finite or zero.

    Source: Saad, Numerical Methods for Large Eigenvalue Problems (2011), sections 3.2 and 6.6.
    """
    steps = checks.count("steps", steps)
    if is_concrete(start):
        checks.nonempty("start", np.asarray(start, np.float64), 1)
        if not np.any(start):
            raise checks.refusal("start", 0.0, "a vector other than zero", "draw it at random")
    steps = min(steps, start.shape[0])
    basis, tridiagonal = _krylov(matvec, start, steps)
    _, vectors = eigh(tridiagonal)
    y = _product(basis.T, vectors[:, -1])
    y = y / _norm(y)
    image = matvec(y)
    value = _product(y, image)
    rounding = jnp.finfo(start.dtype).eps * start.shape[0] ** 0.5 * _norm(image)
    error = _norm(image - value * y) + rounding
    return Estimate(value, error, "quadrature")


def _product(left: Array, right: Array) -> Array:
    """A product in the full precision of its number type, on every device."""
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


def _norm(vector: Array) -> Array:
    """The length of a vector, whose squares may underflow."""
    scale = jnp.max(jnp.abs(vector))
    return scale * jnp.linalg.norm(vector / jnp.where(scale > 0, scale, 1))


def _krylov(
    matvec: Callable[[Array], Array], start: Array, steps: int
) -> tuple[Float[Array, "steps size"], Float[Array, "steps steps"]]:
    """An orthonormal basis of the Krylov space, and A in this basis.

    Rows after a breakdown are zero, and their diagonal entries lie below every eigenvalue.
    """
    tiny = 8 * jnp.finfo(start.dtype).eps * start.shape[0] ** 0.5

    def step(index: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        basis, diagonal, beside, vector, going = state
        basis = basis.at[index].set(jnp.where(going, vector, 0))
        image = matvec(basis[index])
        entry = _product(basis[index], image)
        size = _norm(image)
        for _ in range(2):
            image = image - _product(basis.T, _product(basis, image))
        left = _norm(image)
        scale = jnp.maximum(size, jnp.max(jnp.abs(diagonal)))
        further = going & (left > tiny * scale)
        diagonal = diagonal.at[index].set(entry)
        beside = beside.at[index].set(jnp.where(further, left, 0))
        vector = jnp.where(further, image / jnp.where(further, left, 1), 0)
        return basis, diagonal, beside, vector, further

    none = jnp.zeros(steps, start.dtype)
    first = start / _norm(start)
    state = (jnp.zeros((steps, start.shape[0]), start.dtype), none, none, first, jnp.bool_(True))
    basis, diagonal, beside, _, _ = jax.lax.fori_loop(0, steps, step, state)
    bound = jnp.max(jnp.abs(diagonal)) + 2 * jnp.max(beside)
    below = jnp.where(bound > 0, -2 * bound, -1)
    diagonal = jnp.where(jnp.any(basis != 0, axis=1), diagonal, below)
    return basis, jnp.diag(diagonal) + jnp.diag(beside[:-1], 1) + jnp.diag(beside[:-1], -1)

"""Divergences between given laws: Gaussians near each other, without cancellation."""

import jax
import jax.numpy as jnp

from design_space.arrays import Array, Float
from design_space.numerics.defects import log1p_defect


def _variance_part(c: Array, rest: Array) -> Array:
    """Computes log(1 + c) - c / (1 + c) for c > -1, given 1 + c: twice the KL of two variances.

    It is x - log(1 + x) with x = -c / (1 + c), which knows 1 + x badly once c is large.
    """
    x = -c / rest
    far = c > 1
    return jnp.where(far, jnp.log(jnp.where(far, rest, 1.0)) + x, log1p_defect(x))


def gaussian_kl_terms(
    variance: Float[Array, " dim"], excess: Float[Array, " dim"], shift: Float[Array, " dim"]
) -> Float[Array, " dim"]:
    """KL(N(0, a) | N(b, a + D)) per coordinate.

    With x = -D / (a + D), the variance part is (x - log(1 + x)) / 2 and the mean part
    b^2 / (2 (a + D)).

    Args:
      variance: a > 0, shape [dim].
      excess: D > -a, shape [dim], however small.
      shift: b, shape [dim].

    Returns:
      The terms, in nats, shape [dim]; each at least 0.
    """
    other = variance + excess
    ratio = other / variance
    return 0.5 * (_variance_part(excess / variance, ratio) + shift**2 / other)


def gaussian_w2_squared_terms(
    variance: Float[Array, " dim"], excess: Float[Array, " dim"], shift: Float[Array, " dim"]
) -> Float[Array, " dim"]:
    """W2(N(0, a), N(b, a + D))^2 per coordinate: b^2 + (D / (sqrt(a + D) + sqrt a))^2.

    Args:
      variance: a > 0, shape [dim].
      excess: D > -a, shape [dim], however small.
      shift: b, shape [dim].

    Returns:
      The terms, in squared data units, shape [dim].
    """
    root = excess / (jnp.sqrt(variance + excess) + jnp.sqrt(variance))
    return shift**2 + root**2


def full_gaussian_kl(
    variance: Float[Array, " dim"],
    excess: Float[Array, "dim dim"],
    shift: Float[Array, " dim"],
) -> Float[Array, ""]:
    """KL(N(0, A) | N(b, A + D)) for A = diag(a) and a full symmetric D.

    With the eigenvalues c of A^{-1/2} D A^{-1/2}: (1/2) sum [x - log(1 + x)], x = -c / (1 + c),
    plus (1/2) b^T (A + D)^{-1} b.

    Args:
      variance: a > 0, shape [dim].
      excess: D, shape [dim, dim], with A + D positive definite.
      shift: b, shape [dim].

    Returns:
      The divergence, in nats.
    """
    scale = 1 / jnp.sqrt(variance)
    c = jnp.linalg.eigvalsh(excess * scale[:, None] * scale[None, :])
    mean_part = shift @ jnp.linalg.solve(jnp.diag(variance) + excess, shift)
    return 0.5 * (jnp.sum(_variance_part(c, 1 + c)) + mean_part)


def bures_squared(
    variance: Float[Array, " dim"], excess: Float[Array, "dim dim"]
) -> Float[Array, ""]:
    """W2(N(0, A), N(0, A + D))^2 for A = diag(a) and a full symmetric D, however small.

    The square root X = A + Y of A^2 + F, F = A^{1/2} D A^{1/2}, gives the optimal map
    I + A^{-1/2} Y A^{-1/2}, so that the squared distance is sum_ij Y_ij^2 / a_i. The rounding of
    the eigendecomposition is polished away by Newton steps on A Y + Y A + Y^2 = F.

    Args:
      variance: a > 0, shape [dim].
      excess: D, shape [dim, dim], with A + D positive definite.

    Returns:
      The squared distance, in squared data units.
    """
    root = jnp.sqrt(variance)
    f = excess * root[:, None] * root[None, :]
    eigenvalues, basis = jnp.linalg.eigh(jnp.diag(variance**2) + f)
    square_root = (basis * jnp.sqrt(eigenvalues)[None, :]) @ basis.T
    y = square_root - jnp.diag(variance)
    x_values, x_basis = jnp.linalg.eigh(square_root)

    def polish(_: Array, y: Array) -> Array:
        residual = f - variance[:, None] * y - y * variance[None, :] - y @ y
        inside = x_basis.T @ residual @ x_basis
        update = inside / (x_values[:, None] + x_values[None, :])
        return y + x_basis @ update @ x_basis.T

    y = jax.lax.fori_loop(0, 3, polish, y)
    return jnp.sum(y * y / variance[:, None])

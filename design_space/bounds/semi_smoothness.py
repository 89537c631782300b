"""Right-hand side of Lemma 8, semi-smoothness of the denoising loss, as printed and corrected.

Notation: width m, depth L, dimension d, a_j = beta_j sigma_j^2; theta and theta' within a radius
omega of initialization; |.| the Frobenius norm. Both bound loss(theta') - loss(theta) -
<grad loss(theta), theta' - theta>.
"""

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar, float64


class SemiSmoothnessConstants(eqx.Module):
    """The constants of the two remainder terms, which the paper hides.

    Attributes:
      linear: of the term in |theta' - theta|.
      quadratic: of the term in |theta' - theta|^2.
    """

    linear: float = 1.0
    quadratic: float = 1.0


def _linear(
    loss: Scalar, scales: Scalar, radius: Scalar, distance: Scalar, sizes: tuple[int, int, int]
) -> Float[Array, ""]:
    dim, width, depth = (float64(size) for size in sizes)
    steep = jnp.sqrt(width * jnp.log(width)) * dim**0.25
    return jnp.sqrt(float64(loss) * scales) * jnp.cbrt(radius) * depth**2 * steep * distance


def lemma_8(
    loss: Scalar,
    scales: Scalar,
    radius: Scalar,
    distance: Scalar,
    sizes: tuple[int, int, int],
    constants: SemiSmoothnessConstants | None = None,
) -> Float[Array, ""]:
    """The remainder as printed.

      sqrt(loss(theta) sum_j a_j) [C omega^{1/3} L^2 sqrt(m ln m) d^{1/4} |theta' - theta|
                                   + C' L^2 sqrt(m d) |theta' - theta|^2]

    It fails near interpolation whatever the constants are: where the loss goes to 0 so does all of
    it, while the loss curves upwards, by lambda_max(K)/2 |theta' - theta|^2 along the gradient of
    the residual that curves most.

    Args:
      loss: loss(theta).
      scales: sum_j a_j.
      radius: omega.
      distance: |theta' - theta|.
      sizes: d, m and L.
      constants: C and C'.

    Source: Lemma 8 of arXiv 2406.12839.
    """
    c = SemiSmoothnessConstants() if constants is None else constants
    dim, width, depth = (float64(size) for size in sizes)
    root = jnp.sqrt(float64(loss) * scales)
    quadratic = root * depth**2 * jnp.sqrt(width * dim) * float64(distance) ** 2
    return c.linear * _linear(loss, scales, radius, distance, sizes) + c.quadratic * quadratic


def lemma_8_corrected(
    loss: Scalar,
    scales: Scalar,
    radius: Scalar,
    distance: Scalar,
    sizes: tuple[int, int, int],
    constants: SemiSmoothnessConstants | None = None,
) -> Float[Array, ""]:
    """The remainder with a quadratic term that is free of the loss.

      C sqrt(loss(theta) sum_j a_j) omega^{1/3} L^2 sqrt(m ln m) d^{1/4} |theta' - theta|
      + C' L^2 m sum_j a_j |theta' - theta|^2

    The square of the change of the scores enters the loss whatever the residuals are; it is at most
    lambda_max(K) |theta' - theta|^2/2, of the order m sum_j a_j.

    Args:
      loss: loss(theta).
      scales: sum_j a_j.
      radius: omega.
      distance: |theta' - theta|.
      sizes: d, m and L.
      constants: C and C'.

    Source: Lemma 8 of arXiv 2406.12839, corrected after Theorem 4 of Allen-Zhu, Li and Song (2019).
    """
    c = SemiSmoothnessConstants() if constants is None else constants
    _, width, depth = (float64(size) for size in sizes)
    quadratic = depth**2 * width * scales * float64(distance) ** 2
    return c.linear * _linear(loss, scales, radius, distance, sizes) + c.quadratic * quadratic

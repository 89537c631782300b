"""How far the layers of a network move when its trained matrices do: Lemma 6.

Notation: W_1, ..., W_L of width m, each moved by at most omega in operator norm; q_l the outputs
of the layers, |[x, sigma]| of the order sqrt(d).
"""

import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar, float64


def lemma_6_radius(
    depth: Scalar, width: Scalar, dim: Scalar, constant: float = 1.0
) -> Float[Array, ""]:
    """The largest perturbation that is admitted, omega = 1/(C L^{9/2} (log m)^3 sqrt d).

    Args:
      depth: L, at least 1.
      width: m, at least 2.
      dim: d, at least 1.
      constant: C.

    Source: Lemma 6 of arXiv 2406.12839.
    """
    size = float64(depth) ** 4.5 * jnp.log(float64(width)) ** 3 * jnp.sqrt(float64(dim))
    return 1 / (constant * size)


def lemma_6(
    omega: Scalar, depth: Scalar, width: Scalar, dim: Scalar, constant: float = 1.0
) -> Float[Array, ""]:
    """|q_l' - q_l| <= C omega L^{5/2} sqrt(log m) sqrt d, with high probability over the drawing.

    Args:
      omega: how far the matrices are moved, at most `lemma_6_radius`.
      depth: L, at least 1.
      width: m, at least 2.
      dim: d, at least 1.
      constant: C.

    Source: Lemma 6 of arXiv 2406.12839.
    """
    logs = jnp.sqrt(jnp.log(float64(width)) * dim)
    return constant * float64(omega) * float64(depth) ** 2.5 * logs


def lemma_6_sharper(
    omega: Scalar, depth: Scalar, size: Scalar, constant: float = 2.0
) -> Float[Array, ""]:
    """|q_l' - q_l| about at most C omega L^{3/2} |[x, sigma]|: the order that is measured.

    To first order q_L moves by sum_l J_l (W_l' - W_l) q_{l-1}, |q_{l-1}| is about |[x, sigma]| and
    J_l, a product of L - l random matrices, has an operator norm of the order sqrt(L - l + 1).

    Args:
      omega: how far the matrices are moved.
      depth: L, at least 1.
      size: |[x, sigma]|, in data units.
      constant: C.
    """
    return constant * float64(omega) * float64(depth) ** 1.5 * size

"""Proposition 1: the residual |sigma S + xi| at the ends of the noise levels.

Notation: X = x + sigma xi, S(X, sigma) a positively homogeneous network that has the noise level
as an input, S(c X, c sigma) = c S(X, sigma), K its Lipschitz constant. Then

  sigma S(X, sigma) = sigma^2 S(xi + x/sigma, 1),

and sigma^2 S(xi, 1) is what the printed sigma^2 S(t_j, xi) must mean: with sigma itself as input
S(xi, sigma) grows with sigma, and the claim fails.
"""

import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar, float64


def proposition_1_small(
    epsilon: Scalar, lipschitz: Scalar, data_norm: Scalar, noise_norm: Scalar
) -> Float[Array, ""]:
    """delta_1 such that sigma < delta_1 implies |sigma S + xi| > |xi| - eps_1.

    delta_1 = 2 eps_1 / (K |x| + sqrt(K^2 |x|^2 + 4 K eps_1 (|xi| + 1))), the root of
    sigma K (|x| + sigma (|xi| + 1)) = eps_1, whose left side is at least sigma |S|.

    Args:
      epsilon: eps_1, above 0.
      lipschitz: K, above 0; the product of the matrices' operator norms will do.
      data_norm: |x|, in data units.
      noise_norm: |xi|.

    Source: Proposition 1 of arXiv 2406.12839, made explicit.
    """
    slope, bend = float64(lipschitz) * data_norm, lipschitz * (float64(noise_norm) + 1)
    return 2 * epsilon / (slope + jnp.sqrt(slope**2 + 4 * epsilon * bend))


def proposition_1_large(
    epsilon: Scalar, lipschitz: Scalar, data_norm: Scalar, noise_norm: Scalar
) -> Float[Array, ""]:
    """M such that sigma >= M implies |sigma S + xi| >= sigma^2 (|S(xi, 1)| - eps_2).

    M = (K |x| + sqrt(K^2 |x|^2 + 4 eps_2 |xi|)) / (2 eps_2), the root of `proposition_1_gap`
    against eps_2.

    Args:
      epsilon: eps_2, above 0.
      lipschitz: K, above 0; the product of the matrices' operator norms will do.
      data_norm: |x|, in data units.
      noise_norm: |xi|.

    Source: Proposition 1 of arXiv 2406.12839, made explicit.
    """
    slope = float64(lipschitz) * data_norm
    return (slope + jnp.sqrt(slope**2 + 4 * epsilon * noise_norm)) / (2 * epsilon)


def proposition_1_gap(
    sigma: Scalar, lipschitz: Scalar, data_norm: Scalar, noise_norm: Scalar
) -> Float[Array, ""]:
    """| |sigma S + xi|/sigma^2 - |S(xi, 1)| | <= K |x|/sigma + |xi|/sigma^2.

    Args:
      sigma: noise level, above 0, in data units.
      lipschitz: K.
      data_norm: |x|, in data units.
      noise_norm: |xi|.

    Source: Proposition 1 of arXiv 2406.12839, sharpened: the limit at large noise.
    """
    level = float64(sigma)
    return lipschitz * data_norm / level + noise_norm / level**2


def proposition_1_floor(level: Scalar, limit: Scalar, epsilon: Scalar) -> Float[Array, ""]:
    """M^2 (|S(xi, 1)| - eps_2), which |sigma S + xi| reaches for every sigma >= M, as printed.

    With sigma in the place of M it is the growth that is proved.

    Args:
      level: M, or sigma.
      limit: |S(xi, 1)|.
      epsilon: eps_2.

    Source: Proposition 1 of arXiv 2406.12839.
    """
    return float64(level) ** 2 * (limit - epsilon)

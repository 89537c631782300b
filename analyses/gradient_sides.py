"""Both sides of the bounds on the gradient of the denoising loss, for many designs of one shape."""

import jax
import jax.numpy as jnp
import numpy as np

from design_space.bounds.convergence import (
    ConvergenceConstants,
    TrainingSizes,
    gradient_between,
    lemma_1,
    lemma_5,
)

CONSTANTS = ConvergenceConstants()

WHY = (
    "|∇L|² = ρ'Kρ/n and L = |ρ|²/(2n), with the vector ρ of weighted residuals and the kernel K of "
    "the loss: without any constant 2 λ_min(K) L ≤ |∇L|² ≤ 2 λ_max(K) L at every θ. "
)
"""Why the gradient is between two multiples of the loss."""


def lower_side(
    loss: np.ndarray, scale: np.ndarray, sizes: TrainingSizes, c: ConvergenceConstants = CONSTANTS
) -> np.ndarray:
    """Lemma 1's right side.

    Args:
      loss: shape [designs].
      scale: a_{j*}, shape [designs].
      sizes: of all of them.
      c: the constants.
    """
    one = jax.vmap(lambda y, a: lemma_1(y, a, sizes, c))
    return np.asarray(one(jnp.asarray(loss), jnp.asarray(scale)))


def upper_side(
    loss: np.ndarray, sizes: TrainingSizes, c: ConvergenceConstants = CONSTANTS
) -> np.ndarray:
    """Lemma 5's right side, for max_j a_j = 1.

    Args:
      loss: shape [designs].
      sizes: of all of them.
      c: the constants.
    """
    return np.asarray(jax.vmap(lambda y: lemma_5(y, 1.0, sizes, c))(jnp.asarray(loss)))


def between(loss: np.ndarray, least: np.ndarray, most: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bounds by the eigenvalues of K.

    Args:
      loss: shape [designs].
      least: lambda_min(K), shape [designs].
      most: lambda_max(K), shape [designs].
    """
    found = jax.vmap(gradient_between)(*(jnp.asarray(x) for x in (loss, least, most)))
    return np.asarray(found[0]), np.asarray(found[1])

"""What networks predict, from the score and back: the data, the noise, and v.

A noisy point is y = x_0 + sigma eps. With the angle phi = arctan(sigma), x = cos(phi) y is the
same point in variance-preserving form, x = alpha x_0 + sigma_t eps, alpha = cos(phi) and
sigma_t = sin(phi).
"""

from typing import NamedTuple

import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar


class Predictions(NamedTuple):
    """One score, said in three ways.

    Attributes:
      data: of x_0, y + sigma^2 S, shape [dim], in data units.
      noise: of eps, -sigma S, shape [dim].
      velocity: of v = alpha eps - sigma_t x_0, which is
        (noise (1 + sigma^2) - sigma y)/sqrt(1 + sigma^2), shape [dim].
    """

    data: Float[Array, " dim"]
    noise: Float[Array, " dim"]
    velocity: Float[Array, " dim"]


def predictions(y: Float[Array, " dim"], sigma: Scalar, score: Float[Array, " dim"]) -> Predictions:
    """What a score predicts at one point.

    Args:
      y: x_0 + sigma eps, shape [dim], in data units.
      sigma: noise level, above 0.
      score: S(y, sigma), shape [dim].

    Source: section 3.1 of arXiv 2401.00110, for data of variance 1.
    """
    sigma = jnp.asarray(sigma, score.dtype)
    noise = -sigma * score
    velocity = (noise * (1 + sigma**2) - sigma * y) / jnp.sqrt(1 + sigma**2)
    return Predictions(y + sigma**2 * score, noise, velocity)


def score_from_velocity(
    y: Float[Array, " dim"], sigma: Scalar, velocity: Float[Array, " dim"]
) -> Float[Array, " dim"]:
    """S(y, sigma) of a prediction of v: -(v sqrt(1 + sigma^2)/sigma + y)/(1 + sigma^2).

    Args:
      y: x_0 + sigma eps, shape [dim], in data units.
      sigma: noise level, above 0.
      velocity: prediction of v = alpha eps - sigma_t x_0, shape [dim].
    """
    sigma = jnp.asarray(sigma, velocity.dtype)
    total = 1 + sigma**2
    return -(velocity * jnp.sqrt(total) / sigma + y) / total


def noised(found: Predictions, sigma: Scalar) -> Float[Array, " dim"]:
    """The predicted data with the predicted noise at another level, x0_hat + sigma eps_hat.

    Args:
      found: what was predicted at some level.
      sigma: the other level.
    """
    return found.data + jnp.asarray(sigma, found.noise.dtype) * found.noise

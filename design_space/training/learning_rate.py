"""Learning rates: the stability limit, a safe part of it, and the one printed in Theorem 1."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from design_space import checks
from design_space.arrays import Array, Float, Scalar
from design_space.numerics.estimate import Estimate
from design_space.numerics.lanczos import largest_eigenvalue
from design_space.scores.model import AbstractModel, Weights
from design_space.training.objective import DenoisingData, empirical_loss

RULES = ("auto", "printed")
"""Learning rates by name; anything else is a number."""

SAFE_SHARE = 0.5
"""The part of the stability limit that "auto" takes: h = 1/lambda_max."""

_LANCZOS_STEPS = 32


def curvature(model: AbstractModel, data: DenoisingData) -> Estimate:
    """lambda_max, the largest eigenvalue of the Hessian of the denoising loss, by Lanczos.

    Args:
      model: where the Hessian is taken.
      data: what the loss is made of.

    Returns:
      The eigenvalue, in the inverse unit of the learning rate, and the norm of its residual.
    """
    start, unravel = ravel_pytree(model.weights())

    def gradient(flat: Array) -> Array:
        def loss(weights: Weights) -> Array:
            return empirical_loss(model.with_weights(weights), data)

        return ravel_pytree(jax.grad(loss)(unravel(flat)))[0]

    def product(direction: Array) -> Array:
        return jax.jvp(gradient, (start,), (direction,))[1]

    random = jax.random.normal(jax.random.key(0), start.shape, start.dtype)
    steps = min(_LANCZOS_STEPS, start.shape[0])
    return largest_eigenvalue(product, random, steps)


@eqx.filter_jit
def stability_limit(model: AbstractModel, data: DenoisingData) -> Float[Array, ""]:
    """2/lambda_max at the model's weights: gradient descent on a quadratic loss diverges above it.

    Args:
      model: where the curvature is taken; usually at initialization.
      data: what the loss is made of.
    """
    return 2 / curvature(model, data).value


def printed_learning_rate(data: DenoisingData, width: Scalar) -> Float[Array, ""]:
    """Theorem 1's h = n N/(m min_j a_j), with the constant of Theta(.) taken as one.

    Args:
      data: n points at N levels, with a_j = beta_j sigma_j^2.
      width: m.

    Source: Theorem 1 of arXiv 2406.12839.
    """
    points, levels = data.noise.shape[:2]
    return points * levels / (width * jnp.min(data.scales))


def read_learning_rate(rule: Any, model: AbstractModel, data: DenoisingData) -> Float[Array, ""]:
    """Reads a learning rate for one model.

    Args:
      rule: a number above 0; "auto", half of the stability limit at the given weights; or
        "printed", Theorem 1's.
      model: the initial model.
      data: what the loss is made of.

    Raises:
      ValueError: if the rule is none of these, or "printed" is asked of a model without a width.
    """
    if not isinstance(rule, str):
        checks.positive("learning_rate", rule)
        return jnp.asarray(rule, data.points.dtype)
    if checks.one_of("learning_rate", rule, RULES) == "auto":
        return (SAFE_SHARE * stability_limit(model, data)).astype(data.points.dtype)
    if model.width is None:
        raise checks.refusal(
            "learning_rate", rule, "a number or auto for a model without a width", "give a number"
        )
    return printed_learning_rate(data, model.width).astype(data.points.dtype)

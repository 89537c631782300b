"""Weights at which the residuals of a training design are what one wants them to be.

Minimum-norm Gauss-Newton steps, theta -> theta - J' (J J')^{-1} (rho - target), with the Jacobian J
of the weighted residuals rho and J J' = n K, K the kernel of the loss. A ReLU network with one
trained layer is piecewise linear in it, so that the steps end where no neuron changes its sign.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from design_space.arrays import Array
from design_space.numerics.linear_algebra import solve
from design_space.scores.relu_network import ReluNetwork
from design_space.training.objective import DenoisingData
from design_space.training.tangent_kernel import loss_kernel, weighted_residuals

Matrices = tuple[Array, ...]

_ROUNDS = 6


def norm(matrices: Matrices) -> Array:
    """The Frobenius norm of all matrices together."""
    return jnp.sqrt(sum((jnp.sum(x**2) for x in matrices), jnp.zeros(())))


def moved(weights: Matrices, direction: Matrices, distance: Any) -> Matrices:
    """Weights a distance along a direction."""
    return tuple(w + distance * x for w, x in zip(weights, direction, strict=True))


class Place(NamedTuple):
    """A model, and what is known of the loss there.

    Attributes:
      model: with its weights.
      data: what the loss is made of.
    """

    model: ReluNetwork
    data: DenoisingData

    def at(self, weights: Matrices) -> "Place":
        """The same with other weights."""
        return Place(self.model.with_weights(weights), self.data)

    def residuals(self, weights: Matrices) -> Array:
        """The weighted residuals rho at given weights, flat."""
        return weighted_residuals(self.model.with_weights(weights), self.data).ravel()

    def loss(self, weights: Matrices) -> Array:
        """|rho|^2/(2n) at given weights."""
        return 0.5 * jnp.sum(self.residuals(weights) ** 2) / self.data.points.shape[0]

    def kernel(self) -> Array:
        """K at the model's weights."""
        return loss_kernel(self.model, self.data)

    def pulled_back(self, rows: Array) -> Matrices:
        """J' times a vector of the size of rho."""
        return jax.vjp(self.residuals, self.model.weights())[1](rows)[0]


def steered(place: Place, target: Any) -> Place:
    """Moves to weights at which rho is a target.

    Args:
      place: where to begin.
      target: the residuals that are wanted, flat; or a function that gives them from K at the
        weights.
    """
    points = place.data.points.shape[0]

    def step(_: Any, weights: Matrices) -> Matrices:
        here = place.at(weights)
        kernel = here.kernel()
        wanted = jnp.asarray(target(kernel) if callable(target) else target)
        off = here.residuals(weights) - wanted
        ridge = 1e-14 * jnp.trace(kernel) / kernel.shape[0]
        rows = solve(kernel + ridge * jnp.eye(kernel.shape[0]), off) / points
        return moved(weights, here.pulled_back(rows), -1.0)

    return place.at(jax.lax.fori_loop(0, _ROUNDS, step, place.model.weights()))

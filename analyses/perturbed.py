"""Training designs away from initialization: gradients at perturbed weights, remainders of the loss
near interpolation, and runs with the f_ij made equal. Each function is of one network and its data.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from analyses.steering import Matrices, Place, moved, norm, steered
from analyses.training_designs import Descent, descended
from design_space.arrays import Array
from design_space.numerics.linear_algebra import eigh, eigvalsh
from design_space.scores.relu_network import ReluNetwork
from design_space.training.descent import GradientDescent
from design_space.training.objective import DenoisingData, residuals


class Gradient(NamedTuple):
    """The gradient at some weights, beside what bounds it.

    Attributes:
      squares: |grad_{W_l} loss|^2, shape [..., layers].
      loss: there.
      initial_loss: at initialization.
      scale: a_{j*} there.
      kernel: K there, shape [..., rows, rows].
    """

    squares: Any
    loss: Any
    initial_loss: Any
    scale: Any
    kernel: Any


def _gradient(place: Place, initial_loss: Any) -> Gradient:
    descent = GradientDescent(place.model, place.data, jnp.asarray(1.0))
    info = descent.measure(descent.init())
    scale = place.data.scales[info.where[1]]
    return Gradient(info.gradient_norms**2, info.loss, initial_loss, scale, place.kernel())


def initial_gradient(model: ReluNetwork, data: DenoisingData) -> Gradient:
    """The gradient at initialization, beside what bounds it.

    Args:
      model: the network.
      data: what the loss is made of.
    """
    place = Place(model, data)
    return _gradient(place, place.loss(model.weights()))


def _unit(direction: Matrices) -> Matrices:
    return tuple(x / jnp.linalg.norm(x) for x in direction)


def shifted(model: ReluNetwork, data: DenoisingData, radius: Any, seed: Any) -> Gradient:
    """At weights of which every matrix is moved by the radius: up and down the gradient, at random.

    Args:
      model: at initialization.
      data: what the loss is made of.
      radius: omega, the Frobenius norm by which each matrix moves.
      seed: of the random direction.

    Returns:
      Gradients with the three directions along the first axis.
    """
    place, start = Place(model, data), model.weights()
    loss, up = place.loss(start), jax.grad(place.loss)(start)
    keys = jax.random.split(jax.random.key(seed), len(start))
    random = tuple(jax.random.normal(k, w.shape) for k, w in zip(keys, start, strict=True))
    ways = ((up, radius), (up, -radius), (random, radius))
    weights = [moved(start, _unit(way), distance) for way, distance in ways]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *weights)
    return jax.vmap(lambda w: _gradient(place.at(w), loss))(stacked)


def worst_residual(model: ReluNetwork, data: DenoisingData) -> Gradient:
    """At weights where the residuals are along the eigenvector of lambda_min(K).

    Args:
      model: at initialization.
      data: what the loss is made of.
    """
    place = Place(model, data)
    start = place.residuals(model.weights())

    def least(kernel: Array) -> Array:
        vector = eigh(kernel)[1][:, 0]
        return vector * jnp.sign(vector @ start) * 0.01 * jnp.linalg.norm(start)

    return _gradient(steered(place, least), place.loss(model.weights()))


class Remainder(NamedTuple):
    """The remainder loss(theta') - loss(theta) - <grad loss(theta), theta' - theta>.

    Attributes:
      loss: at theta.
      value: of the remainder.
      distance: |theta' - theta|.
      radius: the larger one of the distances of theta and theta' from initialization.
      curvature: lambda_max(K) at theta.
    """

    loss: Any
    value: Any
    distance: Any
    radius: Any
    curvature: Any


def _remainder(
    place: Place, start: Matrices, direction: Matrices, distance: Any, top: Any
) -> Remainder:
    here = place.model.weights()
    loss, gradient = jax.value_and_grad(place.loss)(here)
    size = norm(direction)
    direction = tuple(x / size for x in direction)
    there = moved(here, direction, distance)
    slope = sum(jnp.sum(g * x) for g, x in zip(gradient, direction, strict=True))
    away = [norm(tuple(a - b for a, b in zip(w, start, strict=True))) for w in (here, there)]
    value = place.loss(there) - loss - distance * slope
    return Remainder(loss, value, jnp.asarray(distance), jnp.maximum(*away), top)


def remainders(
    model: ReluNetwork, data: DenoisingData, share: Any, distance: Any, rows: Any
) -> Remainder:
    """Remainders at weights where rho is a share of what it is at initialization.

    Args:
      model: at initialization.
      data: what the loss is made of.
      share: 1 at initialization, near 0 near interpolation.
      distance: |theta' - theta|.
      rows: a random vector of the size of rho.

    Returns:
      Remainders along the first axis: in the row space of the Jacobian along J' v with v random and
      v the eigenvector of lambda_max(K).
    """
    place, start = Place(model, data), model.weights()
    here = steered(place, share * place.residuals(start))
    eigenvalues, vectors = eigh(here.kernel())
    ways = [here.pulled_back(v) for v in (rows, vectors[:, -1])]
    found = [_remainder(here, start, way, distance, eigenvalues[-1]) for way in ways]
    return jax.tree.map(lambda *x: jnp.stack(x), *found)


def equalized(model: ReluNetwork, data: DenoisingData, share: Any) -> tuple[DenoisingData, Any]:
    """The data with beta_j = c (1/mean_i |r_ij|^2)^share: with share 1 all levels' means are equal.

    Residuals do not depend on beta, so this is had at the weights that the model has.

    Args:
      model: where the f_ij are to be equal.
      data: its beta is not used.
      share: 1 makes them equal, 0 leaves beta_j = 1, below 0 they differ more.

    Returns:
      The data, with max_j a_j = 1, and f_ij, shape [points, levels].
    """
    squares = jnp.sum(residuals(model, data) ** 2, axis=-1)
    beta = jnp.mean(squares, axis=0) ** -share
    beta = beta / jnp.max(beta * data.sigmas**2)
    return DenoisingData(data.points, data.noise, data.sigmas, beta), beta[None, :] * squares


def equal_run(model: ReluNetwork, data: DenoisingData, share: Any) -> tuple[Descent, Any, Any]:
    """Gradient descent at h = 1/lambda_max from where the f_ij are equal; see `equalized`.

    Returns:
      The run, its learning rate, and f_ij at its beginning.
    """
    data, squares = equalized(model, data, share)
    rate = 1 / eigvalsh(Place(model, data).kernel())[-1]
    return descended(model, data, rate), rate, squares


def long_run(
    model: ReluNetwork, data: DenoisingData, learning_rate: Any, count: Any
) -> tuple[Array, Array]:
    """The loss before and after so many steps of gradient descent.

    Args:
      model: where to begin.
      data: what the loss is made of.
      learning_rate: h.
      count: number of steps.
    """
    descent = GradientDescent(model, data, learning_rate)
    state = descent.init()
    return state.initial_loss, descent.loss(descent.advance(state, count).weights)[0]

"""Both sides of what is exact of the self-perceptual loss, by the code that trains with it."""

from typing import Any, ClassVar, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from design_space.arrays import EPS, Array, Float, Key, Scalar
from design_space.scores.model import AbstractModel, Factor, Weights
from design_space.scores.perceptron import perceptron
from design_space.scores.predictions import Predictions, noised, predictions, score_from_velocity
from design_space.training.losses import AbstractLoss
from design_space.training.objective import DenoisingData
from design_space.training.perceptual import SelfPerceptualLoss, self_perceptual

SIGMAS = np.array([0.1, 0.4, 1.0, 3.0, 20.0])
"""Levels of the exact checks."""

_POINTS = 64
_ZERO = 1e-10  # share of the largest eigenvalue that counts as zero


@final
class LinearHidden(AbstractModel):
    """A model whose hidden layer is W_j cos(phi_j) y: linear in the variance-preserving point.

    Attributes:
      matrices: W_j of each level, shape [levels, k, dim].
      sigmas: the levels, shape [levels].
    """

    kind: ClassVar[str] = "linear hidden layer"
    matrices: Float[Array, "levels k dim"]
    sigmas: Float[Array, " levels"]

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """Zero: only the hidden layer is asked for."""
        return jnp.zeros_like(x)

    def outputs(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Array, ...]:
        """The hidden layer, shape [k]."""
        j = jnp.argmin(jnp.abs(self.sigmas - sigma))
        return (self.matrices[j] @ (x / jnp.sqrt(1 + sigma**2)),)

    def weights(self) -> Weights:
        """One matrix, of every level."""
        return (self.matrices.reshape(-1, self.matrices.shape[-1]),)

    def with_weights(self, weights: Weights) -> "LinearHidden":
        """See AbstractModel."""
        return LinearHidden(weights[0].reshape(self.matrices.shape), self.sigmas)

    def factors(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Factor, ...]:
        """Zero, as the score is."""
        return (Factor(jnp.zeros_like(x), jnp.zeros((x.shape[0], self.weights()[0].shape[0]))),)


@final
class ConstantVelocity(AbstractModel):
    """A model that predicts one v for all points of a level.

    Attributes:
      velocities: of each level, shape [levels, dim].
      sigmas: the levels, shape [levels].
    """

    kind: ClassVar[str] = "constant velocity"
    velocities: Float[Array, "levels dim"]
    sigmas: Float[Array, " levels"]

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """The score of that prediction."""
        j = jnp.argmin(jnp.abs(self.sigmas - sigma))
        return score_from_velocity(x, sigma, self.velocities[j])

    def weights(self) -> Weights:
        """The predictions."""
        return (self.velocities,)

    def with_weights(self, weights: Weights) -> "ConstantVelocity":
        """See AbstractModel."""
        return ConstantVelocity(weights[0], self.sigmas)

    def factors(self, x: Float[Array, " dim"], sigma: Scalar) -> tuple[Factor, ...]:
        """Input: the gate of the level; back: the slope of the score in v."""
        gate = jax.nn.one_hot(jnp.argmin(jnp.abs(self.sigmas - sigma)), len(self.sigmas))
        return (Factor(gate, -jnp.eye(x.shape[0]) / (sigma * jnp.sqrt(1 + sigma**2))),)


def drawn(key: Key, dim: int, points: int = _POINTS) -> DenoisingData:
    """Normal points and noise at SIGMAS, all weights one.

    Args:
      key: random key.
      dim: dimension.
      points: how many.
    """
    one, two = jax.random.split(key)
    noise = jax.random.normal(two, (points, len(SIGMAS), dim))
    ones = jnp.ones(len(SIGMAS))
    return DenoisingData(jax.random.normal(one, (points, dim)), noise, jnp.asarray(SIGMAS), ones)


def true_velocities(data: DenoisingData) -> Float[Array, "points levels dim"]:
    """The v = alpha eps - sigma_t x_0 of data.

    Args:
      data: points and noise.
    """
    phi = jnp.arctan(data.sigmas)[None, :, None]
    return jnp.cos(phi) * data.noise - jnp.sin(phi) * data.points[:, None, :]


def total(loss: AbstractLoss, model: AbstractModel, data: DenoisingData) -> Array:
    """The loss (1/2n) sum_ij f_ij of a model, as training has it.

    Args:
      loss: which one.
      model: the model.
      data: what it is made of.
    """
    memory = loss.memory(model.weights())
    return jnp.sum(loss.terms(model, data, jnp.asarray(0), memory)) / (2 * data.points.shape[0])


def slopes(loss: AbstractLoss, model: AbstractModel, data: DenoisingData) -> Array:
    """Its gradient in all weights, flat.

    Args: as for `total`.
    """
    flat, back = ravel_pytree(model.weights())
    return jax.grad(lambda w: total(loss, model.with_weights(back(w)), data))(flat)


class OwnTime(NamedTuple):
    """Loss and length of its gradient for random networks judged by others, shape [draws, 2].

    Attributes:
      equal: at t' = t.
      independent: at independent t', for the size.
      data_only: at t' = t, with the true noise beside the predicted data.
    """

    equal: Array
    independent: Array
    data_only: Array


@eqx.filter_jit
def at_own_time(keys: Key, dim: int) -> OwnTime:
    """The loss of random networks at their own time and at others.

    Args:
      keys: random keys, shape [draws].
      dim: dimension.
    """

    def draw(key: Key) -> OwnTime:
        one, two, three, four = jax.random.split(key, 4)
        model, frozen = (perceptron(k, dim, 16, dtype="float64") for k in (one, two))
        data = drawn(three, dim, 16)

        def both(times: str, predicted: str) -> Array:
            loss = self_perceptual(frozen, data, four, times=times, predictions=predicted)
            size = jnp.linalg.norm(slopes(loss, model, data))
            return jnp.stack([total(loss, model, data), size])

        return OwnTime(both("equal", "both"), both("independent", "both"), both("equal", "data"))

    return jax.vmap(draw)(keys)


class Turn(NamedTuple):
    """Both sides of the rotation identity and the size of what they are differences of."""

    left: Array
    right: Array
    size: Array


@eqx.filter_jit
def turned(keys: Key, dim: int) -> Turn:
    """x_hat_t' - x_t' and sin(phi' - phi)(v_hat - v) for random networks, one point each.

    Args:
      keys: random keys, shape [draws].
      dim: dimension.

    Returns:
      Every network, level, other level and coordinate, flat.
    """
    found = jax.vmap(lambda key: _turned(key, dim))(keys)
    return Turn(*(jnp.ravel(a) for a in found))


def _turned(key: Key, dim: int) -> Turn:
    one, two = jax.random.split(key)
    model, data = perceptron(one, dim, 16, dtype="float64"), drawn(two, dim, 1)
    velocities = true_velocities(data)

    def pair(x: Array, eps: Array, v: Array, sigma: Array, other: Array) -> Turn:
        y = x + sigma * eps
        found = predictions(y, sigma, model(y, sigma))
        truth = Predictions(x, eps, v)
        angle = jnp.arctan(other) - jnp.arctan(sigma)
        left = jnp.cos(jnp.arctan(other)) * (noised(found, other) - noised(truth, other))
        # y + sigma^2 S and -sigma S are differences of larger numbers
        size = jnp.abs(y) + (1 + sigma) * (jnp.abs(found.noise) * (sigma + 1) + jnp.abs(eps))
        return Turn(left, jnp.sin(angle) * (found.velocity - v), size)

    over = jax.vmap(pair, (None, None, None, None, 0))
    over = jax.vmap(over, (None, 0, 0, 0, None))
    over = jax.vmap(over, (0, 0, 0, None, None))
    return over(data.points, data.noise, velocities, data.sigmas, data.sigmas)


def rounding(turn: Turn) -> np.ndarray:
    """What both sides may be off by."""
    return 64 * EPS * np.asarray(turn.size)


class Quadratic(NamedTuple):
    """The loss of linear features as a function of the v predicted at each level.

    Attributes:
      terms: f of each point, level and other level at random predictions, flat.
      formula: sin(phi' - phi)^2 |W'(v_hat - v)|^2 / k there.
      mean: the mean v of each level, flat: the minimizer of the mean square.
      found: the minimizer by one Newton step from random predictions, flat.
      start: those predictions.
      least: the least eigenvalue of the Hessian that is not zero, over its largest.
      losses: at the mean v, and at the mean v plus a unit vector that no W sees, if there is one.
      squares: the mean of |v_hat - v|^2 at both.
    """

    terms: Array
    formula: Array
    mean: Array
    found: Array
    start: Array
    least: Array
    losses: Array
    squares: Array


def _all_others(data: DenoisingData, frozen: AbstractModel) -> tuple[DenoisingData, Any]:
    """Every point with every other level, and the loss that compares it there."""
    levels, points = len(SIGMAS), data.points.shape[0]
    many = DenoisingData(
        jnp.repeat(data.points, levels, axis=0),
        jnp.repeat(data.noise, levels, axis=0),
        data.sigmas,
        data.beta,
    )
    others = jnp.tile(jnp.arange(levels, dtype=jnp.int32), points)[None, :, None]
    others = jnp.broadcast_to(others, (1, points * levels, levels))
    c, a, predicted = jnp.asarray(0.0), jnp.asarray(1.0), jnp.ones(2)
    return many, SelfPerceptualLoss(
        frozen, c, a, others, predicted, layer=0, distance="squared", averages=False
    )


@eqx.filter_jit
def with_linear_features(key: Key, matrices: Float[Array, "levels k dim"]) -> Quadratic:
    """The loss of linear features, on every pair of a point and another level.

    Args:
      key: random key.
      matrices: W of each level, shape [levels, k, dim].
    """
    one, two = jax.random.split(key)
    dim = matrices.shape[-1]
    data = drawn(one, dim)
    many, loss = _all_others(data, LinearHidden(matrices, jnp.asarray(SIGMAS)))
    truth = true_velocities(many)
    start = jax.random.normal(two, (len(SIGMAS), dim))
    model = ConstantVelocity(start, jnp.asarray(SIGMAS))

    def at(flat: Array) -> Array:
        return total(loss, model.with_weights((flat.reshape(start.shape),)), many)

    mean = jnp.mean(true_velocities(data), axis=0)
    slope, bend = jax.grad(at)(start.ravel()), jax.hessian(at)(start.ravel())
    spectrum, unseen = jnp.linalg.eigvalsh(bend), jnp.linalg.svd(matrices.reshape(-1, dim))[2][-1]
    seen_at = _ZERO * spectrum[-1]
    moved = mean + unseen[None, :]
    angles = jnp.arctan(many.sigmas)[loss.others[0]] - jnp.arctan(many.sigmas)[None, :]
    seen = jnp.einsum("ijkd,ijd->ijk", matrices[loss.others[0]], start[None] - truth)
    squares = [jnp.mean(jnp.sum((v[None] - truth) ** 2, axis=-1)) for v in (mean, moved)]
    return Quadratic(
        loss.terms(model, many, jnp.asarray(0), ()).ravel(),
        (jnp.sin(angles) ** 2 * jnp.mean(seen**2, axis=-1)).ravel(),
        mean.ravel(),
        start.ravel() - jnp.linalg.lstsq(bend, slope, rcond=_ZERO)[0],
        start.ravel(),
        jnp.min(jnp.where(spectrum > seen_at, spectrum, jnp.inf)) / spectrum[-1],
        jnp.stack([at(mean.ravel()), at(moved.ravel())]),
        jnp.stack(squares),
    )

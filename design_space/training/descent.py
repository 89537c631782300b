"""Gradient descent on a loss, the whole of it at every step, one model at a time; vmap batches it.

  theta_{k+1} = theta_k - h grad loss(theta_k)

Source: eq. (9) of arXiv 2406.12839.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from design_space.arrays import Array, Float, Int
from design_space.scores.model import AbstractModel, Weights
from design_space.training.losses import DENOISING, AbstractLoss
from design_space.training.objective import DenoisingData

Transform = Callable[[Any], optax.GradientTransformation]
"""Makes optax's update rule from a learning rate; `optax.sgd` is gradient descent."""

BLOW_UP = 1e6
"""A run has diverged once its loss is this many times the initial one, or not a number."""


def rounding(loss: Float[Array, "..."]) -> float:
    """A loss that rounding makes of zero is below this: so many squares of a rounding.

    Args:
      loss: of the number type of training.
    """
    return BLOW_UP * float(jnp.finfo(loss.dtype).eps) ** 2


class State(eqx.Module):
    """Where a run stands.

    Attributes:
      step: k, the number of steps done.
      weights: the trained matrices theta_k.
      inner: state of optax's update rule.
      initial_loss: loss at theta_0.
      diverged_at: the step at which the run was found to diverge, -1 if it was not; from there on
        the weights stay.
      memory: what the loss remembers of the steps before.
    """

    step: Int[Array, ""]
    weights: Weights
    inner: Any
    initial_loss: Float[Array, ""]
    diverged_at: Int[Array, ""]
    memory: Any


class Info(eqx.Module):
    """What is measured at theta_k; numbers are infinite from where a run diverged.

    Attributes:
      loss: (1/2n) sum_ij f_ij.
      level_losses: the part (1/2n) sum_i f_ij of each level in the loss, shape [levels].
      gradient_norms: Frobenius norm of the gradient in each trained matrix, shape [layers].
      distances: Frobenius norm of each matrix' way from initialization, shape [layers].
      largest: f_{i* j*}, the largest f_ij.
      where: (i*, j*), counted from 0: of the largest f_ij, that of the largest a_j; shape [2].
      ties: |G(k)|, how many f_ij are equal to the largest.
    """

    loss: Float[Array, ""]
    level_losses: Float[Array, " levels"]
    gradient_norms: Float[Array, " layers"]
    distances: Float[Array, " layers"]
    largest: Float[Array, ""]
    where: Int[Array, " 2"]
    ties: Int[Array, ""]


class GradientDescent(eqx.Module):
    """Gradient descent on one loss.

    Attributes:
      model: the initial model; what is not trained stays as it is there.
      data: what the loss is made of.
      learning_rate: h.
      transform: optax's update rule.
      objective: the loss that is made of them.
    """

    model: AbstractModel
    data: DenoisingData
    learning_rate: Float[Array, ""]
    transform: Transform = eqx.field(static=True, default=optax.sgd)
    objective: AbstractLoss = DENOISING

    def loss(
        self, weights: Weights, step: Int[Array, ""] | int = 0, memory: Any = ()
    ) -> tuple[Float[Array, ""], Float[Array, "points levels"]]:
        """The loss at given weights, and the f_ij that it is made of.

        Args:
          weights: the trained matrices.
          step: k, for losses that are drawn anew at every step.
          memory: what the loss remembers, for those that do.
        """
        model = self.model.with_weights(weights)
        squares = self.objective.terms(model, self.data, jnp.asarray(step), memory)
        return 0.5 * jnp.sum(squares) / self.data.points.shape[0], squares

    def init(self) -> State:
        """The state before the first step."""
        weights = self.model.weights()
        inner = self.transform(self.learning_rate).init(weights)
        zero, memory = jnp.zeros((), jnp.int32), self.objective.memory(weights)
        return State(zero, weights, inner, self.loss(weights, zero, memory)[0], zero - 1, memory)

    def _slope(self, state: State) -> tuple[tuple[Array, Array], Weights]:
        """The loss, its f_ij and its gradient at a state."""
        both = jax.value_and_grad(self.loss, has_aux=True)
        return both(state.weights, state.step, state.memory)

    def step(self, state: State) -> tuple[State, Info]:
        """One step, and what was measured before it."""
        (loss, squares), gradient = self._slope(state)
        return self._moved(state, loss, gradient), self._measured(state, loss, squares, gradient)

    def advance(self, state: State, count: Int[Array, ""]) -> State:
        """So many steps, of which nothing is kept but the last state."""

        def once(_: Any, state: State) -> State:
            (loss, _), gradient = self._slope(state)
            return self._moved(state, loss, gradient)

        return jax.lax.fori_loop(0, count, once, state)

    def trace(self, state: State, gaps: Int[Array, " records"]) -> tuple[State, Info]:
        """Many steps with measurements between them, in one scan.

        Args:
          state: where to begin.
          gaps: steps before each measurement, at least 0.

        Returns:
          The last state, and the measurements with the records along the first axis.
        """

        def record(state: State, gap: Array) -> tuple[State, Info]:
            state = self.advance(state, gap)
            return state, self.measure(state)

        return jax.lax.scan(record, state, gaps)

    def every_step(self, state: State, count: int) -> tuple[State, Info]:
        """So many steps, each measured before it: at no more cost than the steps alone.

        Args:
          state: where to begin.
          count: how many, a fixed number.

        Returns:
          The last state, and the measurements with the steps along the first axis.
        """
        return jax.lax.scan(lambda state, _: self.step(state), state, None, length=count)

    def measure(self, state: State) -> Info:
        """What is measured at a state."""
        (loss, squares), gradient = self._slope(state)
        return self._measured(state, loss, squares, gradient)

    def model_at(self, state: State) -> AbstractModel:
        """The model with the weights of a state."""
        return self.model.with_weights(state.weights)

    def _moved(self, state: State, loss: Array, gradient: Weights) -> State:
        """The state after a step; a run that diverges stays where it is found to."""
        update, inner = self.transform(self.learning_rate).update(
            gradient, state.inner, state.weights
        )
        limit = jnp.maximum(BLOW_UP * state.initial_loss, rounding(loss))
        fine = jnp.isfinite(loss) & (loss <= limit)
        fine &= state.diverged_at < 0
        moved = optax.apply_updates(state.weights, update)
        weights, inner = jax.tree.map(
            lambda new, old: jnp.where(fine, new, old), (moved, inner), (state.weights, state.inner)
        )
        found = jnp.where((state.diverged_at < 0) & ~fine, state.step, state.diverged_at)
        memory = self.objective.remembered(state.memory, weights)
        return State(state.step + 1, weights, inner, state.initial_loss, found, memory)

    def _measured(self, state: State, loss: Array, squares: Array, gradient: Weights) -> Info:
        fine = jnp.isfinite(loss) & (state.diverged_at < 0)

        def shown(value: Array) -> Array:
            return jnp.where(fine, value, jnp.inf)

        largest = jnp.max(squares)
        at_most = squares == largest
        scales = jnp.broadcast_to(self.data.scales[None, :], squares.shape)
        place = jnp.argmax(jnp.where(at_most, scales, -1))
        way = [new - old for new, old in zip(state.weights, self.model.weights(), strict=True)]
        return Info(
            shown(loss),
            shown(0.5 * jnp.mean(squares, axis=0)),
            shown(_norms(gradient)),
            shown(_norms(way)),
            shown(largest),
            jnp.stack(jnp.unravel_index(place, squares.shape)).astype(jnp.int32),
            jnp.sum(at_most).astype(jnp.int32),
        )


def _norms(matrices: Any) -> Float[Array, " layers"]:
    return jnp.stack([jnp.sqrt(jnp.sum(matrix**2)) for matrix in matrices])

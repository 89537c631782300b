"""What gradient descent descends on: the denoising loss, and any loss on minibatches."""

import abc
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Int, Key, named_key
from design_space.scores.model import NO_CLASS, AbstractModel, Weights
from design_space.targets.base import AbstractTarget
from design_space.targets.labeled import LabeledMixture
from design_space.training.memory import check_draws
from design_space.training.objective import DenoisingData, weighted_squares


class AbstractLoss(eqx.Module):
    """A loss (1/2n) sum_ij f_ij; a subclass says what the f_ij are.

    An ensemble has the members along the first axis of every array of its loss.
    """

    @abc.abstractmethod
    def terms(
        self, model: AbstractModel, data: DenoisingData, step: Int[Array, ""], memory: Any
    ) -> Float[Array, "points levels"]:
        """f_ij, of which gradients are taken in the model.

        Args:
          model: with the weights of this step.
          data: points, levels and weights.
          step: k, the number of steps done.
          memory: what the loss remembers of the steps before.
        """

    def memory(self, weights: Weights) -> Any:
        """What the loss remembers before the first step: nothing unless it says otherwise.

        Args:
          weights: the initial ones.
        """
        return ()

    def remembered(self, memory: Any, weights: Weights) -> Any:
        """What it remembers after a step.

        Args:
          memory: before the step.
          weights: after it.
        """
        return memory


@final
class DenoisingLoss(AbstractLoss):
    """f_ij = beta_j |sigma_j S(X_ij, sigma_j) + xi_ij|^2 on the data as they are.

    Source: eq. (7) of arXiv 2406.12839.
    """

    def terms(
        self, model: AbstractModel, data: DenoisingData, step: Int[Array, ""], memory: Any
    ) -> Float[Array, "points levels"]:
        """See AbstractLoss."""
        return weighted_squares(model, data)


DENOISING = DenoisingLoss()
"""The loss of the paper."""


@final
class Minibatches(AbstractLoss):
    """A loss on another batch of points and noise at every step: stochastic gradient descent.

    Step k sees batch k modulo their number. The data that the loss is given say what the levels
    are. Batches are drawn beforehand: random numbers inside the steps would take most of the time.

    Attributes:
      loss: what is computed on a batch.
      points: shape [batches, points, dim].
      noise: shape [batches, points, levels, dim].
      labels: the class of each point, or NO_CLASS, shape [batches, points]; None for models without
        classes.
    """

    loss: AbstractLoss
    points: Float[Array, "..."]
    noise: Float[Array, "..."]
    labels: Int[Array, "..."] | None

    def terms(
        self, model: AbstractModel, data: DenoisingData, step: Int[Array, ""], memory: Any
    ) -> Float[Array, "points levels"]:
        """See AbstractLoss."""
        if self.points.shape[1:] != data.points.shape or self.noise.shape[1:] != data.noise.shape:
            domain = f"{data.noise.shape} after the batches, the shape of the data"
            raise checks.refusal("noise.shape", self.noise.shape, domain, "draw batches for it")
        at = step % self.points.shape[0]
        labels = None if self.labels is None else self.labels[at]
        drawn = DenoisingData(self.points[at], self.noise[at], data.sigmas, data.beta, labels)
        return self.loss.terms(model, drawn, step, memory)

    def memory(self, weights: Weights) -> Any:
        """That of the loss on a batch."""
        return self.loss.memory(weights)

    def remembered(self, memory: Any, weights: Weights) -> Any:
        """That of the loss on a batch."""
        return self.loss.remembered(memory, weights)


class Batches(NamedTuple):
    """Points and noise for many steps, as in `Minibatches`."""

    points: Float[Array, "..."]
    noise: Float[Array, "..."]
    labels: Int[Array, "..."] | None


def draw_batches(
    source: AbstractTarget | LabeledMixture,
    data: DenoisingData,
    key: Key,
    batches: int,
    *,
    dropout: float = 0.0,
) -> Batches:
    """Points and noise for many steps of stochastic gradient descent.

    Args:
      source: the law of the points; a labeled one for conditional models.
      data: batches have its shape and number type.
      key: random key; batch over keys with jax.vmap for an ensemble.
      batches: how many, at least 1; with one for each step no draw is seen twice.
      dropout: the probability with which a label is left out, in [0, 1], so that the model learns
        the score without a class, too.

    Raises:
      ValueError: if a number is out of its domain, or labels are left out where there are none.
      MemoryError: if the batches do not fit into memory.
    """
    share = float(checks.nonnegative("dropout", dropout))
    labeled = isinstance(source, LabeledMixture)
    if share > 1:
        raise checks.refusal("dropout", share, "in [0, 1]", "give a probability")
    if share > 0 and not labeled:
        raise checks.refusal("dropout", share, "0 for data without labels", "label the data")
    (count, levels, dim), dtype = data.noise.shape, data.points.dtype
    check_draws(checks.count("batches", batches) * count, levels, dim)
    shape, total = (batches, count), batches * count
    noise = jax.random.normal(named_key(key, "noise"), (*shape, levels, dim), dtype)
    if not labeled:
        points, labels = source.sample(named_key(key, "points"), total), None
    else:
        points, labels = source.sample(named_key(key, "points"), total)
        out = jax.random.bernoulli(named_key(key, "labels"), share, (total,))
        labels = jnp.where(out, NO_CLASS, labels).astype(jnp.int32).reshape(shape)
    return Batches(points.astype(dtype).reshape(*shape, dim), noise, labels)

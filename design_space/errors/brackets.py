"""The terms of Theorem 3 for networks, where theta_* and theta_F are known from one side only.

What is trained long on a large fresh sample is in the class, so that L(F) is at most its loss; what
is trained until the data are interpolated is among the minimizers of Lem, so that L(*) is at most
its loss. Excesses are at least 0. Every term is an interval; notation as in `decomposition`.
"""

from typing import final

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, Float, Key, named_key
from design_space.errors.training import population_loss
from design_space.numerics.estimate import Estimate
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.targets.base import AbstractTarget
from design_space.training.objective import DenoisingData, empirical_loss
from design_space.weightings.base import AbstractWeighting


@final
class Bracket(eqx.Module):
    """An interval that holds a number.

    Attributes:
      low, high: its ends.
    """

    low: Float[Array, ""]
    high: Float[Array, ""]

    def __add__(self, other: "Bracket") -> "Bracket":
        """The interval of the sum."""
        return Bracket(self.low + other.low, self.high + other.high)


@final
class BracketedTerms(eqx.Module):
    """The terms of Theorem 3's score error in intervals, in units of the loss.

    Attributes:
      train, generalization, estimation, approximation: eps_train, eps_n, eps_est, eps_approx.
      excess: L(K) + C_bar.
      total: the sum of the four, at least the excess.
      residual: Lem of the interpolating score. The brackets of L(*) hold as far as it counts as a
        minimizer: for a residual of 0.
    """

    train: Bracket
    generalization: Bracket
    estimation: Bracket
    approximation: Bracket
    excess: Bracket
    total: Bracket
    residual: Float[Array, ""]


def _bracket(estimate: Estimate) -> Bracket:
    low = jnp.maximum(estimate.value - estimate.error, 0.0)
    return Bracket(low, estimate.value + estimate.error)


def bracketed_terms(
    trained: AbstractScore,
    interpolating: AbstractScore,
    best: AbstractScore,
    data: DenoisingData,
    target: AbstractTarget,
    schedule: Schedule,
    weighting: AbstractWeighting,
    *,
    key: Key | None = None,
    samples: int = 4096,
) -> BracketedTerms:
    """The terms of Theorem 3 for any score model, as intervals.

    Args:
      trained: theta_K, what gradient descent has reached on the data.
      interpolating: trained on, from there or elsewhere, until Lem is next to nothing.
      best: the same network trained long on a large fresh sample.
      data: the data and noise of training.
      target: the data law.
      schedule: the noise levels that were trained.
      weighting: gives beta_j.
      key: random key, needed where score errors can only be sampled.
      samples: draws per noise level then.

    Returns:
      The intervals; where excesses are sampled their 99 % intervals enter.

    Raises:
      ValueError: if a key is needed and missing, or a score is of another dimension.

    Source: Theorem 3 of arXiv 2406.12839.
    """

    def excess(score: AbstractScore, name: str) -> Bracket:
        own = None if key is None else named_key(key, name)
        found = population_loss(target, schedule, weighting, score, key=own, samples=samples)
        return _bracket(found.excess)

    here, there = excess(trained, "trained"), excess(interpolating, "interpolating")
    least = excess(best, "best")
    loss, residual = empirical_loss(trained, data), empirical_loss(interpolating, data)
    zero = jnp.zeros(())
    train = Bracket(jnp.maximum(loss - residual, 0.0), loss)
    estimation, approximation = Bracket(zero, there.high), Bracket(zero, least.high)
    # L(K) - L(*) - eps_train, with L(*) between 0 and the interpolating score's
    low, high = here.low - there.high - train.high, here.high - train.low
    inside = (low <= 0) & (high >= 0)
    least_size = jnp.where(inside, 0.0, jnp.minimum(jnp.abs(low), jnp.abs(high)))
    generalization = Bracket(least_size, jnp.maximum(jnp.abs(low), jnp.abs(high)))
    total = train + generalization + estimation + approximation
    total = Bracket(jnp.maximum(total.low, here.low), total.high)
    return BracketedTerms(train, generalization, estimation, approximation, here, total, residual)

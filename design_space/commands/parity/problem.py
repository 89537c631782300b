"""The problem that every sampler is given: one exact score, one start, one set of draws."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array
from design_space.sampling.moves import AbstractMove
from design_space.sampling.simulate import moved, noise_factors
from design_space.schedules.named import edm
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.scores.exact import exact_score
from design_space.targets.mixture import GaussianMixture

STEPS, COUNT, DIM = 12, 16, 3
"""Steps, particles and dimension of the problem."""

SIGMA_MIN, SIGMA_MAX = 0.002, 80.0
"""The ends of the grids, those of EDM."""


class Problem(NamedTuple):
    """What both sides are given.

    Attributes:
      score: the exact score of a mixture of two Gaussians with covariances that do not commute.
      start: standard normal draws, shape [COUNT, DIM]; times the first noise level, the start.
      noises: standard normal draws, shape [STEPS + 1, 2, COUNT, DIM], two for each step and for
        a last one to sigma = 0.
    """

    score: AbstractScore
    start: np.ndarray
    noises: np.ndarray


@cache
def problem() -> Problem:
    """The problem, always the same."""
    turned = np.array([[1.0, 0.4, 0.0], [0.4, 0.6, 0.1], [0.0, 0.1, 0.3]])
    target = GaussianMixture(
        [0.3, 0.7],
        [[1.5, -0.5, 0.2], [-1.0, 0.5, 0.0]],
        [0.25 * turned, np.diag([0.2, 0.5, 0.1])],
    )
    rng = np.random.default_rng(20240612)
    start = rng.standard_normal((COUNT, DIM))
    noises = rng.standard_normal((STEPS + 1, 2, COUNT, DIM))
    return Problem(exact_score(target), start, noises)


def grid() -> Schedule:
    """EDM's grid with the problem's ends and steps."""
    return edm(STEPS, SIGMA_MIN, SIGMA_MAX)


def descending(schedule: Schedule) -> np.ndarray:
    """The noise levels in the sampler's order, shape [nodes]."""
    return np.asarray(schedule.backward_sigmas)


def start_at(schedule: Schedule) -> np.ndarray:
    """The states before the first step, shape [COUNT, DIM]."""
    return float(schedule.backward_sigmas[0]) * problem().start


@eqx.filter_jit
def _scores(score: AbstractScore, states: Array, sigma: Array) -> Array:
    return jax.vmap(lambda y: score(y, sigma))(states)


def scores(states: Any, sigma: Any) -> np.ndarray:
    """The score that both sides are given, in float64.

    Args:
      states: shape [COUNT, DIM].
      sigma: one noise level.

    Returns:
      s(y, sigma), shape [COUNT, DIM].
    """
    level = jnp.asarray(float(sigma), dtype=jnp.float64)
    at = jnp.asarray(np.asarray(states), dtype=jnp.float64)
    return np.asarray(_scores(problem().score, at, level))


@eqx.filter_jit
def _moved(
    score: AbstractScore, move: AbstractMove, factor: Array | None, states: Array, normal: Array
) -> Array:
    return jax.vmap(lambda y, u: moved(score, move, factor, y, u))(states, normal)


def drive(
    moves: Sequence[AbstractMove], start: np.ndarray, noises: np.ndarray | None = None
) -> np.ndarray:
    """Runs the moves of a stepper with given noise; the steps are those of `simulate`.

    Args:
      moves: the moves of a step, with a leading axis over the steps.
      start: the states before the first step, shape [COUNT, DIM].
      noises: the draws, shape [steps, noisy moves, COUNT, DIM]; those of the problem if left out.

    Returns:
      The states after the last step, shape [COUNT, DIM].
    """
    noises = problem().noises if noises is None else noises
    states, factors = jnp.asarray(start), noise_factors(tuple(moves))
    for j in range(moves[0].before.shape[0]):
        draws = iter(noises[j])
        for whole in zip(moves, factors, strict=True):
            move, factor = jax.tree.map(lambda leaf: leaf[j], whole)  # noqa: B023 (used at once)
            normal = jnp.zeros_like(states) if factor is None else jnp.asarray(next(draws))
            states = _moved(problem().score, move, factor, states, normal)
    return np.asarray(states)

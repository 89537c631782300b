"""The sampler itself, on particles."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Key, named_key
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import mean_estimate
from design_space.sampling.moves import AbstractMove, check_dimension
from design_space.sampling.steppers import given_or_paper
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore


class ParticleLaw(eqx.Module):
    """The sampler's law, known by independent draws.

    Attributes:
      particles: Y_N, shape [count, dim].
    """

    particles: Float[Array, "count dim"]

    def mean(self) -> Estimate:
        """E Y_N with its 99 % interval, shape [dim]."""
        return mean_estimate(self.particles)

    def second_moments(self) -> Estimate:
        """E Y_N Y_N^T with its 99 % interval, shape [dim, dim]."""
        return mean_estimate(self.particles[:, :, None] * self.particles[:, None, :])


def noise_factors(moves: tuple[AbstractMove, ...]) -> tuple[Array | None, ...]:
    """For each move, what multiplies standard normals to make its noise; None for no noise.

    Args:
      moves: moves of one stepper.

    Returns:
      Standard deviations [steps], or lower triangular factors [steps, dim, dim].
    """
    found = []
    for move in moves:
        variance = move.variance
        if not move.noisy:
            found.append(None)
        elif variance.ndim == move.before.ndim:
            found.append(jnp.sqrt(variance))
        else:
            found.append(jax.lax.map(jnp.linalg.cholesky, variance))
    return tuple(found)


def moved(
    score: AbstractScore,
    move: AbstractMove,
    factor: Float[Array, "..."] | None,
    y: Float[Array, " dim"],
    normal: Float[Array, " dim"] | None,
) -> Float[Array, " dim"]:
    """One move of one particle.

    Args:
      score: the score model.
      move: the move, of one step.
      factor: from `noise_factors`, of that step.
      y: the state, shape [dim].
      normal: standard normal, shape [dim], where the move is noisy.

    Returns:
      mean(y) + factor normal, shape [dim].
    """
    mean = move.mean(score, y)
    if factor is None or normal is None:
        return mean
    return mean + (factor @ normal if factor.ndim == 2 else factor * normal)


@eqx.filter_jit
def _run(
    score: AbstractScore,
    moves: tuple[AbstractMove, ...],
    keys: Array,
    start: Float[Array, "count dim"],
) -> Array:
    def step(x: Array, level: tuple[Any, Any, Key]) -> tuple[Array, None]:
        each, factors, key = level
        noises = [m for m in each if m.noisy]
        draws = iter([key] if len(noises) == 1 else jax.random.split(key, len(noises)))
        for move, factor in zip(each, factors, strict=True):
            if factor is None:
                x = jax.vmap(lambda y, m=move: m.mean(score, y))(x)
                continue
            normal = jax.random.normal(next(draws), x.shape, dtype=jnp.float64)
            x = jax.vmap(lambda y, u, m=move, f=factor: moved(score, m, f, y, u))(x, normal)
        return x, None

    return jax.lax.scan(step, start, (moves, noise_factors(moves), keys))[0]


def simulate(
    score: AbstractScore,
    schedule: Schedule,
    key: Key,
    *,
    count: int,
    dim: int,
    stepper: Any = None,
) -> ParticleLaw:
    """Runs a sampler on independent particles.

    Starts from N(0, v_0 I) and takes the schedule's steps down to v_N.

    Args:
      score: the score model.
      schedule: the noise schedule.
      key: random key.
      count: number of particles, at least 1.
      dim: dimension of the data.
      stepper: the sampler; the frozen-score sampler (WHT eq. 10) unless given.

    Returns:
      The particles.

    Raises:
      ValueError: if count or dim is below 1, or the stepper is none or of another dimension.
    """
    checks.count("count", count)
    checks.count("dim", dim)
    normal = jax.random.normal(named_key(key, "start"), (count, dim), dtype=jnp.float64)
    keys = jax.random.split(named_key(key, "steps"), schedule.steps)
    moves = given_or_paper(stepper, "stepper").moves(schedule)
    check_dimension(moves, dim)
    return ParticleLaw(_run(score, moves, keys, schedule.backward_sigmas[0] * normal))

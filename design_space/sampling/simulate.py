"""The sampler itself, on particles."""

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Key, Scalar, named_key
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import mean_estimate
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


def frozen_step(
    score: AbstractScore,
    x: Float[Array, " dim"],
    sigma: Scalar,
    step: Scalar,
    noise: Float[Array, " dim"],
) -> Float[Array, " dim"]:
    """One step of the exponential integrator with the score frozen (WHT eq. 10).

    Y_{j+1} = Y_j + h_j s(Y_j, sigma_j) + sqrt(h_j) U_j.

    Args:
      score: the score model.
      x: Y_j, shape [dim].
      sigma: sigma_j, the noise level before the step.
      step: h_j = v_j - v_{j+1}.
      noise: U_j, standard normal, shape [dim].

    Returns:
      Y_{j+1}, shape [dim].
    """
    return x + step * score(x, sigma) + jnp.sqrt(step) * noise


@eqx.filter_jit
def _run(
    score: AbstractScore, schedule: Schedule, keys: Array, start: Float[Array, "count dim"]
) -> Array:
    def step(x: Array, level: tuple[Array, Array, Key]) -> tuple[Array, None]:
        sigma, h, key = level
        noise = jax.random.normal(key, x.shape, dtype=jnp.float64)
        moved = jax.vmap(lambda y, u: frozen_step(score, y, sigma, h, u))(x, noise)
        return moved, None

    levels = (schedule.backward_sigmas[:-1], schedule.backward_variance_steps, keys)
    return jax.lax.scan(step, start, levels)[0]


def simulate(
    score: AbstractScore, schedule: Schedule, key: Key, *, count: int, dim: int
) -> ParticleLaw:
    """Runs the frozen-score sampler (WHT eq. 10) on independent particles.

    Starts from N(0, v_0 I) and takes the schedule's steps down to v_N.

    Args:
      score: the score model.
      schedule: the noise schedule.
      key: random key.
      count: number of particles, at least 1.
      dim: dimension of the data.

    Returns:
      The particles.

    Raises:
      ValueError: if count or dim is below 1.
    """
    checks.count("count", count)
    checks.count("dim", dim)
    normal = jax.random.normal(named_key(key, "start"), (count, dim), dtype=jnp.float64)
    keys = jax.random.split(named_key(key, "steps"), schedule.steps)
    return ParticleLaw(_run(score, schedule, keys, schedule.backward_sigmas[0] * normal))

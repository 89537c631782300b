"""Compiled parts of a design on the line, for any number of steps; see `padded`."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, Float
from design_space.bounds.sampling import BoundTerms
from design_space.errors.initialization import initialization_error
from design_space.explorer.named_sampler import named_sampler
from design_space.explorer.padded import Grid
from design_space.explorer.padded_bounds import padded_bounds
from design_space.numerics.estimate import Estimate
from design_space.sampling.moves import AbstractMove
from design_space.targets.components import Components
from design_space.targets.line import Line
from design_space.targets.mixture import GaussianMixture

_SAMPLES = 64  # of what is sampled; here nothing is


def target_of(line: Line) -> GaussianMixture:
    """The law of a line as a target.

    Args:
      line: the mixture.
    """
    parts = Components(line.log_weights, line.centers[:, None], line.variances[:, None])
    return GaussianMixture.from_components(parts)


@eqx.filter_jit
def _moves(line: Line, grid: Grid, kind: str) -> tuple[Array, tuple[AbstractMove, ...]]:
    schedule = grid.falling()
    sampler = named_sampler(kind, target_of(line), grid)
    return schedule.backward_sigmas, sampler.moves(schedule)


def moves_of(
    line: Line, grid: Grid, kind: str, steps: int
) -> tuple[np.ndarray, tuple[AbstractMove, ...]]:
    """Noise levels and moves of a sampler, of the steps that are taken.

    Args:
      line: the data law, for samplers whose noise is computed from it.
      grid: the schedule.
      kind: of the sampler.
      steps: the number N of steps.

    Returns:
      Backward noise levels, shape [steps + 1], and the moves, with a leading axis of steps.
    """
    sigmas, moves = jax.device_get(_moves(line, grid, kind))
    cut = jax.tree.map(lambda leaf: jnp.asarray(leaf[:steps]), moves)
    return np.array(sigmas[: steps + 1]), cut


@eqx.filter_jit
def line_bounds(
    grid: Grid,
    second_moment: Float[Array, ""],
    score_steps: Float[Array, " most"],
    mmse: Float[Array, " most"],
) -> dict[str, BoundTerms]:
    """Every bound by statement id.

    Args:
      grid: the schedule.
      second_moment: m2^2.
      score_steps: what each step adds to E_S, zero beyond the last.
      mmse: mmse(v_j), that of the last level beyond the last step.
    """
    return padded_bounds(grid, second_moment, score_steps, mmse)


def initialization_of(line: Line, sigma_max: float) -> Estimate:
    """E_I.

    Args:
      line: the data law.
      sigma_max: the largest noise level.
    """
    variance = jnp.asarray(sigma_max) ** 2
    return initialization_error(target_of(line), variance, jax.random.key(0), _SAMPLES)

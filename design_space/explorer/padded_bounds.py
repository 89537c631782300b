"""The bounds of Theorem 2 on a grid of fixed size."""

import jax.numpy as jnp

from design_space.arrays import Array
from design_space.bounds.sampling import (
    BoundTerms,
    Theorem2Constants,
    sampling_bounds,
    theorem_2,
)
from design_space.explorer.padded import Grid
from design_space.schedules.schedule import Schedule


def padded_bounds(
    grid: Grid, second_moment: Array, score_steps: Array, mmse: Array
) -> dict[str, BoundTerms]:
    """Every bound by statement id, of the steps that are taken.

    A step that removes nothing adds nothing to a bound, apart from the last sum of Theorem 2 as
    printed: its first entry after the last step is v_N^2 - v_N v_{N-1} < 0, where positive parts
    are not taken. That entry, computed by the same function on three levels, is subtracted.

    Args:
      grid: the schedule.
      second_moment: m2^2 of the data, in one dimension.
      score_steps: what each step adds to E_S, zero beyond the last.
      mmse: mmse(v_j) on `grid.resting()`.
    """
    schedule = grid.resting()
    h = schedule.backward_variance_steps
    mismatches = jnp.where(grid.taken, 2 * score_steps / jnp.where(grid.taken, h, 1.0), 0.0)
    found = sampling_bounds(1, second_moment, schedule, jnp.maximum(mismatches, 0.0), mmse)
    printed = found["theorem-2"]
    extra = _extra(grid, schedule, second_moment)
    own = BoundTerms(printed.initialization, printed.score, printed.discretization - extra)
    return found | {"theorem-2": own}


def _extra(grid: Grid, schedule: Schedule, second_moment: Array) -> Array:
    """What the first step after the last adds to the last sum of Theorem 2 as printed."""
    back = jnp.stack([grid.steps - 1, grid.steps, grid.steps])
    sigmas, times = schedule.backward_sigmas[back], schedule.backward_times[back]
    three = Schedule(schedule.variance, sigmas[::-1], times[::-1])
    only = Theorem2Constants(0.0, 0.0, 0.0, 0.0, 1.0)
    extra = theorem_2(1, second_moment, three, jnp.zeros(2), only).discretization
    # With all MOST_STEPS steps taken, there is no step after the last.
    return jnp.where(grid.taken[-1], 0.0, extra)

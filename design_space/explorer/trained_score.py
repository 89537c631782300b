"""The affine score of each noise level after gradient descent on the population loss, solved."""

import jax.numpy as jnp

from design_space.arrays import Array, Int
from design_space.explorer.controls import WEIGHTINGS
from design_space.explorer.padded import Grid
from design_space.scores.linear import per_level_affine
from design_space.scores.model import AbstractModel
from design_space.targets.gaussian import Gaussian
from design_space.training.population import population_solvable
from design_space.training.runs import closed_form_run
from design_space.weightings.base import CustomWeighting
from design_space.weightings.named import edm_weighting, min_snr, p2, song, uniform

_NAMED = {
    "edm": edm_weighting,
    "song": song,
    "uniform": uniform,
    "min-snr": min_snr,
    "p2": p2,
}
_NOTHING = 1e-30  # the weight of levels beyond the schedule, relative to the largest


def _totals(grid: Grid, weighting: Int[Array, ""]) -> Array:
    """The total weighting of the trained levels, ascending in noise, and next to none beyond."""
    schedule = grid.falling()
    each = jnp.stack([_NAMED[name]().total(schedule) for name in WEIGHTINGS])
    own, trained = each[weighting], grid.taken[::-1]
    largest = jnp.max(jnp.where(trained, own, 0.0))
    return jnp.where(trained, own, _NOTHING * largest)


def trained_score(
    target: Gaussian, grid: Grid, weighting: Int[Array, ""], training: Int[Array, ""]
) -> AbstractModel:
    """The model of `[model] kind = "affine"` after gradient descent at the "auto" learning rate.

    Every number may be traced. The model knows the levels of `grid.falling()`.

    Args:
      target: Gaussian data.
      grid: the schedule.
      weighting: place in WEIGHTINGS.
      training: steps of gradient descent.
    """
    schedule, totals = grid.falling(), CustomWeighting(_totals(grid, weighting))
    start = per_level_affine(target.dim, schedule)
    solution = population_solvable(start, target, schedule, totals)
    return closed_form_run(solution, training[None], "auto", None).models[0]

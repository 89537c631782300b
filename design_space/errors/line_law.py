"""The law of a sampler on the line at two resolutions, and the grid on which data meet it."""

from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

from design_space.arrays import EPS, Array
from design_space.numerics.grid import Grid
from design_space.sampling.density_law import density_law
from design_space.sampling.line_density import COARSE, FINE, LineDensity, Resolution
from design_space.sampling.steppers import AbstractStepper
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.targets.line import Line, at_point

_TAIL = 13.0  # standard deviations of the data law that are compared; beyond, mass below 1e-37
_MOST = 1 << 21


class LineLaws(NamedTuple):
    """One density at two resolutions, whose difference is part of every error.

    Attributes:
      coarse: at the coarse resolution.
      fine: at the fine resolution.
      rounding: relative; every move rounds log q by a few units.
    """

    coarse: LineDensity
    fine: LineDensity
    rounding: float

    def each(self) -> tuple[tuple[LineDensity, Resolution], ...]:
        """Both densities with their resolutions, the fine one last."""
        return (self.coarse, COARSE), (self.fine, FINE)


def line_laws(score: AbstractScore, schedule: Schedule, stepper: AbstractStepper) -> LineLaws:
    """Carries the density of a sampler in one dimension, for any score.

    Args:
      score: a score of one-dimensional points.
      schedule: the noise schedule.
      stepper: the sampler.

    Raises:
      ValueError: if the law has structure too fine for its extent, or a map folds; see density_law.
    """
    moves = stepper.moves(schedule)
    coarse, fine = (density_law(score, moves, how) for how in (COARSE, FINE))
    return LineLaws(coarse, fine, 64 * EPS * (schedule.steps * len(moves) + 16))


def common_grid(line: Line, variance: Array, density: LineDensity, how: Resolution) -> Grid:
    """A grid that covers and resolves the data law and the density of a sampler.

    Args:
      line: the data law.
      variance: noise variance v at which it is compared.
      density: of the sampler.
      how: its resolution.
    """
    stds = np.sqrt(np.asarray(line.variances + variance))
    centers, live = np.asarray(line.centers), np.isfinite(np.asarray(line.log_weights))
    low = float(np.min((centers - _TAIL * stds)[live]))
    high = float(np.max((centers + _TAIL * stds)[live]))
    spacing = min(density.grid.spacing, float(np.min(stds[live])) / how.cells)
    low, high = min(low, density.grid.origin), max(high, density.grid.end)
    return Grid.covering(low, high, spacing, _MOST)


@eqx.filter_jit
def line_log_density(line: Line, variance: Array, x: Array) -> Array:
    """Log p_v at many points.

    Args:
      line: the data law.
      variance: noise variance v.
      x: shape [points].
    """
    return jax.vmap(lambda y: at_point(line, y, variance).log_density)(x)

"""Densities on the line, held by their logarithm on a grid that suits them."""

from typing import NamedTuple

import numpy as np

from design_space.numerics.grid import Grid, curvatures, interpolate

KEPT = 92.0
"""Densities are followed down to exp(-92) = 1e-40 of their maximum."""

LEAST_LOG = -200.0
"""Of the maximum; what is lower, where no kernel reaches or a map tears a gap, is set to it."""

MOST = 1 << 20
"""Points of the largest grid."""


class Resolution(NamedTuple):
    """How finely the density is resolved; two of them measure the error.

    Attributes:
      cells: grid cells per local scale of log q.
      points: trapezoid points per scale of the integrand of a wide step.
      margin: what is added to the range of every grid, as a share of it. Sizes are round, so that
        only a different margin makes sure of different points.
    """

    cells: float
    points: float
    margin: float

    def grid(self, low: float, high: float, spacing: float) -> Grid:
        """The grid on [low, high], margin included."""
        room = 0.5 * self.margin * (high - low)
        return Grid.covering(low - room, high + room, spacing, MOST)


COARSE = Resolution(7.0, 1.6, 0.19)
FINE = Resolution(10.0, 2.0, 0.0)


class LineDensity(NamedTuple):
    """A density on the line.

    Attributes:
      grid: the points.
      log_values: log q at the points, shape [size].
    """

    grid: Grid
    log_values: np.ndarray


def weights_of(density: LineDensity) -> tuple[np.ndarray, np.ndarray]:
    """Log q below its maximum, and what an error counts at each point.

    Where q is 1e-k of its maximum, a polynomial of degree 11 may be off by 1e+k: curvatures enter
    with the weight (q / max q)^(2/12).
    """
    depth = density.log_values - np.max(density.log_values)
    return depth, np.where(depth > -KEPT, np.exp(np.maximum(depth, -KEPT) / 6), 0.0)


def scale_of(density: LineDensity) -> float:
    """The length over which log q bends."""
    _, weight = weights_of(density)
    bend = np.abs(curvatures(density.log_values, density.grid.spacing))
    return float(np.max(weight * bend)) ** -0.5


def normal_density(variance: float, how: Resolution) -> LineDensity:
    """N(0, variance)."""
    std = variance**0.5
    reach = (2 * KEPT) ** 0.5 * std
    grid = how.grid(-reach, reach, std / how.cells)
    x = grid.points() / std
    return LineDensity(grid, -0.5 * x * x - 0.5 * np.log(2 * np.pi * variance))


def fitted(
    density: LineDensity, low: float, high: float, spacing: float, how: Resolution
) -> LineDensity:
    """Moves the density to a grid on [low, high], unless its own serves."""
    own = density.grid
    wasteful = own.end - own.origin > 1.5 * (1 + how.margin) * (high - low)
    if own.origin <= low and high <= own.end and own.spacing <= spacing and not wasteful:
        return density
    return on_grid(density, how.grid(low, high, spacing))


def refined(density: LineDensity) -> LineDensity:
    """The density on a grid of at most half the spacing."""
    own = density.grid
    return on_grid(density, Grid.covering(own.origin, own.end, own.spacing / 2, MOST))


def on_grid(density: LineDensity, grid: Grid) -> LineDensity:
    """The density on another grid. Beyond its own, its logarithm must not rise."""
    own, x = density.grid, grid.points()
    values = interpolate(own, density.log_values, x)
    ends = np.where(x < own.origin, density.log_values[0], density.log_values[-1])
    outside = (x < own.origin) | (x > own.end)
    return LineDensity(grid, np.where(outside, np.minimum(values, ends), values))

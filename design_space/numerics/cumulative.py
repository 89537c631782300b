"""Masses of a smooth density on the line, from its logarithm on a grid."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from design_space.numerics.grid import STENCIL, Grid, extended, interpolate
from design_space.numerics.quadrature import gauss_legendre

_ORDER = 8  # nodes in a part of a cell


def _cell_weights() -> np.ndarray:
    """Integrals over the middle cell of the polynomial through STENCIL equidistant points."""
    nodes, weights = gauss_legendre(STENCIL)
    points = np.arange(STENCIL) - (STENCIL // 2 - 1)
    total = np.zeros(STENCIL)
    for x, w in zip(nodes, weights, strict=True):
        for k in range(STENCIL):
            others = np.delete(points, k)
            total[k] += w * np.prod((x - others) / (points[k] - others))
    return total


_CELL = _cell_weights()


def cell_sums(log_density: Float[np.ndarray, " size"]) -> Float[np.ndarray, " cells"]:
    """Masses of the cells of a grid, over the spacing and the largest value of the density.

    Args:
      log_density: its logarithm at the points, shape [size].

    Returns:
      Shape [size - 1].
    """
    values = np.exp(extended(log_density, STENCIL // 2 - 1) - np.max(log_density))
    return np.lib.stride_tricks.sliding_window_view(values, STENCIL) @ _CELL


class Cumulative(NamedTuple):
    """The mass of a density between the first point of a grid and any other.

    Attributes:
      grid: points that resolve and cover the density.
      log_density: its logarithm there, shape [size].
      below: mass between the first point and each one, shape [size].
    """

    grid: Grid
    log_density: np.ndarray
    below: np.ndarray

    @staticmethod
    def of(grid: Grid, log_density: Float[np.ndarray, " size"]) -> "Cumulative":
        """The masses of a density that is known on a grid."""
        scale = grid.spacing * np.exp(np.max(log_density))
        below = np.concatenate([np.zeros(1), np.cumsum(cell_sums(log_density))])
        return Cumulative(grid, log_density, scale * below)

    @property
    def total(self) -> float:
        """The mass on the whole grid."""
        return float(self.below[-1])

    def __call__(self, x: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """The mass below each position; positions beyond the grid count as its ends."""
        grid = self.grid
        inside = np.clip(x, grid.origin, grid.end)
        cell = np.floor((inside - grid.origin) / grid.spacing)
        cell = np.clip(cell, 0, grid.size - 2).astype(np.int64)
        start = grid.origin + grid.spacing * cell
        unit, weights = gauss_legendre(_ORDER)
        nodes = start[:, None] + (inside - start)[:, None] * unit[None, :]
        values = np.exp(interpolate(grid, self.log_density, nodes.ravel()))
        return self.below[cell] + (inside - start) * (values.reshape(nodes.shape) @ weights)

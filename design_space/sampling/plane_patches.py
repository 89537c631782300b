"""Densities in the plane as sums of patches, and the windows that part one into patches."""

from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

from design_space.arrays import Array, Float
from design_space.numerics.plane_grid import PlaneGrid, Spline, band, in_chunks, spline
from design_space.targets.components import Components
from design_space.targets.mixture import GaussianMixture

MOST = 1 << 22  # points of the largest grid
NO_BLUR = np.zeros((2, 2))
_APART = 4.0  # groups are this many standard deviations of both components apart


class PlaneResolution(NamedTuple):
    """How finely densities are resolved; two of them measure the error.

    Attributes:
      tolerance: frequencies are resolved down to exp(-tolerance) of the largest.
      oversampling: highest frequency of a grid over that of the density.
      depth: densities are followed down to exp(-depth) of their maximum.
    """

    tolerance: float
    oversampling: float
    depth: float

    def grid(self, low: np.ndarray, high: np.ndarray, limits: np.ndarray) -> PlaneGrid:
        """The grid on a rectangle for a density of the given highest frequencies."""
        return PlaneGrid.covering(low, high, np.pi / (self.oversampling * limits), MOST)


COARSE = PlaneResolution(16.0, 1.5, 26.0)
FINE = PlaneResolution(22.0, 1.8, 32.0)


class Patch(NamedTuple):
    """A part of a density.

    Attributes:
      grid: its points.
      values: at the points, shape [rows, columns]; 1e-16 of the largest is rounding of any sign.
      limits: highest frequencies along the axes, in radians per data unit.
      between: the spline through the values.
    """

    grid: PlaneGrid
    values: np.ndarray
    limits: np.ndarray
    between: Spline


class PlaneDensity(NamedTuple):
    """A density in the plane: the sum of its patches, which may overlap.

    Attributes:
      patches: the parts.
    """

    patches: tuple[Patch, ...]

    def __call__(self, x: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, " points"]:
        """The density at points of the plane; zero where no patch reaches."""
        total = np.zeros(x.shape[0])
        for patch in self.patches:
            grid = patch.grid
            near = (x >= np.array(grid.origin)) & (x <= np.array(grid.end))
            inside = np.flatnonzero(np.all(near, axis=1))
            if inside.size:
                total[inside] += patch.between(x[inside])
        return total


def cropped(grid: PlaneGrid, values: np.ndarray, how: PlaneResolution) -> Patch:
    """The patch of values on a grid, without the margins in which the density is negligible."""
    kept = values > np.exp(-how.depth) * np.max(values)
    ends = []
    for a in (0, 1):
        here = np.flatnonzero(np.any(kept, axis=1 - a))
        ends.append((max(0, here[0] - 1), min(grid.size[a], here[-1] + 2)))
    (i, j), (k, m) = ends
    origin = grid.origin[0] + i * grid.spacing[0], grid.origin[1] + k * grid.spacing[1]
    own = PlaneGrid(origin, grid.spacing, (int(j - i), int(m - k)))
    inner = np.ascontiguousarray(values[i:j, k:m])
    limits = band(own, inner, NO_BLUR, how.tolerance).limits
    return Patch(own, inner, limits, spline(own, inner))


def normal(variance: float, how: PlaneResolution) -> PlaneDensity:
    """The density of N(0, variance I).

    Args:
      variance: above 0.
      how: the resolution.
    """
    reach = np.full(2, (2 * how.depth * variance) ** 0.5)
    grid = how.grid(-reach, reach, np.full(2, (2 * how.tolerance / variance) ** 0.5))
    x = grid.points()
    values = np.exp(-0.5 * np.sum(x * x, axis=1) / variance) / (2 * np.pi * variance)
    return PlaneDensity((cropped(grid, values.reshape(grid.size), how),))


class Windows(NamedTuple):
    """A partition of unity: what each group of components claims of a point, at one level.

    Attributes:
      parts: the components; None for a single window of ones.
      level: the noise variance v.
      groups: which group each component belongs to, shape [components].
    """

    parts: Components | None
    level: Array
    groups: np.ndarray

    @property
    def count(self) -> int:
        """The number of windows."""
        return int(np.max(self.groups)) + 1

    def __call__(self, x: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points groups"]:
        """The windows at points of the plane; they sum to one."""
        if self.parts is None or self.count == 1:
            return np.ones((x.shape[0], 1))
        each = responsibilities(self.parts, self.level, x)
        return each @ (self.groups[:, None] == np.arange(self.count)[None, :])


def windows(parts: Components | None, level: Array) -> Windows:
    """Windows for groups of components that a chain of near neighbors connects.

    Args:
      parts: components in the plane, or None for a single window.
      level: the noise variance v at which they are seen.
    """
    if parts is None:
        return Windows(None, level, np.zeros(1, int))
    means = np.asarray(parts.means)
    stds = np.sqrt(np.max(np.asarray(parts.variances), axis=1) + float(level))
    apart = np.linalg.norm(means[:, None] - means[None, :], axis=2)
    linked = apart < _APART * (stds[:, None] + stds[None, :])
    groups = np.arange(len(means))
    while True:
        least = np.min(np.where(linked, groups[None, :], len(means)), axis=1)
        if np.array_equal(least, groups):
            return Windows(parts, level, np.unique(groups, return_inverse=True)[1])
        groups = least


@eqx.filter_jit
def _responsibilities(parts: Components, level: Array, x: Array) -> Array:
    law = GaussianMixture.from_components(parts)
    return jax.vmap(lambda y: law.posterior(y, level).weights)(x)


def responsibilities(
    parts: Components, level: Array, x: Float[np.ndarray, "points 2"]
) -> Float[np.ndarray, "points components"]:
    """The posterior probabilities of the components at points of the plane.

    Args:
      parts: components in the plane.
      level: the noise variance v.
      x: points, shape [points, 2].
    """
    return in_chunks(lambda part: _responsibilities(parts, level, part), (x,))

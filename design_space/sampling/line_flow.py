"""One step without noise of a density on the line: q'(m(x)) = q(x) / |m'(x)|.

The inverse of the map is found by Newton's method on the map itself, from grid values that bracket
it, so that only log q is ever interpolated.
"""

from typing import NamedTuple

import numpy as np

from design_space.arrays import EPS
from design_space.numerics.grid import Grid, interpolate
from design_space.sampling.line_density import (
    KEPT,
    LEAST_LOG,
    LineDensity,
    Resolution,
    fitted,
    scale_of,
    weights_of,
)
from design_space.sampling.line_moves import LineMove, resolved

_ROUGH = 1e-5  # largest |m - its interpolant| between grid points, in scales of log q
# Points of the largest grid of a result. Where it is reached, a quarter of the resolution asked for
# will do: what that costs shows between two resolutions.
_LARGEST, _LEAST_SHARE = 1 << 18, 0.25
_TOGETHER = 1 << 16  # points that are traced back at a time
_ITERATIONS = 60  # of Newton's method; each at least halves the bracket


class SqueezeError(ValueError):
    """A map folds, or nearly so: the density after it is unbounded, or too steep for any grid."""


class _Branch(NamedTuple):
    """A map where the density lives, turned so that it increases.

    Attributes:
      density: the density on a grid that resolves the map.
      at: the move.
      sign: 1, or -1 where m decreases; the fields below belong to sign * m.
      x: grid points where the density is kept, ascending.
      places: the map there.
      slopes: its derivative there.
      joined: for each pair of neighbors in x, whether the density is kept between them, too.
      squeeze: the least slope where the density matters.
    """

    density: LineDensity
    at: LineMove
    sign: float
    x: np.ndarray
    places: np.ndarray
    slopes: np.ndarray
    joined: np.ndarray
    squeeze: float

    def fold(self) -> tuple[float, float] | None:
        """The ends of the stretch, or hull of stretches, over which the map falls, if it does."""
        falls = (self.slopes[:-1] <= 0) | (self.slopes[1:] <= 0) | (np.diff(self.places) <= 0)
        if not np.any(falls):
            return None
        where = np.flatnonzero(falls)
        return float(self.x[where[0]]), float(self.x[where[-1] + 1])


def _affordable(low: float, high: float, spacing: float, how: Resolution) -> float:
    """The spacing, or the least with which a grid on [low, high] stays below the largest."""
    return max(spacing, 1.001 * (1 + how.margin) * (high - low) / _LARGEST)


def _branch(density: LineDensity, at: LineMove, how: Resolution) -> _Branch:
    """The map on a grid that resolves density and map."""
    depth, _ = weights_of(density)
    kept, scale = density.grid.points()[depth > -KEPT], scale_of(density)
    low, high = float(kept[0]), float(kept[-1])
    near = fitted(density, low, high, _affordable(low, high, scale / how.cells, how), how)
    source = resolved(near, at, _ROUGH * scale).density
    depth, weight = weights_of(source)
    index = np.flatnonzero(depth > -KEPT)
    x = source.grid.points()
    places, slopes = at.places_and_slopes(x, source.grid.spacing)
    sign = 1.0 if places[index[-1]] > places[index[0]] else -1.0
    squeeze = float(np.min(np.abs(slopes[weight > 0.1])))
    return _Branch(
        source,
        at,
        sign,
        x[index],
        sign * places[index],
        sign * slopes[index],
        np.diff(index) == 1,
        squeeze,
    )


def _cells(branch: _Branch, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each place the pair of neighbors in x that brackets it, and whether it lies inside."""
    cell = np.clip(np.searchsorted(branch.places, y) - 1, 0, len(branch.x) - 2)
    return cell, (branch.places[0] <= y) & (y <= branch.places[-1])


def _newton(branch: _Branch, y: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points x with m(x) = y in cells of the grid, and m' there.

    A step that leaves the bracket is replaced by its middle.
    """
    low, high = branch.x[cell], branch.x[cell + 1]
    left, right = branch.places[cell], branch.places[cell + 1]
    x, slopes = low + (high - low) * (y - left) / (right - left), branch.slopes[cell]
    # Once the gap is of the size of rounding, one more step of Newton leaves that of m alone.
    rounding = 256 * EPS * (np.abs(y) + np.maximum(np.abs(low), np.abs(high)))
    for _ in range(_ITERATIONS):
        found = branch.at.places_and_slopes(x, branch.density.grid.spacing)
        places, slopes = (branch.sign * part for part in found)
        gap = y - places
        low, high = np.where(gap >= 0, x, low), np.where(gap <= 0, x, high)
        new = x + gap / np.where(slopes > 0, slopes, np.inf)
        inside = (low <= new) & (new <= high) & (slopes > 0)
        x = np.where(inside, new, 0.5 * (low + high))
        if np.all((np.abs(gap) <= rounding) | (high - low <= rounding)):
            break
    return x, slopes


def _origins(branch: _Branch, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where places come from, and the slope of the map there.

    Between stretches where the density is kept, and beyond them, the map goes straight on.
    """
    x, places, slopes = branch.x, branch.places, branch.slopes
    cell, inside = _cells(branch, y)
    chord = np.diff(places)[cell] / np.diff(x)[cell]
    origin, rate = x[cell] + (y - places[cell]) / chord, chord
    for end, beyond in ((0, y < places[0]), (-1, y > places[-1])):
        origin = np.where(beyond, x[end] + (y - places[end]) / slopes[end], origin)
        rate = np.where(beyond, slopes[end], rate)
    found, exact_rate = _newton(branch, np.clip(y, places[0], places[-1]), cell)
    solved = inside & branch.joined[cell]
    return np.where(solved, found, origin), np.where(solved, exact_rate, rate)


def _pushed(branch: _Branch, out: Grid) -> LineDensity:
    """The density after the map, on a grid of sign * y."""
    own, parts = branch.density, np.split(out.points(), max(1, out.size // _TOGETHER))
    values = np.concatenate(
        [
            interpolate(own.grid, own.log_values, origin) - np.log(rate)
            for origin, rate in (_origins(branch, part) for part in parts)
        ]
    )
    return LineDensity(out, np.maximum(values, np.max(values) + LEAST_LOG))


def _turned(density: LineDensity) -> LineDensity:
    """The density of -Y."""
    grid = density.grid
    return LineDensity(Grid(-grid.end, grid.spacing, grid.size), density.log_values[::-1])


def flow_step(density: LineDensity, at: LineMove, how: Resolution) -> LineDensity:
    """The density after the mean of a move, onto a grid that turns out to resolve the result.

    Args:
      density: the density before.
      at: the move; its noise is left out.
      how: the resolution.

    Raises:
      SqueezeError: if the map folds where the density is kept, or nearly so.
    """
    branch = _branch(density, at, how)
    fold = branch.fold()
    if fold is not None:
        raise SqueezeError(
            f"the map of step {at.step} folds between x = {fold[0]:.4g} and x = {fold[1]:.4g}: "
            "its density is unbounded; take more steps, or a sampler with noise"
        )
    low, high = float(branch.places[0]), float(branch.places[-1])
    asked = scale_of(branch.density) * branch.squeeze / how.cells
    while True:
        out = how.grid(low, high, _affordable(low, high, asked, how))
        new, largest = _pushed(branch, out), out.size == _LARGEST
        asked = scale_of(new) / how.cells
        if asked > (_LEAST_SHARE if largest else 0.8) * out.spacing:
            return new if branch.sign > 0 else _turned(new)
        if largest:
            raise SqueezeError(
                f"grid spacing = {asked:.3g} after step {at.step}: must be above "
                f"{_LEAST_SHARE * out.spacing:.3g}; the map squeezes the density to structure too "
                "fine for its extent, take more steps, or a sampler with noise"
            )
        asked = min(asked, 0.8 * out.spacing)

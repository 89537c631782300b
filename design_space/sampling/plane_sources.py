"""Points of a patch of a density in the plane that see all that a move and the windows do to it.

Gauss-Legendre nodes on tiles, which are halved where the density, the windows or the map bend
too fast for a polynomial, or where the map spreads a tile over more than the noise: between far
clusters a map may stretch its surroundings by a hundred.
"""

from typing import NamedTuple

import numpy as np

from design_space.numerics.plane_grid import PlaneGrid
from design_space.numerics.quadrature import gauss_legendre
from design_space.sampling.moves import AbstractMove
from design_space.sampling.plane_maps import Image, determinants, image
from design_space.sampling.plane_patches import Patch, PlaneResolution, Windows
from design_space.scores.base import AbstractScore

_ORDER = 12  # nodes along an axis of a tile
_CELLS = 10.0  # of the patch's grid along an axis of the largest tiles
_SPREAD = 3.0  # standard deviations of the noise over which a tile may spread
_BROAD = 100.0  # the noise is resolved unless the image is so many times larger
_COVER = 24.0  # then, tiles spread over the image divided by this
_TAIL = 0.5  # power of the tolerance for the last coefficients of a polynomial: rules square it
_LEVELS = 20
_MOST_NODES = 1 << 21


class Step(NamedTuple):
    """What does not change within one move.

    Attributes:
      score, move: the score, and the move of one step.
      covariance: of the noise, shape [2, 2].
      view: the windows at the level before the move.
      how: the resolution.
    """

    score: AbstractScore
    move: AbstractMove
    covariance: np.ndarray
    view: Windows
    how: PlaneResolution

    @property
    def sigma(self) -> float:
        """The noise level before the move."""
        return float(self.move.before) ** 0.5

    @property
    def variance(self) -> float:
        """Of round noise; zero for none, and for noise that is not round."""
        c = self.covariance
        return float(c[0, 0]) if c[0, 1] == 0 and c[0, 0] == c[1, 1] else 0.0


class Source(NamedTuple):
    """The nodes of a patch.

    Attributes:
      patch: the patch.
      seen: the nodes x, their images m(x) and slopes Dm(x).
      masses: r_g q at the nodes, shape [nodes, windows].
      weights: of the rule, shape [nodes].
      spacing: typical distances of neighbors along the axes, shape [nodes, 2].
      broad: whether the noise is resolved, so that kernels around the images can be summed.
    """

    patch: Patch
    seen: Image
    masses: np.ndarray
    weights: np.ndarray
    spacing: np.ndarray
    broad: bool

    def pushed(self, g: int) -> np.ndarray:
        """r_g q / |det Dm|, the density at the images."""
        return self.masses[:, g] / np.abs(determinants(self.seen.slopes))


def depths(values: np.ndarray, top: float) -> np.ndarray:
    """Log(top / values); infinite where a value is not above 0."""
    positive = values > 0
    return np.where(positive, np.log(top) - np.log(np.where(positive, values, 1.0)), np.inf)


def _transform() -> np.ndarray:
    """Takes values at the nodes to coefficients of Legendre polynomials."""
    x, w = gauss_legendre(_ORDER)
    basis = np.polynomial.legendre.legvander(2 * x - 1, _ORDER - 1)
    return (2 * np.arange(_ORDER)[:, None] + 1) * (basis * w[:, None]).T


_COEFFICIENTS = _transform()


def _last(values: np.ndarray) -> np.ndarray:
    """The largest of the last coefficients of a tile along either axis, shape [tiles, 2]."""
    tiles = values.reshape(values.shape[0], _ORDER, _ORDER, -1)
    ends = _COEFFICIENTS[-2:]
    first = np.einsum("ij,tjkf->tikf", ends, tiles, optimize=True)
    second = np.einsum("ij,tkjf->tkif", ends, tiles, optimize=True)
    return np.stack([np.abs(first).max((1, 2, 3)), np.abs(second).max((1, 2, 3))], axis=1)


class _Tiles(NamedTuple):
    """Tiles with their nodes.

    Attributes:
      low, size: corners and sizes, shape [tiles, 2].
      points, moved: shape [tiles, nodes, 2].
      slopes: shape [tiles, nodes, 2, 2].
      masses: shape [tiles, nodes, windows].
    """

    low: np.ndarray
    size: np.ndarray
    points: np.ndarray
    moved: np.ndarray
    slopes: np.ndarray
    masses: np.ndarray

    def those(self, which: np.ndarray) -> "_Tiles":
        """Some of the tiles."""
        return _Tiles(*(x[which] for x in self))

    @staticmethod
    def of(patch: Patch, low: np.ndarray, size: np.ndarray, tops: np.ndarray, step: Step):
        """The tiles in which there is any mass to speak of."""
        x, _ = gauss_legendre(_ORDER)
        unit = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
        points = low[:, None] + size[:, None] * unit[None]
        flat = points.reshape(-1, 2)
        masses = patch.between(flat)[:, None] * step.view(flat)
        masses = masses.reshape(*points.shape[:2], -1)
        here = np.any(masses > np.exp(-step.how.depth) * tops, axis=(1, 2))
        points = points[here]
        seen = image(step.score, step.move, points.reshape(-1, 2))
        moved, slopes = seen.moved.reshape(points.shape), seen.slopes.reshape(*points.shape, 2)
        return _Tiles(low[here], size[here], points, moved, slopes, masses[here])

    def resolved(self, tops: np.ndarray, reach: float, how: PlaneResolution) -> np.ndarray:
        """Along which axes tiles need no halving, shape [tiles, 2]."""
        share = self.masses / tops
        depth = depths(np.max(share, axis=(1, 2)), 1.0)
        rest = np.sqrt(np.maximum(1 - depth / how.tolerance, 1e-6))
        rows = self.moved.reshape(-1, _ORDER, _ORDER, 2)
        spread = [np.ptp(rows, axis=a).reshape(len(rows), -1).max(1) for a in (1, 2)]
        shift = (self.moved - np.mean(self.moved, axis=1, keepdims=True)) / reach
        bent = share[..., None, :] * shift[..., None]
        last = np.maximum(_last(share), _last(bent))
        near = np.stack(spread, axis=1) * rest[:, None] <= _SPREAD * reach
        return near & (last <= np.exp(-_TAIL * how.tolerance))


def _halved(tiles: _Tiles, fine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners and sizes of the halves of tiles along the axes that are not fine."""
    low, size = tiles.low, tiles.size
    for a in (0, 1):
        coarse = ~fine[:, a]
        half = np.where(coarse[:, None] & (np.arange(2) == a), size / 2, size)
        other = low[coarse] + (size - half)[coarse]
        low, size = np.concatenate([low, other]), np.concatenate([half, half[coarse]])
        fine = np.concatenate([fine, fine[coarse]])
    return low, size


def _first_tiles(grid: PlaneGrid) -> tuple[np.ndarray, np.ndarray]:
    """Corners and sizes of the largest tiles of a grid."""
    low, extent = np.array(grid.origin), np.array(grid.end) - np.array(grid.origin)
    count = np.ceil((np.array(grid.size) - 1) / _CELLS).astype(int)
    size = extent / count
    i, j = np.meshgrid(*(np.arange(n) for n in count), indexing="ij")
    corners = low + size * np.stack([i.ravel(), j.ravel()], axis=1)
    return corners, np.tile(size, (corners.shape[0], 1))


def source(patch: Patch, tops: np.ndarray, step: Step) -> Source | None:
    """The nodes of a patch that see all of a move.

    Args:
      patch: the patch.
      tops: for each window, the largest r_g q of all patches.
      step: the move.

    Returns:
      The nodes; None if the patch has nothing to speak of.

    Raises:
      ValueError: if it takes more than 2^21 nodes.
    """
    done: list[_Tiles] = []
    tiles = _Tiles.of(patch, *_first_tiles(patch.grid), tops, step)
    if not tiles.low.size:
        return None
    flat = tiles.moved.reshape(-1, 2)
    extent, noise = float(np.max(np.ptp(flat, axis=0))), step.variance**0.5
    broad = noise > extent / _BROAD
    reach = noise if broad else extent / _COVER
    for _ in range(_LEVELS):
        along = tiles.resolved(tops, reach, step.how)
        fine = np.all(along, axis=1)
        done.append(tiles.those(fine))
        if np.all(fine):
            return _joined(patch, done, broad)
        low, size = _halved(tiles.those(~fine), along[~fine])
        if (sum(t.low.shape[0] for t in done) + low.shape[0]) * _ORDER**2 > _MOST_NODES:
            break
        tiles = _Tiles.of(patch, low, size, tops, step)
    raise ValueError(rough(step))


def _joined(patch: Patch, done: list[_Tiles], broad: bool) -> Source:
    tiles = _Tiles(*(np.concatenate(parts) for parts in zip(*done, strict=True)))
    _, w = gauss_legendre(_ORDER)
    weights = np.prod(tiles.size, axis=1)[:, None] * np.outer(w, w).ravel()[None, :]
    seen = Image(
        tiles.points.reshape(-1, 2), tiles.moved.reshape(-1, 2), tiles.slopes.reshape(-1, 2, 2)
    )
    spacing = np.repeat(tiles.size / (_ORDER / 2), _ORDER**2, axis=0)
    masses = tiles.masses.reshape(seen.points.shape[0], -1)
    return Source(patch, seen, masses, weights.ravel(), spacing, broad)


def rough(step: Step) -> str:
    """Says that nothing resolves the density after a step."""
    return (
        f"density after a step from sigma = {step.sigma:.6g}: too fine for its extent; use more "
        "steps, or a smoother score"
    )

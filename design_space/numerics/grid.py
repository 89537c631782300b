"""Smooth positive functions on a uniform grid, known by the logarithm of their values.

What is cheap and of many sizes (grids, interpolation, derivatives) is done in NumPy, so that
nothing is compiled for it; what is dear (`shifted_values`, `kernel_sum`) is compiled by JAX, for
the few sizes that `Grid.covering` hands out.
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from design_space.arrays import Array, Scalar

STENCIL = 12  # points of the interpolating polynomial
LEAST = 1024  # points of the smallest grid
TILE = 128  # sources and targets that meet at a time in a kernel sum
_STRIP = 512  # targets of one compiled kernel sum
_BEFORE = STENCIL // 2 - 1  # stencil points before the cell that holds the position
_BARYCENTRIC = np.array([(-1.0) ** k * math.comb(STENCIL - 1, k) for k in range(STENCIL)])


class Grid(NamedTuple):
    """The points origin + spacing * (0, 1, ..., size - 1).

    Attributes:
      origin: the first point.
      spacing: the distance of neighbors, above 0.
      size: the number of points.
    """

    origin: float
    spacing: float
    size: int

    @staticmethod
    def covering(low: float, high: float, spacing: float, most: int) -> "Grid":
        """The grid on [low, high] of at most `spacing` whose size is one of a few round numbers.

        Few sizes mean few compilations: they are LEAST times powers of 4.

        Args:
          low: first point.
          high: last point, above `low`.
          spacing: the largest spacing allowed.
          most: the largest size allowed.

        Raises:
          ValueError: if more than `most` points were needed.
        """
        cells = (high - low) / spacing
        if not cells < most:
            raise ValueError(
                f"grid size = {cells:.3g}: must be below {most}; the law has structure too fine "
                "for its extent, use more noise at the end or fewer scales in the data"
            )
        size = LEAST
        while size <= cells:
            size *= 4
        return Grid(float(low), float(high - low) / (size - 1), size)

    @property
    def end(self) -> float:
        """The last point."""
        return self.origin + self.spacing * (self.size - 1)

    def points(self) -> Float[np.ndarray, " size"]:
        """The points, ascending."""
        return self.origin + self.spacing * np.arange(self.size)


def _lagrange_weights(fraction: np.ndarray) -> np.ndarray:
    """Weights [n, STENCIL] of the interpolating polynomial at positions [n] inside a cell."""
    distance = fraction[:, None] + _BEFORE - np.arange(STENCIL)[None, :]
    hit = distance == 0
    terms = _BARYCENTRIC[None, :] / np.where(hit, 1.0, distance)
    weights = terms / np.sum(terms, axis=1, keepdims=True)
    return np.where(np.any(hit, axis=1, keepdims=True), hit, weights)


def _beyond(values: np.ndarray, outside: np.ndarray, end: int) -> np.ndarray:
    """Continues values past one end by the parabola through three points near it.

    A log density is nearly a parabola in its tails. `outside` counts grid cells beyond the end.
    """
    stride = max(1, values.shape[0] // 64)
    sign = 1 if end == 0 else -1
    a, b, c = (values[end + sign * k * stride] for k in range(3))
    t = -outside / stride  # 0 at the end, 1 and 2 at the other points
    return a + t * (b - a) + t * (t - 1) / 2 * (a - 2 * b + c)


def extended(values: Float[np.ndarray, " size"], count: int) -> Float[np.ndarray, " longer"]:
    """The values with `count` more on either side, continued by parabolas."""
    outside = np.arange(1.0, count + 1)
    left, right = _beyond(values, outside[::-1], 0), _beyond(values, outside, -1)
    return np.concatenate([left, values, right])


def interpolate(
    grid: Grid, values: Float[np.ndarray, " size"], x: Float[np.ndarray, " points"]
) -> Float[np.ndarray, " points"]:
    """Interpolates grid values by polynomials of degree 11, continued by parabolas outside.

    Args:
      grid: the grid.
      values: values at its points, shape [size].
      x: positions, shape [points].

    Returns:
      The interpolated values, shape [points].
    """
    position = (x - grid.origin) / grid.spacing
    inside = np.clip(position, 0.0, grid.size - 1.0)
    cell = np.clip(np.floor(inside), 0, grid.size - 2)
    first = cell.astype(np.int64) - _BEFORE + STENCIL
    stencils = extended(values, STENCIL)[first[:, None] + np.arange(STENCIL)[None, :]]
    found = np.einsum("nk,nk->n", _lagrange_weights(inside - cell), stencils)
    low, high = position < 0, position > grid.size - 1
    if np.any(low):
        found[low] = _beyond(values, -position[low], 0)
    if np.any(high):
        found[high] = _beyond(values, position[high] - (grid.size - 1), -1)
    return found


def slopes(values: Float[np.ndarray, " size"], spacing: float) -> Float[np.ndarray, " size"]:
    """First derivative by central differences (second order; for choosing resolutions only)."""
    return np.gradient(values) / spacing


def curvatures(values: Float[np.ndarray, " size"], spacing: float) -> Float[np.ndarray, " size"]:
    """Second derivative by central differences (second order; for choosing resolutions only)."""
    inner = (values[2:] - 2 * values[1:-1] + values[:-2]) / spacing**2
    return np.concatenate([inner[:1], inner, inner[-1:]])


def shift_band(shifts: Float[np.ndarray, " nodes"], reach: int) -> Float[np.ndarray, "nodes band"]:
    """The banded matrix that moves grid values by a few distances.

    Args:
      shifts: distances in grid cells, |shift| <= reach - STENCIL / 2, shape [nodes].
      reach: half-width of the band.

    Returns:
      Weights of the values at offsets -reach, ..., reach, shape [nodes, 2 reach + 1].
    """
    cell = np.floor(shifts)
    weights = _lagrange_weights(shifts - cell)
    band = np.zeros((shifts.shape[0], 2 * reach + 1))
    columns = cell.astype(np.int64)[:, None] + np.arange(STENCIL)[None, :] - _BEFORE + reach
    np.put_along_axis(band, columns, weights, axis=1)
    return band


def shifted_values(
    padded: Float[Array, " longer"], band: Float[Array, "nodes band"]
) -> Float[Array, "nodes size"]:
    """Grid values moved by the same few distances at every point: values(x_i + shift_u).

    One small matrix product does all points.

    Args:
      padded: values from `extended(values, reach)`, shape [size + 2 reach].
      band: from `shift_band(shifts, reach)`.

    Returns:
      Shape [nodes, size].
    """
    width = band.shape[1]
    size = padded.shape[0] - width + 1
    windows = jnp.arange(width)[:, None] + jnp.arange(size)[None, :]
    return band @ padded[windows]


@eqx.filter_jit
def _strip(
    targets: Array, centers: Array, log_masses: Array, variance: Array, runs: Array
) -> Array:
    """Log sum_k exp(log_masses_k - (y_i - centers_k)^2 / (2 variance)) for one strip of targets.

    `runs` holds, for every tile of targets, the first tile of sources and the one after the last.
    """
    top = jnp.max(log_masses)

    def tile(args: tuple[Array, Array]) -> Array:
        y, run = args

        def add(k: Array, total: Array) -> Array:
            c = jax.lax.dynamic_slice(centers, (k * TILE,), (TILE,))
            m = jax.lax.dynamic_slice(log_masses, (k * TILE,), (TILE,)) - top
            distance = y[:, None] - c[None, :]
            return total + jnp.sum(jnp.exp(m[None, :] - distance**2 / (2 * variance)), axis=1)

        return jax.lax.fori_loop(run[0], run[1], add, jnp.zeros_like(y))

    return jnp.log(jax.lax.map(tile, (targets.reshape(-1, TILE), runs)).ravel()) + top


def kernel_sum(
    targets: Float[np.ndarray, " out"],
    centers: Float[np.ndarray, " size"],
    log_masses: Float[np.ndarray, " size"],
    variance: Scalar,
    reach: float,
) -> Float[np.ndarray, " out"]:
    """Log of sum_k exp(log_masses_k) N(y_i; centers_k, variance), by the nearby centers only.

    The centers need not be monotone. A tile of targets meets the shortest run of tiles of sources
    that holds every center within `reach` standard deviations of it; the rest is never touched.

    Args:
      targets: y, ascending, shape [out], a multiple of 512.
      centers: shape [size], a multiple of TILE, in the order of their grid.
      log_masses: shape [size].
      variance: of the kernel, above 0.
      reach: in standard deviations.

    Returns:
      Shape [out]; -inf where no mass comes near.
    """
    width = reach * float(variance) ** 0.5
    if centers[0] > centers[-1]:  # a map that falls: runs are short in the opposite order
        centers, log_masses = centers[::-1], log_masses[::-1]
    # First index at which some center has come up to y - width, and last at which one is below
    # y + width: all sources that matter lie between them, also where the centers fold.
    rows = targets.reshape(-1, TILE)
    first = np.searchsorted(np.maximum.accumulate(centers), rows[:, 0] - width)
    lowest = np.minimum.accumulate(centers[::-1])[::-1]
    last = np.searchsorted(lowest, rows[:, -1] + width, side="right")
    runs = np.stack([first // TILE, -(-last // TILE)], axis=1)
    moved = (jnp.asarray(centers), jnp.asarray(log_masses), jnp.asarray(variance))
    per_strip = _STRIP // TILE
    strips = [
        _strip(jnp.asarray(targets[i * _STRIP : (i + 1) * _STRIP]), *moved, jnp.asarray(run))
        for i, run in enumerate(np.split(runs, len(runs) // per_strip))
    ]
    return np.concatenate(strips) - 0.5 * np.log(2 * np.pi * float(variance))

"""Smooth functions on rectangles of the plane that fall to nothing at their edges.

A function is known by its values on a uniform grid that resolves it: its Fourier transform is
negligible beyond the frequencies of the grid. Between the points it is a spline of degree 9;
convolution with a Gaussian is exact in frequencies, so that a kernel much narrower than the
spacing needs no resolving, and goes to any other grid at once.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.linalg import solveh_banded

from design_space.arrays import Array

_DEGREE = 9
_PAD = _DEGREE // 2 + 2  # zeros around the coefficients, so that no stencil leaves them
_CHUNK = 4096  # points of one compiled call
_LEAST = 1 << 14  # coefficients of the smallest compiled table
_FAR = 8.6  # exp(-8.6^2 / 2) = 1e-16
_CLEAR = 0.9  # share of the highest frequency of a grid below which a function is resolved


class PlaneGrid(NamedTuple):
    """The points origin + spacing * (i, j), i < size[0], j < size[1].

    Attributes:
      origin: the first point.
      spacing: distances of neighbors along either axis, above 0.
      size: numbers of points along either axis.
    """

    origin: tuple[float, float]
    spacing: tuple[float, float]
    size: tuple[int, int]

    @staticmethod
    def covering(low: np.ndarray, high: np.ndarray, spacing: np.ndarray, most: int) -> "PlaneGrid":
        """The grid on the rectangle from `low` to `high` of at most the given spacings.

        Raises:
          ValueError: if more than `most` points were needed.
        """
        extent = np.maximum(high - low, 8 * spacing)
        cells = np.ceil(extent / spacing)
        if not np.prod(cells + 1) <= most:
            raise ValueError(
                f"grid size = {np.prod(cells):.3g}: must be at most {most}; the law in the plane "
                "has structure too fine for its extent, use more steps, more noise at the end or "
                "fewer scales in the data"
            )
        middle = (low + high) / 2
        origin = middle - spacing * cells / 2
        return PlaneGrid(
            (float(origin[0]), float(origin[1])),
            (float(spacing[0]), float(spacing[1])),
            (int(cells[0]) + 1, int(cells[1]) + 1),
        )

    def axis(self, which: int) -> Float[np.ndarray, " size"]:
        """Coordinates along one axis, ascending."""
        return self.origin[which] + self.spacing[which] * np.arange(self.size[which])

    def points(self) -> Float[np.ndarray, "points 2"]:
        """All points, the second coordinate running first."""
        x, y = np.meshgrid(self.axis(0), self.axis(1), indexing="ij")
        return np.stack([x.ravel(), y.ravel()], axis=1)

    @property
    def end(self) -> tuple[float, float]:
        """The last point."""
        return (
            self.origin[0] + self.spacing[0] * (self.size[0] - 1),
            self.origin[1] + self.spacing[1] * (self.size[1] - 1),
        )

    @property
    def cell(self) -> float:
        """The area of a cell."""
        return self.spacing[0] * self.spacing[1]


def in_chunks(function: Any, arrays: tuple[np.ndarray, ...]) -> Any:
    """Applies a compiled function to arrays of many rows, a fixed number of rows at a time.

    Args:
      function: takes arrays of _CHUNK rows, returns a pytree of such arrays.
      arrays: arrays of equally many rows; the last chunk is filled with copies of the first row.

    Returns:
      The pytree, of NumPy arrays with as many rows as the arguments.
    """
    rows = arrays[0].shape[0]
    found = []
    for start in range(0, max(rows, 1), _CHUNK):
        parts = [a[start : start + _CHUNK] for a in arrays]
        short = _CHUNK - parts[0].shape[0]
        if short:
            parts = [np.concatenate([p, np.repeat(p[:1], short, axis=0)]) for p in parts]
        found.append(function(*(jnp.asarray(p) for p in parts)))
    return jax.tree.map(lambda *x: np.concatenate([np.asarray(y) for y in x])[:rows], *found)


def _spline_weights(t: Array) -> list[Array]:
    """The B-splines of degree 9 that are not zero inside a cell, at the share t of its width."""
    weights = [jnp.ones_like(t)]
    for k in range(1, _DEGREE + 1):
        left = [jnp.zeros_like(t), *weights]
        right = [*weights, jnp.zeros_like(t)]
        weights = [((t + (k - j)) * left[j] + ((1 + j) - t) * right[j]) / k for j in range(k + 1)]
    return weights


class Spline(NamedTuple):
    """A spline on a grid, zero outside.

    Attributes:
      grid: the grid.
      coefficients: those of its B-splines, in one row, padded.
    """

    grid: PlaneGrid
    coefficients: Array

    def __call__(self, x: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, " points"]:
        """The values at points of the plane."""
        grid = self.grid
        shape = (jnp.asarray(grid.origin), jnp.asarray(grid.spacing), jnp.asarray(grid.size))
        return in_chunks(lambda part: _spline_values(self.coefficients, *shape, part), (x,))


@jax.jit
def _spline_values(
    coefficients: Array, origin: Array, spacing: Array, size: Array, x: Array
) -> Array:
    position = (x - origin[None, :]) / spacing[None, :]
    last = (size - 1)[None, :]
    inside = jnp.all((position >= 0) & (position <= last), axis=1)
    cell = jnp.clip(jnp.floor(position), 0, last - 1)
    share = jnp.clip(position - cell, 0.0, 1.0)
    rows, columns = _spline_weights(share[:, 0]), _spline_weights(share[:, 1])
    first = cell.astype(jnp.int64) + (_PAD - _DEGREE // 2)
    stride = size[1] + 2 * _PAD
    start = first[:, 0] * stride + first[:, 1]
    total = jnp.zeros_like(share[:, 0])
    # Written out, since one gather of all 100 coefficients is 40 times slower on a CPU.
    for a, row in enumerate(rows):
        line = jnp.zeros_like(total)
        for b, column in enumerate(columns):
            line = line + coefficients[start + a * stride + b] * column
        total = total + row * line
    return jnp.where(inside, total, 0.0)


def _collocation(size: int) -> np.ndarray:
    """The values of the B-splines at the points, as an upper band for solveh_banded."""
    half = _DEGREE // 2
    values = np.array([float(w) for w in _spline_weights(jnp.zeros(()))])[:_DEGREE]
    return np.repeat(values[: half + 1, None], size, axis=1)


def spline(grid: PlaneGrid, values: Float[np.ndarray, "rows columns"]) -> Spline:
    """The spline of degree 9 through values on a grid that vanish at its edges.

    Args:
      grid: the grid.
      values: one for each point.
    """
    along = solveh_banded(_collocation(grid.size[0]), values)
    both = solveh_banded(_collocation(grid.size[1]), along.T).T
    padded = np.pad(both, _PAD).ravel()
    length = max(_LEAST, 4 ** math.ceil(math.log(padded.size, 4)))
    return Spline(grid, jnp.asarray(np.pad(padded, (0, length - padded.size))))


class Band(NamedTuple):
    """The frequencies of a function.

    Attributes:
      limits: the largest frequency along either axis, in radians per unit of length.
      resolved: along which axis they are below those of the grid.
    """

    limits: np.ndarray
    resolved: np.ndarray


def _squared(covariance: np.ndarray, k: np.ndarray, m: np.ndarray) -> np.ndarray:
    """The form k^T C k on a grid of frequencies."""
    (a, b), (_, d) = covariance
    cross = 2 * b * k[:, None] * m[None, :]
    return a * (k * k)[:, None] + cross + d * (m * m)[None, :]


def band(
    grid: PlaneGrid,
    values: Float[np.ndarray, "rows columns"],
    covariance: Float[np.ndarray, "2 2"],
    depth: float,
) -> Band:
    """The frequencies of a function convolved with N(0, C).

    Args:
      grid: the grid.
      values: of the function.
      covariance: C.
      depth: frequencies count where the transform is above exp(-depth) of its maximum.
    """
    k, m = (2 * np.pi * np.fft.fftfreq(n, s) for n, s in zip(grid.size, grid.spacing, strict=True))
    m = np.abs(m[: grid.size[1] // 2 + 1])
    with np.errstate(under="ignore"):
        size = np.abs(np.fft.rfft2(values)) * np.exp(-0.5 * _squared(covariance, k, m))
    heard = size > np.exp(-depth) * np.max(size)
    limits = np.array([np.max(np.abs(k[np.any(heard, axis=1)])), np.max(m[np.any(heard, axis=0)])])
    # A function is at least as wide as a cell of the frequencies of its grid.
    least = 2 * np.pi / (np.array(grid.size) * np.array(grid.spacing))
    highest = np.pi / np.array(grid.spacing)
    return Band(np.maximum(limits, least), limits < _CLEAR * highest)


def _frequencies(source: np.ndarray, out: np.ndarray, deviation: float) -> tuple[np.ndarray, float]:
    """Frequencies k >= 0 of a period that keeps images apart, and their spacing."""
    spacing = source[1] - source[0]
    reach = max(out[-1], source[-1]) - min(out[0], source[0])
    step = 2 * np.pi / (1.02 * reach + _FAR * deviation + 2 * spacing)
    highest = np.pi / spacing
    if deviation > 0:
        highest = min(highest, _FAR / deviation)
    return step * np.arange(math.floor(highest / step) + 1), step


def _blur_matrix(source: np.ndarray, out: np.ndarray, variance: float) -> np.ndarray:
    """Takes values at the source points to their convolution with N(0, variance) at others."""
    k, step = _frequencies(source, out, variance**0.5)
    weight = np.exp(-0.5 * variance * k * k) * (source[1] - source[0]) * step / np.pi
    weight[0] /= 2
    middle = source[source.size // 2]
    here, there = np.outer(source - middle, k), np.outer(out - middle, k)
    found = (np.cos(there) * weight) @ np.cos(here).T
    return found + (np.sin(there) * weight) @ np.sin(here).T


def _turned(grid: PlaneGrid, values: np.ndarray, covariance: np.ndarray, out: PlaneGrid):
    """The convolution with any N(0, C), which is no product of convolutions along the axes."""
    sides, turns = [], []
    for a in (0, 1):
        source, there = grid.axis(a), out.axis(a)
        k, step = _frequencies(source, there, covariance[a, a] ** 0.5)
        k = np.concatenate([-k[:0:-1], k])
        middle = source[source.size // 2]
        sides.append((k, step, np.exp(-1j * np.outer(k, source - middle))))
        turns.append(np.exp(1j * np.outer(there - middle, k)))
    (k, dk, left), (m, dm, right) = sides
    transform = (left @ values) @ right.T * np.exp(-0.5 * _squared(covariance, k, m))
    return (turns[0] @ transform @ turns[1].T).real * (grid.cell * dk * dm / (2 * np.pi) ** 2)


def blurred(
    grid: PlaneGrid,
    values: Float[np.ndarray, "rows columns"],
    covariance: Float[np.ndarray, "2 2"],
    out: PlaneGrid,
) -> Float[np.ndarray, "rows_out columns_out"]:
    """The convolution of a function with N(0, C), on another grid.

    The function is taken for the one of its frequencies through its values, and zero outside its
    grid; each frequency k is multiplied by exp(-k^T C k / 2). C = 0 moves to another grid.

    Args:
      grid: the grid, which resolves the function and at whose edges it vanishes.
      values: of the function.
      covariance: C, however small against the spacing.
      out: the other grid.
    """
    round_ = covariance[0, 1] == 0 and covariance[0, 0] == covariance[1, 1]
    if not round_:
        return _turned(grid, values, covariance, out)
    left, right = (_blur_matrix(grid.axis(a), out.axis(a), float(covariance[a, a])) for a in (0, 1))
    return left @ values @ right.T


@eqx.filter_jit
def _kernel_chunk(x: Array, mass: Array, rows: Array, columns: Array, variance: Array) -> Array:
    left = jnp.exp(-((rows[:, None] - x[None, :, 0]) ** 2) / (2 * variance))
    right = jnp.exp(-((columns[:, None] - x[None, :, 1]) ** 2) / (2 * variance))
    return (left * mass[None, :]) @ right.T


def kernel_sum_on(
    out: PlaneGrid,
    centers: Float[np.ndarray, "points 2"],
    masses: Float[np.ndarray, " points"],
    variance: float,
) -> Float[np.ndarray, "rows columns"]:
    """sum_i masses_i N(y; centers_i, variance I) at the points y of a grid.

    The kernel is a product, so that the sum is a product of matrices.

    Args:
      out: the grid.
      centers: shape [points, 2].
      masses: shape [points].
      variance: of the kernel, above 0.
    """
    rows, columns = (_filled(out.axis(a)) for a in (0, 1))
    total = np.zeros((rows.size, columns.size))
    for start in range(0, masses.size, _CHUNK):
        x, mass = centers[start : start + _CHUNK], masses[start : start + _CHUNK]
        short = _CHUNK - mass.size
        x = np.concatenate([x, np.repeat(x[:1], short, axis=0)])
        mass = np.concatenate([mass, np.zeros(short)])
        sides = (jnp.asarray(rows), jnp.asarray(columns), jnp.asarray(variance))
        total += np.asarray(_kernel_chunk(jnp.asarray(x), jnp.asarray(mass), *sides))
    return total[: out.size[0], : out.size[1]] / (2 * np.pi * variance)


def _filled(axis: np.ndarray) -> np.ndarray:
    """The coordinates, repeated to a round number of them: few compilations."""
    size = 64
    while size < axis.size:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return np.concatenate([axis, np.repeat(axis[-1:], size - axis.size)])

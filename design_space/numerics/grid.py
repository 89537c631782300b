"""Smooth positive functions on a uniform grid, known by the logarithm of their values."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, Float, Scalar

STENCIL = 12  # points of the interpolating polynomial
LEAST = 512  # points of the smallest grid
TILE = 128  # sources and targets that meet at a time in a kernel sum
_BEFORE = STENCIL // 2 - 1  # of them before the cell that holds the position
_BARYCENTRIC = np.array([(-1.0) ** k * math.comb(STENCIL - 1, k) for k in range(STENCIL)])


class Grid(eqx.Module):
    """The points origin + spacing * (0, 1, ..., size - 1).

    Attributes:
      origin: the first point.
      spacing: the distance of neighbors, above 0.
      size: the number of points.
    """

    origin: Float[Array, ""]
    spacing: Float[Array, ""]
    size: int = eqx.field(static=True)

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
        return Grid(jnp.asarray(low), jnp.asarray((high - low) / (size - 1)), size)

    def points(self) -> Float[Array, " size"]:
        """The points, ascending."""
        return self.origin + self.spacing * jnp.arange(self.size)


def lagrange_weights(fraction: Array) -> Array:
    """Weights of the interpolating polynomial at a position inside a cell.

    Args:
      fraction: position in [0, 1) between stencil points _BEFORE and _BEFORE + 1, any shape.

    Returns:
      Weights of the stencil points, shape [..., STENCIL].
    """
    distance = fraction[:, None] + _BEFORE - jnp.arange(STENCIL)[None, :]
    hit = distance == 0
    terms = jnp.asarray(_BARYCENTRIC)[None, :] / jnp.where(hit, 1.0, distance)
    weights = terms / jnp.sum(terms, axis=-1, keepdims=True)
    return jnp.where(jnp.any(hit, axis=-1, keepdims=True), hit.astype(weights.dtype), weights)


def _quadratic_beyond(values: Array, outside: Array, end: int) -> Array:
    """Continues values past one end by the parabola through three points near it.

    A log density is nearly a parabola in its tails. `outside` counts grid cells beyond the end.
    """
    stride = max(1, values.shape[0] // 64)
    sign = 1 if end == 0 else -1
    a, b, c = (values[end + sign * k * stride] for k in range(3))
    t = -outside / stride  # 0 at the end, 1 and 2 at the other points
    return a + t * (b - a) + t * (t - 1) / 2 * (a - 2 * b + c)


def extended(values: Float[Array, " size"], count: int) -> Float[Array, " longer"]:
    """The values with `count` more on either side, continued by parabolas."""
    beyond = jnp.arange(1, count + 1, dtype=values.dtype)
    left = _quadratic_beyond(values, beyond[::-1], 0)
    right = _quadratic_beyond(values, beyond, -1)
    return jnp.concatenate([left, values, right])


def interpolate(
    grid: Grid, values: Float[Array, " size"], x: Float[Array, " points"]
) -> Float[Array, " points"]:
    """Interpolates grid values by polynomials of degree 11, continued by parabolas outside.

    Args:
      grid: the grid.
      values: values at its points, shape [size].
      x: positions, shape [points].

    Returns:
      The interpolated values, shape [points].
    """
    position = (x - grid.origin) / grid.spacing
    inside = jnp.clip(position, 0.0, grid.size - 1.0)
    cell = jnp.clip(jnp.floor(inside), 0, grid.size - 2)
    padded = extended(values, STENCIL)
    weights = lagrange_weights(inside - cell)
    first = cell.astype(jnp.int64) - _BEFORE + STENCIL
    near = jnp.sum(weights * padded[first[:, None] + jnp.arange(STENCIL)[None, :]], axis=1)
    low = _quadratic_beyond(values, -position, 0)
    high = _quadratic_beyond(values, position - (grid.size - 1), -1)
    return jnp.where(position < 0, low, jnp.where(position > grid.size - 1, high, near))


def shifted_values(
    values: Float[Array, " size"], shifts: Float[Array, " nodes"], reach: int
) -> Float[Array, "nodes size"]:
    """Grid values moved by the same few distances at every point: values(x_i + shift_u).

    One banded matrix does all points, so the cost is that of a small matrix product.

    Args:
      values: values at the grid points, shape [size].
      shifts: distances in grid cells, |shift| <= reach - STENCIL / 2, shape [nodes].
      reach: half-width of the band.

    Returns:
      Shape [nodes, size].
    """
    cell = jnp.floor(shifts)
    offsets = jnp.arange(-reach, reach + 1)
    weights = lagrange_weights(shifts - cell)
    index = (offsets[None, :] - cell[:, None] + _BEFORE).astype(jnp.int64)
    taken = jnp.take_along_axis(weights, jnp.clip(index, 0, STENCIL - 1), axis=1)
    band = jnp.where((index >= 0) & (index < STENCIL), taken, 0.0)
    windows = jnp.arange(2 * reach + 1)[:, None] + jnp.arange(values.shape[0])[None, :]
    return band @ extended(values, reach)[windows]


def slopes(values: Float[Array, " size"], spacing: Scalar) -> Float[Array, " size"]:
    """First derivative by central differences (second order; for choosing resolutions only)."""
    return jnp.asarray(jnp.gradient(values)) / spacing


def curvatures(values: Float[Array, " size"], spacing: Scalar) -> Float[Array, " size"]:
    """Second derivative by central differences (second order; for choosing resolutions only)."""
    inner = (values[2:] - 2 * values[1:-1] + values[:-2]) / spacing**2
    return jnp.concatenate([inner[:1], inner, inner[-1:]])


def kernel_sum(
    targets: Float[Array, " out"],
    centers: Float[Array, " size"],
    log_masses: Float[Array, " size"],
    variance: Scalar,
    reach: float,
) -> Float[Array, " out"]:
    """Log of sum_k exp(log_masses_k) N(y_i; centers_k, variance), by the nearby centers only.

    The centers need not be monotone. A tile of targets meets the shortest run of tiles of sources
    that holds every center within `reach` standard deviations of it; the rest is never touched.

    Args:
      targets: y, ascending, shape [out], a multiple of TILE.
      centers: shape [size], a multiple of TILE, in the order of their grid.
      log_masses: shape [size].
      variance: of the kernel, above 0.
      reach: in standard deviations.

    Returns:
      Shape [out]; -inf where no mass comes near.
    """
    width = reach * jnp.sqrt(variance)
    top = jnp.max(log_masses)
    # First index at which some center has come up to y - width, and last at which one is below
    # y + width: all sources that matter lie between them, also where the centers fold.
    first = jnp.searchsorted(jax.lax.cummax(centers), targets - width)
    last = jnp.searchsorted(jax.lax.cummin(centers, reverse=True), targets + width, side="right")

    def tile(args: tuple[Array, Array, Array]) -> Array:
        y, low, high = args

        def add(k: Array, total: Array) -> Array:
            c = jax.lax.dynamic_slice(centers, (k * TILE,), (TILE,))
            m = jax.lax.dynamic_slice(log_masses, (k * TILE,), (TILE,)) - top
            distance = y[:, None] - c[None, :]
            return total + jnp.sum(jnp.exp(m[None, :] - distance**2 / (2 * variance)), axis=1)

        begin, end = jnp.min(low) // TILE, (jnp.max(high) + TILE - 1) // TILE
        return jax.lax.fori_loop(begin, end, add, jnp.zeros_like(y))

    sums = jax.lax.map(tile, tuple(x.reshape(-1, TILE) for x in (targets, first, last)))
    return jnp.log(sums.ravel()) + top - 0.5 * jnp.log(2 * jnp.pi * variance)

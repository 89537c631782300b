"""Optimal transport on the line, by quantiles."""

import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, Float
from design_space.numerics.grid import STENCIL, Grid, extended, interpolate
from design_space.numerics.quadrature import gauss_legendre

_NEWTON_STEPS = 4
_NEGLIGIBLE = -60.0  # log of relative density below which no mass is moved


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


def _log_tails(grid: Grid, log_density: Float[Array, " size"]) -> tuple[Array, Array]:
    """Logarithms of the masses below and above every grid point, both summed from their tail."""
    top = jnp.max(log_density)
    values = jnp.exp(extended(log_density, STENCIL // 2 - 1) - top)
    index = jnp.arange(grid.size - 1)[:, None] + jnp.arange(STENCIL)[None, :]
    cells = jnp.maximum(values[index] @ jnp.asarray(_CELL), 1e-300) * grid.spacing
    below = jnp.concatenate([cells[:1] * 1e-3, cells]).cumsum()
    above = jnp.concatenate([cells, cells[-1:] * 1e-3])[::-1].cumsum()[::-1]
    total = jnp.log(below[-1])  # normalized, so that both laws have mass one
    return jnp.log(below) - total, jnp.log(above) - total


def line_w2_squared(
    grid: Grid, log_p: Float[Array, " size"], log_q: Float[Array, " size"]
) -> Float[Array, ""]:
    """W2(p, q)^2 = int p(x) (x - F_q^{-1}(F_p(x)))^2 dx for two smooth densities on one grid.

    The quantile map is found by Newton's method on the logarithm of the lower or upper tail,
    whichever is smaller, so that tails keep their relative accuracy.

    Args:
      grid: points that resolve and cover both densities.
      log_p: log p at the points, shape [size].
      log_q: log q at the points, shape [size].

    Returns:
      The squared distance, in squared data units.
    """
    x = grid.points()
    below_p, above_p = _log_tails(grid, log_p)
    below_q, above_q = _log_tails(grid, log_q)
    lower = below_p < above_p
    start = jnp.where(lower, jnp.interp(below_p, below_q, x), jnp.interp(-above_p, -above_q, x))

    def improve(_: Array, y: Array) -> Array:
        below, above = interpolate(grid, below_q, y), interpolate(grid, above_q, y)
        density = interpolate(grid, log_q, y)
        # d log F_q = q / F_q dy, and d log (1 - F_q) = -q / (1 - F_q) dy.
        up = (below_p - below) * jnp.exp(below - density)
        down = (above - above_p) * jnp.exp(above - density)
        move = jnp.where(lower, up, down)
        limit = 8 * grid.spacing
        return jnp.clip(y + jnp.clip(move, -limit, limit), x[0], x[-1])

    y = jax.lax.fori_loop(0, _NEWTON_STEPS, improve, start)
    heavy = log_p - jnp.max(log_p) > _NEGLIGIBLE
    cost = jnp.where(heavy, jnp.exp(log_p) * (x - y) ** 2, 0.0)
    return jnp.sum(cost) * grid.spacing

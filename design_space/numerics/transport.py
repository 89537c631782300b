"""Optimal transport on the line, by quantiles."""

import numpy as np
from jaxtyping import Float

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


def _log_tails(grid: Grid, log_density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the masses below and above every grid point, both summed from their tail."""
    values = np.exp(extended(log_density, STENCIL // 2 - 1) - np.max(log_density))
    cells = np.lib.stride_tricks.sliding_window_view(values, STENCIL) @ _CELL
    cells = np.maximum(cells, 1e-300)
    below = np.cumsum(np.concatenate([cells[:1] * 1e-3, cells]))
    above = np.cumsum(np.concatenate([cells, cells[-1:] * 1e-3])[::-1])[::-1]
    total = np.log(below[-1])  # normalized, so that both laws have mass one
    return np.log(below) - total, np.log(above) - total


def line_w2_squared(
    grid: Grid, log_p: Float[np.ndarray, " size"], log_q: Float[np.ndarray, " size"]
) -> float:
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
    y = np.where(lower, np.interp(below_p, below_q, x), np.interp(-above_p, -above_q, x))
    limit = 8 * grid.spacing
    for _ in range(_NEWTON_STEPS):
        below, above = interpolate(grid, below_q, y), interpolate(grid, above_q, y)
        density = interpolate(grid, log_q, y)
        # d log F_q = q / F_q dy, and d log (1 - F_q) = -q / (1 - F_q) dy; where q vanishes, a
        # step is cut to the limit.
        up = (below_p - below) * np.exp(np.minimum(below - density, 600.0))
        down = (above - above_p) * np.exp(np.minimum(above - density, 600.0))
        y = np.clip(y + np.clip(np.where(lower, up, down), -limit, limit), x[0], x[-1])
    heavy = log_p - np.max(log_p) > _NEGLIGIBLE
    return float(np.sum(np.where(heavy, np.exp(log_p) * (x - y) ** 2, 0.0)) * grid.spacing)

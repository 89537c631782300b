"""Optimal transport on the line, by quantiles."""

import numpy as np
from jaxtyping import Float

from design_space.numerics.cumulative import cell_sums
from design_space.numerics.grid import Grid, interpolate

_NEWTON_STEPS = 4
_NEGLIGIBLE = -60.0  # log of relative density below which no mass is moved


def _log_tails(grid: Grid, log_density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the masses below and above every grid point, both summed from their tail."""
    cells = np.maximum(cell_sums(log_density), 1e-300)
    below = np.cumsum(np.concatenate([cells[:1] * 1e-3, cells]))
    above = np.cumsum(np.concatenate([cells, cells[-1:] * 1e-3])[::-1])[::-1]
    total = np.log(below[-1])  # normalized, so that both laws have mass one
    return np.log(below) - total, np.log(above) - total


def _rough_pairs(
    x: np.ndarray, of_p: tuple[np.ndarray, np.ndarray], of_q: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Sums x + y and first points x of pairs of equal tails, by linear interpolation; ascending."""

    def partner(own: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]):
        up, down = np.interp(own[0], other[0], x), np.interp(-own[1], -other[1], x)
        return np.where(own[0] < own[1], up, down)

    y, z = partner(of_p, of_q), partner(of_q, of_p)
    return np.sort(np.concatenate([x + y, z + x])), np.sort(np.concatenate([x, z]))


def line_w2_squared(
    grid: Grid, log_p: Float[np.ndarray, " size"], log_q: Float[np.ndarray, " size"]
) -> float:
    """W2(p, q)^2 for two smooth densities on one grid.

    The pairs (x, y) with F_p(x) = F_q(y) ascend with s = x + y, and

        W2^2 = int (x - y)^2 p(x) q(y) / (p(x) + q(y)) ds,

    smooth also where a gap between modes makes the map x -> y, or its inverse, jump. The pairs are
    found by Newton's method on the logarithm of the lower or upper tail, whichever is smaller, so
    that tails keep their relative accuracy.

    Args:
      grid: points that resolve and cover both densities.
      log_p: log p at the points, shape [size].
      log_q: log q at the points, shape [size].

    Returns:
      The squared distance, in squared data units.
    """
    points, dx = grid.points(), grid.spacing
    of_p, of_q = _log_tails(grid, log_p), _log_tails(grid, log_q)
    s = 2 * grid.origin + dx * np.arange(2 * grid.size - 1)
    start = np.interp(s, *_rough_pairs(points, of_p, of_q))
    rough_p, rough_q = np.interp(start, points, log_p), np.interp(s - start, points, log_q)
    rate = rough_p + rough_q - np.logaddexp(rough_p, rough_q)
    heavy = rate - np.max(rate) > _NEGLIGIBLE
    s, start = s[heavy], start[heavy]
    x = start
    for _ in range(_NEWTON_STEPS):
        below_p, above_p, density_p = (interpolate(grid, f, x) for f in (*of_p, log_p))
        below_q, above_q, density_q = (interpolate(grid, f, s - x) for f in (*of_q, log_q))
        # d log F = p / F dx and d log (1 - F) = -p / (1 - F) dx, and y falls as x rises.
        lower = below_p < above_p
        gap = np.where(lower, below_q - below_p, above_p - above_q)
        tail_p, tail_q = np.where(lower, below_p, above_p), np.where(lower, below_q, above_q)
        slope = np.exp(density_p - tail_p) + np.exp(density_q - tail_q)
        x = np.clip(x + gap / slope, start - 2 * dx, start + 2 * dx)
    log_x, log_y = interpolate(grid, log_p, x), interpolate(grid, log_q, s - x)
    flow = np.exp(log_x + log_y - np.logaddexp(log_x, log_y))
    return float(np.sum(flow * (2 * x - s) ** 2)) * dx

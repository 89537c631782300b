"""Marginal errors on the line: the data law against the density carried through the sampler."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array, Float
from design_space.numerics.defects import expm1_defect
from design_space.numerics.estimate import Estimate
from design_space.numerics.grid import Grid, interpolate
from design_space.numerics.transport import line_w2_squared
from design_space.sampling.density_law import (
    COARSE,
    FINE,
    LEAST_LOG,
    LineDensity,
    Resolution,
    density_law,
)
from design_space.scores.base import AbstractScore
from design_space.targets.line import Line, at_point

_TAIL = 13.0  # standard deviations of the data law that are compared; beyond, mass below 1e-37
_MOST = 1 << 21


class LineErrors(eqx.Module):
    """Marginal errors on the line.

    Attributes:
      marginal_kl: KL(p_v | q), in nats.
      w2_squared: W2(p_v, q)^2, in squared data units.
    """

    marginal_kl: Estimate
    w2_squared: Estimate


def _common_grid(line: Line, variance: Array, density: LineDensity, how: Resolution) -> Grid:
    """A grid that covers and resolves both laws."""
    stds = np.sqrt(np.asarray(line.variances + variance))
    centers, live = np.asarray(line.centers), np.isfinite(np.asarray(line.log_weights))
    low = float(np.min((centers - _TAIL * stds)[live]))
    high = float(np.max((centers + _TAIL * stds)[live]))
    spacing = min(density.grid.spacing, float(np.min(stds[live])) / how.cells)
    low, high = min(low, density.grid.origin), max(high, density.grid.end)
    return Grid.covering(low, high, spacing, _MOST)


@eqx.filter_jit
def _log_densities(line: Line, variance: Array, x: Array) -> Array:
    return jax.vmap(lambda y: at_point(line, y, variance).log_density)(x)


_defects = eqx.filter_jit(expm1_defect)


class _Comparison(NamedTuple):
    """KL and squared W2, the defect of the mass of q, and the part of the KL that is not resolved.

    That part lies beyond the grid of q, where log q is extrapolated, or where q is cut off.
    """

    kl: float
    w2_squared: float
    mass: float
    beyond: float


def _compare(line: Line, variance: Array, density: LineDensity, grid: Grid) -> _Comparison:
    x, own = grid.points(), density.grid
    log_p = np.asarray(_log_densities(line, variance, jnp.asarray(x)))
    log_q = interpolate(own, density.log_values, x)
    z = log_q - log_p
    p, q = np.exp(log_p), np.exp(log_q)
    # p log(p/q) + q - p = p (e^z - 1 - z) has no sign changes; where q outgrows p, as it stands.
    defects = np.asarray(_defects(jnp.asarray(np.minimum(z, 1.0))))
    terms = np.where(z < 1, p * defects, q - p - p * z)
    cut = log_q < np.max(density.log_values) + 0.75 * LEAST_LOG
    outside = cut | (x < own.origin) | (x > own.end)
    return _Comparison(
        float(np.sum(terms)) * grid.spacing,
        line_w2_squared(grid, log_p, log_q),
        abs(float(np.sum(q)) * grid.spacing - 1),
        float(np.sum((p * np.abs(z))[outside])) * grid.spacing,
    )


def line_errors(
    line: Line,
    score: AbstractScore,
    sigmas: Float[Array, " nodes"],
    steps: Float[Array, " steps"],
) -> LineErrors:
    """KL(p_{v_N} | q_N) and W2(p_{v_N}, q_N) in one dimension, for any score.

    Both are computed at two resolutions; the difference, the defect of the sampler's mass and
    rounding make the stated error.

    Args:
      line: the data law.
      score: a score of one-dimensional points.
      sigmas: sigma_0 > ... > sigma_N > 0, shape [steps + 1].
      steps: h_j, shape [steps].

    Returns:
      The errors, method "quadrature".

    Raises:
      ValueError: if the law has structure too fine for its extent (see density_law).
    """
    variance = sigmas[-1] ** 2
    found = []
    for how in (COARSE, FINE):
        density = density_law(score, sigmas, steps, how)
        grid = _common_grid(line, variance, density, how)
        found.append(_compare(line, variance, density, grid))
    coarse, fine = found
    # Rounding: every step rounds log q by a few units; a relative change d of q moves the KL by
    # about sqrt(2 KL) d, and W2^2 by about 2 W2 d times the scale of the law.
    relative = fine.mass + 64 * EPS * (steps.shape[0] + 16)
    scale = float(jnp.sqrt(jnp.max(line.variances + line.centers**2) + variance))
    kl_error = abs(fine.kl - coarse.kl) + fine.beyond + (2 * fine.kl) ** 0.5 * relative
    w2_error = abs(fine.w2_squared - coarse.w2_squared)
    w2_error += 2 * fine.w2_squared**0.5 * scale * relative
    return LineErrors(
        _estimate(fine.kl, kl_error + EPS**2),
        _estimate(fine.w2_squared, w2_error + (EPS * scale) ** 2),
    )


def _estimate(value: float, error: float) -> Estimate:
    return Estimate(jnp.asarray(value), jnp.asarray(error), "quadrature")

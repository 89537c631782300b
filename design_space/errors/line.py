"""Marginal errors on the line: the data law against the density carried through the sampler."""

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import EPS, Array, Float
from design_space.numerics.defects import expm1_defect
from design_space.numerics.estimate import Estimate
from design_space.numerics.grid import Grid, interpolate
from design_space.numerics.transport import line_w2_squared
from design_space.sampling.density_law import COARSE, FINE, LineDensity, Resolution, density_law
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
    stds = jnp.sqrt(line.variances + variance)
    live = line.log_weights > -jnp.inf
    low = jnp.min(jnp.where(live, line.centers - _TAIL * stds, jnp.inf))
    high = jnp.max(jnp.where(live, line.centers + _TAIL * stds, -jnp.inf))
    own = density.grid
    low = min(float(low), float(own.origin))
    high = max(float(high), float(own.origin + own.spacing * (own.size - 1)))
    spacing = min(float(own.spacing), float(jnp.min(stds)) / how.cells)
    return Grid.covering(low, high, spacing, _MOST)


@eqx.filter_jit
def _compare(
    line: Line, variance: Array, density: LineDensity, grid: Grid
) -> tuple[Array, Array, Array, Array]:
    """KL, squared W2, the defect of the mass of q, and the part of the KL that is extrapolated."""
    x = grid.points()
    log_p = jax.vmap(lambda y: at_point(line, y, variance).log_density)(x)
    log_q = interpolate(density.grid, density.log_values, x)
    z = log_q - log_p
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    # p log(p/q) + q - p = p (e^z - 1 - z) has no sign changes; where q outgrows p, as it stands.
    terms = jnp.where(z < 1, p * expm1_defect(jnp.minimum(z, 1.0)), q - p - p * z)
    own = density.grid
    outside = (x < own.origin) | (x > own.origin + own.spacing * (own.size - 1))
    kl = jnp.sum(terms) * grid.spacing
    beyond = jnp.sum(jnp.where(outside, p * jnp.abs(z), 0.0)) * grid.spacing
    mass = jnp.abs(jnp.sum(q) * grid.spacing - 1)
    return kl, line_w2_squared(grid, log_p, log_q), mass, beyond


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
    (kl_coarse, w2_coarse, _, _), (kl, w2_squared, mass, beyond) = found
    # Rounding: every step rounds log q by a few units; a relative change d of q moves the KL by
    # about sqrt(2 KL) d, and W2^2 by about 2 W2 d times the scale of the law.
    rounding = 64 * EPS * (steps.shape[0] + 16)
    scale = jnp.sqrt(jnp.max(line.variances + line.centers**2) + variance)
    kl_error = jnp.abs(kl - kl_coarse) + beyond + jnp.sqrt(2 * kl) * (mass + rounding)
    w2_error = jnp.abs(w2_squared - w2_coarse) + 2 * jnp.sqrt(w2_squared) * scale * (
        mass + rounding
    )
    return LineErrors(
        Estimate(kl, kl_error + EPS**2, "quadrature"),
        Estimate(w2_squared, w2_error + EPS**2 * scale**2, "quadrature"),
    )

"""Marginal errors on the line: the data law against the density carried through the sampler."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array
from design_space.errors.line_law import LineLaws, common_grid, line_log_density
from design_space.numerics.defects import expm1_defect
from design_space.numerics.estimate import Estimate
from design_space.numerics.grid import Grid
from design_space.numerics.transport import line_w2_squared
from design_space.sampling.line_density import LEAST_LOG, LineDensity, on_grid
from design_space.targets.line import Line


class LineErrors(eqx.Module):
    """Marginal errors on the line.

    Attributes:
      marginal_kl: KL(p_v | q), in nats.
      reverse_kl: KL(q | p_v), in nats.
      w2_squared: W2(p_v, q)^2, in squared data units.
    """

    marginal_kl: Estimate
    reverse_kl: Estimate
    w2_squared: Estimate


_defects = eqx.filter_jit(expm1_defect)


class _Comparison(NamedTuple):
    """Both KL and squared W2, the defect of the mass of q, and what is not resolved of either KL.

    Those parts lie beyond the grid of q, where log q is extrapolated, or where q is cut off; `size`
    is E_q |log q/p|, the change of the reverse KL with a relative change of q.
    """

    kl: float
    reverse_kl: float
    w2_squared: float
    mass: float
    beyond: float
    reverse_beyond: float
    size: float


def _terms(log_a: np.ndarray, log_b: np.ndarray) -> np.ndarray:
    """The integrand a log(a/b) + b - a of KL(a | b) = a (e^z - 1 - z), z = log b - log a.

    It has no sign changes; where b outgrows a, the first form is taken as it stands.
    """
    z, a = log_b - log_a, np.exp(log_a)
    defects = np.asarray(_defects(jnp.asarray(np.minimum(z, 1.0))))
    return np.where(z < 1, a * defects, np.exp(log_b) - a - a * z)


def _compare(line: Line, variance: Array, density: LineDensity, grid: Grid) -> _Comparison:
    x, own = grid.points(), density.grid
    log_p = np.asarray(line_log_density(line, variance, jnp.asarray(x)))
    log_q = on_grid(density, grid).log_values
    z, p, q = np.abs(log_q - log_p), np.exp(log_p), np.exp(log_q)
    cut = log_q < np.max(density.log_values) + 0.75 * LEAST_LOG
    outside = cut | (x < own.origin) | (x > own.end)
    return _Comparison(
        float(np.sum(_terms(log_p, log_q))) * grid.spacing,
        float(np.sum(_terms(log_q, log_p))) * grid.spacing,
        line_w2_squared(grid, log_p, log_q),
        abs(float(np.sum(q)) * grid.spacing - 1),
        float(np.sum((p * z)[outside])) * grid.spacing,
        float(np.sum((q * z)[outside])) * grid.spacing,
        float(np.sum(q * z)) * grid.spacing,
    )


def line_errors(line: Line, variance: Array, laws: LineLaws) -> LineErrors:
    """KL(p_{v_N} | q_N), KL(q_N | p_{v_N}) and W2(p_{v_N}, q_N) in one dimension.

    All are computed at two resolutions; the difference, the defect of the sampler's mass and
    rounding make the stated error.

    Args:
      line: the data law.
      variance: v_N.
      laws: of the sampler, from `line_laws`.

    Returns:
      The errors, method "quadrature".

    Raises:
      ValueError: if the data law has structure too fine for the extent of both.
    """
    coarse, fine = (
        _compare(line, variance, density, common_grid(line, variance, density, how))
        for density, how in laws.each()
    )
    # A relative change d of q moves the KL by about sqrt(2 KL) d, the reverse one by at most
    # E_q|log q/p| d, and W2^2 by about 2 W2 d times the scale of the law.
    relative = fine.mass + laws.rounding
    scale = float(jnp.sqrt(jnp.max(line.variances + line.centers**2) + variance))
    kl_error = abs(fine.kl - coarse.kl) + fine.beyond + (2 * fine.kl) ** 0.5 * relative
    reverse_error = abs(fine.reverse_kl - coarse.reverse_kl) + fine.reverse_beyond
    reverse_error += fine.size * relative
    w2_error = abs(fine.w2_squared - coarse.w2_squared)
    w2_error += 2 * fine.w2_squared**0.5 * scale * relative
    return LineErrors(
        _estimate(fine.kl, kl_error + EPS**2),
        _estimate(fine.reverse_kl, reverse_error + EPS**2),
        _estimate(fine.w2_squared, w2_error + (EPS * scale) ** 2),
    )


def _estimate(value: float, error: float) -> Estimate:
    return Estimate(jnp.asarray(value), jnp.asarray(error), "quadrature")

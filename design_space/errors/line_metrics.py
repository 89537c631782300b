"""Total variation, modes and moments of a sampler's law on the line, from its density."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array, Float
from design_space.errors.line_law import LineLaws, common_grid, line_log_density
from design_space.numerics.estimate import Estimate
from design_space.numerics.grid import LEAST, Grid, interpolate
from design_space.numerics.level_sets import LevelSets
from design_space.numerics.quadrature import gauss_legendre
from design_space.sampling.line_density import LineDensity, Resolution
from design_space.targets.line import Line

_PANEL = 4  # grid cells per Gauss-Legendre panel
_ORDER = 12  # nodes per panel; three per cell of a function that eleven-point stencils resolve
_UNFOLLOWED = 1e-36  # mass of q that densities kept down to 1e-40 of their maximum may lack


class LineMetrics(eqx.Module):
    """What a density q on the line says beyond KL and W2; method "quadrature".

    Attributes:
      total_variation: (1/2) int |p - q|.
      mode_weights: E_q of the posterior probability of each component, shape [components].
      mode_means: E_q[r_k Y] / E_q r_k, with r_k that probability, shape [components].
      mode_variances: E_q[r_k (Y - m_k)^2] / E_q r_k, with m_k that mean, shape [components].
      mean: E_q Y.
      variance: Var_q Y.
      density: q itself, at the finer resolution.
    """

    total_variation: Estimate
    mode_weights: Estimate
    mode_means: Estimate
    mode_variances: Estimate
    mean: Estimate
    variance: Estimate
    density: LineDensity


def _log_joint(line: Line, variance: Array, x: Array) -> Array:
    """Log w_k + log N(x; a_k, l_k + v) at one point, shape [components]."""
    c = line.variances + variance
    return line.log_weights - 0.5 * ((x - line.centers) ** 2 / c + jnp.log(2 * jnp.pi * c))


@eqx.filter_jit
def _mode_sums(line: Line, variance: Array, x: Array, masses: Array) -> Array:
    """Sums of masses times r_k (1, x - a_k, (x - a_k)^2), block by block, shape [3, components]."""

    def block(total: Array, args: tuple[Array, Array]) -> tuple[Array, None]:
        points, weights = args
        share = jax.vmap(lambda y: jax.nn.softmax(_log_joint(line, variance, y)))(points)
        z = points[:, None] - line.centers[None, :]
        parts = (share, share * z, share * z * z)
        return total + jnp.stack([weights @ part for part in parts]), None

    parts = (x.reshape(-1, LEAST), masses.reshape(-1, LEAST))
    return jax.lax.scan(block, jnp.zeros((3, line.centers.shape[0])), parts)[0]


def grid_total_variation(
    grid: Grid, log_p: Float[np.ndarray, " size"], log_q: Float[np.ndarray, " size"]
) -> float:
    """Computes (1/2) int |p - q| for two smooth densities on one grid.

    Gauss-Legendre panels that end where the densities cross; where they are close, p - q comes
    without cancellation from log q - log p.

    Args:
      grid: points that resolve and cover both densities.
      log_p: log p at the points, shape [size].
      log_q: log q at the points, shape [size].
    """
    z = log_q - log_p
    edges = np.append(grid.points()[::_PANEL], grid.end)
    everywhere = np.ones(grid.size, bool)
    crossings = LevelSets.of(grid, z, everywhere).edges(np.zeros(1))
    edges = np.unique(np.concatenate([edges, crossings.places]))
    unit, weights = gauss_legendre(_ORDER)
    widths = np.diff(edges)[:, None]
    x = (edges[:-1, None] + widths * np.asarray(unit)[None, :]).ravel()
    log_ratio, at_p = interpolate(grid, z, x), interpolate(grid, log_p, x)
    close = np.abs(log_ratio) < 1
    apart = np.abs(np.exp(at_p + np.where(close, 0.0, log_ratio)) - np.exp(at_p))
    near = np.exp(at_p) * np.abs(np.expm1(np.where(close, log_ratio, 0.0)))
    masses = (widths * np.asarray(weights)[None, :]).ravel()
    return 0.5 * float(masses @ np.where(close, near, apart))


class _Numbers(NamedTuple):
    total_variation: np.ndarray
    modes: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    mass: float


def _numbers(line: Line, variance: Array, density: LineDensity, how: Resolution) -> _Numbers:
    grid = common_grid(line, variance, density, how)
    x = grid.points()
    log_p = np.asarray(line_log_density(line, variance, jnp.asarray(x)))
    log_q = interpolate(density.grid, density.log_values, x)
    masses = np.exp(log_q) * grid.spacing
    mass = float(np.sum(masses))
    mean = float(masses @ x) / mass
    return _Numbers(
        np.asarray(grid_total_variation(grid, log_p, log_q)),
        np.asarray(_mode_sums(line, variance, jnp.asarray(x), jnp.asarray(masses))),
        np.asarray(mean),
        np.asarray(float(masses @ (x - mean) ** 2) / mass),
        abs(mass - 1),
    )


def line_metrics(line: Line, variance: Array, laws: LineLaws) -> LineMetrics:
    """Total variation, modes and moments of a sampler's law in one dimension.

    All are computed at two resolutions; the difference, the defect of the sampler's mass and
    rounding make the stated error.

    Args:
      line: the data law.
      variance: v_N.
      laws: of the sampler, from `line_laws`.

    Returns:
      The numbers, method "quadrature".

    Raises:
      ValueError: if the data law has structure too fine for the extent of both.
    """
    coarse, fine = (_numbers(line, variance, density, how) for density, how in laws.each())
    # A relative change d of q moves TV and the weights by at most d, and the moments by d times
    # the spread of q about the origin of the coordinates.
    relative = fine.mass + laws.rounding
    spread = float(np.sqrt(fine.variance + fine.mean**2))

    def estimate(value: np.ndarray, other: np.ndarray, size: float) -> Estimate:
        error = np.abs(value - other) + relative * size
        return Estimate(jnp.asarray(value), jnp.asarray(error), "quadrature")

    return LineMetrics(
        estimate(fine.total_variation, coarse.total_variation, 1.0),
        estimate(fine.modes[0], coarse.modes[0], 1.0),
        *_within(line, fine.modes, coarse.modes, relative),
        estimate(fine.mean, coarse.mean, spread),
        estimate(fine.variance, coarse.variance, spread**2),
        laws.fine,
    )


def _mode_moments(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means, from the centers of the components, and variances within modes."""
    with np.errstate(invalid="ignore", divide="ignore"):  # a mode of no mass has neither: NaN
        offset = sums[1] / sums[0]
        return offset, sums[2] / sums[0] - offset**2


def _within(
    line: Line, fine: np.ndarray, coarse: np.ndarray, relative: float
) -> tuple[Estimate, Estimate]:
    """Means and variances within modes with their errors."""
    (offset, square), (other, other_square) = _mode_moments(fine), _mode_moments(coarse)
    # A relative change d of q moves the mean of a mode by at most 2 d root mean squares, and its
    # variance by 4 d mean squares; a mode of little mass hangs on what tails of q are not followed.
    with np.errstate(invalid="ignore", divide="ignore"):
        change = relative + _UNFOLLOWED / fine[0]
        size = fine[2] / fine[0]
    of_mean = np.abs(offset - other) + 2 * change * np.sqrt(size)
    of_mean += EPS * np.abs(np.asarray(line.centers))
    of_square = np.abs(square - other_square) + 4 * change * size
    return (
        Estimate(line.centers + offset, jnp.asarray(of_mean), "quadrature"),
        Estimate(jnp.asarray(square), jnp.asarray(of_square), "quadrature"),
    )

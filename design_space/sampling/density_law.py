"""The law of the sampler on the line, for any score: a density carried through the steps.

One step takes q to q'(y) = int q(x) N(y; x + h s(x), h) dx. Two rules do it, both spectrally
accurate, and the loop picks one for each step:

- where the noise is narrow against the density, x = y + sqrt(h) u makes it
  q'(y) = E[q(x) exp(-sqrt(h) u s(x) - h s(x)^2 / 2)] over a standard normal u: Gauss-Hermite, with
  log q and s interpolated;
- elsewhere the trapezoid rule in x, on a grid that resolves density and mapped-back noise, summed
  over the sources near y. It needs no inverse of the step map, so the map may fold.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array, Float, Scalar
from design_space.numerics.grid import (
    STENCIL,
    Grid,
    curvatures,
    extended,
    interpolate,
    kernel_sum,
    shift_band,
    shifted_values,
    slopes,
)
from design_space.numerics.quadrature import gauss_hermite
from design_space.scores.base import AbstractScore

_KEPT = 92.0  # densities are followed down to exp(-92) = 1e-40 of their maximum
_REACH = 18.0  # standard deviations of the kernel that are summed
LEAST_LOG = -200.0  # of the maximum; what is lower, where no kernel reaches, is set to it
_MOST = 1 << 20  # points of the largest grid
_NODES = 26  # of the Gauss-Hermite rule of a narrow step
_BAND = 48  # half-width in cells of a narrow step
_NARROW = 0.1  # largest curvature times h of a narrow step: 26 nodes leave (1/6)^26 = 1e-20
# Largest sqrt(h) |s - its interpolant| between grid points: a narrow step interpolates the score,
# a wide one aliases what lies beyond twice the frequency that interpolation begins to miss.
_ROUGH_NARROW, _ROUGH_WIDE = 1e-9, 1e-5
_REFINEMENTS = 3  # of a grid that a rough score asks for; a kink would never have enough
_MOST_REFINED = 1 << 18  # points of the largest grid that is refined to


class Resolution(NamedTuple):
    """How finely the density is resolved; two of them measure the error.

    Attributes:
      cells: grid cells per local scale of log q.
      points: trapezoid points per scale of the integrand of a wide step.
      margin: what is added to the range of every grid, as a share of it. Sizes are round, so that
        only a different margin makes sure of different points.
    """

    cells: float
    points: float
    margin: float

    def grid(self, low: float, high: float, spacing: float) -> Grid:
        """The grid on [low, high], margin included."""
        room = 0.5 * self.margin * (high - low)
        return Grid.covering(low - room, high + room, spacing, _MOST)


COARSE = Resolution(7.0, 1.6, 0.19)
FINE = Resolution(10.0, 2.0, 0.0)


class LineDensity(NamedTuple):
    """A density on the line.

    Attributes:
      grid: the points.
      log_values: log q at the points, shape [size].
    """

    grid: Grid
    log_values: np.ndarray


class _Needs(NamedTuple):
    """What the next step asks of the grid.

    Attributes:
      low, high: where the density lives now.
      scale: length over which log q bends, by which grid cells are measured.
      narrowness: how much curvature and mismatch a step's noise sees; small for narrow steps.
      source_scale: length over which the integrand of a wide step bends.
      next_low, next_high: where the density will live after the step.
      next_scale: guess of its scale.
    """

    low: float
    high: float
    scale: float
    narrowness: float
    source_scale: float
    next_low: float
    next_high: float
    next_scale: float


@eqx.filter_jit
def _scores(score: AbstractScore, x: Array, sigma: Scalar) -> Array:
    return jax.vmap(lambda point: score(point[None], sigma)[0])(x)


def _score_on(score: AbstractScore, grid: Grid, sigma: float) -> np.ndarray:
    return np.asarray(_scores(score, jnp.asarray(grid.points()), jnp.asarray(sigma)))


def _weights_of(density: LineDensity) -> tuple[np.ndarray, np.ndarray]:
    """Log q below its maximum, and what an error counts at each point.

    Where q is 1e-k of its maximum, a polynomial of degree 11 may be off by 1e+k: curvatures enter
    with the weight (q / max q)^(2/12).
    """
    depth = density.log_values - np.max(density.log_values)
    return depth, np.where(depth > -_KEPT, np.exp(np.maximum(depth, -_KEPT) / 6), 0.0)


def _scale(density: LineDensity) -> float:
    """The length over which log q bends."""
    _, weight = _weights_of(density)
    bend = np.abs(curvatures(density.log_values, density.grid.spacing))
    return float(np.max(weight * bend)) ** -0.5


def _needs(density: LineDensity, score: np.ndarray, h: float) -> _Needs:
    x, dx = density.grid.points(), density.grid.spacing
    depth, weight = _weights_of(density)
    kept = depth > -_KEPT
    bend = np.abs(curvatures(density.log_values, dx))
    mismatch = slopes(density.log_values, dx) - score
    change = slopes(score, dx)
    worst = np.maximum(np.maximum(bend, np.abs(change)), 0.1 * mismatch**2)
    stretch = np.abs(1 + h * change)
    # Trapezoid error exp(-2 pi^2 c^2) for c points per scale: less is enough in the tails.
    share = np.sqrt(np.clip(1 + depth / 42.0, 1e-6, 1.0))
    fineness = np.max(np.where(kept, share * np.sqrt(stretch**2 / h + bend), 0.0))
    moved, room = x + h * score, np.sqrt(2 * h * np.maximum(_KEPT + depth, 0.0))
    scale = _scale(density)
    squeeze = np.min(stretch[weight > 0.1])
    return _Needs(
        float(np.min(x[kept])),
        float(np.max(x[kept])),
        scale,
        float(np.max(weight * worst)) * h,
        1 / float(fineness),
        float(np.min((moved - room)[kept])),
        float(np.max((moved + room)[kept])),
        float(np.sqrt((scale * squeeze) ** 2 + h)),
    )


@eqx.filter_jit
def _narrow_values(log_q: Array, score: Array, band: Array, h: Scalar) -> Array:
    u, weights = gauss_hermite(_NODES)
    s = shifted_values(score, band)
    exponent = shifted_values(log_q, band) - jnp.sqrt(h) * u[:, None] * s - 0.5 * h * s * s
    return jax.nn.logsumexp(exponent + jnp.log(weights)[:, None], axis=0)


def _narrow_step(density: LineDensity, score: np.ndarray, h: float) -> LineDensity:
    u, _ = gauss_hermite(_NODES)
    band = shift_band(h**0.5 * u / density.grid.spacing, _BAND)
    log_q, s = (jnp.asarray(extended(x, _BAND)) for x in (density.log_values, score))
    values = _narrow_values(log_q, s, jnp.asarray(band), jnp.asarray(h))
    return LineDensity(density.grid, np.asarray(values))


def _wide_step(density: LineDensity, score: np.ndarray, h: float, out: Grid) -> LineDensity:
    moved = density.grid.points() + h * score
    masses = density.log_values + np.log(density.grid.spacing)
    values = kernel_sum(out.points(), moved, masses, h, _REACH)
    return LineDensity(out, np.maximum(values, np.max(values) + LEAST_LOG))


def _fitted(
    density: LineDensity, low: float, high: float, spacing: float, how: Resolution
) -> LineDensity:
    """Moves the density to a grid on [low, high], unless its own serves."""
    own = density.grid
    wasteful = own.end - own.origin > 1.5 * (1 + how.margin) * (high - low)
    if own.origin <= low and high <= own.end and own.spacing <= spacing and not wasteful:
        return density
    return _on(density, how.grid(low, high, spacing))


def _on(density: LineDensity, grid: Grid) -> LineDensity:
    """The density on another grid. Beyond its own, its logarithm must not rise."""
    own, x = density.grid, grid.points()
    values = interpolate(own, density.log_values, x)
    ends = np.where(x < own.origin, density.log_values[0], density.log_values[-1])
    outside = (x < own.origin) | (x > own.end)
    return LineDensity(grid, np.where(outside, np.minimum(values, ends), values))


class _Source(NamedTuple):
    """A density, the score on its points, and whether the points resolve the score."""

    density: LineDensity
    score: np.ndarray
    resolved: bool


def _roughness(density: LineDensity, score: np.ndarray, between: np.ndarray, h: float) -> float:
    """How far the interpolated score is off at midpoints: the largest sqrt(h) |difference|.

    Weighted as every error is; the rounding of a large score is no roughness.
    """
    grid = density.grid
    middles = grid.points()[:-1] + 0.5 * grid.spacing
    off = np.abs(between - interpolate(grid, score, middles))
    _, weight = _weights_of(density)
    rounding = 64 * EPS * np.max(np.abs(score[weight > 0]))
    return h**0.5 * (float(np.max(weight[:-1] * off)) - rounding)


def _resolved(
    density: LineDensity,
    score: AbstractScore,
    level: tuple[float, float],
    how: Resolution,
    most: float,
) -> _Source:
    """Refines the grid of a density until it resolves the score too, if it ever does."""
    sigma, h = level
    for k in range(_REFINEMENTS + 1):
        grid = density.grid
        half = Grid(grid.origin, grid.spacing / 2, 2 * grid.size)
        values = _score_on(score, half, sigma)
        resolved = _roughness(density, values[::2], values[1:-1:2], h) < most
        if resolved or k == _REFINEMENTS or 4 * grid.size > _MOST_REFINED:
            break
        density = _on(density, Grid.covering(grid.origin, grid.end, grid.spacing / 2, _MOST))
    return _Source(density, values[::2], resolved)


def _step(
    density: LineDensity, score: AbstractScore, sigma: float, h: float, how: Resolution
) -> LineDensity:
    """One step, by the rule that fits."""
    values = _score_on(score, density.grid, sigma)
    if not np.all(np.isfinite(values)):
        raise ValueError(
            f"score(x, {sigma:.6g}) = NaN or infinite: must be finite wherever the sampler "
            "goes; check the score there, and that it knows every level of the schedule"
        )
    needs = _needs(density, values, h)
    low, high = min(needs.low, needs.next_low), max(needs.high, needs.next_high)
    least = h**0.5 * gauss_hermite(_NODES)[0][-1] / (_BAND - STENCIL / 2 - 1)
    if needs.narrowness < _NARROW and least < needs.scale / how.cells:
        fitted = _fitted(density, low, high, needs.scale / how.cells, how)
        near = _resolved(fitted, score, (sigma, h), how, _ROUGH_NARROW)
        if near.resolved and near.density.grid.spacing > least:
            return _narrow_step(near.density, near.score, h)
    fitted = _fitted(density, needs.low, needs.high, needs.source_scale / how.points, how)
    return _wide_result(_resolved(fitted, score, (sigma, h), how, _ROUGH_WIDE), h, needs, how)


def _wide_result(source: _Source, h: float, needs: _Needs, how: Resolution) -> LineDensity:
    """A wide step onto a grid that turns out to resolve the result."""
    spacing = needs.next_scale / how.cells
    while True:
        out = how.grid(needs.next_low, needs.next_high, spacing)
        new = _wide_step(source.density, source.score, h, out)
        asked = _scale(new) / how.cells
        if asked > 0.8 * out.spacing:
            return new
        spacing = min(asked, 0.8 * out.spacing)


def density_law(
    score: AbstractScore,
    sigmas: Float[Array, " nodes"],
    steps: Float[Array, " steps"],
    how: Resolution = FINE,
) -> LineDensity:
    """The density q_N of the frozen-score sampler in one dimension, for any score.

    Args:
      score: a score of one-dimensional points.
      sigmas: noise levels sigma_0 > ... > sigma_N > 0, shape [steps + 1].
      steps: h_j = sigma_j^2 - sigma_{j+1}^2, shape [steps].
      how: the resolution.

    Returns:
      The density; where it is below 1e-40 of its maximum it is continued by a parabola of its
      logarithm.

    Raises:
      ValueError: if a density needs more than 2^20 grid points, or the score is not finite.
    """
    start = float(sigmas[0])
    reach = (2 * _KEPT) ** 0.5 * start
    grid = how.grid(-reach, reach, start / how.cells)
    x = grid.points() / start
    density = LineDensity(grid, -0.5 * x * x - 0.5 * np.log(2 * np.pi * start * start))
    for sigma, h in zip(np.asarray(sigmas)[:-1], np.asarray(steps), strict=True):
        density = _step(density, score, float(sigma), float(h), how)
    return density

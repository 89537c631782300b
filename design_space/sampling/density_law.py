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

from design_space.arrays import Array, Float, Scalar
from design_space.numerics.grid import (
    STENCIL,
    Grid,
    curvatures,
    interpolate,
    kernel_sum,
    shifted_values,
    slopes,
)
from design_space.numerics.quadrature import gauss_hermite
from design_space.scores.base import AbstractScore

_KEPT = 92.0  # densities are followed down to exp(-92) = 1e-40 of their maximum
_REACH = 18.0  # standard deviations of the kernel that are summed
_MOST = 1 << 20  # points of the largest grid
_NODES = 26  # of the Gauss-Hermite rule of a narrow step
_BAND = 48  # half-width in cells of a narrow step
_NARROW = 0.1  # largest curvature times h of a narrow step: 26 nodes leave (1/6)^26 = 1e-20


class Resolution(NamedTuple):
    """How finely the density is resolved; two of them measure the error.

    Attributes:
      cells: grid cells per local scale of log q.
      points: trapezoid points per scale of the integrand of a wide step.
    """

    cells: float
    points: float


COARSE = Resolution(7.0, 1.6)
FINE = Resolution(10.0, 2.0)


class LineDensity(eqx.Module):
    """A density on the line.

    Attributes:
      grid: the points.
      log_values: log q at the points, shape [size].
    """

    grid: Grid
    log_values: Float[Array, " size"]


class _Needs(NamedTuple):
    """What the next step asks of the grid (see `_diagnose`)."""

    low: float
    high: float
    spacing: float
    narrowness: float
    source_spacing: float
    next_low: float
    next_high: float
    next_spacing: float


@eqx.filter_jit
def _score_on(score: AbstractScore, grid: Grid, sigma: Scalar) -> Array:
    return jax.vmap(lambda x: score(x[None], sigma)[0])(grid.points())


@eqx.filter_jit
def _diagnose(density: LineDensity, score: Array, h: Scalar) -> Array:
    """Resolutions in units of one cell or node, and where the density lives now and next.

    Errors count by the mass they meet: where q is 1e-k of its maximum, a polynomial of degree 11
    may be off by 1e+k, so curvatures enter with the weight (q / max q)^(2/12).
    """
    x, dx = density.grid.points(), density.grid.spacing
    depth = density.log_values - jnp.max(density.log_values)  # <= 0
    kept = depth > -_KEPT
    weight = jnp.where(kept, jnp.exp(jnp.maximum(depth, -_KEPT) / 6), 0.0)
    bend = jnp.abs(curvatures(density.log_values, dx))
    mismatch = slopes(density.log_values, dx) - score
    steep = jnp.abs(slopes(score, dx))
    narrow = jnp.max(weight * jnp.maximum(jnp.maximum(bend, steep), 0.1 * mismatch**2)) * h
    moved = x + h * score
    stretch = jnp.abs(1 + h * slopes(score, dx))
    # Trapezoid error exp(-2 pi^2 c^2) for c points per scale: less is enough in the tails.
    share = jnp.sqrt(jnp.clip(1 + depth / 42.0, 1e-6, 1.0))
    fineness = jnp.max(jnp.where(kept, share * jnp.sqrt(stretch**2 / h + bend), 0.0))
    room = jnp.sqrt(2 * h * jnp.maximum(_KEPT + depth, 0.0))
    low = jnp.min(jnp.where(kept, moved - room, jnp.inf))
    high = jnp.max(jnp.where(kept, moved + room, -jnp.inf))
    squeeze = jnp.min(jnp.where(weight > 0.1, stretch, jnp.inf))
    scale = 1 / jnp.max(weight * bend)
    return jnp.stack(
        [
            jnp.min(jnp.where(kept, x, jnp.inf)),
            jnp.max(jnp.where(kept, x, -jnp.inf)),
            jnp.sqrt(scale),
            narrow,
            1 / fineness,
            low,
            high,
            jnp.sqrt(scale * squeeze**2 + h),
        ]
    )


@eqx.filter_jit
def _resampled(density: LineDensity, grid: Grid) -> LineDensity:
    return LineDensity(grid, interpolate(density.grid, density.log_values, grid.points()))


@eqx.filter_jit
def _narrow_step(density: LineDensity, score: Array, h: Scalar) -> LineDensity:
    u, weights = gauss_hermite(_NODES)
    shifts = jnp.sqrt(h) * u / density.grid.spacing
    log_q = shifted_values(density.log_values, shifts, _BAND)
    s = shifted_values(score, shifts, _BAND)
    exponent = log_q - jnp.sqrt(h) * u[:, None] * s - 0.5 * h * s * s
    values = jax.nn.logsumexp(exponent + jnp.log(weights)[:, None], axis=0)
    return LineDensity(density.grid, values)


@eqx.filter_jit
def _wide_step(density: LineDensity, score: Array, h: Scalar, out: Grid) -> LineDensity:
    moved = density.grid.points() + h * score
    masses = density.log_values + jnp.log(density.grid.spacing)
    values = kernel_sum(out.points(), moved, masses, h, _REACH)
    return LineDensity(out, values)


def _fitted(density: LineDensity, low: float, high: float, spacing: float) -> LineDensity:
    """Moves the density to a grid on [low, high], unless its own serves."""
    grid = density.grid
    start, dx = float(grid.origin), float(grid.spacing)
    end = start + dx * (grid.size - 1)
    covers = start <= low and high <= end
    wasteful = (end - start) > 1.5 * (high - low) or dx < spacing / 2.5
    if covers and dx <= spacing and not wasteful:
        return density
    return _resampled(density, Grid.covering(low, high, spacing, _MOST))


def _step(
    density: LineDensity, score: AbstractScore, sigma: Array, h: Array, how: Resolution
) -> LineDensity:
    """One step, by the rule that fits."""
    needs = _Needs(*np.asarray(_diagnose(density, _score_on(score, density.grid, sigma), h)))
    if not np.all(np.isfinite(needs)):
        raise ValueError(
            f"score(x, {float(sigma):.6g}) = NaN or infinite: must be finite wherever the sampler "
            "goes; check the score there, and that it knows every level of the schedule"
        )
    width = float(h) ** 0.5
    low, high = min(needs.low, needs.next_low), max(needs.high, needs.next_high)
    fitted = _fitted(density, low, high, needs.spacing / how.cells)
    u_most = gauss_hermite(_NODES)[0][-1]
    cells = width * u_most / float(fitted.grid.spacing) + STENCIL / 2 + 1
    if needs.narrowness < _NARROW and cells < _BAND:
        values = _score_on(score, fitted.grid, sigma)
        return _narrow_step(fitted, values, h)
    source_spacing = min(needs.source_spacing / how.points, float(fitted.grid.spacing))
    source = _fitted(density, needs.low, needs.high, source_spacing)
    values = _score_on(score, source.grid, sigma)
    spacing = needs.next_spacing / how.cells
    for _ in range(8):
        out = Grid.covering(needs.next_low, needs.next_high, spacing, _MOST)
        new = _wide_step(source, values, h, out)
        flat = jnp.zeros_like(new.log_values)
        found = _Needs(*np.asarray(_diagnose(new, flat, h))).spacing / how.cells
        if found > 0.8 * float(out.spacing):
            return new
        spacing = found
    return new


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
    grid = Grid.covering(-reach, reach, start / how.cells, _MOST)
    x = grid.points() / start
    density = LineDensity(grid, -0.5 * x * x - 0.5 * jnp.log(2 * jnp.pi * start * start))
    for sigma, h in zip(np.asarray(sigmas), np.asarray(steps), strict=False):
        density = _step(density, score, jnp.asarray(sigma), jnp.asarray(h), how)
    return density

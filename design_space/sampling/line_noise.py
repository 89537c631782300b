"""One noisy step of a density on the line: q'(y) = int q(x) N(y; x + g(x), c^2) dx.

Two rules do it, both spectrally accurate, where g is the displacement of the mean:

- where the noise is narrow against the density, x = y + c u makes it
  q'(y) = E[q(x) exp(-u g(x) / c - g(x)^2 / (2 c^2))] over a standard normal u: Gauss-Hermite, with
  log q and g interpolated;
- elsewhere the trapezoid rule in x, on a grid that resolves density and mapped-back noise, summed
  over the sources near y. It needs no inverse of the step map, so the map may fold.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array
from design_space.numerics.grid import (
    STENCIL,
    Grid,
    curvatures,
    extended,
    kernel_sum,
    shift_band,
    shifted_values,
    slopes,
)
from design_space.numerics.quadrature import gauss_hermite
from design_space.sampling.line_density import (
    KEPT,
    LEAST_LOG,
    LineDensity,
    Resolution,
    fitted,
    scale_of,
    weights_of,
)
from design_space.sampling.line_moves import LineMove, Source, resolved

_REACH = 18.0  # standard deviations of the kernel that are summed
_NODES = 26  # of the Gauss-Hermite rule of a narrow step
_BAND = 48  # half-width in cells of a narrow step
_NARROW = 0.1  # largest curvature times c^2 of a narrow step: 26 nodes leave (1/6)^26 = 1e-20
# Largest |g - its interpolant| / c between grid points: a narrow step interpolates the
# displacement, a wide one aliases what lies beyond twice the frequency that interpolation begins
# to miss.
_ROUGH_NARROW, _ROUGH_WIDE = 1e-9, 1e-5


class Needs(NamedTuple):
    """What a noisy step asks of the grid.

    Attributes:
      low, high: where the density lives now.
      scale: length over which log q bends, by which grid cells are measured.
      narrowness: how much curvature and mismatch a step's noise sees; small for narrow steps.
      source_scale: length over which the integrand of a wide step bends.
      next_low, next_high: where the density will live after the step.
      next_scale: guess of its scale.
      pushed_scale: the same before the noise.
    """

    low: float
    high: float
    scale: float
    narrowness: float
    source_scale: float
    next_low: float
    next_high: float
    next_scale: float
    pushed_scale: float


def needs_of(density: LineDensity, g: np.ndarray, variance: float) -> Needs:
    """What a step with displacement g, shape [size], and noise of the variance asks for."""
    x, dx = density.grid.points(), density.grid.spacing
    depth, weight = weights_of(density)
    kept, std = depth > -KEPT, variance**0.5
    bend = np.abs(curvatures(density.log_values, dx))
    mismatch = std * slopes(density.log_values, dx) - g / std
    change = slopes(g, dx)
    worst = np.maximum(np.maximum(variance * bend, np.abs(change)), 0.1 * mismatch**2)
    stretch = np.abs(1 + change)
    # Trapezoid error exp(-2 pi^2 n^2) for n points per scale: less is enough in the tails.
    share = np.sqrt(np.clip(1 + depth / 42.0, 1e-6, 1.0))
    fineness = np.max(np.where(kept, share * np.sqrt(stretch**2 / variance + bend), 0.0))
    moved, room = x + g, np.sqrt(2 * variance * np.maximum(KEPT + depth, 0.0))
    scale = scale_of(density)
    pushed = scale * float(np.min(stretch[weight > 0.1]))
    return Needs(
        float(np.min(x[kept])),
        float(np.max(x[kept])),
        scale,
        float(np.max(weight * worst)),
        1 / float(fineness),
        float(np.min((moved - room)[kept])),
        float(np.max((moved + room)[kept])),
        (pushed**2 + variance) ** 0.5,
        pushed,
    )


@eqx.filter_jit
def _narrow_values(log_q: Array, pull: Array, band: Array) -> Array:
    u, weights = gauss_hermite(_NODES)
    r = shifted_values(pull, band)
    exponent = shifted_values(log_q, band) - u[:, None] * r - 0.5 * r * r
    return jax.nn.logsumexp(exponent + jnp.log(weights)[:, None], axis=0)


def _narrow(source: Source, std: float) -> LineDensity:
    u, _ = gauss_hermite(_NODES)
    density = source.density
    band = shift_band(std * u / density.grid.spacing, _BAND)
    parts = (density.log_values, source.displacement / std)
    log_q, pull = (jnp.asarray(extended(part, _BAND)) for part in parts)
    values = _narrow_values(log_q, pull, jnp.asarray(band))
    return LineDensity(density.grid, np.asarray(values))


def narrow_step(
    density: LineDensity, at: LineMove, needs: Needs, how: Resolution
) -> LineDensity | None:
    """A step by the rule for narrow noise; None if the noise is not narrow on any grid."""
    std, spacing = at.variance**0.5, needs.scale / how.cells
    least = std * gauss_hermite(_NODES)[0][-1] / (_BAND - STENCIL / 2 - 1)
    if not (needs.narrowness < _NARROW and least < spacing):
        return None
    low, high = min(needs.low, needs.next_low), max(needs.high, needs.next_high)
    near = resolved(fitted(density, low, high, spacing, how), at, _ROUGH_NARROW * std)
    if not (near.resolved and near.density.grid.spacing > least):
        return None
    return _narrow(near, std)


def _wide(source: Source, variance: float, out: Grid) -> LineDensity:
    grid = source.density.grid
    masses = source.density.log_values + np.log(grid.spacing)
    moved = grid.points() + source.displacement
    values = kernel_sum(out.points(), moved, masses, variance, _REACH)
    return LineDensity(out, np.maximum(values, np.max(values) + LEAST_LOG))


def wide_step(density: LineDensity, at: LineMove, needs: Needs, how: Resolution) -> LineDensity:
    """A step by the trapezoid rule, onto a grid that turns out to resolve the result.

    Raises:
      ValueError: if a grid would need too many points.
    """
    near = fitted(density, needs.low, needs.high, needs.source_scale / how.points, how)
    source = resolved(near, at, _ROUGH_WIDE * at.variance**0.5)
    spacing = needs.next_scale / how.cells
    while True:
        out = how.grid(needs.next_low, needs.next_high, spacing)
        new = _wide(source, at.variance, out)
        asked = scale_of(new) / how.cells
        if asked > 0.8 * out.spacing:
            return new
        spacing = min(asked, 0.8 * out.spacing)

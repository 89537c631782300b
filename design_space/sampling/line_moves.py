"""Moves of one step on the line, seen from a grid: where points go, and whether a grid shows it."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array, Float
from design_space.numerics.grid import STENCIL, extended, shift_band
from design_space.sampling.line_density import LineDensity, refined, weights_of
from design_space.sampling.moves import AbstractMove, Blur
from design_space.scores.base import AbstractScore

_REFINEMENTS = 3  # of a grid that a rough score asks for; a kink would never have enough
_MOST_REFINED = 1 << 18  # points of the largest grid that is refined to
_TOGETHER = 1 << 16  # points of one compiled evaluation; larger grids are done in parts
_REACH = STENCIL // 2 + 1
_MIDDLE = shift_band(np.array([0.5]), _REACH)[0]  # interpolates half a cell ahead
_DIFFERENCES = (4 / 5, -1 / 5, 4 / 105, -1 / 280)  # of the values k steps ahead and behind


@eqx.filter_jit
def _displacements(score: AbstractScore, move: AbstractMove, x: Array) -> Array:
    return jax.vmap(lambda y: move.mean(score, y[None])[0] - y)(x)


@eqx.filter_jit
def _places_and_slopes(
    score: AbstractScore, move: AbstractMove, x: Array
) -> tuple[Float[Array, " points"], Float[Array, " points"]]:
    def mean(y: Array) -> Array:
        return move.mean(score, y[None])[0]

    return jax.vmap(lambda y: jax.jvp(mean, (y,), (jnp.ones_like(y),)))(x)


def _parts(x: np.ndarray) -> list[np.ndarray]:
    return np.split(x, max(1, len(x) // _TOGETHER))


class LineMove(NamedTuple):
    """One move of one step, m(x) + sqrt(c^2) U, on the line.

    Attributes:
      score: the score model, of one-dimensional points.
      move: the move, of one step; None for noise alone.
      variance: c^2, at least 0.
      step: number of the step, counted from 1.
      differentiable: whether JAX has a derivative of the mean; not so for a score on the host.
    """

    score: AbstractScore
    move: AbstractMove | None
    variance: float
    step: int
    differentiable: bool

    def displacement(self, x: np.ndarray) -> np.ndarray:
        """The displacement m(x) - x at points [n].

        Raises:
          ValueError: if it is not finite.
        """
        if self.move is None:
            return np.zeros_like(x)
        parts = [_displacements(self.score, self.move, jnp.asarray(part)) for part in _parts(x)]
        return self._finite(np.concatenate(parts))

    def places_and_slopes(self, x: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
        """The map m(x) and its derivative at points [n].

        Args:
          x: the points.
          spacing: a length over which the map is smooth, for a difference quotient of order 8
            where JAX has no derivative.

        Raises:
          ValueError: if they are not finite.
        """
        if self.move is None:
            return x, np.ones_like(x)
        if self.differentiable:
            found = [
                _places_and_slopes(self.score, self.move, jnp.asarray(part)) for part in _parts(x)
            ]
            places, rates = (np.concatenate(column) for column in zip(*found, strict=True))
            return self._finite(places), self._finite(rates)
        d = spacing / 4
        rates = np.ones_like(x)
        for k, weight in enumerate(_DIFFERENCES, start=1):
            ahead, behind = self.displacement(x + k * d), self.displacement(x - k * d)
            rates += weight * (ahead - behind) / d
        return x + self.displacement(x), rates

    def _finite(self, values: np.ndarray) -> np.ndarray:
        if np.all(np.isfinite(values)):
            return values
        levels = () if self.move is None else jax.tree.map(jnp.asarray, self.move).sigmas
        calls = " or ".join(f"score(x, {float(sigma):.6g})" for sigma in levels)
        raise ValueError(
            f"{calls} = NaN or infinite: must be finite wherever the sampler goes; "
            "check the score there, and that it knows every level of the schedule"
        )


def _has_derivative(score: AbstractScore, move: AbstractMove) -> bool:
    try:
        eqx.filter_eval_shape(_places_and_slopes, score, move, jnp.zeros(1))
    except (ValueError, NotImplementedError):  # a callback has none; a wrong shape raises again
        return False
    return True


def _steps_of(score: AbstractScore, move: AbstractMove) -> list[LineMove]:
    """One move of every step."""
    variances = np.asarray(move.variance).reshape(-1)
    for j, variance in enumerate(variances):
        if not variance >= 0:
            raise ValueError(
                f"variance = {variance:.6g} of the noise in step {j + 1}: must be at least 0; "
                "check the arrays of the sampler"
            )
    if isinstance(move, Blur):
        return [LineMove(score, None, float(c2), j, True) for j, c2 in enumerate(variances, 1)]
    held = jax.tree.map(np.asarray, move)  # sliced without dispatch
    each = [jax.tree.map(lambda a, j=j: a[j, ...], held) for j in range(len(variances))]
    known = _has_derivative(score, each[0])
    return [
        LineMove(score, one, float(c2), j, known)
        for j, (one, c2) in enumerate(zip(each, variances, strict=True), 1)
    ]


def line_moves(score: AbstractScore, moves: tuple[AbstractMove, ...]) -> list[LineMove]:
    """Every move of every step, in order.

    Args:
      score: a score of one-dimensional points.
      moves: the moves of a stepper, arrays with a leading axis of steps.

    Raises:
      ValueError: if a variance is below 0.
    """
    columns = [_steps_of(score, move) for move in moves]
    return [each for row in zip(*columns, strict=True) for each in row]


class Source(NamedTuple):
    """A density, the displacement at its points, and whether the points resolve it."""

    density: LineDensity
    displacement: np.ndarray
    resolved: bool


def _roughness(density: LineDensity, g: np.ndarray, between: np.ndarray) -> float:
    """How far the interpolated displacement is off at midpoints.

    Weighted as every error is; the rounding of large numbers is no roughness.
    """
    grid = density.grid
    off = np.abs(between - np.correlate(extended(g, _REACH), _MIDDLE, "valid")[:-1])
    _, weight = weights_of(density)
    rounding = 64 * EPS * np.max((np.abs(g) + np.abs(grid.points()))[weight > 0])
    return float(np.max(weight[:-1] * off)) - rounding


def resolved(density: LineDensity, at: LineMove, most: float) -> Source:
    """Refines the grid of a density until it resolves the displacement too, if it ever does.

    Args:
      density: the density.
      at: the move.
      most: how far the interpolated displacement may be off, in data units.
    """
    for k in range(_REFINEMENTS + 1):
        grid = density.grid
        x = grid.points()
        g = at.displacement(x)
        if at.move is None:
            return Source(density, g, True)
        between = at.displacement(x + 0.5 * grid.spacing)[:-1]
        smooth = _roughness(density, g, between) < most
        if smooth or k == _REFINEMENTS or 4 * grid.size > _MOST_REFINED:
            return Source(density, g, smooth)
        density = refined(density)
    raise AssertionError("the last refinement returns")

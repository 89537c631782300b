"""The law of a sampler on the line, for any score: a density carried through the moves.

A move takes q to q'(y) = int q(x) N(y; m(x), c^2) dx. The loop picks a rule for each one: noise
narrow against the density, or the trapezoid rule in x (`line_noise`); without noise, the density
moves along the map (`line_flow`). Where noise is small against a long way of the mean, the move is
taken in two: the map, then the noise. Where a map without noise folds and noise comes next, both
are taken as one.
"""

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array
from design_space.sampling.line_density import (
    FINE,
    KEPT,
    LineDensity,
    Resolution,
    normal_density,
)
from design_space.sampling.line_flow import SqueezeError, flow_step
from design_space.sampling.line_moves import LineMove, line_moves
from design_space.sampling.line_noise import Needs, narrow_step, needs_of, wide_step
from design_space.sampling.moves import AbstractMove
from design_space.scores.base import AbstractScore
from design_space.targets.base import AbstractTarget

_DEAR = 1 << 16  # points of a trapezoid rule that two parts are cheaper than
_SPLIT = 10.0  # least (scale after the map)^2 / c^2 of a move that is taken in two


def _splits(needs: Needs, at: LineMove, how: Resolution) -> bool:
    """Whether the trapezoid rule is dear, and the noise narrow once the map is done."""
    points = (needs.high - needs.low) * how.points / needs.source_scale
    return points > _DEAR and needs.pushed_scale**2 > _SPLIT * at.variance


def _step(density: LineDensity, at: LineMove, how: Resolution) -> LineDensity:
    """One move, by the rule that fits."""
    if at.variance == 0:
        return density if at.move is None else flow_step(density, at, how)
    needs = needs_of(density, at.displacement(density.grid.points()), at.variance)
    narrow = narrow_step(density, at, needs, how)
    if narrow is not None:
        return narrow
    if _splits(needs, at, how):
        try:
            return _step(flow_step(density, at, how), at._replace(move=None), how)
        except SqueezeError:
            pass  # the trapezoid rule needs no inverse
    return wide_step(density, at, needs, how)


def _noise_after(queue: list[LineMove], k: int) -> float:
    """The variance of the move after move k, if that is noise alone."""
    alone = k + 1 < len(queue) and queue[k + 1].move is None
    return queue[k + 1].variance if alone else 0.0


@eqx.filter_jit
def _log_densities(target: AbstractTarget, variance: Array, x: Array) -> Array:
    return jax.vmap(lambda y: target.log_density(y[None], variance))(x)


def data_density(target: AbstractTarget, variance: Any, how: Resolution = FINE) -> LineDensity:
    """The density p_v of a law in one dimension, to start a sampler from.

    Args:
      target: the data law.
      variance: noise variance v, above 0 unless the law has a density without.
      how: the resolution.
    """
    v, parts = target.check_variance(variance), target.components()
    stds = np.sqrt(np.asarray(parts.variances[:, 0] + v))
    means, reach = np.asarray(parts.means[:, 0]), (2 * KEPT) ** 0.5 * stds
    grid = how.grid(np.min(means - reach), np.max(means + reach), float(np.min(stds)) / how.cells)
    return LineDensity(grid, np.asarray(_log_densities(target, v, jnp.asarray(grid.points()))))


def density_laws(
    score: AbstractScore,
    moves: tuple[AbstractMove, ...],
    how: Resolution = FINE,
    start: LineDensity | None = None,
) -> Iterator[tuple[int, LineDensity]]:
    """The density of a sampler in one dimension after one move and the next, for any score.

    Args: as for `density_law`.

    Yields:
      How many moves have been made, and the density. Where a map folds that noise follows, both
      moves are made at once.

    Raises:
      ValueError: as `density_law`.
    """
    density = normal_density(float(np.asarray(moves[0].before)[0]), how) if start is None else start
    queue, k = line_moves(score, moves), 0
    while k < len(queue):
        at, noise = queue[k], _noise_after(queue, k)
        try:
            density = _step(density, at, how)
        except SqueezeError:
            if noise == 0:
                raise
            density = _step(density, at._replace(variance=noise), how)
            k += 1
        k += 1
        yield k, density


def density_law(
    score: AbstractScore,
    moves: tuple[AbstractMove, ...],
    how: Resolution = FINE,
    start: LineDensity | None = None,
) -> LineDensity:
    """The density q_N of a sampler in one dimension, for any score.

    Args:
      score: a score of one-dimensional points.
      moves: the moves of a stepper on its schedule.
      how: the resolution.
      start: the density before the first move; N(0, v_0) unless given, v_0 the noise variance
        before it.

    Returns:
      The density; where it is below 1e-40 of its maximum it is continued by a parabola of its
      logarithm.

    Raises:
      ValueError: if a density needs more than 2^20 grid points, the score is not finite, a noise
        variance is below 0, or a map folds that no noise follows.
    """
    density = start
    for _, after in density_laws(score, moves, how, start):
        density = after
    assert density is not None  # a sampler has a move
    return density

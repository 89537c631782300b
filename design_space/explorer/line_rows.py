"""The density of a sampler on the line after every step, for the pictures."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from design_space.explorer.numbers import Laws
from design_space.explorer.pictures import (
    mixture_densities,
    moments,
    noisy_stds,
    normal_densities,
    rows_of_points,
)
from design_space.explorer.typed_mixture import TypedMixture
from design_space.numerics.grid import interpolate
from design_space.sampling.density_law import density_laws
from design_space.sampling.line_density import LineDensity, Resolution
from design_space.sampling.moves import AbstractMove
from design_space.scores.base import AbstractScore

_LARGEST_LOG = 700.0  # of a density that can be drawn: exp of more overflows


class Row(NamedTuple):
    """The law of the sampler after one step, as far as it is drawn.

    Attributes:
      x: points, ascending, shape [points].
      density: there; NaN if it is not known.
      mean: of the law.
      std: of the law.
    """

    x: np.ndarray
    density: np.ndarray
    mean: float
    std: float


class Carried(NamedTuple):
    """How far the density of a sampler has been carried.

    Attributes:
      rows: after 0, 1, ... steps.
      last: the density after the last step; None before.
    """

    rows: list[Row]
    last: LineDensity | None


def _points(law: TypedMixture, sigma: float, mean: float, std: float) -> np.ndarray:
    """Where a row is drawn, around the components and the law of the sampler."""
    stds = noisy_stds(law, np.array([sigma]))
    centers = np.append(np.array(law.means), mean)[None, :]
    return rows_of_points(centers, np.append(stds, [[std]], axis=1))[0]


def _row(law: TypedMixture, sigma: float, density: LineDensity) -> Row:
    """The row of a density on its own grid."""
    grid, points = density.grid, density.grid.points()
    mass = np.exp(density.log_values - np.max(density.log_values))
    mass /= np.sum(mass)
    mean = float(mass @ points)
    std = float(mass @ (points - mean) ** 2) ** 0.5
    x = _points(law, sigma, mean, std)
    values = interpolate(grid, density.log_values, x)
    ends = np.where(x < grid.origin, density.log_values[0], density.log_values[-1])
    outside = (x < grid.origin) | (x > grid.end)
    values = np.where(outside, np.minimum(values, ends), values)
    return Row(x, np.exp(np.minimum(values, _LARGEST_LOG)), mean, std)


def _unknown(law: TypedMixture, sigma: float) -> Row:
    """A row of which nothing is known."""
    x = _points(law, sigma, np.nan, np.nan)
    return Row(x, np.full_like(x, np.nan), np.nan, np.nan)


def carried(
    law: TypedMixture,
    sigmas: np.ndarray,
    score: AbstractScore,
    moves: tuple[AbstractMove, ...],
    how: Resolution,
) -> Iterator[Carried]:
    """Carries the density of a sampler from move to move.

    Args:
      law: of the data.
      sigmas: backward noise levels, shape [steps + 1].
      score: the score.
      moves: of the sampler.
      how: the resolution.

    Yields:
      After each move, all rows so far; the last one with the density at the end.

    Raises:
      ValueError: if the law has structure too fine for a grid; SqueezeError if a map folds.
    """
    x = _points(law, sigmas[0], 0.0, sigmas[0])
    start = normal_densities(x[None, :], np.zeros(1), sigmas[:1])[0]
    rows = [Row(x, start, 0.0, float(sigmas[0]))]
    each, steps = len(moves), len(sigmas) - 1
    for made, density in density_laws(score, moves, how):
        taken, inside = divmod(made, each)
        while len(rows) < taken:  # a fold and the noise after it were taken as one move
            rows.append(_unknown(law, sigmas[len(rows)]))
        if inside == 0 and len(rows) == taken:
            rows.append(_row(law, sigmas[taken], density))
        yield Carried(rows, density if made == each * steps else None)


def carry(
    steps: Iterator[Carried], stop: Callable[[], bool], seconds: float = float("inf")
) -> Carried | None:
    """Carries a density to the end, or as far as it may.

    Args:
      steps: from `carried`.
      stop: asked after each move.
      seconds: after which to stop, too.

    Returns:
      What was reached; None if `stop` said so.
    """
    until, found = time.monotonic() + seconds, None
    for each in steps:
        found = each
        if stop():
            return None
        if time.monotonic() > until:
            break
    return found


def laws_of(law: TypedMixture, sigmas: np.ndarray, rows: list[Row], missing: str | None) -> Laws:
    """The pictures of all steps.

    Args:
      law: of the data.
      sigmas: backward noise levels, shape [steps + 1].
      rows: those that are known, from the first one on.
      missing: why some are not known, or None.
    """
    every = rows + [_unknown(law, sigma) for sigma in sigmas[len(rows) :]]
    x = np.stack([row.x for row in every])
    mean, variance = moments(law)
    return Laws(
        x=x,
        sampler=np.stack([row.density for row in every]),
        exact=mixture_densities(x, law, sigmas),
        data=mixture_densities(x[-1:], law, np.zeros(1))[0],
        means=np.array([row.mean for row in every]),
        stds=np.array([row.std for row in every]),
        exact_mean=mean,
        exact_stds=np.sqrt(variance + sigmas**2),
        missing=missing,
    )

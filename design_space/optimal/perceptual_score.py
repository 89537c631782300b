"""The score that the self-perceptual loss asks for at every level of a sampler, on a table."""

from typing import Any, NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr

from design_space import checks
from design_space.arrays import Float
from design_space.optimal.perceptual import Perceptual, pointwise_noise
from design_space.scores.exact import ExactScore
from design_space.scores.tabulated import TabulatedScore, tabulated_score
from design_space.targets.base import AbstractTarget
from design_space.targets.line import Line

_REACH = 9.0  # standard deviations of every component that the table covers
_EVEN = 97  # evenly spread nodes that a table begins with
_CROWDED = np.sinh(np.linspace(-4, 4, 33)) / np.sinh(4)  # of the reach, around each component
_BATCH = 128  # cells of each level that a round halves


class PerceptualScore(NamedTuple):
    """A table of the optimal score, and how well it is resolved.

    Attributes:
      score: the score, NaN at levels without a row.
      coarse: the table two rounds earlier: what changes from there is an error of what is computed
        with the score.
      error: sqrt(E_p d^2) of the noise predicted at each level, shape [levels]; d is what the table
        missed in the middle of each cell before that was halved.
    """

    score: TabulatedScore
    coarse: TabulatedScore
    error: Float[np.ndarray, " levels"]


class _Row(NamedTuple):
    """The table of one level: nodes, the noise less its mean, and what each cell missed."""

    nodes: np.ndarray
    values: np.ndarray
    misses: np.ndarray

    def worst(self) -> np.ndarray:
        """The cells to halve next; the width makes an end of halving where the optimum jumps.

        Of cells that miss the same but for rounding, as mirror images do, the last ones.
        """
        wrong = np.maximum(self.misses, 1e-12) * np.sqrt(np.diff(self.nodes))
        return np.sort(np.argsort(np.round(np.log(wrong), 6), kind="stable")[-_BATCH:])

    def halved(self, cells: np.ndarray, middles: np.ndarray, found: np.ndarray) -> "_Row":
        """With the middles of some cells, and what was found there."""
        missed = np.abs(PchipInterpolator(self.nodes, self.values)(middles) - found)
        misses = self.misses.copy()
        misses[cells] = missed
        return _Row(
            np.insert(self.nodes, cells + 1, middles),
            np.insert(self.values, cells + 1, found),
            np.insert(misses, cells + 1, missed),
        )


def _first_nodes(line: Line, sigma: float) -> np.ndarray:
    centers = np.asarray(line.centers)
    reach = _REACH * np.sqrt(np.asarray(line.variances) + sigma**2)
    even = np.linspace(np.min(centers - reach), np.max(centers + reach), _EVEN)
    return np.concatenate([even, (centers[:, None] + reach[:, None] * _CROWDED[None, :]).ravel()])


def _first_rows(line: Line, loss: Perceptual, sigmas: np.ndarray) -> list[_Row]:
    nodes = np.stack([_first_nodes(line, sigma) for sigma in sigmas])
    values = _departures(line, loss, nodes, sigmas)
    rows = []
    for x, d in zip(nodes, values, strict=True):
        x, first = np.unique(x, return_index=True)
        rows.append(_Row(x, d[first], np.full(len(x) - 1, np.inf)))
    return rows


def _departures(line: Line, loss: Perceptual, y: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """The optimal noise less its mean at points y [levels, points]."""
    found = pointwise_noise(line, loss, y.ravel(), np.repeat(sigmas, y.shape[1]))
    return np.asarray(found).reshape(y.shape)


def _halved(line: Line, loss: Perceptual, sigmas: np.ndarray, rows: list[_Row]) -> list[_Row]:
    """One more round for every level."""
    cells = [row.worst() for row in rows]
    pairs = zip(rows, cells, strict=True)
    middles = np.stack([(row.nodes[c] + row.nodes[c + 1]) / 2 for row, c in pairs])
    found = _departures(line, loss, middles, sigmas)
    return [row.halved(*new) for row, *new in zip(rows, cells, middles, found, strict=True)]


def _rms(line: Line, sigma: float, row: _Row) -> float:
    """The misses under the law of the data at the level."""
    spread = np.sqrt(np.asarray(line.variances) + sigma**2)
    shares = ndtr((row.nodes[:, None] - np.asarray(line.centers)) / spread)
    mass = np.diff(shares @ np.exp(np.asarray(line.log_weights)))
    return float(np.sqrt(np.sum(mass * row.misses**2)))


def perceptual_score(
    target: AbstractTarget, loss: Perceptual, sigmas: Any, rounds: int = 6
) -> PerceptualScore:
    """The score that makes the self-perceptual loss least at every point of the given levels.

    Where the table is worst, cells are halved, round after round. Beyond nine standard deviations
    of the data at a level, the predicted noise departs from its mean by as much as there.

    Args:
      target: the data law, in one dimension.
      loss: the loss.
      sigmas: noise levels, above 0: all at which a sampler asks the score, shape [levels].
      rounds: how often 128 cells of each level are halved, at least 2: the first two try them all.

    Returns:
      The score as a table, with its error.

    Raises:
      ValueError: if the law has another dimension, or a level is not above 0.
    """
    checks.same_dimension("target.dim", target.dim, "the line", 1)
    checks.count("rounds", rounds, least=2)
    sigmas = np.asarray(checks.nonempty("sigmas", sigmas, 1))
    if np.any(sigmas <= 0):
        raise checks.refusal("sigmas", sigmas, "above 0", "leave the level without noise out")
    line = Line.of(target.components())
    rows = [_first_rows(line, loss, sigmas)]
    for _ in range(rounds):
        rows.append(_halved(line, loss, sigmas, rows[-1]))
    error = [_rms(line, sigma, row) for sigma, row in zip(sigmas, rows[-1], strict=True)]
    fine, coarse = (
        tabulated_score(
            ExactScore(target), sigmas, *(np.stack([r[i] for r in each]) for i in (0, 1))
        )
        for each in (rows[-1], rows[-3])
    )
    return PerceptualScore(fine, coarse, np.array(error))

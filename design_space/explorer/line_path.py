"""The path terms of every sampler on the line under the exact score times a factor.

In one dimension they need nothing of the data but I(v) and the second moment; see `errors.path`,
whose quadratures these sums are without.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from design_space.explorer.information import Information
from design_space.sampling.moves import OneStage

Steps = Float[np.ndarray, " steps"]


class PathSteps(NamedTuple):
    """What each step adds, in nats.

    Attributes:
      discretization: to the path KL with the exact score.
      discretization_error: its error.
      score: what the factor adds to that.
      score_error: its error.
    """

    discretization: Steps
    discretization_error: Steps
    score: Steps
    score_error: Steps


def path_steps(
    table: Information, second_moment: float, move: OneStage, factor: float
) -> PathSteps:
    """The terms of a sampler of one noisy move per step.

    With mean x + p x + b c L, b = h + q, and noise of variance r h: the frozen sampler's term, plus
    (1/2) [y - log(1 + y) - h y I] with y = 1/r - 1, plus (1/2 h r) E|(b c - h) L + p x|^2.

    Args:
      table: of the data.
      second_moment: m2^2 of the data.
      move: of every step.
      factor: c.
    """
    before = np.asarray(move.before)
    variances = np.append(before, np.asarray(move.after)[-1])
    frozen, error = table.discretization(variances)
    h, fisher = np.asarray(move.drop), table.fisher(before)
    off = table.error[0] / before  # of I
    ratio = h / np.asarray(move.variance)
    y = -np.asarray(move.variance_defect) / np.asarray(move.variance)
    bent = 0.5 * (y - np.log1p(y) - h * y * fisher)
    second = second_moment + before

    def apart(gain: Steps) -> tuple[Steps, Steps]:
        """(1/2 h) E|gain L + p x|^2 and its error."""
        p, half = np.asarray(move.stretch), 0.5 / h
        parts = np.stack([gain**2 * fisher, -2 * gain * p, p * p * second])
        rounding = 1e-14 * np.sum(np.abs(parts), axis=0)
        return half * np.sum(parts, axis=0), half * (gain**2 * off + rounding)

    q = np.asarray(move.gain_defect)
    own, own_error = apart(q)
    whole, whole_error = apart((h + q) * factor - h)
    return PathSteps(
        frozen + bent + ratio * own,
        error + 0.5 * np.abs(h * y) * off + ratio * own_error + 1e-14 * np.abs(y - np.log1p(y)),
        ratio * (whole - own) if factor != 1 else np.zeros_like(h),
        ratio * (whole_error + own_error) if factor != 1 else np.zeros_like(h),
    )

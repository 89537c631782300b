"""The grid of least E_D + E_S for a given score error at every noise level.

E_D + (1/2) sum h_j eps(v_j) = (1/2) [int I(v) dv - sum_j h_j J(v_j)] with J = I - eps, so the sum
of rectangles F = sum_j (v_j - v_{j+1}) J(v_j) is made as large as possible. J need not fall: where
it rises with v no grid point pays, and J may be replaced by its least falling majorant.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from design_space import checks

Vector = Float[np.ndarray, "..."]
ErrorProfile = Callable[..., Any] | Sequence[Any]
"""eps(v) = E|s_v - L_v|^2: a function of variances [n], or a pair (variances, values)."""

_PLACES = np.linspace(-1.0, 1.0, 9)  # candidates around each point, in units of the window
_LEAST_WINDOW = 1e-8  # relative to the distance of neighbors
_SWEEPS = 400
_LEAST_GAP = 1e-10  # in log v: points that would rather coincide keep this distance


def error_profile(given: ErrorProfile) -> Callable[[Vector], Vector]:
    """Reads a score error.

    Args:
      given: a function that maps variances [n] to eps(v) [n]; or two arrays, variances ascending
        and values, both above 0, interpolated linearly in log v and log eps and constant beyond.

    Returns:
      The function, whose values are checked at every call.

    Raises:
      ValueError: if the arrays are not of this form; when called, if a value is negative, not
        finite, or their number is another one.
    """
    if not callable(given):
        return _interpolated(given)

    def profile(v: Vector) -> Vector:
        values = checks.numbers("score_error(variances)", given(v))
        if values.shape != v.shape:
            domain = f"{v.shape}, one value per variance"
            raise checks.refusal("score_error(variances).shape", values.shape, domain, "match it")
        if np.any(values < 0):
            domain = "at least 0: a mean square"
            raise checks.refusal("score_error(variances)", values, domain, "check its sign")
        return values

    return profile


def _interpolated(given: Sequence[Any]) -> Callable[[Vector], Vector]:
    if len(given) != 2:
        domain = "a function, or a pair of arrays (variances, values)"
        raise checks.refusal("score_error", given, domain, "give two arrays of equal length")
    names = ("score_error[0]", "score_error[1]")
    v, values = (checks.nonempty(name, x, 1) for name, x in zip(names, given, strict=True))
    checks.same_dimension("len(score_error[1])", values.size, "score_error[0]", v.size)
    for name, x in zip(names, (v, values), strict=True):
        if np.any(x <= 0):
            raise checks.refusal(name, x, "above 0", "give a function where the error vanishes")
    if np.any(np.diff(v) <= 0):
        raise checks.refusal(names[0], v, "strictly increasing", "sort the variances")
    return lambda x: np.exp(np.interp(np.log(x), np.log(v), np.log(values)))


def gain(height: Callable[[Vector], Vector], grid: Vector) -> float:
    """F = sum_j (v_j - v_{j+1}) J(v_j) of a descending grid."""
    return float((grid[:-1] - grid[1:]) @ height(grid[:-1]))


def envelope_start(table: Vector, values: Vector, steps: int) -> Vector:
    """A grid near the best one of many steps, descending.

    Equal shares of int sqrt|E'| dv, E(v) = sup_{u >= v} J(u), from the values of J on an ascending
    table; where E is flat, no points.
    """
    envelope = np.maximum.accumulate(values[::-1])[::-1]
    parts = np.sqrt(np.maximum(-np.diff(envelope), 0.0) * np.diff(table))
    parts = parts + 1e-9 * max(float(np.sum(parts)), 1e-300)
    share = np.concatenate([[0.0], np.cumsum(parts)])
    inner = np.interp(np.linspace(0, share[-1], steps + 1), share, np.log(table))
    return np.exp(inner)[::-1]


def polished(height: Callable[[Vector], Vector], start: Vector) -> Vector:
    """Climbs F from a descending grid: the best of nine places for every point at once, again.

    Each sweep is a dynamic program over nine candidates around each inner point, in windows that
    shrink once nothing better is found; no derivatives, and F never falls.
    """
    v, window = start.copy(), 1.0
    for _ in range(_SWEEPS if v.size > 2 else 0):
        y = np.log(v)
        half = np.minimum(y[:-2] - y[1:-1], y[1:-1] - y[2:])
        candidates = y[1:-1, None] + window * half[:, None] * _PLACES[None, :]
        picks = _best_chain(height, v, np.exp(candidates))
        moved = v.copy()
        moved[1:-1] = np.take_along_axis(np.exp(candidates), picks[:, None], axis=1)[:, 0]
        if gain(height, moved) > gain(height, v):
            v = moved
            if np.all(np.abs(picks - 4) < 4):
                window /= 2
        else:
            window /= 4
        if window < _LEAST_WINDOW:
            break
    return v


def _best_chain(
    height: Callable[[Vector], Vector], v: Vector, candidates: np.ndarray
) -> np.ndarray:
    """Which candidate of each inner point gives the largest F, by dynamic programming."""
    heights = height(candidates.ravel()).reshape(candidates.shape)
    value = (v[0] - candidates[0]) * float(height(v[:1])[0])
    backs = []
    for j in range(1, len(candidates)):
        drop = candidates[j - 1][:, None] - candidates[j][None, :]
        apart = drop > _LEAST_GAP * candidates[j][None, :]
        total = np.where(apart, value[:, None] + drop * heights[j - 1][:, None], -np.inf)
        backs.append(np.argmax(total, axis=0))
        value = np.max(total, axis=0)
    value = value + (candidates[-1] - v[-1]) * heights[-1]
    value = np.where(candidates[-1] > v[-1] * (1 + _LEAST_GAP), value, -np.inf)
    picks = [int(np.argmax(value))]
    for back in reversed(backs):
        picks.append(int(back[picks[-1]]))
    return np.asarray(picks[::-1])

"""The grid of least discretization error E_D for a target: the yardstick of every comparison.

E_D = (1/2) [int I(v) dv - sum_j h_j I(v_j)], so the best grid makes the inscribed steps
F = sum_j (v_j - v_{j+1}) I(v_j) under the falling curve I as large as possible. At an inner point

    dF/dv_j = I(v_j) - I(v_{j-1}) + h_j I'(v_j) = 0.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import CubicSpline, make_interp_spline
from scipy.linalg import solveh_banded

from design_space import checks
from design_space.arrays import Array, Float, Key, Scalar, float64, is_concrete
from design_space.optimal.under_error import (
    ErrorProfile,
    envelope_start,
    error_profile,
    gain,
    polished,
)
from design_space.schedules.schedule import Schedule
from design_space.schedules.variance import Power
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.integrals import mixture_integrals
from design_space.targets.reduction import reduce_to_line

Profile = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Maps noise variances [n] to I(v) and I'(v), each [n]."""

_TABLE, _SAMPLED_TABLE = 512, 97
_SMALL = 64  # steps up to which the start is the best grid out of the table's points
_ITERATIONS = 60
_TOLERANCE = 1e-11


def geometric_sigmas(
    data_variance: Scalar, steps: int, sigma_min: Scalar, sigma_max: Scalar
) -> Float[Array, " nodes"]:
    """Noise levels with l + v geometric: path-optimal for N(m, l I) at every number of steps.

    v_j = v_N + (l + v_N) (exp((1 - j/N) log((l + v_0)/(l + v_N))) - 1). Numbers may be traced.

    Args:
      data_variance: l >= 0 (data unit squared); 0 gives Song's grid.
      steps: N.
      sigma_min: sqrt(v_N).
      sigma_max: sqrt(v_0).

    Returns:
      sigma_0 > ... > sigma_N, shape [steps + 1].
    """
    low, high = float64(sigma_min) ** 2, float64(sigma_max) ** 2
    span = jnp.log1p((high - low) / (data_variance + low))
    share = jnp.arange(steps, -1, -1) / steps
    sigmas = jnp.sqrt(low + (data_variance + low) * jnp.expm1(share * span))
    return sigmas.at[0].set(sigma_max).at[-1].set(sigma_min)


def _gaussian_profile(target: Gaussian) -> Profile:
    eigenvalues = np.asarray(target.eigenvalues)

    def profile(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inverse = 1 / (eigenvalues[None, :] + v[:, None])
        return inverse.sum(axis=1), -(inverse**2).sum(axis=1)

    return profile


def _quadrature_profile(target: AbstractTarget) -> Profile:
    def profile(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = mixture_integrals(target, jnp.asarray(v), None, 2)
        return (
            np.asarray(found.fisher_information.value),
            np.asarray(found.fisher_information_slope.value),
        )

    return profile


def _sampled_profile(
    target: AbstractTarget, low: float, high: float, key: Key | None, samples: int
) -> Profile:
    """I' sampled on a table, between by a spline of log|I'| in log v; I is its integral."""
    table = np.geomspace(low, high, _SAMPLED_TABLE)
    found = mixture_integrals(target, jnp.asarray(table), key, samples)
    slope = np.asarray(found.fisher_information_slope.value)
    spline = CubicSpline(np.log(table), np.log(-slope))
    fine = np.linspace(np.log(low), np.log(high), 64 * _SAMPLED_TABLE)
    integrand = CubicSpline(fine, np.exp(spline(fine) + fine)).antiderivative()
    last = float(found.fisher_information.value[-1])

    def profile(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = np.log(v)
        return last + integrand(fine[-1]) - integrand(y), -np.exp(spline(y))

    return profile


def _best_of_table(table: np.ndarray, information: np.ndarray, steps: int) -> np.ndarray:
    """The grid of largest F among the table's points, by dynamic programming; ascending."""
    rise = np.tril((table[:, None] - table[None, :]) * information[:, None], -1)
    rise[np.triu_indices(len(table))] = -np.inf
    value, choices = rise[:, 0].copy(), []
    for _ in range(steps - 1):
        total = rise + value[None, :]
        choices.append(np.argmax(total, axis=1))
        value = np.max(total, axis=1)
    path = [len(table) - 1]
    for choice in reversed(choices):
        path.append(int(choice[path[-1]]))
    return table[[0, *reversed(path)]]


def _equidistributed(table: np.ndarray, slope: np.ndarray, steps: int) -> np.ndarray:
    """The grid with equal shares of int sqrt|I'| dv, optimal for many steps; ascending."""
    root = np.sqrt(-slope) * table  # against d log v
    y = np.log(table)
    share = np.concatenate([[0], np.cumsum((root[1:] + root[:-1]) / 2 * np.diff(y))])
    return np.exp(np.interp(np.linspace(0, share[-1], steps + 1), share, y))


def _start(profile: Profile, low: float, high: float, steps: int) -> tuple[np.ndarray, Any]:
    """A grid near the best one, ascending, and a spline of d log|I'| / d log v for Newton."""
    table = np.geomspace(low, high, _TABLE)
    information, slope = profile(table)
    steepness = CubicSpline(np.log(table), np.log(-slope)).derivative()
    if steps <= _SMALL:
        return _best_of_table(table, information, steps), steepness
    return _equidistributed(table, slope, steps), steepness


def _solved(diagonal: np.ndarray, beside: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    """Solves a symmetric tridiagonal system; None if it is not positive definite."""
    if len(right) == 1:
        return right / diagonal if diagonal[0] > 0 else None
    try:
        return solveh_banded(np.vstack([np.concatenate([[0.0], beside]), diagonal]), right)
    except np.linalg.LinAlgError:
        return None


def _newton(profile: Profile, grid: np.ndarray, steepness: Any) -> np.ndarray:
    """Solves dF/dv_j = 0 for the inner points; `grid` descends. Keeps the order of the points."""
    v = grid.copy()
    for _ in range(_ITERATIONS):
        information, slope = profile(v)
        h = v[1:-1] - v[2:]
        gradient = information[1:-1] - information[:-2] + h * slope[1:-1]
        curvature = slope[1:-1] * steepness(np.log(v[1:-1])) / v[1:-1]
        diagonal = -(2 * slope[1:-1] + h * curvature)
        move = _solved(diagonal, slope[1:-2], gradient)
        if move is None:  # no maximum near: climb along a diagonal that dominates what is beside
            dominant = -1.01 * (slope[1:-1] + slope[:-2]) * 0.5
            move = gradient / np.maximum(diagonal, dominant)
        gaps = np.minimum(v[:-2] - v[1:-1], v[1:-1] - v[2:])
        v[1:-1] += move / max(1.0, float(np.max(np.abs(move) / gaps)) / 0.4)
        if np.max(np.abs(move) / v[1:-1]) < _TOLERANCE:
            break
    return v


def _profile(
    target: AbstractTarget, low: float, high: float, key: Key | None, samples: int
) -> Profile:
    if isinstance(target, Gaussian):
        return _gaussian_profile(target)
    if reduce_to_line(target.components()) is not None:
        return _quadrature_profile(target)
    return _sampled_profile(target, low, high, key, samples)


def _is_round(target: AbstractTarget) -> bool:
    """Says whether the target is an isotropic Gaussian."""
    if not isinstance(target, Gaussian):
        return False
    return target.dim == 1 or (
        is_concrete(target) and bool(np.ptp(np.asarray(target.eigenvalues)) == 0)
    )


def path_optimal(
    target: AbstractTarget,
    steps: int,
    sigma_min: Scalar = 0.002,
    sigma_max: Scalar = 80.0,
    *,
    key: Key | None = None,
    samples: int = 4096,
    score_error: ErrorProfile | None = None,
) -> Schedule:
    """The schedule of least E_D for a target at a given number of steps and end points.

    With `score_error`, of least E_D + (1/2) sum_j h_j eps(v_j), the path KL less its initial part:
    the better of two or three starts, each climbed by dynamic programming in shrinking windows.
    Without, in closed form for isotropic Gaussians (l + v geometric); otherwise the start is the
    best grid out of 512 points (few steps, dynamic programming) or the one that shares
    int sqrt|I'| dv equally (many steps), and Newton's method solves
    h_j |I'(v_j)| = I(v_j) - I(v_{j-1}).

    Args:
      target: the data law.
      steps: N, at least 1.
      sigma_min: last noise level, above 0.
      sigma_max: first noise level, above sigma_min.
      key: random key, needed for a law whose I can only be sampled; jax.random.key(0) unless given.
      samples: draws per noise level then; the grid is optimal for the sampled I.
      score_error: eps(v) = E|s_v - L_v|^2 of the score at every noise level: a function of an array
        of variances, or a pair of arrays (variances, values), interpolated log-log and constant
        beyond. Where more steps would only do harm, points crowd together.

    Returns:
      The schedule, with variance schedule sigma_bar_t = t.

    Raises:
      ValueError: if steps < 1 or the end points are not 0 < sigma_min < sigma_max, or the score
        error is not of this form.
    """
    checks.count("steps", steps)
    checks.positive("sigma_min", sigma_min)
    checks.positive("sigma_max", sigma_max)
    checks.ordered("sigma_min", sigma_min, "sigma_max", sigma_max)
    if score_error is None and isinstance(target, Gaussian) and _is_round(target):
        sigmas = geometric_sigmas(target.eigenvalues[0], steps, sigma_min, sigma_max)
        return _schedule(sigmas)
    if not is_concrete(target, sigma_min, sigma_max):
        raise ValueError(
            "target = traced: must be concrete unless it is Gaussian in one dimension, since the "
            "grid is searched for on the host; call path_optimal outside jit and vmap"
        )
    key = jax.random.key(0) if key is None else key
    low, high = float(sigma_min) ** 2, float(sigma_max) ** 2
    profile = _profile(target, low, high, key, samples)
    grid = _searched(target, profile, low, high, steps)
    if score_error is not None:
        grid = _under_error(profile, error_profile(score_error), grid)
    sigmas = np.sqrt(grid)
    sigmas[0], sigmas[-1] = float(sigma_max), float(sigma_min)
    return _schedule(jnp.asarray(sigmas))


def _searched(
    target: AbstractTarget, profile: Profile, low: float, high: float, steps: int
) -> np.ndarray:
    """The grid of least E_D, descending."""
    if isinstance(target, Gaussian) and _is_round(target):
        sigmas = geometric_sigmas(target.eigenvalues[0], steps, low**0.5, high**0.5)
        return np.asarray(sigmas) ** 2
    grid, steepness = _start(profile, low, high, steps)
    return _newton(profile, grid[::-1], steepness) if steps > 1 else grid[::-1]


def _under_error(
    profile: Profile, error: Callable[[np.ndarray], np.ndarray], plain: np.ndarray
) -> np.ndarray:
    """The grid of least E_D + E_S, descending, from the best of two starts or more."""
    steps = plain.size - 1

    fine = np.geomspace(plain[-1], plain[0], 2 * _TABLE)
    # Many heights are asked for, and an integral each is dear; 0.02 in log v leaves 1e-12.
    information = make_interp_spline(np.log(fine), np.log(profile(fine)[0]), k=5)

    def height(v: np.ndarray) -> np.ndarray:
        return np.exp(information(np.log(v))) - error(v)

    table = np.geomspace(plain[-1], plain[0], _TABLE)
    values = height(table)
    starts = [plain, envelope_start(table, values, steps)]
    if steps <= _SMALL:
        starts.append(_best_of_table(table, values, steps)[::-1])
    ends = [plain[0], plain[-1]]
    found = []
    for start in starts:
        start[0], start[-1] = ends
        found.append(polished(height, start))
    return max(found, key=lambda grid: gain(height, grid))


def _schedule(sigmas: Array) -> Schedule:
    variance = Power(1.0)
    return Schedule(variance, sigmas[::-1], jax.vmap(variance.time)(sigmas)[::-1])

"""Gaussian data in their eigenbasis, the frozen-score sampler, and its exact errors, in mpmath.

Data N(m, S), S with eigenvalues l_i and m with coefficients m_i in the same basis; a grid
v_0 > ... > v_N of variances; the score s_j(x) = factor * grad log p_{v_j}(x) + shift, where shift
holds one coefficient per eigenvalue. Everything is a sum over eigenvalues. Only formulas that hold
by definition are used: conditional laws, the recursion of mean and variance, divergences between
given Gaussians. Sixty digits stand in for every device against cancellation.

Sources: theory.md sections 1, 2, 8.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from .precision import exact, exacts, mp


class Errors(NamedTuple):
    """Errors of a Gaussian design; see the module docstring of `make_numbers` for each field."""

    initialization: Any
    score: Any
    discretization: Any
    path_kl: Any
    marginal_kl: Any
    w2: Any
    condition: Any
    conditions: tuple[Any, ...]


class Law(NamedTuple):
    """Law of Y_N in one coordinate, with the absolute parts that its errors are made of.

    `mean_error` is E Y_N - m and `variance_error` is D_N = Var Y_N - (lam + v_N); `mean_parts` and
    `variance_parts` are the same sums with every term replaced by its absolute value.
    """

    mean: Any
    variance: Any
    mean_error: Any
    variance_error: Any
    mean_parts: Any
    variance_parts: Any


def kl(mean: Any, variance: Any, other_mean: Any, other_variance: Any) -> Any:
    """KL(N(mean, variance) | N(other_mean, other_variance)) of two normal laws."""
    ratio = variance / other_variance
    return (ratio - 1 - mp.log(ratio) + (mean - other_mean) ** 2 / other_variance) / 2


def initialization(lam: Any, m: Any, grid: Sequence[Any]) -> Any:
    """E_I = KL(p_{v_0} | N(0, v_0)) of one coordinate."""
    return kl(m, lam + grid[0], mp.zero, grid[0])


def score_error(lam: Any, grid: Sequence[Any], factor: Any, shift: Any) -> Any:
    """E_S = (1/2) sum_j h_j E|s_j - L_j|^2 = (1/2) sum_j h_j ((factor-1)^2/(lam+v_j) + shift^2)."""
    terms = (
        (high - low) * ((factor - 1) ** 2 / (lam + high) + shift**2)
        for high, low in itertools.pairwise(grid)
    )
    return mp.fsum(terms) / 2


def discretization(lam: Any, grid: Sequence[Any]) -> Any:
    """E_D = (1/2) sum_j int_{v_{j+1}}^{v_j} (1/(lam+v) - 1/(lam+v_j)) dv, integrated by hand."""
    terms = (
        mp.log((lam + high) / (lam + low)) - (high - low) / (lam + high)
        for high, low in itertools.pairwise(grid)
    )
    return mp.fsum(terms) / 2


def path_kl_by_steps(lam: Any, m: Any, grid: Sequence[Any], factor: Any, shift: Any) -> Any:
    """Path KL by the chain rule: E_I plus the mean divergence of each step's conditional laws.

    The reverse process has X_{j+1} given X_j = x normal with mean m + r (x - m), variance h_j r,
    r = (lam + v_{j+1})/(lam + v_j); the sampler's has mean x + h_j s_j(x) and variance h_j. Neither
    the path identity nor E_D enters.
    """
    total = [initialization(lam, m, grid)]
    for high, low in itertools.pairwise(grid):
        h, r = high - low, (lam + low) / (lam + high)
        slope = r - (1 - factor * h / (lam + high))  # of the difference of means, in x - m
        squared = slope**2 * (lam + high) + (h * shift) ** 2
        total.append((r - 1 - mp.log(r) + squared / h) / 2)
    return mp.fsum(total)


def law(lam: Any, m: Any, grid: Sequence[Any], factor: Any, shift: Any) -> Law:
    """Law of Y_N, started from N(0, v_0), by the plain recursion of mean and variance.

    The parts of D_N are those of
    D_{j+1} = A_j^2 D_j + 2 (1 - factor) h_j + (factor h_j)^2/(lam + v_j),
    A_j = 1 - factor h_j/(lam + v_j), D_0 = -lam, and the parts of the mean error those of
    e_{j+1} = A_j e_j + h_j shift, e_0 = -m.
    """
    mean, variance = mp.zero, grid[0]
    mean_parts, variance_parts = abs(m), lam
    for high, low in itertools.pairwise(grid):
        h = high - low
        slope = 1 - factor * h / (lam + high)
        mean = slope * mean + factor * h * m / (lam + high) + h * shift
        variance = slope**2 * variance + h
        mean_parts = abs(slope) * mean_parts + h * abs(shift)
        variance_parts = slope**2 * variance_parts + 2 * abs(1 - factor) * h
        variance_parts += (factor * h) ** 2 / (lam + high)
    return Law(mean, variance, mean - m, variance - lam - grid[-1], mean_parts, variance_parts)


def quotient(parts: Any, whole: Any) -> Any:
    """parts/|whole|, which is 1 for an empty sum and infinite for a whole that cancels to zero."""
    if parts == 0:
        return mp.one
    return mp.inf if whole == 0 else parts / abs(whole)


def condition(laws: Sequence[Law], targets: Sequence[tuple[Any, Any]]) -> Any:
    """Mean of the condition numbers of all D_N and mean errors, weighted by their share of KL.

    With one eigenvalue and no mean it is the condition number of D_N.
    """
    weighted, total = mp.zero, mp.zero
    for end, (m, variance) in zip(laws, targets, strict=True):
        from_variance = kl(m, variance, m, end.variance)
        from_mean = end.mean_error**2 / (2 * end.variance)
        total += from_variance + from_mean
        if from_variance > 0:
            weighted += from_variance * quotient(end.variance_parts, end.variance_error)
        if from_mean > 0:
            weighted += from_mean * quotient(end.mean_parts, end.mean_error)
    return mp.one if total == 0 else weighted / total


def errors(
    eigenvalues: Sequence[Any],
    mean: Sequence[Any],
    grid: Sequence[Any],
    factor: Any = 1.0,
    shift: Sequence[Any] | None = None,
) -> Errors:
    """All errors of one Gaussian design, summed over its eigenvalues.

    Args:
      eigenvalues: l_i >= 0 of the data's covariance (floats are taken at their binary value).
      mean: coefficients m_i of the data's mean in the eigenbasis.
      grid: variances v_0 > ... > v_N > 0, best from `precision.variances(sigmas)`.
      factor: score factor, 1 for the exact score.
      shift: coefficients added to the score, zeros for the exact score.

    Returns:
      Divergences in nats, `w2` in data units.
    """
    grid, factor = exacts(grid), exact(factor)
    data = list(zip(exacts(eigenvalues), exacts(mean), strict=True))
    offsets = exacts([0.0] * len(data) if shift is None else shift)
    targets = [(m, lam + grid[-1]) for lam, m in data]
    laws = [law(lam, m, grid, factor, b) for (lam, m), b in zip(data, offsets, strict=True)]
    pairs = list(zip(targets, laws, strict=True))
    return Errors(
        initialization=mp.fsum(initialization(lam, m, grid) for lam, m in data),
        score=mp.fsum(
            score_error(lam, grid, factor, b) for (lam, _), b in zip(data, offsets, strict=True)
        ),
        discretization=mp.fsum(discretization(lam, grid) for lam, _ in data),
        path_kl=mp.fsum(
            path_kl_by_steps(lam, m, grid, factor, b)
            for (lam, m), b in zip(data, offsets, strict=True)
        ),
        marginal_kl=mp.fsum(kl(m, v, end.mean, end.variance) for (m, v), end in pairs),
        w2=mp.sqrt(
            mp.fsum(
                (mp.sqrt(v) - mp.sqrt(end.variance)) ** 2 + end.mean_error**2
                for (_, v), end in pairs
            )
        ),
        condition=condition(laws, targets),
        conditions=tuple(quotient(end.variance_parts, end.variance_error) for end in laws),
    )


def optimal_path_discretization(std: Any, dim: int, grid: Sequence[Any]) -> Any:
    """Least E_D of N(m, s^2 I) for the end points and number of steps of `grid`.

    E_D* = (d/2) (N (R^{1/N} - 1) - ln R), R = (s^2 + v_N)/(s^2 + v_0), reached by the grid that is
    geometric in s^2 + v.
    """
    lam, steps = exact(std) ** 2, len(grid) - 1
    ratio = (lam + exact(grid[-1])) / (lam + exact(grid[0]))
    return mp.mpf(dim) / 2 * (steps * (mp.root(ratio, steps) - 1) - mp.log(ratio))

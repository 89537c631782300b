"""Gaussian laws with full matrices in mpmath: affine scores, joint laws of whole paths, Bures W2.

The sampler Y_{j+1} = Y_j + h_j (A_j Y_j + b_j) + sqrt(h_j) U_j with d x d matrices A_j, which need
not commute, on data N(m, S). Everything is done with explicit mpmath matrices, never in an
eigenbasis, apart from the square root inside the Bures distance.

Sources: theory.md section 2.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from .precision import exact, exacts, mp


class Law(NamedTuple):
    """A normal law: mean (column) and covariance."""

    mean: Any
    covariance: Any


class AffineErrors(NamedTuple):
    """Errors of an affine design; see the module docstring of `make_numbers` for each field."""

    initialization: Any
    score: Any
    discretization: Any
    path_kl: Any
    marginal_kl: Any
    w2: Any
    mean: Any
    covariance: Any


def matrix(rows: Any) -> Any:
    """An mpmath matrix with the exact binary values of nested sequences of floats."""
    return mp.matrix([[exact(x) for x in row] for row in rows])


def column(entries: Any) -> Any:
    """A column vector with the exact binary values of a sequence of floats."""
    return mp.matrix([exact(x) for x in entries])


def trace(a: Any) -> Any:
    """Sum of the diagonal."""
    return mp.fsum(a[i, i] for i in range(a.rows))


def log_det(a: Any) -> Any:
    """Log determinant of a positive definite matrix, by Cholesky."""
    factor = mp.cholesky(a)
    return 2 * mp.fsum(mp.log(factor[i, i]) for i in range(a.rows))


def kl(p: Law, q: Law) -> Any:
    """KL(p | q) = (tr(Q^-1 P) - d + log det Q - log det P + |Q^{-1/2}(mu_p - mu_q)|^2) / 2."""
    inverse = mp.inverse(q.covariance)
    gap = p.mean - q.mean
    squared = (gap.T * inverse * gap)[0, 0]
    logs = log_det(q.covariance) - log_det(p.covariance)
    return (trace(inverse * p.covariance) - p.mean.rows + logs + squared) / 2


def square_root(a: Any) -> Any:
    """Symmetric root of a symmetric positive semidefinite matrix, by its eigenvectors."""
    values, vectors = mp.eigsy((a + a.T) / 2)
    return vectors * mp.diag([mp.sqrt(max(x, mp.zero)) for x in values]) * vectors.T


def w2(p: Law, q: Law) -> Any:
    """W2^2 = |mu_p - mu_q|^2 + tr(P + Q - 2 (P^{1/2} Q P^{1/2})^{1/2}), the Bures distance."""
    root = square_root(p.covariance)
    cross = square_root(root * q.covariance * root)
    gap = p.mean - q.mean
    squared = (gap.T * gap)[0, 0] + trace(p.covariance + q.covariance - 2 * cross)
    return mp.sqrt(max(squared, mp.zero))


def sampler_law(grid: Sequence[Any], slopes: Sequence[Any], intercepts: Sequence[Any]) -> Law:
    """Law of Y_N from N(0, v_0 I): mu -> (I+hA) mu + h b, C -> (I+hA) C (I+hA)^T + h I."""
    eye = mp.eye(slopes[0].rows)
    mean, covariance = mp.zeros(eye.rows, 1), grid[0] * eye
    for j, (a, b) in enumerate(zip(slopes, intercepts, strict=True)):
        h = grid[j] - grid[j + 1]
        step = eye + h * a
        mean, covariance = step * mean + h * b, step * covariance * step.T + h * eye
    return Law(mean, covariance)


def score_error(data: Law, grid: Sequence[Any], slopes: Any, intercepts: Any) -> Any:
    """E_S = (1/2) sum_j h_j E|A_j x + b_j - L_j(x)|^2 under x ~ N(m, S + v_j I).

    L_j(x) = -K (x - m), K = (S + v_j I)^-1, so the mean square is
    tr((A+K) (S+vI) (A+K)^T) + |A m + b|^2.
    """
    total = []
    for j, (a, b) in enumerate(zip(slopes, intercepts, strict=True)):
        spread = data.covariance + grid[j] * mp.eye(a.rows)
        gap, offset = a + mp.inverse(spread), a * data.mean + b
        squared = trace(gap * spread * gap.T) + (offset.T * offset)[0, 0]
        total.append((grid[j] - grid[j + 1]) * squared)
    return mp.fsum(total) / 2


def discretization(data: Law, grid: Sequence[Any]) -> Any:
    """E_D = (1/2) sum_j (log det ratio of S + v I over the step - h_j tr (S + v_j I)^-1)."""
    eye = mp.eye(data.mean.rows)
    total = []
    for high, low in itertools.pairwise(grid):
        spread = data.covariance + high * eye
        total.append(log_det(spread) - log_det(data.covariance + low * eye))
        total.append(-(high - low) * trace(mp.inverse(spread)))
    return mp.fsum(total) / 2


def exact_path(data: Law, grid: Sequence[Any]) -> Law:
    """Joint law of (X_{v_0}, ..., X_{v_N}): Cov(X_u, X_v) = S + min(u, v) I."""
    d, points = data.mean.rows, len(grid)
    mean, covariance = mp.zeros(d * points, 1), mp.zeros(d * points)
    for j in range(points):
        for i in range(d):
            mean[j * d + i] = data.mean[i]
            for k in range(points):
                for e in range(d):
                    noise = min(grid[j], grid[k]) if i == e else 0
                    covariance[j * d + i, k * d + e] = data.covariance[i, e] + noise
    return Law(mean, covariance)


def sampler_path(grid: Sequence[Any], slopes: Sequence[Any], intercepts: Sequence[Any]) -> Law:
    """Joint law of (Y_0, ..., Y_N), from the linear system that defines it.

    Y = M^-1 (c + noise), M block bidiagonal with I on and -(I + h_j A_j) below the diagonal.
    """
    d, points = slopes[0].rows, len(grid)
    system, noise, constant = mp.eye(d * points), mp.zeros(d * points), mp.zeros(d * points, 1)
    for i in range(d):
        noise[i, i] = grid[0]
    for j in range(points - 1):
        h = grid[j] - grid[j + 1]
        for i in range(d):
            row = (j + 1) * d + i
            noise[row, row], constant[row] = h, h * intercepts[j][i]
            for e in range(d):
                system[row, j * d + e] = -((1 if i == e else 0) + h * slopes[j][i, e])
    inverse = mp.inverse(system)
    return Law(inverse * constant, inverse * noise * inverse.T)


def path_kl(data: Law, grid: Sequence[Any], slopes: Any, intercepts: Any) -> Any:
    """KL between the joint normal laws of all grid points; cost ((N+1) d)^3, for small N."""
    return kl(exact_path(data, grid), sampler_path(grid, slopes, intercepts))


def exact_affine(data: Law, grid: Sequence[Any], factor: Any = 1, shift: Any = None) -> Any:
    """Slopes and intercepts of factor * L_{v_j} + shift, as matrices and columns."""
    shift = mp.zeros(data.mean.rows, 1) if shift is None else shift
    slopes, intercepts = [], []
    for v in grid[:-1]:
        inverse = mp.inverse(data.covariance + v * mp.eye(data.mean.rows))
        slopes.append(-factor * inverse)
        intercepts.append(factor * inverse * data.mean + shift)
    return slopes, intercepts


def errors(mean: Any, covariance: Any, grid: Any, slopes: Any, intercepts: Any) -> AffineErrors:
    """All errors of an affine score on Gaussian data.

    Args:
      mean: [d]; covariance: [d][d]; grid: variances v_0 > ... > v_N > 0 (N + 1);
      slopes: [N][d][d]; intercepts: [N][d]. Floats are taken at their binary value.

    Returns:
      Divergences in nats, `w2` in data units, and the law of Y_N.
    """
    data, grid = Law(column(mean), matrix(covariance)), exacts(grid)
    a, b = [matrix(x) for x in slopes], [column(x) for x in intercepts]
    eye = mp.eye(data.mean.rows)
    start, end = Law(mp.zeros(eye.rows, 1), grid[0] * eye), sampler_law(grid, a, b)
    target = Law(data.mean, data.covariance + grid[-1] * eye)
    return AffineErrors(
        initialization=kl(Law(data.mean, data.covariance + grid[0] * eye), start),
        score=score_error(data, grid, a, b),
        discretization=discretization(data, grid),
        path_kl=path_kl(data, grid, a, b),
        marginal_kl=kl(target, end),
        w2=w2(target, end),
        mean=end.mean,
        covariance=end.covariance,
    )

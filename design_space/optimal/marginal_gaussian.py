"""The search for the grid of least marginal KL on Gaussian data, with exact derivatives.

Per eigenvalue l of the data, with u_j = l + v_j, the sampler's variance at the end differs from the
one of the data by

    D = u_N^2 [sum_j phi(u_j, u_{j+1}) - l / u_0^2],   phi(a, b) = (a - b)^2 / (a b^2),

a chain of terms in neighboring grid points: each D has a tridiagonal Hessian, and the divergence, a
sum of functions of the D, one more term of low rank. In y = u^{-1/2}, phi = (y_b^2/y_a - y_a)^2 is
convex, so that for one eigenvalue the search has a single minimum.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_solve

from design_space.arrays import Array, Scalar, float64
from design_space.numerics.divergences import gaussian_kl_terms

_ITERATIONS = 200
_MOST_DAMPING = 1e12
_PROMISE = 1e-15  # relative decrease of the KL that is not worth another iteration
NOTHING = 1e-29  # a KL that is zero: of a variance that is right to 16 digits

Vector = Float[np.ndarray, "..."]


def leading_order_sigmas(
    data_variance: Scalar, steps: int, sigma_min: Scalar, sigma_max: Scalar
) -> Float[Array, " nodes"]:
    """Noise levels with (l + v)^{-1/2} equidistant: marginal-optimal for N(m, l I) and many steps.

    With y_j = y_0 + (j/N) (y_N - y_0), y = (l + v)^{-1/2}: v_j - v_N is
    (l + v_N) (r - 1) (r + 1), r = y_N/y_j. Numbers may be traced.

    Args:
      data_variance: l >= 0 (data unit squared).
      steps: N.
      sigma_min: sqrt(v_N).
      sigma_max: sqrt(v_0).

    Returns:
      sigma_0 > ... > sigma_N, shape [steps + 1].
    """
    low, high = float64(sigma_min) ** 2, float64(sigma_max) ** 2
    least = jnp.sqrt((data_variance + low) / (data_variance + high))  # y_0 / y_N
    below = (1 - least) * jnp.arange(steps, -1, -1) / steps  # 1 - y_j / y_N
    rise = below / (1 - below)
    sigmas = jnp.sqrt(low + (data_variance + low) * rise * (rise + 2))
    return sigmas.at[0].set(sigma_max).at[-1].set(sigma_min)


class Descent(NamedTuple):
    """A grid that a search has reached.

    Attributes:
      variances: v_0 > ... > v_N, shape [steps + 1].
      kl: the marginal KL there.
      gradient: d KL / d log v_j at the inner points, shape [steps - 1].
    """

    variances: Vector
    kl: float
    gradient: Vector


class _Model(NamedTuple):
    """The divergence at a grid with its first and second derivatives in the inner v_j."""

    kl: float
    gradient: Vector
    hessian: Float[np.ndarray, "n n"]


_kl_terms = eqx.filter_jit(gaussian_kl_terms)


def _excess(mean: Vector, eigenvalues: Vector, v: Vector) -> tuple[np.ndarray, ...]:
    """Totals u [dim, nodes], D [dim] and the squared mean error [dim]."""
    u = eigenvalues[:, None] + v[None, :]
    h = v[:-1] - v[1:]
    generated = np.sum(h**2 / (u[:, :-1] * u[:, 1:] ** 2), axis=1) * u[:, -1] ** 2
    shrink = u[:, -1] / u[:, 0]
    return u, generated - eigenvalues * shrink**2, (shrink * mean) ** 2


def gaussian_kl(mean: Vector, eigenvalues: Vector, v: Vector) -> float:
    """KL(p_{v_N} | q_N) of the grid v on N(m, diag(l)), in nats."""
    u, excess, square = _excess(mean, eigenvalues, v)
    return float(np.sum(_kl_terms(*map(jnp.asarray, (u[:, -1], excess, np.sqrt(square))))))


def _model(mean: Vector, eigenvalues: Vector, v: Vector) -> _Model:
    u, excess, square = _excess(mean, eigenvalues, v)
    h, final = v[:-1] - v[1:], u[:, -1:] ** 2
    before, here, after = u[:, :-2], u[:, 1:-1], u[:, 2:]
    slopes = (here + after) * h[None, 1:] / (here * after) ** 2 - 2 * h[None, :-1] / here**3
    slopes = final * slopes  # of D in v_1, ..., v_{N-1}
    bends = final * ((6 * before - 4 * here) / here**4 + 2 / here**3)
    beside = -2 * final / here[:, 1:] ** 3
    whole = u[:, -1] + excess
    first = 0.5 * (excess - square) / whole**2  # of KL in D
    second = 0.5 * (u[:, -1] + 2 * square - excess) / whole**3
    hessian = (slopes * second[:, None]).T @ slopes + np.diag(first @ bends)
    n = np.arange(v.size - 3)
    hessian[n, n + 1] += first @ beside
    hessian[n + 1, n] += first @ beside
    return _Model(gaussian_kl(mean, eigenvalues, v), first @ slopes, hessian)


def _in_roots(model: _Model, total: Vector) -> tuple[Vector, np.ndarray]:
    """Gradient and Hessian in y = U^{-1/2}, U = `total`: dv/dy = -2 U^{3/2}, d2v/dy2 = 6 U^2."""
    scale = -2 * total**1.5
    hessian = model.hessian * scale[:, None] * scale[None, :]
    return model.gradient * scale, hessian + np.diag(6 * total**2 * model.gradient)


def _damped_step(gradient: Vector, hessian: np.ndarray, damping: float) -> Vector | None:
    """Solves (H + damping |diag H|) x = -g; None if that matrix is not positive definite."""
    size = np.abs(np.diag(hessian))
    size = np.maximum(size, 1e-12 * np.max(size, initial=0.0))
    root = 1 / np.sqrt(np.where(size > 0, size, 1.0))
    scaled = hessian * root[:, None] * root[None, :] + damping * np.eye(root.size)
    try:
        factor = np.linalg.cholesky(scaled)
    except np.linalg.LinAlgError:
        return None
    return -root * cho_solve((factor, True), root * gradient)


def gaussian_descent(mean: Vector, eigenvalues: Vector, start: Vector) -> Descent:
    """Levenberg-Marquardt from a grid, in y = (l + v)^{-1/2} at the median eigenvalue l.

    Every accepted step lowers the divergence and keeps the order of the points.

    Args:
      mean: m in the eigenbasis, shape [dim].
      eigenvalues: l >= 0, shape [dim].
      start: v_0 > ... > v_N > 0, shape [steps + 1]; the ends stay.

    Returns:
      The grid that is reached.
    """
    v, damping = start.copy(), 1e-3
    model = _model(mean, eigenvalues, v)
    reference = float(np.median(eigenvalues))
    gradient, hessian = _in_roots(model, reference + v[1:-1])
    for _ in range(_ITERATIONS if v.size > 2 else 0):
        step = _damped_step(gradient, hessian, damping)
        promise = np.inf if step is None else -float(gradient @ step)
        if promise < _PROMISE * model.kl or model.kl < NOTHING or damping > _MOST_DAMPING:
            break
        moved = None if step is None else _moved(v, reference + v[1:-1], step)
        if moved is None or not gaussian_kl(mean, eigenvalues, moved) < model.kl:
            damping = max(10 * damping, 1e-12)
            continue
        v, damping = moved, damping / 10
        model = _model(mean, eigenvalues, v)
        gradient, hessian = _in_roots(model, reference + v[1:-1])
    return Descent(v, model.kl, model.gradient * v[1:-1])


def _moved(v: Vector, total: Vector, step: Vector) -> Vector | None:
    """The grid after a step in y = U^{-1/2}, or None if its points change their order."""
    factor = 1 + step * np.sqrt(total)
    if not np.all(factor > 0):
        return None
    moved = v.copy()
    moved[1:-1] += total * (1 / factor - 1) * (1 / factor + 1)
    return moved if np.all(np.diff(moved) < 0) else None

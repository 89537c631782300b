"""Sliced W2: the mean over directions of the squared W2 of the laws' shadows on a line."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from design_space import checks
from design_space.arrays import EPS
from design_space.numerics.centered import centered_estimate
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import mean_estimate

REPETITIONS = 16
"""Independent repetitions, each with directions of its own."""

_ANGLES = 1024  # of the trapezoid rule on the half-circle; half of them measure its error


def uniform_directions(
    random: np.random.Generator, count: int, dim: int
) -> Float[np.ndarray, "count dim"]:
    """Unit vectors, independent and uniform on the sphere.

    Args:
      random: the generator.
      count: their number.
      dim: the dimension.
    """
    normal = random.standard_normal((count, dim))
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def empirical_sliced_w2_squared(
    x: Float[np.ndarray, "count dim"],
    y: Float[np.ndarray, "count dim"],
    directions: Float[np.ndarray, "directions dim"],
) -> float:
    """The mean over directions u of W2(u^T x, u^T y)^2 for two samples of one size, by sorting.

    Args:
      x: shape [count, dim].
      y: shape [count, dim].
      directions: unit vectors, shape [directions, dim].

    Returns:
      In squared data units.
    """
    of_x, of_y = (np.sort(z @ directions.T, axis=0) for z in (x, y))
    return float(np.mean((of_x - of_y) ** 2))


def sampled_sliced_w2_squared(
    x: Float[np.ndarray, "count dim"],
    y: Float[np.ndarray, "others its_dim"],
    random: np.random.Generator,
    *,
    directions: int = 64,
    repetitions: int = REPETITIONS,
) -> Estimate:
    """SW2(P, Q)^2 = E_u W2(u^T P, u^T Q)^2, u uniform on the sphere, from draws of both laws.

    Independent repetitions of the centered distance (see centered.py). The directions are drawn
    anew for each, so that the interval covers them too; the bias left falls as 1/n.

    Args:
      x: independent draws of P, shape [count, dim].
      y: independent draws of Q, shape [count, dim].
      random: generator of the directions.
      directions: per repetition.
      repetitions: at least 2.

    Returns:
      The squared distance, in squared data units, method "monte carlo". No factor d is put in
      front: a translation by b costs |b|^2 / d.

    Raises:
      ValueError: if there are too few draws, or shapes differ.
    """
    checks.count("directions", directions)
    drawn = [uniform_directions(random, directions, x.shape[1]) for _ in range(repetitions)]
    distances = [functools.partial(empirical_sliced_w2_squared, directions=u) for u in drawn]
    return centered_estimate(distances, x, y, 1.0)


def _shadows(
    shift: np.ndarray, one: np.ndarray, other: np.ndarray, directions: np.ndarray
) -> np.ndarray:
    """W2^2 of N(0, u^T A u) and N(u^T b, u^T C u) for every direction u."""
    a, c = (np.einsum("ki,ij,kj->k", directions, m, directions) for m in (one, other))
    excess = np.einsum("ki,ij,kj->k", directions, other - one, directions)
    roots = np.sqrt(a) + np.sqrt(c)
    return (directions @ shift) ** 2 + (excess / np.where(roots > 0, roots, 1.0)) ** 2


def gaussian_sliced_w2_squared(
    shift: Float[np.ndarray, " dim"],
    one: Float[np.ndarray, "dim dim"],
    other: Float[np.ndarray, "dim dim"],
    random: np.random.Generator,
    *,
    directions: int = 8192,
) -> Estimate:
    """SW2^2 of N(0, A) and N(b, C), with E_u (u^T b)^2 = |b|^2 / d.

    E_u [(u^T b)^2 + (sqrt(u^T A u) - sqrt(u^T C u))^2], in closed form on the line, by the
    trapezoid rule over angles in the plane, over random directions in more dimensions.

    Args:
      shift: b, shape [dim].
      one: A, positive semidefinite, shape [dim, dim].
      other: C, the same.
      random: generator of the directions, used above two dimensions.
      directions: their number there.

    Returns:
      In squared data units.
    """
    dim, mean_part = len(shift), float(shift @ shift) / len(shift)
    if dim == 1:
        value = float(_shadows(shift, one, other, np.ones((1, 1)))[0])
        return Estimate(jnp.asarray(value), jnp.asarray(16 * EPS * value), "closed form")
    none = np.zeros(dim)
    if dim == 2:
        angles = np.pi * np.arange(_ANGLES) / _ANGLES
        unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        each = _shadows(none, one, other, unit)
        value, coarse = mean_part + np.mean(each), mean_part + np.mean(each[::2])
        error = abs(value - coarse) + 64 * EPS * value
        return Estimate(jnp.asarray(value), jnp.asarray(error), "quadrature")
    found = mean_estimate(
        jnp.asarray(_shadows(none, one, other, uniform_directions(random, directions, dim)))
    )
    return Estimate(found.value + mean_part, found.error + 16 * EPS * mean_part, "monte carlo")

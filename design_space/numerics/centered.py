"""Squared transport distances of two laws from samples, without the bias of the plug-in.

The distance of two empirical laws is too large: by Jensen's inequality

    E W2(P_n, Q_n)^2 >= W2(P, Q)^2,

by the order of n^(-2/d) in d >= 3 dimensions, also where P = Q. What is used is

    D_n = W2(P_n, Q_n)^2 - (1/2) [W2(P_n, P'_n)^2 + W2(Q_n, Q'_n)^2]

with fresh draws P'_n, Q'_n. Its mean is exactly W2(P, Q)^2 where Q is P moved by b: that adds
|b|^2 + 2 b^T (difference of the sample means) to the cost of every plan. Elsewhere what is left of
the bias is heuristic: it is taken to fall as n^(-g), read off by comparing n with n / 2, and taken
away.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from design_space import checks
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import mean_estimate

Distance = Callable[[np.ndarray, np.ndarray], float]
"""Two samples of equal size -> a squared distance of their empirical laws."""

_LEAST = 8  # points of one empirical law, at which half of it is still one


def _centered(distance: Distance, x: tuple[np.ndarray, ...], y: tuple[np.ndarray, ...]) -> float:
    """D_n, its first part averaged over both pairs of samples."""
    between = distance(x[0], y[0]) + distance(x[1], y[1])
    return 0.5 * (between - distance(x[0], x[1]) - distance(y[0], y[1]))


def centered_estimate(
    distances: Sequence[Distance],
    x: Float[np.ndarray, "count dim"],
    y: Float[np.ndarray, "others its_dim"],
    rate: float,
) -> Estimate:
    """The squared distance of two laws, from independent repetitions of D_n.

    Args:
      distances: the squared distance of each repetition (with its own directions, say).
      x: independent draws of P, shape [count, dim].
      y: independent draws of Q, shape [count, dim].
      rate: g, the power of n by which the bias falls.

    Returns:
      The squared distance, in squared data units; it may come out below 0 where the laws are close.
      The error is the 99 % interval of the repetitions' mean plus half of the bias taken away.

    Raises:
      ValueError: if there are too few draws, or shapes differ.
    """
    checks.count("len(distances)", len(distances), least=2)
    parts = 2 * len(distances)
    checks.count("len(x)", len(x), least=_LEAST * parts)
    checks.same_dimension("len(y)", len(y), "x", len(x))
    checks.same_dimension("y.shape[1]", y.shape[1], "x", x.shape[1])
    size, values, removed = len(x) // parts, [], []
    for r, distance in enumerate(distances):
        pairs = [
            tuple(z[(2 * r + i) * size : (2 * r + i + 1) * size] for i in (0, 1)) for z in (x, y)
        ]
        whole = _centered(distance, *pairs)
        halves = [
            _centered(distance, *(tuple(z[part] for z in pair) for pair in pairs))
            for part in (slice(0, size // 2), slice(size // 2, 2 * (size // 2)))
        ]
        bias = (np.mean(halves) - whole) / (2**rate - 1)
        values.append(whole - bias)
        removed.append(bias)
    found = mean_estimate(jnp.asarray(values))
    return Estimate(found.value, found.error + 0.5 * abs(float(np.mean(removed))), "monte carlo")


def root_of_square(squared: Estimate) -> Estimate:
    """The square root of an estimate of a square that may have come out below 0.

    Args:
      squared: its interval must reach 0 or above.

    Returns:
      An estimate whose interval holds the roots of all that is not negative in that of the square;
      "unavailable" if there are none.
    """
    value, error = float(squared.value), float(squared.error)
    if not value + error >= 0:
        return Estimate.unavailable(
            squared.reason or "the interval of the square lies below 0; take more samples"
        )
    root, high = max(value, 0.0) ** 0.5, (value + error) ** 0.5
    wide = max(high - root, root - max(value - error, 0.0) ** 0.5)
    return Estimate(jnp.asarray(root), jnp.asarray(wide), squared.method, squared.condition)

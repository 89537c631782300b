"""Optimal transport between samples in any dimension, by the library POT."""

import importlib
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from design_space.numerics.centered import centered_estimate
from design_space.numerics.estimate import Estimate

REPETITIONS = 8
"""Independent repetitions that samples are divided into; their spread makes the interval."""

_ITERATIONS = 10_000_000  # of the network simplex; a thousand points need some ten thousand

MISSING = (
    "the library POT is not installed: must be there for optimal transport between samples; "
    'pip install "design-space[transport]"'
)
"""What is said where the optional library is missing."""


def transport_library() -> Any:
    """The optional library POT.

    Raises:
      ValueError: if it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module("ot")
    except ModuleNotFoundError as error:
        raise ValueError(MISSING) from error


def empirical_w2_squared(
    x: Float[np.ndarray, "count dim"], y: Float[np.ndarray, "others dim"]
) -> float:
    """W2(P_n, Q_m)^2 of two empirical laws with equal weights, exactly (network simplex).

    Args:
      x: the points of P_n, shape [count, dim].
      y: the points of Q_m, shape [others, dim].

    Returns:
      The squared distance, in squared data units.

    Raises:
      ValueError: if POT is not installed.
    """
    costs = cdist(x, y, "sqeuclidean")
    return float(transport_library().emd2([], [], costs, numItermax=_ITERATIONS))


def sampled_w2_squared(
    x: Float[np.ndarray, "count dim"],
    y: Float[np.ndarray, "others its_dim"],
    *,
    repetitions: int = REPETITIONS,
) -> Estimate:
    """W2(P, Q)^2 of two laws known by their draws.

    Independent repetitions of the centered distance (see centered.py), each of count / (2
    repetitions) points per empirical law. The bias left is taken to fall as n^(-min(1, 2/d)), up to
    logarithms the rate of the plug-in for laws with densities (Fournier and Guillin, Probab. Theory
    Relat. Fields 162, 2015).

    Args:
      x: independent draws of P, shape [count, dim].
      y: independent draws of Q, shape [count, dim].
      repetitions: at least 2; the cost of one grows as the cube of its points.

    Returns:
      The squared distance, in squared data units, method "monte carlo".

    Raises:
      ValueError: if POT is not installed, there are too few draws, or shapes differ.
    """
    rate = min(1.0, 2.0 / x.shape[1])
    return centered_estimate([empirical_w2_squared] * repetitions, x, y, rate)

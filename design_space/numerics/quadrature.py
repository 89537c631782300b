"""Nodes and weights of the classical rules, and composite rules with an error estimate."""

from functools import cache

import numpy as np
from jaxtyping import Float

NumPyFloats = Float[np.ndarray, "..."]


@cache
def gauss_legendre(order: int) -> tuple[NumPyFloats, NumPyFloats]:
    """Nodes and weights on [0, 1], exact for polynomials of degree 2 `order` - 1.

    Args:
      order: number of nodes, at least 1.

    Returns:
      nodes and weights, each of shape [order].
    """
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return (nodes + 1) / 2, weights / 2


@cache
def gauss_hermite(order: int) -> tuple[NumPyFloats, NumPyFloats]:
    """Nodes u and weights w with sum w f(u) = E f(U), U standard normal.

    Args:
      order: number of nodes, at least 1.

    Returns:
      nodes and weights, each of shape [order]; the weights sum to one.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    return nodes, weights / np.sqrt(2 * np.pi)

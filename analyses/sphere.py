"""Measured probabilities of directions: by quadrature, and by counting draws.

Nothing here uses the formulas that are checked: orthants are integrated over the coordinate along
one vector, caps over the angle, Gaussian vectors over one entry.
"""

from collections.abc import Callable

import numpy as np
from scipy import special, stats

from analyses.columns import normals
from analyses.statement import Observations
from design_space.numerics.quadrature import gauss_legendre

CONFIDENCE = 0.99
"""Of all intervals of one claim taken together."""

_NODES = 320

Rows = np.ndarray
"""One number for each design, shape [designs]."""


def _sphere_integral(dim: Rows) -> Rows:
    """int_0^pi sin(t)^{d-2} dt."""
    return np.exp(special.gammaln((dim - 1) / 2) + special.gammaln(0.5) - special.gammaln(dim / 2))


def orthant(angle: Rows, dim: Rows) -> Rows:
    """P(w'u >= 0, w'z >= 0), w uniform on the sphere of R^d, d at least 3.

    With w'u = sin t, which has a density like cos(t)^{d-2}, the rest of w has a uniform direction
    in R^{d-1}, and w'z >= 0 says that its coordinate along z exceeds -cot(angle) tan(t).

    Args:
      angle: of u and z, inside (0, pi).
      dim: d.
    """
    nodes, weights = gauss_legendre(_NODES)
    angle, dim = angle[:, None], dim[:, None]
    turn = np.minimum(angle, np.pi - angle)
    t = turn * (1 - nodes[None, :] ** 2)  # smooth where the coordinate reaches 1
    level = np.tan(t) / np.tan(angle)
    inside = special.betainc(0.5, (dim - 2) / 2, np.minimum(level**2, 1.0))
    over = np.cos(t) ** (dim - 2) * (0.5 + 0.5 * np.sign(level) * inside)
    first = (over * 2 * turn * nodes[None, :]) @ weights
    rest = np.pi / 2 - turn
    second = (np.cos(turn + rest * nodes[None, :]) ** (dim - 2) * rest) @ weights
    sharp = angle[:, 0] < np.pi / 2  # beyond the turn: all of it, or nothing
    return (first + np.where(sharp, second, 0.0)) / _sphere_integral(dim[:, 0])


def cap(half_angle: Rows, dim: Rows) -> Rows:
    """P(angle(u, w) >= pi - q): the density sin(t)^{d-2} of the angle, integrated.

    Args:
      half_angle: q, in (0, pi).
      dim: d, at least 2.
    """
    nodes, weights = gauss_legendre(_NODES)
    q, d = half_angle[:, None], dim[:, None]
    top = np.sin(np.minimum(q, np.pi / 2))
    scaled = (np.sin(q * nodes[None, :]) / top) ** (d - 2)
    log_scale = (d[:, 0] - 2) * np.log(top[:, 0])
    return (scaled @ weights) * q[:, 0] * np.exp(log_scale) / _sphere_integral(dim)


def ball_and_cap(radius: Rows, half_angle: Rows, dim: Rows, spread: Rows) -> Rows:
    """P(|x| <= r, angle(e, x) <= q) of independent normal entries, x_1 with its own deviation.

    Given x_1 = g along e the others' squared norm, chi-square with d - 1 degrees of freedom, must
    be below r^2 - g^2 and below g^2 tan(q)^2.

    Args:
      radius: r.
      half_angle: q, in (0, pi/2).
      dim: d, at least 2.
      spread: standard deviation of x_1; the other entries have 1.
    """
    nodes, weights = gauss_legendre(_NODES)
    r, q, d, tau = (x[:, None] for x in (radius, half_angle, dim, spread))
    knee = r * np.cos(q)

    def part(g: np.ndarray, below: np.ndarray, jacobian: np.ndarray) -> Rows:
        density = np.exp(-0.5 * (g / tau) ** 2) / (np.sqrt(2 * np.pi) * tau)
        return (density * special.gammainc((d - 1) / 2, below / 2) * jacobian) @ weights

    low = knee * nodes[None, :]
    high = r - (r - knee) * nodes[None, :] ** 2  # smooth where r^2 - g^2 ends at 0
    first = part(low, (low * np.tan(q)) ** 2, knee)
    return first + part(high, r**2 - high**2, 2 * (r - knee) * nodes[None, :])


def counted(
    successes: Rows, draws: int, claimed: Rows, labels: tuple[str, ...], designs: int
) -> Observations:
    """Frequencies against claimed probabilities, with exact intervals taken together.

    Args:
      successes: how often each event came, shape [events].
      draws: out of how many independent draws.
      claimed: probabilities, shape [events].
      labels: of the events.
      designs: how many were computed.
    """
    level = (1 - CONFIDENCE) / len(successes) / 2
    low = np.where(successes > 0, stats.beta.ppf(level, successes, draws - successes + 1), 0.0)
    high = stats.beta.ppf(1 - level, successes + 1, np.maximum(draws - successes, 1))
    high = np.where(successes < draws, high, 1.0)
    frequency = successes / draws
    error = np.maximum(high - frequency, frequency - low)
    return Observations(frequency, claimed, error, labels, designs, confidence=CONFIDENCE)


Law = Callable[[np.random.Generator, int, int], np.ndarray]
"""Draws of a vector: law(random, draws, dim) of shape [draws, dim]."""


def normal(random: np.random.Generator, draws: int, dim: int) -> np.ndarray:
    """Standard normal vectors; their directions are uniform."""
    return normals(random, draws, dim)


def stretched(random: np.random.Generator, draws: int, dim: int) -> np.ndarray:
    """Normal vectors whose entries have standard deviations from 1 to 4."""
    return normal(random, draws, dim) * np.geomspace(1.0, 4.0, dim)[None, :]


def laplace(random: np.random.Generator, draws: int, dim: int) -> np.ndarray:
    """Independent Laplace entries of variance 1."""
    signed = 2 * random.random((draws, dim)) - 1
    return -np.sign(signed) * np.log1p(-np.abs(signed)) * 0.5**0.5


def corners(random: np.random.Generator, draws: int, dim: int) -> np.ndarray:
    """Entries +1 and -1: uniform on the corners of a cube."""
    return 2.0 * random.integers(2, size=(draws, dim)) - 1

"""Norms of noisy data and of the layers of a network: Lemma 4, as printed and corrected.

Notation: X = x + sigma xi with xi ~ N(0, I_d), v = sigma^2, b = 1/2 as in the lemma, and
|X|^2 - |x|^2 - v d = v (|xi|^2 - d) + 2 sigma x'xi. The first part is of the order v sqrt(d), the
second of the order sigma |x|; the printed tolerance eps v d is too small for it where v is small.
"""

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar, float64


class Lemma4Constants(eqx.Module):
    """The constants behind O(.) and Omega(.) in the probabilities of Lemma 4.

    Attributes:
      factor: of the exponential, for one datum and one level, or one layer.
      rate: inside the exponential.
    """

    factor: float = 2.0
    rate: float = 1 / 16


LAYERS = Lemma4Constants(1.0, 1 / 6)
"""Constants with which the part of Lemma 4 on layers holds."""


def lemma_4(
    epsilon: Scalar, dim: Scalar, constants: Lemma4Constants | None = None
) -> Float[Array, ""]:
    """P(| |X|^2 - |x|^2 - v d | > eps v d) <= c_1 exp(-c_2 eps^2 d), as printed.

    Printed is min(eps^2 d^{4b-1}, eps d^{2b}), which is eps^2 d. It fails for small v whatever the
    constants are (see `lemma_4_ceiling`).

    Args:
      epsilon: eps in (0, 1).
      dim: d, at least 1.
      constants: c_1 and c_2.

    Source: Lemma 4 of arXiv 2406.12839.
    """
    c = Lemma4Constants() if constants is None else constants
    return c.factor * jnp.exp(-c.rate * float64(epsilon) ** 2 * dim)


def lemma_4_ceiling(
    epsilon: Scalar, dim: Scalar, squared_norm: Scalar, variance: Scalar
) -> Float[Array, ""]:
    """P(| |X|^2 - |x|^2 - v d | <= eps v d) <= eps d sqrt(v/(2 pi |x|^2)): 0 in the limit v -> 0.

    |X|^2/v is a noncentral chi-square variable, whose density is at most sqrt(v/(8 pi |x|^2)):
    for d = 3 it is that times a difference of exponentials in (0, 1), for larger d a convolution
    of that one.

    Args:
      epsilon: eps in (0, 1).
      dim: d, at least 3.
      squared_norm: |x|^2, above 0, in squared data units.
      variance: v, in squared data units.
    """
    return float64(epsilon) * dim * jnp.sqrt(variance / (2 * jnp.pi * squared_norm))


def noncentral_exponent(
    excess: Scalar, dim: Scalar, squared_norm: Scalar, variance: Scalar
) -> Float[Array, ""]:
    """The exponent t with P(| |X|^2 - |x|^2 - v d | > r) <= 2 e^{-t}.

    t = (1/4) (sqrt(A + 2 r/v) - sqrt A)^2 with A = d + 2 |x|^2/v: the solution of
    r/v = 2 sqrt(A t) + 2 t.

    Args:
      excess: r, at least 0, in squared data units.
      dim: d, at least 1.
      squared_norm: |x|^2, in squared data units.
      variance: v, above 0, in squared data units.

    Source: Lemma 8.1 of Birge, An alternative point of view on Lepski's method (2001), on
      noncentral chi-square variables.
    """
    spread, more = float64(dim) + 2 * squared_norm / variance, 2 * excess / variance
    # sqrt(A + C) - sqrt(A) = C / (sqrt(A + C) + sqrt(A))
    return 0.25 * (more / (jnp.sqrt(spread + more) + jnp.sqrt(spread))) ** 2


def lemma_4_corrected(
    epsilon: Scalar,
    dim: Scalar,
    squared_norm: Scalar,
    variance: Scalar,
    constants: Lemma4Constants | None = None,
) -> Float[Array, ""]:
    """P(| |X|^2 - |x|^2 - v d | > eps (|x|^2 + v d)) <= c_1 exp(-c_2 eps^2 (d + |x|^2/v)).

    With the tolerance relative to the norm that is expected it holds at every noise level, with
    c_1 = 2 and c_2 = 1/16, and gives |X| the order that the paper needs.

    Args:
      epsilon: eps in (0, 1).
      dim: d, at least 1.
      squared_norm: |x|^2, in squared data units.
      variance: v, above 0, in squared data units.
      constants: c_1 and c_2.

    Source: Lemma 4 of arXiv 2406.12839, corrected; from `noncentral_exponent`.
    """
    c = Lemma4Constants() if constants is None else constants
    return c.factor * jnp.exp(-c.rate * float64(epsilon) ** 2 * (dim + squared_norm / variance))


def lemma_4_by_level(
    epsilon: Scalar, dim: Scalar, squared_norm: Scalar, variance: Scalar
) -> Float[Array, ""]:
    """P(| |X|^2 - |x|^2 - v d | > eps v d) <= 2 exp(-(1/20) eps^2 d min(1, v d/|x|^2)).

    The printed tolerance with the noise level in the exponent, where it belongs.

    Args:
      epsilon: eps in (0, 1).
      dim: d, at least 1.
      squared_norm: |x|^2, above 0, in squared data units.
      variance: v, above 0, in squared data units.

    Source: Lemma 4 of arXiv 2406.12839, corrected; from `noncentral_exponent`.
    """
    share = jnp.minimum(1.0, variance * float64(dim) / squared_norm)
    return 2 * jnp.exp(-(float64(epsilon) ** 2) * dim * share / 20)


def lemma_4_layers(
    epsilon: Scalar, width: Scalar, layers: Scalar, constants: Lemma4Constants = LAYERS
) -> Float[Array, ""]:
    """P(some |q_l| outside [1 - eps, 1 + eps] |q_{-1}|) <= c_1 n exp(-c_2 m eps^2/n).

    q_{-1} is the input with its noise level, q_0, ..., q_L are the outputs of n = L + 1 layers.

    Args:
      epsilon: eps in (0, 1).
      width: m.
      layers: n, at least 1.
      constants: c_1 and c_2.

    Source: Lemma 4 of arXiv 2406.12839.
    """
    count = float64(layers)
    return constants.factor * count * jnp.exp(-constants.rate * width * epsilon**2 / count)

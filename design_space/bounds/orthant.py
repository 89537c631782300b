"""Directions of random vectors: Lemma 2 (orthants), Lemma 3 (caps), Proposition 2 (Gaussians).

Notation: w uniform on the unit sphere of R^d, angle(u, z) in [0, pi] the angle of two vectors,
I_x(a, b) the regularized incomplete beta function, B(a, b) the beta function.
"""

import jax.numpy as jnp
from jax.scipy.special import betainc, gammainc, gammaln

from design_space.arrays import Array, Float, Scalar, float64


def lemma_2(angle: Scalar) -> Float[Array, ""]:
    """P(w'u >= 0 and w'z >= 0) = (pi - angle)/(2 pi), in any dimension of at least 2.

    Args:
      angle: of u and z, in [0, pi].

    Source: Lemma 2 of arXiv 2406.12839.
    """
    return (jnp.pi - float64(angle)) / (2 * jnp.pi)


def lemma_3(half_angle: Scalar, dim: Scalar) -> Float[Array, ""]:
    """P(angle(u, w) >= pi - q) = (1/2) I_{sin^2 q}((d-1)/2, 1/2), of a fixed u.

    Args:
      half_angle: q of the cap, in [0, pi/2]; beyond it the probability is 1 minus this.
      dim: d, at least 2.

    Source: Lemma 3 of arXiv 2406.12839.
    """
    half = float64(0.5)
    return 0.5 * betainc((float64(dim) - 1) / 2, half, jnp.sin(float64(half_angle)) ** 2)


def cap_rate(half_angle: Scalar) -> Float[Array, ""]:
    """The rate c = -ln sin q, the largest with P(angle(u, w) >= pi - q) <= C e^{-c d} for all d.

    For q = pi/4, the cap of Lemma 3, it is (ln 2)/2 = 0.3466.

    Args:
      half_angle: q of the cap, in (0, pi/2].
    """
    return -jnp.log(jnp.sin(float64(half_angle)))


def cap_bound(half_angle: Scalar, dim: Scalar) -> Float[Array, ""]:
    """P(angle(u, w) >= pi - q) <= (1/2) sin(q)^{d-1}, for each d; the order e^{-c d} made explicit.

    Args:
      half_angle: q of the cap, in (0, pi/2].
      dim: d, at least 1; with d = 1 or q = pi/2 it is an equality.

    Source: Lemma 3 of arXiv 2406.12839, made explicit: I_x(a, 1/2)/x^a does not fall with x.
    """
    return 0.5 * jnp.exp(-cap_rate(half_angle) * (float64(dim) - 1))


def cap_bound_sharp(half_angle: Scalar, dim: Scalar) -> Float[Array, ""]:
    """P(angle(u, w) >= pi - q) <= sin(q)^{d-1} / ((d-1) B((d-1)/2, 1/2) cos q).

    The ratio of both sides tends to 1 as d grows.

    Args:
      half_angle: q of the cap, in (0, pi/2).
      dim: d, at least 2.

    Source: as `cap_bound`, with 1 - t at least cos(q)^2 in the integral of Lemma 3.
    """
    d, q = float64(dim), float64(half_angle)
    log_beta = gammaln((d - 1) / 2) + gammaln(float64(0.5)) - gammaln(d / 2)
    return jnp.exp(-cap_rate(q) * (d - 1) - log_beta) / ((d - 1) * jnp.cos(q))


def proposition_2(radius: Scalar, half_angle: Scalar, dim: Scalar) -> Float[Array, ""]:
    """P(|x| <= r and angle(u, x) <= q), x ~ N(0, I), as the product of both probabilities.

    The norm is that of a chi-square variable with d degrees of freedom, the direction uniform.

    Args:
      radius: r, at least 0.
      half_angle: q of the cap, in [0, pi/2].
      dim: d, at least 2.

    Source: Proposition 2 of arXiv 2406.12839.
    """
    d, r = float64(dim), float64(radius)
    return gammainc(d / 2, r**2 / 2) * lemma_3(half_angle, d)

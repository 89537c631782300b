"""Arc-cosine kernels: Gaussian averages of steps and of rectified linear functions.

With g standard normal, x and y unit vectors at the angle theta, u = cos theta,

  kappa_0(u) = 2 E 1{g.x > 0} 1{g.y > 0} = (pi - theta)/pi,
  kappa_1(u) = 2 E relu(g.x) relu(g.y) = (sin theta + (pi - theta) cos theta)/pi.

A cosine within rounding of 1 knows its angle to 1e-8 only, and kappa_0 with it. What is iterated
over layers, or taken between points that may be close, is therefore written in angles:
`angle_between` and `relu_angle`.

Source: Cho and Saul, Kernel methods for deep learning, NeurIPS 2009, section 2.
"""

from math import factorial

import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, Float, Scalar, float64

# sin a - a cos a = sum_k (-1)^{k+1} 2k a^{2k+1}/(2k+1)!; below 1, nine terms leave 1e-18 of it.
_SERIES = tuple((-1) ** (k + 1) * 2 * k / factorial(2 * k + 1) for k in range(9, 0, -1))


@jax.custom_jvp
def kappa_0(cosine: Scalar) -> Float[Array, ""]:
    """The arc-cosine kernel of order 0, (pi - arccos u)/pi; one number, batch with jax.vmap.

    Args:
      cosine: u in [-1, 1]; what rounding puts beyond counts as the end point.

    Returns:
      A number in [0, 1]. Its derivative 1/(pi sqrt(1 - u^2)) is infinite at both ends.

    Source: Cho and Saul (2009), section 2.
    """
    return _supplement(cosine) / np.pi


@jax.custom_jvp
def kappa_1(cosine: Scalar) -> Float[Array, ""]:
    """The arc-cosine kernel of order 1, (sqrt(1 - u^2) + u (pi - arccos u))/pi.

    One number; batch with jax.vmap. Accurate relative to itself down to u = -1, where it is 0.

    Args:
      cosine: u in [-1, 1]; what rounding puts beyond counts as the end point.

    Returns:
      A number in [0, 1]. Its derivative is kappa_0, finite at both ends.

    Source: Cho and Saul (2009), section 2.
    """
    return _sine_without_chord(_supplement(cosine)) / np.pi


@kappa_0.defjvp
def _(primals: tuple[Scalar], tangents: tuple[Array]) -> tuple[Array, Array]:
    return kappa_0(primals[0]), tangents[0] / (np.pi * _sine(_clipped(primals[0])))


@kappa_1.defjvp
def _(primals: tuple[Scalar], tangents: tuple[Array]) -> tuple[Array, Array]:
    return kappa_1(primals[0]), tangents[0] * kappa_0(primals[0])


def angle_between(x: Float[Array, " dim"], y: Float[Array, " dim"]) -> Float[Array, ""]:
    """The angle of two vectors, accurate for parallel and opposite ones, too.

    2 arctan2(| x/|x| - y/|y| |, | x/|x| + y/|y| |), exactly 0 for equal vectors.

    Args:
      x: a vector other than zero.
      y: another one.

    Source: Kahan, How futile are mindless assessments of roundoff (2006), section 12.
    """
    x, y = x / jnp.linalg.norm(x), y / jnp.linalg.norm(y)
    return 2 * jnp.arctan2(jnp.linalg.norm(x - y), jnp.linalg.norm(x + y))


def relu_angle(angle: Scalar) -> Float[Array, ""]:
    """The angle arccos kappa_1(cos theta) of two vectors' outputs of an infinitely wide ReLU layer.

    Computed from 1 - kappa_1 = 2 sin(theta/2)^2 - (sin theta - theta cos theta)/pi, so that a small
    angle keeps its relative accuracy.

    Args:
      angle: theta of the inputs, in [0, pi].

    Returns:
      An angle in [0, pi/2], 0 for 0.
    """
    angle = float64(angle)
    gap = 2 * jnp.sin(angle / 2) ** 2 - _sine_without_chord(angle) / np.pi
    return 2 * jnp.arcsin(jnp.sqrt(gap / 2))


def _clipped(cosine: Scalar) -> Array:
    return jnp.clip(float64(cosine), -1.0, 1.0)


def _sine(cosine: Array) -> Array:
    return jnp.sqrt((1 - cosine) * (1 + cosine))


def _supplement(cosine: Scalar) -> Array:
    """The angle pi - arccos u, accurate relative to itself."""
    cosine = _clipped(cosine)
    return jnp.arctan2(_sine(cosine), -cosine)


def _sine_without_chord(angle: Array) -> Array:
    """The difference sin a - a cos a for a in [0, pi], without the cancellation at small a."""
    small = angle < 1
    near = jnp.where(small, angle, 0)
    return jnp.where(
        small,
        near**3 * jnp.polyval(jnp.asarray(_SERIES), near**2),
        jnp.sin(angle) - angle * jnp.cos(angle),
    )

"""Expectations over two noise levels of one path, on the line: the slow, independent route.

X at noise variance v', and X + sqrt(v - v') xi at v: a composite Gauss-Legendre rule fitted to
p_{v'} times a Gauss-Hermite rule in xi, at two orders of which the difference is the error.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar
from design_space.numerics.quadrature import gauss_hermite
from design_space.targets.base import AbstractTarget
from design_space.targets.line import Line, at_point, panel_count, rule

_ORDERS = ((12, 40), (8, 26))


def pair_expectation(
    target: AbstractTarget,
    high: Scalar,
    low: Scalar,
    value: Callable[[Line, Array, Array, Array], Array],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """E f(X_{v'}, X_v), v' < v, for a law on the line.

    Args:
      target: a law of dimension one.
      high: v.
      low: v'.
      value: f(line, x', x, xi) of one pair of points and the noise between them.

    Returns:
      The expectation, and the difference of two rules.
    """
    line = Line.of(target.components())
    panels = panel_count(line, jnp.asarray(low)[None])
    found = []
    for order, noise_order in _ORDERS:
        nodes, weights = rule(line, low, panels, order)
        xi, noise_weights = (jnp.asarray(x) for x in gauss_hermite(noise_order))
        between = jnp.sqrt(high - low) * xi

        def at(x: Array, w: Array, xi: Array, between: Array, u: Array) -> Array:
            density = jnp.exp(at_point(line, x, low).log_density)
            values = jax.vmap(lambda y, z: value(line, x, y, z))(x + between, xi)
            return w * density * (u @ values)

        each = jax.vmap(at, in_axes=(0, 0, None, None, None))
        found.append(
            jnp.sum(each(nodes.ravel(), weights.ravel(), xi, between, noise_weights), axis=0)
        )
    fine, coarse = found
    return fine, jnp.abs(fine - coarse)


def expectation(
    target: AbstractTarget, variance: Scalar, value: Callable[[Line, Array], Array]
) -> Float[Array, "..."]:
    """E f(X_v) for a law on the line.

    Args:
      target: a law of dimension one.
      variance: v.
      value: f(line, x) of one point.
    """
    line = Line.of(target.components())
    nodes, weights = rule(line, variance, panel_count(line, jnp.asarray(variance)[None]), 20)

    def at(x: Array, w: Array) -> Array:
        return w * jnp.exp(at_point(line, x, variance).log_density) * value(line, x)

    return jnp.sum(jax.vmap(at)(nodes.ravel(), weights.ravel()), axis=0)

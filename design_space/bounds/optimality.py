"""What the best schedules and step variances achieve, in closed form.

Source: the exact path identity (docs/theory/exact_errors.md); the tangent law is arXiv 2601.13602.
"""

import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar, float64
from design_space.numerics.defects import expm1_defect


def least_discretization(
    dim: int, variance: Scalar, high: Scalar, low: Scalar, steps: int
) -> Float[Array, ""]:
    """The least E_D on N(m, s^2 I) with N steps, reached where s^2 + v is geometric.

    (d/2) (N (R^{1/N} - 1) - ln R), R = (s^2 + v_N)/(s^2 + v_0).

    Args:
      dim: d.
      variance: s^2, at least 0, in squared data units.
      high: v_0.
      low: v_N, above 0 and below v_0.
      steps: N.

    Returns:
      The error, in nats.
    """
    log_ratio = jnp.log((float64(variance) + low) / (float64(variance) + high))
    return 0.5 * dim * steps * expm1_defect(log_ratio / steps)


def discretization_constant(root_integral: Scalar) -> Float[Array, ""]:
    """The limit of N E_D on the best grids as N grows: (1/4) (int sqrt|I'(v)| dv)^2.

    Args:
      root_integral: int sqrt|I'(v)| dv from v_N to v_0, without unit.

    Returns:
      The limit, in nats.
    """
    return 0.25 * float64(root_integral) ** 2


def best_step_variance(h: Scalar, information: Scalar, dim: int) -> Float[Array, ""]:
    """The isotropic variance of a step that costs least with the exact score: h (1 - h I(v_j)/d).

    Args:
      h: variance removed by the step, in squared data units.
      information: I(v_j), in inverse squared data units.
      dim: d.
    """
    h = float64(h)
    return h * (1 - h * information / dim)


def step_variance_gain(h: Scalar, information: Scalar, dim: int) -> Float[Array, ""]:
    """What that variance changes E_D by in one step: (d/2) [x + ln(1 - x)] <= 0, x = h I(v_j)/d.

    Args: as for `best_step_variance`.

    Returns:
      The change, in nats.
    """
    x = float64(h) * information / dim
    return 0.5 * dim * (x + jnp.log1p(-x))


def tangent_variance_ratio(variance: Scalar, high: Scalar, low: Scalar, steps: int) -> Array:
    """Variance of the probability-flow Euler sampler over that of the data, on N(0, c^2), with
    sigma = c tan(angle) at N + 1 equidistant angles.

    (v_0/(c^2 + v_0)) cos(A/N)^{2N}, A = arctan(sigma_0/c) - arctan(sigma_N/c).

    Args:
      variance: c^2, above 0, in squared data units.
      high: v_0.
      low: v_N.
      steps: N.

    Source: the tangent law, arXiv 2601.13602.
    """
    c = jnp.sqrt(float64(variance))
    angle = jnp.arctan(jnp.sqrt(high) / c) - jnp.arctan(jnp.sqrt(low) / c)
    return high / (variance + high) * jnp.cos(angle / steps) ** (2 * steps)


def most_discretization(dim: int, log_ratio: Scalar) -> Float[Array, ""]:
    """A bound on E_D whatever the data: (d/2) sum_j ln(v_j/v_{j+1}) = (d/2) ln(v_0/v_N).

    From I(v) <= d/v and I >= 0. No second moment is in it.

    Args:
      dim: d.
      log_ratio: ln(v_0/v_N).
    """
    return 0.5 * dim * float64(log_ratio)


def grid_discretization_constant(
    slopes: Float[Array, " nodes"], speeds: Float[Array, " nodes"], weights: Float[Array, " nodes"]
) -> Float[Array, ""]:
    """The limit of N E_D on the grids v_j = v(j/N) as N grows: (1/4) int_0^1 |I'(v)| v'(u)^2 du.

    Args:
      slopes: I'(v(u)) at the nodes of a quadrature rule on [0, 1], shape [nodes].
      speeds: v'(u) there.
      weights: of the rule.

    Returns:
      The limit, in nats; least where |I'| v'^2 is constant, see `discretization_constant`.
    """
    return 0.25 * jnp.sum(weights * jnp.abs(slopes) * speeds**2)

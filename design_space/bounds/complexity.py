"""Bounds on E_I + E_D in the number of steps, and how many steps an accuracy takes.

Notation: u_0 > ... > u_N the forward times T - s_j in the sampler's order, u_0 = T, u_N = delta,
gamma_j = u_j - u_{j+1}; d the dimension, m2^2 = E|X_0|^2. Bounds are in nats. The paper prints them
up to constants, here an explicit record; how many steps are needed it prints as an order, here with
the constant 1.
"""

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar, float64, is_concrete
from design_space.bounds.sampling import BoundTerms
from design_space.checks import decreasing, nonnegative, numbers, ordered, positive, refusal


class ComplexityConstants(eqx.Module):
    """The constants of appendix I.1, one for each of the terms; printed as "up to a constant".

    Attributes:
      initialization: of m2^2 over the largest noise variance.
      diffusion: of d sum gamma_j^2/u_j^2.
      curvature: of the sums with m2^2 + d.
    """

    initialization: Scalar = 1.0
    diffusion: Scalar = 1.0
    curvature: Scalar = 1.0


def linear_sums(
    dim: Scalar,
    second_moment: Scalar,
    times: Float[Array, " nodes"],
    constants: ComplexityConstants | None = None,
) -> BoundTerms:
    """Computes the bound on E_I + E_D for sigma_bar_t = t.

      m2^2/T^2 + d sum_j gamma_j^2/u_j^2
      + (m2^2 + d) (sum_{u_j >= 1} [gamma_j^2/u_j^4 + gamma_j^3/u_j^5]
                    + sum_{u_j < 1} [gamma_j^2/u_j^2 + gamma_j^3/u_j^3]).

    Args:
      dim: d, above 0.
      second_moment: m2^2, at least 0, in squared data units.
      times: u_j, descending and above 0, [N + 1].
      constants: the constants; all 1 if left out.

    Returns:
      The terms, in nats; the score term is 0.

    Raises:
      ValueError: if a number is out of its domain or the times do not descend.

    Source: appendix I.1 of arXiv 2406.12839.
    """
    levels, removed = _steps(times)
    weight = 1 / jnp.maximum(levels, 1.0) ** 2
    extra = jnp.sum(weight * (removed**2 + removed**3))
    return _closed(dim, second_moment, levels[0] ** 2, jnp.sum(removed**2), extra, constants)


def sqrt_sums(
    dim: Scalar,
    second_moment: Scalar,
    times: Float[Array, " nodes"],
    constants: ComplexityConstants | None = None,
) -> BoundTerms:
    """Computes the bound on E_I + E_D for sigma_bar_t = sqrt t.

      m2^2/T + d sum_j gamma_j^2/u_j^2
      + (m2^2 + d) (sum_{u_j >= 1} gamma_j^2/u_j^3 + sum_{u_j < 1} gamma_j^2/u_j^2).

    Args, Returns, Raises: as for `linear_sums`; times are in squared data units.

    Source: appendix I.1 of arXiv 2406.12839.
    """
    levels, removed = _steps(times)
    extra = jnp.sum(removed**2 / jnp.maximum(levels, 1.0))
    return _closed(dim, second_moment, levels[0], jnp.sum(removed**2), extra, constants)


def linear_exponential(
    dim: Scalar,
    second_moment: Scalar,
    low: Scalar,
    high: Scalar,
    steps: Scalar,
    constants: ComplexityConstants | None = None,
) -> BoundTerms:
    """Computes the bound on E_I + E_D for sigma_bar_t = t and exponential times.

      m2^2/T^2 + d L^2/N + (m2^2 + d) (L^2/N + L^3/N^2),   L = ln(T/delta).

    Args:
      dim: d, above 0.
      second_moment: m2^2, at least 0, in squared data units.
      low: delta, above 0.
      high: T, above delta.
      steps: N, above 0.
      constants: the constants; all 1 if left out.

    Returns:
      The terms, in nats; the score term is 0.

    Raises:
      ValueError: if a number is out of its domain.

    Source: appendix I.1 of arXiv 2406.12839.
    """
    low, high, steps = _range(low, high, steps)
    rate = jnp.log(high / low) / steps
    extra = steps * (rate**2 + rate**3)
    return _closed(dim, second_moment, high**2, steps * rate**2, extra, constants)


def sqrt_exponential(
    dim: Scalar,
    second_moment: Scalar,
    low: Scalar,
    high: Scalar,
    steps: Scalar,
    constants: ComplexityConstants | None = None,
) -> BoundTerms:
    """Computes the bound on E_I + E_D for sigma_bar_t = sqrt t and exponential times.

      m2^2/T + d L^2/N + (m2^2 + d) L^2/N,   L = ln(T/delta),

    which is what `sqrt_sums` gives there as the printed complexity takes it, every weight 1.

    Args, Returns, Raises: as for `linear_exponential`; low and high are in squared data units.

    Source: appendix I.1 of arXiv 2406.12839.
    """
    low, high, steps = _range(low, high, steps)
    square = jnp.log(high / low) ** 2 / steps
    return _closed(dim, second_moment, high, square, square, constants)


def corollary_1_sampling(
    dim: Scalar,
    second_moment: Scalar,
    low: Scalar,
    high: Scalar,
    steps: Scalar,
    rho: Scalar = 7.0,
    constants: ComplexityConstants | None = None,
) -> BoundTerms:
    """Computes the part of Corollary 1 that bounds E_I + E_D of EDM's schedule.

      m2^2/T^2 + d a^2 T^{1/a}/(delta^{1/a} N)
      + (m2^2 + d) (a^2 T^{1/a}/(delta^{1/a} N) + a^3 T^{2/a}/(delta^{2/a} N^2)).

    Args:
      dim: d, above 0.
      second_moment: m2^2, at least 0, in squared data units.
      low: delta = sigma_min, above 0, in data units.
      high: T = sigma_max, above delta.
      steps: N, above 0.
      rho: a, the exponent of the polynomial times, above 0; printed with 7.
      constants: the constants; all 1 if left out.

    Returns:
      The terms, in nats; the score term is 0.

    Raises:
      ValueError: if a number is out of its domain.

    Source: Corollary 1 of arXiv 2406.12839.
    """
    low, high, steps = _range(low, high, steps)
    rho = float64(positive("rho", rho))
    first = rho * (high / low) ** (1 / rho) / steps
    square = rho * first
    return _closed(dim, second_moment, high**2, square, square + rho * first**2, constants)


def linear_horizon(second_moment: Scalar, accuracy: Scalar) -> Float[Array, ""]:
    """T = m2/eps^{1/2}, at which m2^2/T^2 is the accuracy, for sigma_bar_t = t.

    Args:
      second_moment: m2^2, at least 0, in squared data units.
      accuracy: eps, above 0, in nats.

    Source: appendix I.1 of arXiv 2406.12839.
    """
    return jnp.sqrt(sqrt_horizon(second_moment, accuracy))


def sqrt_horizon(second_moment: Scalar, accuracy: Scalar) -> Float[Array, ""]:
    """T = m2^2/eps, at which m2^2/T is the accuracy, for sigma_bar_t = sqrt t.

    Args: as for `linear_horizon`.

    Source: appendix I.1 of arXiv 2406.12839.
    """
    m2_squared = float64(nonnegative("second_moment", second_moment))
    return m2_squared / float64(positive("accuracy", accuracy))


def polynomial_steps(
    dim: Scalar, second_moment: Scalar, ratio: Scalar, accuracy: Scalar, rho: Scalar
) -> Float[Array, ""]:
    """The order of N for polynomial times.

    a^2 (T/delta)^{1/a} (m2^2 + d)/eps, with T/delta = m2/(delta eps^{1/2}) for sigma_bar_t = t and
    m2^2/(delta eps) for sigma_bar_t = sqrt t.

    Args:
      dim: d, above 0.
      second_moment: m2^2, at least 0, in squared data units.
      ratio: T/delta, above 1, with T of `linear_horizon` or `sqrt_horizon`.
      accuracy: eps, above 0, in nats.
      rho: a, the exponent of the polynomial times, above 0.

    Returns:
      The number of steps, not rounded.

    Raises:
      ValueError: if a number is out of its domain.

    Source: appendix I.1 of arXiv 2406.12839.
    """
    rho = float64(positive("rho", rho))
    return rho**2 * _ratio(ratio) ** (1 / rho) * _size(dim, second_moment, accuracy)


def exponential_steps(
    dim: Scalar, second_moment: Scalar, ratio: Scalar, accuracy: Scalar
) -> Float[Array, ""]:
    """The order of N for exponential times: ln(T/delta)^2 (m2^2 + d)/eps.

    Args, Returns, Raises: as for `polynomial_steps`.

    Source: appendix I.1 of arXiv 2406.12839.
    """
    return jnp.log(_ratio(ratio)) ** 2 * _size(dim, second_moment, accuracy)


def table_2_edm(
    dim: Scalar, second_moment: Scalar, sigma_min: Scalar, sigma_max: Scalar, rho: Scalar = 7.0
) -> Float[Array, ""]:
    """Table 2's order of N for EDM.

    (max(m2^2, d)/d) rho^2 (sigma_max/sigma_min)^{1/rho} sigma_max^2.

    Args:
      dim: d, above 0.
      second_moment: m2^2, at least 0, in squared data units.
      sigma_min: smallest noise standard deviation, above 0, in data units.
      sigma_max: largest, above sigma_min.
      rho: exponent of EDM's times, above 0.

    Returns:
      The number of steps, not rounded. It is that of appendix I.1 for the accuracy
      d/sigma_max^2.

    Raises:
      ValueError: if a number is out of its domain.

    Source: Table 2 of arXiv 2406.12839.
    """
    low, high, rho = _range(sigma_min, sigma_max, positive("rho", rho))
    return rho**2 * (high / low) ** (1 / rho) * _table_2_size(dim, second_moment, high)


def table_2_song(
    dim: Scalar, second_moment: Scalar, sigma_min: Scalar, sigma_max: Scalar
) -> Float[Array, ""]:
    """Table 2's order of N for Song: (max(m2^2, d)/d) ln(sigma_max/sigma_min)^2 sigma_max^2.

    Args, Returns, Raises: as for `table_2_edm`.

    Source: Table 2 of arXiv 2406.12839.
    """
    low, high, _ = _range(sigma_min, sigma_max, 1.0)
    return jnp.log(high / low) ** 2 * _table_2_size(dim, second_moment, high)


def _steps(times: Float[Array, " nodes"]) -> tuple[Array, Array]:
    """u_j and gamma_j/u_j for j < N."""
    times = numbers("times", times, 1)
    decreasing("times", times)
    levels = float64(times)
    positive("times[-1]", levels[-1])
    return levels[:-1], (levels[:-1] - levels[1:]) / levels[:-1]


def _closed(
    dim: Scalar,
    second_moment: Scalar,
    largest: Array,
    diffusion: Array,
    extra: Array,
    constants: ComplexityConstants | None,
) -> BoundTerms:
    """m2^2/largest + d diffusion + (m2^2 + d) extra, each with its constant."""
    c = ComplexityConstants() if constants is None else constants
    dim = float64(positive("dim", dim))
    m2_squared = float64(nonnegative("second_moment", second_moment))
    return BoundTerms(
        initialization=c.initialization * m2_squared / largest,
        score=jnp.zeros_like(largest),
        discretization=c.diffusion * dim * diffusion + c.curvature * (m2_squared + dim) * extra,
    )


def _range(low: Scalar, high: Scalar, steps: Scalar) -> tuple[Array, Array, Array]:
    low, high = positive("low", low), positive("high", high)
    ordered("low", low, "high", high)
    return float64(low), float64(high), float64(positive("steps", steps))


def _ratio(ratio: Scalar) -> Array:
    ratio = positive("ratio", ratio)
    if is_concrete(ratio) and not ratio > 1:
        raise refusal("ratio", float(ratio), "above 1", "take delta below T")
    return float64(ratio)


def _size(dim: Scalar, second_moment: Scalar, accuracy: Scalar) -> Array:
    """(m2^2 + d)/eps."""
    m2_squared = float64(nonnegative("second_moment", second_moment))
    return (m2_squared + float64(positive("dim", dim))) / float64(positive("accuracy", accuracy))


def _table_2_size(dim: Scalar, second_moment: Scalar, sigma_max: Array) -> Array:
    dim = float64(positive("dim", dim))
    m2_squared = float64(nonnegative("second_moment", second_moment))
    return jnp.maximum(m2_squared, dim) / dim * sigma_max**2

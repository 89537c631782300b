"""Which time schedule makes the discretization error least: surrogates, and what they stand for.

On a point mass with exact score, a step that lowers ln v by y costs (1/2) (y - 1 + e^{-y}) in each
dimension, a convex function of y. The paper puts (1 - e^{-x})^2 in its place, x the fall of ln t.
"""

import jax
import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar, float64, is_concrete
from design_space.checks import decreasing, numbers, positive, refusal
from design_space.numerics.defects import expm1_defect

_HALVINGS = 80  # of an interval of logarithms; leaves less than rounding


def reduced_objective(ratio: Scalar, rho: Scalar) -> Float[Array, ""]:
    """rho^2 (sigma_max/sigma_min)^{1/rho}, which Remark 3 makes least.

    Args:
      ratio: sigma_max/sigma_min, above 1.
      rho: exponent of EDM's times, above 0.

    Source: Table 2 and Remark 3 of arXiv 2406.12839.
    """
    rho = float64(positive("rho", rho))
    return rho**2 * jnp.exp(_log(ratio) / rho)


def remark_3(ratio: Scalar) -> Float[Array, ""]:
    """The exponent rho = (1/2) ln(sigma_max/sigma_min), the minimizer of `reduced_objective`.

    Args:
      ratio: sigma_max/sigma_min, above 1.

    Source: Remark 3 of arXiv 2406.12839.
    """
    return _log(ratio) / 2


def leading_discretization(
    dim: Scalar, ratio: Scalar, rho: Scalar, steps: Scalar
) -> Float[Array, ""]:
    """The leading term of E_D of EDM's schedule on a point mass, and a bound on it at every N.

      E_D <= (d/N) 4 rho^2 sinh^2(L/(2 rho)),   L = ln(sigma_max/sigma_min).

    A step that lowers ln sigma by x costs at most d x^2, x^2 <= (q - 1)^2/q where q = e^{x/rho}
    times rho^2, and with sigma^{1/rho} in equal steps the sum telescopes. As N grows it is an
    equality. It falls with rho, to d L^2/N of the exponential schedule. For N(m, S) it is a bound.

    Args:
      dim: d, above 0.
      ratio: sigma_max/sigma_min, above 1.
      rho: exponent of the times as powers of sigma, above 0; rho/2 of those of sigma_bar = sqrt t.
      steps: N, above 0.

    Returns:
      The term, in nats.

    Source: corrects the order rho^2 (sigma_max/sigma_min)^{1/rho}/N of arXiv 2406.12839 (Table 2).
    """
    rho, steps = float64(positive("rho", rho)), float64(positive("steps", steps))
    spread = 2 * rho * jnp.sinh(_log(ratio) / (2 * rho))
    return float64(positive("dim", dim)) * spread**2 / steps


def step_constant(log_ratio: Scalar, power: Scalar) -> Float[Array, ""]:
    """What a step costs on a point mass over the surrogate of appendix I.1.

      (1/2) (p x - 1 + e^{-p x})/(1 - e^{-x})^2,

    increasing in x, from p^2/4 without bound: like p x/2.

    Args:
      log_ratio: x = ln(u_j/u_{j+1}), above 0.
      power: p in sigma_bar_t^2 = t^p: 2 for sigma_bar_t = t, 1 for sqrt t.

    Source: the path identity, beside appendix I.1 of arXiv 2406.12839.
    """
    x, power = float64(positive("log_ratio", log_ratio)), float64(positive("power", power))
    return 0.5 * expm1_defect(-power * x) / jnp.expm1(-x) ** 2


def surrogate(times: Float[Array, " nodes"]) -> Float[Array, ""]:
    """sum_j gamma_j^2/u_j^2, which appendix I.1 puts in the place of E_D/d.

    Args:
      times: u_j = T - s_j, descending and above 0, [N + 1].

    Raises:
      ValueError: if the times do not descend or are not above 0.

    Source: appendix I.1 of arXiv 2406.12839.
    """
    times = numbers("times", times, 1)
    decreasing("times", times)
    levels = float64(times)
    positive("times[-1]", levels[-1])
    return jnp.sum(((levels[:-1] - levels[1:]) / levels[:-1]) ** 2)


def exponential_surrogate(ratio: Scalar, steps: Scalar) -> Float[Array, ""]:
    """N (1 - e^{-L/N})^2, the surrogate of the exponential schedule, L = ln(T/delta).

    Args:
      ratio: T/delta, above 1.
      steps: N, above 0.

    Source: appendix I.1 of arXiv 2406.12839.
    """
    steps = float64(positive("steps", steps))
    return steps * jnp.expm1(-_log(ratio) / steps) ** 2


def least_surrogate(ratio: Scalar, steps: Scalar) -> Float[Array, ""]:
    """The least value of the surrogate over all schedules of N steps.

    (1 - e^{-x})^2 is convex up to x = ln 2 and concave beyond, so at most one step of a best
    schedule is longer than ln 2, and the others are equal. Then e^{-x} + e^{-y} = 1 with x the
    short steps and y the long one: with q = e^{-y} the smaller solution of
    -(N - 1) ln(1 - q) - ln q = L, which exists from some L on, the value is

      (N - 1) q^2 + (1 - q)^2,

    and the least is this or N (1 - e^{-L/N})^2. For N = 2 it is 1 - 2 delta/T as soon as
    T/delta > 4.

    Args:
      ratio: T/delta, above 1.
      steps: N, at least 1.

    Source: corrects the optimality claim of appendix I.1 of arXiv 2406.12839.
    """
    length, steps = _log(ratio), float64(positive("steps", steps))

    def excess(log_q: Array) -> Array:
        return -(steps - 1) * jnp.log1p(-jnp.exp(log_q)) - log_q - length

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        above = excess(middle) > 0  # the left side falls with q up to 1/N
        return jnp.where(above, middle, ends[0]), jnp.where(above, ends[1], middle)

    turn = -jnp.log(jnp.maximum(steps, 2.0))
    q = jnp.exp(jax.lax.fori_loop(0, _HALVINGS, halve, (jnp.minimum(-length, turn), turn))[1])
    uneven = (steps - 1) * q**2 + (1 - q) ** 2
    even = exponential_surrogate(ratio, steps)
    return jnp.where((excess(turn) <= 0) & (steps >= 2), jnp.minimum(uneven, even), even)


def sufficient_steps(
    dim: Scalar, ratio: Scalar, accuracy: Scalar, rho: Scalar | None = None
) -> Float[Array, ""]:
    """How many steps keep E_D at half the accuracy on Gaussian data.

    (2 d/eps) 4 rho^2 sinh^2(L/(2 rho)) for polynomial times, (2 d/eps) L^2 for exponential ones.

    Args:
      dim: d, above 0.
      ratio: sigma_max/sigma_min, above 1.
      accuracy: eps, above 0, in nats.
      rho: exponent of the times as powers of sigma, above 0; exponential times if left out.

    Returns:
      The number of steps, not rounded. If m2^2/sigma_max^2 <= eps, then E_I + E_D <= eps.

    Source: `leading_discretization`, in the place of the orders of appendix I.1 of arXiv
      2406.12839.
    """
    accuracy = float64(positive("accuracy", accuracy))
    if rho is None:
        return 2 * float64(positive("dim", dim)) * _log(ratio) ** 2 / accuracy
    return 2 * leading_discretization(dim, ratio, rho, 1.0) / accuracy


def _log(ratio: Scalar) -> Array:
    ratio = positive("ratio", ratio)
    if is_concrete(ratio) and not ratio > 1:
        raise refusal("ratio", float(ratio), "above 1", "take the smaller over the larger level")
    return jnp.log(float64(ratio))

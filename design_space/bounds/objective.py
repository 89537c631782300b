"""The training objective: score matching, its denoising form, Riemann sums, weightings, EDM's form.

Notation: forward order, t_0 < ... < t_N = T, v = sigma_bar_t^2, L = grad log p_t, S the score that
is trained, X = X_0 + sigma_bar xi, d the dimension. Measured along times t_k:

  mismatch   e = E|S - L|^2,
  residual   r = E|sigma_bar S + xi|^2,
  gap        C = E|L|^2 - E|grad log p_{t|0}|^2 = I(v) - d/v = -mmse(v)/v^2.

By Tweedie's formula, E(xi | X) = -sigma_bar L, so r/v = e + mmse(v)/v^2 = e - C. In print r is
divided by sigma_bar where sigma_bar^2 belongs; that slip of eq. (4) is carried into the total
weighting of eqs. (5) and (6). Functions that contain it are named plainly, their twins end in
`_corrected`.

Source: eqs. (3) to (7) and (12) of arXiv 2406.12839.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, Float, Scalar
from design_space.numerics.quadrature import gauss_legendre
from design_space.schedules.schedule import Schedule
from design_space.weightings.base import time_factor

_ORDER = 16


class TimeRule(eqx.Module):
    """A quadrature rule in forward time: int f dt is about sum_k weights_k f(times_k).

    Attributes:
      times: t_k, shape [k].
      weights: in the unit of time, shape [k].
    """

    times: Float[Array, " k"]
    weights: Float[Array, " k"]


def gauss_times(t_low: Scalar, t_high: Scalar, panels: int = 8) -> TimeRule:
    """Gauss-Legendre quadrature in ln t, 16 nodes in each of so many panels of equal width.

    Args:
      t_low: lower end, above 0.
      t_high: upper end.
      panels: how many. Eight are exact to rounding for smooth functions of ln t over the range of
        noise levels in use.
    """
    nodes, weights = gauss_legendre(_ORDER)
    width = jnp.log(t_high / t_low) / panels
    places = (np.arange(panels)[:, None] + nodes[None, :]).ravel()
    times = t_low * jnp.exp(width * places)
    return TimeRule(times, width * np.tile(weights, panels) * times)


def riemann_times(schedule: Schedule) -> TimeRule:
    """The Riemann sum of a schedule: times t_1, ..., t_N with weights t_j - t_{j-1}."""
    return TimeRule(schedule.forward_times[1:], schedule.forward_time_steps)


def equation_3(
    rule: TimeRule, w: Float[Array, " k"], mismatches: Float[Array, " k"]
) -> Float[Array, ""]:
    """Score matching, L_conti = (1/2) int w(t) E|S - L|^2 dt.

    With w = 2 sigma_t^2 it is the limit of E_S = (1/2) sum_j h_j E|s_j - L_{v_j}|^2, since
    dv = 2 sigma_t^2 dt.

    Args:
      rule: for the integral.
      w: weights at its times.
      mismatches: e at its times, in inverse squared data units.

    Source: eq. (3) of arXiv 2406.12839, a definition.
    """
    return 0.5 * jnp.sum(rule.weights * w * mismatches)


def gap(information: Array, dim: int, variances: Array) -> Array:
    """C = E|L|^2 - E|grad log p_{t|0}|^2 = I(v) - d/v, by definition; it cancels where v is large.

    Args:
      information: I(v), in inverse squared data units.
      dim: d.
      variances: v, above 0, same shape.

    Source: eq. (4) of arXiv 2406.12839.
    """
    return information - dim / variances


def gap_by_mmse(mmse: Array, variances: Array) -> Array:
    """C = -mmse(v)/v^2, never positive; without cancellation.

    Args:
      mmse: E tr Cov(X_0 | X_v), in squared data units.
      variances: v, above 0, same shape.

    Source: eq. (4) of arXiv 2406.12839, by Tweedie's formula.
    """
    return -mmse / variances**2


def equation_4(
    rule: TimeRule,
    w: Float[Array, " k"],
    sigmas: Float[Array, " k"],
    residuals: Float[Array, " k"],
    gaps: Float[Array, " k"],
) -> Float[Array, ""]:
    """Denoising form as printed, (1/2) int w (1/sigma_bar) r dt + (1/2) int w C dt.

    Args:
      rule: for the integrals.
      w: weights at its times.
      sigmas: sigma_bar there, in data units.
      residuals: r there.
      gaps: C there, in inverse squared data units.

    Returns:
      What is printed for L_conti; it is that only where sigma_bar = 1.

    Source: eq. (4) of arXiv 2406.12839.
    """
    return 0.5 * jnp.sum(rule.weights * w * (residuals / sigmas + gaps))


def equation_4_corrected(
    rule: TimeRule,
    w: Float[Array, " k"],
    sigmas: Float[Array, " k"],
    residuals: Float[Array, " k"],
    gaps: Float[Array, " k"],
) -> Float[Array, ""]:
    """Denoising form, (1/2) int w (1/sigma_bar^2) r dt + (1/2) int w C dt; it equals L_conti.

    Args: as for `equation_4`.

    Source: eq. (4) of arXiv 2406.12839, corrected.
    """
    return 0.5 * jnp.sum(rule.weights * w * (residuals / sigmas**2 + gaps))


def equation_5_constant(
    schedule: Schedule, w: Float[Array, " levels"], gaps: Float[Array, " levels"]
) -> Float[Array, ""]:
    """C_bar = (1/2) sum_j w(t_j) (t_j - t_{j-1}) C_{t_j}, never positive.

    Args:
      schedule: of N steps.
      w: weights at t_1, ..., t_N.
      gaps: C there, in inverse squared data units.

    Source: eq. (5) of arXiv 2406.12839.
    """
    return 0.5 * jnp.sum(schedule.forward_time_steps * w * gaps)


def equation_5(
    schedule: Schedule,
    w: Float[Array, " levels"],
    residuals: Float[Array, " levels"],
    gaps: Float[Array, " levels"],
) -> Float[Array, ""]:
    """L_bar + C_bar with the printed beta_j = w(t_j) (t_j - t_{j-1})/sigma_j.

    Args:
      schedule: of N steps.
      w: weights at t_1, ..., t_N.
      residuals: r there.
      gaps: C there, in inverse squared data units.

    Returns:
      The Riemann sum of the right-hand side of eq. (4) as printed.

    Source: eqs. (5) and (6) of arXiv 2406.12839.
    """
    printed = equation_6(w * time_factor(schedule, 1), residuals)
    return printed + equation_5_constant(schedule, w, gaps)


def equation_5_corrected(
    schedule: Schedule,
    w: Float[Array, " levels"],
    residuals: Float[Array, " levels"],
    gaps: Float[Array, " levels"],
) -> Float[Array, ""]:
    """L_bar + C_bar with beta_j = w(t_j) (t_j - t_{j-1})/sigma_j^2: a Riemann sum of L_conti.

    Args: as for `equation_5`.

    Source: eqs. (5) and (6) of arXiv 2406.12839, corrected.
    """
    corrected = equation_6(w * time_factor(schedule, 2), residuals)
    return corrected + equation_5_constant(schedule, w, gaps)


def equation_6(
    beta: Float[Array, " levels"], residuals: Float[Array, " levels"]
) -> Float[Array, ""]:
    """The denoising loss L_bar = (1/2) sum_j beta_j E|sigma_j S + xi|^2.

    Args:
      beta: total weighting at the levels j = 1, ..., N.
      residuals: r there.

    Source: eq. (6) of arXiv 2406.12839.
    """
    return 0.5 * jnp.sum(beta * residuals)


def equation_6_floor(
    beta: Float[Array, " levels"], mmse: Float[Array, " levels"], variances: Float[Array, " levels"]
) -> Float[Array, ""]:
    """The least loss over all scores, (1/2) sum_j beta_j mmse(v_j)/v_j, at the exact score.

    With the corrected beta_j it is -C_bar.

    Args:
      beta: total weighting at the levels j = 1, ..., N.
      mmse: E tr Cov(X_0 | X_v) there, in squared data units.
      variances: v_j, in squared data units.

    Source: eqs. (5) and (6) of arXiv 2406.12839, corrected.
    """
    return 0.5 * jnp.sum(beta * mmse / variances)


def equation_7(
    beta: Float[Array, " levels"], squares: Float[Array, "points levels"]
) -> Float[Array, ""]:
    """The empirical loss (1/(2n)) sum_ij f_ij, f_ij = beta_j |sigma_j S(X_ij) + xi_ij|^2.

    Args:
      beta: total weighting at the levels j = 1, ..., N.
      squares: |sigma_j S(X_ij) + xi_ij|^2 for data i and level j.

    Source: eq. (7) of arXiv 2406.12839.
    """
    return 0.5 * jnp.sum(beta[None, :] * squares) / squares.shape[0]


def equation_12_normalizer(p_std: Scalar) -> Float[Array, ""]:
    """Z = sqrt(2 pi) P_std, which the paper leaves open.

    Args:
      p_std: standard deviation of ln sigma over EDM's training levels, above 0.

    Source: eq. (12) of arXiv 2406.12839 and Table 1 of arXiv 2206.00364.
    """
    return jnp.sqrt(2 * jnp.pi) * p_std


def equation_12(
    weights: Float[Array, " k"], beta: Float[Array, " k"], residuals: Float[Array, " k"], z: Scalar
) -> Float[Array, ""]:
    """EDM's objective, (1/Z) int beta_EDM(sigma) E|sigma S + xi|^2 dsigma.

    Args:
      weights: of a quadrature rule in sigma, in data units.
      beta: beta_EDM at its nodes, in inverse data units.
      residuals: r there.
      z: Z; see `equation_12_normalizer`.

    Source: eq. (12) of arXiv 2406.12839.
    """
    return jnp.sum(weights * beta * residuals) / z

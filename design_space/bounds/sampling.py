"""Right-hand sides of Theorem 2, as printed, corrected and sharpened.

Notation: backward order, v_0 > ... > v_N the noise variances at the sampler's grid points,
h_j = v_j - v_{j+1}, e_j = E|s_j - L_j|^2 the mismatch of the score used in step j and the exact one
at the beginning of that step, d the dimension, m2^2 = E|X_0|^2. Every bound is in nats, on
KL(p_{v_N} | q_N), and on the path KL, which is not smaller.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, ArrayLike, Float, Scalar, float64, is_concrete
from design_space.checks import count, nonnegative, numbers, refusal, same_dimension
from design_space.numerics.defects import expm1_defect
from design_space.schedules.schedule import Schedule


class BoundTerms(eqx.Module):
    """A bound on the error of the sampler, split as the error budget is, in nats.

    Attributes:
      initialization: bound on E_I, the error of starting from N(0, v_0 I).
      score: bound on E_S, the error of the score.
      discretization: bound on E_D, the error of freezing the score over a step.
    """

    initialization: Float[Array, ""]
    score: Float[Array, ""]
    discretization: Float[Array, ""]

    @property
    def total(self) -> Float[Array, ""]:
        """The sum of the three terms."""
        return self.initialization + self.score + self.discretization


class Theorem2Constants(eqx.Module):
    """The constants of Theorem 2, one for each of its terms; printed as "up to a constant".

    With all of them 1 the corrected form holds, and for `diffusion` no smaller constant does.

    Attributes:
      initialization: of m2^2/v_0.
      score: of the score mismatches.
      diffusion: of the integrals of sigma_t^4/sigma_bar_t^4.
      first_step: of m2^2 int sigma_t^2 dt/v_0^2 over the first step.
      curvature: of the sum over v_j^2 - v_{j+1} v_{j-1}.
    """

    initialization: float = 1.0
    score: float = 1.0
    diffusion: float = 1.0
    first_step: float = 1.0
    curvature: float = 1.0


def theorem_2(
    dim: int,
    second_moment: Scalar,
    schedule: Schedule,
    score_mismatches: ArrayLike | Sequence[Any],
    constants: Theorem2Constants | None = None,
) -> BoundTerms:
    """Computes the right-hand side of Theorem 2 as printed.

      m2^2/v_0 + sum_j gamma_j sigma_{T-s_j}^2 e_j
      + d sum_j gamma_j int_{s_j}^{s_{j+1}} sigma_{T-t}^4/sigma_bar_{T-t}^4 dt
      + m2^2 int_0^{s_1} sigma_{T-t}^2 dt / v_0^2
      + (m2^2 + d) sum_{j=1}^{N-1} (1 - e^{-v_j}) (v_j^2 - v_{j+1} v_{j-1}) / (v_{j-1} v_j^2).

    It is proved where sigma_t is non-decreasing in t; it fails where that or
    v_j^2 >= v_{j+1} v_{j-1} does not hold.

    Args:
      dim: d, at least 1.
      second_moment: m2^2, at least 0, in squared data units.
      schedule: a schedule of N steps; its variance schedule enters the bound.
      score_mismatches: e_j for j = 0, ..., N - 1 in the sampler's order, [N], in inverse squared
        data units.
      constants: the constants; all 1 if left out.

    Returns:
      The terms, in nats. The discretization term may be negative.

    Raises:
      ValueError: if a number is negative or not finite, or there are not N mismatches.

    Source: Theorem 2 (eq. 11) of arXiv 2406.12839.
    """
    return _theorem_2(dim, second_moment, schedule, score_mismatches, constants, False)


def theorem_2_corrected(
    dim: int,
    second_moment: Scalar,
    schedule: Schedule,
    score_mismatches: ArrayLike | Sequence[Any],
    constants: Theorem2Constants | None = None,
) -> BoundTerms:
    """Computes the right-hand side of Theorem 2 with positive parts in the last sum.

    As `theorem_2`, with (v_j^2 - v_{j+1} v_{j-1})_+. It holds with all constants 1 for every grid,
    where sigma_t is non-decreasing in t.

    Args:
      dim: d, at least 1.
      second_moment: m2^2, at least 0, in squared data units.
      schedule: a schedule of N steps; its variance schedule enters the bound.
      score_mismatches: e_j for j = 0, ..., N - 1 in the sampler's order, [N], in inverse squared
        data units.
      constants: the constants; all 1 if left out.

    Returns:
      The terms, in nats.

    Raises:
      ValueError: if a number is negative or not finite, or there are not N mismatches.

    Source: Theorem 2 (eq. 11) of arXiv 2406.12839, corrected.
    """
    return _theorem_2(dim, second_moment, schedule, score_mismatches, constants, True)


def scale_aware(
    dim: int,
    second_moment: Scalar,
    schedule: Schedule,
    score_mismatches: ArrayLike | Sequence[Any],
    mmse: ArrayLike | Sequence[Any] | None = None,
) -> BoundTerms:
    """Computes the sharper bound that knows the scale of the data.

      E_I <= m2^2/(2 v_0),   E_S = (1/2) sum_j h_j e_j (an equality),
      E_D <= (d/2) sum_j [ln(v_j/v_{j+1}) - h_j/v_j] + (1/2) mu_0 h_0/v_0^2
             + (1/2) sum_{j=1}^{N-1} mu_j (v_j^2 - v_{j+1} v_{j-1})_+ / (v_{j-1} v_j^2),

    with mu_j = mmse(v_j), or its bound d m2^2 v_j/(m2^2 + d v_j). It needs nothing of sigma_t and
    depends on the schedule through its variances only.

    Args:
      dim: d, at least 1.
      second_moment: m2^2, at least 0, in squared data units.
      schedule: a schedule of N steps.
      score_mismatches: e_j for j = 0, ..., N - 1 in the sampler's order, [N], in inverse squared
        data units.
      mmse: mmse(v_j) = E tr Cov(X_0 | X_0 + sqrt(v_j) xi) or upper bounds of it, in the same order,
        [N], in squared data units.

    Returns:
      The terms, in nats.

    Raises:
      ValueError: if a number is negative or not finite, or there are not N entries.

    Source: Lemma 10 of arXiv 2406.12839 for E_I; for the rest the path identity, with
      I(v) = d/v - mmse(v)/v^2 and a sum by parts, since mmse(v) does not fall with v.
    """
    dim, m2_squared = count("dim", dim), float64(nonnegative("second_moment", second_moment))
    mismatches = _per_step("score_mismatches", score_mismatches, schedule)
    v, h = schedule.backward_variances[:-1], schedule.backward_variance_steps
    sigmas = schedule.backward_sigmas
    if mmse is None:
        mu = dim * m2_squared * v / (m2_squared + dim * v)
    else:
        mu = _per_step("mmse", mmse, schedule)
    log_ratios = 2 * jnp.log1p((sigmas[:-1] - sigmas[1:]) / sigmas[1:])  # ln(v_j/v_{j+1})
    curvature = jnp.maximum(_curvature(v, h), 0.0)
    return BoundTerms(
        initialization=m2_squared / (2 * v[0]),
        score=0.5 * jnp.sum(h * mismatches),
        discretization=0.5
        * (
            dim * jnp.sum(expm1_defect(-log_ratios))  # h_j/v_j = 1 - exp(-log_ratios)
            + mu[0] * h[0] / v[0] ** 2
            + jnp.sum(mu[1:] * curvature)
        ),
    )


def sampling_bounds(
    dim: int,
    second_moment: Scalar,
    schedule: Schedule,
    score_mismatches: ArrayLike | Sequence[Any],
    mmse: ArrayLike | Sequence[Any] | None = None,
) -> dict[str, BoundTerms]:
    """Computes every bound on the sampling error of a design, by statement id.

    Args:
      dim: d, at least 1.
      second_moment: m2^2, at least 0, in squared data units.
      schedule: a schedule of N steps.
      score_mismatches: e_j for j = 0, ..., N - 1 in the sampler's order, [N], in inverse squared
        data units.
      mmse: mmse(v_j) in the same order, [N], in squared data units, for the scale-aware bound.

    Returns:
      The bounds under `theorem-2`, `theorem-2-corrected` and `discretization-scale-aware`.

    Raises:
      ValueError: if a number is negative or not finite, or there are not N entries.
    """
    given = (dim, second_moment, schedule, score_mismatches)
    return {
        "theorem-2": theorem_2(*given),
        "theorem-2-corrected": theorem_2_corrected(*given),
        "discretization-scale-aware": scale_aware(*given, mmse),
    }


def _theorem_2(
    dim: int,
    second_moment: Scalar,
    schedule: Schedule,
    score_mismatches: ArrayLike | Sequence[Any],
    constants: Theorem2Constants | None,
    positive_parts: bool,
) -> BoundTerms:
    """Theorem 2 with or without positive parts in its last sum."""
    dim, m2_squared = count("dim", dim), float64(nonnegative("second_moment", second_moment))
    mismatches = _per_step("score_mismatches", score_mismatches, schedule)
    c = Theorem2Constants() if constants is None else constants
    v, h = schedule.backward_variances[:-1], schedule.backward_variance_steps
    gamma, times = schedule.backward_time_steps, schedule.backward_times
    integrals = schedule.variance.squared_ratio_integral(times[1:], times[:-1])
    curvature = _curvature(v, h)
    if positive_parts:
        curvature = jnp.maximum(curvature, 0.0)
    discretization = (
        c.diffusion * dim * jnp.sum(gamma * integrals)
        # int_0^{s_1} sigma_{T-t}^2 dt = h_0/2
        + c.first_step * m2_squared * h[0] / (2 * v[0] ** 2)
        + c.curvature * (m2_squared + dim) * jnp.sum(-jnp.expm1(-v[1:]) * curvature)
    )
    return BoundTerms(
        initialization=c.initialization * m2_squared / v[0],
        score=c.score * jnp.sum(gamma * schedule.backward_diffusions[:-1] * mismatches),
        discretization=discretization,
    )


def _curvature(v: Array, h: Array) -> Array:
    """(v_j^2 - v_{j+1} v_{j-1}) / (v_{j-1} v_j^2) for j = 1, ..., N - 1.

    It equals (h_j/v_j - h_{j-1}/v_{j-1}) / v_j, which cancels less.
    """
    removed = h / v
    return (removed[1:] - removed[:-1]) / v[1:]


def _per_step(field: str, values: ArrayLike | Sequence[Any], schedule: Schedule) -> Array:
    """Non-negative numbers, one for each sampler step."""
    array = float64(numbers(field, values, 1))
    same_dimension(field, array.shape[0], "schedule.steps", schedule.steps)
    if is_concrete(array) and np.any(array < 0):
        raise refusal(field, values, "non-negative", "check the signs")
    return array

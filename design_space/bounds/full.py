"""Right-hand sides of Theorem 3 and Corollary 1: training and sampling in one bound.

Notation: forward levels j = 1, ..., N; dt_j = t_j - t_{j-1}; beta_j the total weighting of the
loss, v_j = sigma_bar_j^2; e_j = E|S_j - L_j|^2. The excess of the loss is (1/2) sum_j beta_j v_j
e_j, and the score term of Theorem 2 is sum_j dt_j sigma_{t_j}^2 e_j, so that

  sum_j dt_j sigma_{t_j}^2 e_j <= 2 max_j (dt_j sigma_{t_j}^2/(beta_j v_j)) excess,

with equality where the quotient is the same at all levels. It is sigma_t^2/w(t) with the weight w
of score matching that belongs to beta: w = beta v/dt. As printed, w = beta sigma_bar/dt, and the
quotient is sigma_bar_j times this: too small at noise levels below 1.
"""

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, ArrayLike, Float, Scalar, float64
from design_space.bounds.sampling import (
    BoundTerms,
    Theorem2Constants,
    scale_aware,
    theorem_2,
    theorem_2_corrected,
)
from design_space.checks import nonnegative, ordered, positive
from design_space.schedules.schedule import Schedule
from design_space.weightings.base import AbstractWeighting
from design_space.weightings.conversions import to_w_corrected, to_w_printed


class Theorem3Constants(eqx.Module):
    """The constants of Theorem 3; printed as "up to a constant".

    Attributes:
      sampling: those of Theorem 2, of which `score` is not used.
      score: of max sigma_t^2/w times the terms of the loss. With 2 the corrected form holds beside
        the constants 1 of Theorem 2, and for it no smaller one does.
    """

    sampling: Theorem2Constants = Theorem2Constants()
    score: float = 2.0


def score_coefficient_printed(schedule: Schedule, weighting: AbstractWeighting) -> Float[Array, ""]:
    """max_j sigma_{t_j}^2/w(t_j) with the printed weight w = beta_j sigma_bar_j/dt_j.

    Args:
      schedule: a schedule of N steps.
      weighting: gives beta_j, above 0.

    Source: Theorem 3 and eq. (6) of arXiv 2406.12839.
    """
    return jnp.max(schedule.forward_diffusions[1:] / to_w_printed(weighting, schedule))


def score_coefficient(schedule: Schedule, weighting: AbstractWeighting) -> Float[Array, ""]:
    """max_j sigma_{t_j}^2/w(t_j) with the corrected weight w = beta_j sigma_bar_j^2/dt_j.

    Args:
      schedule: a schedule of N steps.
      weighting: gives beta_j, above 0.

    Source: Theorem 3 and eq. (6) of arXiv 2406.12839, corrected.
    """
    return jnp.max(schedule.forward_diffusions[1:] / to_w_corrected(weighting, schedule))


def step_coefficients(schedule: Schedule, weighting: AbstractWeighting) -> Float[Array, " levels"]:
    """h_j/(beta_j v_j): what a unit of the loss at level j costs the path.

    E_S = sum_j (h_j/(beta_j v_j)) (excess at level j) is an equality. It knows nothing of time.

    Args:
      schedule: a schedule of N steps.
      weighting: gives beta_j, above 0.

    Returns:
      The coefficients at the forward levels j = 1, ..., N, [N], in nats.
    """
    steps = schedule.forward_variance_steps
    return steps / (weighting.total(schedule) * schedule.forward_variances[1:])


def theorem_3(
    dim: int,
    second_moment: Scalar,
    schedule: Schedule,
    weighting: AbstractWeighting,
    loss: Scalar,
    constants: Theorem3Constants | None = None,
) -> BoundTerms:
    """Computes the right-hand side of Theorem 3 as printed.

      E_I + E_D + C max_j (sigma_{t_j}^2/w(t_j)) (eps_train + eps_n + eps_est + eps_approx),

    E_I and E_D as in Theorem 2, w(t_j) = beta_j sigma_bar_j/dt_j. It fails for any C: the quotient
    is too small by sigma_bar_j at the levels where it matters.

    Args:
      dim: d, at least 1.
      second_moment: m2^2, at least 0, in squared data units.
      schedule: a schedule of N steps; its variance schedule enters the bound.
      weighting: gives beta_j, above 0.
      loss: the sum of the four terms, at least 0.
      constants: the constants.

    Returns:
      The terms, in nats.

    Raises:
      ValueError: if a number is negative or not finite.

    Source: Theorem 3 of arXiv 2406.12839.
    """
    c = Theorem3Constants() if constants is None else constants
    given = theorem_2(dim, second_moment, schedule, jnp.zeros(schedule.steps), c.sampling)
    coefficient = c.score * score_coefficient_printed(schedule, weighting)
    return _with_score(given, coefficient, loss)


def theorem_3_corrected(
    dim: int,
    second_moment: Scalar,
    schedule: Schedule,
    weighting: AbstractWeighting,
    loss: Scalar,
    constants: Theorem3Constants | None = None,
) -> BoundTerms:
    """Computes the right-hand side of Theorem 3 with the weight that belongs to the loss.

    As `theorem_3` with w(t_j) = beta_j sigma_bar_j^2/dt_j, and with positive parts in E_D. With the
    constants 1 of Theorem 2 and C = 2 it holds for every grid where sigma_t is non-decreasing in t.

    Args:
      dim: d, at least 1.
      second_moment: m2^2, at least 0, in squared data units.
      schedule: a schedule of N steps; its variance schedule enters the bound.
      weighting: gives beta_j, above 0.
      loss: the sum of the four terms, at least 0.
      constants: the constants.

    Returns:
      The terms, in nats.

    Raises:
      ValueError: if a number is negative or not finite.

    Source: Theorem 3 of arXiv 2406.12839, corrected.
    """
    c = Theorem3Constants() if constants is None else constants
    given = theorem_2_corrected(dim, second_moment, schedule, jnp.zeros(schedule.steps), c.sampling)
    return _with_score(given, c.score * score_coefficient(schedule, weighting), loss)


def theorem_3_by_steps(
    dim: int,
    second_moment: Scalar,
    schedule: Schedule,
    weighting: AbstractWeighting,
    loss: Scalar,
    mmse: ArrayLike | None = None,
) -> BoundTerms:
    """Computes the sharper bound that knows the steps and the scale of the data.

      E_S <= max_j (h_j/(beta_j v_j)) (eps_train + eps_n + eps_est + eps_approx),

    E_I and E_D as in `scale_aware`. It needs nothing of sigma_t and depends on the schedule through
    its variances only; where sigma_t is non-decreasing it is not above `theorem_3_corrected`'s.

    Args:
      dim: d, at least 1.
      second_moment: m2^2, at least 0, in squared data units.
      schedule: a schedule of N steps.
      weighting: gives beta_j, above 0.
      loss: the sum of the four terms, at least 0.
      mmse: mmse(v_j) in the sampler's order, or upper bounds, [N], in squared data units.

    Returns:
      The terms, in nats.

    Raises:
      ValueError: if a number is negative or not finite.
    """
    given = scale_aware(dim, second_moment, schedule, jnp.zeros(schedule.steps), mmse)
    return _with_score(given, jnp.max(step_coefficients(schedule, weighting)), loss)


def _with_score(given: BoundTerms, coefficient: Array, loss: Scalar) -> BoundTerms:
    score = coefficient * float64(nonnegative("loss", loss))
    return BoundTerms(given.initialization, score, given.discretization)


class Corollary1Constants(eqx.Module):
    """The constants of Corollary 1; printed as "up to a constant", C8 and C9.

    Attributes:
      initialization: of m2^2/T^2.
      diffusion: of d a^2 (T/delta)^(1/a)/N.
      curvature: of the terms with m2^2 + d.
      score: of the score term as a whole.
      floor: C9, what training does not remove.
      rate: C8, of the contraction in a step of training.
    """

    initialization: Scalar = 1.0
    diffusion: Scalar = 1.0
    curvature: Scalar = 1.0
    score: Scalar = 1.0
    floor: Scalar = 1.0
    rate: Scalar = 1.0


class NetworkTraining(eqx.Module):
    """What Corollary 1 knows of the training.

    Attributes:
      points: n, number of data.
      width: m.
      learning_rate: h.
      iterations: K.
      exponent: a0, between 1/2 and 1.
    """

    points: Scalar
    width: Scalar
    learning_rate: Scalar
    iterations: Scalar
    exponent: Scalar = 0.75


def corollary_1(
    dim: Scalar,
    second_moment: Scalar,
    low: Scalar,
    high: Scalar,
    steps: Scalar,
    training: NetworkTraining,
    rho: Scalar = 7.0,
    constants: Corollary1Constants | None = None,
) -> BoundTerms:
    """Computes the right-hand side of Corollary 1 as printed, for EDM's designs.

      m2^2/T^2 + d a^2 (T/delta)^(1/a)/N
      + (m2^2 + d) (a^2 (T/delta)^(1/a)/N + a^3 (T/delta)^(2/a)/N^2)
      + (1/N) (C9 + (1 - C8 h m d^((a0-1)/2)/(n^3 N^2))^K),   a = rho.

    Args:
      dim: d, above 0.
      second_moment: m2^2, at least 0, in squared data units.
      low: delta, the smallest noise level, above 0.
      high: T, the largest, above delta.
      steps: N, above 0.
      training: n, m, h, K and a0.
      rho: exponent of EDM's times, above 0.
      constants: the constants; all 1 if left out.

    Returns:
      The terms, in nats.

    Raises:
      ValueError: if a number is out of its domain.

    Source: Corollary 1 of arXiv 2406.12839.
    """
    c = Corollary1Constants() if constants is None else constants
    given = _edm_sampling(dim, second_moment, low, high, steps, rho, c)
    return _with_score(given, 1 / float64(steps), _trained(dim, steps, training, c))


def corollary_1_corrected(
    dim: Scalar,
    second_moment: Scalar,
    low: Scalar,
    high: Scalar,
    steps: Scalar,
    training: NetworkTraining,
    rho: Scalar = 7.0,
    constants: Corollary1Constants | None = None,
) -> BoundTerms:
    """Computes Corollary 1 without 1/N before the score term.

    The factor 1/N is max_j sigma_t^2/w, where beta_j is read at each level; the loss is a sum over
    N levels then, and grows like N. With the mean over levels in its place the two cancel: the
    score term, (1/2) sum_j h_j e_j, tends to (1/2) int e(v) dv as N grows.

    Args, Returns, Raises: as for `corollary_1`.

    Source: Corollary 1 of arXiv 2406.12839, corrected.
    """
    c = Corollary1Constants() if constants is None else constants
    given = _edm_sampling(dim, second_moment, low, high, steps, rho, c)
    return _with_score(given, jnp.ones(()), _trained(dim, steps, training, c))


def _edm_sampling(
    dim: Scalar,
    second_moment: Scalar,
    low: Scalar,
    high: Scalar,
    steps: Scalar,
    rho: Scalar,
    c: Corollary1Constants,
) -> BoundTerms:
    """E_I and E_D of Corollary 1."""
    ordered("low", low, "high", high)
    d, m2_squared = float64(positive("dim", dim)), float64(nonnegative("m2", second_moment))
    n, a = float64(positive("steps", steps)), float64(positive("rho", rho))
    ratio = (float64(high) / float64(positive("low", low))) ** (1 / a)
    first = a**2 * ratio / n
    second = a**3 * ratio**2 / n**2
    return BoundTerms(
        c.initialization * m2_squared / float64(high) ** 2,
        jnp.zeros(()),
        c.diffusion * d * first + c.curvature * (m2_squared + d) * (first + second),
    )


def _trained(
    dim: Scalar, steps: Scalar, training: NetworkTraining, c: Corollary1Constants
) -> Array:
    """C (C9 + (1 - C8 h m d^((a0-1)/2)/(n^3 N^2))^K)."""
    t, d = training, float64(dim)
    gain = c.rate * t.learning_rate * t.width * d ** ((t.exponent - 1) / 2)
    factor = 1 - gain / (float64(t.points) ** 3 * float64(steps) ** 2)
    return c.score * (c.floor + factor ** float64(t.iterations))

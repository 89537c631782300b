"""The population loss of a score: its floor, what a wrong score adds, and a plain sampled twin."""

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import EPS, Array, Float, Key, named_key
from design_space.errors.discretization import summed
from design_space.errors.score import score_errors
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import mean_estimate
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.targets.base import AbstractTarget
from design_space.training.population import loss_floor
from design_space.weightings.base import AbstractWeighting

_CHUNK = 256  # Monte-Carlo points held at a time


class PopulationLoss(eqx.Module):
    """The population loss (1/2) sum_j beta_j E|sigma_j S + xi|^2 in its two parts.

    Attributes:
      floors: (1/2) beta_j mmse(v_j)/v_j at each level j = 1, ..., N, shape [levels].
      excesses: (1/2) beta_j v_j E|S - L_j|^2 at each level, shape [levels].
      floor: the sum of the floors, -C_bar: the loss of the exact score.
      excess: the sum of the excesses, zero for the exact score only.
      total: the population loss.
    """

    floors: Estimate
    excesses: Estimate
    floor: Estimate
    excess: Estimate
    total: Estimate


def level_excesses(
    score_steps: Estimate, schedule: Schedule, weighting: AbstractWeighting
) -> Estimate:
    """The population excess of each level, (1/2) beta_j v_j E|S - L_j|^2, from the terms of E_S.

    A term of E_S is (1/2) h_j E|s_j - L_{v_j}|^2, in the sampler's order; levels ascend in noise.

    Args:
      score_steps: the contribution of every step to E_S, shape [steps].
      schedule: the noise schedule.
      weighting: gives beta_j.
    """
    beta, variances = weighting.total(schedule), schedule.forward_variances[1:]
    forward = Estimate(score_steps.value[::-1], score_steps.error[::-1], score_steps.method)
    excesses = forward.scaled(beta * variances / schedule.forward_variance_steps)
    rounding = 8 * EPS * excesses.value
    return Estimate(excesses.value, excesses.error + rounding, excesses.method)


def population_loss(
    target: AbstractTarget,
    schedule: Schedule,
    weighting: AbstractWeighting,
    score: AbstractScore,
    *,
    key: Key | None = None,
    samples: int = 4096,
) -> PopulationLoss:
    """The population loss of denoising score matching, exactly where that is possible.

    By Tweedie's formula E(xi | X) = -sigma L, so the loss splits into a floor and squares of score
    errors, and the excess is never a difference of two losses.

    Args:
      target: the data law.
      schedule: gives the levels sigma_1 < ... < sigma_N.
      weighting: gives beta_j.
      score: the score model.
      key: random key, needed where only Monte Carlo is left.
      samples: draws per noise level then.

    Returns:
      Floor, excess and total: closed form for Gaussian data and affine scores, quadrature on the
      line, else Monte Carlo with 99 % intervals.

    Raises:
      ValueError: if a key is needed and missing, a beta_j is not finite or negative, or the score
        is of another dimension.

    Source: eqs. (4)-(6) of arXiv 2406.12839, corrected.
    """
    _check_score(score, target)
    floors = loss_floor(target, schedule, weighting, key=key, samples=samples)
    # Monte Carlo by an unasked-for key would be a surprise: without one, it is refused.
    found = score_errors(target, schedule, score, _key(key), samples)
    if key is None and found.method == "monte carlo":
        raise ValueError(
            "key = None: must be a random key, since the score errors have neither a closed form "
            "nor a quadrature here; pass key=jax.random.key(0)"
        )
    excesses = level_excesses(found, schedule, weighting)
    floor, excess = summed(floors), summed(excesses)
    return PopulationLoss(floors, excesses, floor, excess, floor + excess)


def _check_score(score: AbstractScore, target: AbstractTarget) -> None:
    """Checks that a score takes points of the target's dimension."""
    point, level = jax.ShapeDtypeStruct((target.dim,), float), jax.ShapeDtypeStruct((), float)
    try:
        fits = eqx.filter_eval_shape(score, point, level).shape == point.shape
    except (TypeError, ValueError):  # matrices that do not fit
        fits = False
    if not fits:
        domain, remedy = f"{target.dim}, the target's", "make the score for this dimension"
        raise checks.refusal("dimension of the score", type(score).__name__, domain, remedy)


def _key(key: Key | None) -> Key:
    return jax.random.key(0) if key is None else key


def fresh_loss(
    score: AbstractScore,
    target: AbstractTarget,
    schedule: Schedule,
    weighting: AbstractWeighting,
    key: Key,
    samples: int = 4096,
) -> Estimate:
    """The empirical loss on a large fresh sample, an unbiased estimate of the population loss.

    It draws data and noise as training does and knows nothing of the exact score.

    Args:
      score: the score model.
      target: the data law.
      schedule: gives the levels sigma_1 < ... < sigma_N.
      weighting: gives beta_j.
      key: random key.
      samples: number of data points, at least 2, each with one noise at every level.

    Returns:
      The loss with its 99 % interval.

    Raises:
      ValueError: if samples < 2.
    """
    checks.count("samples", samples, 2)
    sigmas, beta = schedule.forward_sigmas[1:], weighting.total(schedule)
    return mean_estimate(_point_losses(score, target, sigmas, beta, key, samples))


@eqx.filter_jit
def _point_losses(
    score: AbstractScore,
    target: AbstractTarget,
    sigmas: Array,
    beta: Array,
    key: Key,
    samples: int,
) -> Float[Array, " samples"]:
    """(1/2) sum_j f_ij of every point."""
    points = target.sample(named_key(key, "points"), samples)
    keys = jax.random.split(named_key(key, "noise"), samples)

    def point(args: tuple[Array, Key]) -> Array:
        x, own = args
        noise = jax.random.normal(own, (sigmas.shape[0], x.shape[0]), x.dtype)
        at = jax.vmap(lambda s, xi: s * score(x + s * xi, s) + xi)(sigmas, noise)
        return 0.5 * jnp.sum(beta[:, None] * at**2)

    return jax.lax.map(point, (points, keys), batch_size=min(_CHUNK, samples))

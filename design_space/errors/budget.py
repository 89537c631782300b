"""The error budget of a design, from the exact path identity.

KL_path = E_I + E_S + E_D, and the marginal KL(p_{v_N} | q_N) never exceeds it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Key, is_concrete
from design_space.errors.design import SamplerDesign
from design_space.errors.discretization import discretization_errors, summed
from design_space.errors.initialization import initialization_error
from design_space.errors.marginal import marginal_errors, square_root
from design_space.errors.path import path_terms
from design_space.errors.score import score_errors
from design_space.numerics.estimate import Estimate
from design_space.sampling.moves import check_dimension
from design_space.sampling.steppers import AbstractStepper, Frozen, given_or_paper
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.scores.exact import exact_score
from design_space.targets.base import AbstractTarget


class ErrorBudget(eqx.Module):
    """Where the error of a design comes from. KL in nats, W2 in data units.

    Attributes:
      initialization: E_I = KL(p_{v_0} | N(0, v_0 I)).
      discretization: E_D = (1/2) sum_j int (I(v) - I(v_j)) dv over the steps.
      score: E_S = (1/2) sum_j h_j E|s_j - L_{v_j}|^2.
      path_kl: their sum, the KL of the whole sampling path.
      marginal_kl: KL(p_{v_N} | q_N), at most path_kl; not available where only sampling is left
        and its interval is wider than that.
      w2: W2(p_{v_N}, q_N).
      discretization_steps: the contribution of each step to E_D, shape [steps].
      score_steps: the contribution of each step to E_S, shape [steps].
    """

    initialization: Estimate
    discretization: Estimate
    score: Estimate
    path_kl: Estimate
    marginal_kl: Estimate
    w2: Estimate
    discretization_steps: Estimate
    score_steps: Estimate


def error_budget(
    target: AbstractTarget,
    schedule: Schedule,
    score: AbstractScore | None = None,
    *,
    key: Key | None = None,
    samples: int = 4096,
    stepper: AbstractStepper | None = None,
) -> ErrorBudget:
    """Computes the error budget of a sampler.

    For another sampler than the paper's, E_D is what a step adds to the path KL with the exact
    score, and E_S what another score adds to that. A sampler that moves without noise, or more than
    once in a step, has no path KL; its marginal errors remain.

    Args:
      target: the data law.
      schedule: the noise schedule.
      score: the score model; the exact score unless given.
      key: random key for what can only be sampled; jax.random.key(0) unless given.
      samples: Monte-Carlo draws per noise level then, at least 64.
      stepper: the sampler; the frozen-score sampler of the paper unless given.

    Returns:
      The budget; each entry has its error and method.

    Raises:
      ValueError: if samples is below 64.
    """
    checks.count("samples", samples, least=64)
    score = exact_score(target) if score is None else score
    key = jax.random.key(0) if key is None else key
    stepper = given_or_paper(stepper, "stepper")
    check_dimension(stepper.moves(schedule), target.dim)
    _check_score(score, target, schedule, stepper)
    variances, steps = schedule.backward_variances, schedule.backward_variance_steps
    initialization = initialization_error(target, variances[0], key, samples)
    design = SamplerDesign(target, schedule, score, stepper)
    per_step, per_score = _path(design, key, samples)
    marginals = marginal_errors(target, schedule, score, key, samples, stepper)
    discretization, score_total = summed(per_step), summed(per_score)
    path_kl = initialization + discretization + score_total
    budget = ErrorBudget(
        initialization,
        discretization,
        score_total,
        path_kl,
        _informative(marginals.marginal_kl, path_kl),
        square_root(marginals.w2_squared),
        per_step,
        per_score,
    )
    if is_concrete(schedule):
        return budget
    falling = (variances[-1] > 0) & jnp.all(steps > 0)
    return jax.tree.map(lambda leaf: jnp.where(falling, leaf, jnp.nan), budget)


def _path(design: SamplerDesign, key: Key, samples: int) -> tuple[Estimate, Estimate]:
    """What each step adds to E_D and to E_S."""
    target, schedule, score, stepper = design
    if isinstance(stepper, Frozen):
        grid = (schedule.backward_variances, schedule.backward_variance_steps)
        per_step = discretization_errors(target, *grid, key, samples)
        return per_step, score_errors(target, schedule, score, key, samples)
    found = path_terms(design, key, samples)
    if isinstance(found, str):
        return Estimate.unavailable(found), Estimate.unavailable(found)
    return found.discretization, found.score


def _informative(marginal: Estimate, path: Estimate) -> Estimate:
    """Withdraws a sampled marginal KL whose interval says less than 0 <= KL <= path KL does."""
    sampled = marginal.method == "monte carlo" and path.method != "unavailable"
    if not sampled or not is_concrete(marginal.error, path.value):
        return marginal
    error, most = float(marginal.error), float(path.value + path.error)
    if error <= most:
        return marginal
    return Estimate.unavailable(
        f"sampling leaves an interval of +-{error:.2g}, wider than what the path KL allows, which "
        f"is 0 to {most:.4g}; take more samples, or a score nearer to the exact one"
    )


@eqx.filter_jit
def _at_levels(score: AbstractScore, point: Array, sigmas: Array) -> Array:
    return jax.vmap(lambda sigma: score(point, sigma))(sigmas)


def _check_score(
    score: AbstractScore, target: AbstractTarget, schedule: Schedule, stepper: AbstractStepper
) -> None:
    """Asks a concrete score for one point at every level of the sampler, before anything long.

    Raises:
      ValueError: if its shape is not that of the point, or it is not finite.
    """
    if score.is_exact_for(target) or not is_concrete(score, target, schedule):
        return
    levels = [sigmas for move in stepper.moves(schedule) for sigmas in move.sigmas]
    point, sigmas = target.mean(), jnp.concatenate(levels)
    score(point, sigmas[0])  # raises on a wrong shape, where a host's error keeps its kind
    values = np.asarray(_at_levels(score, point, sigmas))
    bad = ~np.all(np.isfinite(values), axis=1)
    if np.any(bad):
        level = float(sigmas[int(np.argmax(bad))])
        raise ValueError(
            f"score(x, {level:.6g}) = NaN or infinite at the mean of the data: must be finite at "
            "every noise level at which the sampler asks it; check it there; a score that is held "
            "level by level takes a sampler that asks at those, for instance FlowEuler"
        )

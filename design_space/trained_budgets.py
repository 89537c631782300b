"""The budgets of a training: the sampler with the score of each chosen step."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import Array, Key, is_concrete
from design_space.bounds.full import theorem_3, theorem_3_corrected
from design_space.errors.decomposition import (
    LossTerms,
    loss_decomposition,
    population_terms,
)
from design_space.errors.discretization import summed
from design_space.errors.score import score_errors
from design_space.errors.training import level_excesses
from design_space.evaluate import Evaluation, evaluate
from design_space.numerics.estimate import Estimate
from design_space.sampling.steppers import PAPER, AbstractStepper, Frozen
from design_space.schedules.schedule import Schedule
from design_space.scores.model import AbstractModel
from design_space.targets.base import AbstractTarget
from design_space.training.population import PopulationSolvable
from design_space.training.runs import Run
from design_space.weightings.base import AbstractWeighting

Told = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and of how much."""


class Design(NamedTuple):
    """What is trained for and sampled with, apart from the model."""

    target: AbstractTarget
    schedule: Schedule
    weighting: AbstractWeighting
    sampler: AbstractStepper = PAPER


def budgets(
    design: Design,
    run: Run,
    population: PopulationSolvable | None,
    seed: int,
    draws: int,
    progress: Told | None,
) -> tuple[tuple[Evaluation, ...], tuple[LossTerms, ...] | None]:
    """The budget at each chosen step, and the terms of the loss where they are known.

    Args:
      design: what was trained for.
      run: the run.
      population: the population loss, where it is solvable.
      seed: seed of what can only be sampled.
      draws: Monte-Carlo draws per noise level then.
      progress: told how many budgets are done.
    """
    found, count = [], len(run.models)
    for i, model in enumerate(run.models):
        if is_concrete(run.lost) and bool(run.lost[i]):
            reason = divergence(run.diverged_at, run.learning_rate, run.stability_limit)
            found.append(Evaluation.unavailable(reason, seed, draws))
        else:
            own = (design.target, design.schedule, model, design.sampler)
            budget = evaluate(*own, seed=seed, samples=draws)
            found.append(_masked(budget, run.lost[i]))
        if progress is not None:
            progress("error budgets", i + 1, count)
    terms = _terms(run, population)
    return (tuple(found) if terms is None else _with_bounds(found, design, terms)), terms


def _with_bounds(
    budgets: Sequence[Evaluation], design: Design, terms: tuple[LossTerms, ...]
) -> tuple[Evaluation, ...]:
    """The budgets with Theorem 3 listed among their bounds, where there is a budget."""
    target, schedule, weighting, sampler = design
    if not isinstance(sampler, Frozen):
        return tuple(budgets)
    statements = {"theorem-3": theorem_3, "theorem-3-corrected": theorem_3_corrected}

    def listed(budget: Evaluation, loss: Array) -> Evaluation:
        if budget.score.reason is not None:
            return budget
        given = (target.dim, target.second_moment(), schedule, weighting, loss)
        found = {name: statement(*given).total for name, statement in statements.items()}
        return eqx.tree_at(lambda e: e.bounds, budget, budget.bounds | found)

    return tuple(listed(b, t.total.value) for b, t in zip(budgets, terms, strict=True))


def _masked(budget: Evaluation, lost: Array) -> Evaluation:
    """The budget, with NaN in place of every number where a traced run has diverged."""
    if is_concrete(lost):
        return budget
    return jax.tree.map(lambda leaf: jnp.where(lost, jnp.nan, leaf), budget)


def divergence(step: Any, learning_rate: Any, stability_limit: Any) -> str:
    """Why the budgets of a run that diverged are missing.

    Args:
      step: a step by which it was found to diverge.
      learning_rate: h.
      stability_limit: 2/lambda_max.
    """
    limit = float(stability_limit)
    return (
        f"training diverged, or lost every active neuron, by step {int(step)}: "
        f"learning_rate = {float(learning_rate):.4g}, and gradient descent is stable below "
        f'2/lambda_max = {limit:.4g}; take "auto" ({limit / 2:.4g}) or less'
    )


def excesses(
    found: Sequence[Evaluation],
    scores: Sequence[AbstractModel],
    design: Design,
    key: Key,
    draws: int,
) -> tuple[Estimate, ...]:
    """The population excess of each score; the paper's sampler has it in its budget.

    Args:
      found: the budgets.
      scores: the trained score of each.
      design: what was trained for.
      key: random key.
      draws: Monte-Carlo draws per noise level.
    """

    def one(budget: Evaluation, score: AbstractModel) -> Estimate:
        steps = budget.score_steps
        if not isinstance(design.sampler, Frozen) and budget.initialization.reason is None:
            steps = score_errors(design.target, design.schedule, score, key, draws)
        if steps.reason is not None:
            return steps
        return summed(level_excesses(steps, design.schedule, design.weighting))

    return tuple(one(budget, score) for budget, score in zip(found, scores, strict=True))


def _terms(run: Run, population: PopulationSolvable | None) -> tuple[LossTerms, ...] | None:
    """The parts of the score error at each chosen step, where both losses are squares."""
    if population is None or run.solution is None:
        return None
    rate = run.learning_rate
    if isinstance(run.solution, PopulationSolvable):
        return tuple(population_terms(run.solution, step, rate) for step in run.steps)
    parts = loss_decomposition(run.solution, population)
    return tuple(parts.at(step, rate) for step in run.steps)

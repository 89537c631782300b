"""The whole chain: train a score model, sample with it, and account for every error of the sampler.

One run of gradient descent gives a budget at each chosen step. The trained score enters the laws as
any other score: affine ones in closed form, any score on the line by its density, particles else.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from design_space import checks
from design_space.arrays import Array, float64, is_concrete, named_key
from design_space.errors.discretization import summed
from design_space.evaluate import Evaluation, evaluate
from design_space.sampling.steppers import given_or_paper
from design_space.schedules.schedule import Schedule
from design_space.scores.model import AbstractModel
from design_space.specification import Specification
from design_space.targets.base import AbstractTarget
from design_space.trained_budgets import Design, Told, budgets, excesses
from design_space.trained_evaluation import TrainedEvaluation
from design_space.training.memory import check_draws
from design_space.training.objective import DenoisingData, denoising_data
from design_space.training.population import (
    PopulationSolvable,
    loss_floor,
    population_solvable,
)
from design_space.training.runs import METHODS, Run, chosen_steps, closed_form_run, simulated_run
from design_space.training.solvable import solvable
from design_space.training.train import Progress
from design_space.weightings.base import AbstractWeighting

POPULATION = "population"
"""In place of a number of samples: gradient descent on the population loss."""

_SAME = 1e-5  # relative, at which numbers count as one: data may be of single precision


def training_data(
    target: AbstractTarget,
    schedule: Schedule,
    weighting: AbstractWeighting,
    samples: int,
    *,
    seed: Any = 0,
    dtype: Any = "float64",
) -> DenoisingData:
    """Draws the points and the noise of an empirical loss.

    Args:
      target: the data law.
      schedule: gives the levels sigma_1 < ... < sigma_N.
      weighting: gives beta_j.
      samples: number n of points.
      seed: seed of both; may be traced.
      dtype: "float32" or "float64", the number type of training.

    Raises:
      ValueError: if a number is out of its domain.
      MemoryError: if they do not fit into memory.
    """
    check_draws(checks.count("samples", samples), schedule.steps, target.dim)
    key = jax.random.key(checks.seed("seed", seed))
    points = target.sample(named_key(key, "training points"), samples)
    return denoising_data(points, schedule, weighting, named_key(key, "training noise"), dtype)


def evaluate_training(
    target: Any,
    schedule: Any,
    weighting: Any,
    model: Any,
    sampler: Any = None,
    *,
    steps: Any = 1000,
    samples: int | str = 100,
    data: DenoisingData | None = None,
    learning_rate: Any = "auto",
    method: str = "auto",
    seed: int = 0,
    draws: int = 4096,
    checkpoint: str | Path | None = None,
    progress: Told | None = None,
) -> TrainedEvaluation:
    """Trains a score model by full-batch gradient descent and evaluates the sampler on the way.

    For Gaussian data and models affine in x and in their weights every number is in closed form,
    and the whole function may be traced (jit, vmap) in the data, the numbers of the design, the
    steps and the learning rate; where a traced run diverges its numbers are NaN.

    Args:
      target: the data law.
      schedule: the noise schedule of training and of the sampler.
      weighting: gives the total weighting beta_j of the loss.
      model: the initial model.
      sampler: the sampler; the frozen-score sampler of the paper unless given.
      steps: the steps of gradient descent at which a budget is wanted, ascending; one number for
        the end of the run only.
      samples: number n of points drawn from the target; "population" for gradient descent on the
        population loss, where that is solvable.
      data: points and noise of your own in place of drawn ones (`denoising_data`).
      learning_rate: above 0; "auto", half of the stability limit; or "printed", Theorem 1's.
      method: "closed form", "simulated", or "auto": the closed form where there is one.
      seed: seed of the data, and of what can only be sampled.
      draws: Monte-Carlo draws per noise level then, at least 64.
      checkpoint: a file NAME.npz of a simulated run: the piece up to each chosen step is kept in
        NAME-STEP.npz, and a run that was killed goes on from there.
      progress: told what is being done, how much of it is done, and of how much.

    Returns:
      The budgets at the chosen steps, with losses, excesses and learning rate. From where the run
      diverged they are not available, with the reason.

    Raises:
      ValueError: if an argument is out of its domain, or two cannot be combined.
      MemoryError: if the run does not fit into memory.
    """
    design = Design(target, schedule, weighting, given_or_paper(sampler))
    _check_kinds(design, model)
    float64(0.0)
    chosen, how = chosen_steps(steps), _method(model, method, samples, data, checkpoint)
    data = _checked_data(data, design, model, samples, seed)
    key = named_key(jax.random.key(seed), "population")
    population = _population(design, model, key, draws, data, how)
    walk = {"checkpoint": checkpoint, "progress": _steps_told(progress)}
    run = _run(how, model, data, population, chosen, learning_rate, walk)
    found, terms = budgets(design, run, population, seed, draws, progress)
    return TrainedEvaluation(
        run.steps,
        found,
        run.models,
        run.losses,
        excesses(found, run.models, design, key, draws),
        summed(loss_floor(*design[:3], key=key, samples=draws)),
        terms,
        run.learning_rate,
        run.stability_limit,
        run.diverged_at,
        how,
        data.points.shape[0] if data is not None else POPULATION,
    )


def evaluate_specification(
    design: Specification,
    *,
    seed: int = 0,
    draws: int = 4096,
    checkpoint: str | Path | None = None,
    progress: Told | None = None,
) -> Evaluation | TrainedEvaluation:
    """Evaluates the design of a specification, training its score if it says so.

    Args:
      design: the specification.
      seed: seed of what can only be sampled; that of training stands in the specification.
      draws: Monte-Carlo draws per noise level then, at least 64.
      checkpoint: a file to resume a simulated training from; see `evaluate_training`.
      progress: told what is being done, how much of it is done, and of how much.

    Raises:
      ValueError: if the design cannot be evaluated.
      MemoryError: if the training does not fit into memory.
    """
    grid, target = design.schedule(), design.target()
    if not design.trains:
        if checkpoint is not None:
            domain = "absent: nothing is trained"
            raise checks.refusal("checkpoint", str(checkpoint), domain, "remove it")
        score, sampler = design.score(grid), design.sampler(grid)
        return evaluate(target, grid, score, sampler, seed=seed, samples=draws)
    settings, weighting, model = design.training, design.weighting(), design.model(grid)
    samples, data = settings["samples"], None
    if samples != POPULATION:
        kind = model.weights()[0].dtype
        own = settings["seed"]
        data = training_data(target, grid, weighting, samples, seed=own, dtype=kind)
    return evaluate_training(
        target,
        grid,
        weighting,
        model,
        design.sampler(grid),
        steps=settings["budgets"],
        samples=samples,
        data=data,
        learning_rate=settings["learning_rate"],
        method=settings["method"],
        seed=seed,
        draws=draws,
        checkpoint=checkpoint,
        progress=progress,
    )


def _check_kinds(design: Design, model: object) -> None:
    """Refuses what is not a part of a design, with the way to make one."""
    kinds = (
        ("target", design.target, AbstractTarget, "a target", "ds.Empirical(x)"),
        ("schedule", design.schedule, Schedule, "a schedule", "ds.edm(steps=50)"),
        (
            "weighting",
            design.weighting,
            AbstractWeighting,
            "a weighting",
            "ds.weightings.uniform()",
        ),
        ("model", model, AbstractModel, "a trained model", "ds.per_level_affine(dim, schedule)"),
    )
    for field, value, kind, domain, example in kinds:
        if not isinstance(value, kind):
            raise checks.refusal(field, value, domain, f"build one, for instance {example}")


def _checked_data(
    data: DenoisingData | None, design: Design, model: AbstractModel, samples: Any, seed: int
) -> DenoisingData | None:
    """Draws data, or refuses those of another dimension, other levels or another weighting."""
    target, schedule, weighting = design[:3]
    if samples == POPULATION:
        return None
    if data is None:
        return training_data(
            target, schedule, weighting, samples, seed=seed, dtype=model.weights()[0].dtype
        )
    dim = target.dim
    checks.same_dimension("data.points.shape[1]", data.points.shape[1], "the target", dim)
    own = (("sigmas", data.sigmas, schedule.forward_sigmas[1:], "levels of the schedule"),)
    own += (("beta", data.beta, weighting.total(schedule), "total weighting"),)
    for name, given, wanted, what in own:
        if not is_concrete(given, wanted):
            continue
        close = given.shape == wanted.shape and np.allclose(given, wanted, rtol=_SAME, atol=0)
        if not close:
            remedy = "make the data with this schedule and weighting"
            raise checks.refusal(f"data.{name}", given, f"the {what}", remedy)
    return data


def _method(
    model: AbstractModel,
    method: str,
    samples: Any,
    data: DenoisingData | None,
    checkpoint: Any,
) -> str:
    """How the run is had; refuses what cannot be combined."""
    checks.one_of("method", method, METHODS)
    if isinstance(samples, str) and samples != POPULATION:
        raise checks.refusal("samples", samples, 'a whole number or "population"', "give a number")
    how = method if method != "auto" else "closed form" if model.is_linear else "simulated"
    if how == "closed form" and not model.is_linear:
        remedy = 'take method = "simulated"'
        raise checks.refusal("method", how, "for models affine in their weights only", remedy)
    if samples == POPULATION and data is not None:
        raise checks.refusal("samples", samples, "a number beside data", "leave samples out")
    if samples == POPULATION and how == "simulated":
        domain = "a number of samples: a simulated run needs data"
        raise checks.refusal(
            "samples", samples, domain, "draw many, or take a model affine in its weights"
        )
    if how == "closed form" and checkpoint is not None:
        domain = "absent in closed form: nothing is run"
        raise checks.refusal(
            "checkpoint", str(checkpoint), domain, 'remove it, or take method = "simulated"'
        )
    return how


def _population(
    design: Design, model: AbstractModel, key: Any, draws: int, data: Any, how: str
) -> PopulationSolvable | None:
    """Gradient descent on the population loss, where it is solvable; refused if it must be."""
    target, schedule, weighting = design[:3]
    sigma = schedule.forward_sigmas[1]
    there_is = eqx.filter_eval_shape  # nothing is computed
    simple = model.is_linear and there_is(model.row, target.mean(), sigma) is not None
    integrable = target.dim == 1 and there_is(model.kinks, sigma) is not None
    known = simple and (there_is(model.affine, sigma) is not None or integrable)
    if data is not None and (how == "simulated" or not known):
        return None
    return population_solvable(model, target, schedule, weighting, key=key, samples=draws)


def _run(
    how: str,
    model: AbstractModel,
    data: DenoisingData | None,
    population: PopulationSolvable | None,
    steps: Array,
    rate: Any,
    walk: dict[str, Any],
) -> Run:
    """The run on the data, or without them on the population loss; `walk` is for simulated ones."""
    if how == "simulated":
        assert data is not None  # _method refuses the population loss here
        return simulated_run(model, data, steps, rate, **walk)
    solution = population if data is None else solvable(model, data)
    assert solution is not None  # it is refused where it must be solved and cannot
    return closed_form_run(solution, steps, rate, data)


def _steps_told(progress: Told | None) -> Callable[[Progress], None] | None:
    if progress is None:
        return None
    return lambda found: progress("gradient descent steps", found.done, found.total)

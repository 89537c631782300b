"""Training runs from beginning to end: learning rate, records, checkpoints, divergence."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from design_space import checks
from design_space.arrays import Array, Float, Int
from design_space.scores.model import AbstractModel
from design_space.training.checkpoint import digest, load, rule_digest, save, structure
from design_space.training.descent import GradientDescent, Info, State, Transform, rounding
from design_space.training.ensemble import Ensemble, member
from design_space.training.guards import (
    check_labels,
    check_model,
    check_objective,
    check_rule,
    of_member,
    refuse_divergence,
    refuse_memory,
)
from design_space.training.learning_rate import RULES, read_learning_rate
from design_space.training.losses import DENOISING, AbstractLoss
from design_space.training.memory import check_memory
from design_space.training.objective import DenoisingData

ON_DIVERGENCE = ("raise", "record")
_MOST_STEPS = 2**31 - 1  # steps are counted in int32
_CHUNK = 16  # records in one compiled program; between two of them a run can be resumed


class Progress(NamedTuple):
    """How far a run has come.

    Attributes:
      done: steps done.
      total: steps in all.
      seconds_left: an estimate from the pace so far.
    """

    done: int
    total: int
    seconds_left: float


class Training(eqx.Module):
    """A finished run, or an ensemble of them with the members along the first axis of every array.

    Attributes:
      model: with the last weights.
      info: what was measured, with the records along the first axis (after the members).
      steps: the step of each record, shape [records].
      learning_rate: h.
      diverged_at: the step at which a run was found to diverge, or to have lost every active
        neuron (the loss is above 0 and its gradient is exactly 0: nothing moves any more); -1 where
        it was not.
    """

    model: AbstractModel
    info: Info
    steps: Int[np.ndarray, " records"]
    learning_rate: Float[Array, "..."]
    diverged_at: Int[Array, "..."]


def record_steps(steps: int, records: int | Sequence[Any]) -> Int[np.ndarray, " records"]:
    """The steps at which a run is measured.

    Args:
      steps: steps in all, at least 1.
      records: how many measurements after the first, evenly spread; or the steps themselves, of
        which the last one ends the run.

    Raises:
      ValueError: if a number is out of range or the steps do not ascend.
    """
    if checks.count("steps", steps) > _MOST_STEPS:
        raise checks.refusal("steps", steps, f"at most {_MOST_STEPS}", "train in several runs")
    if isinstance(records, int | np.integer):
        checks.count("records", records)
        return np.unique(np.linspace(0, steps, min(records, steps) + 1).round().astype(np.int32))
    at = np.asarray(records)
    whole = at.ndim == 1 and at.dtype.kind in "iu" and len(at)
    if not whole or np.any(np.diff(at) <= 0) or at[0] < 0 or at[-1] > steps:
        domain = f"a number, or ascending steps between 0 and {steps}, all whole"
        raise checks.refusal("records", records, domain, "sort them, and end by the last step")
    return at.astype(np.int32)


def train(
    model: AbstractModel,
    data: DenoisingData,
    *,
    steps: int,
    learning_rate: float | str = "auto",
    records: int | Sequence[int] = 100,
    transform: Transform = optax.sgd,
    objective: AbstractLoss = DENOISING,
    checkpoint: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    on_divergence: str = "raise",
) -> Training:
    """Trains one model by gradient descent, full-batch unless the loss draws its data anew.

    Args:
      model: the initial model.
      data: what the loss is made of.
      steps: number of steps, at least 1.
      learning_rate: h; "auto" takes half of the stability limit at initialization, "printed"
        Theorem 1's.
      records: how many measurements, or at which steps.
      transform: optax's update rule, made from the learning rate.
      objective: the loss; the denoising loss on the data as they are unless given.
      checkpoint: a file to resume from and to keep the run in; none unless given.
      progress: told how far the run has come, from time to time.
      on_divergence: "raise", or "record" to return what there is.

    Raises:
      ValueError: if an argument is out of its domain, the checkpoint is of another run, or the run
        diverges; the message names the stability limit.
      MemoryError: if the run does not fit into memory; the message names the sizes.
    """
    check_model(model, data)
    check_rule(transform)
    check_memory(model, data, 1)
    check_objective(objective, learning_rate)
    check_labels(model, data, objective)
    rate = read_learning_rate(learning_rate, model, data)
    descent = GradientDescent(model, data, rate, transform, objective)
    at = record_steps(steps, records)
    return _run(descent, at, checkpoint, progress, on_divergence)


def train_ensemble(
    models: AbstractModel,
    data: DenoisingData,
    *,
    steps: int,
    learning_rates: Any = "auto",
    records: int | Sequence[int] = 100,
    transform: Transform = optax.sgd,
    objective: AbstractLoss = DENOISING,
    checkpoint: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    on_divergence: str = "raise",
) -> Training:
    """Trains many models at once; see `train` and Ensemble.

    Args:
      models: initial models, the members along the first axis of every array.
      data: one for all, or with the members along the first axis of every array.
      steps: number of steps, at least 1.
      learning_rates: one rule for all members, or a number for each, shape [members].
      records: how many measurements, or at which steps.
      transform: optax's update rule, made from the learning rate.
      objective: the loss, with the members along the first axis of its arrays.
      checkpoint: a file to resume from and to keep the run in; none unless given.
      progress: told how far the run has come, from time to time.
      on_divergence: "raise", or "record" to return what there is.

    Raises:
      ValueError, MemoryError: as for `train`.
    """
    if any(matrix.ndim != 3 for matrix in models.weights()):
        shapes = ", ".join(str(matrix.shape) for matrix in models.weights())
        remedy = "make the models by jax.vmap over keys, or use train for a single one"
        raise checks.refusal("models.weights()", shapes, "matrices with a member axis", remedy)
    one, its_data = member(models, 0), data if data.beta.ndim == 1 else member(data, 0)
    check_model(one, its_data)
    check_rule(transform)
    check_memory(one, its_data, models.weights()[0].shape[0])
    check_objective(objective, learning_rates)
    check_labels(models, data, objective)
    ensemble = ensemble_of(models, data, learning_rates, transform, objective)
    return _run(ensemble, record_steps(steps, records), checkpoint, progress, on_divergence)


def ensemble_of(
    models: AbstractModel,
    data: DenoisingData,
    learning_rates: Any,
    transform: Transform,
    objective: AbstractLoss = DENOISING,
) -> Ensemble:
    """An ensemble with its learning rates read by rule.

    Args:
      models: initial models.
      data: one for all members or one for each.
      learning_rates: a rule, a number, or a number for each member.
      transform: optax's update rule.
      objective: the loss.
    """
    members = models.weights()[0].shape[0]
    own = data.beta.ndim == 2
    if own:
        checks.same_dimension("members of data", data.beta.shape[0], "models", members)
    if isinstance(learning_rates, str):
        axes = (eqx.if_array(0), eqx.if_array(0) if own else None)
        rule = checks.one_of("learning_rates", learning_rates, RULES)
        by_rule = eqx.filter_vmap(lambda m, d: read_learning_rate(rule, m, d), in_axes=axes)
        return Ensemble(models, data, by_rule(models, data), transform, objective)
    rates = checks.numbers("learning_rates", learning_rates, (0, 1))
    for rate in np.atleast_1d(rates):
        checks.positive("learning_rates", rate)
    if rates.shape not in ((), (1,), (members,)):
        domain = f"one number, or {members}, one for each member"
        raise checks.refusal("learning_rates", rates, domain, "give as many as there are models")
    rates = jnp.broadcast_to(jnp.asarray(rates, data.points.dtype), (members,))
    return Ensemble(models, data, rates, transform, objective)


@eqx.filter_jit
def _start(descent: GradientDescent | Ensemble) -> State:
    return descent.init()


@eqx.filter_jit
def _chunk(descent: GradientDescent | Ensemble, state: State, gaps: Array) -> tuple[State, Info]:
    return descent.trace(state, gaps)


def _run(
    descent: GradientDescent | Ensemble,
    at: np.ndarray,
    checkpoint: str | Path | None,
    progress: Callable[[Progress], None] | None,
    on_divergence: str,
) -> Training:
    """Runs chunk by chunk, keeping each on disk if there is a checkpoint."""
    checks.one_of("on_divergence", on_divergence, ON_DIVERGENCE)
    try:
        state, parts = _chunks(descent, at, checkpoint, progress)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        refuse_memory(descent)
    axis = 1 if isinstance(descent, Ensemble) else 0
    info = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis), *parts)
    info = jax.tree.map(lambda leaf: jax.lax.slice_in_dim(leaf, 0, len(at), axis=axis), info)
    rate = descent.learning_rates if isinstance(descent, Ensemble) else descent.learning_rate
    linear = of_member(descent, 0)[0].is_linear
    diverged = _lost(state.diverged_at, info, jnp.asarray(at), linear)
    training = Training(descent.model_at(state), info, at, rate, diverged)
    if on_divergence == "raise" and bool(jnp.any(training.diverged_at >= 0)):
        refuse_divergence(descent, training.diverged_at, training.learning_rate)
    return training


def _lost(found: Array, info: Info, at: Array, linear: bool) -> Array:
    """The step at which each run was lost: found on the way, or seen in the records."""
    dead = (info.loss > rounding(info.loss)) & jnp.all(info.gradient_norms == 0, axis=-1)
    gone = jnp.isinf(info.loss)
    gone = gone if linear else gone | dead  # where a linear model has no gradient it has arrived
    seen = jnp.where(jnp.any(gone, axis=-1), at[jnp.argmax(gone, axis=-1)], -1)
    return jnp.where(found >= 0, found, seen)


def _chunks(
    descent: GradientDescent | Ensemble,
    at: np.ndarray,
    checkpoint: str | Path | None,
    progress: Callable[[Progress], None] | None,
) -> tuple[State, list[Info]]:
    """The last state and the measurements, chunk by chunk, from where a checkpoint stands."""
    size = min(_CHUNK, len(at))
    gaps = np.diff(at, prepend=np.int32(0))
    gaps = np.concatenate([gaps, np.zeros(-len(gaps) % size, np.int32)])
    settings = {} if checkpoint is None else _settings(descent, at)
    state, parts, begin = _start(descent), [], 0
    if checkpoint is not None:
        found = load(Path(checkpoint), settings, (state, _blank(descent)))
        if found is not None:
            state, parts = found[0], [found[1]]
            begin = parts[0].loss.shape[-1]
    start, axis = time.perf_counter(), 1 if isinstance(descent, Ensemble) else 0
    for first in range(begin, len(gaps), size):
        state, info = _chunk(descent, state, jnp.asarray(gaps[first : first + size]))
        parts.append(info)
        if checkpoint is not None:
            whole = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis), *parts)
            save(Path(checkpoint), settings, (state, whole))
            parts = [whole]
        if progress is not None:
            jax.block_until_ready(state)
            done, seconds = int(gaps[: first + size].sum()), time.perf_counter() - start
            pace = seconds / max(done - int(gaps[:begin].sum()), 1)
            progress(Progress(done, int(at[-1]), pace * (int(at[-1]) - done)))
    return state, parts


def _blank(descent: GradientDescent | Ensemble) -> Info:
    """The structure of a measurement."""
    return eqx.filter_eval_shape(lambda d: d.step(d.init())[1], descent)


def _settings(descent: GradientDescent | Ensemble, at: np.ndarray) -> dict[str, Any]:
    """What the numbers of a run depend on, as plain data."""
    if isinstance(descent, Ensemble):
        models, rates = descent.models, descent.learning_rates
    else:
        models, rates = descent.model, descent.learning_rate
    transform, data = descent.transform, descent.data
    name = getattr(transform, "__qualname__", type(transform).__qualname__)
    return {
        "model": f"{models.kind} {structure(models)}",
        "steps": int(at[-1]),
        "records": at.tolist() if len(at) <= 20 else digest(at),
        "learning rate": np.asarray(rates).tolist() if rates.size <= 8 else digest(rates),
        "update rule": name,
        "what the update rule computes": rule_digest(transform, models.weights()),
        "initial weights": digest(models),
        "data": digest((data.points, data.noise)),
        "noise levels": digest(data.sigmas),
        "weighting": digest(data.beta),
        "loss": f"{structure(descent.objective)} {digest(descent.objective)}",
        "number type": str(data.points.dtype),
    }

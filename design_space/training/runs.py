"""One run of gradient descent with its weights at chosen steps: in closed form, or simulated."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Int, float64, is_concrete
from design_space.scores.model import AbstractModel
from design_space.training.descent import BLOW_UP
from design_space.training.guards import check_model
from design_space.training.learning_rate import (
    RULES,
    SAFE_SHARE,
    printed_learning_rate,
    read_learning_rate,
    stability_limit,
)
from design_space.training.objective import DenoisingData, empirical_loss
from design_space.training.population import PopulationSolvable
from design_space.training.solvable import Solvable
from design_space.training.train import Progress, train

METHODS = ("auto", "closed form", "simulated")
"""How the weights along a run are had; "auto" takes the closed form where there is one."""

_RECORDS = (16, 512)  # fewest and most records of a piece; a run can be resumed at every 16th
_SHARE = 8  # steps per record between the two


@final
class Run(eqx.Module):
    """The weights of one run at chosen steps. Arrays have the chosen steps along the first axis.

    Attributes:
      steps: the chosen steps, shape [chosen].
      models: the model at each of them.
      losses: the loss that was descended on, at each; infinite from where the run diverged.
      learning_rate: h.
      stability_limit: 2/lambda_max: of the loss where it is a square, else at initialization.
      diverged_at: a step by which the run was found to diverge; -1 if it was not.
      solution: the run in closed form; None if it was simulated.
    """

    steps: Int[Array, " chosen"]
    models: tuple[AbstractModel, ...]
    losses: Float[Array, " chosen"]
    learning_rate: Float[Array, ""]
    stability_limit: Float[Array, ""]
    diverged_at: Int[Array, ""]
    solution: Solvable | PopulationSolvable | None

    @property
    def lost(self) -> Array:
        """Whether the run had diverged at each chosen step, shape [chosen]."""
        return (self.diverged_at >= 0) & (self.steps >= self.diverged_at)


def closed_form_run(
    solution: Solvable | PopulationSolvable,
    steps: Int[Array, " chosen"],
    learning_rate: Any,
    data: DenoisingData | None,
) -> Run:
    """A run of a model that is affine in its weights; everything may be traced.

    Args:
      solution: gradient descent on the empirical or on the population loss.
      steps: the chosen steps, ascending.
      learning_rate: above 0; "auto", half of the stability limit; or "printed", Theorem 1's.
      data: what "printed" is made of; None for the population loss.

    Raises:
      ValueError: if the learning rate is none of these, or "printed" is asked where it says
        nothing.
    """
    limit = solution.stability_limit
    rate = _closed_form_rate(solution, learning_rate, data)
    losses = jnp.atleast_1d(solution.loss(steps, rate))
    start = solution.loss(jnp.asarray(0), rate)
    gone = ~(losses <= BLOW_UP * start)
    diverged = jnp.where(jnp.any(gone), steps[jnp.argmax(gone)], -1)
    models = tuple(solution.at(step, rate) for step in steps)
    return Run(steps, models, jnp.where(gone, jnp.inf, losses), rate, limit, diverged, solution)


def _closed_form_rate(
    solution: Solvable | PopulationSolvable, rule: Any, data: DenoisingData | None
) -> Float[Array, ""]:
    if not isinstance(rule, str):
        return float64(checks.positive("learning_rate", rule))
    if checks.one_of("learning_rate", rule, RULES) == "auto":
        return SAFE_SHARE * solution.stability_limit
    dynamics = solution.dynamics if isinstance(solution, PopulationSolvable) else solution
    width = dynamics.model.width
    if data is None or width is None:
        lacks = "without a width" if width is None else "on the population loss"
        domain = f'a number or "auto" for training {lacks}'
        raise checks.refusal("learning_rate", rule, domain, "give a number")
    return float64(printed_learning_rate(data, width))


def simulated_run(
    model: AbstractModel,
    data: DenoisingData,
    steps: Int[Array, " chosen"],
    learning_rate: Any,
    *,
    checkpoint: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """A run by full-batch gradient descent, from each chosen step to the next.

    Gradient descent remembers nothing but its weights, so the pieces are one run.

    Args:
      model: the initial model.
      data: what the loss is made of.
      steps: the chosen steps, ascending.
      learning_rate: above 0, "auto" or "printed"; see `train`.
      checkpoint: a file NAME.npz: each piece is kept in NAME-STEP.npz, to be resumed from.
      progress: told how far the run has come, from time to time.

    Raises:
      ValueError: if an argument is out of its domain, or a checkpoint is of another run.
      MemoryError: if the run does not fit into memory.
    """
    check_model(model, data)
    rate = read_learning_rate(learning_rate, model, data)
    limit = stability_limit(model, data)
    state = _Piece(model, empirical_loss(model, data), 0, -1)
    at = np.asarray(steps).tolist()
    start, total, models, losses = state.loss, at[-1], [], []
    for step in at:
        if step > state.done and state.diverged_at < 0:
            told = _told(progress, state.done, total)
            state = _piece(state, data, step, float(rate), start, _file(checkpoint, step), told)
        models.append(state.model)
        losses.append(state.loss if state.diverged_at < 0 else jnp.asarray(jnp.inf, start.dtype))
    kept = steps, tuple(models), jnp.stack(losses)
    return Run(*kept, rate, limit, jnp.asarray(state.diverged_at), None)


class _Piece(eqx.Module):
    """Where a simulated run stands between two pieces."""

    model: AbstractModel
    loss: Float[Array, ""]
    done: int
    diverged_at: int


def _piece(
    state: _Piece,
    data: DenoisingData,
    step: int,
    rate: float,
    start: Float[Array, ""],
    checkpoint: Path | None,
    progress: Callable[[Progress], None] | None,
) -> _Piece:
    """Trains from where a run stands up to a step."""
    count = step - state.done
    run = train(
        state.model,
        data,
        steps=count,
        learning_rate=rate,
        records=min(count, max(_RECORDS[0], min(count // _SHARE, _RECORDS[1]))),
        checkpoint=checkpoint,
        progress=progress,
        on_divergence="record",
    )
    loss, found = run.info.loss[-1], int(run.diverged_at)
    diverged = state.done + found if found >= 0 else -1
    if diverged < 0 and not bool(loss <= BLOW_UP * start):  # a piece sees its own start only
        diverged = step
    return _Piece(run.model, loss, step, diverged)


def _told(
    progress: Callable[[Progress], None] | None, done: int, total: int
) -> Callable[[Progress], None] | None:
    """What a piece tells, as told of the whole run."""
    if progress is None:
        return None

    def told(piece: Progress) -> None:
        here = done + piece.done
        pace = piece.seconds_left / max(piece.total - piece.done, 1)
        progress(Progress(here, total, pace * (total - here)))

    return told


def _file(checkpoint: str | Path | None, step: int) -> Path | None:
    if checkpoint is None:
        return None
    path = Path(checkpoint)
    return path.with_name(f"{path.stem}-{step}{path.suffix}")


def chosen_steps(steps: Any) -> Int[Array, " chosen"]:
    """Reads the chosen steps: one number, or ascending ones.

    Args:
      steps: whole numbers of at least 0, ascending; one for the end of the run only. May be traced.

    Raises:
      ValueError: if they are not.
    """
    if not is_concrete(steps):
        return jnp.atleast_1d(jnp.asarray(steps))
    given = np.atleast_1d(np.asarray(steps))
    whole = given.ndim == 1 and given.size and given.dtype.kind in "iu"
    if not whole or np.any(np.diff(given) <= 0) or given[0] < 0 or given[-1] > 2**31 - 1:
        domain = "whole numbers of at least 0, ascending"
        raise checks.refusal(
            "steps", steps, domain, "sort them, each once, the last one at the end"
        )
    return jnp.asarray(given)

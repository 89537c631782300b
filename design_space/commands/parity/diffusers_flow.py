"""diffusers: schedulers whose state is the variance-exploding one."""

import math
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import jax.numpy as jnp
import numpy as np

from design_space.commands.parity.libraries import replaced
from design_space.commands.parity.problem import (
    SIGMA_MAX,
    SIGMA_MIN,
    STEPS,
    drive,
    problem,
    scores,
    start_at,
)
from design_space.commands.parity.record import DOUBLE, SINGLE, Row, Sides, rounding
from design_space.sampling.flows import Churn, FlowEuler, FlowHeun, FlowMidpoint
from design_space.sampling.moves import AbstractMove, OneStage
from design_space.sampling.steppers import AbstractStepper, Ancestral, Frozen, PredictorCorrector
from design_space.schedules.schedule import Schedule

# a step rounds the states and the score some ten times; its map is nearly contracting
_DOUBLE = rounding(DOUBLE, 32 * STEPS)
# one rounding of the state, or of the step's coefficient, to float32 in each step, seen from the
# final state: the steps multiply it by no more than a few
_SINGLE = rounding(SINGLE, 4 * STEPS)

_ENDS = {"sigma_min": SIGMA_MIN, "sigma_max": SIGMA_MAX}
_STATE = "its step rounds the state to float32"


def _scheduler(lib: Any, kind: str, options: Mapping[str, Any]) -> tuple[Any, Schedule]:
    """A scheduler whose float32 levels are taken as exact, and the design with these levels."""
    scheduler = getattr(lib.schedulers, kind)(**options)
    scheduler.set_timesteps(STEPS + 1)
    scheduler.set_begin_index(0)
    scheduler.sigmas = scheduler.sigmas.double()
    levels = np.unique(scheduler.sigmas.numpy())[::-1]
    return scheduler, Schedule.from_sigmas(levels, appended_zero="drop")


def _output(lib: Any, scheduler: Any, states: Any) -> Any:
    """What a network with the exact score would give: the noise, or EDM's preconditioned output."""
    index = scheduler.step_index
    middle = getattr(scheduler, "sigmas_interpol", None)
    first = getattr(scheduler, "state_in_first_order", True)
    sigma = scheduler.sigmas[index] if first or middle is None else middle[index].double()
    score = lib.torch.from_numpy(scores(states, sigma).copy())
    if not hasattr(scheduler, "precondition_outputs"):
        return -sigma * score
    denoised = states + sigma**2 * score
    straight = scheduler.precondition_outputs(states, 0 * states, sigma)
    unit = scheduler.precondition_outputs(0 * states, 0 * states + 1, sigma)
    return (denoised - straight) / unit


def _theirs(
    lib: Any, scheduler: Any, schedule: Schedule, calls: int, options: Mapping[str, Any]
) -> np.ndarray:
    """The scheduler's steps, with the first draw of each step of ours."""
    draws = iter(problem().noises[:, 0])

    def noise(*_: Any, **__: Any) -> Any:
        return lib.torch.from_numpy(next(draws).copy())

    states = lib.torch.from_numpy(start_at(schedule))
    module = sys.modules[type(scheduler).__module__]
    draws_itself = hasattr(module, "randn_tensor")
    with replaced(module, "randn_tensor", noise) if draws_itself else nullcontext():
        for t in scheduler.timesteps[:calls]:
            scheduler.scale_model_input(states, t)  # what the network would be given
            output = _output(lib, scheduler, states)
            states = scheduler.step(output, t, states, **options).prev_sample
    return states.numpy()


def _row(
    name: str,
    kind: str,
    options: dict[str, Any],
    *,
    ours: str,
    stepper: Callable[[], AbstractStepper],
    calls: int = STEPS,
    tolerance: float = _SINGLE,
    note: str = _STATE,
) -> Row:
    """A scheduler beside a stepper."""

    def sides(lib: Any) -> Sides:
        scheduler, schedule = _scheduler(lib, kind, options)
        theirs = _theirs(lib, scheduler, schedule, calls, {})
        return Sides(theirs, drive(stepper().moves(schedule), start_at(schedule)))

    given = ", ".join(f"{key}={value}" for key, value in options.items())
    return Row(f"diffusers-{name}", f"{kind}({given})", ours, "states", tolerance, note, sides)


def _late_churn(schedule: Schedule) -> tuple[AbstractMove, ...]:
    """EDM's churn with the score asked before the noise is added."""
    blur, heun = Churn(3.0, 0.0, math.inf, 1.0).moves(schedule)
    sigma, low = schedule.backward_sigmas[:-1], schedule.backward_sigmas[1:]
    v, h = schedule.backward_variances, schedule.backward_variance_steps
    gain = sigma * (heun.sigmas[0] - low) - h
    return (OneStage(sigma, h, jnp.zeros_like(h), gain, blur.variance - h, v[:-1], v[1:], True),)


def _churned_euler(lib: Any) -> Sides:
    options = {"use_karras_sigmas": True, **_ENDS}
    scheduler, schedule = _scheduler(lib, "EulerDiscreteScheduler", options)
    # they count the appended 0 as a step
    given = {"s_churn": 3.0 * (STEPS + 1) / STEPS}
    theirs = _theirs(lib, scheduler, schedule, STEPS, given)
    return Sides(theirs, drive(_late_churn(schedule), start_at(schedule)))


def _exploding(lib: Any, corrected: bool) -> Sides:
    """Song's predictor, with or without his corrector at the level it reaches."""
    torch = lib.torch
    scheduler = lib.schedulers.ScoreSdeVeScheduler(num_train_timesteps=STEPS + 1, **_ENDS)
    scheduler.discrete_sigmas = scheduler.discrete_sigmas.double()
    levels = scheduler.discrete_sigmas.numpy()[::-1]
    schedule = Schedule.from_sigmas(levels)
    draws, e = problem().noises[:, : 1 + corrected], []
    given = iter(draws.reshape(-1, *draws.shape[2:]))

    def noise(*_: Any, **__: Any) -> Any:
        return torch.from_numpy(next(given).copy())

    states = torch.from_numpy(start_at(schedule))
    with replaced(sys.modules[type(scheduler).__module__], "randn_tensor", noise):
        for j, t in enumerate(scheduler.timesteps[:STEPS]):
            score = torch.from_numpy(scores(states, levels[j]).copy())
            states = scheduler.step_pred(score, t, states).prev_sample
            if corrected:
                score = scores(states, levels[j + 1])
                norms = [np.linalg.norm(x, axis=1).mean() for x in (draws[j, 1], score)]
                e.append(2 * (scheduler.config.snr * norms[0] / norms[1]) ** 2)
                states = scheduler.step_correct(torch.from_numpy(score.copy()), states).prev_sample
    stepper = PredictorCorrector(e) if corrected else Frozen()
    return Sides(states.numpy(), drive(stepper.moves(schedule), start_at(schedule)))


_KARRAS = {"use_karras_sigmas": True}

ROWS = (
    _row(
        "euler",
        "EulerDiscreteScheduler",
        {**_KARRAS, **_ENDS},
        ours="FlowEuler()",
        stepper=FlowEuler,
    ),
    Row(
        "diffusers-euler-churn",
        "EulerDiscreteScheduler.step(s_churn=3.25)",
        "OneStage of gain sigma (sigma^ - sigma') and the noise of Churn(3, 0, inf, 1)",
        "states",
        _SINGLE,
        "asks the network before the noise of the churn, EDM after; counts the appended 0",
        _churned_euler,
    ),
    _row(
        "euler-ancestral",
        "EulerAncestralDiscreteScheduler",
        {},
        ours="Ancestral(1)",
        stepper=lambda: Ancestral(1.0),
        note=f"no eta; {_STATE}",
    ),
    _row(
        "heun",
        "HeunDiscreteScheduler",
        _KARRAS,
        ours="FlowHeun()",
        stepper=FlowHeun,
        calls=2 * STEPS,
        tolerance=_DOUBLE,
        note="no churn; the ends of the grid are those of the betas",
    ),
    _row(
        "kdpm2",
        "KDPM2DiscreteScheduler",
        _KARRAS,
        ours="FlowMidpoint()",
        stepper=FlowMidpoint,
        calls=2 * STEPS,
        note="the middles are computed and kept in float32",
    ),
    _row("edm-euler", "EDMEulerScheduler", _ENDS, ours="FlowEuler()", stepper=FlowEuler),
    Row(
        "diffusers-ve-predictor",
        f"ScoreSdeVeScheduler({STEPS + 1}).step_pred",
        "Frozen()",
        "states",
        _DOUBLE,
        "the noise of index 0 is 0: a last step that is left out here",
        lambda lib: _exploding(lib, corrected=False),
    ),
    Row(
        "diffusers-ve-corrector",
        f"ScoreSdeVeScheduler({STEPS + 1}).step_pred, then .step_correct",
        "PredictorCorrector(e)",
        "states",
        _SINGLE,
        "e = 2 (snr |z|/|s|)^2, norms of the batch, in float32; its pipeline corrects first",
        lambda lib: _exploding(lib, corrected=True),
    ),
)

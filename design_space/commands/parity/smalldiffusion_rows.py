"""smalldiffusion: its log-linear levels, its spacing of them, and its sampler."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from design_space.commands.parity.problem import (
    SIGMA_MAX,
    SIGMA_MIN,
    STEPS,
    descending,
    drive,
    grid,
    problem,
    scores,
    start_at,
)
from design_space.commands.parity.record import DOUBLE, SINGLE, Row, Sides, rounding
from design_space.sampling.steppers import AbstractStepper, Ancestral
from design_space.schedules.edm_table import iddpm
from design_space.schedules.named import song

_TRAINED = 1000
# |log sigma| <= 6.3 by log10 and logspace in float32, rounded four times, and the power
_EXPONENTIAL = rounding(SINGLE, 28)
# sigma^2 = 1/(1 - beta) - 1 at the smallest level: 1 - beta and its inverse round by one roundoff
# each, seen from beta = 4.1e-5, and the root halves them
_COSINE = rounding(SINGLE, 24_400)
# a step rounds the states and the score some ten times; its map is nearly contracting
_STATES = rounding(DOUBLE, 32 * STEPS)


def _levels(lib: Any, count: int) -> Any:
    return lib.diffusion.ScheduleLogLinear(count, SIGMA_MIN, SIGMA_MAX)


def _grid(lib: Any) -> Sides:
    theirs = _levels(lib, STEPS + 1).sigmas.numpy()[::-1]
    return Sides(theirs, descending(song(STEPS, SIGMA_MIN, SIGMA_MAX)))


def _trailing(lib: Any) -> Sides:
    theirs = _levels(lib, _TRAINED).sample_sigmas(STEPS).numpy()
    index = np.round(_TRAINED * (1 - np.arange(STEPS) / STEPS)).astype(int) - 1
    trained = np.asarray(song(_TRAINED - 1, SIGMA_MIN, SIGMA_MAX).forward_sigmas)
    return Sides(theirs, trained[[*index, 0]])


def _cosine(lib: Any) -> Sides:
    theirs = lib.diffusion.ScheduleCosine(_TRAINED).sigmas.numpy()[::-1]
    return Sides(theirs, descending(iddpm(_TRAINED - 1, first=0)))


def _samples(lib: Any, mu: float) -> Sides:
    torch, draws = lib.torch, iter(problem().noises[:, 0])
    model = SimpleNamespace(
        eval=lambda: None,
        rand_input=lambda count: torch.from_numpy(next(draws).copy()),
        predict_eps_cfg=lambda x, sigma, *_: -sigma * torch.from_numpy(scores(x, sigma).copy()),
    )
    start, sigmas = torch.from_numpy(start_at(grid())), torch.from_numpy(descending(grid()).copy())
    place = SimpleNamespace(device="cpu")  # spares the start of theirs
    *_, last = lib.diffusion.samples(model, sigmas, mu=mu, xt=start, accelerator=place)
    stepper: AbstractStepper = Ancestral(0.0 if mu == 0 else 1.0)
    return Sides(last.numpy(), drive(stepper.moves(grid()), start_at(grid())))


ROWS = (
    Row(
        "smalldiffusion-log-linear",
        f"ScheduleLogLinear({STEPS + 1}, {SIGMA_MIN}, {SIGMA_MAX:g})",
        f"song(steps={STEPS})",
        "noise levels",
        _EXPONENTIAL,
        "float32, ascending; no 0 is appended",
        _grid,
    ),
    Row(
        "smalldiffusion-trailing",
        f"ScheduleLogLinear({_TRAINED}, ...).sample_sigmas({STEPS})",
        f"song(steps={_TRAINED - 1}) at the levels round({_TRAINED} (1 - k/{STEPS})), and 1",
        "noise levels",
        _EXPONENTIAL,
        "levels of the training grid: the last step is shorter than the others by one level",
        _trailing,
    ),
    Row(
        "smalldiffusion-cosine",
        f"ScheduleCosine({_TRAINED})",
        f"iddpm(steps={_TRAINED - 1}, first=0)",
        "noise levels",
        _COSINE,
        "float32, ascending; the smallest level loses the digits of 1/(1 - beta) - 1",
        _cosine,
    ),
    Row(
        "smalldiffusion-ddim",
        "samples(gam=1, mu=0)",
        "Ancestral(0) = FlowEuler()",
        "states",
        _STATES,
        "gam above 1 extrapolates the noise of two steps: no stepper",
        lambda lib: _samples(lib, 0.0),
    ),
    Row(
        "smalldiffusion-ddpm",
        "samples(gam=1, mu=.5)",
        "Ancestral(1)",
        "states",
        _STATES,
        "other mu between 0 and 1: an eta that changes from step to step",
        lambda lib: _samples(lib, 0.5),
    ),
)

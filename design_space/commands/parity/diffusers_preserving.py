"""diffusers: schedulers whose state is variance preserving, x = sqrt(a) y."""

import importlib
import sys
from typing import Any

import numpy as np

from design_space.commands.parity.diffusers_grids import preserving_levels
from design_space.commands.parity.libraries import replaced
from design_space.commands.parity.problem import (
    STEPS,
    descending,
    drive,
    problem,
    scores,
    start_at,
)
from design_space.commands.parity.record import DOUBLE, SINGLE, Row, Sides, rounding
from design_space.sampling.steppers import (
    AbstractStepper,
    Ancestral,
    EulerMaruyama,
    OptimalVariance,
)
from design_space.schedules.edm_table import vp

# a step rounds the states and the score some ten times, and 1 - a by 1/(1 - a) <= 1e4 at the
# smallest level, whose share of the state is 1e-2
_DOUBLE = rounding(DOUBLE, 64 * STEPS)
# 1 - a and the roots of it in float32, in each step
_SINGLE = rounding(SINGLE, 8 * STEPS)


def _scheduler(lib: Any, kind: str, single: bool, **options: Any) -> tuple[Any, np.ndarray]:
    """A scheduler and its a at the visited training steps; float32 numbers are taken as exact."""
    scheduler = getattr(lib.schedulers, kind)(
        clip_sample=False, timestep_spacing="leading", **options
    )
    scheduler.set_timesteps(STEPS + 1)
    cumulative = scheduler.alphas_cumprod.double()
    if not single:
        scheduler.alphas_cumprod = cumulative
    return scheduler, cumulative.numpy()[scheduler.timesteps.numpy()]


def _theirs(lib: Any, scheduler: Any, a: np.ndarray, eta: float | None) -> np.ndarray:
    """The scheduler's steps with the first draw of each, down to its last level; y = x/sqrt(a)."""
    torch, draws = lib.torch, iter(problem().noises[:, 0])

    def noise(*_: Any, **__: Any) -> Any:
        return torch.from_numpy(next(draws).copy())

    schedule = preserving_levels(a)
    sigmas, scales = descending(schedule), np.sqrt(a)
    x = torch.from_numpy(scales[0] * start_at(schedule))
    with replaced(sys.modules[type(scheduler).__module__], "randn_tensor", noise):
        for j, t in enumerate(scheduler.timesteps[:STEPS]):
            score = scores(x.numpy() / scales[j], sigmas[j])
            output = torch.from_numpy(-sigmas[j] * score)
            options = {} if eta is None else {"eta": eta}
            x = scheduler.step(output, int(t), x, **options).prev_sample
    return x.numpy() / scales[-1]


def _ddim(name: str, eta: float, single: bool = False) -> Row:
    def sides(lib: Any) -> Sides:
        scheduler, a = _scheduler(lib, "DDIMScheduler", single)
        schedule = preserving_levels(a)
        ours = drive(Ancestral(eta).moves(schedule), start_at(schedule))
        return Sides(_theirs(lib, scheduler, a, eta), ours)

    note = "as shipped: the products of 1 - beta are kept, and used, in float32"
    return Row(
        name,
        f"DDIMScheduler.step(eta={eta:g})",
        f"Ancestral({eta:g})" + (" = FlowEuler()" if eta == 0 else ""),
        "states",
        _SINGLE if single else _DOUBLE,
        note if single else "these products taken as float64; the last step, to a = 1, left out",
        sides,
    )


def _ddpm(lib: Any, variance: str) -> Sides:
    scheduler, a = _scheduler(lib, "DDPMScheduler", single=False, variance_type=variance)
    schedule = preserving_levels(a)
    stepper: AbstractStepper = Ancestral(1.0)
    if variance == "fixed_large":
        beta = 1 - a[:-1] / a[1:]
        stepper = OptimalVariance(-beta * np.asarray(schedule.backward_variance_steps))
    ours = drive(stepper.moves(schedule), start_at(schedule))
    return Sides(_theirs(lib, scheduler, a, None), ours)


def _euler_maruyama(lib: Any) -> Sides:
    """Their steps in t, on times whose spacing is the 1/n that they take it to be."""
    torch, n, draws = lib.torch, STEPS + 1, iter(problem().noises[:, 0])

    def noise(*_: Any, **__: Any) -> Any:
        return torch.from_numpy(next(draws).copy())

    module = importlib.import_module(f"{lib.schedulers.__name__}.deprecated.scheduling_sde_vp")
    scheduler = module.ScoreSdeVpScheduler(n, sampling_eps=1 / n)
    scheduler.set_timesteps(n)
    schedule = vp(STEPS, t_min=1 / n)
    sigmas, times = descending(schedule), np.asarray(schedule.backward_times)
    scales = np.asarray(schedule.scale.value(sigmas))
    x = torch.from_numpy(scales[0] * start_at(schedule))
    with replaced(module, "randn_tensor", noise):
        for j in range(STEPS):
            score = scores(x.numpy() / scales[j], sigmas[j])
            output = torch.from_numpy(-sigmas[j] * score)
            x, _ = scheduler.step_pred(output, x, torch.tensor(times[j]))
    ours = drive(EulerMaruyama("time").moves(schedule), start_at(schedule))
    return Sides(x.numpy() / scales[-1], ours)


ROWS = (
    _ddim("diffusers-ddim-float32", 0.0, single=True),
    _ddim("diffusers-ddim", 0.0),
    _ddim("diffusers-ddim-half", 0.5),
    _ddim("diffusers-ddim-full", 1.0),
    Row(
        "diffusers-ddpm-small",
        'DDPMScheduler(variance_type="fixed_small")',
        "Ancestral(1)",
        "states",
        _DOUBLE,
        "",
        lambda lib: _ddpm(lib, "fixed_small"),
    ),
    Row(
        "diffusers-ddpm-large",
        'DDPMScheduler(variance_type="fixed_large")',
        "OptimalVariance(-beta h)",
        "states",
        _DOUBLE,
        "noise of variance beta in x is (1 - beta) h in y; that of Frozen() is h",
        lambda lib: _ddpm(lib, "fixed_large"),
    ),
    Row(
        "diffusers-vp-euler-maruyama",
        f"ScoreSdeVpScheduler({STEPS + 1}, sampling_eps=1/{STEPS + 1}).step_pred",
        f'EulerMaruyama("time") on vp(steps={STEPS}, t_min=1/{STEPS + 1})',
        "states",
        _DOUBLE,
        "its dt is 1/n on a grid of n times, whose spacing is that for this eps alone",
        _euler_maruyama,
    ),
)

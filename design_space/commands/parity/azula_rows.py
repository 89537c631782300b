"""azula: its exploding grid and its samplers, which are free of the scale of the state."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from design_space.commands.parity.libraries import replaced
from design_space.commands.parity.problem import (
    SIGMA_MAX,
    SIGMA_MIN,
    STEPS,
    descending,
    drive,
    problem,
    scores,
    start_at,
)
from design_space.commands.parity.record import DOUBLE, SINGLE, Row, Sides, rounding
from design_space.sampling.flows import FlowEuler, FlowHeun
from design_space.sampling.moves import AbstractMove, OneStage
from design_space.sampling.steppers import Ancestral, EulerMaruyama
from design_space.schedules.named import song
from design_space.schedules.schedule import Schedule

_DELTA = 0.1
Moves = tuple[AbstractMove, ...]

# |log sigma| <= 6.3, rounded four times, and the exponential
_EXPONENTIAL = 28
# a step rounds the states and the score some ten times; its map is nearly contracting
_STATES = rounding(DOUBLE, 32 * STEPS)


def _grid(lib: Any, dtype: str) -> Sides:
    times = lib.torch.linspace(1.0, 0.0, STEPS + 1, dtype=getattr(lib.torch, dtype))
    theirs = lib.noise.VESchedule(SIGMA_MIN, SIGMA_MAX)(times)[1]
    return Sides(theirs.numpy(), descending(song(STEPS, SIGMA_MIN, SIGMA_MAX)))


class _Denoiser:
    """The exact denoised point, as the library's samplers ask for it.

    Args:
      lib: modules of the library.
      schedule: a noise schedule of theirs.
    """

    def __init__(self, lib: Any, schedule: Any):
        self.lib, self.schedule = lib, schedule

    def __call__(self, x: Any, t: Any) -> Any:
        alpha, sigma = (part.item() for part in self.schedule(t))
        y, level = x.numpy() / alpha, sigma / alpha
        mean = y + level**2 * scores(y, level)
        return self.lib.posterior(self.lib.torch.from_numpy(mean))


def _theirs(lib: Any, kind: str, noise_schedule: Any, options: dict[str, Any]) -> Any:
    """A sampler of theirs on a schedule of theirs, and the design with its levels.

    The states are divided by the signal, so that they are the variance-exploding ones.
    """
    torch, draws = lib.torch, iter(problem().noises[:, 0])
    times = torch.linspace(1.0, 0.0, STEPS + 1, dtype=torch.float64)
    signal, noise = (part.numpy() for part in noise_schedule(times))
    schedule = Schedule.from_sigmas(noise / signal)

    always = {"steps": STEPS, "silent": True, "dtype": torch.float64}
    sampler = getattr(lib.sample, kind)(_Denoiser(lib, noise_schedule), **always, **options)
    with replaced(torch, "randn_like", lambda _: torch.from_numpy(next(draws).copy())):
        x = sampler(torch.from_numpy(signal[0] * start_at(schedule)))
    return x.numpy() / signal[-1], schedule


def _row(
    name: str,
    kind: str,
    options: dict[str, Any],
    *,
    ours: str,
    moves: Callable[[Schedule], Moves],
    note: str = "",
    preserving: bool = False,
) -> Row:
    """A sampler of theirs, on their exploding or preserving schedule, beside moves of ours."""

    def sides(lib: Any) -> Sides:
        # signal .0125 at the end: noise levels up to 80 in either variable
        of = lib.noise
        levels = of.VPSchedule(0.0125, 0.01) if preserving else of.VESchedule(SIGMA_MIN, SIGMA_MAX)
        theirs, schedule = _theirs(lib, kind, levels, options)
        return Sides(theirs, drive(moves(schedule), start_at(schedule)))

    given = ", ".join(f"{key}={value}" for key, value in options.items())
    where = "VPSchedule" if preserving else "VESchedule"
    return Row(f"azula-{name}", f"{kind}({given}), {where}", ours, "states", _STATES, note, sides)


def _ito(schedule: Schedule) -> Moves:
    """Euler's drift in sigma with the exact variance of the noise, h."""
    (move,) = EulerMaruyama("sigma").moves(schedule)
    assert isinstance(move, OneStage)
    return (eqx.tree_at(lambda m: m.variance_defect, move, jnp.zeros_like(move.drop)),)


def _corrected(schedule: Schedule) -> Moves:
    """Their corrector at the level before the step, then their predictor."""
    sigma, v = schedule.backward_sigmas[:-1], schedule.backward_variances[:-1]
    none, kept = jnp.zeros_like(v), float(np.sqrt(1 - _DELTA))
    corrector = OneStage(sigma, none, none, (1 - kept) * v, _DELTA * v, v, v, True)
    return corrector, *FlowEuler().moves(schedule)


def _grid_row(name: str, dtype: str, unit: float, note: str) -> Row:
    def sides(lib: Any) -> Sides:
        return _grid(lib, dtype)

    theirs, ours = f"VESchedule({SIGMA_MIN}, {SIGMA_MAX:g}), {dtype}", f"song(steps={STEPS})"
    return Row(name, theirs, ours, "noise levels", rounding(unit, _EXPONENTIAL), note, sides)


def _ancestral(eta: float) -> Callable[[Schedule], Moves]:
    return lambda schedule: Ancestral(eta).moves(schedule)


ROWS = (
    _grid_row("azula-ve", "float32", SINGLE, "float32 by default; no 0 is appended"),
    _grid_row("azula-ve-float64", "float64", DOUBLE, "with times in float64"),
    _row("ddpm", "DDPMSampler", {}, ours="Ancestral(1)", moves=_ancestral(1.0), preserving=True),
    _row(
        "ddim",
        "DDIMSampler",
        {"eta": 0.0},
        ours="Ancestral(0) = FlowEuler()",
        moves=_ancestral(0.0),
        preserving=True,
    ),
    _row(
        "ddim-half",
        "DDIMSampler",
        {"eta": 0.25},
        ours="Ancestral(.5)",
        moves=_ancestral(0.5),
        note="its eta multiplies the variance: ours is the root of it",
        preserving=True,
    ),
    _row("euler", "EulerSampler", {}, ours="FlowEuler()", moves=FlowEuler().moves),
    _row("heun", "HeunSampler", {}, ours="FlowHeun()", moves=FlowHeun().moves),
    _row(
        "heun-vp",
        "HeunSampler",
        {},
        ours="FlowHeun()",
        moves=FlowHeun().moves,
        note="steps in sigma/alpha: the scale of the state does not matter",
        preserving=True,
    ),
    _row("ito-flow", "ItoSampler", {"eta": 0.0}, ours="FlowEuler()", moves=FlowEuler().moves),
    _row(
        "ito",
        "ItoSampler",
        {"eta": 1.0},
        ours='EulerMaruyama("sigma") with noise of variance h',
        moves=_ito,
        note="the noise of Euler and Maruyama has variance h + (sigma - sigma')^2",
    ),
    _row(
        "pc-predictor",
        "PCSampler",
        {"corrections": 0},
        ours="FlowEuler()",
        moves=FlowEuler().moves,
        note="its predictor is DDIM's step, that of PredictorCorrector is Frozen()'s",
        preserving=True,
    ),
    _row(
        "pc",
        "PCSampler",
        {"delta": _DELTA},
        ours="OneStage of gain (1 - (1 - d)^.5) v and variance d v, then FlowEuler()",
        moves=_corrected,
        note="corrects before it predicts; Langevin's gain for this noise is d v/2",
        preserving=True,
    ),
)

"""k-diffusion: its grids and its loops over the noise levels."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from design_space.commands.parity.libraries import replaced
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
from design_space.sampling.flows import Churn, FlowEuler, FlowHeun, FlowMidpoint
from design_space.sampling.moves import AbstractMove, OneStage, TwoStage
from design_space.sampling.steppers import AbstractStepper, Ancestral
from design_space.schedules.edm_table import vp
from design_space.schedules.named import song
from design_space.schedules.schedule import Schedule

# Relative errors of a grid in units of roundoff u; times the roundoff, the tolerance of its rows.
# Karras: sigma = x^7 with x = a + r (b - a), a = 80^(1/7), b = .002^(1/7). r, the product and the
# sum round 4 u a at most, seen from x >= b: 4 * 7 a/b = 127, and the power rounds twice.
_KARRAS = 130
# Exponential: |log sigma| <= 6.3, rounded four times, and the exponential: 4 * 6.3 + 2.
_EXPONENTIAL = 28
# VP: exp(z) - 1 at z = 1.1e-4 loses 1/z = 9100 u, its root half of that; z itself some u more.
_VP = 4700


def _grid_rows(
    name: str,
    *,
    theirs: str,
    ours: str,
    operations: int,
    levels: Callable[[Any], Any],
    schedule: Callable[[], Schedule],
) -> list[Row]:
    """A grid as shipped, in float32, and the same function with float64 as torch's default."""

    def sides(lib: Any) -> Sides:
        return Sides(levels(lib.sampling).numpy()[:-1], descending(schedule()))

    def sides_in_double(lib: Any) -> Sides:
        before = lib.torch.get_default_dtype()
        lib.torch.set_default_dtype(lib.torch.float64)
        try:
            return sides(lib)
        finally:
            lib.torch.set_default_dtype(before)

    single, double = rounding(SINGLE, operations), rounding(DOUBLE, operations)
    note = "float32 by default; a 0 is appended, and left out here"
    in_double = "with torch.float64 as the default: the formulas are the same"
    return [
        Row(name, theirs, ours, "noise levels", single, note, sides),
        Row(f"{name}-float64", theirs, ours, "noise levels", double, in_double, sides_in_double),
    ]


def _geometric() -> Schedule:
    return song(STEPS, SIGMA_MIN, SIGMA_MAX)


_ENDS = f"{STEPS + 1}, {SIGMA_MIN}, {SIGMA_MAX:g}"

GRIDS = [
    *_grid_rows(
        "k-diffusion-karras",
        theirs=f"get_sigmas_karras({_ENDS})",
        ours=f"edm(steps={STEPS})",
        operations=_KARRAS,
        levels=lambda lib: lib.get_sigmas_karras(STEPS + 1, SIGMA_MIN, SIGMA_MAX),
        schedule=grid,
    ),
    *_grid_rows(
        "k-diffusion-exponential",
        theirs=f"get_sigmas_exponential({_ENDS})",
        ours=f"song(steps={STEPS})",
        operations=_EXPONENTIAL,
        levels=lambda lib: lib.get_sigmas_exponential(STEPS + 1, SIGMA_MIN, SIGMA_MAX),
        schedule=_geometric,
    ),
    *_grid_rows(
        "k-diffusion-polyexponential",
        theirs=f"get_sigmas_polyexponential({_ENDS}, rho=1)",
        ours=f"song(steps={STEPS})",
        operations=_EXPONENTIAL,
        levels=lambda lib: lib.get_sigmas_polyexponential(STEPS + 1, SIGMA_MIN, SIGMA_MAX, 1.0),
        schedule=_geometric,
    ),
    *_grid_rows(
        "k-diffusion-vp",
        theirs=f"get_sigmas_vp({STEPS + 1})",
        ours=f"vp(steps={STEPS})",
        operations=_VP,
        levels=lambda lib: lib.get_sigmas_vp(STEPS + 1),
        schedule=lambda: vp(STEPS),
    ),
]


def _denoiser(torch: Any) -> Callable[..., Any]:
    """The denoised point y + sigma^2 s(y, sigma), as the library asks for it."""

    def denoised(y: Any, sigma: Any) -> Any:
        return y + sigma[0] ** 2 * torch.from_numpy(scores(y, sigma[0]).copy())

    return denoised


def _theirs(lib: Any, name: str, sigmas: np.ndarray, options: Mapping[str, Any]) -> np.ndarray:
    """A sampler of theirs on our grid, with the first draw of each step."""
    torch, draws = lib.torch, iter(problem().noises[:, 0])

    def noise(*_: Any) -> Any:
        return torch.from_numpy(next(draws).copy())

    own = {"noise_sampler": noise} if "ancestral" in name else {}
    start = torch.from_numpy(start_at(grid()))
    with replaced(torch, "randn_like", noise):  # the others take no sampler of noise
        sampler = getattr(lib.sampling, name)
        levels = torch.from_numpy(sigmas.copy())
        return sampler(_denoiser(torch), start, levels, disable=True, **own, **options).numpy()


def _sampler_row(
    name: str,
    function: str,
    options: Mapping[str, Any],
    *,
    ours: str,
    stepper: Callable[[], AbstractStepper],
) -> Row:
    """A sampler of theirs beside a stepper."""

    def sides(lib: Any) -> Sides:
        theirs = _theirs(lib, function, descending(grid()), options)
        return Sides(theirs, drive(stepper().moves(grid()), start_at(grid())))

    given = "".join(f", {key}={value:g}" for key, value in options.items())
    return Row(f"k-diffusion-{name}", f"{function}{given}", ours, "states", _STATES, "", sides)


# a step rounds the states and the score some ten times; its map is nearly contracting
_STATES = rounding(DOUBLE, 32 * STEPS)


def first_stage(moves: Sequence[AbstractMove]) -> tuple[AbstractMove, ...]:
    """EDM's stochastic sampler without its second evaluation: noise, then Euler's step."""
    blur, heun = moves
    assert isinstance(heun, TwoStage)
    none, gain = jnp.zeros_like(heun.drop), heun.inner_gain - heun.drop
    levels = (heun.before, heun.after)
    return blur, OneStage(heun.sigma, heun.drop, none, gain, -heun.drop, *levels, False)


def _churned_euler(lib: Any) -> Sides:
    theirs = _theirs(lib, "sample_euler", descending(grid()), {"s_churn": 3.0})
    moves = Churn(3.0, 0.0, math.inf, 1.0).moves(grid())
    return Sides(theirs, drive(first_stage(moves), start_at(grid())))


def _appended_zero(lib: Any) -> Sides:
    theirs = _theirs(lib, "sample_heun", np.append(descending(grid()), 0.0), {})
    last = drive(FlowHeun().moves(grid()), start_at(grid()))
    sigma = descending(grid())[-1]
    return Sides(theirs, last + sigma**2 * scores(last, sigma))


_WINDOW = {"s_churn": 3.0, "s_tmin": 0.05, "s_tmax": 50.0, "s_noise": 1.003}

SAMPLERS = [
    _sampler_row("euler", "sample_euler", {}, ours="FlowEuler()", stepper=FlowEuler),
    Row(
        "k-diffusion-euler-churn",
        "sample_euler, s_churn=3",
        "the noise and the first stage of Churn(3, 0, inf, 1)",
        "states",
        _STATES,
        "Euler's step after the churn; Churn takes Heun's, as EDM does",
        _churned_euler,
    ),
    _sampler_row("heun", "sample_heun", {}, ours="FlowHeun()", stepper=FlowHeun),
    _sampler_row(
        "heun-churn",
        "sample_heun",
        _WINDOW,
        ours="Churn(3, .05, 50, 1.003)",
        stepper=lambda: Churn(3.0, 0.05, 50.0, 1.003),
    ),
    _sampler_row(
        "heun-most-churn",
        "sample_heun",
        {"s_churn": 40.0},
        ours="Churn(40, 0, inf, 1)",
        stepper=lambda: Churn(40.0, 0.0, math.inf, 1.0),
    ),
    _sampler_row("dpm-2", "sample_dpm_2", {}, ours="FlowMidpoint()", stepper=FlowMidpoint),
    _sampler_row(
        "euler-ancestral",
        "sample_euler_ancestral",
        {"eta": 1.0},
        ours="Ancestral(1)",
        stepper=lambda: Ancestral(1.0),
    ),
    _sampler_row(
        "euler-ancestral-half",
        "sample_euler_ancestral",
        {"eta": 0.5},
        ours="Ancestral(.5)",
        stepper=lambda: Ancestral(0.5),
    ),
    Row(
        "k-diffusion-appended-zero",
        "sample_heun, a 0 appended to the grid",
        "FlowHeun(), then y + v s(y, sigma)",
        "states",
        _STATES,
        "the last step, from sigma_min to 0, is Euler's: it ends at the denoised point",
        _appended_zero,
    ),
]

ROWS = (*GRIDS, *SAMPLERS)

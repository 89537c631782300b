"""diffusers: the noise levels of its schedulers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from design_space.commands.parity.problem import SIGMA_MAX, SIGMA_MIN, STEPS, descending, grid
from design_space.commands.parity.record import SINGLE, Row, Sides, rounding
from design_space.schedules.named import song
from design_space.schedules.published import beta_quantiles
from design_space.schedules.schedule import Schedule

# computed in float64 and rounded once; the other roundings are 2^-20 of that at most
_ONCE = SINGLE * (1 + 2.0**-20)
# |log sigma| <= 6.3 in float32, rounded four times, and the exponential
_EXPONENTIAL = rounding(SINGLE, 28)

_ENDS = {"sigma_min": SIGMA_MIN, "sigma_max": SIGMA_MAX}
_EULER, _EDM = "EulerDiscreteScheduler", "EDMEulerScheduler"
_KEPT = "kept in float32; a 0 is appended, and left out here"


def _geometric() -> Schedule:
    return song(STEPS, SIGMA_MIN, SIGMA_MAX)


def _row(
    name: str,
    kind: str,
    options: dict[str, Any],
    *,
    ours: str,
    schedule: Callable[[], Schedule],
    tolerance: float = _ONCE,
    note: str = _KEPT,
) -> Row:
    """The levels of a scheduler beside those of a schedule."""

    def sides(lib: Any) -> Sides:
        scheduler = getattr(lib.schedulers, kind)(**options)
        scheduler.set_timesteps(STEPS + 1)
        return Sides(scheduler.sigmas.numpy()[:-1], descending(schedule()))

    given = ", ".join(f"{key}={value}" for key, value in options.items())
    theirs = f"{kind}({given}).set_timesteps({STEPS + 1})"
    return Row(f"diffusers-{name}", theirs, ours, "noise levels", tolerance, note, sides)


def _exploding(lib: Any) -> Sides:
    scheduler = lib.schedulers.ScoreSdeVeScheduler(num_train_timesteps=STEPS + 1, **_ENDS)
    return Sides(scheduler.discrete_sigmas.numpy()[::-1], descending(_geometric()))


ROWS = (
    _row(
        "karras",
        _EULER,
        {"use_karras_sigmas": True, **_ENDS},
        ours=f"edm(steps={STEPS})",
        schedule=grid,
        note=f"rho is always 7; {_KEPT}",
    ),
    _row(
        "exponential",
        _EULER,
        {"use_exponential_sigmas": True, **_ENDS},
        ours=f"song(steps={STEPS})",
        schedule=_geometric,
    ),
    _row(
        "beta",
        _EULER,
        {"use_beta_sigmas": True, **_ENDS},
        ours=f'beta_quantiles(steps={STEPS}, map="sigma")',
        schedule=lambda: beta_quantiles(STEPS, SIGMA_MIN, SIGMA_MAX, map="sigma"),
        note=f"quantiles of the levels themselves, not of times; {_KEPT}",
    ),
    _row("edm-karras", _EDM, _ENDS, ours=f"edm(steps={STEPS})", schedule=grid),
    _row(
        "edm-exponential",
        _EDM,
        {"sigma_schedule": "exponential", **_ENDS},
        ours=f"song(steps={STEPS})",
        schedule=_geometric,
        tolerance=_EXPONENTIAL,
        note=f"computed in float32; {_KEPT}",
    ),
    Row(
        "diffusers-ve",
        f"ScoreSdeVeScheduler({STEPS + 1}).discrete_sigmas",
        f"song(steps={STEPS})",
        "noise levels",
        _EXPONENTIAL,
        "computed in float32, ascending",
        _exploding,
    ),
)


def preserving_levels(cumulative: np.ndarray) -> Schedule:
    """The noise levels of y = x / sqrt(a) for a variance-preserving x with signal sqrt(a).

    sigma^2 = (1 - a)/a.

    Args:
      cumulative: a after training steps of decreasing index, shape [nodes], increasing.
    """
    return Schedule.from_sigmas(np.sqrt((1 - cumulative) / cumulative))

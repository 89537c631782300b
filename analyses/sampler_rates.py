"""Errors of every sampler at large numbers of steps, and the limits that they tend to."""

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from analyses.gaussian_samplers import SAMPLERS, Found, Make, churning, corrected, errors
from analyses.own_grids import CHURN, own_grid
from design_space.sampling.steppers import Ancestral
from design_space.schedules.edm_table import vp
from design_space.schedules.named import edm, song
from design_space.schedules.schedule import Schedule

STEPS = (400, 800, 1600, 3200, 6400)
"""N, doubled each time: what extrapolation asks for."""

SPECTRUM = np.array([1.0, 1 / 4, 1 / 9])
"""Data variances over the largest."""

LAWS = np.geomspace(0.2, 2.0, 8)[:, None] ** 2 * SPECTRUM
"""Data variances, [laws, dim]."""

MANY = np.geomspace(0.05, 5.0, 16)[:, None] ** 2 * SPECTRUM
"""More of them, for limits that cost little."""

BIASED: Mapping[str, Make] = {
    "predictor-corrector, r = 0.16": corrected(0.16),
    "predictor-corrector, r = 0.3": corrected(0.3),
    "churn, s_noise = 1.003": churning(CHURN, s_noise=1.003),
    "churn, s_noise = 0.99": churning(CHURN, s_noise=0.99),
}
"""Samplers whose error does not vanish."""

_MAKES = {
    **SAMPLERS,
    **BIASED,
    "half-ancestral": lambda design: Ancestral(0.5),
    "churn": churning(CHURN),
}


def _in_sigma(grid: Callable[[int], Schedule]) -> Callable[[int], Schedule]:
    """The same noise levels with sigma_bar_t = t, whatever the design's own time."""
    return lambda steps: Schedule.from_sigmas(grid(steps).backward_sigmas)


GRIDS: Mapping[str, Callable[[int], Schedule]] = {
    "edm": edm,
    "song": _in_sigma(song),
    "vp": vp,
}
"""Grids by name."""


@functools.cache
def measured(sampler: str, grid: str, steps: Sequence[int] = STEPS, laws: str = "LAWS") -> Found:
    """Errors of a sampler that starts from the exact law, [steps, laws]; kept.

    Args:
      sampler: its name.
      grid: one of GRIDS.
      steps: numbers of steps.
      laws: "LAWS", "MANY", or "round" for isotropic data.
    """
    values = {"LAWS": LAWS, "MANY": MANY, "round": LAWS[:, :1] * np.ones(3)}[laws]
    return errors(_MAKES[sampler], [GRIDS[grid](n) for n in steps], values, started=True)


@functools.cache
def on_own_grid(sampler: str) -> np.ndarray:
    """Excess of a sampler on the grid that suits it, for the largest variance of each of LAWS.

    Returns:
      Shape [steps, laws].
    """
    found = []
    for value in LAWS[:, 0]:
        grids = [own_grid(sampler, float(value), n) for n in STEPS]
        found.append(errors(_MAKES[sampler], grids, np.array([[value]]), started=True).excess)
    return np.stack([x[:, 0, 0] for x in found], axis=1)


def order_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exponent of N that errors at doubled N [steps, ...] tend to, and its error.

    Slopes between neighbors differ from it by c/N + ...; one extrapolation takes that away, and
    what it changes from one N to the next is four times what is left.
    """
    slopes = np.diff(np.log(values), axis=0) / np.log(2)
    orders = 2 * slopes[1:] - slopes[:-1]
    return orders[-1], np.abs(orders[-1] - orders[-2])


def limit_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The limit of numbers at doubled N [steps, ...] that is reached like 1/N, and its error."""
    limits = 2 * values[1:] - values[:-1]
    return limits[-1], np.abs(limits[-1] - limits[-2])

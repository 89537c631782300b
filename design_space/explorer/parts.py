"""Parts of the numbers that every kind of data has: the grid, estimates and bounds."""

from typing import Any

import jax.numpy as jnp

from design_space.arrays import float64
from design_space.bounds.sampling import BoundTerms
from design_space.explorer.numbers import Bound, Value
from design_space.explorer.padded import Grid
from design_space.explorer.state import State

_LABELS = {
    "theorem-2": ("Theorem 2", "as printed"),
    "theorem-2-corrected": ("Theorem 2", "corrected"),
    "discretization-scale-aware": ("Scale-aware bound", "sharpened"),
}
_TERMS = ("initialization", "score", "discretization")


def grid_of(state: State) -> Grid:
    """The schedule of a state, for programs of fixed size.

    Args:
      state: the state.
    """
    return Grid(
        float64(state.sigma_min),
        float64(state.sigma_max),
        float64(1.0 if state.variance == "linear" else 0.5),
        float64(state.rho if state.time == "polynomial" else 1.0),
        jnp.asarray(state.time == "exponential"),
        jnp.asarray(state.steps),
    )


def value_of(estimate: Any, pending: bool = False) -> Value:
    """An estimate as plain numbers.

    Args:
      estimate: an `Estimate`.
      pending: whether a refinement is on its way.
    """
    entry = estimate.to_dict()
    found = (entry["value"], entry["error"], entry["method"])
    return Value(*found, reason=entry.get("reason"), pending=pending)


def bounds_of(found: dict[str, BoundTerms]) -> tuple[Bound, ...]:
    """Bounds by statement id as plain numbers.

    Args:
      found: the bounds.
    """
    rows = []
    for statement, terms in found.items():
        parts = {name: float(getattr(terms, name)) for name in _TERMS}
        label, form = _LABELS[statement]
        rows.append(Bound(statement, label, form, sum(parts.values()), parts))
    return tuple(rows)


def evaluations_of(kind: str, steps: int) -> int:
    """How often a sampler asks the score.

    Args:
      kind: of the sampler.
      steps: the number N of steps.
    """
    return steps * (2 if kind in ("heun", "midpoint", "churn", "predictor-corrector") else 1)

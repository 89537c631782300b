"""What a sweep keeps of an evaluated design: numbers by column, and words."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from design_space.arrays import Array
from design_space.errors.path import WITHOUT_PATH
from design_space.evaluate import Evaluation
from design_space.numerics.estimate import Estimate
from design_space.trained_evaluation import TrainedEvaluation

QUANTITIES = ("initialization", "discretization", "score", "path_kl", "marginal_kl", "w2")
"""The entries of an error budget; each has its error in NAME_error and its method in NAME_method"""

TERMS = {
    "eps_train": "train",
    "eps_n": "generalization",
    "eps_est": "estimation",
    "eps_approx": "approximation",
}
"""Columns of Theorem 3's terms -> their names in the evaluation."""

TRAINING = ("step", "learning_rate", "stability_limit", "loss", "excess", *TERMS)
"""Columns of designs whose score is trained."""


class Measured(NamedTuple):
    """One design: a row for each chosen step of training, or one row.

    Attributes:
      numbers: column -> numbers, shape [rows].
      methods: quantity -> its method in each row.
      reasons: why something is missing in each row, or None.
    """

    numbers: Mapping[str, Any]
    methods: Mapping[str, tuple[str, ...]]
    reasons: tuple[str | None, ...]


def measured(found: Evaluation | TrainedEvaluation) -> Measured:
    """Turns an evaluation into columns; it may be traced.

    Args:
      found: the evaluation of one design.
    """
    budgets = found.budgets if isinstance(found, TrainedEvaluation) else (found,)
    numbers: dict[str, Array] = {}
    if isinstance(found, TrainedEvaluation):
        numbers |= _training(found)
    for name in QUANTITIES:
        estimates = [getattr(budget, name) for budget in budgets]
        numbers[name] = jnp.stack([e.value for e in estimates])
        numbers[f"{name}_error"] = jnp.stack([e.error for e in estimates])
    for name in dict.fromkeys(key for budget in budgets for key in budget.bounds):
        each = [budget.bounds.get(name, jnp.asarray(jnp.nan)) for budget in budgets]
        numbers[f"bound.{name}"] = jnp.stack(each)
    methods = {name: tuple(getattr(b, name).method for b in budgets) for name in QUANTITIES}
    return Measured(numbers, methods, tuple(_reason(budget) for budget in budgets))


NO_PATH = tuple(f"discretization, score, path_kl: {reason}" for reason in WITHOUT_PATH)
"""The reasons of a row that hold for every design of its kind."""


def _training(found: TrainedEvaluation) -> dict[str, Array]:
    """The columns of training."""
    rows = len(found.budgets)
    numbers = {
        "step": found.steps,
        "learning_rate": jnp.broadcast_to(found.learning_rate, (rows,)),
        "stability_limit": jnp.broadcast_to(found.stability_limit, (rows,)),
        "loss": found.losses,
        "excess": jnp.stack([e.value for e in found.excesses]),
    }
    for name, attribute in TERMS.items():
        if found.terms is not None:
            numbers[name] = jnp.stack([getattr(t, attribute).value for t in found.terms])
    return numbers


def _reason(budget: Evaluation) -> str | None:
    """Why entries of a budget are missing, each reason once."""
    found: dict[str, list[str]] = {}
    for name in QUANTITIES:
        estimate: Estimate = getattr(budget, name)
        if estimate.reason is not None:
            found.setdefault(estimate.reason, []).append(name)
    if len(found) == 1 and len(next(iter(found.values()))) == len(QUANTITIES):
        return next(iter(found))
    parts = (f"{', '.join(names)}: {reason}" for reason, names in found.items())
    return "; ".join(parts) or None

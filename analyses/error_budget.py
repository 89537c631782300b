"""What each step of the sampler contributes to the error budget, as areas over the noise level.

On an axis of ln sigma the area between sigma^2 I(sigma^2) and sigma^2 I(v_j), the score's size
frozen at the beginning of the step, is the step's contribution to E_D:
(1/2) int (I(v) - I(v_j)) dv with dv = 2 sigma^2 dln sigma.

Source: the exact path identity (docs/theory/exact_errors.md); WHT section 3.2 bounds these terms.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from design_space.errors.budget import error_budget
from design_space.schedules.named import edm, song
from design_space.schedules.schedule import Schedule
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.integrals import mixture_integrals
from design_space.targets.mixture import GaussianMixture

SCHEDULES = {"edm": edm, "song": song}


def target_of(data: Settings) -> AbstractTarget:
    """The data law of a piece: N(0, std^2) or a mixture in one dimension."""
    if "std" in data:
        return Gaussian.isotropic(1, data["std"])
    return GaussianMixture.isotropic(data["weights"], [[m] for m in data["means"]], data["stds"])


def information(target: AbstractTarget, variances: np.ndarray) -> np.ndarray:
    """I(v) = E|grad log p_v|^2 at many noise variances."""
    if isinstance(target, Gaussian):
        return np.asarray(
            jax.vmap(lambda v: target.fisher_information(v).value)(jnp.asarray(variances))
        )
    found = mixture_integrals(target, jnp.asarray(variances), None, 2)
    return np.asarray(found.fisher_information.value)


def _curve(target: AbstractTarget, grid: Schedule, inner: int) -> pd.DataFrame:
    """sigma^2 I along the path and with I frozen at the beginning of each step."""
    sigmas = np.asarray(grid.backward_sigmas)
    share = np.linspace(0, 1, inner)
    fine = np.exp(
        np.log(sigmas[:-1, None]) * (1 - share[None, :]) + np.log(sigmas[1:, None]) * share[None, :]
    )
    frozen = information(target, sigmas[:-1] ** 2)
    moving = information(target, fine.ravel() ** 2).reshape(fine.shape)
    step = np.broadcast_to(np.arange(len(frozen))[:, None], fine.shape)
    return pd.DataFrame(
        {
            "part": "curve",
            "step": step.ravel(),
            "sigma": fine.ravel(),
            "information": (fine**2 * moving).ravel(),
            "frozen": (fine**2 * frozen[:, None]).ravel(),
        }
    )


def compute(piece: Settings) -> pd.DataFrame:
    """One design: its curve, the contribution of every step, and the whole budget.

    part is "curve", "step" (discretization and score of each step) or "budget".
    """
    target = target_of(piece["data"])
    grid = SCHEDULES[piece["schedule"]](piece["steps"])
    score = exact_score(target)
    budget = error_budget(target, grid, scaled_score(score, piece["factor"]))
    sigmas = np.asarray(grid.backward_sigmas)
    steps = pd.DataFrame(
        {
            "part": "step",
            "step": np.arange(grid.steps),
            "sigma": sigmas[:-1],
            "sigma_after": sigmas[1:],
            "discretization": np.asarray(budget.discretization_steps.value),
            "score": np.asarray(budget.score_steps.value),
        }
    )
    whole: dict[str, Any] = {"part": "budget"}
    for name in ("initialization", "discretization", "score", "path_kl", "marginal_kl"):
        estimate = getattr(budget, name)
        whole |= {name: float(estimate.value), f"{name}_error": float(estimate.error)}
    parts = [_curve(target, grid, piece["inner"]), steps, pd.DataFrame([whole])]
    table = pd.concat(parts, ignore_index=True)
    design = {"target": piece["data"]["name"], "schedule": piece["schedule"]}
    design |= {"steps": piece["steps"], "factor": piece["factor"]}
    return table.assign(**design)


def pieces(settings: Settings) -> list[dict]:
    """One piece per data law, schedule and number of steps."""
    common = {"factor": settings["factor"], "inner": settings["inner"]}
    return [
        {"data": data, "schedule": name, "steps": steps} | common
        for data in settings["data"]
        for steps in settings["steps"]
        for name in SCHEDULES
    ]


def _median_sigma(steps: pd.DataFrame, column: str) -> float:
    """Noise level above which half of a column's total is made."""
    share = steps[column].cumsum() / steps[column].sum()
    return float(steps["sigma"][share >= 0.5].iloc[0])


def finding(table: pd.DataFrame) -> str:
    """Where along the path the errors arise, and how the parts compare."""
    sentences = []
    few = table[table["steps"] == table["steps"].min()]
    designs = few[["target", "schedule"]].drop_duplicates().itertuples(index=False)
    for target, name in designs:
        rows = few[(few["target"] == target) & (few["schedule"] == name)]
        steps, whole = rows[rows["part"] == "step"], rows[rows["part"] == "budget"].iloc[0]
        top = steps.loc[steps["discretization"].idxmax()]
        sentences.append(
            f"{target}, {name}: E_I = {whole['initialization']:.3g}, E_D = "
            f"{whole['discretization']:.4g}, E_S = {whole['score']:.4g}; half of E_D arises above "
            f"σ = {_median_sigma(steps, 'discretization'):.3g}, half of E_S above "
            f"{_median_sigma(steps, 'score'):.3g}, and the dearest step, from σ = "
            f"{top['sigma']:.3g} to {top['sigma_after']:.3g}, makes "
            f"{100 * top['discretization'] / whole['discretization']:.0f} % of E_D"
        )
    factor, count = few["factor"].iloc[0], few["steps"].iloc[0]
    return f"With N = {count} and the score scaled by {factor:g}: " + ". ".join(sentences) + "."


_GAUSSIAN = {"name": "N(0, 0.5²)", "std": 0.5}
_BIMODAL = {"name": "two modes", "weights": [0.5, 0.5], "means": [-1.0, 1.0], "stds": [0.1, 0.1]}
_NARROW = {"name": "N(0, 0.005²)", "std": 0.005}

EXPERIMENT = Experiment(
    name="error_budget",
    title="The error budget, step by step",
    file=Path(__file__),
    presets={
        "quick": {"data": [_GAUSSIAN, _BIMODAL], "steps": [20], "factor": 1.3, "inner": 9},
        "full": {
            "data": [_GAUSSIAN, _BIMODAL, _NARROW],
            "steps": [20, 10, 100],
            "factor": 1.3,
            "inner": 25,
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
)

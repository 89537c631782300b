"""EDM's, Song's, mixed and path-optimal schedules against the number of steps, on Gaussians of
every width and on mixtures; and the data scale at which the order of EDM and Song flips.

Source: Table 1, Table 2, section 4 and appendix I.1 of arXiv 2406.12839. For the sampler the mixed
choices collapse: exponential times with sigma_bar = t give Song's noise levels, polynomial times
with sigma_bar = sqrt t give EDM's with half its rho.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from design_space.errors.budget import ErrorBudget, error_budget
from design_space.errors.gaussian import commuting_errors
from design_space.optimal.path import geometric_sigmas, path_optimal
from design_space.schedules.named import edm, schedule, song
from design_space.schedules.schedule import Schedule
from design_space.scores.exact import exact_score
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

DESIGNS: dict[str, Callable[[int], Schedule]] = {
    "edm": edm,
    "song": song,
    "linear-exponential": lambda n: schedule("linear", "exponential", steps=n),
    "sqrt-polynomial": lambda n: schedule("sqrt", "polynomial", steps=n),
}
"""Designs that do not depend on the target; "path-optimal" is the fifth."""

CRITERIA = ("discretization", "marginal_kl")
_ZOOMS = 6  # each narrows a crossover by the number of scanned scales


@eqx.filter_jit
def _isotropic_budgets(stds: jax.Array, sigmas: jax.Array) -> ErrorBudget:
    """Budgets of N(0, std^2) for many pairs of a scale and a grid of noise levels."""

    def one(std: jax.Array, levels: jax.Array) -> ErrorBudget:
        target = Gaussian.isotropic(1, std)
        return error_budget(target, Schedule.from_sigmas(levels), exact_score(target))

    return jax.vmap(one)(stds, sigmas)


@eqx.filter_jit
def _scan(stds: jax.Array, grid: Schedule) -> tuple[jax.Array, jax.Array]:
    """E_D and marginal KL of one grid against the data scale."""
    levels = (grid.backward_variances, grid.backward_variance_steps)
    found = jax.vmap(lambda s: commuting_errors(jnp.zeros(1), s[None] ** 2, *levels))(stds)
    return found.discretization, found.marginal_kl


def _log_ratios(stds: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """The log of EDM's error over Song's at each data scale, per criterion."""
    both = [_scan(jnp.asarray(stds), design(steps)) for design in (edm, song)]
    return {
        name: np.asarray(jnp.log(a) - jnp.log(b))
        for name, a, b in zip(CRITERIA, *both, strict=True)
    }


def crossovers(stds: np.ndarray, steps: int, criterion: str) -> list[float]:
    """Data scales at which EDM and Song make the same error, between the given scales.

    Every sign change of the log ratio is narrowed by scanning its interval again.

    Args:
      stds: scales of N(0, s^2), ascending.
      steps: N.
      criterion: one of CRITERIA.
    """
    ratio = _log_ratios(stds, steps)[criterion]
    found = []
    for i in np.flatnonzero(ratio[1:] * ratio[:-1] < 0):
        low, high = stds[i], stds[i + 1]
        for _ in range(_ZOOMS):
            inner = np.geomspace(low, high, len(stds))
            change = _log_ratios(inner, steps)[criterion]
            flips = np.flatnonzero(change[1:] * change[:-1] <= 0)
            if len(flips) == 0:
                break  # as close as rounding lets two errors be told apart
            low, high = inner[flips[0]], inner[flips[0] + 1]
        found.append(float(np.sqrt(low * high)))
    return found


def _row(budget: ErrorBudget, index: Any = ()) -> dict[str, Any]:
    """Value and error of each quantity, as columns."""
    row: dict[str, Any] = {}
    for name in ("initialization", "discretization", "path_kl", "marginal_kl", "w2"):
        estimate = getattr(budget, name)
        row[name] = float(estimate.value[index])
        row[f"{name}_error"] = float(estimate.error[index])
        row["method"] = estimate.method
    return row


def _gaussians(piece: Settings) -> pd.DataFrame:
    """All designs on N(0, s^2) for several s, at one number of steps."""
    steps = piece["steps"]
    labels, stds, grids = [], [], []
    for std in piece["stds"]:
        best = geometric_sigmas(std**2, steps, 0.002, 80.0)
        levels = {name: design(steps).backward_sigmas for name, design in DESIGNS.items()}
        for name, sigmas in (levels | {"path-optimal": best}).items():
            labels.append({"part": "grid", "target": f"N(0, {std:g}²)", "std": std, "design": name})
            stds.append(std)
            grids.append(sigmas)
    budgets = _isotropic_budgets(jnp.asarray(stds), jnp.stack(grids))
    rows = [label | {"steps": steps} | _row(budgets, i) for i, label in enumerate(labels)]
    return pd.DataFrame(rows)


def _scale(piece: Settings) -> pd.DataFrame:
    """EDM and Song against the data scale at one number of steps, and where they cross."""
    steps, stds = piece["steps"], np.geomspace(piece["low"], piece["high"], piece["points"])
    tables = []
    for name, design in (("edm", edm), ("song", song)):
        values = _scan(jnp.asarray(stds), design(steps))
        columns = dict(zip(CRITERIA, (np.asarray(v) for v in values), strict=True))
        common = {"part": "scale", "design": name, "steps": steps, "std": stds}
        tables.append(pd.DataFrame(common | columns))
    rows = [
        {"part": "crossover", "criterion": criterion, "steps": steps, "std": std}
        for criterion in CRITERIA
        for std in crossovers(stds, steps, criterion)
    ]
    return pd.concat([*tables, pd.DataFrame(rows)], ignore_index=True)


def _mixture(piece: Settings) -> pd.DataFrame:
    """All designs on one mixture at one number of steps."""
    target: AbstractTarget = GaussianMixture.isotropic(
        piece["weights"], [[m] for m in piece["means"]], piece["stds"]
    )
    steps, rows = piece["steps"], []
    designs = {name: design(steps) for name, design in DESIGNS.items()}
    for name, grid in (designs | {"path-optimal": path_optimal(target, steps)}).items():
        label = {"part": "grid", "target": piece["target"], "design": name, "steps": steps}
        rows.append(label | _row(error_budget(target, grid)))
    return pd.DataFrame(rows)


def pieces(settings: Settings) -> list[dict]:
    """One piece per number of steps for the Gaussians, the scale, and each mixture."""
    gaussians = [
        {"part": "gaussians", "stds": settings["stds"], "steps": n} for n in settings["steps"]
    ]
    scales = [{"part": "scale", "steps": n} | settings["scale"] for n in settings["scale_steps"]]
    mixtures = [
        {"part": "mixture", "steps": n} | mixture
        for mixture in settings["mixtures"]
        for n in settings["mixture_steps"]
    ]
    return [*gaussians, *mixtures, *scales]


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one piece; part is "grid", "scale" or "crossover"."""
    return {"gaussians": _gaussians, "mixture": _mixture, "scale": _scale}[piece["part"]](piece)


def _windows(table: pd.DataFrame, criterion: str) -> str:
    """The crossovers of one criterion per number of steps, in words."""
    rows = table[(table["part"] == "crossover") & (table["criterion"] == criterion)]
    return "; ".join(
        f"N = {steps}: " + " and ".join(f"{s:.5g}" for s in sorted(group["std"]))
        for steps, group in rows.groupby("steps")
    )


def _rate(table: pd.DataFrame, target: str, design: str, quantity: str) -> float:
    """Slope of log error against log N between the two largest N."""
    rows = table[(table["target"] == target) & (table["design"] == design)].sort_values("steps")
    last = rows.tail(2)
    return float(np.diff(np.log(last[quantity]))[0] / np.diff(np.log(last["steps"]))[0])


def finding(table: pd.DataFrame) -> str:
    """Who wins where, the order of either error in N, and how far mixed choices collapse."""
    grid = table[table["part"] == "grid"]
    most = int(grid["steps"].max())
    at = grid[grid["steps"] == most].set_index(["target", "design"])
    middle = min(
        at.index.get_level_values(0).unique(), key=lambda t: abs(at.loc[(t, "edm"), "std"] - 0.5)
    )
    best = at.loc[(middle, "path-optimal")]
    pairs = grid.pivot_table(index=["target", "steps"], columns="design", values="discretization")
    gap = float(np.max(np.abs(pairs["linear-exponential"] / pairs["song"] - 1)))
    mixture = grid[~grid["target"].str.startswith("N(")]
    wins = mixture.pivot_table(index=["target", "steps"], columns="design", values="marginal_kl")
    edm_wins = int((wins["edm"] < wins["song"]).sum())
    return (
        f"On {middle} with N = {most}, E_D is {at.loc[(middle, 'edm'), 'discretization']:.5g} for "
        f"EDM, {at.loc[(middle, 'song'), 'discretization']:.5g} for Song and "
        f"{best['discretization']:.5g} for the path-optimal grid. EDM and Song have equal E_D at "
        f"the data scales s ({_windows(table, 'discretization')}): EDM wins above. In the marginal "
        f"KL EDM wins only inside a window of s ({_windows(table, 'marginal_kl')}), and on the "
        f"mixtures in {edm_wins} of {len(wins)} cells. The path error falls like N to the "
        f"{_rate(grid, middle, 'edm', 'discretization'):.3f}, the marginal one like N to the "
        f"{_rate(grid, middle, 'edm', 'marginal_kl'):.3f} (EDM, {middle}, last two N). Exponential "
        f"times with σ̄ = t reproduce Song's E_D to {gap:.1g}: to the sampler they are one design."
    )


_BIMODAL = {"target": "two modes", "weights": [0.5, 0.5], "means": [-1.0, 1.0], "stds": [0.1, 0.1]}
_UNEVEN = {
    "target": "three modes",
    "weights": [0.2, 0.5, 0.3],
    "means": [-1.5, 0.0, 2.0],
    "stds": [0.05, 0.3, 0.1],
}

EXPERIMENT = Experiment(
    name="schedule_comparison",
    title="Schedules compared",
    file=Path(__file__),
    presets={
        "quick": {
            "stds": [0.005, 0.5, 20.0],
            "steps": [5, 10, 20, 50, 100, 200, 500],
            "scale": {"low": 1e-3, "high": 1e3, "points": 121},
            "scale_steps": [10, 50, 100, 500],
            "mixtures": [_BIMODAL],
            "mixture_steps": [5, 10, 20, 50, 100],
        },
        "full": {
            "stds": [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 20.0, 100.0],
            "steps": [5, 7, 10, 14, 20, 30, 50, 70, 100, 140, 200, 300, 500, 1000],
            "scale": {"low": 1e-4, "high": 1e3, "points": 401},
            "scale_steps": [10, 20, 50, 100, 500, 1000],
            "mixtures": [_BIMODAL, _UNEVEN],
            "mixture_steps": [5, 7, 10, 14, 20, 30, 50, 70, 100, 200, 500],
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
)

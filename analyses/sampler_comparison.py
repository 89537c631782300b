"""Samplers compared: exact errors against the number of evaluations of the score.

Every sampler with the exact score, on Gaussians in closed form and on two modes by the propagated
density, on EDM's and Song's noise levels, on the grid that suits each, and the designs of EDM's
table; where one sampler overtakes another, and which is best at each budget.

Source: Table 1 of arXiv 2206.00364 for the designs; docs/theory/sampler_orders.md for the orders.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from analyses.gaussian_samplers import SAMPLERS, Design, errors
from analyses.own_grids import ONE_SIGNED, own_grid
from analyses.spectra import PIXEL, decaying
from design_space.errors.budget import error_budget
from design_space.optimal.marginal import marginal_optimal
from design_space.optimal.path import path_optimal
from design_space.schedules.edm_table import iddpm, vp
from design_space.schedules.named import edm, song
from design_space.schedules.schedule import Schedule
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

COMPARED = (
    "frozen",
    "euler-maruyama",
    "ancestral",
    "optimal-variance",
    "ode-euler",
    "heun",
    "midpoint",
    "churn",
    "predictor-corrector",
)
"""Samplers in every comparison, each with its usual parameters."""

_TWICE = ("heun", "midpoint", "churn", "predictor-corrector", "heun-in-time")
CRITERIA = ("marginal_kl", "w2")

PAIRS = (
    ("heun", "ode-euler"),
    ("midpoint", "heun"),
    ("ode-euler", "frozen"),
    ("ode-euler", "ancestral"),
    ("ode-euler", "euler-maruyama"),
    ("heun", "euler-maruyama"),
    ("heun", "optimal-variance"),
    ("heun", "churn"),
    ("predictor-corrector", "frozen"),
)
"""Samplers whose crossings are looked for."""

DESIGNS: Mapping[str, tuple[str, Callable[[int], Schedule]]] = {
    "VP, Euler": ("euler-in-time", vp),
    "VP, Heun": ("heun-in-time", vp),
    "VE, Euler": ("ode-euler", lambda n: song(n, 0.02, 100.0)),
    "VE, Heun": ("heun", lambda n: song(n, 0.02, 100.0)),
    "iDDPM, Euler": ("ode-euler", iddpm),
    "iDDPM, Heun": ("heun", iddpm),
    "EDM, Euler": ("ode-euler", edm),
    "EDM, Heun": ("heun", edm),
    "EDM, churn": ("churn", edm),
}
"""Designs of EDM's table: a sampler and its grid."""


def cost(sampler: str) -> int:
    """Evaluations of the score per step."""
    return 2 if sampler in _TWICE else 1


def _plain(grid: Schedule) -> Schedule:
    """The same noise levels with sigma_bar_t = t, as a sampler in sigma sees them."""
    return Schedule.from_sigmas(grid.backward_sigmas)


def _grids(sampler: str) -> dict[str, Callable[[int], Schedule]]:
    """The grids that a sampler is tried on; those but the first two are made for N(0, 0.5^2)."""
    found = {"edm": edm, "song": lambda n: _plain(song(n))}
    target = Gaussian.isotropic(1, PIXEL**0.5)
    if sampler in ONE_SIGNED:
        found["own"] = lambda n: own_grid(sampler, PIXEL, n)
    if sampler == "frozen":
        found["path-optimal"] = lambda n: path_optimal(target, n)
        found["marginal-optimal"] = lambda n: marginal_optimal(target, n)
    return found


def _rows(
    sampler: str, labels: Sequence[dict[str, str]], grids: Sequence[Schedule], dim: int
) -> pd.DataFrame:
    """Errors of a sampler on two laws, all grids at once.

    N(0, I/4) in d dimensions is d times N(0, 0.5^2): its KL is divided by d, its W2 by sqrt d.
    """
    found = errors(SAMPLERS[sampler], grids, np.stack([np.full(dim, PIXEL), decaying(dim)]))
    rows = []
    for i, (label, grid) in enumerate(zip(labels, grids, strict=True)):
        for k, (law, share) in enumerate((("N(0, 0.5²)", dim), (f"decaying, d = {dim}", 1))):
            row = {"law": law, "sampler": sampler, "steps": grid.steps} | label
            row |= {"evaluations": grid.steps * cost(sampler)}
            row |= {"marginal_kl": found.marginal_kl[i, k] / share}
            row |= {"w2": found.w2[i, k] / share**0.5, "path_kl": found.path_kl[i, k] / share}
            rows.append(row)
    return pd.DataFrame(rows)


def _gaussian(piece: Settings) -> pd.DataFrame:
    """One sampler on Gaussians, on every grid and at every budget."""
    sampler, steps = piece["sampler"], [n // cost(piece["sampler"]) for n in piece["evaluations"]]
    made = [
        ({"grid": name}, grid(n))
        for name, grid in _grids(sampler).items()
        for n in steps
        if name != "marginal-optimal" or n in piece["searched"]
    ]
    labels, grids = zip(*made, strict=True)
    rows = _rows(sampler, labels, grids, piece["dim"])
    fits = rows["grid"].isin(["edm", "song"]) | rows["law"].eq("N(0, 0.5²)")
    return rows[fits].assign(part="error")


def _designs(piece: Settings) -> pd.DataFrame:
    """The designs of EDM's table, each against the data law at its own last noise level."""
    tables = []
    for name, (sampler, grid) in DESIGNS.items():
        grids = [grid(n // cost(sampler)) for n in piece["evaluations"]]
        tables.append(_rows(sampler, [{"design": name}] * len(grids), grids, piece["dim"]))
    return pd.concat(tables, ignore_index=True).assign(part="design")


_FOLDS = "the map of a step folds: its law has no bounded density, and only particles know it"


def _modes(piece: Settings) -> pd.DataFrame:
    """One sampler on two modes, by the density carried along the line."""
    target = GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], piece["std"])
    sampler, rows = piece["sampler"], []
    for name in piece["grids"]:
        for evaluations in piece["evaluations"]:
            n = evaluations // cost(sampler)
            grid = _grids(sampler)[name](n)
            stepper = SAMPLERS[sampler](Design(grid, np.float64(n), target))
            budget = error_budget(target, grid, stepper=stepper, samples=512)
            folds = budget.marginal_kl.method == "monte carlo"  # intervals too wide to compare
            row = {"law": "two modes", "sampler": sampler, "grid": name, "steps": n}
            row |= {"evaluations": evaluations}
            exact = {q: float(getattr(budget, q).value) for q in (*CRITERIA, "path_kl")}
            exact |= {"uncertainty": float(budget.marginal_kl.error)}
            row |= dict.fromkeys(exact, np.nan) if folds else exact
            rows.append(row | {"reason": _FOLDS if folds else budget.marginal_kl.reason or ""})
    return pd.DataFrame(rows).assign(part="error")


_COMPUTE = {"gaussian": _gaussian, "designs": _designs, "modes": _modes}


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one piece; part is "error" or "design"."""
    return _COMPUTE[piece["part"]](piece)


def pieces(settings: Settings) -> Sequence[dict[str, Any]]:
    """Gaussians and two modes by sampler, then the designs of EDM's table."""
    own = {name: settings[name] for name in ("evaluations", "dim", "searched")}
    gaussians = [{"part": "gaussian", "sampler": name} | own for name in COMPARED]
    modes = [{"part": "modes", "sampler": name} | settings["modes"] for name in COMPARED]
    return [*gaussians, *modes, {"part": "designs"} | own]


def crossings(table: pd.DataFrame, criterion: str, one: str, other: str) -> list[float]:
    """Evaluations at which the errors of two samplers are equal, between those of the table.

    Args:
      table: errors on one law and grid.
      criterion: one of CRITERIA.
      one: a sampler.
      other: another one.

    Returns:
      Where log(error/error) changes sign, interpolated in log evaluations.
    """
    wide = table.pivot_table(index="evaluations", columns="sampler", values=criterion)
    if not {one, other} <= set(wide.columns):
        return []
    wide = wide[[one, other]].dropna()
    x, y = np.log(wide.index.to_numpy()), np.log((wide[one] / wide[other]).to_numpy())
    at = np.flatnonzero(np.sign(y[1:]) * np.sign(y[:-1]) < 0)
    return [float(np.exp(x[i] - y[i] * (x[i + 1] - x[i]) / (y[i + 1] - y[i]))) for i in at]


def best(table: pd.DataFrame, criterion: str) -> pd.Series:
    """The sampler of least error at each number of evaluations, of one law and grid."""
    rows = table.dropna(subset=[criterion])
    chosen = rows.loc[rows.groupby("evaluations")[criterion].idxmin()]
    return chosen.set_index("evaluations")["sampler"]


def _crossing_words(rows: pd.DataFrame) -> str:
    words = []
    for one, other in PAIRS:
        found = crossings(rows, "marginal_kl", one, other)
        if found:
            words.append(f"{one} and {other} at {', '.join(f'{x:.3g}' for x in found)}")
    return "; ".join(words) or "no crossing"


def _best_words(rows: pd.DataFrame) -> str:
    """Runs of the best sampler along the budgets."""
    chosen = best(rows, "marginal_kl")
    runs = chosen.ne(chosen.shift()).cumsum()
    words = []
    for _, run in chosen.groupby(runs):
        ends = sorted({run.index[0], run.index[-1]})
        words.append(f"{run.iloc[0]} ({' to '.join(f'{n:.0f}' for n in ends)})")
    return ", ".join(words)


def _own_words(rows: pd.DataFrame, budget: float) -> str:
    """What the grid of each sampler's own gains over EDM's on N(0, 0.5^2)."""
    rows = rows[(rows["law"] == "N(0, 0.5²)") & (rows["evaluations"] == budget)]
    wide = rows.pivot_table(index="sampler", columns="grid", values="marginal_kl")
    return ", ".join(f"{s} {wide.loc[s, 'edm'] / wide.loc[s, 'own']:.3g}" for s in ONE_SIGNED)


def finding(table: pd.DataFrame) -> str:
    """Which sampler is best at each budget, where they cross, and what their own grids gain."""
    whole = table[table["part"] == "error"]
    rows, parts = whole[whole["grid"] == "edm"], []
    for law, own in rows.groupby("law", sort=False):
        others = own[own["sampler"] != "optimal-variance"]
        parts.append(
            f"On {law}, EDM's grid, the marginal KL is least for {_best_words(own)} evaluations, "
            f"without the optimal variance for {_best_words(others)}; equal errors: "
            f"{_crossing_words(own)}."
        )
    small = rows[rows["law"] == "N(0, 0.5²)"]
    n = min(small["evaluations"].unique(), key=lambda x: abs(x - 40))
    at = small[small["evaluations"] == n].set_index("sampler")
    noisy = "; ".join(
        f"{name} {at.loc[name, 'path_kl']:.3g} and {at.loc[name, 'marginal_kl']:.3g}"
        for name in ("frozen", "euler-maruyama", "ancestral")
    )
    folds = rows[rows["marginal_kl"].isna()].groupby("sampler")["evaluations"].max()
    words = ", ".join(f"{s} (up to {e:.0f})" for s, e in folds.items())
    parts += [
        f"At {n:.0f} evaluations on N(0, 0.5²) a sampler's own grid divides its KL on EDM's by: "
        f"{_own_words(whole, n)}.",
        f"Path KL and marginal KL there: {noisy}.",
    ]
    if words:
        parts.append(
            f"On two modes these maps fold, so that the law has no bounded density: {words}."
        )
    return " ".join(parts)


EXPERIMENT = Experiment(
    name="sampler_comparison",
    title="Samplers compared",
    file=Path(__file__),
    presets={
        "quick": {
            "evaluations": [6, 10, 14, 20, 28, 40, 56, 80, 112, 160, 200, 400],
            "dim": 16,
            "searched": [20, 40],
            "modes": {"std": 0.1, "grids": ["edm"], "evaluations": [8, 16, 32, 64, 100]},
        },
        "full": {
            "evaluations": [*range(6, 64, 2), 80, 112, 160, 200, 280, 400, 800],
            "dim": 64,
            "searched": [10, 20, 40, 80, 160],
            "modes": {
                "std": 0.1,
                "grids": ["edm", "song"],
                "evaluations": [6, 8, 10, 12, 16, 20, 24, 28, 32, 40, 50, 64, 80, 100],
            },
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    workers=2,
)

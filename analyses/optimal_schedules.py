"""What the best noise levels look like, and how far every published schedule is from them.

Rows are schedules: rules that know no data, rules that know the scale of the data, and the optima
of the discretization error E_D and of the marginal KL. The score is exact.

Source: section 4 of arXiv 2406.12839, whose advice picks one of two schedules; the others are
cited where they are defined.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from design_space.errors.discretization import discretization_errors, summed
from design_space.errors.marginal import marginal_errors
from design_space.numerics.estimate import Estimate
from design_space.optimal.marginal import MarginalOptimum, marginal_optimum
from design_space.optimal.marginal_gaussian import leading_order_sigmas
from design_space.optimal.path import path_optimal
from design_space.optimal.score_optimal import score_optimal
from design_space.optimal.tangent import tangent
from design_space.schedules.named import edm, schedule, song
from design_space.schedules.published import align_your_steps, beta_quantiles
from design_space.schedules.schedule import Schedule
from design_space.scores.exact import exact_score
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.integrals import mixture_integrals
from design_space.targets.mixture import GaussianMixture

LOW, HIGH = 0.002, 80.0
"""The standard range of noise levels."""

BEST = "marginal-optimal"
PATH = "path-optimal"
LEADING = "leading-order"
OURS = (BEST, PATH, LEADING)
"""Schedules that are no one else's."""


def target_of(piece: Settings) -> AbstractTarget:
    """The data law: `variances` of a centered Gaussian, or `weights`, `means`, `stds` on a line."""
    if "variances" in piece:
        variances = np.asarray(piece["variances"], dtype=float)
        return Gaussian.diagonal(np.zeros(variances.size), variances)
    centers = [[mean] for mean in piece["means"]]
    return GaussianMixture.isotropic(piece["weights"], centers, piece["stds"])


def designs(target: AbstractTarget, steps: int) -> dict[str, Schedule]:
    """All schedules over the standard range but the marginal-optimal one.

    Args:
      target: the data law; its scale is the root of the mean variance of its coordinates.
      steps: N.
    """
    ends = (steps, LOW, HIGH)
    variance = float(np.mean(np.diag(np.asarray(target.covariance()))))
    return {
        "edm": edm(*ends),
        "song": song(*ends),
        "sqrt-polynomial": schedule("sqrt", "polynomial", steps=steps),
        "cosine": schedule(time="cosine", steps=steps, sigma_min=LOW, sigma_max=HIGH),
        "tangent": tangent(variance**0.5, *ends),
        "beta": beta_quantiles(*ends),
        "beta in sigma": beta_quantiles(*ends, map="sigma"),
        "align-your-steps": align_your_steps(steps, "sd15", LOW, HIGH),
        "align-your-steps svd": align_your_steps(steps, "svd", LOW, HIGH),
        "score-optimal": score_optimal(target, *ends),
        LEADING: Schedule.from_sigmas(leading_order_sigmas(variance, *ends)),
        PATH: path_optimal(target, *ends),
    }


def _path_errors(target: AbstractTarget, grids: list[Schedule]) -> Estimate:
    """E_D of all schedules, stacked.

    On a mixture one of them by its steps; the others share int I dv with it, so that they differ
    by (1/2) sum_j h_j I(v_j) alone, which is one integral for all grid points at once.
    """
    key = jax.random.key(0)  # drawn from nowhere: all laws here are exact

    def own(grid: Schedule) -> Estimate:
        levels = (grid.backward_variances, grid.backward_variance_steps)
        return summed(discretization_errors(target, *levels, key, 2))

    if isinstance(target, Gaussian):
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(own, grids))
    steps = jnp.stack([grid.backward_variance_steps for grid in grids])
    points = jnp.stack([grid.backward_variances[:-1] for grid in grids])
    found = mixture_integrals(target, points.ravel(), None, 2).fisher_information
    inscribed = 0.5 * jnp.sum(steps * found.value.reshape(steps.shape), axis=1)
    errors = 0.5 * jnp.sum(steps * found.error.reshape(steps.shape), axis=1)
    first = own(grids[0])
    value = first.value + (inscribed[0] - inscribed)
    return Estimate(value, first.error + errors[0] + errors, first.method)


def against(value: float, error: float, best: float, best_error: float) -> str:
    """How a schedule does against the marginal-optimal one, by the stated errors.

    Returns:
      "beaten" or "better" where the difference exceeds both errors together, else "tie".
    """
    if abs(value - best) <= error + best_error:
        return "tie"
    return "beaten" if value > best else "better"


def _errors(target: AbstractTarget, grids: dict[str, Schedule]) -> pd.DataFrame:
    """Errors of each schedule, their ratios to the optima, and who is beaten."""
    path = _path_errors(target, list(grids.values()))
    key, score = jax.random.key(0), exact_score(target)
    marginal = [marginal_errors(target, g, score, key, 2).marginal_kl for g in grids.values()]
    columns = {
        "design": list(grids),
        "discretization": np.asarray(path.value),
        "discretization_error": np.asarray(path.error),
        "marginal_kl": [float(estimate.value) for estimate in marginal],
        "marginal_kl_error": [float(estimate.error) for estimate in marginal],
    }
    table = pd.DataFrame(columns)
    at = table.set_index("design")
    best, error = at.loc[BEST, "marginal_kl"], at.loc[BEST, "marginal_kl_error"]
    table["marginal_ratio"] = table["marginal_kl"] / best
    table["path_ratio"] = table["discretization"] / at.loc[PATH, "discretization"]
    table["verdict"] = [
        against(value, own, best, error)
        for value, own in zip(table["marginal_kl"], table["marginal_kl_error"], strict=True)
    ]
    return table


def _certificate(found: MarginalOptimum, errors: pd.DataFrame) -> dict[str, Any]:
    """What speaks for an optimum, and the best schedule of others."""
    rows = errors[~errors["design"].isin(OURS)].set_index("design")
    name = rows["marginal_kl"].idxmin()
    reached = np.array(list(found.restarts.values()))
    return {
        "part": "optimum",
        "marginal_kl": float(found.marginal_kl.value),
        "marginal_kl_error": float(found.marginal_kl.error),
        "gradient_norm": found.gradient_norm,
        "restarts": len(reached),
        "restart_spread": float(np.max(reached) / np.min(reached) - 1),
        "below_rounding": found.below_rounding,
        "rival": name,
        "rival_ratio": float(rows.loc[name, "marginal_ratio"]),
        "beaten": int((rows["verdict"] == "beaten").sum()),
        "tied": int((rows["verdict"] == "tie").sum()),
        "better": int((rows["verdict"] == "better").sum()),
    }


def compute(piece: Settings) -> pd.DataFrame:
    """All schedules on one target at one number of steps.

    Args:
      piece: a target, `steps`, and `drawn`: whether the noise levels are kept.

    Returns:
      Rows of the parts "error" (each schedule), "optimum" (the certificate) and "grid".
    """
    target, steps = target_of(piece), piece["steps"]
    found = marginal_optimum(target, steps, LOW, HIGH)
    grids = designs(target, steps) | {BEST: found.schedule}
    errors = _errors(target, grids)
    parts = [errors.assign(part="error"), pd.DataFrame([_certificate(found, errors)])]
    for name, grid in grids.items() if piece["drawn"] else ():
        levels = {"sigma": np.asarray(grid.backward_sigmas), "level": np.arange(steps + 1)}
        parts.append(pd.DataFrame(levels).assign(part="grid", design=name))
    gaussian = isinstance(target, Gaussian)
    named = {"target": piece["target"], "steps": steps, "gaussian": gaussian}
    return pd.concat(parts, ignore_index=True).assign(**named)


def pieces(settings: Settings) -> list[dict]:
    """One piece per target and number of steps; the mixtures first, they take longest."""
    found = []
    for targets, counts, drawn in (
        ("mixtures", "mixture_steps", "drawn_mixture_steps"),
        ("gaussians", "steps", "drawn_steps"),
    ):
        for target in settings[targets]:
            found += [
                {**target, "steps": n, "drawn": n == settings[drawn]} for n in settings[counts]
            ]
    return found


def quantile(grid: pd.DataFrame, share: float) -> float:
    """The noise level above which this share of the steps lies, by linear log sigma in between.

    Args:
      grid: rows of one grid, with `level` and `sigma`.
      share: in [0, 1].
    """
    rows = grid.sort_values("level")
    place = share * rows["level"].max()
    return float(np.exp(np.interp(place, rows["level"], np.log(rows["sigma"]))))


def _gains(errors: pd.DataFrame, name: str) -> str:
    """The range of a schedule's ratio to the optimum over the cells of each kind of law."""
    own = errors[errors["design"] == name]
    words = []
    for kind, word in ((True, "Gaussians"), (False, "mixtures")):
        ratios = own.loc[own["gaussian"] == kind, "marginal_ratio"]
        if len(ratios):
            words.append(f"{ratios.min():.3g} to {ratios.max():.3g} times on the {word}")
    return " and ".join(words)


def _halves(grids: pd.DataFrame) -> str:
    """The noise level that halves the steps, per target and schedule."""
    words = []
    for target, rows in grids.groupby("target", sort=False):
        middles = ", ".join(
            f"{name} {quantile(rows[rows['design'] == name], 0.5):.3g}"
            for name in (BEST, PATH, "edm", "song")
        )
        words.append(f"{target} (N = {rows['steps'].iloc[0]}): {middles}")
    return "; ".join(words)


def _certified(optima: pd.DataFrame) -> str:
    """What speaks for the optima, at worst."""
    slope = (optima["gradient_norm"] / optima["marginal_kl"]).max()
    words = f"Largest |d KL / d log v| over the KL {slope:.2g}"
    for kind, word in ((True, "Gaussians"), (False, "mixtures")):
        rows = optima[optima["gaussian"] == kind]
        if len(rows):
            words += f"; searches on the {word} end within {rows['restart_spread'].max():.2g}"
    return f"{words} of each other."


def finding(table: pd.DataFrame) -> str:
    """Whether the optimum beats everybody, by how much, and where it puts its steps."""
    optima, errors = (table[table["part"] == part] for part in ("optimum", "error"))
    optima = optima.astype({"steps": int})
    compared = int(optima[["beaten", "tied", "better"]].sum().sum())
    ratios = optima["rival_ratio"]
    least, most = optima.loc[ratios.idxmin()], optima.loc[ratios.idxmax()]
    rivals = ", ".join(f"{name} {count}" for name, count in optima["rival"].value_counts().items())
    least_path = errors.groupby(["target", "steps"])["path_ratio"].min().to_numpy()
    price = errors.loc[errors["design"] == BEST, "path_ratio"]
    return (
        f"In {len(optima)} cells (data law, N), {compared} comparisons with schedules of others, "
        f"the marginal-optimal grid has the smaller marginal KL in {optima['beaten'].sum():.0f}, "
        f"ties in {optima['tied'].sum():.0f} and loses {optima['better'].sum():.0f}. The best of "
        f"the others costs {least['rival_ratio']:.4g} ({least['rival']}, {least['target']}, N = "
        f"{least['steps']}) to {most['rival_ratio']:.4g} times as much ({most['rival']}, "
        f"{most['target']}, N = {most['steps']}); it is, by cells: {rivals}. EDM costs "
        f"{_gains(errors, 'edm')}; Song {_gains(errors, 'song')}; the path-optimal grid "
        f"{_gains(errors, PATH)}. In E_D the path-optimal grid is the best in "
        f"{np.sum(least_path >= 1)} cells, and the marginal-optimal one costs {price.min():.3g} to "
        f"{price.max():.3g} times as much. "
        f"Half of the steps lie above sigma: {_halves(table[table['part'] == 'grid'])}. "
        + _certified(optima)
    )


_GAUSSIANS = [
    {"target": "N(0, 0.05²)", "variances": [0.0025]},
    {"target": "N(0, 0.5²)", "variances": [0.25]},
    {"target": "N(0, 5²)", "variances": [25.0]},
    {"target": "decaying spectrum", "variances": [4.0**-k for k in range(8)]},
]
_MORE = [
    {"target": "N(0, 0.005²)", "variances": [2.5e-5]},
    {"target": "N(0, 30²)", "variances": [900.0]},
    {"target": "power law", "variances": [10.0 / (k + 1) ** 2 for k in range(64)]},
]
_TWO = {"target": "two modes", "weights": [0.5, 0.5], "means": [-1.0, 1.0], "stds": [0.1, 0.1]}
_UNEQUAL = {
    "target": "unequal modes",
    "weights": [0.2, 0.8],
    "means": [-1.0, 0.7],
    "stds": [0.05, 0.4],
}
_THREE = {
    "target": "three modes",
    "weights": [0.3, 0.5, 0.2],
    "means": [-2.0, 0.0, 1.5],
    "stds": [0.2, 0.1, 0.3],
}
_STEPS = {"steps": [5, 10, 20, 50, 100, 200, 500], "drawn_steps": 100}

EXPERIMENT = Experiment(
    name="optimal_schedules",
    title="Optimal schedules",
    file=Path(__file__),
    presets={
        "quick": _STEPS
        | {
            "gaussians": _GAUSSIANS,
            "mixtures": [_TWO, _UNEQUAL],
            "mixture_steps": [5, 10, 20],
            "drawn_mixture_steps": 20,
        },
        "full": _STEPS
        | {
            "gaussians": [*_GAUSSIANS, *_MORE],
            "mixtures": [_TWO, _UNEQUAL, _THREE],
            "mixture_steps": [5, 10, 20, 50],
            "drawn_mixture_steps": 50,
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    whole_parts=("optimum",),
    workers=2,
)

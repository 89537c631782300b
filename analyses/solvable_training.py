"""Training that is exactly solvable: losses, their floor, and score errors level by level.

Models linear in their weights, whose gradient descent has a closed form at any step: affine models
with coefficients of their own at each noise level, affine models that share features between the
levels, and random features. Simulated gradient descent runs beside the closed form.

Source: Remark 1 and section 3.1 of arXiv 2406.12839.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from analyses.residuals import affine_residual
from analyses.solvable_runs import STEP, empirical, schedule_of
from design_space.arrays import Array
from design_space.schedules.schedule import Schedule
from design_space.scores.linear import per_level_affine, shared_affine
from design_space.scores.model import AbstractModel
from design_space.targets.gaussian import Gaussian
from design_space.training.population import population_solvable
from design_space.weightings.base import AbstractWeighting, CustomWeighting
from design_space.weightings.named import edm_weighting, uniform

WEIGHTINGS = ("EDM", "uniform", "equal rates")
MODELS = ("per level", "shared")

SHARE = 0.01
"""A level has arrived once its relative score error stays below this."""

BUDGET = 0.1
"""The score error E_S = (1/2) sum_j h_j E|s_j - L_j|^2 that counts as small, in nats."""


def weighting_of(name: str, schedule: Schedule, std: float) -> AbstractWeighting:
    """EDM's bell, uniform, or beta_j = 1/(v_j (s^2 + v_j)), under which all levels of a per-level
    model contract alike on N(0, s^2 I).
    """
    if name == "equal rates":
        v = schedule.forward_variances[1:]
        return CustomWeighting(1 / (v * (std**2 + v)))
    return {"EDM": edm_weighting, "uniform": uniform}[name]()


def _model(settings: Settings) -> AbstractModel:
    dim = settings["dim"]
    if settings["model"] == "per level":
        return per_level_affine(dim, schedule_of(settings), intercept=False)
    return shared_affine(dim, settings["scales"], intercept=False)


def arrivals(steps: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The step from which on each level's relative error stays below SHARE, NaN if it never does.

    Args:
      steps: ascending, the first above 0.
      errors: relative errors there, [steps, levels].
    """
    found = []
    for column in np.log(np.maximum(errors, np.finfo(float).tiny)).T:
        above = np.flatnonzero(column > np.log(SHARE))
        if not len(above) or above[-1] == len(steps) - 1:
            found.append(np.nan if len(above) else steps[0])
            continue
        k = int(above[-1])
        part = (column[k] - np.log(SHARE)) / (column[k] - column[k + 1])
        found.append(steps[k] * (steps[k + 1] / steps[k]) ** part)
    return np.array(found)


def law_errors(settings: Settings, steps: np.ndarray) -> np.ndarray:
    """Relative score errors of per-level models on N(0, s^2 I) by the law of one coefficient,
    (1 - h beta_j v_j (s^2 + v_j))^(2k), h = 1/max_j beta_j v_j (s^2 + v_j); [steps, levels].
    """
    schedule, std = schedule_of(settings), settings["std"]
    v = np.asarray(schedule.forward_variances[1:])
    beta = np.asarray(weighting_of(settings["weighting"], schedule, std).total(schedule))
    rates = beta * v * (std**2 + v)
    with np.errstate(divide="ignore"):  # the fastest level is there after one step
        return np.exp(2 * steps[:, None] * np.log1p(-rates / rates.max()))


def _levels(piece: Settings) -> pd.DataFrame:
    """Score errors over their start, by level and step, on N(0, s^2 I)."""
    schedule, std, dim = schedule_of(piece), piece["std"], piece["dim"]
    weighting = weighting_of(piece["weighting"], schedule, std)
    solution = population_solvable(_model(piece), Gaussian.isotropic(dim, std), schedule, weighting)
    rate = STEP * solution.stability_limit
    # At this rate 1 - h lambda >= 0: between two steps the closed form is a smooth curve.
    fine = np.geomspace(1, piece["last"], piece["fine"])
    errors = np.asarray(solution.score_errors(jnp.asarray(fine), rate))
    sigmas = np.asarray(schedule.forward_sigmas[1:])
    start = dim / (std**2 + sigmas**2)  # E|L_j|^2: the models start from S = 0
    relative = errors / start[None, :]
    budget = 0.5 * errors @ np.asarray(schedule.forward_variance_steps)
    thinned = np.unique(np.linspace(0, len(fine) - 1, piece["kept"]).round().astype(int))
    rows = [
        pd.DataFrame({"sigma": sigmas, "value": relative[k], "step": fine[k]}).assign(part="error")
        for k in thinned
    ]
    arrived = {"sigma": sigmas, "value": arrivals(fine, relative), "part": "arrival"}
    if piece["model"] == "per level":
        whole = np.round(fine)
        again = np.asarray(solution.score_errors(jnp.asarray(whole), rate)) / start[None, :]
        law = law_errors(piece, whole)
        arrived["law"] = arrivals(fine, law_errors(piece, fine))
        arrived["deviation"] = np.max(np.abs(again - law))
    whole = {
        "step": fine[thinned],
        "loss": np.asarray(solution.loss(jnp.asarray(fine[thinned]), rate)),
        "floor": float(jnp.sum(solution.floor.value)),
        "value": budget[thinned],
        "part": "budget",
    }
    spectrum = np.asarray(solution.eigenvalues)
    summary = [
        {"part": "condition", "value": spectrum[0] / spectrum[spectrum > 0][-1]},
        {"part": "budget arrival", "value": arrivals(fine, budget[:, None] / BUDGET * SHARE)[0]},
        {"part": "worst", "value": relative.max()},
    ]
    rows += [pd.DataFrame(arrived), pd.DataFrame(whole), pd.DataFrame(summary)]
    return pd.concat(rows, ignore_index=True)


def _scalars(piece: Settings) -> pd.DataFrame:
    """Curvatures of a d x d matrix and of one scalar coefficient at the top level, for several d,
    with uniform weights.
    """
    rows, std, schedule = [], piece["std"], schedule_of(piece)
    sigma = schedule.forward_sigmas[-1]
    for dim in piece["dims"]:
        model = per_level_affine(dim, schedule, intercept=False)
        solution = population_solvable(model, Gaussian.isotropic(dim, std), schedule, uniform())

        def loss(slope: Array, dim: int = dim) -> Array:
            return 0.5 * affine_residual(jnp.full(dim, std**2), jnp.full(dim, slope), sigma)

        scalar = float(jax.hessian(loss)(jnp.zeros(())))
        matrix = float(solution.eigenvalues[0])
        rows.append({"x": dim, "matrix": matrix, "scalar": scalar, "value": scalar / matrix})
    return pd.DataFrame(rows).assign(part="scalar")


_COMPUTE = {"levels": _levels, "scalar": _scalars, "empirical": empirical}


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one piece.

    Args:
      piece: settings; `kind` says which.
    """
    about = {key: piece[key] for key in ("model", "weighting", "points") if key in piece}
    return _COMPUTE[piece["kind"]](piece).assign(kind=piece["kind"], **about)


def pieces(settings: Settings) -> list[dict]:
    """One piece for each model and weighting, for each empirical run, and for the dimensions."""
    common = {"kind": "levels"} | settings["population"]
    found = [
        common | {"model": model, "weighting": weighting}
        for model in MODELS
        for weighting in WEIGHTINGS
    ]
    found += [{"kind": "empirical"} | settings["empirical"] | run for run in settings["runs"]]
    return [*found, settings["population"] | {"kind": "scalar", "dims": settings["dims"]}]


_SCALES = [0.05, 0.2, 0.5, 1.0, 5.0]
_POPULATION = {
    "dim": 2,
    "std": 0.5,
    "levels": 18,
    "low": 0.002,
    "high": 80.0,
    "scales": _SCALES,
    "last": 1e15,
}
_EMPIRICAL = {"levels": 8, "low": 0.05, "high": 10.0, "seed": 0, "scales": _SCALES}


def _told(row: pd.Series) -> str:
    return f"{row['value']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def finding(table: pd.DataFrame) -> str:
    """How well simulation and closed form agree, Remark 1, and which levels converge when."""
    part = dict(iter(table.groupby("part")))
    agreed = part["agreement"]["value"].max()
    words = [
        f"Simulated gradient descent and closed form agree to {agreed:.2g} (losses, level losses, "
        f"weights, {part['agreement']['step'].max():.0f} steps, {table['model'].nunique()} models)."
    ]
    features = table[table["model"] == "random features"]
    for points, rows in features.groupby("points"):
        ends = rows[rows["part"] == "curve"].groupby("series").last()
        crossing = rows[rows["part"] == "crossing"].iloc[0]
        least = rows[rows["part"] == "least population"]["value"].iloc[0]
        words.append(
            f"Random features, n = {points:.0f}: the training loss {_crossed(crossing)} the floor "
            f"-C_bar and ends at {_told(ends.loc['training'])} of it; the population loss is never "
            f"below {least:.4g} of it and ends at {_told(ends.loc['population'])}."
        )
    return " ".join(words) + _per_level(part) + _shared(part)


def _crossed(crossing: pd.Series) -> str:
    if not crossing["seeds"]:
        return "never falls below"
    if not np.isfinite(crossing["value"]):
        return f"falls in {crossing['seeds']:.0f} seeds, fewer than half of them, below"
    return f"falls at step {_told(crossing)} below"


def _per_level(part: dict[str, pd.DataFrame]) -> str:
    """Steps to the first and last level, for models that do not couple the levels."""
    arrived = part["arrival"][part["arrival"]["model"] == "per level"]
    words = []
    for weighting, rows in arrived.groupby("weighting", sort=False):
        rows = rows.sort_values("sigma")
        words.append(
            f"{weighting}: {rows['value'].iloc[-1]:.3g} at sigma = {rows['sigma'].iloc[-1]:.3g}, "
            f"{rows['value'].iloc[len(rows) // 2]:.3g} at {rows['sigma'].iloc[len(rows) // 2]:.3g},"
            f" {rows['value'].iloc[0]:.3g} at {rows['sigma'].iloc[0]:.3g}"
        )
    ratios = part["scalar"]
    d_times = ", ".join(f"{r:.6g} (d = {d:.0f})" for r, d in ratios[["value", "x"]].values)
    return (
        f" Per-level models: steps until the score error stays below {SHARE:.0%} of its start, "
        f"{'; '.join(words)}; off the law of one coefficient by at most "
        f"{arrived['deviation'].max():.2g}. A scalar coefficient has a curvature {d_times} times "
        f"that of a matrix."
    )


def _shared(part: dict[str, pd.DataFrame]) -> str:
    """What coupling the levels changes."""

    def listed(name: str) -> str:
        values = part[name].set_index(["weighting", "model"])["value"]
        return "; ".join(
            f"{w} {values[w, 'per level']:.3g} per level, {values[w, 'shared']:.3g} shared"
            for w in WEIGHTINGS
        )

    return (
        f" Steps until E_S stays below {BUDGET} nats: {listed('budget arrival')}. Condition "
        f"numbers: {listed('condition')}. Largest score error on the way, over that at the start: "
        f"{listed('worst')}."
    )


EXPERIMENT = Experiment(
    name="solvable_training",
    title="Training in closed form",
    file=Path(__file__),
    presets={
        "quick": {
            "population": _POPULATION | {"fine": 1601, "kept": 65},
            "empirical": _EMPIRICAL | {"seeds": 12, "kept": 32, "width": 64, "simulated": 1000},
            "runs": [
                {"model": "random features", "points": 4, "last": 1e12},
                {"model": "random features", "points": 128, "last": 1e12},
                {"model": "per level", "points": 32, "last": 1e6},
                {"model": "shared", "points": 32, "last": 1e6},
            ],
            "dims": [2, 16],
        },
        "full": {
            "population": _POPULATION | {"levels": 40, "fine": 16001, "kept": 201},
            "empirical": _EMPIRICAL | {"seeds": 64, "kept": 100, "width": 512, "simulated": 20000},
            "runs": [
                {"model": "random features", "points": 4, "last": 1e14},
                {"model": "random features", "points": 16, "last": 1e14},
                {"model": "random features", "points": 1024, "last": 1e14},
                {"model": "per level", "points": 32, "last": 1e6},
                {"model": "shared", "points": 32, "last": 1e6},
            ],
            "dims": [2, 4, 8, 16, 32],
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    workers=2,
)

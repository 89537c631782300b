"""Which weighting trains fastest, each at its own best stable step, and in which sense.

Source: section 4.1 and Corollary 2 of arXiv 2406.12839 (equal f_ij give the best rate, hence a
bell-shaped total weighting); Karras et al. 2022, Song et al. 2021, Hang et al. 2023 (Min-SNR) and
Choi et al. 2022 (P2) for the weightings.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from analyses.race import AGAIN, EQUAL, NAMED, Measures, entered, measuring, schedule_of
from analyses.race import solved as solve_runs
from analyses.race import trained as train_runs
from design_space.numerics.statistics import geometric_mean

WEIGHTINGS = (*NAMED, EQUAL, AGAIN)
METRICS = ("own", "residual", "score", "unevenness")


def _geometric(values: np.ndarray) -> dict[str, float]:
    """The geometric mean of positive numbers over seeds and its 99 % interval."""
    return {name: float(value) for name, value in geometric_mean(values)._asdict().items()}


def record_steps(settings: Settings) -> np.ndarray:
    """The steps of the records after the start, spread evenly in their logarithm."""
    return np.unique(np.geomspace(1, settings["steps"], settings["records"]).round().astype(int))


def late_rates(at: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The rate -d ln(loss)/dk over the last third of the steps in their logarithm.

    Args:
      at: steps of the records, ascending, the first above 0.
      values: the loss there, above 0, shape [members, records].
    """
    k = min(int(np.searchsorted(at, at[-1] ** (2 / 3))), len(at) - 2)
    return np.log(values[:, k] / values[:, -1]) / (at[-1] - at[k])


def steps_to(at: np.ndarray, values: np.ndarray, threshold: float) -> float:
    """The step at which a falling quantity first passes a threshold, by log-log interpolation.

    Args:
      at: steps of the records, ascending, the first above 0.
      values: the quantity there, above 0.
      threshold: what it is to fall to.

    Returns:
      The step, the first record if it was there before; NaN if it was not reached.
    """
    below = np.flatnonzero(values <= threshold)
    if not len(below):
        return float("nan")
    k = int(below[0])
    if k == 0:
        return float(at[0])
    steps, logs = np.log(at[k - 1 : k + 1]), np.log(values[k - 1 : k + 1])
    share = (logs[0] - np.log(threshold)) / (logs[0] - logs[1])
    return float(np.exp(steps[0] + share * (steps[1] - steps[0])))


def _series(found: list[Measures], metric: str) -> np.ndarray:
    """A metric along the records, [members, records], relative to the start if it is a loss."""
    values = np.stack([np.asarray(getattr(m, metric), float) for m in found], axis=1)
    return values / values[:, :1] if metric == "own" else values


def _best(settings: Settings, weightings: tuple[str, ...], run) -> np.ndarray:
    """Each weighting's best multiple of the stability limit, tried on a few seeds."""
    tried, seeds = np.asarray(settings["multiples"]), settings["seeds"]
    runs = entered({**settings, "seed": settings["seed"] + 1}, weightings, seeds)
    multiples = np.tile(tried[np.arange(seeds) % len(tried)], len(weightings))
    found, lost = run(runs, multiples, record_steps(settings), measuring(settings))
    best = []
    for place, name in enumerate(weightings):
        metric = "residual" if name == AGAIN else "own"
        own = slice(place * seeds, (place + 1) * seeds)
        ends = _series(found, metric)[own, -1]
        ends = np.where(lost[own] | ~np.isfinite(ends), np.inf, ends)
        score = [np.mean(np.log(ends[multiples[own] == c])) for c in tried]
        best.append(tried[int(np.argmin(score))])
    return np.array(best)


def compute(piece: Settings) -> pd.DataFrame:
    """One model on one kind of data: curves, steps to thresholds, and errors per level at the end.

    Args:
      piece: settings of one race.
    """
    exact = piece["model"] == "features"
    run = solve_runs if exact else train_runs
    weightings = tuple(name for name in WEIGHTINGS if not (exact and name == AGAIN))
    best, seeds = _best(piece, weightings, run), piece["seeds"]
    at = record_steps(piece)
    runs = entered(piece, weightings, seeds)
    found, lost = run(runs, np.repeat(best, seeds), at, measuring(piece))
    rows = []
    for place, name in enumerate(weightings):
        own = slice(place * seeds, (place + 1) * seeds)
        about = {"weighting": name, "multiple": best[place], "lost": int(lost[own].sum())}
        parts = [_curves(found, at, own, name)]
        parts += [_arrivals(piece, found, at, own, name), _rates(found, at, own, name)]
        if piece["dim"] == 1:
            parts.append(_levels(piece, found, own))
        rows += [part | about for group in parts for part in group]
    common = {key: piece[key] for key in ("track", "model", "dim", "points", "seeds")}
    return pd.DataFrame(rows).assign(**common)


def _curves(found: list[Measures], at: np.ndarray, own: slice, name: str) -> list[dict]:
    steps, rows = np.concatenate([[0], at]), []
    for metric in METRICS:
        values = _series(found, metric)[own]
        if (metric == "own" and name == AGAIN) or not np.all(np.isfinite(values)):
            continue
        rows += [
            {"part": "curve", "metric": metric, "step": int(k)} | _geometric(values[:, i])
            for i, k in enumerate(steps)
        ]
    return rows


def _arrivals(
    piece: Settings, found: list[Measures], at: np.ndarray, own: slice, name: str
) -> list[dict]:
    rows = []
    for metric, thresholds in piece["thresholds"].items():
        if metric == "own" and name == AGAIN:
            continue
        values = _series(found, metric)[own, 1:]
        for threshold in thresholds:
            steps = np.array([steps_to(at, row, threshold) for row in values])
            row = {"part": "arrival", "metric": metric, "threshold": threshold}
            row["reached"] = int(np.sum(np.isfinite(steps)))
            if row["reached"] == len(steps):
                row |= _geometric(steps) | _beside(piece, found, at, metric, threshold, steps)
            rows.append(row)
    return rows


def _beside(
    piece: Settings,
    found: list[Measures],
    at: np.ndarray,
    metric: str,
    threshold: float,
    steps: np.ndarray,
) -> dict[str, float]:
    """The steps over those of EDM's bell, seed by seed."""
    first = _series(found, metric)[: piece["seeds"], 1:]  # WEIGHTINGS begins with EDM's
    theirs = np.array([steps_to(at, row, threshold) for row in first])
    if not np.all(np.isfinite(theirs)):
        return {}
    if np.all(steps == theirs):
        return {"ratio": 1.0, "ratio_low": 1.0, "ratio_high": 1.0}
    found_ratio = _geometric(steps / theirs)
    return {
        "ratio": found_ratio["value"],
        "ratio_low": found_ratio["low"],
        "ratio_high": found_ratio["high"],
    }


def _rates(found: list[Measures], at: np.ndarray, own: slice, name: str) -> list[dict]:
    """How fast a weighting's own loss falls at the end."""
    if name == AGAIN:
        return []
    rates = late_rates(at, _series(found, "own")[own, 1:])
    if not np.all(np.isfinite(rates) & (rates > 0)):
        return []
    return [{"part": "rate", "metric": "own"} | _geometric(rates)]


def _levels(piece: Settings, found: list[Measures], own: slice) -> list[dict]:
    sigmas = np.asarray(schedule_of(piece).forward_sigmas[1:])
    values = np.asarray(found[-1].levels)[own]
    return [
        {"part": "level", "metric": "score", "sigma": float(s)} | _geometric(values[:, j])
        for j, s in enumerate(sigmas)
    ]


def pieces(settings: Settings) -> list[dict]:
    """One piece for each race."""
    common = {key: value for key, value in settings.items() if key != "races"}
    return [common | race for race in settings["races"]]


_TRACKS = {"interpolation": "few data", "population": "many data"}
_MODELS = {
    "relu": "the paper's network",
    "preconditioned": "the network preconditioned",
    "features": "random features",
}
_SENSES = {
    "own": "its own loss is {} of the initial one",
    "residual": "the unweighted residual is {}",
    "score": "E_S is {}",
}


def _listed(rows: pd.DataFrame) -> str:
    """The first, EDM's and the last of ranked rows, with their intervals."""
    shown = {0, len(rows) - 1} | set(np.flatnonzero(rows["weighting"] == "EDM"))
    return ", ".join(
        f"{row.weighting} {row.value:.3g} [{row.low:.3g}, {row.high:.3g}]"
        for place, row in enumerate(rows.itertuples())
        if place in shown
    )


def finding(table: pd.DataFrame) -> str:
    """Who comes first in each race, in each sense, and by how much."""
    words = []
    for (track, model), race in table.groupby(["track", "model"], sort=False):
        said = []
        arrivals = race[race["part"] == "arrival"]
        for (metric, threshold), rows in arrivals.groupby(["metric", "threshold"], sort=False):
            all_in, late = rows[rows["value"].notna()], rows[rows["value"].isna()]
            text = f"steps until {_SENSES[metric].format(f'{threshold:g}')}: "
            text += _listed(all_in.sort_values("value")) or "none"
            if len(late):
                text += f" (not in every run: {', '.join(late['weighting'])})"
            said.append(text)
        rates = race[race["part"] == "rate"].sort_values("value", ascending=False)
        if track == "interpolation" and len(rates):
            said.append(f"rate of the own loss at the end, per step: {_listed(rates)}")
        curves = race[(race["part"] == "curve") & (race["metric"] == "score")]
        if len(curves):
            ends = curves[curves["step"] == curves["step"].max()].sort_values("value")
            said.append(f"E_S at the end: {_listed(ends)}")
        words.append(f"{_TRACKS[track]}, {_MODELS[model]}: {'; '.join(said)}.")
    return " ".join(word[0].upper() + word[1:] for word in words)


_COMMON = {
    "seed": 0,
    "depth": 1,
    "dtype": "float32",
    "seeds": 8,
    "multiples": [0.5, 1.0, 2.0, 4.0],
}
_FEW = {
    "track": "interpolation",
    "dim": 8,
    "points": 4,
    "levels": 6,
    "low": 0.1,
    "high": 3.0,
    "width": 96,
    "records": 16,
    "thresholds": {"own": [0.1], "residual": [0.5]},
}
_MANY = {
    "track": "population",
    "dim": 1,
    "points": 32,
    "levels": 10,
    "low": 0.05,
    "high": 10.0,
    "width": 48,
    "records": 16,
}
_RELU = {"model": "relu", "thresholds": {"own": [0.1], "score": [5.0]}}
_PRECONDITIONED = {"model": "preconditioned", "thresholds": {"score": [0.6]}}
_FEATURES = {
    "model": "features",
    "dtype": "float64",
    "multiples": [0.5, 0.8, 0.95, 0.99],
    "thresholds": {"score": [1.3]},
}

EXPERIMENT = Experiment(
    name="weighting_race",
    title="The weightings in a race",
    file=Path(__file__),
    presets={
        "quick": _COMMON
        | {
            "races": [
                _FEW | {"model": "relu", "steps": 1000},
                _FEW | {"model": "preconditioned", "steps": 1000},
                _MANY | _RELU | {"steps": 1000},
                _MANY | _PRECONDITIONED | {"steps": 1000},
                _MANY | _FEATURES | {"steps": 1000000},
            ]
        },
        "full": _COMMON
        | {
            "seeds": 64,
            "races": [
                _FEW | {"model": "relu", "steps": 100000, "width": 4096},
                _FEW | {"model": "preconditioned", "steps": 100000, "width": 4096},
                _MANY | _RELU | {"steps": 100000, "width": 1024, "points": 1024},
                _MANY | _PRECONDITIONED | {"steps": 100000, "width": 1024, "points": 1024},
                _MANY | _FEATURES | {"steps": 100000000, "width": 512, "points": 256},
            ],
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    workers=2,
)

"""Realism against diversity: denoising, self-perceptual, guided, and both, as networks grow.

Every network is trained by the denoising loss and then, on the same batches, by it again or by the
self-perceptual loss. The laws of ancestral sampling are exact densities on the line, so that what
is random is the networks: every number is a mean over seeds with an interval.

Source: arXiv 2401.00110.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analyses.experiment import Experiment, Settings
from analyses.perceptual_runs import PLANS, Plan, compared

COLUMNS = ("valley", "between", "missed", "imbalance", "spread", "kl", "reverse_kl", "w2")
"""Numbers of realism and diversity: the mass where data have almost none, the same between modes,
the mass of the data that samples miss, the largest error of a mode's weight, the standard deviation
within modes over that of the data, KL(p|q) and KL(q|p) in nats, W2 in data units."""

_KEYS = ["world", "std", "width", "method", "strength"]
_CONFIDENCE = 0.95


def over_seeds(values: np.ndarray) -> tuple[float, float]:
    """Mean over seeds, and the half-width of its 95 % t interval; of one number, itself and 0.

    Args:
      values: one for each seed.
    """
    if len(values) == 1:
        return float(values[0]), 0.0
    t = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, len(values) - 1))
    return float(np.mean(values)), t * float(np.std(values, ddof=1)) / len(values) ** 0.5


def middle(values: np.ndarray) -> dict[str, float]:
    """Geometric mean over seeds with its 95 % interval, that of the mean logarithm.

    Args:
      values: one for each seed; not a number if one of them is not above 0.
    """
    if not np.all(values > 0):
        return dict.fromkeys(("middle", "low", "high"), np.nan)
    mean, half = over_seeds(np.log(values))
    ends = zip(("middle", "low", "high"), (0, -1, 1), strict=True)
    return {name: float(np.exp(mean + sign * half)) for name, sign in ends}


def _numbers(rows: pd.DataFrame, column: str) -> dict[str, float]:
    values = rows[column].to_numpy(dtype=float)
    mean, half = over_seeds(values)
    return {"mean": mean, "half": half, "seeds": len(values)} | middle(values)


def summary(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Means and intervals of every number, a row each.

    Args:
      table: one row for each network.
      keys: columns that say which networks belong together.
    """
    columns = [c for c in (*COLUMNS, "accuracy") if c in table and table[c].notna().any()]
    parts = []
    for values, rows in table.groupby(list(keys), sort=False):
        own = dict(zip(keys, values, strict=True))
        parts += [
            own | {"number": column} | _numbers(rows, column)
            for column in columns
            if rows[column].notna().all()
        ]
    return pd.DataFrame(parts)


def compute(piece: Settings) -> pd.DataFrame:
    """The rows of one plan: part "network", one for each, and part "mean", over seeds."""
    plan = Plan(**{**piece, "stds": tuple(piece["stds"])})
    table = compared(plan)
    means = summary(table, _KEYS).assign(part="mean")
    return pd.concat([means, table.assign(part="network")], ignore_index=True)


def pieces(settings: Settings) -> Sequence[dict[str, Any]]:
    """One for each world and width."""
    return settings["plans"]


def _told(table: pd.DataFrame, world: str, number: str, strength: float = 1.0) -> str:
    """The ratio of the self-perceptual loss to the control, by width."""
    means = table[(table["part"] == "mean") & (table["number"] == number)]
    means = means[(means["world"] == world) & (means["strength"] == strength)]
    wide = means.pivot_table(index=["std", "width"], columns="method", values="mean")
    ratio = wide["self-perceptual"] / wide["denoising"]
    return ", ".join(
        f"{value:.2g} (width {width:g}, std {std:g})" for (std, width), value in ratio.items()
    )


def finding(table: pd.DataFrame) -> str:
    """What the self-perceptual loss does to realism and diversity, with numbers."""
    parts = [
        f"Self-perceptual over denoising, mean mass where data have almost none: "
        f"{_told(table, world, 'valley')}; error of mode weights: "
        f"{_told(table, world, 'imbalance')} ({world})."
        for world in table["world"].unique()
    ]
    means = table[(table["part"] == "mean") & (table["number"] == "valley")]
    guided = means[(means["method"] == "denoising") & (means["world"] == "conditional")]
    if len(guided):
        wide = guided.pivot_table(index="width", columns="strength", values="mean")
        ratio = wide[wide.columns.max()] / wide[1.0]
        told = ", ".join(f"{value:.2g} (width {width:g})" for width, value in ratio.items())
        parts.append(f"Guidance of strength {wide.columns.max():g} over none: {told}.")
    return " ".join(parts)


def _settings(plans: Sequence[Plan]) -> dict[str, Any]:
    return {"plans": [plan._asdict() | {"stds": list(plan.stds)} for plan in plans]}


def _full() -> list[Plan]:
    sizes = {"seeds": 40, "steps": 20_000, "points": 32, "levels": 24}
    return [
        Plan(world, stds, width, **sizes)
        for world, stds in (("unconditional", (0.05, 0.1, 0.25)), ("conditional", (0.1, 0.15, 0.3)))
        for width in (4, 8, 16, 32, 64, 128, 256)
    ]


EXPERIMENT = Experiment(
    name="self_perceptual",
    title="The self-perceptual loss",
    file=Path(__file__),
    presets={
        "quick": _settings([plan._replace(seeds=6) for plan in PLANS]),
        "full": _settings(_full()),
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
)

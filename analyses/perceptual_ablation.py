"""Variants of the self-perceptual loss: layer, times, predictions, distance, network, mixture.

Conditional networks of one width, with and without guidance; everything else as in
`self_perceptual`.

Source: section 4 of arXiv 2401.00110.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analyses.experiment import Experiment, Settings
from analyses.perceptual_runs import STRENGTH, Plan, denoised, measured, perceptual
from analyses.self_perceptual import middle, summary

CONTROL, REPEATED = "denoising", "repeated"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "self-perceptual": {},
    "first layer": {"layer": 0},
    "equal times": {"times": "equal"},
    "data only": {"predictions": "data"},
    "noise only": {"predictions": "noise"},
    "absolute": {"distance": "absolute"},
    "averaged": {"averaging": 0.999},
    "mixed, c = 0.01": {"denoising": 0.01},
    "mixed, c = 0.1": {"denoising": 0.1},
    "mixed, c = 1": {"denoising": 1.0},
}
"""Arguments of `self_perceptual` by variant. The averaged network follows the trained one."""

COMPARED = ("valley", "imbalance", "w2")
"""Numbers whose ratios to the control are taken, seed by seed."""

_KEYS = ["variant", "strength"]


def _trained(plan: Plan, variant: str) -> Any:
    if variant == CONTROL:
        return denoised(plan)
    if variant == REPEATED:  # once more, with the new network as the judge
        return perceptual(plan, begin=perceptual(plan))
    return perceptual(plan, **VARIANTS[variant])


def ratios(table: pd.DataFrame, control: pd.DataFrame) -> pd.DataFrame:
    """Geometric means of ratios to the control with the same seed, with 95 % t intervals.

    Args:
      table: one row for each network.
      control: the networks of the denoising loss, without guidance.
    """
    base, parts = control.set_index("seed"), []
    for (variant, strength), rows in table.groupby(_KEYS, sort=False):
        own = rows.set_index("seed")
        for number in COMPARED:
            row = {"variant": variant, "strength": strength, "number": number}
            shares = own[number] / base[number].loc[own.index]
            parts.append(row | middle(shares.to_numpy(dtype=float)))
    return pd.DataFrame(parts).rename(columns={"middle": "ratio"})


def compute(piece: Settings) -> pd.DataFrame:
    """Some variants: part "network", a row for each, and parts "mean" and "ratio", over seeds."""
    plan = Plan(**{**piece["plan"], "stds": tuple(piece["plan"]["stds"])})
    control, parts = measured(plan, CONTROL, denoised(plan)), []
    for variant in piece["variants"]:
        models = _trained(plan, variant)
        for strength in piece["strengths"]:
            found = measured(plan, variant, models, strength)
            parts.append(found.rename(columns={"method": "variant"}))
    table = pd.concat(parts, ignore_index=True)
    means = summary(table, _KEYS).assign(part="mean")
    paired = ratios(table, control).assign(part="ratio")
    return pd.concat([means, paired, table.assign(part="network")], ignore_index=True)


def pieces(settings: Settings) -> Sequence[dict[str, Any]]:
    """A few variants each: they share the first phase."""
    names = [CONTROL, *VARIANTS, REPEATED]
    size = settings["size"]
    common = {"plan": settings["plan"], "strengths": settings["strengths"]}
    return [common | {"variants": names[i : i + size]} for i in range(0, len(names), size)]


def finding(table: pd.DataFrame) -> str:
    """Each variant beside the control, with numbers."""
    rows = table[(table["part"] == "ratio") & (table["strength"] == 1)]
    wide = rows.pivot_table(index="variant", columns="number", values="ratio", sort=False)
    told = "; ".join(
        f"{name}: {row['valley']:.2g} and {row['imbalance']:.2g}"
        for name, row in wide.drop(CONTROL).iterrows()
    )
    return (
        "Mass where data have almost none, and error of mode weights, over those of the denoising "
        f"loss with the same seed, without guidance: {told}."
    )


def _settings(plan: Plan, size: int) -> dict[str, Any]:
    given = plan._asdict() | {"stds": list(plan.stds)}
    return {"plan": given, "strengths": [1.0, STRENGTH], "size": size}


_SIZES = {"seeds": 40, "steps": 20_000, "points": 32, "levels": 24}

EXPERIMENT = Experiment(
    name="perceptual_ablation",
    title="Variants of the self-perceptual loss",
    file=Path(__file__),
    presets={
        "quick": _settings(Plan("conditional", (0.15,), 12, seeds=8), 6),
        "full": _settings(Plan("conditional", (0.15,), 32, **_SIZES), 2),
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
)

"""The picture of the error budget: what initialization, discretization and score add."""

import functools
from typing import Any

import altair as alt
import numpy as np

from design_space.commands.explore.picture import (
    DISCRETIZATION,
    INITIALIZATION,
    MARGINAL,
    SCORE,
    SHOWN,
    Picture,
    Table,
    colors,
    drawn,
    named,
)
from design_space.commands.explore.words import NAMES, UNITS, measured, short
from design_space.explorer.numbers import QUANTITIES, Numbers

PARTS = ("initialization", "discretization", "score")
_COLORS = {
    "initialization": INITIALIZATION,
    "discretization": DISCRETIZATION,
    "score": SCORE,
    "marginal KL": MARGINAL,
}


def budget(numbers: Numbers, per_step: bool = False) -> Picture:
    """Draws the stacked error budget beside the marginal KL.

    Args:
      numbers: of one state.
      per_step: one bar per step instead of one for the whole path.
    """
    values = numbers.values
    known = [name for name in ("path_kl", "marginal_kl") if values[name].value is not None]
    chart = (_per_step(numbers) if per_step else _total(numbers)) if known else None
    reasons = {value.reason for value in values.values() if value.reason and not value.pending}
    rest = [
        f"{NAMES[name]} {measured(values[name])} {UNITS[name]}"
        for name in QUANTITIES
        if values[name].value is not None
    ]
    view = "step by step" if per_step else "in total"
    text = f"The error budget {view}: {', '.join(rest) or 'not known for this design'}."
    table = Table(
        ("quantity", "value", "unit", "method"),
        tuple(
            (NAMES[name], measured(values[name]), UNITS[name], values[name].method or "–")
            for name in QUANTITIES
        ),
    )
    return Picture("budget", _title(numbers), text, chart, table, "; ".join(sorted(reasons)))


def _title(numbers: Numbers) -> str:
    """What dominates, and what the path KL is beside the marginal KL."""
    found = {name: numbers.values[name].value for name in PARTS}
    path, marginal = numbers.values["path_kl"].value, numbers.values["marginal_kl"].value
    known = {name: value for name, value in found.items() if value is not None}
    if len(known) < len(PARTS) or path is None or not path > 0:
        if marginal is not None:
            return f"The marginal KL is {short(marginal)} nats; its parts are not known here"
        return "The error budget of this design: what can be known of it"
    worst = max(known, key=lambda name: abs(known[name]))
    title = f"The {worst} error makes {100 * known[worst] / path:.0f} % of the path KL"
    if marginal is not None and marginal > 0:
        title += f", {short(path / marginal, 2)} times the marginal KL"
    return title


def _total(numbers: Numbers) -> dict[str, Any]:
    """Two bars: the parts of the path KL, stacked, and the marginal KL with its error."""
    found = {name: numbers.values[name].value for name in PARTS}
    parts = {name: value for name, value in found.items() if value is not None}
    bars = [("path KL", *part) for part in parts.items() if len(parts) == len(PARTS)]
    marginal = numbers.values["marginal_kl"]
    low = high = 0.0
    if marginal.value is not None:
        bars.append(("marginal KL", "marginal KL", marginal.value))
        low, high = (marginal.value + sign * (marginal.error or 0.0) for sign in (-1, 1))
    names = ("bar", "series", "nats")
    columns = {name: [row[at] for row in bars] for at, name in enumerate(names)}
    whisker = {"bar": ["marginal KL"], "low": [low], "high": [high]}
    return drawn(_total_chart(), {"bars": columns, "whisker": whisker})


@functools.cache
def _total_chart() -> dict[str, Any]:
    """Stacked bars of the data set "bars", and the ends of an error, "whisker"."""
    axis = alt.Axis(format="~g", tickCount=7)
    y = alt.Y("bar:N", title=None, sort=["path KL", "marginal KL"])
    x = alt.X("nats:Q", title="error (nats)", stack="zero", axis=axis)
    bars = alt.Chart(named("bars")).mark_bar(height={"band": 0.62})
    rule = alt.Chart(named("whisker")).mark_rule(strokeWidth=2, color=SHOWN)
    low = alt.X("low:Q", title="error (nats)")
    return alt.layer(
        bars.encode(x=x, y=y, color=colors(_COLORS)), rule.encode(x=low, x2="high:Q", y=y)
    ).to_dict()


def _per_step(numbers: Numbers) -> dict[str, Any]:
    """One stacked bar per step; step 0 is the start of the sampler."""
    steps = np.arange(1, numbers.state.steps + 1)
    amounts = {
        "initialization": (np.array([0]), np.array([numbers.initialization])),
        "discretization": (steps, numbers.discretization_steps),
        "score": (steps, numbers.score_steps),
    }
    columns = {
        "step": np.concatenate([places for places, _ in amounts.values()]),
        "nats": np.concatenate([values for _, values in amounts.values()]).astype(float),
        "series": [name for name, (places, _) in amounts.items() for _ in places],
    }
    return drawn(_step_chart(), {"bars": columns, "shown": {"step": [numbers.state.step]}})


@functools.cache
def _step_chart() -> dict[str, Any]:
    """Stacked bars of the data set "bars", and the step of "shown"."""
    axis = alt.Axis(labelAngle=0, labelOverlap="greedy", labelSeparation=8, ticks=False)
    x = alt.X("step:O", title="step (0 is the start)", axis=axis)
    y = alt.Y("nats:Q", title="error added (nats)", stack="zero", axis=alt.Axis(format="~g"))
    parts = {name: _COLORS[name] for name in PARTS}
    bars = alt.Chart(named("bars", "step")).mark_bar().encode(x=x, y=y, color=colors(parts))
    shown = alt.Chart(named("shown", "step")).mark_rule(color=SHOWN, strokeDash=[4, 3])
    return alt.layer(bars, shown.encode(x=x)).to_dict()

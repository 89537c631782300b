"""The winner map: whose schedule, EDM's or Song's, has the smaller error, and where one stands."""

import functools
import itertools
from typing import Any

import altair as alt
import numpy as np

from design_space.commands.explore.picture import HEIGHT, Picture, Table, colors, drawn, named
from design_space.commands.explore.words import short, whole
from design_space.explorer.numbers import Numbers
from design_space.explorer.pictures import moments
from design_space.explorer.state import State
from design_space.explorer.winner_map import load
from figures.style import DESIGNS, GREY

CRITERIA = {"marginal_kl": "marginal KL", "path_kl": "path KL"}
"""Criterion -> its name on the page."""

_SERIES = {
    "EDM wins": DESIGNS["edm"].color,
    "Song wins": DESIGNS["song"].color,
    "this design": GREY,
}


def winner(numbers: Numbers, criterion: str = "marginal_kl") -> Picture:
    """Draws the map for Gaussian data, with the scale and the number of steps of the state on it.

    Args:
      numbers: of one state.
      criterion: "marginal_kl", or "path_kl" (without E_I, which both schedules have alike).
    """
    state = numbers.state
    std = float(np.sqrt(moments(state.components())[1]))
    factor = _factor(state)
    ratio, steps = _ratio(std, state.steps, criterion, factor)
    name, place = CRITERIA[criterion], f"s = {std:.3g} and N = {state.steps}"
    best, other = ("EDM", "Song") if ratio < 1 else ("Song", "EDM")
    title = f"At {place} the {name} of {best}'s schedule is the smaller one"
    size = short(min(ratio, 1 / ratio))
    text = (
        f"Map of the schedule with the smaller {name} on N(0, s²), over s from 0.001 to 100 and N "
        f"from 5 to 200, σ from 0.002 to 80, score times {factor:g}. This design stands at "
        f"{place}, where {best}'s {name} is {size} times {other}'s."
    )
    borders = [short(each) for each in load().crossings(criterion, steps, factor)]
    table = Table(
        ("on N(0, s²)", name),
        (
            (f"{best} / {other} at {place}", size),
            (f"the winner changes, at {whole(steps, 'step')}, at s =", ", ".join(borders) or "–"),
        ),
    )
    point = {"std": [float(np.clip(std, 1e-3, 100))], "steps": [state.steps]}
    point["series"] = ["this design"]
    chart = drawn(_chart(), {"regions": _regions(criterion, factor), "here": point})
    return Picture("winner", title, text, chart, table, _note(state, factor))


def _factor(state: State) -> float:
    """The factor of the score for which the map is drawn: of those that it has, the nearest."""
    wanted = state.factor if state.score == "scaled" else 1.0
    factors = load().factors
    return float(factors[np.abs(factors - wanted).argmin()])


def _ratio(std: float, steps: int, criterion: str, factor: float) -> tuple[float, int]:
    """EDM's error over Song's, in the row of the map that is nearest; and that row's N."""
    kept = load()
    row = int(np.abs(np.log(kept.steps / steps)).argmin())
    logs = kept.rows(criterion, factor)[row]
    return float(np.exp(np.interp(np.log(std), np.log(kept.stds), logs))), int(kept.steps[row])


def _note(state: State, factor: float) -> str:
    """What the map leaves out of this design."""
    left = []
    if state.data != "gaussian" or state.mean:
        left.append("Gaussian data of mean 0, as wide as these")
    if state.steps < load().steps[0]:
        left.append(f"{load().steps[0]} steps or more")
    if state.sampler != "frozen":
        left.append("the frozen sampler")
    if state.score == "trained":
        left.append("the exact score")
    if state.score == "scaled" and abs(state.factor - factor) > 1e-12:
        left.append(f"the nearest factor that it has, {factor:g}")
    if (state.sigma_min, state.sigma_max) != (0.002, 80.0):
        left.append("noise levels from 0.002 to 80")
    return f"Drawn for: {', '.join(left)}." if left else ""


@functools.cache
def _regions(criterion: str, factor: float) -> dict[str, list[Any]]:
    """The map as few rectangles: in each row of N, from one change of the winner to the next."""
    kept = load()
    middle = np.sqrt(kept.steps[1:] * kept.steps[:-1].astype(float))
    edges = np.concatenate([[kept.steps[0]], middle, [kept.steps[-1]]])
    found: dict[str, list[Any]] = {"low": [], "high": [], "from": [], "to": [], "series": []}
    for row, steps in enumerate(kept.steps):
        logs = kept.rows(criterion, factor)[row]
        ends = [kept.stds[0], *kept.crossings(criterion, int(steps), factor), kept.stds[-1]]
        for low, high in itertools.pairwise(ends):
            value = np.interp(np.log(low * high) / 2, np.log(kept.stds), logs)
            found["low"].append(float(low))
            found["high"].append(float(high))
            found["from"].append(float(edges[row]))
            found["to"].append(float(edges[row + 1]))
            found["series"].append("EDM wins" if value < 0 else "Song wins")
    return found


@functools.cache
def _chart() -> dict[str, Any]:
    """The rectangles of "regions", and the place "here"."""
    axis = alt.Axis(format="~g", tickCount=6, grid=False)
    scale = alt.Scale(type="log", domain=[1e-3, 100])
    counts = alt.Scale(type="log", domain=[1, 200], nice=False)
    values = [1, 2, 5, 10, 20, 50, 100, 200]
    x = alt.X("low:Q", title="scale s of the data (data units)", scale=scale, axis=axis)
    y = alt.Y("from:Q", title="steps N", scale=counts, axis=alt.Axis(values=values, grid=False))
    color = colors(_SERIES)
    regions = alt.Chart(named("regions")).mark_rect(opacity=0.55)
    here = alt.Chart(named("here"))
    at = {"x": alt.X("std:Q", scale=scale), "y": alt.Y("steps:Q", scale=counts)}
    return alt.layer(
        regions.encode(x=x, x2="high:Q", y=y, y2="to:Q", color=color),
        here.mark_point(size=260, shape="cross", filled=True, opacity=1, stroke="white").encode(
            **at, color=color
        ),
        height=HEIGHT,
    ).to_dict()

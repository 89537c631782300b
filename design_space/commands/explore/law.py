"""The picture of the laws: the density of the sampler at a step beside the exact one."""

import functools
from typing import Any

import altair as alt
import numpy as np

from design_space.commands.explore.picture import (
    EXACT,
    SAMPLER,
    SHOWN,
    Picture,
    Table,
    colors,
    drawn,
    named,
)
from design_space.commands.explore.words import short, whole
from design_space.explorer.numbers import Numbers

_COLORS = {"exact": EXACT, "sampler": SAMPLER, "data": SHOWN}
_MARKS: dict[str, dict[str, Any]] = {
    "exact": {"opacity": 0.45},
    "sampler": {"strokeWidth": 2.2},
    "data": {"strokeWidth": 1.5, "strokeDash": [5, 4]},
}
POINTS = 300
"""At most so many points of a density are drawn."""


def law(numbers: Numbers) -> Picture:
    """Draws the law of the sampler after the chosen step, the exact law there, and the data.

    Args:
      numbers: of one state.
    """
    state, laws = numbers.state, numbers.laws
    step, last = state.step, state.step == state.steps
    keep = _thinned(laws.x.shape[1])
    x, exact, sampler = (each[step][keep] for each in (laws.x, laws.exact, laws.sampler))
    known = bool(np.isfinite(sampler).any())
    sigma = float(numbers.backward_sigmas[step])
    stds = float(laws.stds[step]), float(laws.exact_stds[step])
    title = _title(step, state.steps, stds, known, numbers.final)
    columns = {"x": x, "exact": exact}
    columns |= ({"sampler": sampler} if known else {}) | ({"data": laws.data[keep]} if last else {})
    chart = drawn(_chart(known, last), {"laws": columns})
    place = f"after {step} of {whole(state.steps, 'step')}, at noise level {short(sigma)}"
    means = f"mean {_mean(numbers)}, the exact law {short(laws.exact_mean)}"
    alt_text = f"Densities {place}: {_compared(stds)}" + (f"; {means}." if known else ".")
    note = laws.missing if laws.missing and not known else ""
    return Picture("law", title, alt_text, chart, _table(numbers), note or "")


def _thinned(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(int))


@functools.cache
def _chart(known: bool, last: bool) -> dict[str, Any]:
    """The exact law as an area, the others as lines, of the data set "laws"."""
    names = {"exact": "data + last noise" if last else "data + noise"}
    names |= ({"sampler": "sampler"} if known else {}) | ({"data": "data"} if last else {})
    series = {name: _COLORS[key] for key, name in names.items()}
    axis = alt.Axis(tickCount=8)
    x = alt.X("x:Q", title="x (data units)", scale=alt.Scale(nice=False), axis=axis)
    base = alt.Chart(named("laws")).encode(x=x)
    layers = []
    for key, name in names.items():
        y = alt.Y(f"{key}:Q", title="density (1 / data unit)")
        chart = base.transform_calculate(series=f"'{name}'").encode(y=y, color=colors(series))
        layers.append((chart.mark_area if key == "exact" else chart.mark_line)(**_MARKS[key]))
    return alt.layer(*layers).to_dict()


def _compared(stds: tuple[float, float]) -> str:
    if not np.isfinite(stds[0]):
        return f"the exact law has standard deviation {short(stds[1])}, the sampler's is not known"
    return (
        f"the sampler's law has standard deviation {short(stds[0])}, the exact law {short(stds[1])}"
    )


def _title(step: int, steps: int, stds: tuple[float, float], known: bool, final: bool) -> str:
    if step == 0:
        return "Before the first step: the sampler starts from noise alone"
    place = f"After step {step} of {steps}"
    if not known:
        return f"{place}: the exact law; the sampler's is not known{'' if final else ' yet'}"
    ratio = stds[0] / stds[1]
    if not np.isfinite(ratio):
        return f"{place}: the sampler beside the exact law"
    if abs(ratio - 1) < 5e-4:
        return f"{place}: the sampler is as wide as the exact law"
    change = 100 * abs(ratio - 1)
    size = f"{change:.2g} %" if change < 100 else f"{ratio:.2g} times"
    return (
        f"{place}: the sampler is {size} {'wider' if ratio > 1 else 'narrower'} than the exact law"
    )


def _mean(numbers: Numbers) -> str:
    """The mean of the sampler; 0 where it is rounding beside the standard deviation."""
    laws, step = numbers.laws, numbers.state.step
    mean = float(laws.means[step])
    return "0" if abs(mean) < 1e-9 * laws.exact_stds[step] else short(mean)


def _table(numbers: Numbers) -> Table:
    laws, step = numbers.laws, numbers.state.step
    return Table(
        ("law", "mean", "standard deviation"),
        (
            ("sampler", _mean(numbers), short(laws.stds[step], 4)),
            ("exact", short(laws.exact_mean), short(laws.exact_stds[step], 4)),
        ),
    )

"""The picture of the discretization error: an area between the exact score and the frozen one."""

import functools
from typing import Any

import altair as alt
import numpy as np

from design_space.commands.explore.picture import (
    DISCRETIZATION,
    EXACT,
    SHOWN,
    Picture,
    Table,
    colors,
    drawn,
    named,
)
from design_space.commands.explore.words import measured, short, whole
from design_space.explorer.numbers import FisherCurve, Numbers

AREA, CURVE, STEP = "E_D, the area", "exact score", "the step shown"
POINTS = 360
"""About so many points of the curve are drawn, however many steps there are."""


def fisher(numbers: Numbers) -> Picture:
    """Draws sigma^2 I(sigma^2) and what each step takes for it; E_D is the area between.

    Args:
      numbers: of one state.
    """
    curve, state = numbers.fisher, numbers.state
    steps = state.steps
    areas = areas_of_steps(curve)
    total, most = float(areas.sum()), int(areas.argmax())
    title = f"{whole(steps, 'step')} leave {short(total)} nats between exact and frozen score"
    share = f"{100 * areas[most] / total:.0f} %" if total > 0 else "none"
    largest = f"step {most + 1}, from σ = {short(curve.sigmas[most, 0])}"
    text = (
        f"The exact score falls along {whole(steps, 'step')} of a frozen score; the area between "
        f"them, E_D of the frozen sampler, is {short(total)} nats. The largest part, {share}, "
        f"comes from {largest} to {short(curve.sigmas[most, -1])}."
    )
    table = Table(
        ("area", "nats"),
        (
            ("E_D of the frozen sampler", short(total)),
            (f"largest: step {most + 1}", short(areas[most])),
            (f"E_D of this sampler ({state.sampler})", measured(numbers.values["discretization"])),
        ),
    )
    chart = drawn(_chart(), {"curve": _columns(curve)}, shown=state.step)
    note = ""
    if state.sampler != "frozen":
        note = "The area is that of the frozen sampler; other samplers have other errors."
    return Picture("fisher", title, text, chart, table, note)


def areas_of_steps(curve: FisherCurve) -> np.ndarray:
    """The area of each step over ln sigma, by the trapezoidal rule on the points of the curve.

    Args:
      curve: of a state.

    Returns:
      Areas in nats, shape [steps].
    """
    height = curve.moving - curve.frozen
    return -np.trapezoid(height, np.log(curve.sigmas), axis=1)


def _columns(curve: FisherCurve) -> dict[str, np.ndarray]:
    """The curve with as many points as are drawn, from the last step to the first.

    A chart sorts by sigma and keeps the order of equal ones: where two steps meet, the end of the
    later one comes first.
    """
    steps, points = curve.sigmas.shape
    wanted = max(3, min(points, POINTS // steps))
    keep = np.unique(np.linspace(0, points - 1, wanted).round().astype(int))
    found = {name: getattr(curve, name)[:, keep].ravel() for name in ("sigmas", "moving", "frozen")}
    found["step"] = np.repeat(np.arange(1, steps + 1), len(keep))
    return {name: values[::-1] for name, values in found.items()}


@functools.cache
def _chart() -> dict[str, Any]:
    """The band between the two scores, the exact one, and the step `shown`, of "curve"."""
    x = alt.X(
        "sigmas:Q",
        title="noise level σ (data units), on a scale of ln σ",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(format="~g", tickCount=6),
    )
    words = "squared score σ² I(σ²)"
    y = alt.Y("moving:Q", title=words)
    names = {AREA: DISCRETIZATION, CURVE: EXACT, STEP: SHOWN}
    base = alt.Chart(named("curve", "step")).encode(x=x, y=y)
    color = colors(names)
    area = _named(base, AREA).mark_area(
        opacity=0.5, line={"strokeWidth": 0.8, "color": DISCRETIZATION}
    )
    one = _named(base, STEP).transform_filter("datum.step == shown").mark_area(opacity=0.9)
    exact = _named(base, CURVE).mark_line(strokeWidth=2.2)
    return alt.layer(
        area.encode(y=alt.Y("frozen:Q", title=words), y2="moving:Q", color=color),
        one.encode(y2="frozen:Q", color=color),
        exact.encode(color=color),
    ).to_dict()


def _named(chart: alt.Chart, series: str) -> alt.Chart:
    return chart.transform_calculate(series=f"'{series}'")

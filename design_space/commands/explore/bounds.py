"""The picture of the bounds: each beside the error that it bounds."""

import functools
from typing import Any

import altair as alt

from design_space.commands.explore.picture import (
    BOUND,
    MARGINAL,
    PATH,
    Picture,
    Table,
    colors,
    drawn,
    named,
)
from design_space.commands.explore.words import measured, short
from design_space.explorer.numbers import Bound, Numbers


def bounds(numbers: Numbers) -> Picture:
    """Draws the bounds of the theory on a scale of factors, with the exact errors as lines.

    Args:
      numbers: of one state.
    """
    path, marginal = numbers.values["path_kl"].value, numbers.values["marginal_kl"].value
    known = [bound for bound in numbers.bounds if bound.total is not None and bound.total > 0]
    table = _table(numbers)
    if not known or path is None or not path > 0:
        title = "No bound stands beside this design"
        reason = "the bounds of the theory are statements on the frozen sampler"
        text = f"No bound is drawn: {reason}." if not numbers.bounds else f"{title}."
        return Picture("bounds", title, text, None, table, text)
    best = min(known, key=lambda bound: bound.total or 0)
    factor = (best.total or 0) / path
    title = f"The smallest bound is {short(factor)} times the exact path KL"
    if factor < 1:
        title = f"A bound fails here: {_name(best)} is only {short(factor)} times the path KL"
    listed = ", ".join(f"{_name(bound)} {short(bound.total or 0)}" for bound in known)
    text = f"Bounds in nats: {listed}; exact path KL {short(path)}"
    chart = drawn(_chart(), _columns(known, path, marginal))
    text += "." if marginal is None else f", marginal KL {short(marginal)}."
    return Picture("bounds", title, text, chart, table)


def _columns(
    known: list[Bound], path: float, marginal: float | None
) -> dict[str, dict[str, list[Any]]]:
    """The data sets: the bounds, the exact errors, and a little room on both sides."""
    totals = [float(bound.total or 0) for bound in known]
    table = {
        "bound": [_name(bound) for bound in known],
        "nats": totals,
        "path": [path] * len(known),
        "factor": [f"× {short(total / path)}" for total in totals],
        "place": list(range(len(known))),
    }
    lines = {"path KL": path}
    if marginal is not None and marginal > 0:
        lines["marginal KL"] = marginal
    ends = [*lines.values(), *totals]
    exact = {"series": list(lines), "nats": list(lines.values())}
    return {"bounds": table, "exact": exact, "room": {"nats": [min(ends) / 2, max(ends) * 10]}}


@functools.cache
def _chart() -> dict[str, Any]:
    """The bounds as points at the end of a line from the path KL; exact errors as lines.

    Their order is told: that of the rows is forgotten when other rows follow.
    """
    axis = alt.Axis(format="~g", tickCount=5)
    scale = alt.Scale(type="log", nice=False)
    x = alt.X("nats:Q", title="nats, on a scale of factors", scale=scale, axis=axis)
    lines = "split(datum.label, ', ')"
    order = alt.EncodingSortField("place", op="min")
    y = alt.Y("bound:N", title=None, sort=order, axis=alt.Axis(labelLimit=150, labelExpr=lines))
    color = colors({"bound": BOUND, "path KL": PATH, "marginal KL": MARGINAL})
    base = alt.Chart(named("bounds", "place")).encode(y=y, x=x)
    points = base.transform_calculate(series="'bound'").mark_point(filled=True, size=80, opacity=1)
    exact = alt.Chart(named("exact")).mark_rule(strokeWidth=2)
    room = alt.Chart(named("room")).mark_point(opacity=0)
    return alt.layer(
        room.encode(x=x),
        base.mark_rule(color=BOUND, strokeWidth=2, opacity=0.6).encode(x2="path:Q"),
        points.encode(color=color),
        base.mark_text(dx=8, align="left", color=BOUND, fontSize=12).encode(text="factor:N"),
        exact.encode(x=x, color=color),
    ).to_dict()


def _name(bound: Bound) -> str:
    return f"{bound.label}, {bound.form}"


def _table(numbers: Numbers) -> Table:
    rest = tuple(
        (bound.label, bound.form, short(bound.total) if bound.total is not None else "–")
        for bound in numbers.bounds
    )
    exact = (
        ("path KL", "exact", measured(numbers.values["path_kl"])),
        ("marginal KL", "exact", measured(numbers.values["marginal_kl"])),
    )
    return Table(("statement", "form", "nats"), rest + exact)

"""A picture of the page: a title, a Vega-Lite chart, what it shows in words, and a small table."""

import csv
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from design_space.checks import refusal
from figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION

EXACT, SAMPLER = GREY, BLUE
INITIALIZATION, DISCRETIZATION, SCORE = PURPLE, BLUE, ORANGE
PATH, MARGINAL, BOUND, SHOWN = BLUE, GREEN, VERMILION, VERMILION
HEIGHT = 230
"""Height of a chart, in pixels; its width is that of its place."""

ERRORS = 1
"""The level of what charts write to the browser's console: no warning that they are still empty."""

_ACTIONS = {"export": True, "source": False, "compiled": False, "editor": False}
_LOOK: dict[str, Any] = {
    "background": "transparent",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridOpacity": 0.25,
        "labelFlush": False,
    },
    "legend": {
        "orient": "top",
        "labelFontSize": 12,
        "title": None,
        "symbolSize": 120,
        "columns": 3,
        "labelLimit": 260,
    },
}


@dataclass(frozen=True)
class Table:
    """A few numbers: the names of the columns, and rows of texts."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def html(self, caption: str) -> str:
        """The table as HTML.

        Args:
          caption: what it holds, for readers who hear it.
        """
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.columns)
        body = "".join(
            f'<tr><th scope="row">{html.escape(row[0])}</th>'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in self.rows
        )
        label = html.escape(caption, quote=True)
        return (
            f'<table class="ds-table" aria-label="{label}">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
      name: what it is called in the page's code, for instance "law".
      title: a sentence that says what one sees.
      alt: a sentence with the numbers, for readers who do not see it.
      chart: the drawing as Vega-Lite, from `drawn`, or None where there is nothing to draw.
      table: the numbers.
      note: a further sentence, or nothing.
    """

    name: str
    title: str
    alt: str
    chart: dict[str, Any] | None
    table: Table
    note: str = ""

    def specification(self) -> dict[str, Any]:
        """The chart as Vega-Lite without its data, the same for all states that it can show.

        A browser draws it once. Its data come with the event `ds-NAME` of the window, whose detail
        is `data`; a script of the page sends it and sets the description.

        Raises:
          ValueError: if there is nothing to draw.
        """
        if self.chart is None:
            raise refusal("chart", None, "a drawing", "show the note of the picture instead")
        columns = {
            name: text.partition("\n")[0] + "\n" for name, text in self.chart["datasets"].items()
        }
        event = {"source": "window", "type": f"ds-{self.name}"}
        signal = {
            "name": "now",
            "value": columns,
            "on": [{"events": event, "update": "event.detail"}],
        }
        patch = [{"op": "add", "path": "/signals/0", "value": signal}]
        options = {"actions": _ACTIONS, "renderer": "canvas", "logLevel": ERRORS, "patch": patch}
        parameters = self.chart.get("params", ())
        return {
            "height": HEIGHT,
            **self.chart,
            "datasets": {name: {"signal": f"now.{name}"} for name in columns},
            "params": [{"name": p["name"], "expr": f"now.{p['name']}"} for p in parameters],
            "description": self.name,
            "usermeta": {"embedOptions": options},
            "width": "container",
            "autosize": {"type": "fit-x", "contains": "padding", "resize": True},
            "config": self.chart.get("config", {}) | _LOOK,
        }

    def data(self) -> dict[str, Any]:
        """What the chart draws: data sets as CSV, and values of parameters, by name."""
        chart = self.chart or {}
        return dict(chart["datasets"]) | {p["name"]: p["value"] for p in chart.get("params", ())}


class Drawing:
    """A chart as the page shows it; marimo asks an object for `_mime_`."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture

    def _mime_(self) -> tuple[str, str]:
        text = json.dumps(self.picture.specification(), separators=(",", ":"), allow_nan=False)
        return f"application/vnd.vegalite.v{alt.VEGALITE_VERSION[0]}+json", text


def drawn(
    chart: Mapping[str, Any],
    datasets: Mapping[str, Mapping[str, Sequence[Any] | np.ndarray]],
    **parameters: Any,
) -> dict[str, Any]:
    """A chart with its data. Charts are made and checked once, for that is dear, and filled often.

    Args:
      chart: Vega-Lite whose data have names; `altair`'s `to_dict` of it.
      datasets: name -> column -> values, all columns of one length. Numbers are rounded to five
        digits; those that are not finite are left out.
      **parameters: values that expressions in the chart name.
    """
    filled = dict(chart) | {"datasets": {name: _text(each) for name, each in datasets.items()}}
    if parameters:
        filled["params"] = [{"name": name, "value": value} for name, value in parameters.items()]
    return filled


def named(name: str, *counts: str) -> alt.NamedData:
    """A data set of a chart that `drawn` fills: as CSV, which is a quarter of the same as JSON.

    Args:
      name: of the data set.
      *counts: columns of numbers that the chart does not know to be numbers, for it orders or
        compares them only.
    """
    parse = dict.fromkeys(counts, "number")
    return alt.NamedData(
        name, format=alt.DataFormat(type="csv", **({"parse": parse} if parse else {}))
    )


def _text(columns: Mapping[str, Sequence[Any] | np.ndarray]) -> str:
    """Columns as CSV."""
    read = [[_plain(value) for value in values] for values in columns.values()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*read, strict=True))
    return text.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return f"{value:.5g}" if math.isfinite(value) else ""
    return int(value) if isinstance(value, np.integer) else value


def colors(names: Mapping[str, str]) -> alt.Color:
    """The colors of the series of a chart, by the field `series`, with a legend.

    Args:
      names: series -> color.
    """
    scale = alt.Scale(domain=list(names), range=list(names.values()))
    return alt.Color("series:N", scale=scale, legend=alt.Legend(title=None))

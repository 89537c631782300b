"""The metrics of a sampler, for a terminal."""

import math
from typing import Any

from rich.table import Table

DISTANCES = {
    "marginal_kl": "KL(p | q), nats",
    "w2": "W2 (data units)",
    "sliced_w2": "sliced W2 (data units)",
    "total_variation": "total variation",
}
"""Key of the JSON contract -> what a reader sees."""

_ROWS = 12  # modes or coordinates that are shown; JSON has all


def number(value: float | None, digits: int) -> str:
    """A number for reading; empty if there is none."""
    return "" if value is None or math.isnan(value) else f"{value:.{digits}g}"


def metric_tables(metrics: dict[str, Any] | None) -> list[Table]:
    """Distances, modes and moments of a sampler's law q beside the data law p.

    Args:
      metrics: plain data of `sampler_metrics`, or None if there are none.
    """
    if metrics is None:
        return []
    table = Table(title="Distances at the last noise level", title_justify="left")
    table.add_column("distance")
    table.add_column("value", justify="right")
    table.add_column("error", justify="right")
    table.add_column("method")
    for name, label in DISTANCES.items():
        entry = metrics[name]
        if entry["value"] is None:
            table.add_row(label, "none", "", entry["reason"])
        else:
            numbers = number(entry["value"], 10), number(entry["error"], 2)
            table.add_row(label, *numbers, entry["method"])
    modes = len(metrics["data_mode_weights"]["value"])
    return [table, *([_modes(metrics)] if modes > 1 else []), _moments(metrics)]


def _titled(title: str, count: int, of: str, first: str, columns: tuple[str, ...]) -> Table:
    shown = "" if count <= _ROWS else f", the first {_ROWS} of {count}"
    table = Table(title=f"{title} ({of}{shown})", title_justify="left")
    table.add_column(first, justify="right")
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _modes(metrics: dict[str, Any]) -> Table:
    """How much mass each component of the data has, and what the sampler gives it."""
    data, made = metrics["data_mode_weights"]["value"], metrics["mode_weights"]
    columns = ("of the data", "of the sampler", "error")
    table = _titled("Weights of the modes", len(data), made["method"], "mode", columns)
    for k in range(min(len(data), _ROWS)):
        numbers = number(data[k], 6), number(made["value"][k], 6), number(made["error"][k], 2)
        table.add_row(str(k), *numbers)
    return table


def _moments(metrics: dict[str, Any]) -> Table:
    """Mean and standard deviation of every coordinate."""
    mean, covariance = metrics["mean"], metrics["covariance"]
    data, spread = metrics["data_mean"]["value"], metrics["data_covariance"]["value"]
    columns = ("mean of p", "mean of q", "error", "variance of p", "variance of q", "error")
    table = _titled("Moments", len(data), mean["method"], "axis", columns)
    for i in range(min(len(data), _ROWS)):
        table.add_row(
            str(i),
            number(data[i], 6),
            number(mean["value"][i], 6),
            number(mean["error"][i], 2),
            number(spread[i][i], 6),
            number(covariance["value"][i][i], 6),
            number(covariance["error"][i][i], 2),
        )
    return table

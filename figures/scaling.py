"""What a design costs: designs per second, and how the cost grows with every size."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    GREY,
    VERMILION,
    Series,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "a: exact designs per second of one compiled program against the number that it works on at a "
    "time; bars reach from the median to the best of five repeats. Large batches leave the cache. "
    "b: designs per second of whole pieces, table included, against the devices of one process "
    "and the worker processes of a local cluster, over the rate of one; grey: as many times as "
    "fast. On a CPU the devices are parts of it. c and d: seconds for an exact design against "
    "dimension and number of steps, for a design trained in closed form against the number of "
    "data, and for a step of gradient descent against the network's width; bars reach to the "
    "median; slopes: exponents of the largest sizes with a 99 % interval. Times are those of one "
    "machine, exponents carry over."
)

_DASH = (0, (5, 1.6))
_LOOKS = (
    Series("", BLUE, "-", "o"),
    Series("", VERMILION, _DASH, "s"),
    Series("", GREEN, (0, (6, 1.4, 1.2, 1.4)), "^"),
)
_SIZES = {
    "d": Series("dimension $d$ ($N=30$)", BLUE, "-", "o"),
    "N": Series("steps $N$ ($d=16$)", VERMILION, _DASH, "s"),
    "n": Series("data $n$, a trained design", BLUE, "-", "o"),
    "m": Series("width $m$, a step of training", VERMILION, _DASH, "s"),
}
_PARALLEL = {
    "devices": Series("devices of a process", BLUE, "-", "o"),
    "workers": Series("worker processes", VERMILION, _DASH, "s"),
}


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `scaling`.

    Returns:
      The figure.
    """
    points, exponents = (table[table["row"] == row] for row in ("point", "exponent"))
    figure = new_figure(5.2)
    with styled():
        axes = figure.subplots(2, 2)
        _batches(axes[0, 0], points[points["part"] == "batch"])
        panel(axes[0, 0], "a", "exact designs against the batch")
        _parallel(axes[0, 1], points)
        panel(axes[0, 1], "b", "pieces side by side")
        for ax, sizes, letter, title in (
            (axes[1, 0], ("d", "N"), "c", "an exact design"),
            (axes[1, 1], ("n", "m"), "d", "training"),
        ):
            _sizes(ax, points, exponents.set_index("series"), sizes)
            panel(ax, letter, title)
        for ax in axes.flat:
            ax.grid(axis="y", color=FAINT, linewidth=0.4)
            ax.set_axisbelow(True)
    return figure


def _bars(ax: Axes, x: np.ndarray, rows: pd.DataFrame, look: Series, label: str) -> None:
    """Points with bars to the other end of what was measured."""
    value, low, high = (rows[name].to_numpy(float) for name in ("value", "low", "high"))
    errors = np.stack([value - low, high - value])
    ax.errorbar(x, value, errors, label=label, elinewidth=0.8, **look.kwargs())


def _batches(ax: Axes, rows: pd.DataFrame) -> None:
    for look, (series, own) in zip(_LOOKS, rows.groupby("series", sort=False), strict=False):
        label = str(series).replace("d = ", "$d=").replace(", N = ", ", N=") + "$"
        _bars(ax, own["x"].to_numpy(float), own, look, label)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlabel("designs at a time")
    ax.set_ylabel("designs per second")
    ax.xaxis.set_major_formatter(ScalarFormatter())
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** 0.35)
    ax.legend(loc="upper left", ncols=2, handlelength=2.4, borderaxespad=0.1)


def _parallel(ax: Axes, points: pd.DataFrame) -> None:
    counts = [1.0]
    for part, look in _PARALLEL.items():
        own = points[points["part"] == part].copy()
        if own.empty:
            continue
        one = float(own["value"].iloc[0])
        for name in ("value", "low", "high"):
            own[name] /= one
        _bars(ax, own["x"].to_numpy(float), own, look, look.label)
        counts += list(own["x"])
    most = max(counts)
    ax.plot([1, most], [1, most], color=GREY, linewidth=0.9, label="as many times as fast")
    ax.xaxis.set_major_locator(FixedLocator(sorted(set(counts))))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.axhline(1, color=BLACK, linewidth=0.5)
    ax.set_ylim(0, 1.6 * most)
    ax.set_xlabel("devices or workers")
    ax.set_ylabel("rate over that of one")
    ax.legend(loc="upper left", handlelength=2.4, borderaxespad=0.1)


def _sizes(ax: Axes, points: pd.DataFrame, exponents: pd.DataFrame, sizes: tuple) -> None:
    for size in sizes:
        look, slope = _SIZES[size], exponents.loc[size]
        own = points[(points["part"] == "size") & (points["series"] == size)]
        error = (slope["high"] - slope["low"]) / 2
        words = rf"{look.label}: ${slope['value']:.2f}\pm{error:.2f}$"
        _bars(ax, own["x"].to_numpy(float), own, look, words)
    ax.set_xscale("log")
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** 0.4)
    ax.set_xlabel(" or ".join(f"${size}$" for size in sizes))
    ax.set_ylabel("seconds for one")
    ax.legend(loc="upper left", handlelength=2.4, borderaxespad=0.1, fontsize=7.5)

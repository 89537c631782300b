"""Realism and diversity of networks after the denoising and after the self-perceptual loss."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator

from figures.style import (
    BLUE,
    FAINT,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    Series,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "Networks trained by denoising, then on the same batches by denoising again or by the "
    "self-perceptual loss; exact laws of 16 ancestral steps on the line; geometric means over "
    "seeds with 95 % intervals, against the width of two hidden layers. a to c: two modes, std "
    "0.1 (filled) and 0.25 (open). a: mass where the data have 0.001: the self-perceptual loss "
    "takes some of it away once the network is wide enough. b: it loses the balance of the modes. "
    "c: so that W2 grows. d to f: one class of two, two modes each, with and without guidance of "
    "strength 2. Grey: the exact score."
)

METHODS = {
    ("denoising", 1.0): Series("denoising", BLUE, "-", "o"),
    ("self-perceptual", 1.0): Series("self-perceptual", VERMILION, (0, (5, 1.6)), "s"),
    ("denoising", 2.0): Series("denoising, guided", PURPLE, (0, (1.2, 1.4)), "^"),
    ("self-perceptual", 2.0): Series(
        "self-perceptual, guided", ORANGE, (0, (6, 1.4, 1.2, 1.4)), "D"
    ),
}
"""Losses of the second phase, with the strength of guidance."""

NUMBERS = {
    "valley": ("unrealistic mass", r"$Q(L)$"),
    "imbalance": ("error of mode weights", r"$\max_k |w_k - \hat w_k|$"),
    "w2": ("distance", r"$W_2$ (data units)"),
}
"""Columns of the figure: number, title, and axis."""


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `self_perceptual`.

    Returns:
      The figure.
    """
    means = table[table["part"] == "mean"]
    figure = new_figure(4.6)
    with styled():
        axes = figure.subplots(2, 3)
        for row, world in enumerate(("unconditional", "conditional")):
            for column, (number, (title, axis)) in enumerate(NUMBERS.items()):
                ax = axes[row, column]
                _draw(ax, means[(means["world"] == world) & (means["number"] == number)])
                panel(ax, "abcdef"[3 * row + column], f"{world}: {title}" if column == 0 else title)
                ax.set_ylabel(axis)
                ax.set_xlabel("width of the network")
        handles = {h.get_label(): h for h in axes[1, 0].get_legend_handles_labels()[0]}
        figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=4)
    return figure


def _draw(ax: Axes, means: pd.DataFrame) -> None:
    """One number against the width, a line for each method and standard deviation."""
    for (method, strength, std), rows in means.groupby(["method", "strength", "std"], sort=False):
        rows, first = rows.sort_values("width"), std == means["std"].min()
        values = rows["middle"].to_numpy()
        if method == "exact score":
            if np.all(values > 1e-6) and strength == 1:
                ax.axhline(values[0], color=GREY, linewidth=0.8, linestyle="-" if first else ":")
            continue
        series = METHODS[method, strength]
        look = series.kwargs() | {"markerfacecolor": series.color if first else "white"}
        label = series.label if first else None
        shift = 1.02 ** (list(METHODS).index((method, strength)) - 1.5)  # bars do not overlap
        ends = [values - rows["low"].to_numpy(), rows["high"].to_numpy() - values]
        bars = {"yerr": ends, "elinewidth": 0.8, "capsize": 0}
        ax.errorbar(rows["width"] * shift, values, **bars, **look, label=label)
    ax.set(xscale="log", yscale="log")
    widths = np.sort(means["width"].unique())
    ax.xaxis.set_major_locator(FixedLocator(widths))
    ax.xaxis.set_major_formatter(FixedFormatter([f"{w:g}" for w in widths]))
    ax.xaxis.set_minor_locator(NullLocator())
    low, high = ax.get_ylim()
    subs = (1.0, 2.0, 5.0) if high < 500 * low else (1.0,)
    ax.yaxis.set_major_locator(LogLocator(subs=subs, numticks=30))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.grid(color=FAINT, linewidth=0.4)
    ax.set_axisbelow(True)

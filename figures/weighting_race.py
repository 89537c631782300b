"""The race of weightings: losses and score errors against step, and the rates at the end."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Series,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "The same networks, data and noise trained under several weightings, each at its own best "
    "stable step (geometric means over seeds, bands: 99 % intervals). Upper row, few data in eight "
    "dimensions, where the loss can go to 0: (a) the loss that is trained, over its initial value; "
    "(b) the mean of |σ̄S + ξ|²/d on the same training set, which is one measure for all; (c) the "
    "same with EDM's preconditioning. Lower row, many data in one dimension: the score error E_S "
    "over the data law of (d) the paper's network and (e) the preconditioned one; (f) the rate at "
    "which the trained loss falls at the end of the upper races. Who wins depends on the sense: a "
    "weighting that makes the f_ij equal at the start begins slowest in its own loss and has the "
    "highest rate at the end; with preconditioning the bell and flat weightings lie close together."
)

_LOOKS = {
    "EDM": Series("EDM's bell", BLUE, "-", "o"),
    "uniform": Series("uniform", BLACK, (0, (5, 1.6)), "s"),
    "Song": Series("Song", VERMILION, (0, (1.2, 1.4)), "D"),
    "Min-SNR": Series("Min-SNR", GREEN, (0, (6, 1.4, 1.2, 1.4)), "^"),
    "P2": Series("P2", ORANGE, (0, (3, 1.2)), "v"),
    "equal f at start": Series(r"equal $f_{ij}$ at start", PURPLE, "-", "P"),
    "equal f again and again": Series(r"equal $f_{ij}$ again and again", SKY, "-", "X"),
}


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `weighting_race`.

    Returns:
      The figure.
    """
    few, many = (table[table["track"] == track] for track in ("interpolation", "population"))
    figure = new_figure(5.6)
    with styled():
        axes = figure.subplots(2, 3)
        for ax, letter, title, rows, metric, label in (
            (axes[0, 0], "a", "few data", _of(few, "relu"), "own", "own loss / initial loss"),
            (axes[0, 1], "b", "few data", _of(few, "relu"), "residual", "mean squared residual"),
            (
                axes[0, 2],
                "c",
                "few data, preconditioned",
                _of(few, "preconditioned"),
                "residual",
                "mean squared residual",
            ),
            (axes[1, 0], "d", "many data", _of(many, "relu"), "score", "$E_S$ (nats)"),
            (
                axes[1, 1],
                "e",
                "many data, preconditioned",
                _of(many, "preconditioned"),
                "score",
                "$E_S$ (nats)",
            ),
        ):
            _curves(ax, rows[(rows["part"] == "curve") & (rows["metric"] == metric)])
            panel(ax, letter, title)
            ax.set_ylabel(label)
            ax.set_xlabel("step $k$")
        _rates(axes[1, 2], few[few["part"] == "rate"])
        panel(axes[1, 2], "f", "few data: rate at the end")
        handles, labels = axes[0, 1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, handlelength=2.6)
    return figure


def _of(rows: pd.DataFrame, model: str) -> pd.DataFrame:
    return rows[rows["model"] == model]


def _curves(ax: Axes, rows: pd.DataFrame) -> None:
    rows = rows[rows["step"] > 0]
    for name, look in _LOOKS.items():
        own = rows[rows["weighting"] == name]
        if own.empty:
            continue
        ax.fill_between(own["step"], own["low"], own["high"], color=look.color, alpha=0.07, lw=0)
        ax.plot(own["step"], own["value"], label=look.label, **look.kwargs(markers=False))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(rows["step"].min(), rows["step"].max())
    ax.set_ylim(rows["value"].min() / 1.6, rows["value"].max() * 1.6)


def _rates(ax: Axes, rows: pd.DataFrame) -> None:
    names = [name for name in _LOOKS if name in set(rows["weighting"])]
    for offset, model, filled in ((-0.13, "relu", True), (0.13, "preconditioned", False)):
        own = rows[rows["model"] == model].set_index("weighting")
        for place, name in enumerate(names):
            if name not in own.index:
                continue
            value, low, high = own.loc[name, ["value", "low", "high"]]
            color = _LOOKS[name].color
            ax.errorbar(
                value,
                place + offset,
                xerr=[[value - low], [high - value]],
                fmt="o",
                color=color,
                markerfacecolor=color if filled else "white",
                capsize=2,
                linewidth=0.9,
            )
    ax.set_xscale("log")
    ax.set_yticks(range(len(names)), [_LOOKS[name].label for name in names])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel("rate per step (open: preconditioned)")
    if len(rows):
        ax.set_xlim(rows["low"].min() / 1.5, rows["high"].max() * np.sqrt(3))

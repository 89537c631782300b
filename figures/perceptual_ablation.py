"""Variants of the self-perceptual loss, side by side."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from figures.style import BLUE, FAINT, GREY, VERMILION, new_figure, panel, styled

CAPTION = (
    "Variants of the self-perceptual loss on one class of two: ratios to the denoising loss with "
    "the same seed and without guidance, geometric means with 95 % intervals; without guidance "
    "(filled) and with strength 2 (open). a: mass where the data have 0.001. b: error of mode "
    "weights. c: W2. Equal times give no gradient and leave the network of the first phase. The "
    "absolute distance is better by both numbers; the denoising loss, added c times, restores the "
    "balance of the modes and takes the gain away."
)

_NUMBERS = {
    "valley": "unrealistic mass",
    "imbalance": "error of mode weights",
    "w2": "distance $W_2$",
}


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `perceptual_ablation`.

    Returns:
      The figure.
    """
    ratios = table[table["part"] == "ratio"]
    names = list(dict.fromkeys(ratios["variant"]))
    figure = new_figure(1.1 + 0.22 * len(names))
    with styled():
        axes = figure.subplots(1, 3, sharey=True)
        for letter, ax, (number, title) in zip("abc", axes, _NUMBERS.items(), strict=True):
            _draw(ax, ratios[ratios["number"] == number], names)
            panel(ax, letter, title)
            ax.set_xlabel("ratio to denoising")
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        axes[0].set_ylabel("second phase")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _draw(ax: Axes, ratios: pd.DataFrame, names: list[str]) -> None:
    """One number of every variant, a row each."""
    styles = ((BLUE, "o", BLUE), (VERMILION, "s", "white"))
    for k, (strength, rows) in enumerate(ratios.groupby("strength")):
        color, marker, face = styles[k]
        own = rows.set_index("variant").loc[names]
        value = own["ratio"].to_numpy()
        ax.errorbar(
            value,
            np.arange(len(names)) + (0.16 if k else -0.16),
            xerr=[value - own["low"], own["high"] - value],
            linestyle="none",
            marker=marker,
            color=color,
            markerfacecolor=face,
            elinewidth=0.8,
            label="no guidance" if strength == 1 else f"guidance of strength {strength:g}",
        )
    ax.axvline(1.0, color=GREY, linewidth=0.8)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.axhline(0.5, color=GREY, linewidth=0.5)
    ax.grid(color=FAINT, linewidth=0.4, axis="x")
    ax.set_axisbelow(True)

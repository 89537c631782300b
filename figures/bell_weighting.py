"""The bell, the two schedules of Table 1, and the total weightings that they give."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import (
    BLACK,
    BLUE,
    DESIGNS,
    FAINT,
    GREEN,
    GREY,
    PURPLE,
    VERMILION,
    Series,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "a: EDM's total weighting β_EDM(σ), read at a level (solid) and as a density, weight per unit "
    "of ln σ (dashed), each relative to its top; the ticks below are the noise levels of EDM's and "
    "Song's schedules. b: the noise level after each share of the sampler's steps; the band is "
    "where the solid bell is above half its height. c, d: the total weightings β_j of the shipped "
    "weightings on the levels of either schedule, each relative to its largest value."
)

WEIGHTINGS = {
    "edm": Series("EDM (density in σ)", BLUE, "-", "o"),
    "edm pointwise": Series("EDM (pointwise)", BLACK, (0, (1.2, 1.4)), "D", filled=False),
    "song": Series("Song (density in ln σ)", VERMILION, (0, (5, 1.6)), "s"),
    "min-snr": Series("Min-SNR-5", GREEN, (0, (6, 1.4, 1.2, 1.4)), "^"),
    "p2": Series("P2", PURPLE, (0, (3, 1.2)), "v", filled=False),
    "uniform": Series("uniform", GREY, "-", ""),
}


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `bell_weighting`; of several numbers of steps, the first is drawn.

    Returns:
      The figure.
    """
    grids = table[table["part"] == "schedule"]
    steps = grids["steps"].iloc[0]
    totals = table[(table["part"] == "weighting") & (table["steps"] == steps)]
    figure = new_figure(5.0)
    with styled():
        axes = figure.subplots(2, 2)
        _bell(axes[0, 0], table, grids[grids["steps"] == steps])
        _schedules(axes[0, 1], table, grids[grids["steps"] == steps])
        for panel_axes, letter, name in zip(axes[1], "cd", ("edm", "song"), strict=True):
            _totals(panel_axes, totals[totals["schedule"] == name], name == "edm")
            panel(panel_axes, letter, f"total weightings on {DESIGNS[name].label}'s levels")
        lines, labels = axes[1, 0].get_legend_handles_labels()
        figure.legend(lines, labels, loc="outside lower center", ncols=3, handlelength=2.6)
    return figure


def _bell(axes: Axes, table: pd.DataFrame, grids: pd.DataFrame) -> None:
    """Panel a."""
    curves = table[table["part"] == "bell"]
    peaks = table[table["part"] == "peak"].set_index("reading")
    bell = r"\beta_{\mathrm{EDM}}(\sigma)"
    readings = (
        ("at a level", "-", f"${bell}$"),
        ("per unit of ln sigma", (0, (5, 1.6)), rf"$\sigma{bell}$"),
    )
    for reading, line, text in readings:
        curve = curves[curves["reading"] == reading]
        axes.semilogx(curve["sigma"], curve["relative"], color=BLACK, linestyle=line)
        top = float(peaks["sigma"][reading])
        axes.annotate(
            f"{text}\ntop at {top:.3g}",
            (top, 1),
            (0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )
    _ticks(axes, grids)
    axes.set_ylim(-0.28, 1.55)
    axes.set_yticks([0, 0.5, 1])
    axes.set_xlabel(r"noise level $\sigma$ (data units)")
    axes.set_ylabel("weight, relative to its top")
    panel(axes, "a", "EDM's bell, in two readings")


def _ticks(axes: Axes, grids: pd.DataFrame) -> None:
    """The noise levels of both schedules, as ticks below the bell."""
    for height, name in ((-0.09, "edm"), (-0.21, "song")):
        levels, look = grids[grids["schedule"] == name]["sigma"], DESIGNS[name]
        heights = np.full(len(levels), height)
        axes.plot(levels, heights, "|", color=look.color, markersize=6)
        axes.annotate(
            look.label,
            (1, height),
            (2, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            color=look.color,
            va="center",
            fontsize=8,
        )


def _schedules(axes: Axes, table: pd.DataFrame, grids: pd.DataFrame) -> None:
    """Panel b."""
    peak = table[(table["part"] == "peak") & (table["reading"] == "at a level")].iloc[0]
    axes.axhspan(peak["half_low"], peak["half_high"], color=FAINT, alpha=0.6, linewidth=0)
    axes.annotate(
        r"$\beta_{\mathrm{EDM}}$ above half its top",
        (0.02, peak["half_low"]),
        (0, 3),
        textcoords="offset points",
        fontsize=8,
        va="bottom",
    )
    for name, share, shift, side in (("edm", 0.5, 7, "left"), ("song", 0.35, -8, "right")):
        grid = grids[grids["schedule"] == name].sort_values("level", ascending=False)
        done = 1 - grid["level"] / grid["level"].max()
        look = DESIGNS[name]
        axes.semilogy(done, grid["sigma"], markevery=2, **look.kwargs())
        height = np.exp(np.interp(share, done, np.log(grid["sigma"])))
        axes.annotate(
            look.label,
            (share, height),
            (shift, 0),
            textcoords="offset points",
            ha=side,
            va="bottom" if side == "left" else "top",
            color=look.color,
        )
    axes.set_xlabel("share of the sampler's steps done")
    axes.set_ylabel(r"noise level $\sigma$ (data units)")
    axes.set_xlim(0, 1)
    panel(axes, "b", f"the schedules, $N = {int(grids['level'].max())}$")


def _totals(axes: Axes, totals: pd.DataFrame, left: bool) -> None:
    """Panels c and d."""
    for name, look in WEIGHTINGS.items():
        part = totals[totals["weighting"] == name]
        axes.semilogx(
            part["sigma"], part["relative"], label=look.label, markevery=2, **look.kwargs()
        )
    axes.set_ylim(0, 1.06)
    axes.set_yticks([0, 0.5, 1])
    axes.set_xlabel(r"noise level $\sigma_j$ (data units)")
    if left:
        axes.set_ylabel(r"$\beta_j$, relative to its largest value")

"""Error against the number of steps for each design and target, and where EDM and Song cross."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from figures.style import BLACK, BLUE, DESIGNS, GREY, VERMILION, new_figure, panel, styled

CAPTION = (
    "a-d: discretization error E_D times N (top) and marginal KL times N² (below) against the "
    "number of steps N, one column per data law; the curves level off because the path error "
    "falls like 1/N and the marginal error like 1/N² (c bends down where initialization and "
    "discretization errors cancel). Exponential times with σ̄ = t have Song's "
    "noise levels, so that only one of the two is drawn. e, f: EDM's error over Song's against the "
    "data scale s of N(0, s²), lines as in e; the dots are the computed crossovers. Which schedule "
    "is better depends on the data scale and on the criterion: EDM's path error is smaller for all "
    "but near-Dirac data, its marginal error only inside a window of s."
)

_DRAWN = ("edm", "song", "sqrt-polynomial", "path-optimal")
_COLUMNS = 4
_RATIO = {"discretization": r"$E_D$, EDM over Song", "marginal_kl": "marginal KL, EDM over Song"}
_SHADES = (BLUE, VERMILION, BLACK, GREY)
_LINES = ((0, (1.2, 1.4)), (0, (5, 1.6)), "-", (0, (6, 1.4, 1.2, 1.4)))


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `schedule_comparison`; of many targets, at most four are drawn.

    Returns:
      The figure.
    """
    grid = table[table["part"] == "grid"]
    targets = _chosen(grid)
    figure = new_figure(7.2)
    with styled():
        top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(2, 1.12))[:, 0]
        axes = top.subplots(2, len(targets), sharex=True, sharey="row", squeeze=False)
        for i, target in enumerate(targets):
            rows = grid[grid["target"] == target]
            _against_steps(axes[0, i], rows, "discretization", 1)
            _against_steps(axes[1, i], rows, "marginal_kl", 2)
            panel(axes[0, i], "abcd"[i], _name(target))
            axes[1, i].set_xlabel("steps $N$")
        axes[0, 0].set_ylabel(r"$N \times E_D$ (nats)")
        axes[1, 0].set_ylabel(r"$N^2 \times$ marginal KL (nats)")
        top.legend(
            *axes[0, 0].get_legend_handles_labels(),
            loc="outside lower center",
            ncols=4,
            handlelength=3,
        )
        for ax, letter, quantity in zip(bottom.subplots(1, 2), "ef", _RATIO, strict=True):
            _against_scale(ax, table, quantity)
            panel(ax, letter, _RATIO[quantity])
    return figure


def _chosen(grid: pd.DataFrame) -> list[str]:
    """Up to four targets: mixtures after the narrowest, middle and widest Gaussian."""
    names = list(dict.fromkeys(grid["target"]))
    gaussians = [n for n in names if n.startswith("N(")]
    mixtures = [n for n in names if not n.startswith("N(")]
    if len(gaussians) > 3:
        widths = grid.drop_duplicates("target").set_index("target")["std"]
        wanted = (0.005, 0.5, 20.0)
        gaussians = [min(gaussians, key=lambda n: abs(np.log(widths[n] / w))) for w in wanted]
    return [*gaussians, *mixtures][:_COLUMNS]


def _name(target: str) -> str:
    """A target's name in mathtext."""
    if not target.startswith("N("):
        return target
    return "$N" + target[1:].replace("²", "^2") + "$"


def _against_steps(axes: Axes, rows: pd.DataFrame, quantity: str, order: int) -> None:
    """One panel of the upper rows: the quantity times N^order."""
    for name in _DRAWN:
        line = rows[rows["design"] == name].sort_values("steps")
        scaled = line[quantity] * line["steps"] ** order
        axes.loglog(line["steps"], scaled, label=DESIGNS[name].label, **DESIGNS[name].kwargs())
    axes.grid(axis="y", color="#eeeeee", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks([5, 20, 100, 500])


def _against_scale(axes: Axes, table: pd.DataFrame, quantity: str) -> None:
    """One panel of the lowest row."""
    scale = table[table["part"] == "scale"]
    crossings = table[(table["part"] == "crossover") & (table["criterion"] == quantity)]
    axes.axhline(1, color=GREY, linewidth=0.6)
    chosen = sorted(scale["steps"].unique())[:4]
    for steps, color, style in zip(chosen, _SHADES, _LINES, strict=False):
        rows = scale[scale["steps"] == steps].pivot_table(
            index="std", columns="design", values=quantity
        )
        ratio = rows["edm"] / rows["song"]
        label = f"$N = {int(steps)}$"
        axes.loglog(ratio.index, ratio, color=color, linestyle=style, label=label)
        here = crossings[crossings["steps"] == steps]["std"]
        axes.plot(here, np.ones(len(here)), "o", color=color, markersize=3.5)
    axes.set_xlabel("data scale $s$ (data units)")
    axes.set_ylabel("ratio")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    wide = quantity == "marginal_kl"
    axes.set_yticks([0.4, 0.6, 1, 2, 4] if wide else [0.5, 0.7, 1])
    axes.set_ylim((0.35, 5) if wide else (0.5, 1.3))  # near a crossover of f the ratio has poles
    place, side = (0.02, "left") if wide else (0.98, "right")
    for text, shift, anchor in (("Song better", 3, "bottom"), ("EDM better", -3, "top")):
        axes.annotate(
            text,
            (place, 1),
            (0, shift),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=8,
            color=GREY,
            ha=side,
            va=anchor,
        )
    if not wide:
        axes.legend(loc="lower left", handlelength=3)

"""Where the best grids put their steps, and how far every schedule is from the best."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
    Series,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "For six data laws: above, where a schedule puts its steps (share of the steps per decade of "
    "σ, at the N in the title); below, the marginal KL over that of the marginal-optimal grid of "
    "as many steps (1 is the best there is), against N. The marginal-optimal grid crowds where σ "
    "is as large as the scales of the data and crosses the rest in a few long steps; the "
    "path-optimal grid spends its steps on all σ above that. No published schedule reaches 1, and "
    "which of them is nearest depends on the data."
)

_LOOKS = {
    "marginal-optimal": Series("marginal-optimal", GREEN, "-", ""),
    "path-optimal": Series("path-optimal", BLACK, (0, (2.4, 1.2)), "D", filled=False),
    "edm": Series("EDM", BLUE, "-", "o"),
    "song": Series("Song", VERMILION, (0, (5, 1.6)), "s"),
    "cosine": Series("cosine", ORANGE, "-", "v"),
    "tangent": Series("tangent law", PURPLE, "-", "^"),
    "beta": Series("Beta(.6, .6)", SKY, "-", "P"),
    "align-your-steps": Series("Align Your Steps, SD 1.5", GREY, "-", "X"),
    "align-your-steps svd": Series("Align Your Steps, SVD", GREY, (0, (3, 1.4)), "p", filled=False),
    "score-optimal": Series("score-optimal", YELLOW, "-", "h"),
    "leading-order": Series("leading order", GREEN, (0, (1.2, 1.6)), "", filled=False),
}
_BOLD = ("marginal-optimal", "path-optimal", "edm", "song")
_TOP = 12.0
"""Ratios above are not drawn."""


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `optimal_schedules`; of many targets, six are drawn.

    Returns:
      The figure.
    """
    grids, errors = (table[table["part"] == part] for part in ("grid", "error"))
    targets = _chosen(errors)
    figure = new_figure(8.6)
    with styled():
        axes = figure.subplots(4, 3, height_ratios=(1, 1.35, 1, 1.35))
        for k, target in enumerate(targets):
            row, column = 2 * (k // 3), k % 3
            own = grids[grids["target"] == target]
            _density(axes[row, column], own)
            steps = int(own["steps"].iloc[0])
            panel(axes[row, column], "abcdef"[k], f"{_name(target)}, $N = {steps}$")
            _ratios(axes[row + 1, column], errors[errors["target"] == target])
            if column == 0:
                axes[row, 0].set_ylabel("share of steps\nper decade")
                axes[row + 1, 0].set_ylabel("marginal KL\nover the optimum")
        handles, labels = axes[1, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, handlelength=2.6)
    return figure


def _chosen(errors: pd.DataFrame) -> list[str]:
    """Up to four Gaussians and as many mixtures as fill the six places."""
    first = errors.drop_duplicates("target")
    gaussian = first["gaussian"].astype(bool)
    mixtures = list(first.loc[~gaussian, "target"])[:2]
    return [*list(first.loc[gaussian, "target"])[: 6 - len(mixtures)], *mixtures]


def _name(target: str) -> str:
    """A target's name in mathtext."""
    return "$N" + target[1:].replace("²", "^2") + "$" if target.startswith("N(") else target


def _density(axes: Axes, grids: pd.DataFrame) -> None:
    """Share of the steps per decade of sigma, a step at its geometric middle."""
    for name in reversed(_BOLD):
        rows = grids[grids["design"] == name].sort_values("level")
        place = np.log10(rows["sigma"].to_numpy(dtype=float))
        density = 1 / (len(place) - 1) / -np.diff(place)
        look = _LOOKS[name]
        middle = 10 ** ((place[1:] + place[:-1]) / 2)
        axes.plot(middle, density, color=look.color, linestyle=look.line, linewidth=1.5)
    axes.set_xscale("log")
    axes.set_xlim(0.0015, 110)
    axes.set_ylim(0, 1.05 * max(float(np.max(line.get_ydata())) for line in axes.lines))
    axes.xaxis.set_major_locator(FixedLocator([0.01, 0.1, 1, 10, 100]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_xlabel(r"noise level $\sigma$ (data units)")


def _ratios(axes: Axes, errors: pd.DataFrame) -> None:
    """Every schedule's marginal KL over the optimum, against N."""
    steps = sorted(errors["steps"].unique())
    axes.axhline(1, color=_LOOKS["marginal-optimal"].color, linewidth=2, label="marginal-optimal")
    for name, look in _LOOKS.items():
        rows = errors[errors["design"] == name].sort_values("steps")
        if name == "marginal-optimal" or rows.empty:
            continue
        bold = name in _BOLD
        axes.plot(
            rows["steps"],
            rows["marginal_ratio"],
            label=look.label,
            linewidth=1.5 if bold else 0.8,
            markersize=3.6 if bold else 3.2,
            zorder=3 if bold else 2,
            **look.kwargs(),
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.88, _TOP)
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    axes.yaxis.set_major_locator(FixedLocator([1, 2, 5, 10]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.xaxis.set_major_locator(FixedLocator(steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("number of steps $N$")

"""Which part of the error dominates, by data, noise levels and width."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    label_end,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "What the path KL is made of. Upper row: affine scores on N(0, 1/4), one for each noise level, "
    "EDM's grid; the color is the largest part, its depth the part's share, a dot where the 99 % "
    "intervals leave open which is the largest. At few steps k of gradient descent optimization "
    "dominates, the longer the more levels there are; once converged, statistics below about "
    "n = N/3 and sampling above. d: converged, E_S falls like 1/n and hardly feels N, while "
    "E_I + E_D falls like 1/N. "
    "e, f: random features on two modes, with E_I + E_D dotted and marginal KLs of two seeds as "
    "crosses: with the number m of features the error L(F) of the best of the class falls, and "
    "that of the least-squares solution grows where data are few, unless training is stopped."
)

_COLORS = {
    "optimization": ORANGE,
    "statistics": BLUE,
    "approximation": GREEN,
    "sampling": "#7a7a7a",
}
_SIZES = (SKY, BLUE, PURPLE, VERMILION, BLACK)


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `sample_size`.

    Returns:
      The figure.
    """
    levels = table[(table["plane"] == "levels") & (table["design"] == "edm")]
    wide = table[table["plane"] == "width"]
    figure = new_figure(4.9)
    with styled():
        axes = figure.subplots(2, 3)
        _planes(axes[0], levels)
        values = levels[(levels["part"] == "value") & (levels["iteration"] == _last(levels))]
        _against_points(axes[1, 0], values)
        panel(axes[1, 0], "d", "converged: parts of the path KL")
        early = sorted(wide["iteration"].unique())[-2]
        for ax, letter, k in ((axes[1, 1], "e", early), (axes[1, 2], "f", _last(wide))):
            _against_width(ax, wide[wide["iteration"] == k])
            panel(ax, letter, f"random features, {_when(k, _last(wide))}")
        patches = [Patch(color=color, label=name) for name, color in _COLORS.items()]
        figure.legend(handles=patches, loc="outside lower center", ncols=4)
    return figure


def _last(rows: pd.DataFrame) -> float:
    return float(rows["iteration"].max())


def _when(iteration: float, last: float) -> str:
    if iteration == last:
        return "converged"
    return f"$k = {iteration:g}$"


def _planes(axes: np.ndarray, levels: pd.DataFrame) -> None:
    cells = levels[levels["part"] == "cell"]
    for ax, letter, k in zip(axes, "abc", sorted(cells["iteration"].unique()), strict=True):
        own = cells[cells["iteration"] == k]
        grids = {
            name: own.pivot(index="points", columns="steps", values=name)
            for name in ("dominant", "share", "sure")
        }
        dominant, share = grids["dominant"].to_numpy(), grids["share"].to_numpy(dtype=float)
        image = np.empty((*dominant.shape, 3))
        for place, name in np.ndenumerate(dominant):
            depth = np.clip((share[place] - 0.3) / 0.7, 0.15, 1.0)
            image[place] = 1 - depth * (1 - np.array(to_rgb(_COLORS[str(name)])))
        ax.imshow(image, origin="lower", aspect="auto", interpolation="nearest")
        y, x = np.nonzero(~grids["sure"].to_numpy(dtype=bool))
        ax.plot(x, y, ".", color=BLACK, markersize=2.5, markeredgewidth=0)
        steps, points = list(grids["share"].columns), list(grids["share"].index)
        ax.set_xticks(range(len(steps)), [str(int(s)) for s in steps])
        ax.set_yticks(range(0, len(points), 2), [str(int(n)) for n in points[::2]])
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.set_xlabel("noise levels $N$")
        ax.set_ylabel("data $n$")
        panel(ax, letter, f"dominating part, {_when(k, _last(cells))}")


def _against_points(ax: Axes, values: pd.DataFrame) -> None:
    """E_S against n at a few N, and E_I + E_D as levels."""
    every = sorted(values["steps"].unique())
    chosen = [every[round(q * (len(every) - 1))] for q in (0, 1 / 3, 2 / 3, 1)]
    for steps, color in zip(chosen, _SIZES, strict=False):
        own = values[values["steps"] == steps].sort_values("points")
        score = own[own["quantity"] == "E_S"]
        low = np.maximum(score["low"], score["value"] / 10)  # an interval may reach below 0
        ax.fill_between(score["points"], low, score["high"], color=color, alpha=0.15, lw=0)
        ax.plot(score["points"], score["value"], color=color, label=f"$E_S$, $N$ = {steps:g}")
        sampling = float(own.loc[own["quantity"] == "sampling", "value"].iloc[0])
        ends = [values["points"].min(), values["points"].max()]
        ax.plot(ends, [sampling] * 2, color=color, linestyle=(0, (1.2, 1.6)), linewidth=1.0)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlabel(r"data $n$ (dotted: $E_I + E_D$)")
    ax.set_ylabel("nats")
    ax.legend(handlelength=1.4, labelspacing=0.2)


def _against_width(ax: Axes, wide: pd.DataFrame) -> None:
    """E_S against m at each n, the part no data can remove, and marginal KLs."""
    values = wide[wide["part"] == "value"]
    for n, color in zip(sorted(values["points"].unique()), _SIZES, strict=False):
        own = values[(values["points"] == n) & (values["quantity"] == "E_S")].sort_values("width")
        low = np.maximum(own["low"], own["value"] / 10)
        ax.fill_between(own["width"], low, own["high"], color=color, alpha=0.12, lw=0)
        ax.plot(own["width"], own["value"], color=color, marker="o", label=f"$n$ = {n:g}")
        dots = wide[(wide["quantity"] == "marginal KL") & (wide["points"] == n)]
        ax.plot(dots["width"], dots["value"], "x", color=color, markersize=4)
    least = values[values["quantity"] == "approximation"].drop_duplicates("width")
    least = least.sort_values("width")
    ax.plot(least["width"], least["value"], color=GREEN, linestyle=(0, (5, 1.6)))
    label_end(ax, least["width"].max(), least["value"].iloc[-1], r"$L(F)$", GREEN, dx=2)
    sampling = float(values.loc[values["quantity"] == "sampling", "value"].iloc[0])
    ax.axhline(sampling, color=GREY, linestyle=(0, (1.2, 1.6)), linewidth=1.0)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    widths = sorted(values["width"].unique())
    ax.set_xticks(widths, [f"{w:g}" for w in widths])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("features $m$")
    ax.set_ylabel("$E_S$ (nats)")
    ax.legend(handlelength=1.4, labelspacing=0.2)

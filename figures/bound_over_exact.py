"""Bounds over exact errors against the number of steps, and Lemma 10 over E_I."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from figures.style import (
    BLACK,
    DESIGNS,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "a-d: the corrected bound of Theorem 2 on E_D (lines with filled markers) and the scale-aware "
    "bound (same line and color, open markers) over the exact E_D, against the number of steps "
    "N; 1 would be an equality. Crosses in b: N(0, I/4) in 50 dimensions, on the same curves. The "
    "printed bound is within 1 % of the corrected one on these grids. e-h: the corrected bound on "
    "the whole path over the exact marginal KL; the thin line has the slope of N. "
    "i: E_I against the first noise variance, and Lemma 10 (dotted); j: Lemma 10 "
    "over E_I. On a point mass and Song's grid Theorem 2 is nearly an equality; on wide data and "
    "on the grid that is best for it, it is off by orders of magnitude."
)

_CORRECTED, _SHARP = "theorem-2-corrected", "discretization-scale-aware"
_LAWS = (
    (SKY, "-", 3.0),
    (VERMILION, (0, (5, 1.6)), 1.3),
    (GREEN, (0, (6, 1.4, 1.2, 1.4)), 1.3),
    (PURPLE, (0, (2, 4)), 2.0),
    (ORANGE, "-", 1.3),
    (BLACK, (0, (3, 1.2)), 1.3),
)
"""Color, line style and width of the data laws of the lowest row."""


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `bound_over_exact`.

    Returns:
      The figure.
    """
    steps, start = (table[table["part"] == part] for part in ("steps", "start"))
    many = steps[steps["target"].str.contains("d = ")]
    lines = steps[~steps["target"].str.contains("d = ")]
    targets = list(dict.fromkeys(lines["target"]))[:4]
    figure = new_figure(7.4)
    with styled():
        top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(2, 1.05))[:, 0]
        axes = top.subplots(2, len(targets), sharex=True, sharey="row", squeeze=False)
        for i, target in enumerate(targets):
            rows = lines[lines["target"] == target]
            _against_steps(axes[0, i], rows)
            _against_marginal(axes[1, i], rows)
            panel(axes[0, i], "abcd"[i], _name(target))
            panel(axes[1, i], "efgh"[i], _name(target))
            axes[1, i].set_xlabel("steps $N$")
            if "0.5²" in target:
                _crosses(axes[0, i], many)
        axes[0, 0].set_ylabel(r"bound on $E_D$ / $E_D$")
        axes[1, 0].set_ylabel("bound / marginal KL")
        _legend(top, axes[0, 0])
        left, right = bottom.subplots(1, 2)
        _start(left, right, start)
        panel(left, "i", r"$E_I$ (lines) and Lemma 10 (dotted)")
        panel(right, "j", r"Lemma 10 / $E_I$")
    return figure


def _name(target: str) -> str:
    """A target's name in mathtext."""
    return "$N" + target[1:].replace("²", "^2") + "$" if target.startswith("N(") else target


def _against_steps(axes: Axes, rows: pd.DataFrame) -> None:
    """One panel of the first row: two bounds over E_D for each schedule."""
    axes.axhline(1, color=GREY, linewidth=0.6)
    for name in dict.fromkeys(rows["design"]):
        line, look = rows[rows["design"] == name].sort_values("steps"), DESIGNS[str(name)]
        exact = line["discretization"]
        for bound, face in ((_CORRECTED, look.color), (_SHARP, "white")):
            keywords = look.kwargs() | {"marker": look.marker, "markerfacecolor": face}
            ratio = line[f"{bound}, E_D"] / exact
            axes.loglog(line["steps"], ratio, label=look.label, **keywords)
    _steps_axis(axes)


def _crosses(axes: Axes, rows: pd.DataFrame) -> None:
    """The same data in many dimensions."""
    for bound in (_CORRECTED, _SHARP):
        ratio = rows[f"{bound}, E_D"] / rows["discretization"]
        axes.plot(rows["steps"], ratio, "x", color=BLACK, markersize=5.5, zorder=4)


def _against_marginal(axes: Axes, rows: pd.DataFrame) -> None:
    """One panel of the second row: the bound on the path over the marginal KL."""
    for name in dict.fromkeys(rows["design"]):
        line, look = rows[rows["design"] == name].sort_values("steps"), DESIGNS[str(name)]
        ratio = line[f"{_CORRECTED}, total"] / line["marginal_kl"]
        keywords = look.kwargs() | {"marker": look.marker, "markerfacecolor": look.color}
        axes.loglog(line["steps"], ratio, **keywords)
    ends = np.array([8.0, 300.0])
    axes.plot(ends, 0.1 * ends, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    axes.annotate(r"$\propto N$", (60, 0.1 * 60), (3, -9), textcoords="offset points", color=GREY)
    _steps_axis(axes)


def _steps_axis(axes: Axes) -> None:
    axes.grid(axis="y", color=FAINT, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks([5, 20, 100, 500])


def _legend(figure, axes: Axes) -> None:
    """The schedules by line, the two bounds by marker."""
    handles, labels = axes.get_legend_handles_labels()
    bounds = ("Theorem 2", "scale-aware") * len(labels)
    kinds = [f"{label}, {bound}" for label, bound in zip(labels, bounds, strict=False)]
    figure.legend(handles, kinds, loc="outside lower center", ncols=3, handlelength=3)


def _start(left: Axes, right: Axes, rows: pd.DataFrame) -> None:
    """E_I and Lemma 10, and their ratio, against the first noise variance."""
    laws = list(dict.fromkeys(rows["target"]))
    for name, (color, style, width) in zip(laws, _LAWS, strict=False):
        line = rows[rows["target"] == name].sort_values("variance")
        keywords = {"color": color, "linestyle": style, "linewidth": width}
        keywords |= {"label": _name(str(name))}
        left.loglog(line["variance"], line["exact"], **keywords)
        left.plot(line["variance"], line["bound"], color=color, linestyle=":", linewidth=0.8)
        right.loglog(line["variance"], line["bound"] / line["exact"], **keywords)
    for ax in (left, right):
        ax.set_xlabel(r"first noise variance $v_0$ (squared data units)")
        ax.grid(axis="y", color=FAINT, linewidth=0.4)
        ax.set_axisbelow(True)
    left.set_ylabel("nats")
    right.set_ylabel("ratio")
    right.legend(loc="upper left", handlelength=2.6, fontsize=7.5)

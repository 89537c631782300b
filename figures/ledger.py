"""The ledger at a glance: right side over left side of every statement, with its verdict."""

import fnmatch

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    VERMILION,
    Series,
    new_figure,
    styled,
)

CAPTION = (
    "Right side over left side of every statement over all designs on which it was checked, as "
    "printed (upper bar, in the color of its verdict) and, where that fails, corrected (lower bar, "
    "green). Thin line: all designs whose ratio is positive; thick: the middle 80 % of them; white "
    "tick: their median. A bound (≤) holds at and to the right of 1, and is tight where its bar "
    "begins at 1; of an equality (=) the smaller side over the larger is shown, so that it holds "
    "only at 1. Triangles: it goes on beyond the axis; at the left end also where a right side is "
    "zero or negative. The numbers are the smallest ratio of the printed form and the designs "
    "computed for the row."
)

VERDICTS = {
    "holds": Series("holds", BLUE, "-", "o"),
    "holds with constant C": Series("holds with constant C", PURPLE, "-", "s"),
    "order only": Series("order only", ORANGE, "-", "^"),
    "fails as printed; corrected form holds": Series(
        "fails as printed; corrected form holds", VERMILION, "-", "X"
    ),
    "not shown as registered; weaker form holds": Series(
        "not shown as registered; weaker form holds", GREY, "-", "D"
    ),
    "fails": Series("fails", BLACK, "-", "P"),
}
"""Color and symbol of each verdict."""

PAPER = (
    "equation-*",
    "theorem-*",
    "lemma-*",
    "proposition-*",
    "remark-*",
    "corollary-*",
    "section-*",
    "table-*",
    "appendix-*",
)
"""Ids of the paper's own statements; the others are ours, or other authors'."""

_LOW, _HIGH = 1e-4, 1e4
_LANE = 0.17  # half the distance of the two bars of a row


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `ledger`.

    Returns:
      The figure.
    """
    statements = table[table["part"] == "statement"].set_index("statement")
    paper, ours = [], []
    for name in statements.index:
        own = not any(fnmatch.fnmatch(str(name), pattern) for pattern in PAPER)
        (ours if own else paper).append(str(name))
    rows_high, rest = 0.235 * (len(statements) + 3), 1.0
    figure = new_figure(rows_high + rest)
    figure.set_layout_engine("none")  # the columns beside the axes have fixed places
    with styled():
        below = 0.98 * rest / (rows_high + rest)
        axes = figure.add_axes((0.26, below, 0.53, 0.995 - below))
        place = 0.0
        for heading, names in (("The paper's", paper), ("Others", ours)):
            _heading(axes, place, heading)
            for name in names:
                place += 1
                rows = table[table["statement"] == name]
                _row(axes, place, name, rows, statements.loc[name])
            place += 1.2
        _frame(axes, place - 0.2)
        _legend(figure, list(dict.fromkeys(statements["verdict"])))
    return figure


def _heading(axes: Axes, place: float, text: str) -> None:
    axes.text(_LOW, place, text, fontweight="bold", va="center", ha="left", fontsize=9)


def _row(axes: Axes, place: float, name: str, rows: pd.DataFrame, verdict: pd.Series) -> None:
    """One statement: its id, symbol, one or two bars, and numbers."""
    look = VERDICTS[str(verdict["verdict"])]
    claims = rows[rows["part"] == "claim"]
    printed = claims.iloc[0]
    second = claims[claims["claim"] == "corrected"]
    lane = _LANE if len(second) else 0.0
    _bar(axes, place - lane, rows, printed, look.color)
    if len(second):
        _bar(axes, place + lane, rows, second.iloc[0], GREEN)
    edge = axes.get_yaxis_transform()
    axes.plot(
        [-0.025],
        [place],
        look.marker,
        color=look.color,
        transform=edge,
        clip_on=False,
        markersize=5,
    )
    texts = (
        (-0.05, name, "right"),
        (1.06, "≤" if printed["relation"] == "<=" else "=", "center"),
        (1.19, _number(float(printed["margin"])), "right"),
        (1.35, f"{int(verdict['designs']):,}", "right"),
    )
    for x, text, side in texts:
        axes.text(x, place, text, transform=edge, ha=side, va="center_baseline", fontsize=8)


def _number(value: float) -> str:
    """A ratio in few characters."""
    if not np.isfinite(value):
        return "–"
    if value <= 0:
        return "≤ 0"
    if value < 1e-3:
        return rf"$10^{{{round(np.log10(value))}}}$"
    return f"{value:.3g}" if value < 1 else f"{value:.4g}"


def _bar(axes: Axes, place: float, rows: pd.DataFrame, claim: pd.Series, color: str) -> None:
    """The distribution of one claim: all, the middle 80 %, the median; triangles at the ends."""
    ratios = rows[(rows["part"] == "ratio") & (rows["claim"] == claim["claim"])]
    if ratios.empty:
        axes.plot([_LOW], [place], "<", color=color, markersize=4, clip_on=False)
        return
    quantiles, values = ratios["quantile"].to_numpy(), ratios["ratio"].to_numpy()
    low, tenth, median, ninth, high = np.interp([0, 0.1, 0.5, 0.9, 1], quantiles, values)
    shown = np.clip([low, tenth, median, ninth, high], _LOW, _HIGH)
    axes.plot(shown[[0, 4]], [place, place], color=color, linewidth=0.9, solid_capstyle="butt")
    axes.plot(shown[[1, 3]], [place, place], color=color, linewidth=3.6, solid_capstyle="butt")
    if shown[3] < 1.05 * shown[1]:  # as good as one number
        axes.plot([shown[2]], [place], "|", color=color, markersize=7, markeredgewidth=2.6)
    elif _LOW < median < _HIGH:
        axes.plot([median], [place], "|", color="white", markersize=3.6, markeredgewidth=1.2)
    if low < _LOW or float(claim["margin"]) < _LOW:
        axes.plot([_LOW], [place], "<", color=color, markersize=4, clip_on=False)
    if high > _HIGH:
        axes.plot([_HIGH], [place], ">", color=color, markersize=4, clip_on=False)


def _frame(axes: Axes, end: float) -> None:
    """Scale, grid and the headings of the columns."""
    axes.set_xscale("log")
    axes.set_xlim(_LOW, _HIGH)
    axes.set_ylim(end, -0.7)
    axes.set_yticks([])
    axes.axvline(1, color=INK, linewidth=0.7, zorder=0)
    for x in (1e-3, 1e-2, 0.1, 10, 100, 1e3):
        axes.axvline(x, color=FAINT, linewidth=0.4, zorder=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("right side / left side (of an equality: smaller / larger)")
    edge = axes.get_yaxis_transform()
    for x, text, side in ((1.19, "least", "right"), (1.35, "designs", "right")):
        axes.text(x, -0.1, text, transform=edge, ha=side, va="center", fontsize=8, color=GREY)


def _legend(figure: Figure, verdicts: list[str]) -> None:
    """The verdicts that occur, and the corrected form."""
    handles = [
        Line2D([], [], color=look.color, marker=look.marker, linewidth=0, label=look.label)
        for name, look in VERDICTS.items()
        if name in verdicts
    ]
    handles.append(Line2D([], [], color=GREEN, linewidth=3, label="corrected form"))
    figure.legend(handles=handles, loc="lower center", ncols=3, handlelength=2.2)

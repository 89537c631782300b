"""Weightings times schedules times training: errors as a colored table, and what explains them."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from figures.style import BLACK, BLUE, FAINT, INK, VERMILION, new_figure, panel, styled

CAPTION = (
    "a-f: every cell is a whole chain, trained with one weighting (row) on one schedule (column) "
    "for few, some, or as many steps of gradient descent as it takes to converge, and then sampled "
    "with. Numbers: the error over the least one of its block of 28, which is in the title of the "
    "block. Thick frame: the best weighting on this schedule; thin frame: not worse than it beyond "
    "the 99 % interval of the paired difference. Where a block changes from left to right, the "
    "schedule matters; where it changes from top to bottom, the weighting. g-i: the shares of both "
    "in the variance of the log error. With coefficients of their own at each level all "
    "weightings converge to the same scores; with shared features they do not, and where no "
    "weights fit all levels the weighting matters to the end."
)

_LEARNERS = {
    "per level": "weights per level",
    "shared": "shared features",
    "shared, misfit": "shared features, misfit",
}
_CRITERIA = {"score": "$E_S$", "marginal_kl": "marginal KL"}
_ALL = {"score": "$E_S$", "path_kl": "path KL", "marginal_kl": "marginal KL", "bound": "Thm 3"}
_SCHEDULES = {
    "edm": "EDM",
    "song": "Song",
    "sqrt-polynomial": r"$\sqrt{t}$ poly.",
    "path-optimal": "path-opt.",
}
_MOST = 30.0
"""Ratios above have the darkest color."""

_MAP = LinearSegmentedColormap.from_list("cost", ["#ffffff", "#c9dff0", "#6aaed6", "#15527f"])
_TONES = {"weighting": VERMILION, "schedule": BLUE, "interaction": FAINT}


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `weighting_times_schedule`.

    Returns:
      The figure.
    """
    cells, shares = (table[table["part"] == part] for part in ("cell", "share"))
    learners = [name for name in _LEARNERS if name in set(cells["learner"])]
    figure = new_figure(8.8)
    with styled():
        top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(4.3, 1))[:, 0]
        axes = top.subplots(len(learners), 2, squeeze=False)
        letters = iter("abcdefghi")
        for row, learner in zip(axes, learners, strict=True):
            for place, (criterion, name) in zip(row, _CRITERIA.items(), strict=True):
                own = cells[(cells["learner"] == learner) & (cells["criterion"] == criterion)]
                _blocks(place, own, last=learner == learners[-1], first=place is row[0])
                title = rf"$\mathbf{{{next(letters)}}}$  {_LEARNERS[learner]}: {name}"
                place.set_title(title, loc="left", pad=16)
        _frames(top)
        for place, learner in zip(
            bottom.subplots(1, len(learners), sharey=True, squeeze=False)[0], learners, strict=True
        ):
            _bars(place, shares[shares["learner"] == learner])
            panel(place, next(letters), _LEARNERS[learner])
        bottom.axes[0].set_ylabel("share of variance")
        tones = [Patch(color=color, label=name) for name, color in _TONES.items()]
        bottom.legend(handles=tones, loc="outside lower center", ncols=3)
    return figure


def _blocks(axes: Axes, cells: pd.DataFrame, last: bool, first: bool) -> None:
    """A block of weightings times schedules for each level of training."""
    weightings = list(dict.fromkeys(cells["weighting"]))
    ticks, names = [], []
    for b, (level, rows) in enumerate(cells.groupby("level", sort=False)):
        left = b * (len(_SCHEDULES) + 0.5)
        least = rows["value"].min()
        middle = left + len(_SCHEDULES) / 2
        axes.text(middle, -0.25, f"{level}: {least:.2g}", ha="center", fontsize=7.5, color=INK)
        for k, (schedule, name) in enumerate(_SCHEDULES.items()):
            ticks.append(left + k + 0.5)
            names.append(name)
            for _, cell in rows[rows["schedule"] == schedule].iterrows():
                _cell(axes, left + k, weightings.index(cell["weighting"]), cell)
    axes.set_xlim(-0.06, left + len(_SCHEDULES) + 0.06)
    axes.set_ylim(len(weightings) + 0.06, -0.06)
    axes.set_xticks(ticks, names if last else [""] * len(names), rotation=90, fontsize=7)
    labels = weightings if first else [""] * len(weightings)
    axes.set_yticks(np.arange(len(weightings)) + 0.5, labels, fontsize=7.5)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _cell(axes: Axes, x: float, y: int, cell: pd.Series) -> None:
    """One cell: its color, its number, its frame."""
    tone = min(np.log(cell["ratio"]) / np.log(_MOST), 1.0)
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=_MAP(tone), edgecolor="white", linewidth=0.4))
    if cell["best"] or cell["tie"]:
        width = 1.4 if cell["best"] else 0.4
        box = Rectangle((x + 0.06, y + 0.06), 0.88, 0.88, fill=False, edgecolor=BLACK)
        box.set(linewidth=width, zorder=3)
        axes.add_patch(box)
    axes.text(
        x + 0.5,
        y + 0.53,
        _number(cell["ratio"]),
        ha="center",
        va="center",
        fontsize=6,
        color="white" if tone > 0.75 else INK,
    )


def _number(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:.0f}"


def _frames(figure: Figure) -> None:
    """What the frames mean."""
    marks = [
        Patch(fill=False, edgecolor=BLACK, linewidth=1.4, label="best weighting on this schedule"),
        Patch(fill=False, edgecolor=BLACK, linewidth=0.4, label="ties with it"),
        Patch(facecolor=_MAP(0.0), edgecolor=FAINT, label="least error of the block"),
        Patch(facecolor=_MAP(1.0), label=f"{_MOST:.0f} times as much, or more"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=4)


def _bars(axes: Axes, shares: pd.DataFrame) -> None:
    """Stacked shares, one bar for each level, grouped by criterion."""
    levels = list(dict.fromkeys(shares["level"]))
    for g, (criterion, name) in enumerate(_ALL.items()):
        rows = shares[shares["criterion"] == criterion]
        for k, level in enumerate(levels):
            at = rows[rows["level"] == level].set_index("factor")
            x, floor = g * (len(levels) + 0.8) + k, 0.0
            for factor, color in _TONES.items():
                height = max(at.loc[factor, "value"], 0.0)
                axes.bar(x, height, bottom=floor, color=color, width=0.86)
                floor += height
            first = at.loc["weighting"]
            axes.errorbar(
                x, first["value"], first["error"], color=BLACK, linewidth=0.7, capsize=1.2
            )
        axes.text(g * (len(levels) + 0.8) + 1, -0.06, name, ha="center", va="top", fontsize=7.5)
    axes.set_ylim(0, 1.02)
    axes.set_xticks([])
    axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
    axes.set_xlabel(f"bars: {', '.join(levels)}", labelpad=12)

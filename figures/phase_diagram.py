"""EDM or Song? Cells colored by who wins, in three planes and by four criteria."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from figures.style import BLACK, BLUE, VERMILION, new_figure, styled

CAPTION = (
    "EDM's schedule or Song's? Each cell is a whole chain: affine scores trained on n points of "
    "N(0, s²) from random weights, then sampled with. Blue: EDM's error is smaller, red: Song's, "
    "by the factor of its tone; grey: the 99 % interval of the paired difference over the seeds "
    "holds 0. Dots: a design that is neither beats both. Columns: what is to be small. Upper row: "
    "iterations of gradient descent against the number of steps N at s = 0.5 (in brackets the "
    "population loss above its floor, over that at the start). Middle and lower row: scale of the "
    "data against N, little and well trained. Training moves the border little; the criterion and "
    "the scale of the data move it a lot."
)

_CRITERIA = {
    "bound": "Theorem 3's bound",
    "path_kl": "path KL",
    "marginal_kl": "marginal KL",
    "w2": r"$W_2$",
}
_PLANES = ("training", "little trained", "well trained")
_EDGES = (1.25, 2.0)
"""Factors between the tones."""

_TIE = "#f1f1f1"
_TONES = {"edm": ("#b9d8ec", "#5fa8d3", BLUE), "song": ("#f7d0b5", "#ea9a5f", VERMILION)}


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `phase_diagram`.

    Returns:
      The figure.
    """
    cells = table[table["part"] == "cell"]
    figure = new_figure(6.6)
    with styled():
        axes = figure.subplots(3, 4, sharex=True, sharey="row")
        for row, plane in zip(axes, _PLANES, strict=True):
            here = cells[cells["plane"] == plane]
            for place, criterion in zip(row, _CRITERIA, strict=True):
                _panel(place, here[here["criterion"] == criterion], _rows_of(plane))
            _left(row[0], here, plane)
        for place, title in zip(axes[0], _CRITERIA.values(), strict=True):
            place.set_title(title, loc="center")
        for place in axes[-1]:
            place.set_xlabel("number of steps $N$")
        _legend(figure)
    return figure


def _rows_of(plane: str) -> str:
    return "iteration" if plane == "training" else "std"


def _panel(axes: Axes, cells: pd.DataFrame, rows: str) -> None:
    """One plane by one criterion; rows and columns are drawn equally wide."""

    def grid(column: str) -> pd.DataFrame:
        return cells.pivot(index=rows, columns="steps", values=column)

    pair, ahead = grid("pair").to_numpy(), grid("ahead").to_numpy(dtype=bool)
    ratios = grid("ratio").to_numpy(dtype=float)
    image = np.empty((*pair.shape, 3))
    for place, name in np.ndenumerate(pair):
        image[place] = to_rgb(_color(str(name), ratios[place]))
    axes.imshow(image, origin="lower", aspect="auto", interpolation="nearest")
    y, x = np.nonzero(ahead)
    axes.plot(x, y, ".", color=BLACK, markersize=1.6, markeredgewidth=0)
    steps = list(grid("pair").columns)
    kept = range(0, len(steps), max(1, round(len(steps) / 4)))
    axes.set_xticks(list(kept), [str(int(steps[k])) for k in kept])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _left(axes: Axes, cells: pd.DataFrame, plane: str) -> None:
    """The labels of a row of panels."""
    rows = _rows_of(plane)
    values = sorted(cells[rows].unique())
    kept = range(0, len(values), 2)
    if plane == "training":
        excess = cells.groupby(rows)["relative_excess"].median()
        labels = [f"{_count(values[k])} ({_share(excess[values[k]])})" for k in kept]
        name = f"GD iterations at $s = {cells['std'].iloc[0]:g}$"
    else:
        labels = [f"{values[k]:.3g}" for k in kept]
        name = f"data scale $s$, {plane}\n({_count(cells['iteration'].iloc[0])} iterations)"
    axes.set_yticks(list(kept), labels)
    axes.set_ylabel(name)


def _color(pair: str, ratio: float) -> str:
    """The color of a cell: who wins, and by which factor."""
    if pair == "tie":
        return _TIE
    return _TONES[pair][int(np.searchsorted(_EDGES, max(ratio, 1 / ratio)))]


def _count(value: float) -> str:
    if value < 1000:
        return f"{value:.0f}"
    power = int(np.floor(np.log10(value) + 1e-9))
    front = value / 10**power
    return f"$10^{{{power}}}$" if front < 1.05 else rf"${front:.0f}\!\times\!10^{{{power}}}$"


def _share(value: float) -> str:
    return f"{100 * value:.3g} %" if value > 0.1 else f"{100 * value:.2g} %"


def _legend(figure: Figure) -> None:
    """What the colors mean, from Song's largest lead to EDM's."""
    words = (f"by up to {_EDGES[0]:g} times", f"by up to {_EDGES[1]:g} times", "by more")
    song, edm = (
        [Patch(color=_TONES[key][k], label=f"{name} better {words[k]}") for k in range(3)]
        for key, name in (("song", "Song"), ("edm", "EDM"))
    )
    tie = Patch(color=_TIE, label="tie")
    dot = Line2D([], [], color=BLACK, marker=".", linestyle="", label="another design beats both")
    columns = [edm[0], song[0], edm[1], song[1], edm[2], song[2], tie, dot]
    figure.legend(handles=columns, loc="outside lower center", ncols=4)

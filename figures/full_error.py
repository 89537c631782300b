"""Theorem 3's bound, path KL, marginal KL and their parts along training, for two designs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import (
    BLACK,
    BLUE,
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
    "The chain bound >= path KL >= marginal KL as training proceeds; bands are 99 % intervals over "
    "the seeds. Rows: affine scores on N(0, 1/4); networks on two modes, where Theorem 3's four "
    "terms are replaced by the least that they can be together. Right: Song's error over EDM's, "
    "seed by seed; above 1 EDM is better. The corrected bound and the path KL favor EDM at every "
    "step of training, the bound as printed Song, the marginal KL hardly anyone: the advice to "
    "take EDM when little trained and Song when well trained is not seen here. Last row: what the "
    "score term of the corrected bound is made of."
)

_DASH, _DOTS = (0, (5, 1.6)), (0, (1.2, 1.6))
_LINES: dict[str, tuple[str, str, Any, float]] = {
    "bound": ("Theorem 3, corrected", BLACK, "-", 1.3),
    "printed": ("Theorem 3, printed", BLACK, _DASH, 0.9),
    "by_steps": ("Theorem 3, by steps", BLACK, _DOTS, 0.9),
    "path_kl": ("path KL", BLUE, "-", 1.6),
    "score": ("$E_S$", VERMILION, _DASH, 1.0),
    "discretization": ("$E_D$", ORANGE, _DASH, 1.0),
    "marginal_kl": ("marginal KL", GREEN, "-", 1.6),
    "marginal exact": ("marginal KL, exact score", GREEN, _DOTS, 1.0),
}
_RATIOS = {
    "bound": ("bound, corrected", BLACK, "-"),
    "printed": ("bound, printed", GREY, _DASH),
    "path_kl": ("path KL", BLUE, "-"),
    "marginal_kl": ("marginal KL", GREEN, "-"),
}
_TERMS = {
    "train": (r"$\varepsilon_{train}$", VERMILION, "-"),
    "generalization": (r"$\varepsilon_n$", PURPLE, _DASH),
    "estimation": (r"$\varepsilon_{est}$", SKY, "-"),
    "excess": ("excess", BLACK, _DOTS),
}
_DESIGNS = {"edm": "EDM", "song": "Song"}


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `full_error`.

    Returns:
      The figure.
    """
    affine, networks = (table[table["data"] == name] for name in ("gaussian", "network"))
    chosen = [rows[rows["steps"] == _shown(rows)] for rows in (affine, networks)]
    figure = new_figure(6.9)
    with styled():
        axes = figure.subplots(3, 3)
        for row, rows, letters, name in zip(
            axes, chosen, ("abc", "def"), ("affine", "networks"), strict=False
        ):
            title = f"{name}, $N$ = {rows['steps'].iloc[0]:g}"
            for ax, letter, design in zip(row, letters, _DESIGNS, strict=False):
                _chain(ax, rows[rows["design"] == design])
                panel(ax, letter, f"{_DESIGNS[design]}: {title}")
            _together(row[:2])
            _ratios(row[2], rows)
            panel(row[2], letters[2], f"Song / EDM: {title}")
        for ax, letter, design in zip(axes[2], "gh", _DESIGNS, strict=False):
            own = chosen[0][chosen[0]["design"] == design]
            _terms(ax, own)
            panel(ax, letter, f"{_DESIGNS[design]}, affine: the four terms")
        _together(axes[2, :2])
        _brackets(axes[2, 2], chosen[1])
        panel(axes[2, 2], "i", "networks: losses")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, handlelength=2.6)
    return figure


def _shown(rows: pd.DataFrame) -> float:
    """The number of steps that is drawn: the largest up to 100."""
    steps = rows["steps"].unique()
    return max([s for s in steps if s <= 100], default=steps.max())


def _series(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    own = rows[(rows["part"] == "mean") & (rows["quantity"] == name)].sort_values("iteration")
    return own.assign(at=own["iteration"])


def _line(ax: Axes, own: pd.DataFrame, color: str, **look: Any) -> None:
    """A mean with its band; few points get markers only. A band that reaches 0 is cut."""
    low = np.maximum(own["low"], own["value"] / 10)
    if len(own) < 6:
        ends = [own["value"] - low, own["high"] - own["value"]]
        look = {"label": look.get("label"), "linestyle": "none", "marker": "o", "capsize": 2}
        ax.errorbar(own["at"], own["value"], yerr=ends, color=color, **look)
        return
    ax.fill_between(own["at"], low, own["high"], color=color, alpha=0.15, lw=0)
    ax.plot(own["at"], own["value"], color=color, **look)


def _axes(ax: Axes, first: float) -> None:
    """Steps from `first`, in logarithms; a start at 0 stands left of the break."""
    if first > 0:
        ax.set_xscale("log")
        ax.set_xlim(left=first)
    else:
        ax.set_xscale("symlog", linthresh=1, linscale=0.5)
        ax.set_xlim(left=0)
        top = int(np.log10(ax.get_xlim()[1]))
        ax.set_xticks(
            [0, *(10.0**p for p in range(2, top + 1, 2))],
            ["0", *(f"$10^{{{p}}}$" for p in range(2, top + 1, 2))],
        )
    ax.set_yscale("log")
    ax.set_xlabel("step of gradient descent $k$")
    ax.minorticks_off()


def _chain(ax: Axes, rows: pd.DataFrame) -> None:
    for name, (label, color, line, width) in _LINES.items():
        own = _series(rows, name)
        if len(own):
            _line(ax, own, color, label=label, linestyle=line, linewidth=width)
    _axes(ax, rows["iteration"].min())
    ax.set_ylabel("nats")


def _ratios(ax: Axes, rows: pd.DataFrame) -> None:
    pairs = rows[rows["part"] == "pair"]
    ax.axhline(1, color=GREY, linewidth=0.6)
    for name, (label, color, line) in _RATIOS.items():
        own = pairs[pairs["quantity"] == name].sort_values("iteration")
        own = own.assign(at=own["iteration"])
        _line(ax, own, color, label=label, linestyle=line, linewidth=1.2)
    _axes(ax, pairs["iteration"].min())
    ax.set_yscale("log", base=2)
    low, high = ax.get_ylim()
    low = low**1.75 / high**0.75  # room for the legend
    ax.set_ylim(low, high)
    ticks = [t for t in (0.25, 0.5, 1, 2, 4, 8) if low <= t <= high]
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    ax.legend(handlelength=1.6, labelspacing=0.2, loc="lower right")


def _terms(ax: Axes, rows: pd.DataFrame) -> None:
    """The coefficient of the corrected bound times each term."""
    factor = _series(rows, "coefficient bound")["value"].iloc[0]
    for name, (label, color, line) in _TERMS.items():
        own = _series(rows, name)
        own = own.assign(**{c: own[c] * factor for c in _ENDS})
        _line(ax, own, color, label=label, linestyle=line, linewidth=1.2)
    _axes(ax, rows["iteration"].min())
    ax.set_ylim(bottom=1e-4)
    ax.set_ylabel("coefficient × term (nats)")
    ax.legend(handlelength=1.6, labelspacing=0.2)


_ENDS = ("value", "low", "high")


def _brackets(ax: Axes, rows: pd.DataFrame) -> None:
    """Empirical loss, at least eps_train, its gap to the population loss, and the excess."""
    for design, line in (("edm", "-"), ("song", _DASH)):
        own = rows[rows["design"] == design]
        for name, label, color in (
            ("train", "empirical loss", VERMILION),
            ("excess", "excess", BLACK),
            ("generalization", "gap", PURPLE),
        ):
            series = _series(own, name)
            text = label if design == "edm" else None
            _line(ax, series, color, label=text, linestyle=line, linewidth=1.2)
    _axes(ax, rows["iteration"].min())
    ax.set_ylabel("loss (dashed: Song)")
    low, high = ax.get_ylim()
    ax.set_ylim(low**1.4 / high**0.4, high)
    ax.legend(handlelength=1.6, labelspacing=0.2, loc="lower right")


def _together(axes: np.ndarray) -> None:
    low = min(ax.get_ylim()[0] for ax in axes)
    high = max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(low, high)

"""Errors, bound and steps against the dimension, for data that fill it and data that do not."""

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import (
    BLACK,
    BLUE,
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
    "Exact errors against the dimension d, EDM's noise levels, N = 100, exact score. a, b: path KL "
    "of the paper's sampler, which grows like d whatever the data, with the corrected bound of "
    "Theorem 2 on isotropic data, and of ancestral sampling, which stays where it is once new "
    "directions carry little. c: the path KL over that of one whole direction, against the "
    "averaged number of directions of noise (paper, filled) or of data (ancestral, open): one line "
    "for all laws and dimensions. d: the bound over the path KL. e: steps to a path KL of 1 nat, "
    "paper (solid, filled) and ancestral (dashed, open). f: W2 of the paper's sampler, which "
    "directions of noise do not raise."
)

LAWS = {
    "isotropic": Series("isotropic", BLUE, "-", "o"),
    "image-like": Series("image-like", GREEN, (0, (6, 1.4, 1.2, 1.4)), "^"),
    "clustered": Series("two clusters", BLACK, (0, (2.4, 1.2)), "v"),
    "decaying": Series(r"decaying, $i^{-2}$", VERMILION, (0, (5, 1.6)), "s"),
    "subspace": Series("16 directions", PURPLE, (0, (1.2, 1.4)), "D"),
}
"""How each law is drawn."""


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `dimension`.

    Returns:
      The figure.
    """
    table = table[table["design"] == "edm"]
    figure = new_figure(5.2)
    with styled():
        axes = figure.subplots(2, 3)
        for ax, (letter, (title, function)) in zip(axes.flat, _PANELS.items(), strict=True):
            function(ax, table)
            ax.grid(color=FAINT, linewidth=0.4)
            ax.set_axisbelow(True)
            panel(ax, letter, title)
            if letter != "c":
                ax.set_xscale("log")
                ax.set_xlabel("dimension $d$")
        lines, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(lines, names, loc="outside upper center", ncols=5, handlelength=3)
    return figure


def _budget(table: pd.DataFrame, sampler: str) -> dict[str, pd.DataFrame]:
    """Rows of one sampler by law, ascending in d."""
    rows = table[(table["part"] == "budget") & (table["sampler"] == sampler)].sort_values("dim")
    return {law: rows[rows["law"] == law] for law in LAWS if (rows["law"] == law).any()}


def _lines(axes: Axes, rows: dict[str, pd.DataFrame], column: str, filled: bool = True) -> None:
    for law, line in rows.items():
        look = LAWS[law].kwargs() | ({} if filled else {"markerfacecolor": "white"})
        axes.plot(line["dim"], line[column], label=LAWS[law].label, **look)
    axes.set_yscale("log")


def _paper(axes: Axes, table: pd.DataFrame) -> None:
    rows = _budget(table, "paper")
    _lines(axes, rows, "path_kl")
    bound = rows["isotropic"]
    axes.plot(bound["dim"], bound["theorem-2-corrected"], color=GREY, linewidth=1.0)
    middle = bound.iloc[len(bound) // 3]
    axes.annotate(
        "Theorem 2",
        (middle["dim"], middle["theorem-2-corrected"]),
        (-4, 3),
        textcoords="offset points",
        color=GREY,
        fontsize=8,
        ha="right",
    )
    axes.set_ylim(0.3, 2e4)
    axes.set_ylabel("path KL (nats)")


def _ancestral(axes: Axes, table: pd.DataFrame) -> None:
    _lines(axes, _budget(table, "ancestral"), "path_kl", filled=False)
    axes.set_ylim(0.3, 2e4)
    axes.set_ylabel("path KL (nats)")


def _collapse(axes: Axes, table: pd.DataFrame) -> None:
    axes.plot([1, 4000], [1, 4000], color=GREY, linewidth=0.7)
    for sampler in ("paper", "ancestral"):
        for law, line in _budget(table, sampler).items():
            look = LAWS[law]
            axes.plot(
                line["directions"],
                line["path_kl"] / line["unit"],
                linestyle="none",
                marker=look.marker,
                color=look.color,
                markerfacecolor=look.color if sampler == "paper" else "white",
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("directions that count")
    axes.set_ylabel("path KL / that of one")


def _loose(axes: Axes, table: pd.DataFrame) -> None:
    for law, line in _budget(table, "paper").items():
        ratio = line["theorem-2-corrected"] / line["path_kl"]
        axes.plot(line["dim"], ratio, label=LAWS[law].label, **LAWS[law].kwargs())
    axes.axhline(1, color=GREY, linewidth=0.7)
    axes.set_ylim(0, None)
    axes.set_ylabel("Theorem 2, corrected / exact")


def _needed(axes: Axes, table: pd.DataFrame) -> None:
    rows = table[(table["part"] == "steps") & (table["goal"] == "path_kl")].sort_values("dim")
    for law in ("isotropic", "decaying", "subspace"):
        for sampler, style in (("paper", "-"), ("ancestral", (0, (3, 1.4)))):
            line = rows[(rows["law"] == law) & (rows["sampler"] == sampler)]
            look = LAWS[law].kwargs() | {"linestyle": style}
            if sampler == "ancestral":
                look["markerfacecolor"] = "white"
            axes.plot(line["dim"], line["needed"], **look)
    axes.set_yscale("log")
    axes.set_ylabel("steps to 1 nat")


def _transport(axes: Axes, table: pd.DataFrame) -> None:
    _lines(axes, _budget(table, "paper"), "w2")
    axes.set_ylabel(r"$W_2$ (data units)")


_PANELS: dict[str, tuple[str, Callable[[Axes, pd.DataFrame], None]]] = {
    "a": ("path KL, the paper's sampler", _paper),
    "b": ("path KL, ancestral sampling", _ancestral),
    "c": ("which directions count", _collapse),
    "d": ("bound over path KL", _loose),
    "e": ("steps that are needed", _needed),
    "f": (r"$W_2$, the paper's sampler", _transport),
}

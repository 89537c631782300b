"""What guidance samples: densities, means, variances and divergences against the strength."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    Series,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "Guidance to a class with exact scores, by densities. a: N(1, 0.5²) guided away from N(−1, "
    "0.5²) at strength w = 4: the tilted law p(x|c) p(c|x)³ stays near the class, the sampler "
    "overshoots, without noise the most. b: its mean against w. c: the variance over that of the "
    "class, with noise: classes of one width get narrower, one that is wider than the other gets "
    "wider. d: KL of the guided law from the tilted one: zero at w = 1 only. e: the share of "
    "samples of the wrong class against the KL from the class, along w: where guidance acts. "
    "f: a class of two modes (dots) in the plane, the other class crossed; lines: the density of "
    "the paper's sampler at w = 1 (grey) and w = 4 (blue), at 50, 20 and 5 % of its largest value."
)

_DASH, _DOT, _BOTH = (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.4, 1.2, 1.4))
SAMPLERS = {
    "class": Series("class", GREY, "-", "o"),
    "tilted": Series("tilted", GREEN, _DASH, "^"),
    "noise": Series("with noise", BLUE, "-", "o"),
    "flow": Series("without", VERMILION, _BOTH, "s"),
}
LAWS = {
    "apart": Series("apart", BLUE, "-", "o"),
    "overlapping": Series("overlapping", GREEN, _DASH, "^"),
    "two modes": Series("two modes", PURPLE, _BOTH, "D"),
    "wide class": Series("wide class", VERMILION, _DOT, "s"),
}
VARIANTS = {
    "everywhere": Series("all levels", BLACK, "-", "o"),
    "middle levels": Series("0.2 < σ ≤ 2", BLUE, _DASH, "s"),
    "high levels": Series("σ > 1", GREEN, _BOTH, "^"),
    "low levels": Series("σ ≤ 1", ORANGE, _DOT, "D"),
    "rescaled by half": Series("rescaled, 0.5", PURPLE, "-", "v"),
}
_CLASS, _OTHER = [(1.0, -0.6), (1.6, 1.6)], [(-1.0, -0.6), (-1.0, 1.2)]


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `guidance`.

    Returns:
      The figure.
    """
    figure = new_figure(5.2)
    with styled():
        axes = figure.subplots(2, 3)
        for ax, (letter, (title, part, function)) in zip(axes.flat, _PANELS.items(), strict=True):
            function(ax, table[table["part"] == part])
            ax.grid(color=FAINT, linewidth=0.4)
            ax.set_axisbelow(True)
            panel(ax, letter, title)
    return figure


def _densities(axes: Axes, rows: pd.DataFrame) -> None:
    others = rows[rows["sampler"] == "others"]
    axes.fill_between(others["x"], others["density"], color=FAINT, linewidth=0)
    for name, look in SAMPLERS.items():
        line = rows[rows["sampler"] == name]
        axes.plot(line["x"], line["density"], label=look.label, **look.kwargs(markers=False))
    axes.annotate("other class", (-1, 0.3), color=GREY, ha="center", fontsize=8)
    axes.set_ylim(0, 1.1 * rows["density"].max())
    axes.set_xlim(rows["x"].min(), rows["x"].max())
    axes.legend(loc="upper left", borderaxespad=0.1, handlelength=1.8)
    axes.set_xlabel("x")
    axes.set_ylabel("density")


def _means(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows[rows["law"] == "apart"].sort_values("strength")
    axes.axhline(1, color=GREY, linewidth=0.7)
    for name in ("tilted", "noise", "flow"):
        line, look = rows[rows["sampler"] == name], SAMPLERS[name]
        axes.plot(line["strength"], line["mean"], label=look.label, **look.kwargs())
    axes.legend(loc="upper left", borderaxespad=0.1, handlelength=2.6)
    _strength_axis(axes)
    axes.set_ylabel("mean (class at 1)")


def _variances(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows[rows["sampler"] == "noise"].sort_values("strength")
    axes.axhline(1, color=GREY, linewidth=0.7)
    for name, look in LAWS.items():
        line = rows[rows["law"] == name]
        own = line.loc[line["strength"] == 1, "variance"].iloc[0]
        axes.plot(line["strength"], line["variance"] / own, label=look.label, **look.kwargs())
    axes.set_yscale("log")
    axes.set_yticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    axes.minorticks_off()
    axes.legend(loc="upper left", borderaxespad=0.1, handlelength=2.6, labelspacing=0.25)
    axes.set_ylim(top=14)
    _strength_axis(axes)
    axes.set_ylabel("variance over the class's")


def _divergences(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows[(rows["strength"] != 1) & rows["law"].isin(["apart", "overlapping"])]
    for law, fill in (("apart", None), ("overlapping", "white")):
        for name in ("noise", "flow"):
            line = rows[(rows["law"] == law) & (rows["sampler"] == name)].sort_values("strength")
            look = SAMPLERS[name]
            how = look.kwargs() | ({} if fill is None else {"markerfacecolor": fill})
            for side in (line[line["strength"] < 1], line[line["strength"] > 1]):
                axes.plot(side["strength"], side["kl_tilted"], **how)
    axes.plot([], [], color=BLACK, marker="o", linestyle="", label="apart")
    axes.plot([], [], color=BLACK, marker="o", linestyle="", mfc="white", label="overlapping")
    axes.axvline(1, color=GREY, linewidth=0.7)
    axes.set_yscale("log")
    axes.legend(loc="lower right", borderaxespad=0.1, handlelength=1.2)
    _strength_axis(axes)
    axes.set_ylabel("KL from the tilted law (nats)")


def _trade(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows[rows["strength"] > 1].sort_values("strength")
    for name, look in VARIANTS.items():
        line = rows[rows["variant"] == name]
        axes.plot(line["kl_class"], 1 - line["accuracy"], label=look.label, **look.kwargs())
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.legend(loc="lower left", borderaxespad=0.1, handlelength=2.6, labelspacing=0.25)
    axes.set_ylim(bottom=1e-4)
    axes.set_xlabel("KL from the class (nats)")
    axes.set_ylabel(r"wrong class, $1 - E\,p(c\,|\,X)$")


def _plane(axes: Axes, rows: pd.DataFrame) -> None:
    for (_, own), color in zip(rows.groupby("strength"), (GREY, BLUE), strict=True):
        table = own.pivot_table(index="y", columns="x", values="density")
        values = table.to_numpy()
        levels = values.max() * np.array([0.05, 0.2, 0.5])
        axes.contour(table.columns, table.index, values, levels, colors=color, linewidths=0.9)
    axes.plot(*zip(*_CLASS, strict=True), "o", color=BLACK, markersize=3)
    axes.plot(*zip(*_OTHER, strict=True), "x", color=BLACK, markersize=4)
    axes.set_aspect("equal")
    axes.set_xlim(-2.6, 4)
    axes.set_ylim(-2.6, 4)
    axes.set_xlabel("x")
    axes.set_ylabel("y")


def _strength_axis(axes: Axes) -> None:
    axes.set_xticks([0, 1, 2, 4, 6])
    axes.set_xlabel("strength w")


_PANELS: dict[str, tuple[str, str, Callable[[Axes, pd.DataFrame], None]]] = {
    "a": ("laws at w = 4", "density", _densities),
    "b": ("mean", "strength", _means),
    "c": ("variance, with noise", "strength", _variances),
    "d": ("not the tilted law", "strength", _divergences),
    "e": ("where guidance acts", "variant", _trade),
    "f": ("in the plane", "plane", _plane),
}

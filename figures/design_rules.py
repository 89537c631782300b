"""Rules for the choice of a schedule against what is exact."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

from figures.style import (
    BLACK,
    BLUE,
    DESIGNS,
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
    "a: what a step that lowers ln t by x costs by appendix I.1, concave beyond ln 2 (dot), and "
    "exactly on a point mass with σ̄ = t, which is convex. b: the sum of appendix I.1 on the "
    "exponential schedule over the least one, against ln(T/δ)/N; 1 where exponential times are "
    "best. c: criteria for EDM's exponent on N(0, 0.5²), N = 100, each over its least value; dots: "
    "minima inside the range. d: EDM's largest σ²/w over Song's with EDM's weighting, under four "
    "conventions for w; below 1 the score error has the smaller factor with EDM. e: N times E_D on "
    "N(0, 0.5²) and its limits (thin lines). f: marginal KL of Euler's probability flow on the "
    "same data, times N²."
)

_DASH, _DOT, _BOTH = (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.4, 1.2, 1.4))
_CRITERIA = {
    "reduced objective": Series("Remark 3's objective", VERMILION, _DASH, ""),
    "leading term": Series("leading term", ORANGE, _DOT, ""),
    "full bound": Series("Theorem 2, corrected", GREEN, _BOTH, ""),
    "discretization": Series(r"exact $E_D$", BLUE, "-", ""),
    "marginal_kl": Series("exact marginal KL", BLACK, (0, (2.4, 1.2)), ""),
}
_CONVENTIONS = {
    "pointwise, printed": Series("at each level (printed)", BLUE, "-", "o"),
    "pointwise, corrected": Series("at each level, corrected", ORANGE, _DOT, "o", False),
    "density, printed": Series("density", VERMILION, _DASH, "s"),
    "density, corrected": Series("density, corrected", GREEN, _BOTH, "^", False),
}
_DESIGNS = {name: DESIGNS[name] for name in ("edm", "song", "path-optimal")}
_TANGENT = Series("tangent", PURPLE, _BOTH, "v")


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `design_rules`.

    Returns:
      The figure.
    """
    parts = {str(name): rows for name, rows in table.groupby("part", sort=False)}
    figure = new_figure(7.6)
    with styled():
        axes = figure.subplots(3, 2)
        for ax, (letter, (part, title, function)) in zip(axes.flat, _PANELS.items(), strict=True):
            function(ax, parts[part])
            ax.grid(axis="y", color=FAINT, linewidth=0.4)
            ax.set_axisbelow(True)
            panel(ax, letter, title)
    return figure


def _say(axes: Axes, x: float, y: float, text: str, color: str, **options) -> None:
    axes.annotate(text, (x, y), xycoords="axes fraction", color=color, fontsize=8, **options)


def _summand(axes: Axes, rows: pd.DataFrame) -> None:
    axes.plot(rows["x"], rows["surrogate"], color=VERMILION, linestyle=_DASH)
    axes.plot(rows["x"], rows["exact"], color=BLUE)
    axes.plot([np.log(2)], [0.25], "o", color=VERMILION)
    axes.annotate(
        "ln 2", (np.log(2), 0.25), (5, -8), textcoords="offset points", color=VERMILION, fontsize=8
    )
    axes.set_xlabel(r"$x$, fall of $\ln t$ in a step")
    axes.set_ylabel("cost of a step (nats)")
    _say(axes, 0.98, 0.22, r"$(1-e^{-x})^2$", VERMILION, ha="right")
    _say(axes, 0.62, 0.75, r"$\frac{1}{2}(2x-1+e^{-2x})$", BLUE, ha="right")


def _gain(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows[rows["x"].notna()]
    looks = (BLUE, "-"), (VERMILION, _DASH), (GREEN, _BOTH), (BLACK, _DOT)
    for (steps, line), (color, style) in zip(rows.groupby("steps"), looks, strict=False):
        axes.loglog(line["x"], line["gain"], color=color, linestyle=style)
        end = line.iloc[-1]
        axes.annotate(
            f"$N = {int(float(str(steps)))}$",
            (end["x"], end["gain"]),
            (0, 3),
            textcoords="offset points",
            color=color,
            fontsize=8,
            ha="right",
        )
    axes.axvline(np.log(2), color=GREY, linewidth=0.6, linestyle=(0, (2, 2)))
    axes.annotate(
        "ln 2",
        (np.log(2), 0.97),
        (-3, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        color=GREY,
        fontsize=8,
        va="top",
        ha="right",
    )
    axes.set_xlabel(r"$\ln(T/\delta)/N$")
    axes.set_ylabel("exponential / least sum")
    _plain(axes, y=(1, 2, 5, 10, 20))
    axes.set_ylim(0.9, 45)


def _plain(axes: Axes, x: tuple = (), y: tuple = ()) -> None:
    """Plain numbers at the given places of logarithmic axes."""
    for axis, places in ((axes.xaxis, x), (axes.yaxis, y)):
        if places:
            axis.set_major_locator(FixedLocator(list(places)))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(NullFormatter())


def _exponent(axes: Axes, rows: pd.DataFrame) -> None:
    for name, look in _CRITERIA.items():
        values = rows[name].to_numpy() / rows[name].min()
        shown = np.where(values < 2.5, values, np.nan)  # above them is the legend
        axes.plot(rows["x"], shown, label=look.label, **look.kwargs(markers=False))
        i = int(np.argmin(values))
        if 0 < i < len(values) - 1:
            axes.plot(rows["x"].iloc[i], 1, "o", color=look.color, zorder=4)
    axes.set_xscale("log")
    axes.set_ylim(0.9, 3.7)
    axes.set_yticks([1, 1.5, 2, 2.5])
    _plain(axes, x=(1, 2, 3, 5, 7, 10, 20, 50))
    axes.set_xlabel(r"exponent $\rho$")
    axes.set_ylabel("value / least value")
    axes.legend(loc="upper right", ncols=2, handlelength=2.8, fontsize=7.5, borderaxespad=0.1)


def _factor(axes: Axes, rows: pd.DataFrame) -> None:
    axes.axhline(1, color=GREY, linewidth=0.6)
    for name, look in _CONVENTIONS.items():
        line = rows[rows["convention"] == name].sort_values("x")
        axes.semilogx(line["x"], line["ratio"], label=look.label, **look.kwargs())
    here = rows[rows["convention"] == "crossover"]
    axes.plot(here["x"], here["ratio"], "o", color=BLACK, markersize=4, zorder=5)
    for x in here["x"]:
        axes.annotate(f"{x:.4g}", (x, 1), (4, 5), textcoords="offset points", fontsize=8)
    axes.set_xlabel("steps $N$")
    axes.set_ylabel(r"$\max\,\sigma^2/w$, EDM over Song")
    _plain(axes, x=(2, 5, 10, 20, 50, 100, 500))
    axes.legend(loc="upper right", handlelength=2.8, fontsize=7.5, borderaxespad=0.1)


def _scaled(axes: Axes, rows: pd.DataFrame) -> None:
    for name, look in _DESIGNS.items():
        line = rows[rows["design"] == name].sort_values("x")
        axes.semilogx(line["x"], line["scaled"], label=look.label, **look.kwargs())
        axes.axhline(line["limit"].iloc[0], color=look.color, linewidth=0.6)
    axes.set_xlabel("steps $N$")
    axes.set_ylabel(r"$N \times E_D$ (nats)")
    axes.set_ylim(0, None)
    _plain(axes, x=(2, 5, 10, 20, 50, 100, 500))
    axes.legend(loc="lower right", handlelength=3)


def _flow(axes: Axes, rows: pd.DataFrame) -> None:
    looks = {"edm": DESIGNS["edm"], "song": DESIGNS["song"], "tangent": _TANGENT}
    for name, look in looks.items():
        line = rows[rows["design"] == name].sort_values("x")
        scaled = line["flow"] * line["x"] ** 2
        axes.loglog(line["x"], scaled, label=look.label, **look.kwargs())
    axes.set_xlabel("steps $N$")
    axes.set_ylabel(r"$N^2 \times$ marginal KL (nats)")
    axes.set_ylim(1, 60)
    _plain(axes, x=(2, 5, 10, 20, 50, 100, 500), y=(1, 2, 5, 10, 20, 50))
    axes.legend(loc="upper right", handlelength=3)


_PANELS: dict[str, tuple[str, str, Callable[[Axes, pd.DataFrame], None]]] = {
    "a": ("summand", "Appendix I.1: the cost of a step", _summand),
    "b": ("gain", "Appendix I.1: what other times gain", _gain),
    "c": ("exponent", "Remark 3: which exponent", _exponent),
    "d": ("factor", "Appendix H.3: the factor of the score error", _factor),
    "e": ("steps", r"$N E_D$ and its limits", _scaled),
    "f": ("steps", "Tangent law: Euler's probability flow", _flow),
}

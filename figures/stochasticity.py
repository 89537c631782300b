"""Noise in the sampler against its error, with and without an error of the score."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

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
    label_end,
    new_figure,
    panel,
    spread,
    styled,
)

CAPTION = (
    "Exact errors of EDM's sampler against churn's growth γ = s_churn/N of the noise level, at "
    "all levels, s_noise = 1; data with eigenvalues i⁻² but for e and f. a: exact score, by "
    "evaluations of the score: noise only adds error. b: 100 evaluations, scores with an error of "
    "size 0.1: the factor too small by 10 % (flat), or each coordinate off by 0.01. Churn repairs "
    "what is wrong at early levels, σ > 1, and nothing at late ones, σ ≤ 0.1. c: the best γ "
    "against the size of the error, lines as in b. d: the best churn (solid, filled) and the best "
    "η between DDIM and ancestral sampling (dashed, open) at equal evaluations. e: the best "
    "s_noise on N(0, 0.5²), γ = 0.2, against the factor of the score, by evaluations: above 1 "
    "only where the score removes too much noise. f: two modes, 36 evaluations."
)

_DASH, _DOT, _BOTH = (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.4, 1.2, 1.4))
KINDS = {
    "none": Series("exact", BLACK, "-", "o"),
    "early shift": Series("early shift", BLUE, "-", "s"),
    "early, too flat": Series("early, flat", GREEN, _BOTH, "^"),
    "too flat": Series("all, flat", PURPLE, _DASH, "D"),
    "late, too flat": Series("late, flat", VERMILION, _DOT, "v"),
}
"""The score errors that are drawn."""

_COUNTS = ((ORANGE, _DOT), (VERMILION, _DASH), (BLUE, "-"), (BLACK, _BOTH), (GREEN, _DASH))
_SIZE = 0.1


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `stochasticity`.

    Returns:
      The figure.
    """
    decaying = table["law"].str.startswith("decaying") & (table["where"] == "everywhere")
    parts = {"gaussian": table[decaying], "rest": table[~decaying]}
    figure = new_figure(5.2)
    with styled():
        axes = figure.subplots(2, 3)
        for ax, (letter, (title, part, function)) in zip(axes.flat, _PANELS.items(), strict=True):
            function(ax, parts[part])
            ax.grid(color=FAINT, linewidth=0.4)
            ax.set_axisbelow(True)
            panel(ax, letter, title)
    return figure


def _nearest(rows: pd.DataFrame, to: int) -> int:
    """The number of evaluations nearest to one."""
    counts = rows["evaluations"].dropna().unique()
    return int(min(counts, key=lambda n: abs(n - to)))


def _scan(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["part"] == "scan") & (rows["sampler"] == "churn")].sort_values("noise")


def _churn_axis(axes: Axes, room: float) -> None:
    """The axis of gamma, with room for labels on the right."""
    axes.set_xlim(-0.01, 0.414 * (1 + room))
    axes.set_xticks([0, 0.1, 0.2, 0.3, 0.4])
    axes.set_xlabel(r"churn $\gamma$")
    axes.set_yscale("log")


def _labels(axes: Axes, ends: list[tuple[float, float, str, str]], gap: float = 0.085) -> None:
    """Labels at the ends of lines on a logarithmic axis, moved apart; gap in shares of the axis."""
    low, high = np.log(axes.get_ylim())
    places = spread([np.log(y) for _, y, _, _ in ends], gap * (high - low))
    for (x, _, text, color), place in zip(ends, places, strict=True):
        label_end(axes, x, float(np.exp(place)), text, color)


def _exact(axes: Axes, rows: pd.DataFrame) -> None:
    scan, ends = _scan(rows), []
    scan = scan[scan["error"] == "none"]
    for (n, line), (color, style) in zip(scan.groupby("evaluations"), _COUNTS, strict=False):
        axes.plot(line["noise"], line["marginal_kl"], color=color, linestyle=style)
        last = line.iloc[-1]
        ends.append((last["noise"], last["marginal_kl"], f"{n:.0f}", color))
    _churn_axis(axes, 0.22)
    _labels(axes, ends)
    axes.set_ylabel("marginal KL (nats)")


def _wrong(axes: Axes, rows: pd.DataFrame) -> None:
    scan, ends = _scan(rows), []
    scan = scan[scan["evaluations"] == _nearest(scan, 100)]
    for kind, look in KINDS.items():
        line = scan[scan["error"] == kind]
        axes.plot(line["noise"], line["marginal_kl"], **look.kwargs(markers=False))
        last = line.iloc[-1]
        ends.append((last["noise"], last["marginal_kl"], look.label, look.color))
    _churn_axis(axes, 0.62)
    _labels(axes, ends)
    axes.set_ylabel("marginal KL (nats)")


def _optima(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["part"] == "optimum") & (rows["criterion"] == "marginal_kl")]


def _best(axes: Axes, rows: pd.DataFrame) -> None:
    rows = _optima(rows)
    rows = rows[rows["sampler"] == "churn"]
    rows = rows[rows["evaluations"] == _nearest(rows, 100)].sort_values("size")
    for kind, look in KINDS.items():
        line = rows[rows["error"] == kind]
        if kind != "none":
            axes.plot(line["size"], line["best"], label=look.label, **look.kwargs())
    axes.axhline(2**0.5 - 1, color=GREY, linewidth=0.7)
    axes.annotate(
        r"$\sqrt{2}-1$",
        (0, 2**0.5 - 1),
        (3, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        color=GREY,
        fontsize=8,
    )
    axes.set_xscale("log")
    axes.set_ylim(-0.015, 0.49)
    axes.set_xlabel("size of the score error")
    axes.set_ylabel(r"best churn $\gamma$")


def _samplers(axes: Axes, rows: pd.DataFrame) -> None:
    rows, ends = _optima(rows), []
    for kind in ("none", "early shift", "early, too flat"):
        look, chosen = KINDS[kind], rows[rows["error"] == kind]
        chosen = chosen[(chosen["size"] == _SIZE) | (kind == "none")]
        for sampler, style in (("churn", "-"), ("ancestral", (0, (3, 1.4)))):
            line = chosen[chosen["sampler"] == sampler].sort_values("evaluations")
            how = look.kwargs() | {"linestyle": style}
            if sampler == "ancestral":
                how["markerfacecolor"] = "white"
            axes.plot(line["evaluations"], line["least"], **how)
        last = line.iloc[-1]
        ends.append((last["evaluations"], last["least"], look.label, look.color))
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain(axes, (20, 50, 100, 200))
    axes.set_xlim(right=3.5 * rows["evaluations"].max())
    _labels(axes, ends)
    axes.set_xlabel("evaluations of the score")
    axes.set_ylabel("least marginal KL (nats)")


def _plain(axes: Axes, places: tuple) -> None:
    axes.xaxis.set_major_locator(FixedLocator(list(places)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _factor(axes: Axes, rows: pd.DataFrame) -> None:
    rows = rows[rows["part"] == "s_noise"]
    share = min(rows["noise"].unique(), key=lambda x: abs(x - 0.2))
    rows, looks, ends = rows[rows["noise"] == share], _COUNTS[1:], []
    axes.axhline(1, color=GREY, linewidth=0.7)
    axes.axvline(1, color=GREY, linewidth=0.7)
    for (n, line), (color, style) in zip(rows.groupby("evaluations"), looks, strict=False):
        line = line.sort_values("factor")
        axes.plot(line["factor"], line["best"], color=color, linestyle=style, marker="o")
        ends.append((line.iloc[-1], f"{n:.0f}", color))
    bottom, top = axes.get_ylim()
    places = spread([last["best"] for last, _, _ in ends], 0.06 * (top - bottom))
    for (last, text, color), place in zip(ends, places, strict=True):
        label_end(axes, last["factor"], place, text, color)
    low, high = rows["factor"].min(), rows["factor"].max()
    axes.set_xlim(low, high + 0.25 * (high - low))
    axes.set_xlabel("factor of the score")
    axes.set_ylabel(r"best $s_\mathrm{noise}$")


def _modes(axes: Axes, rows: pd.DataFrame) -> None:
    rows, ends = rows[rows["part"] == "modes"].sort_values("noise"), []
    for kind in ("none", "early shift"):
        line, look = rows[rows["error"] == kind], KINDS[kind]
        axes.plot(line["noise"], line["marginal_kl"], **look.kwargs())
        last = line.iloc[-1]
        ends.append((last["noise"], last["marginal_kl"], look.label, look.color))
    _churn_axis(axes, 0.62)
    _labels(axes, ends)
    axes.set_ylabel("marginal KL (nats)")


_PANELS: dict[str, tuple[str, str, Callable[[Axes, pd.DataFrame], None]]] = {
    "a": ("exact score", "gaussian", _exact),
    "b": ("wrong scores", "gaussian", _wrong),
    "c": ("how much churn is best", "gaussian", _best),
    "d": ("churn or posterior noise", "gaussian", _samplers),
    "e": (r"what $s_\mathrm{noise}$ makes up for", "rest", _factor),
    "f": ("two modes", "rest", _modes),
}

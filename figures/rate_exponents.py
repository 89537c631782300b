"""The rate at which the loss falls, against every size that Theorem 1 names."""

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
    VERMILION,
    Series,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "a to d: the rate for each unit of learning rate at which the denoising loss of the paper's "
    "network falls, against width, number of data, number of noise levels and dimension, the "
    "other sizes fixed: at the start, on average to a tenth of the loss, and in the end. Points: "
    "geometric means over seeds with 99 % intervals; slopes: mean of each seed's own, with a 99 % "
    "interval (seeds differ in weighting, noise range and data law). Grey: the printed exponent "
    "of Theorem 1, a lower bound, at any height; the fall with n is far less steep than printed, "
    "that with N as steep only in the end. e: mean rate for each step of gradient descent "
    "against the learning rate over the stability limit 2/λ_max at initialization; "
    "squares: share of runs that do not reach a tenth of the loss, diamond: the same at the "
    "printed learning rate. f: the printed learning rate over the stability limit grows with n "
    "and N, most gently for equal a_j."
)

_DASH, _BOTH = (0, (5, 1.6)), (0, (6, 1.4, 1.2, 1.4))
_RATES = {
    "early": Series("start", BLUE, "-", "o"),
    "average": Series("to a tenth", VERMILION, _DASH, "s"),
    "late": Series("end", GREEN, _BOTH, "^"),
}
_SIZES = {
    "m": "width $m$",
    "n": "data $n$",
    "N": "noise levels $N$",
    "d": "dimension $d$",
}
_EXCESS = {
    ("N", "bell"): Series("bell, against $N$", BLUE, "-", "o"),
    ("N", "equal"): Series("equal $a_j$, against $N$", BLUE, _DASH, "o", False),
    ("n", "bell"): Series("bell, against $n$", VERMILION, "-", "s"),
    ("n", "equal"): Series("equal $a_j$, against $n$", VERMILION, _DASH, "s", False),
}


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `rate_exponents`.

    Returns:
      The figure.
    """
    parts = {str(name): rows for name, rows in table.groupby("part", sort=False)}
    figure = new_figure(7.8)
    with styled():
        axes = figure.subplots(3, 2)
        for ax, letter, (part, label) in zip(axes.flat, "abcd", _SIZES.items(), strict=False):
            _rates(ax, parts[part])
            ax.set_xlabel(label)
            panel(ax, letter, f"rate against ${part}$")
        for ax in axes[:2, 0]:
            ax.set_ylabel("rate / learning rate")
        _learning_rate(axes[2, 0], parts["h"], parts["beyond"])
        panel(axes[2, 0], "e", "rate against learning rate $h$")
        _excess(axes[2, 1], pd.concat([parts["n"], parts["N"]]))
        panel(axes[2, 1], "f", "printed learning rate over the stability limit")
        for ax in axes.flat:
            ax.grid(axis="y", color=FAINT, linewidth=0.4)
            ax.set_axisbelow(True)
    return figure


def _points(ax: Axes, rows: pd.DataFrame, look: Series, label: str) -> None:
    rows = rows.sort_values("x")
    errors = np.stack([rows["value"] - rows["low"], rows["high"] - rows["value"]])
    ax.errorbar(rows["x"], rows["value"], errors, label=label, elinewidth=0.8, **look.kwargs())


def _slope_words(slope: pd.Series) -> str:
    error = (slope["high"] - slope["low"]) / 2
    digits = 2 if error > 0.01 else 3
    return rf"${slope['value']:.{digits}f}\pm{error:.{digits}f}$"


def _split(rows: pd.DataFrame, quantity: str, weighting: str) -> tuple[pd.DataFrame, pd.Series]:
    """Points of one quantity, and the row of its slope."""
    own = rows[(rows["quantity"] == quantity) & (rows["weighting"] == weighting)]
    return own[own["row"] == "point"], own[own["row"] == "slope"].iloc[0]


def _sizes(ax: Axes, rows: pd.DataFrame) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ticks = np.sort(rows.loc[rows["row"] == "point", "x"].unique())
    ax.xaxis.set_major_locator(FixedLocator(list(ticks if len(ticks) < 6 else ticks[::2])))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())


def _rates(ax: Axes, rows: pd.DataFrame) -> None:
    """Three rates against one size, and a line of the printed exponent below them."""
    for quantity, look in _RATES.items():
        points, slope = _split(rows, quantity, "all")
        _points(ax, points, look, look.label)
        _name(ax, points, f"{look.label}: {_slope_words(slope)}", look.color)
    _guide(ax, points, slope)
    _sizes(ax, rows)
    low, high = ax.get_ylim()
    ax.set_ylim(low / 2, high * 4)


def _name(ax: Axes, points: pd.DataFrame, text: str, color: str) -> None:
    """A label above the middle of a line."""
    points = points.sort_values("x")
    x, y, ends = (np.log(points[name].to_numpy(float)) for name in ("x", "value", "high"))
    middle = (x[0] + x[-1]) / 2
    near = np.abs(x - middle) < 0.17 * (x[-1] - x[0])
    top = np.max(np.append(ends[near], np.interp(middle, x, y)))
    ax.annotate(
        text,
        (np.exp(middle), np.exp(top)),
        (0, 3),
        textcoords="offset points",
        color=color,
        ha="center",
        va="bottom",
        fontsize=8,
    )


def _guide(ax: Axes, points: pd.DataFrame, slope: pd.Series) -> None:
    """The printed exponents, as lines below the given points."""
    points = points.sort_values("x")
    x, y = points["x"].to_numpy(float), points["low"].to_numpy(float)
    first, last = slope["printed_low"], slope["printed_high"]
    start = 0.35 * np.min(y / (x / x[0]) ** last)
    curves = [start * (x / x[0]) ** power for power in (first, last)]
    ax.fill_between(x, *curves, color=GREY, alpha=0.25, linewidth=0)
    ax.plot(x, curves[1], color=GREY, linewidth=1.1)
    words = f"printed: {first:g}" if first == last else f"printed: {first:g} to {last:g}"
    # Below the line: at its end if it rises, at its beginning if it falls.
    share, end, side = (0.7, -1, "right") if last >= 0 else (0.3, 0, "left")
    at = x[0] ** (1 - share) * x[-1] ** share
    ax.annotate(
        words.replace("-", "\N{MINUS SIGN}"),
        (x[end], start * (at / x[0]) ** (last if last != 0 else first)),
        (0, -3),
        textcoords="offset points",
        color=GREY,
        ha=side,
        va="top",
        fontsize=8,
    )


def _learning_rate(ax: Axes, rows: pd.DataFrame, beyond: pd.DataFrame) -> None:
    points, slope = _split(rows, "per step", "all")
    points = points.sort_values("x")
    look = Series("", BLUE, "-", "o")
    _points(ax, points, look, f"gradient descent: {_slope_words(slope)}")
    x = points["x"].to_numpy(float)
    ax.plot(x, 0.6 * points["value"].iloc[0] * x / x[0], color=GREY, label="printed: 1")
    lost = beyond[beyond["quantity"] == "lost"]
    printed = beyond[beyond["quantity"] == "lost, printed"].iloc[0]
    ax.set_xscale("log")
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * 12)
    ax.set_xlim(None, printed["x"] * 2.5)
    ax.axvline(1, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    ax.set_xlabel(r"learning rate / $(2/\lambda_{\max})$")
    ax.set_ylabel("rate for each step")
    _legend(ax, 7.5)
    other = ax.twinx()
    other.plot(
        lost["x"], lost["value"] / lost["seeds"], color=BLACK, marker="s", mfc="white", lw=0.8
    )
    share = printed["value"] / printed["seeds"]
    other.plot([printed["x"]], [share], color=BLACK, marker="D")
    other.annotate(
        "printed",
        (printed["x"], share),
        (0, -5),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=7.5,
    )
    other.set_ylim(-0.05, 1.6)
    other.set_yticks([0, 0.5, 1])
    other.set_ylabel("share of runs lost")
    other.spines["right"].set_visible(True)


def _excess(ax: Axes, rows: pd.DataFrame) -> None:
    for (part, weighting), look in _EXCESS.items():
        points, slope = _split(rows[rows["part"] == part], "excess", weighting)
        _points(ax, points, look, f"{look.label}: {_slope_words(slope)}")
    _sizes(ax, rows)
    ax.axhline(1, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** 0.55)
    ax.set_xlabel("$n$ or $N$")
    ax.set_ylabel(r"printed $h$ / $(2/\lambda_{\max})$")
    _legend(ax, 7)


def _legend(ax: Axes, size: float) -> None:
    """A legend on white, above the grid."""
    legend = ax.legend(
        loc="upper left", handlelength=2.4, borderaxespad=0.1, fontsize=size, frameon=True
    )
    legend.get_frame().set(facecolor="white", edgecolor="none", alpha=1)

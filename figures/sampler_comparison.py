"""Errors of every sampler against evaluations of the score, and what its own grid gains."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator, ScalarFormatter

from figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Series,
    label_end,
    new_figure,
    panel,
    spread,
    styled,
)

CAPTION = (
    "Exact errors with the exact score against evaluations of the score. a-c: marginal KL on EDM's "
    "noise levels for three data laws; solid lines and filled marks move without noise, the others "
    "with. Heun's method is worse than Euler's below some 20 evaluations and far better above; on "
    "two modes it and the midpoint method start where their maps no longer fold. In a, the optimal "
    "variance has no error but that of the start, and the predictor-corrector stops at "
    "r²/(1 - r²) of the variance. d: W2 on two modes. e: KL on EDM's "
    "grid over KL on the grid made for the sampler (for Euler, the tangent law). f: path KL "
    "(dashed, open) and marginal KL (solid) rank the noisy samplers differently."
)

_DASH, _DOT, _BOTH, _LONG = (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.4, 1.2, 1.4)), (0, (8, 2))
LOOKS: Mapping[str, Series] = {
    "frozen": Series("frozen", VERMILION, _DASH, "s", filled=False),
    "euler-maruyama": Series("Euler–Maruyama", ORANGE, _BOTH, "^", filled=False),
    "ancestral": Series("ancestral", PURPLE, _DOT, "v", filled=False),
    "optimal-variance": Series("optimal variance", GREEN, _LONG, "D", filled=False),
    "ode-euler": Series("flow, Euler", BLUE, "-", "o"),
    "heun": Series("flow, Heun", BLACK, "-", "s"),
    "midpoint": Series("flow, midpoint", SKY, "-", "^"),
    "churn": Series("EDM's churn", GREY, _DASH, "o", filled=False),
    "predictor-corrector": Series("pred.-corrector", GREY, _DOT, "x"),
}
"""How each sampler is drawn."""

_NOISY = ("frozen", "euler-maruyama", "ancestral", "optimal-variance")
_FLOOR = 1e-9  # below, only the initial error is left
_MOST = 200  # above, initial and discretization error of second-order methods begin to cancel


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `sampler_comparison`.

    Returns:
      The figure.
    """
    rows = table[table["part"] == "error"]
    edm = rows[rows["grid"] == "edm"]
    small = rows[rows["law"].str.startswith("N(")]
    modes = edm[edm["law"].str.startswith("two")]
    figure = new_figure(6.2)
    with styled():
        axes = figure.subplots(2, 3)
        for ax, letter, law in zip(axes[0], "abc", edm["law"].unique(), strict=False):
            _errors(ax, edm[edm["law"] == law], "marginal_kl", "marginal KL (nats)")
            _crossing(ax, edm[edm["law"] == law])
            panel(ax, letter, _name(law))
        _errors(axes[1, 0], modes, "w2", "$W_2$ (data units)")
        panel(axes[1, 0], "d", "two modes, $W_2$")
        _own(axes[1, 1], small[small["evaluations"] <= _MOST])
        panel(axes[1, 1], "e", "the sampler's own grid")
        _paths(axes[1, 2], modes)
        panel(axes[1, 2], "f", "two modes, path and marginal")
        for ax in axes.flat:
            ax.grid(color=FAINT, linewidth=0.4)
            ax.set_axisbelow(True)
        handles, labels = axes[0, 1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, handlelength=3.2)
    return figure


def _name(law: str) -> str:
    """The name of a data law in mathtext."""
    if law.startswith("N("):
        return "$N" + law[1:].replace("²", "^2") + "$"
    head, _, dim = law.partition(", d = ")
    return f"{head}, $d = {dim}$" if dim else law


def _crossing(axes: Axes, rows: pd.DataFrame) -> None:
    """A line where Heun's and Euler's methods have equal errors, and what lies below the panel."""
    wide = rows.pivot_table(index="evaluations", columns="sampler", values="marginal_kl")
    if {"heun", "ode-euler"} <= set(wide.columns):
        both = wide[["heun", "ode-euler"]].dropna()
        x = np.log(both.index.to_numpy())
        y = np.log((both["heun"] / both["ode-euler"]).to_numpy())
        if len(y) > 1 and y[0] > 0 > y[-1]:
            at = float(np.exp(np.interp(0.0, -y, x)))
            axes.axvline(at, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)), zorder=0)
            _note(axes, f"Heun =\nEuler\nat {at:.0f}", (at, 0.03), -3, "data")
    exact = wide["optimal-variance"].max() if "optimal-variance" in wide.columns else 1.0
    if exact <= _FLOOR:
        mantissa, exponent = f"{exact:.0e}".split("e")
        text = f"optimal variance:\n${mantissa}\\times 10^{{{int(exponent)}}}$"
        _note(axes, text, (0.99, 0.86), 0, "axes fraction", LOOKS["optimal-variance"].color)


def _note(
    axes: Axes, text: str, at: tuple[float, float], shift: float, across: str, color: str = GREY
) -> None:
    """A small remark, its right end at a place of the panel."""
    axes.annotate(
        text,
        at,
        (shift, 0),
        xycoords=(across, "axes fraction"),
        textcoords="offset points",
        color=color,
        fontsize=7.5,
        ha="right",
        va="bottom",
    )


def _ticks(axes: Axes, rows: pd.DataFrame, room: float) -> None:
    """A logarithmic axis of evaluations, with room for labels on the right."""
    low, high = rows["evaluations"].min(), rows["evaluations"].max()
    axes.set_xscale("log")
    axes.set_xlim(low / 1.1, high * (high / low) ** room)
    wide = (10, 30, 100, 300) if high > 20 * low else (10, 20, 50, 100)
    places = [n for n in wide if low / 1.1 <= n <= high]
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("evaluations of the score")


def _line(axes: Axes, line: pd.DataFrame, name: str, quantity: str, **more: object) -> None:
    line = line.sort_values("evaluations")
    look = LOOKS[name].kwargs() | {"label": LOOKS[name].label, "markersize": 3.0} | more
    axes.plot(line["evaluations"], line[quantity], **look)


def _errors(axes: Axes, rows: pd.DataFrame, quantity: str, label: str) -> None:
    """One panel: a line per sampler."""
    for name in LOOKS:
        line = rows[rows["sampler"] == name]
        if line[quantity].max() > _FLOOR:
            _line(axes, line, name, quantity)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    _ticks(axes, rows, 0.03)
    axes.set_ylabel(label)


def _labels(axes: Axes, ends: list[tuple[float, float, str, str]], gap: float) -> None:
    """Labels at the ends of lines on a logarithmic axis, moved apart; gap in shares of the axis."""
    low, high = np.log(axes.get_ylim())
    places = spread([np.log(y) for _, y, _, _ in ends], gap * (high - low))
    for (x, _, text, color), place in zip(ends, places, strict=True):
        label_end(axes, x, float(np.exp(place)), text, color)


def _own(axes: Axes, rows: pd.DataFrame) -> None:
    """KL on EDM's grid over KL on the own grid, with labels."""
    wide = rows.pivot_table(index="evaluations", columns=["sampler", "grid"], values="marginal_kl")
    ends = []
    for name in (n for n in LOOKS if (n, "own") in wide.columns):
        gain = (wide[name]["edm"] / wide[name]["own"]).dropna()
        line = pd.DataFrame({"evaluations": gain.index, "gain": gain.to_numpy()})
        _line(axes, line, name, "gain")
        ends.append((gain.index[-1], gain.iloc[-1], LOOKS[name].label, LOOKS[name].color))
    axes.axhline(1, color=GREY, linewidth=0.7)
    axes.set_yscale("log")
    _ticks(axes, rows, 0.55)
    _labels(axes, ends, 0.085)
    axes.set_ylabel("KL on EDM's grid / on its own")


def _paths(axes: Axes, rows: pd.DataFrame) -> None:
    """Path and marginal KL of the noisy samplers, labelled at the path."""
    ends = []
    for name in _NOISY:
        line = rows[rows["sampler"] == name].sort_values("evaluations")
        look = LOOKS[name]
        _line(axes, line, name, "marginal_kl", linestyle="-", markerfacecolor=look.color)
        _line(axes, line, name, "path_kl", linestyle=_DASH)
        last = line.iloc[-1]
        ends.append((last["evaluations"], last["path_kl"], look.label, look.color))
    axes.set_yscale("log")
    _ticks(axes, rows, 0.75)
    _labels(axes, ends, 0.085)
    axes.set_ylabel("KL (nats)")

"""The residual against the noise level, its two asymptotes, and what would equalise it."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "Root mean square of |σ̄S + ξ| on fresh data against the noise level, before, during and after "
    "training (geometric means over seeds, bands: 99 % intervals; grey field: trained levels; "
    "crosses: on the training set at the end; dotted: the exact score). Dashed: the asymptotes of "
    "Proposition 1, √d and σ̄²|S(ξ, 1)|. (a), (b) The paper's network, trained with two weightings: "
    "before training the residual grows with σ̄; training digs the inverse bell, lowers the arm at "
    "large noise and cannot remove it. (c) With EDM's preconditioning there is no such arm. (d) "
    "Between the asymptotes: where the residual is more than 10 % off both (bars), and the "
    "explicit numbers δ₁ and M of the proposition (triangles). (e) The weighting that makes all "
    "f_ij equal, 1/(mean square), beside EDM's bell read at a level and per unit of ln σ̄, each "
    "over its largest value. (f) f_j over its mean at the trained levels for the network of (a); "
    "thin: before training."
)

_STAGES = ((BLACK, (0, (1.2, 1.2))), (ORANGE, (0, (5, 1.6))), (BLUE, "-"))
_READINGS = {
    "uniform": (BLACK, (0, (5, 1.6)), "uniform"),
    "EDM, at a level": (GREEN, (0, (6, 1.4, 1.2, 1.4)), "bell, at a level"),
    "EDM, density": (VERMILION, "-", "bell, density"),
}
_TRAINED = {"EDM": "EDM's bell", "inverse square": r"$\beta=1/\bar\sigma^2$"}


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `inverse_bell`.

    Returns:
      The figure.
    """
    figure = new_figure(5.4)
    with styled():
        axes = figure.subplots(2, 3)
        runs = (("relu", "EDM"), ("relu", "inverse square"), ("preconditioned", "EDM"))
        for ax, letter, (model, weighting) in zip(axes[0], "abc", runs, strict=True):
            rows = _of(table, model, weighting)
            _residuals(ax, rows)
            bare = model == "relu"
            panel(ax, letter, f"network, {_TRAINED[weighting]}" if bare else "preconditioned")
        axes[0, 0].set_ylabel(r"r.m.s. of $|\bar\sigma S+\xi|$")
        axes[0, 0].legend(handles=_legend(table), loc="upper left", handlelength=2.2)
        _ranges(axes[1, 0], table[table["model"] == "relu"])
        panel(axes[1, 0], "d", "between the asymptotes")
        _equalizing(axes[1, 1], table)
        panel(axes[1, 1], "e", "what would equalise")
        _shares(axes[1, 2], _of(table, "relu", "EDM"))
        panel(axes[1, 2], "f", "trained levels: $f_j$ / mean")
    return figure


def _of(table: pd.DataFrame, model: str, weighting: str) -> pd.DataFrame:
    return table[(table["model"] == model) & (table["weighting"] == weighting)]


def _stages(rows: pd.DataFrame) -> list[tuple[float, tuple[str, Any]]]:
    return list(zip(sorted(rows["step"].dropna().unique()), _STAGES, strict=False))


def _legend(table: pd.DataFrame) -> list[Line2D]:
    lines = [
        Line2D([], [], color=color, ls=style, label=f"step {step:.0f}")
        for step, (color, style) in _stages(table)
    ]
    return [*lines, Line2D([], [], color=GREY, ls=":", lw=1.6, label="exact score")]


def _residuals(ax: Axes, rows: pd.DataFrame) -> None:
    """The residual at every stage, with its floor and its asymptotes."""
    curves, last = rows[rows["part"] == "curve"], rows["step"].max()
    sigmas = np.sort(curves["sigma"].unique())
    ax.axvspan(rows["low_level"].iloc[0], rows["high_level"].iloc[0], color=FAINT, alpha=0.5, lw=0)
    first = curves[curves["step"] == 0]
    ax.plot(first["sigma"], first["floor"], color=GREY, ls=":", lw=1.6)
    for step, (color, style) in _stages(rows):
        own = curves[curves["step"] == step]
        ax.fill_between(own["sigma"], own["low"], own["high"], color=color, alpha=0.15, lw=0)
        ax.plot(own["sigma"], own["value"], color=color, ls=style)
    own = rows[(rows["part"] == "training set") & (rows["step"] == last)]
    ax.plot(own["sigma"], own["value"], "x", color=BLUE, ms=3)
    dashes: Any = {"color": PURPLE, "ls": (0, (3, 2)), "lw": 0.8, "zorder": 1}
    limit = rows[(rows["part"] == "limit") & rows["step"].isin([0, last])]
    root = np.sqrt(rows["dim"].iloc[0])
    if len(limit):
        ax.axhline(root, **dashes)
        ax.annotate(r"$\sqrt{d}$", (20, root), (0, 3), textcoords="offset points", color=PURPLE)
    for value in limit["value"]:
        ax.plot(sigmas, sigmas**2 * value, **dashes)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(*((0.03, 30) if len(limit) else (0.003, 100)))
    ax.set_ylim(*((0.3, 100) if len(limit) else (0.01, 10)))
    ax.set_xlabel(r"noise level $\bar\sigma$ (data units)")
    if len(limit):
        words = r"$\bar\sigma^2\,|S(\xi,1)|$"
        ax.annotate(words, (5, 4.5), color=PURPLE, fontsize=8)


def _ranges(ax: Axes, rows: pd.DataFrame) -> None:
    """Bars between the two ends, and the proposition's explicit numbers."""
    place, names = 0.0, []
    for weighting in rows["weighting"].unique():
        for step, (color, _) in _stages(rows):
            own = rows[(rows["weighting"] == weighting) & (rows["step"] == step)]
            if step == 0 and names:
                continue  # the same networks
            value = own.set_index(["part", "end"])["value"]
            low, high = value["end", "small"], value["end", "large"]
            ax.plot([low, high], [place, place], color=color, lw=4, solid_capstyle="butt")
            for end, marker in (("small", ">"), ("large", "<")):
                ax.plot(value["explicit", end], place, marker, color=color, mfc="white", ms=5)
            short = r"$\beta=\bar\sigma^{-2}$" if weighting != "EDM" else "bell"
            name = "start" if step == 0 else f"{short}, {step:.0f}"
            names.append((place, name))
            place += 1
    ax.set_yticks([p for p, _ in names], [name for _, name in names])
    ax.tick_params(axis="y", length=0, labelsize=7.5)
    ax.set_ylim(place - 0.4, -0.6)
    ax.set_xscale("log")
    ax.set_xlabel(r"noise level $\bar\sigma$ (data units)")
    ax.text(0.02, 0.02, r"$\delta_1$", transform=ax.transAxes, fontsize=8, color=GREY)
    ax.text(0.98, 0.02, "$M$", transform=ax.transAxes, fontsize=8, color=GREY, ha="right")


def _equalizing(ax: Axes, table: pd.DataFrame) -> None:
    """1/(mean square) over its largest value, and the bells."""
    for reading in ("EDM, at a level", "EDM, density"):
        own = table[(table["part"] == "bell") & (table["reading"] == reading)]
        color, style, label = _READINGS[reading]
        label = label.replace("density", r"per $\ln\bar\sigma$")
        ax.plot(own["sigma"], own["value"], color=color, ls=style, label=label)
    curves = _of(table, "relu", "EDM")
    curves = curves[curves["part"] == "curve"]
    for step, (color, style) in (s for s in _stages(curves) if s[0] in (0, curves["step"].max())):
        values = 1 / curves[curves["step"] == step]["value"].to_numpy() ** 2
        sigma = curves[curves["step"] == step]["sigma"]
        label = f"equal $f$, step {step:.0f}"
        ax.plot(sigma, values / values.max(), color=color, ls=style, label=label)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(0.002, 100)
    ax.set_ylim(1e-6, 3)
    ax.set_xlabel(r"noise level $\bar\sigma$ (data units)")
    ax.set_ylabel("weighting / largest")
    ax.legend(loc="lower left", handlelength=1.8, borderaxespad=0.1)


def _shares(ax: Axes, rows: pd.DataFrame) -> None:
    """f_j over its mean at the trained levels."""
    rows = rows[(rows["part"] == "share") & (rows["levels"] == "trained")]
    last = rows["step"].max()
    for reading, (color, style, label) in _READINGS.items():
        own = rows[rows["reading"] == reading]
        start, end = own[own["step"] == 0], own[own["step"] == last]
        ax.plot(start["sigma"], start["value"], color=color, ls=style, lw=0.6, alpha=0.8)
        ax.fill_between(end["sigma"], end["low"], end["high"], color=color, alpha=0.12, lw=0)
        ax.plot(end["sigma"], end["value"], color=color, ls=style, label=label)
    ax.axhline(1, color=GREY, lw=0.6)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.5, 1, 2]))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(r"noise level $\bar\sigma_j$ (data units)")
    ax.legend(loc="upper left", handlelength=2.4)
    ax.set_ylim(0.05, 40)

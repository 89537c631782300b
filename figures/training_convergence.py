"""Loss against gradient descent step, with Theorem 1's bound and the kernel's prediction."""

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
    "Denoising loss over its initial value against gradient descent step at h = 1/λ_max, for the "
    "paper's network with one trained layer (geometric mean over seeds, bands: 99 % intervals). "
    "Dashed: what the tangent kernel at initialization predicts for the widest network; dotted: "
    "the expected loss of infinitely wide ones. Grey: Theorem 1's bound for the widest network "
    "with the largest constant C5 that fits all of its runs. The loss decays at every step, as the "
    "theorem says; the constant that it takes depends on the weighting (d), the fastest decay by "
    "far is that of β = 1/σ², where all a_j are equal, and the prediction holds for longer the "
    "wider the network is."
)

_COLORS = (SKY, BLUE, GREEN, PURPLE, BLACK)
_NAMES = {
    "EDM": "EDM's bell",
    "uniform": r"uniform $\beta$",
    "equal a": r"$\beta_j=1/\bar\sigma_j^2$ (equal $a_j$)",
}
_MARKS = {"EDM": ("o", BLUE), "uniform": ("s", VERMILION), "equal a": ("^", GREEN)}


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `training_convergence`.

    Returns:
      The figure.
    """
    figure = new_figure(5.2)
    curves, sums = (table[table["part"] == part] for part in ("curve", "summary"))
    with styled():
        axes = figure.subplots(2, 2)
        loss = curves[curves["series"] == "loss"]
        bottom = 10 ** np.floor(np.log10(loss["low"].min()))
        for ax, letter, name in zip(axes.flat, "abc", _NAMES, strict=False):
            _curves(ax, curves[curves["weighting"] == name])
            ax.set_ylim(bottom, 2)
            panel(ax, letter, _NAMES[name])
            ax.set_ylabel("loss / initial loss")
            ax.set_xlabel("step $k$")
        axes[0, 0].legend(loc="lower left", handlelength=2.4)
        _constants(axes[1, 1], sums)
        panel(axes[1, 1], "d", "largest admissible constant $C_5$")
    return figure


def _curves(ax: Axes, rows: pd.DataFrame) -> None:
    widths = sorted(w for w in rows["width"].unique() if np.isfinite(w))
    rows = rows[rows["step"] > 0]
    for width, color in zip(widths, _COLORS, strict=False):
        own = rows[(rows["width"] == width) & (rows["series"] == "loss")]
        ax.fill_between(own["step"], own["low"], own["high"], color=color, alpha=0.18, lw=0)
        ax.plot(own["step"], own["value"], color=color, label=f"network, $m={width:.0f}$")
    wide = rows[rows["width"] == widths[-1]]
    for series, look, label in (
        ("kernel", {"color": VERMILION, "linestyle": (0, (5, 1.6))}, "its kernel at the start"),
        ("bound", {"color": GREY, "linestyle": "-", "linewidth": 1.8}, "bound, fitted $C_5$"),
    ):
        own = wide[wide["series"] == series]
        ax.plot(own["step"], own["value"], label=label, **look)
    limit = rows[rows["series"] == "limit"]
    ax.plot(limit["step"], limit["value"], color=ORANGE, ls=(0, (1.2, 1.2)), label=r"$m=\infty$")
    ax.set_xscale("log")
    ax.set_yscale("log")


def _constants(ax: Axes, sums: pd.DataFrame) -> None:
    for name, (marker, color) in _MARKS.items():
        own = sums[sums["weighting"] == name].sort_values("width")
        ax.plot(own["width"], own["constant"], color=color, marker=marker)
        last = own.iloc[-1]
        ax.annotate(
            _NAMES[name].split(" (")[0],
            (last["width"], last["constant"]),
            (0, 6 if name != "uniform" else -12),
            textcoords="offset points",
            color=color,
            ha="right",
            fontsize=8,
        )
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_ylim(sums["constant"].min() / 3, sums["constant"].max() * 3)
    ax.set_xlabel("width $m$")
    ax.set_ylabel("$C_5$ that fits every run")
    widths = sorted(sums["width"].unique())
    ax.set_xticks(widths, [f"{w:.0f}" for w in widths])

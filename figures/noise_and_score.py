"""A law with two modes under noise: density, score, denoiser, and its numbers along all levels."""

from typing import Any

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
    VERMILION,
    label_end,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "a: the density of data with two narrow modes at four noise levels; the two modes become one "
    "at the level of the dash-dotted lines, σ² = m² - s². b: its score times σ, which is the noise "
    "to be expected at x with its sign changed. c: its denoiser, the mean of the data given x; "
    "thin line: x itself. d: the error of that denoiser: the noise's own variance where there is "
    "little noise, the variance of the data where there is much. e: the mean square of b (curve) "
    "is the slope of the entropy per unit of ln σ (circles). f: what it costs to take the noised "
    "data for pure noise: below 0.001 nats far earlier than the bound of Lemma 10 says."
)

_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "linestyle": "-"},
    {"color": GREEN, "linestyle": (0, (5, 1.6))},
    {"color": BLACK, "linestyle": (0, (6, 1.4, 1.2, 1.4))},
    {"color": VERMILION, "linestyle": (0, (1.4, 1.4))},
)
_CURVES = {
    "density": "density of $X_v$",
    "score": r"$\sigma\,\nabla\log p_v(x)$",
    "denoiser": r"$E(X_0\,|\,X_v=x)$",
}
_TITLES = ("noisy data", r"$\sigma\times$ score", "denoiser")


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `noise_and_score`; of several laws the first is drawn.

    Returns:
      The figure.
    """
    first = table.iloc[0]
    law = (table["separation"] == first["separation"]) & (table["width"] == first["width"])
    curves = table[law & (table["part"] == "curve")]
    levels = table[law & (table["part"] == "level")]
    figure = new_figure(4.7)
    with styled():
        axes = figure.subplots(2, 3)
        for ax, name, letter, title in zip(axes[0], _CURVES, "abc", _TITLES, strict=True):
            _over_x(ax, curves, name)
            panel(ax, letter, title)
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(),
            loc="outside upper center",
            ncols=4,
            handlelength=3,
        )
        _error(axes[1, 0], levels, first)
        _information(axes[1, 1], levels)
        _start(axes[1, 2], levels)
        for ax in axes[1]:
            ax.axvline(
                first["merging"], color=GREY, linewidth=0.7, linestyle=(0, (6, 1.4, 1.2, 1.4))
            )
            ax.set_xlabel(r"noise level $\sigma$ (data units)")
            ax.set_xticks([0.1, 1, 10])
    return figure


def _over_x(axes: Axes, curves: pd.DataFrame, name: str) -> None:
    """One panel of the upper row: a function of x at each noise level."""
    axes.axhline(0, color=FAINT, linewidth=0.6)
    if name == "denoiser":
        axes.plot([-3.5, 3.5], [-3.5, 3.5], color=GREY, linewidth=0.6)
        axes.set_ylim(-2.3, 2.3)
    if name == "score":
        axes.set_ylim(-3.4, 3.4)
    for (sigma, rows), look in zip(curves.groupby("sigma"), _LOOKS, strict=False):
        values = rows[name] * (sigma if name == "score" else 1)
        axes.plot(rows["x"], values, label=rf"$\sigma={sigma:.2g}$", linewidth=1.2, **look)
    axes.set_xlabel("$x$ (data units)")
    axes.set_ylabel(_CURVES[name])
    axes.set_xlim(curves["x"].min(), curves["x"].max())


def _error(axes: Axes, levels: pd.DataFrame, law: Any) -> None:
    """The least error of a denoiser, and what it is for little and for much noise."""
    sigma, ends = (
        levels["sigma"],
        (levels["mmse"].min(), law["separation"] ** 2 + law["width"] ** 2),
    )
    axes.loglog(sigma, sigma**2, color=ORANGE, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.axhline(ends[1], color=GREEN, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.loglog(sigma, levels["mmse"], color=BLUE)
    axes.set_ylim(ends[0], 6 * ends[1])
    axes.annotate(r"$\sigma^2$", (0.07, 0.022), color=ORANGE, fontsize=8)
    axes.annotate("variance of the data", (4, 1.5 * ends[1]), color=GREEN, fontsize=8)
    axes.set_ylabel("mmse (data units$^2$)")
    panel(axes, "d", "least error of a denoiser")


def _information(axes: Axes, levels: pd.DataFrame) -> None:
    """Fisher information in units of that of the noise, and the slope of the entropy."""
    v = levels["sigma"] ** 2
    axes.semilogx(levels["sigma"], v * levels["information"], color=BLUE)
    some = levels.iloc[:: max(len(levels) // 20, 1)]
    axes.semilogx(
        some["sigma"],
        some["sigma"] ** 2 * some["de_bruijn"],
        linestyle="none",
        marker="o",
        markerfacecolor="white",
        color=VERMILION,
    )
    axes.set_ylim(0, 1.08)
    axes.set_ylabel(r"$\sigma^2 I(\sigma^2) = dH/d\ln\sigma$")
    panel(axes, "e", "information, entropy")


def _start(axes: Axes, levels: pd.DataFrame) -> None:
    """What it costs to start from pure noise, and the bound on it."""
    wide = levels[levels["sigma"] > 0.1]
    axes.loglog(wide["sigma"], wide["bound"], color=ORANGE, linestyle=(0, (4, 2)))
    axes.loglog(wide["sigma"], wide["initialization"], color=BLUE)
    axes.axhline(1e-3, color=FAINT, linewidth=0.8)
    last = wide.iloc[len(wide) * 3 // 5]
    label_end(axes, last["sigma"], last["bound"], "Lemma 10", ORANGE, dy=6)
    label_end(axes, last["sigma"], last["initialization"], "$E_I$", BLUE, dy=4)
    axes.set_ylabel("$E_I$ (nats)")
    panel(axes, "f", "cost of starting from noise")

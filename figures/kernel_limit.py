"""Tangent kernels, loss curves and weights of finite networks beside the limit of large width."""

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
    SKY,
    VERMILION,
    Series,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "The paper's ReLU network beside its limit of infinite width. Points: means over seeds with "
    "99 % intervals; slopes in the width m with 99 % intervals. a: relative deviation of the "
    "tangent kernel Θ/m from its limit. b: the kernel against the angle of two inputs [x, σ], "
    "over its value at equal inputs: limit (lines) and networks. c: mean loss of gradient descent "
    "at a quarter of the stability limit, the mean prediction by the networks' own kernels at "
    "initialization (dashed), and the limit's expectation. d: distance of ln loss at the last "
    "step between network and its own frozen kernel, and between own and limit kernel from the "
    "same start. e: way of W_1 from initialization, also over |W_1(0)| in the Frobenius norm "
    "(it falls like 1/m) and in the operator norm (like m^(−1/2)). f: extreme eigenvalues of the "
    "loss' kernel K over their limits: the smallest needs much wider networks than the largest."
)

_DASH, _DOT, _BOTH = (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.4, 1.2, 1.4))
_DEPTHS = {
    0: Series("hidden layer", BLACK, _DOT, "D", False),
    1: Series("$L=1$", BLUE, "-", "o"),
    2: Series("$L=2$", VERMILION, _DASH, "s"),
    3: Series("$L=3$", GREEN, _BOTH, "^"),
}
_GAPS = {
    "freezing": Series("network–own", BLUE, "-", "o"),
    "kernel": Series("own–limit", VERMILION, _DASH, "s"),
}
_WAYS = {
    "distance": Series("Frobenius", BLUE, "-", "o"),
    "operator": Series("operator, rel.", VERMILION, _DASH, "s"),
    "relative": Series("Frobenius, rel.", GREEN, _BOTH, "^"),
}
_ENDS = {
    "largest": Series(r"$\lambda_{\max}$", BLUE, "-", "o"),
    "smallest": Series(r"$\lambda_{\min}$", VERMILION, _DASH, "s"),
}
_WIDTHS = (SKY, ORANGE, PURPLE)


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `kernel_limit`.

    Returns:
      The figure.
    """
    parts = {str(name): rows for name, rows in table.groupby("part", sort=False)}
    figure = new_figure(5.0)
    with styled():
        axes = figure.subplots(2, 3)
        _deviations(axes[0, 0], parts["deviation"])
        _angles(axes[0, 1], parts["angle"])
        _curves(axes[0, 2], parts["curve"])
        _against_width(axes[1, 0], parts["gap"], _GAPS)
        _against_width(axes[1, 1], parts["way"], _WAYS)
        _spectrum(axes[1, 2], parts["spectrum"])
        step = int(parts["curve"]["x"].max())
        axes[1, 0].set_ylabel(rf"$|\Delta\,\ln$ loss$|$ at step {step}")
        axes[1, 1].set_ylabel(rf"$|W_1-W_1(0)|$ at step {step}")
        axes[1, 2].set_ylabel("eigenvalue of $K$ / limit")
        titles = ("deviation of $\\Theta/m$", "kernel, by angle", "loss curves")
        titles += ("gaps of the loss", "way of the weights", "extreme eigenvalues")
        for ax, letter, title in zip(axes.flat, "abcdef", titles, strict=True):
            panel(ax, letter, title)
            ax.grid(axis="y", color=FAINT, linewidth=0.4)
            ax.set_axisbelow(True)
    return figure


def slope(rows: pd.DataFrame) -> tuple[float, float]:
    """The slope of ln value on ln width, and its 99 % half-width from those of the values.

    Args:
      rows: one row for each width, with value and error.
    """
    across = np.log(rows["width"].to_numpy(float))
    lever = (across - across.mean()) / np.sum((across - across.mean()) ** 2)
    values, errors = (rows[name].to_numpy(float) for name in ("value", "error"))
    return float(lever @ np.log(values)), float(np.sqrt(np.sum((lever * errors / values) ** 2)))


def _points(ax: Axes, rows: pd.DataFrame, look: Series, label: str) -> None:
    ax.errorbar(
        rows["width"], rows["value"], rows["error"], label=label, elinewidth=0.8, **look.kwargs()
    )


def _widths(ax: Axes, widths: np.ndarray) -> None:
    """A logarithmic axis of widths, labelled at every second one."""
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(list(widths[::2] if len(widths) > 4 else widths)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("width $m$")


def _against_width(ax: Axes, rows: pd.DataFrame, looks: dict) -> None:
    """Lines against the width on logarithmic axes, their slopes in the legend."""
    for name, look in looks.items():
        own = rows[rows["series"] == name].sort_values("width")
        found, error = slope(own)
        _points(ax, own, look, rf"{look.label}: ${found:.2f}\pm{error:.2f}$")
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.set_ylim(low * (low / high) ** (0.15 + 0.14 * len(looks)), high)
    _widths(ax, np.sort(rows["width"].unique()))
    _decimal(ax)
    ax.legend(loc="lower left", handlelength=2.2, borderaxespad=0.1, fontsize=7.5)


def _decimal(ax: Axes) -> None:
    """A logarithmic axis labelled by plain numbers, at 1, 2 and 5 if it is short."""
    low, high = ax.get_ylim()
    digits = (1, 2, 5) if high / low < 100 else (1,)
    places = [d * 10.0**k for k in range(-6, 4) for d in digits]
    places = [y for y in places if low <= y <= high]
    ax.yaxis.set_major_locator(FixedLocator(places))
    ax.set_yticklabels([f"{y:g}" for y in places])
    ax.yaxis.set_minor_formatter(NullFormatter())


def _deviations(ax: Axes, rows: pd.DataFrame) -> None:
    _against_width(
        ax,
        rows.assign(series=rows["depth"]),
        {depth: look for depth, look in _DEPTHS.items() if depth in set(rows["depth"])},
    )
    widths = np.sort(rows["width"].unique())
    start = 1.2 * rows.loc[rows["width"] == widths[0], "value"].max()
    ax.plot(widths, start * (widths / widths[0]) ** -0.5, color=GREY, linewidth=0.8)
    ax.annotate(
        "$m^{-1/2}$",
        (widths[-1], start * (widths[-1] / widths[0]) ** -0.5),
        (-2, 7),
        textcoords="offset points",
        color=GREY,
        fontsize=8,
        ha="right",
    )
    ax.set_ylabel("relative deviation (r.m.s.)")


def _angles(ax: Axes, rows: pd.DataFrame) -> None:
    for depth, own in rows.groupby("depth"):
        look = _DEPTHS[int(str(depth).split(".")[0])]
        points, line = own[own["value"].notna()], own[own["value"].isna()]
        ax.plot(line["x"], line["limit"], **look.kwargs(markers=False))
        kind = look.kwargs() | {"linestyle": "", "label": look.label}
        ax.errorbar(points["x"], points["value"], points["error"], elinewidth=0.8, **kind)
    ax.set_xticks(np.pi * np.arange(0, 1.01, 0.25))
    ax.set_xticklabels(["0", r"$\pi/4$", r"$\pi/2$", r"$3\pi/4$", r"$\pi$"])
    ax.set_xlabel("angle of the inputs (rad)")
    ax.set_ylabel("kernel / kernel at angle 0")
    ax.legend(loc="upper right", title=f"$m={rows['width'].iloc[0]:.0f}$", title_fontsize=8)


def _curves(ax: Axes, rows: pd.DataFrame) -> None:
    widths = np.sort(rows["width"].unique())
    shown = widths if len(widths) <= len(_WIDTHS) else widths[[0, len(widths) // 2, -1]]
    limit = rows[rows["width"] == widths[-1]]
    ax.plot(_shifted(limit["x"]), limit["limit"], color=BLACK, label="limit")
    for k, (width, color) in enumerate(zip(shown, _WIDTHS, strict=False)):
        own = rows[rows["width"] == width].sort_values("x")
        x = _shifted(own["x"]) * 1.05 ** (k - 1)  # side by side
        ax.plot(x, own["own"], color=color, linestyle=(0, (3, 1.5)), linewidth=0.8)
        ax.errorbar(
            x,
            own["value"],
            own["error"],
            color=color,
            linestyle="",
            marker="osD"[k],
            markersize=3,
            elinewidth=0.8,
            label=f"$m={int(width)}$",
        )
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ticks = [1, 3, 9, 17, 33, 65, 129, 257]
    ticks = [t for t in ticks if t <= rows["x"].max() + 1]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.set_xticklabels([str(t - 1) for t in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("step $k$")
    ax.set_ylabel("denoising loss")
    ax.legend(loc="upper right")


def _shifted(steps: pd.Series) -> np.ndarray:
    return steps.to_numpy(float) + 1


def _spectrum(ax: Axes, rows: pd.DataFrame) -> None:
    ax.axhline(1, color=GREY, linewidth=0.8)
    for name, look in _ENDS.items():
        _points(ax, rows[rows["series"] == name].sort_values("width"), look, look.label)
    ax.set_ylim(0, None)
    _widths(ax, np.sort(rows["width"].unique()))
    ax.legend(loc="lower right", handlelength=2.4)

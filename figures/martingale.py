"""The score along the exact reverse process: paths, growth, increments, conditional means, E_D."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import BLACK, BLUE, FAINT, GREY, ORANGE, VERMILION, new_figure, panel, styled

CAPTION = (
    "Data ½N(−1, 0.3²) + ½N(1, 0.3²); the process runs from right to left. a: paths of the score "
    "along the exact reverse process, colored by the mode in which they end. b: the mean square of "
    "the score from draws (points) and the Fisher information by quadrature (line). c: "
    "correlations of the increments of the score between all pairs of steps of a grid, by the "
    "number of steps between them. d: mean change of the score from σ = 1 down to 0.4 given the "
    "point at 1, which is 0 everywhere, and from 0.4 back up to 1 given the point at 0.4, which is "
    "not. e: what each step adds to E_D, from increments of the score alone (points) and by "
    "quadrature (bars). All bars on points are 99 % intervals."
)


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `martingale`; of several data laws the first is drawn.

    Returns:
      The figure.
    """
    table = table[table["target"] == table["target"].iloc[0]]
    figure = new_figure(4.9)
    with styled():
        grid = figure.add_gridspec(2, 6)
        cells = (grid[0, :4], grid[0, 4:], grid[1, :2], grid[1, 2:4], grid[1, 4:])
        axes = [figure.add_subplot(cell) for cell in cells]
        _paths(axes[0], table[table["part"] == "path"])
        _information(axes[1], table[table["part"] == "information"])
        _correlations(axes[2], table[table["part"] == "correlation"])
        _conditional(axes[3], table[table["part"] == "conditional"])
        _steps(axes[4], table[table["part"] == "step"])
    return figure


def _bars(axes: Axes, x: pd.Series, rows: pd.DataFrame, color: str, size: float = 3) -> None:
    """Points with their intervals."""
    axes.errorbar(
        x,
        rows["value"],
        yerr=rows["half_width"],
        fmt="o",
        color=color,
        markersize=size,
        elinewidth=0.25 * size,
        zorder=3,
    )


def _noise(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_xlabel(r"noise level $\sigma$ (data units)")


def _paths(axes: Axes, rows: pd.DataFrame) -> None:
    """Paths of the score, colored by the mode in which they end."""
    for _, path in rows.groupby("path"):
        right = bool(path["end"].iloc[0] > 0)
        axes.plot(
            path["sigma"],
            path["score"],
            color=BLUE if right else VERMILION,
            linestyle="-" if right else (0, (3, 0.8)),
            linewidth=0.6,
            alpha=0.8,
        )
    _noise(axes)
    axes.set_xlim(rows["sigma"].min(), rows["sigma"].max())
    axes.set_ylabel(r"score $L_v$ (per data unit)")
    axes.annotate("ends in the right mode", (0.98, 0.93), **_corner(BLUE))
    axes.annotate("in the left one (dashed)", (0.98, 0.85), **_corner(VERMILION))
    panel(axes, "a", "paths of the score")


def _corner(color: str) -> dict:
    return {"xycoords": "axes fraction", "ha": "right", "va": "top", "color": color, "fontsize": 8}


def _information(axes: Axes, rows: pd.DataFrame) -> None:
    """E|L|^2 from draws and by quadrature."""
    rows = rows.sort_values("sigma")
    axes.plot(rows["sigma"], rows["exact"], color=BLACK, linewidth=1)
    _bars(axes, rows["sigma"], rows, BLUE)
    _noise(axes)
    axes.set_yscale("log")
    axes.grid(axis="y", color=FAINT, linewidth=0.4)
    axes.set_ylabel("per squared data unit")
    panel(axes, "b", r"$E|L_v|^2$ and $I(v)$")
    inset = axes.inset_axes((0.19, 0.09, 0.44, 0.3))
    inset.axhline(1, color=BLACK, linewidth=0.7)
    ratio = rows[["value", "half_width"]].div(rows["exact"], axis=0)
    _bars(inset, rows["sigma"], ratio, BLUE, size=1.6)
    inset.set_xscale("log")
    inset.set_xticks([])
    inset.minorticks_off()
    inset.tick_params(labelsize=6.5)
    inset.set_title("ratio", fontsize=7, loc="left", pad=2)


def _correlations(axes: Axes, rows: pd.DataFrame) -> None:
    """Correlations of increments by the number of steps between them."""
    apart = rows["second"] - rows["first"]
    nudge = (rows["first"] - rows.groupby(apart)["first"].transform("mean")) * 0.07
    axes.axhline(0, color=BLACK, linewidth=0.8)
    _bars(axes, apart + nudge, rows, BLUE, size=2)
    reach = 1.25 * float((rows["value"].abs() + rows["half_width"]).max())
    axes.set_ylim(-reach, reach)
    axes.set_xlabel("steps between the increments")
    axes.set_ylabel("correlation")
    panel(axes, "c", "increments are orthogonal")


def _conditional(axes: Axes, rows: pd.DataFrame) -> None:
    """Mean change of the score given the present point, down in noise and back up."""
    axes.axhline(0, color=BLACK, linewidth=0.8)
    looks = (("reverse", BLUE, "o", BLUE), ("forward", ORANGE, "s", "white"))
    for direction, color, marker, face in looks:
        part = rows[rows["direction"] == direction].sort_values("x")
        axes.errorbar(
            part["x"],
            part["change"],
            yerr=part["half_width"],
            fmt=marker,
            color=color,
            markerfacecolor=face,
            markersize=3,
            elinewidth=0.9,
            zorder=3,
        )
    high, low = rows["pair_high"].iloc[0], rows["pair_low"].iloc[0]
    axes.set_xlabel("present point (data units)")
    axes.set_ylabel("mean change (per data unit)")
    axes.annotate(rf"from $\sigma$ = {high:g} down to {low:g}", (0.98, 0.97), **_corner(BLUE))
    axes.annotate(rf"from {low:g} back up to {high:g}", (0.98, 0.89), **_corner(ORANGE))
    top = float(rows["change"].abs().max())
    axes.set_ylim(-1.15 * top, 1.6 * top)
    panel(axes, "d", "change of the score, given $X$")


def _steps(axes: Axes, rows: pd.DataFrame) -> None:
    """E_D of each step from draws and by quadrature."""
    rows = rows.sort_values("sigma", ascending=False)
    edges = np.append(rows["sigma"].to_numpy(), rows["sigma_after"].iloc[-1])
    axes.stairs(rows["exact"].to_numpy()[::-1], edges[::-1], fill=True, color=FAINT)
    axes.stairs(rows["exact"].to_numpy()[::-1], edges[::-1], color=GREY, linewidth=0.8)
    middle = np.sqrt(rows["sigma"] * rows["sigma_after"])
    _bars(axes, middle, rows, BLUE)
    _noise(axes)
    axes.set_ylim(0, None)
    axes.set_ylabel("nats")
    panel(axes, "e", r"$E_D$ of each step")

"""Training in closed form: Remark 1, simulation on theory, and which levels converge when."""

from typing import Any

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
    VERMILION,
    new_figure,
    panel,
    styled,
)

CAPTION = (
    "Gradient descent at h = 1/λ_max in closed form (lines) and simulated (dots); medians over "
    "seeds, bands: 99 % intervals. (a) Remark 1: random features on two modes, losses over the "
    "floor -C̄. With few data the training loss falls through the floor towards 0 while the "
    "population loss turns and grows; with many data neither passes the floor. (b) Affine models "
    "with coefficients of their own at each level, and with shared features, on the same law: the "
    "population loss stays above that of the best affine score. (c) Steps until a level's score "
    "error stays below 1 % of its start on N(0, 0.5²I): per level (filled; lines: the law of one "
    "coefficient) and with shared features (open). (d) to (g) The score error of each level over "
    "its start against the step; hatched: above 1.5 times its start. Per level, the bell and "
    "uniform weights leave the smallest levels for last, and β = 1/(v(s²+v)) is done in one step; "
    "shared features bring all levels along in 10⁴ steps with the bell, make some of them worse on "
    "the way, and turn the order of the weightings around."
)

_WEIGHTINGS = {
    "EDM": (BLUE, "o", "EDM's bell"),
    "uniform": (VERMILION, "s", "uniform"),
    "equal rates": (GREEN, "^", "equal rates"),
}
_MAPS = (
    ("per level", "EDM", "per level, bell"),
    ("per level", "uniform", "per level, uniform"),
    ("shared", "EDM", "shared, bell"),
    ("shared", "equal rates", "shared, equal rates"),
)
_WORSE = 1.5  # times its start: such errors are hatched
_LOWEST = -4.0  # of the color scale, in decades


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `solvable_training`.

    Returns:
      The figure.
    """
    figure = new_figure(5.2)
    with styled():
        upper, lower = figure.subfigures(2, 1, height_ratios=(1.1, 1))
        top = upper.subplots(1, 3)
        features = table[table["model"] == "random features"]
        _losses(top[0], features, [features["points"].min(), features["points"].max()])
        panel(top[0], "a", "random features")
        _affine(
            top[1], table[(table["kind"] == "empirical") & (table["model"] != "random features")]
        )
        panel(top[1], "b", "affine models, $n=32$")
        _arrivals(top[2], table[table["part"] == "arrival"])
        panel(top[2], "c", "steps to 1 %, by level")
        maps, image = lower.subplots(1, 4, sharey=True), None
        errors = table[table["part"] == "error"]
        for ax, letter, (model, weighting, title) in zip(maps, "defg", _MAPS, strict=True):
            own = errors[(errors["model"] == model) & (errors["weighting"] == weighting)]
            image = _map(ax, own)
            panel(ax, letter, title)
        maps[0].set_ylabel(r"noise level $\bar\sigma_j$ (data units)")
        bar = lower.colorbar(image, ax=maps, shrink=0.95, pad=0.01, extend="both")
        bar.set_label(r"$\log_{10}$(score error / start)")
    return figure


def _loss_axes(ax: Axes) -> None:
    ax.axhline(1, color=GREY, lw=0.8)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("step $k$")
    ax.set_ylabel(r"loss / $(-\bar C)$")


def _series(ax: Axes, rows: pd.DataFrame, color: str, label: str) -> None:
    """Training (solid), population (dashed) and simulated losses of one run."""
    for name, style in (("training", "-"), ("population", (0, (4, 1.6)))):
        own = rows[(rows["part"] == "curve") & (rows["series"] == name)]
        ax.fill_between(own["step"], own["low"], own["high"], color=color, alpha=0.12, lw=0)
        ax.plot(own["step"], own["value"], color=color, ls=style, label=f"{name}, {label}")
    own = rows[(rows["part"] == "curve") & (rows["series"] == "simulated")]
    ax.plot(own["step"], own["value"], "o", color=color, ms=2.6, mfc="white", mew=0.7)


def _losses(ax: Axes, rows: pd.DataFrame, points: list[float]) -> None:
    """Remark 1."""
    _loss_axes(ax)
    for count, color in zip(points, (VERMILION, BLUE), strict=True):
        _series(ax, rows[rows["points"] == count], color, f"$n={count:.0f}$")
    ax.set_ylim(1e-4, 1e8)
    ax.annotate(r"$-\bar C$", (1.5, 1), (0, -9), textcoords="offset points", color=GREY)
    ax.legend(loc="upper left", handlelength=2.2, borderaxespad=0.1)


def _affine(ax: Axes, rows: pd.DataFrame) -> None:
    _loss_axes(ax)
    for model, color in (("per level", BLACK), ("shared", ORANGE)):
        _series(ax, rows[rows["model"] == model], color, model)
    least = rows[rows["part"] == "affine floor"]["value"].iloc[0]
    ax.axhline(least, color=GREY, lw=1.2, ls=":")
    for y, text in ((least, "best affine"), (1.0, r"$-\bar C$")):
        ax.annotate(text, (1.2, y), (0, -9), textcoords="offset points", color=GREY, fontsize=8)
    ax.set_ylim(0.86, 6.5)
    ax.set_yticks([1, 2, 3, 4, 5], list("12345"))
    ax.minorticks_off()
    ax.legend(loc="upper right", handlelength=2.2, borderaxespad=0.1)


def _arrivals(ax: Axes, rows: pd.DataFrame) -> None:
    """Steps to SHARE against the level."""
    for weighting, (color, marker, label) in _WEIGHTINGS.items():
        own = rows[rows["weighting"] == weighting].sort_values("sigma")
        decoupled, shared = (own[own["model"] == m] for m in ("per level", "shared"))
        look: Any = {"color": color, "marker": marker, "ms": 3}
        ax.plot(decoupled["sigma"], decoupled["law"], color=color, lw=0.8)
        ax.plot(decoupled["sigma"], decoupled["value"], ls="", label=label, **look)
        ax.plot(shared["sigma"], shared["value"], ls=":", lw=0.7, mfc="white", **look)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(0.4, 1e16)
    ax.set_yticks([1, 1e4, 1e8, 1e12, 1e16])
    ax.set_xlabel(r"noise level $\bar\sigma_j$ (data units)")
    ax.set_ylabel("steps")
    ax.legend(loc="upper right", handlelength=1.2, borderaxespad=0.1)


def _edges(centers: np.ndarray) -> np.ndarray:
    """Edges of cells around ascending centers, halfway in their logarithm."""
    logs = np.log(centers)
    middle = (logs[1:] + logs[:-1]) / 2
    return np.exp(np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]]))


def _map(ax: Axes, rows: pd.DataFrame) -> Any:
    """Relative score errors: levels upwards, steps to the right."""
    wide = rows.pivot_table(index="sigma", columns="step", values="value")
    values = np.log10(np.maximum(wide.to_numpy(), 10 ** (_LOWEST - 1)))
    image = ax.pcolormesh(
        _edges(wide.columns.to_numpy()),
        _edges(wide.index.to_numpy()),
        values,
        cmap="cividis",
        vmin=_LOWEST,
        vmax=0,
        rasterized=True,
    )
    hatched: Any = {"colors": "none", "hatches": ["////"]}
    if wide.to_numpy().max() > _WORSE:
        ax.contourf(wide.columns, wide.index, wide, levels=[_WORSE, np.inf], **hatched)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks([1, 1e5, 1e10])
    ax.minorticks_off()
    ax.set_xlabel("step $k$")
    return image

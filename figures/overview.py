"""The whole story in one picture: laws, the error budget with its bounds, and who wins."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    number,
    panel,
    styled,
)

CAPTION = (
    "a: a law with two modes, and what EDM's sampler makes of it in few and in more steps with the "
    "exact score. b: the exact error of the sampling path for the same data with EDM's schedule "
    "and a score that is off by the given factor, split into the errors of discretization E_D and "
    "of the score E_S (E_I is too small to be seen); far below it the KL divergence of the "
    "samples from the data, above it the bound of Theorem 2, as printed and corrected (here the "
    "same), and a sharper one that knows the scale of the data. c: which schedule has the smaller "
    "marginal KL on N(0, s²) with the exact score; along the dashed line both have the same E_D, "
    "to the right of it EDM has the smaller one."
)

_CLIP = 2.0  # a factor of four either way has the full color
_SHADES = ("#9ecae1", "#4292c6", "#084594")
_LINES = ((0, (1.2, 1.2)), (0, (5, 1.6)), "-")


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `overview`.

    Returns:
      The figure.
    """
    figure = new_figure(5.0)
    with styled():
        top, bottom = figure.add_gridspec(2, 1, height_ratios=[1.0, 1.75], hspace=0.08)
        laws = figure.add_subplot(top)
        left, right = bottom.subgridspec(1, 2, wspace=0.06)
        _laws(laws, table[table["part"] == "density"])
        _budget(figure.add_subplot(left), table[table["part"] == "budget"])
        _contest(figure, figure.add_subplot(right), table[table["part"] == "contest"])
    return figure


def _laws(axes: Axes, rows: pd.DataFrame) -> None:
    """The data as a filled density, the samplers as lines, darker with more steps."""
    laws = {int(str(n)): law for n, law in rows.groupby("steps")}
    data = laws.pop(0)
    axes.fill_between(data["x"], data["density"], color=FAINT, linewidth=0, label="data")
    for (steps, law), color, line in zip(sorted(laws.items()), _SHADES, _LINES, strict=False):
        look = {"color": color, "linestyle": line, "linewidth": 1.6}
        axes.plot(law["x"], law["density"], label=f"{steps} steps", **look)
    axes.set_xlim(data["x"].min(), data["x"].max())
    axes.set_ylim(0, 1.05 * data["density"].max())
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("x (data units)")
    axes.set_ylabel("density")
    axes.legend(loc="upper center", handlelength=2.2)
    panel(axes, "a", "What the sampler makes of the data")


def _budget(axes: Axes, rows: pd.DataFrame) -> None:
    """Stacked errors, the marginal KL below and the bounds above, against the number of steps."""
    rows = rows.sort_values("steps")
    n = rows["steps"].to_numpy()
    floor = 10 ** np.floor(np.log10(rows["marginal_kl"].min())) / 10
    axes.fill_between(n, floor, rows["score"], color=PURPLE, alpha=0.45, linewidth=0)
    axes.fill_between(n, rows["score"], rows["path_kl"], color=SKY, alpha=0.45, linewidth=0)
    axes.plot(n, rows["path_kl"], color=INK, linewidth=0.8)
    axes.plot(n, rows["theorem-2-corrected"], color=GREEN, marker="s")
    axes.plot(n, rows["discretization-scale-aware"], color=GREY, linestyle=_LINES[1], marker="^")
    axes.plot(n, rows["marginal_kl"], color=BLACK, linewidth=1.8, marker="o")
    axes.loglog()
    axes.set_xlim(n[0], n[-1])
    axes.set_ylim(floor, 2.0 * rows["theorem-2"].max())
    axes.set_xticks(n, [str(k) for k in n])
    axes.minorticks_off()
    _budget_labels(axes, rows, floor)
    axes.set_xlabel("number of steps N")
    axes.set_ylabel("nats")
    panel(axes, "b", "The exact error, split, and its bounds")


def _budget_labels(axes: Axes, rows: pd.DataFrame, floor: float) -> None:
    """Names beside the curves and in the areas.

    Args:
      axes: the panel.
      rows: one for each number of steps.
      floor: where the axis begins.
    """
    first, middle, last = rows.iloc[0], rows.iloc[len(rows) // 2], rows.iloc[-1]
    start = float(first["steps"])
    n, path, score = (float(middle[name]) for name in ("steps", "path_kl", "score"))

    def put(text: str, x: float, y: float, dx: float, dy: float, color: str = INK) -> None:
        axes.annotate(text, (x, y), (dx, dy), textcoords="offset points", color=color)

    put("bound of Theorem 2", n, middle["theorem-2-corrected"], -12, 10, GREEN)
    put("sharper", start, first["discretization-scale-aware"], 6, 3, GREY)
    put("$E_D$", n, np.sqrt(score * path), 10, 2)
    put("$E_S$", n, np.sqrt(floor * score), 10, 0)
    put("marginal KL", start, first["marginal_kl"], 8, -34, BLACK)
    put(f"$E_I$ = {number(last['initialization'], 2)}, far below", start, floor, 5, 5)


def _contest(figure: Figure, axes: Axes, rows: pd.DataFrame) -> None:
    """Who has the smaller marginal KL, over the data scale and the number of steps."""
    stds = np.sort(rows["std"].unique())
    steps = np.sort(rows["steps"].unique())
    shade = np.clip(_log_ratio(rows, "marginal_kl"), -_CLIP, _CLIP)
    colors = LinearSegmentedColormap.from_list("contest", [VERMILION, "#ffffff", BLUE])
    image = axes.pcolormesh(
        stds, steps, shade, cmap=colors, vmin=-_CLIP, vmax=_CLIP, shading="gouraud", rasterized=True
    )
    axes.contour(
        stds,
        steps,
        _log_ratio(rows, "discretization"),
        levels=[0.0],
        colors=[INK],
        linewidths=1.0,
        linestyles=[(0, (4, 2))],
    )
    axes.loglog()
    axes.minorticks_off()
    steps = [k for k in steps if k in (5, 10, 20, 50, 100, 200)]
    axes.set_yticks(steps, [str(k) for k in steps])
    for word, x in (("Song", 0.2), ("EDM", 0.62)):
        axes.text(x, 0.5, word, transform=axes.transAxes, color=INK, weight="bold", size=10)
    axes.text(0.16, 0.66, "equal $E_D$", transform=axes.transAxes, rotation=90, size=8)
    bar = figure.colorbar(image, ax=axes, location="right", shrink=0.9, pad=0.02)
    bar.set_ticks([-2, -1, 0, 1, 2], labels=["4×", "2×", "1", "2×", "4×"])
    bar.outline.set_visible(False)
    axes.set_xlabel("scale s of the data (data units)")
    axes.set_ylabel("number of steps N")
    panel(axes, "c", "Who wins depends on the data")


def _log_ratio(rows: pd.DataFrame, criterion: str) -> np.ndarray:
    """Log2 of Song's error over EDM's, [steps, scales]; above 0 EDM wins."""
    both = rows.pivot(index="steps", columns=["schedule", "std"], values=criterion)
    return np.log2((both["song"] / both["edm"]).to_numpy())

"""Areas over the noise level: what each step of the sampler adds to the error budget."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import BLACK, DESIGNS, FAINT, GREY, new_figure, number, panel, styled

CAPTION = (
    "Upper rows: the curve is σ² I(σ²), the size of the exact score along the path; the lower edge "
    "of each coloured area is what it would be with the score frozen since the beginning of the "
    "step. On this axis the coloured area is the discretization error E_D; the sampler moves from "
    "right to left. Lowest row: what each step adds to E_D (bars) and, with the score scaled by "
    "the given factor, to E_S (open diamonds); the initialization error E_I is far below either."
)

_LETTERS = "abcdefgh"


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `error_budget`; of several numbers of steps the first is drawn, of
        several data laws the first two.

    Returns:
      The figure.
    """
    table = table[table["steps"] == table["steps"].iloc[0]]
    targets = list(dict.fromkeys(table["target"]))[:2]
    names = list(dict.fromkeys(table["schedule"]))
    figure = new_figure(2.15 * (len(names) + 1))
    with styled():
        axes = figure.subplots(len(names) + 1, len(targets), sharex=True, squeeze=False)
        letters = iter(_LETTERS)
        for row, name in enumerate(names):
            for column, target in enumerate(targets):
                ax = axes[row, column]
                rows = table[(table["target"] == target) & (table["schedule"] == name)]
                _areas(ax, rows, name)
                panel(ax, next(letters), f"{_name(target)}, {DESIGNS[name].label}")
                if column == 0:
                    ax.set_ylabel(r"$\sigma^2 I(\sigma^2)$")
        for column, target in enumerate(targets):
            ax = axes[-1, column]
            _steps(ax, table[(table["target"] == target) & (table["part"] == "step")])
            panel(ax, next(letters), f"{_name(target)}, by step")
            ax.set_xlabel(r"noise level $\sigma$ (data units)")
        axes[-1, 0].set_ylabel("contribution (nats)")
        axes[-1, -1].legend(loc="upper left", handlelength=1.6)
    return figure


def _name(target: str) -> str:
    """A target's name in mathtext."""
    return "$N" + target[1:].replace("²", "^2") + "$" if target.startswith("N(") else target


def _areas(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    """One panel of the upper rows."""
    curve = rows[rows["part"] == "curve"]
    whole = rows[rows["part"] == "budget"].iloc[0]
    look = DESIGNS[name]
    for step, part in curve.groupby("step"):
        shade = 0.55 if int(float(str(step))) % 2 else 0.3
        axes.fill_between(
            part["sigma"],
            part["frozen"],
            part["information"],
            color=look.color,
            alpha=shade,
            linewidth=0,
        )
    axes.semilogx(curve["sigma"], curve["information"], color=BLACK, linewidth=1)
    axes.set_ylim(0, 1.06 * curve["information"].max())
    axes.set_xlim(curve["sigma"].min(), curve["sigma"].max())
    axes.annotate(
        f"$E_D = {number(whole['discretization'], 4)}$\n$N = {int(whole['steps'])}$",
        (0.03, 0.95),
        xycoords="axes fraction",
        va="top",
    )


def _steps(axes: Axes, steps: pd.DataFrame) -> None:
    """One panel of the lowest row."""
    for name, rows in steps.groupby("schedule", sort=False):
        look = DESIGNS[str(name)]
        edges = np.append(rows["sigma"].to_numpy(), rows["sigma_after"].iloc[-1])
        axes.stairs(
            rows["discretization"].to_numpy()[::-1],
            edges[::-1],
            color=look.color,
            fill=False,
            linestyle=look.line,
            linewidth=1.2,
            label=f"$E_D$, {look.label}",
        )
        middle = np.sqrt(rows["sigma"] * rows["sigma_after"])
        axes.plot(
            middle,
            rows["score"],
            linestyle="none",
            marker="D",
            color=look.color,
            markerfacecolor="white",
            markersize=2.8,
            label=f"$E_S$, {look.label}",
        )
    axes.set_xscale("log")
    axes.set_ylim(0, None)
    axes.grid(axis="y", color=FAINT, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.tick_params(colors=GREY, which="minor")

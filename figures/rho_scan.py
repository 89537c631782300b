"""Errors and bounds against EDM's exponent, each relative to its least value."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

from figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILION, new_figure, panel, styled

CAPTION = (
    "Exact discretization error, exact marginal KL and the corrected bound of Theorem 2 against "
    "the exponent rho of EDM's times, each over its least value in the range shown. Upper row: "
    "N(0, 0.5²) at several N; lower row: several data laws at one N. Dots: the computed optimum, "
    "where it lies inside the range. Grey: Remark 3's optimum ln(σ_max/σ_min)/2 and Karras et "
    "al.'s choice 7. The best rho depends on the data and on the criterion; the bound falls all "
    "the way to exponential times."
)

_QUANTITIES = {
    "discretization": r"$E_D$",
    "marginal_kl": "marginal KL",
    "theorem-2-corrected": "corrected bound",
}
_LOOKS = (
    (BLUE, "-"),
    (VERMILION, (0, (5, 1.6))),
    (BLACK, (0, (1.2, 1.4))),
    (GREEN, (0, (6, 1.4, 1.2, 1.4))),
    (PURPLE, (0, (3, 1.2))),
)
_TOP = 3.0
_PRINTED = float(np.log(80 / 0.002) / 2)


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `rho_scan`.

    Returns:
      The figure.
    """
    middle = _nearest(table[table["std"].notna()], "std", 0.5)
    few = _nearest(table, "steps", 20)
    if few["target"].nunique() > len(_LOOKS):
        few = few[few["std"].isna() | few["std"].isin([0.005, 0.5, 20.0])]
    figure = new_figure(5.0)
    with styled():
        axes = figure.subplots(2, 3, sharex=True, sharey=True)
        for column, (quantity, title) in enumerate(_QUANTITIES.items()):
            steps = sorted(middle["steps"].unique())
            lines = {f"$N = {int(n)}$": middle[middle["steps"] == n] for n in _thinned(steps)}
            _panel(axes[0, column], lines, quantity)
            panel(axes[0, column], "abc"[column], title)
            lines = {_name(str(t)): few[few["target"] == t] for t in few["target"].unique()}
            _panel(axes[1, column], lines, quantity)
            panel(axes[1, column], "def"[column], title)
            axes[1, column].set_xlabel(r"exponent $\rho$")
        rows = (_name(middle["target"].iloc[0]), f"$N = {int(few['steps'].iloc[0])}$")
        for ax, common in zip(axes[:, 0], rows, strict=True):
            ax.set_ylabel(f"{common}: value / least value")
        axes[0, 2].legend(loc="lower left", handlelength=2.8)
        laws = axes[1, 0].get_legend_handles_labels()  # the mixture has no bound to draw
        axes[1, 2].legend(*laws, loc="lower left", handlelength=1.9, borderaxespad=0.2)
        for x, text in ((_PRINTED, "Remark 3"), (7.0, "7")):
            axes[0, 0].annotate(
                text,
                (x, _TOP),
                (-1, -2),
                textcoords="offset points",
                color=GREY,
                fontsize=7.5,
                rotation=90,
                ha="right",
                va="top",
            )
    return figure


def _thinned(steps: list) -> list:
    """At most as many numbers of steps as there are line styles."""
    return steps if len(steps) <= len(_LOOKS) else steps[:: len(steps) // len(_LOOKS) + 1]


def _nearest(table: pd.DataFrame, column: str, value: float) -> pd.DataFrame:
    """The rows whose entry is the one nearest to a value."""
    entries = table[column].dropna().unique()
    return table[table[column] == min(entries, key=lambda e: abs(e - value))]


def _name(target: str) -> str:
    """A target's name in mathtext."""
    return "$N" + target[1:].replace("²", "^2") + "$" if target.startswith("N(") else target


def _panel(axes: Axes, lines: dict[str, pd.DataFrame], quantity: str) -> None:
    """One panel: a line per entry, its optimum as a dot."""
    for x in (_PRINTED, 7.0):
        axes.axvline(x, color=GREY, linewidth=0.7, linestyle="-" if x == 7 else (0, (2, 2)))
    for (label, rows), (color, style) in zip(lines.items(), _LOOKS, strict=False):
        scan = rows[rows["part"] == "scan"].dropna(subset=[quantity])
        if scan.empty:
            continue
        least = scan[quantity].min()
        few = len(scan) < 30
        axes.plot(
            scan["rho"],
            scan[quantity] / least,
            color=color,
            linestyle=style,
            label=label,
            marker="." if few else "",
            markersize=4,
        )
        best = rows[(rows["part"] == "optimum") & (rows["criterion"] == quantity)]
        best = best[best["interior"].astype(bool)] if len(best) else best
        axes.plot(best["rho"], best["value"] / least, "o", color=color, markersize=4)
    axes.set_xscale("log")
    axes.set_ylim(0.95, _TOP)
    axes.xaxis.set_major_locator(FixedLocator([1, 2, 3, 5, 7, 10, 20]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())

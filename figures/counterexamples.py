"""What the paper prints beside what is exact, on the smallest designs that tell them apart."""

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import BLUE, FAINT, GREEN, GREY, INK, VERMILION, new_figure, panel, styled

CAPTION = (
    "Black dots or line: exact; red dashes: as printed; green: corrected. a: mean of the sampler "
    "after each step of EDM's grid on N(1, 0.5²), N = 8. b: marginal KL on N(m, 0.5²) against |m|, "
    "EDM, N = 20. c: one step of σ̄ = t, from 20 to 5, followed part of its way: E KL and Lemma 9; "
    "d: the rate of the same E KL and σ² E|s - L|². e: Theorem 2 with noise levels 10, 1, 0.5 on "
    "N(m, 0.5²) against the second moment. f: the score term of Theorem 2 for σ̄ = t^a over E_S, "
    "which must be at least 1, against a, for one step from v = 10 to 1 and for EDM's grid, the "
    "score 1.3 times the exact one. g: both sides of equation (4) for a weight at one noise "
    "level, with that score."
)

_EXACT, _PRINTED, _CORRECTED = INK, VERMILION, GREEN
_DASHED = (0, (5, 1.6))


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `counterexamples`.

    Returns:
      The figure.
    """
    parts = {str(name): rows for name, rows in table.groupby("part", sort=False)}
    figure = new_figure(8.4)
    with styled():
        axes = figure.subplot_mosaic([["a", "b"], ["c", "d"], ["e", "f"], ["g", "g"]])
        for letter, (part, function) in _PANELS.items():
            function(axes[letter], parts[part])
            axes[letter].grid(axis="y", color=FAINT, linewidth=0.4)
            axes[letter].set_axisbelow(True)
            panel(axes[letter], letter, _TITLES[letter])
    return figure


def _printed(axes: Axes, rows: pd.DataFrame, column: str = "printed") -> None:
    axes.plot(rows["x"], rows[column], color=_PRINTED, linestyle=_DASHED, linewidth=1.6)


def _corrected(axes: Axes, rows: pd.DataFrame) -> None:
    axes.plot(rows["x"], rows["corrected"], color=_CORRECTED, linewidth=2.6, alpha=0.55)


def _dots(axes: Axes, rows: pd.DataFrame, column: str = "exact", most: int = 13) -> None:
    """Exact values as dots, so that a corrected line below them shows."""
    some = rows.iloc[:: max(1, len(rows) // most)]
    axes.plot(some["x"], some[column], "o", color=_EXACT, markersize=3.2)


def _say(axes: Axes, x: float, y: float, text: str, color: str, **options) -> None:
    """A label at a place of the axes, in fractions."""
    axes.annotate(text, (x, y), xycoords="axes fraction", color=color, fontsize=8, **options)


def _means(axes: Axes, rows: pd.DataFrame) -> None:
    _corrected(axes, rows)
    _printed(axes, rows)
    _dots(axes, rows)
    axes.axhline(1, color=GREY, linewidth=0.6)
    axes.set_xlabel("sampler step $j$")
    axes.set_ylabel("mean $m_j$ (data units)")
    axes.set_ylim(-0.1, 2.15)
    _say(axes, 0.42, 0.78, r"printed: $(v_0+v_j)\,m/(s^2+v_0)$", _PRINTED)
    _say(axes, 0.42, 0.16, r"corrected: $(v_0-v_j)\,m/(s^2+v_0)$", _CORRECTED)
    _say(axes, 0.99, 0.53, "mean of the data", GREY, ha="right", va="bottom")


def _divergence(axes: Axes, rows: pd.DataFrame) -> None:
    _corrected(axes, rows)
    _printed(axes, rows)
    _dots(axes, rows)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("$|m|$ (data units)")
    axes.set_ylabel("marginal KL (nats)")
    _say(axes, 0.5, 0.75, "printed", _PRINTED, ha="right")
    _say(axes, 0.72, 0.1, "corrected", _CORRECTED)


def _within(axes: Axes, rows: pd.DataFrame) -> None:
    axes.plot(rows["x"], rows["exact"], color=_EXACT)
    _printed(axes, rows)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("time into the step")
    axes.set_ylabel("nats")
    _say(axes, 0.78, 0.84, "E KL", _EXACT, ha="right")
    _say(axes, 0.99, 0.36, r"printed: $\frac{1}{2}\sigma^2\,E|s-L|^2$", _PRINTED, ha="right")


def _rate(axes: Axes, rows: pd.DataFrame) -> None:
    _corrected(axes, rows)
    _dots(axes, rows, "rate")
    axes.set_xlabel("time into the step")
    axes.set_ylabel("nats per time")
    axes.set_ylim(0, None)
    _say(axes, 0.62, 0.72, r"$d/dt$ of E KL", _EXACT, ha="right")
    _say(axes, 0.72, 0.16, r"corrected: $\sigma^2\,E|s-L|^2$", _CORRECTED, ha="center")


def _irregular(axes: Axes, rows: pd.DataFrame) -> None:
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.plot(rows["x"], rows["corrected"], color=_CORRECTED, linewidth=2)
    _printed(axes, rows)
    axes.plot(rows["x"], rows["exact"], color=_EXACT)
    axes.set_xlabel("second moment $m_2^2$ (squared data units)")
    axes.set_ylabel("nats")
    axes.set_ylim(1.15 * rows["printed"].min(), 1.25 * rows["corrected"].max())
    _say(axes, 0.98, 0.93, "corrected bound", _CORRECTED, ha="right")
    _say(axes, 0.98, 0.48, "exact path KL", _EXACT, ha="right")
    _say(axes, 0.8, 0.1, "printed bound", _PRINTED, ha="right")


def _falling(axes: Axes, rows: pd.DataFrame) -> None:
    axes.axhline(1, color=GREY, linewidth=0.6)
    axes.axvline(0.5, color=GREY, linewidth=0.6, linestyle=(0, (2, 2)))
    looks = (_PRINTED, _DASHED), (BLUE, "-")
    for (name, line), (color, style) in zip(rows.groupby("grid", sort=False), looks, strict=False):
        ratio = line["printed"] / line["exact"]
        axes.plot(line["x"], ratio, color=color, linestyle=style, label=str(name))
    axes.set_xlabel(r"exponent $a$ of $\bar\sigma_t = t^a$")
    axes.set_ylabel(r"printed score term / $E_S$")
    axes.set_ylim(0, None)
    axes.legend(loc="lower right", handlelength=3)
    _say(axes, 0.02, 0.93, "the bound fails:\n" + r"$\sigma_t$ falls with $t$", GREY, va="top")


def _sides(axes: Axes, rows: pd.DataFrame) -> None:
    axes.axhline(0, color=GREY, linewidth=0.6)
    _corrected(axes, rows)
    _printed(axes, rows)
    _dots(axes, rows, most=25)
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1e-2, linscale=0.6)
    axes.set_yticks([-1000, -10, -0.1, 0, 0.1])
    axes.axvline(1, color=GREY, linewidth=0.6, linestyle=(0, (2, 2)))
    axes.set_xlabel(r"noise level $\bar\sigma$ (data units)")
    axes.set_ylabel("loss / weight\n(inverse squared data units)")
    _say(axes, 0.06, 0.28, r"printed: $E|\bar\sigma S+\xi|^2/(2\bar\sigma) + C/2$", _PRINTED)
    _say(axes, 0.06, 0.86, r"left side (dots), and corrected with $1/\bar\sigma^2$", _CORRECTED)


_PANELS: dict[str, tuple[str, Callable[[Axes, pd.DataFrame], None]]] = {
    "a": ("lemma-15", _means),
    "b": ("lemma-13", _divergence),
    "c": ("lemma-9", _within),
    "d": ("lemma-9", _rate),
    "e": ("theorem-2, irregular grid", _irregular),
    "f": ("theorem-2, falling", _falling),
    "g": ("equation-4", _sides),
}

_TITLES = {
    "a": "Lemma 15: means of the sampler",
    "b": "Lemma 13: KL on Gaussian data",
    "c": "Lemma 9: the cost of a part of a step",
    "d": "Lemma 9, corrected: the rate of the cost",
    "e": "Theorem 2 on an irregular grid",
    "f": "Theorem 2 where the noise slows down",
    "g": "Equation (4): score matching and its denoising form",
}

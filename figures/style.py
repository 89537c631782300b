"""One look for every figure: paper size, a serif, colours that colour-blind readers tell apart.

The colours are Okabe and Ito's; every series also has its own marker and line style, so that the
figures read in grey. Fonts are those that matplotlib brings, so that the same table gives the same
bytes on every machine.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 7.0
"""Width of a full-width figure, in inches."""

INK = "#222222"
GREY = "#8a8a8a"
FAINT = "#d9d9d9"
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)

RC: Any = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 1.6,
    "ytick.minor.size": 1.6,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "lines.linewidth": 1.3,
    "lines.markersize": 3.6,
    "lines.markeredgewidth": 0.8,
    "hatch.linewidth": 0.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "design_space",
    "pdf.fonttype": 42,
    "path.simplify": True,
}


@dataclass(frozen=True)
class Series:
    """How one series is drawn wherever it appears."""

    label: str
    color: str
    line: Any
    marker: str
    filled: bool = True

    def kwargs(self, markers: bool = True) -> dict[str, Any]:
        """Keywords for `Axes.plot`."""
        look: dict[str, Any] = {"color": self.color, "linestyle": self.line}
        if markers:
            face = self.color if self.filled else "white"
            look |= {"marker": self.marker, "markerfacecolor": face}
        return look


DESIGNS: Mapping[str, Series] = {
    "edm": Series("EDM", BLUE, "-", "o"),
    "song": Series("Song", VERMILION, (0, (5, 1.6)), "s"),
    "linear-exponential": Series(
        r"$\bar\sigma=t$, exponential", ORANGE, (0, (1.2, 1.6)), "s", filled=False
    ),
    "sqrt-polynomial": Series(
        r"$\bar\sigma=\sqrt{t}$, polynomial", GREEN, (0, (6, 1.4, 1.2, 1.4)), "^"
    ),
    "path-optimal": Series("path-optimal", BLACK, (0, (2.4, 1.2)), "D", filled=False),
}
"""The designs that more than one figure compares."""


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure in the house style, laid out by matplotlib's constrained layout.

    Args:
      height: in inches.
      width: in inches.
    """
    with mpl.rc_context(RC):
        return Figure(figsize=(width, height), layout="constrained")


def styled() -> Any:
    """The context in which axes are made and drawn, so that they take the house style."""
    return mpl.rc_context(RC)


def render(figure: Figure, kind: str, dpi: int = 200) -> bytes:
    """Writes a figure as bytes that depend on the figure only: no dates, no random identifiers.

    Args:
      figure: what to write.
      kind: "pdf", "svg" or "png".
      dpi: dots per inch of a PNG.
    """
    metadata: dict[str, Any] = {
        "pdf": {"CreationDate": None},
        "svg": {"Date": None},
        "png": {"Software": None},
    }[kind]
    buffer = io.BytesIO()
    with mpl.rc_context(RC):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def panel(axes: Axes, letter: str, title: str) -> None:
    """Titles one panel: a bold letter and a phrase, flush left."""
    axes.set_title(rf"$\mathbf{{{letter}}}$  {title}", loc="left")


def label_end(
    axes: Axes, x: float, y: float, text: str, color: str, dx: float = 4.0, dy: float = 0.0
) -> None:
    """Labels a line directly at its end, a few points to the right."""
    axes.annotate(
        text,
        (x, y),
        (dx, dy),
        textcoords="offset points",
        color=color,
        va="center",
        fontsize=8,
        annotation_clip=False,
    )


def spread(values: Any, gap: float) -> np.ndarray:
    """Moves label positions apart until neighbours are at least `gap` from each other.

    Args:
      values: positions, any order.
      gap: least distance, same unit.

    Returns:
      The positions in the given order, moved as little as a few sweeps achieve.
    """
    values = np.asarray(values, dtype=float)
    order = np.argsort(values, kind="stable")
    moved = values[order].copy()
    for _ in range(200):
        overlap = gap - np.diff(moved)
        if np.all(overlap <= 1e-12):
            break
        push = np.where(overlap > 0, overlap / 2, 0.0)
        moved[:-1] -= push
        moved[1:] += push
    result = np.empty_like(moved)
    result[order] = moved
    return result


def number(value: float, digits: int = 3) -> str:
    """A number for a label: plain if it is short, else times a power of ten, in mathtext."""
    if value == 0:
        return "0"
    exponent = int(np.floor(np.log10(abs(value))))
    if -3 <= exponent < 4:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return rf"{value / 10.0**exponent:.{digits - 1}f}$\times 10^{{{exponent}}}$"

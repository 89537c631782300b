"""Laws of samplers in the plane beside the data's, and their difference, for good and bad designs.

The colors grow with the root of what they show: differences of a per cent can be seen beside whole
densities.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from figures.style import BLUE, FAINT, GREY, INK, VERMILION, new_figure, number, panel, styled

CAPTION = (
    "Laws in the plane and what samplers make of them; all end at σ = 0.02 and start, but for one "
    "row, at σ = 80. Left of each pair: the density, with the share of the mass that each mode "
    "gets. Right: the sampler's density minus the data's, red where it has too much, blue where "
    "too little, with KL(p | q) in nats and the total variation; every digit shown is certain. "
    "Colors grow with the root of the value, each pair of columns has one scale, relative to the "
    "data's largest density. Grey line: where the data's density is 5 % of its largest. Each "
    "defect leaves a trace of its own: few steps with noise blur and even out the weights, a start "
    "at too little noise draws the mass inwards, a weak score spreads it outwards, uniform times "
    "do not arrive."
)

_MOST = (3, 6)  # targets and designs that are drawn
_TONES = 24  # so many make small files, and no edges that one sees
_INKS = LinearSegmentedColormap.from_list(
    "density", ["#ffffff", "#a9c9de", BLUE, "#0b2c44"], N=_TONES
)
_SIGNED = LinearSegmentedColormap.from_list(
    "difference",
    ["#06324f", BLUE, "#8fbfdc", "#ffffff", "#f2b08a", VERMILION, "#6e2600"],
    N=2 * _TONES + 1,
)
_CONTOUR = 0.05
_NAMES = {
    "data": "data",
    "Heun, N = 18": "EDM's grid, Heun\n$N = 18$",
    "frozen, N = 36": "EDM's grid, frozen\nscore, $N = 36$",
    "frozen, N = 8": "too few steps:\nfrozen, $N = 8$",
    "Heun, N = 10": "few steps:\nHeun, $N = 10$",
    "small sigma_max": "start too low:\n$\\sigma_{\\max} = 1$",
    "scaled score": "weak score:\n$0.9\\,s$",
    "uniform times": "uniform times:\nfrozen, $N = 36$",
}
_PLACES = {
    "four modes": ((-1.0, 0.22), (1.0, 0.22), (-1.0, -0.22), (1.0, -0.22)),
    "crossed pair": ((-1.1, -1.05), (1.2, 1.2)),
    "two moons": ((-1.3, 1.3), (1.3, -1.3)),
}
"""Where the weights of the modes are written."""


def draw(table: pd.DataFrame) -> Figure:
    """Draws the figure.

    Args:
      table: of the analysis `guidance_free_2d`.

    Returns:
      The figure.
    """
    targets = list(table["target"].unique())[: _MOST[0]]
    designs = [name for name in table["design"].unique() if name != "data"][: _MOST[1]]
    rows = ["data", *designs]
    figure = new_figure(1.02 * len(rows) + 0.35)
    figure.set_layout_engine("constrained", w_pad=0.012, h_pad=0.012, wspace=0.0, hspace=0.0)
    with styled():
        axes = figure.subplots(len(rows), 2 * len(targets), squeeze=False)
        for k, target in enumerate(targets):
            _pair(axes[:, 2 * k : 2 * k + 2], table[table["target"] == target], rows)
            panel(axes[0, 2 * k], "abc"[k], target)
        for ax, name in zip(axes[:, 0], rows, strict=True):
            ax.set_ylabel(_NAMES.get(name, name), rotation=0, ha="right", va="center", labelpad=6)
        for ax in axes[-1]:
            ax.set_xlabel("$x$", labelpad=1)
            ax.set_xticks([-1, 1])
            ax.tick_params(length=2, pad=1.5, labelsize=7)
    return figure


def _picture(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates and densities of one law."""
    lines = rows[rows["part"] == "density"].sort_values("y")
    return lines["y"].to_numpy(), np.stack([np.asarray(line) for line in lines["density"]])


def _pair(axes: np.ndarray, table: pd.DataFrame, names: list[str]) -> None:
    """Two columns: the densities of one target and their differences."""
    of = {name: table[table["design"] == name] for name in names}
    axis, data = _picture(of["data"])
    top = float(np.max(data))
    pictures = {name: _picture(rows)[1] / top for name, rows in of.items()}
    most = max(float(np.max(np.abs(q - pictures["data"]))) for q in pictures.values())
    for (left, right), name in zip(axes, names, strict=True):
        _image(left, axis, pictures[name], (0.0, max(float(np.max(q)) for q in pictures.values())))
        _weights(left, of[name])
        if name == "data":
            _key(right, most)
            continue
        _image(right, axis, pictures[name] - pictures["data"], (-most, most))
        for ax in (left, right):
            ax.contour(axis, axis, pictures["data"], [_CONTOUR], colors=GREY, linewidths=0.4)
        _errors(right, of[name])


def _rooted(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.sqrt(np.abs(values))


def _image(axes: Axes, axis: np.ndarray, values: np.ndarray, ends: tuple[float, float]) -> None:
    """One density or difference."""
    half = (axis[-1] - axis[0]) * len(axis) / (len(axis) - 1) / 2
    low, high = _rooted(np.array(ends))
    axes.imshow(
        _rooted(values),
        origin="lower",
        extent=(-half, half, -half, half),
        cmap=_INKS if low == 0 else _SIGNED,
        vmin=low,
        vmax=high,
        interpolation="bilinear",
        interpolation_stage="data",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)


def _weights(axes: Axes, rows: pd.DataFrame) -> None:
    """The share of each mode, beside it."""
    modes = rows[rows["part"] == "mode"]
    places = _PLACES.get(
        str(rows["target"].iloc[0]), tuple(zip(modes["x"], modes["y"], strict=True))
    )
    if len(modes) < 2:
        return
    for (x, y), weight in zip(places, modes["weight"], strict=True):
        axes.text(x, y, f"{100 * weight:.0f} %", ha="center", va="center", fontsize=6.5, color=INK)


def _errors(axes: Axes, rows: pd.DataFrame) -> None:
    """KL and total variation in the corners."""
    row = rows[rows["part"] == "design"].iloc[0]
    texts = ((0.955, "top", "KL", "marginal_kl"), (0.035, "bottom", "TV", "total_variation"))
    for y, va, name, column in texts:
        axes.text(
            0.04,
            y,
            f"{name} {number(row[column], 2)}",
            transform=axes.transAxes,
            va=va,
            fontsize=6.8,
            color=INK,
        )


def _key(axes: Axes, most: float) -> None:
    """The scale of the differences, in the place that the data leave free."""
    ramp = np.linspace(-1, 1, 257)[None, :]
    axes.imshow(ramp, cmap=_SIGNED, extent=(-1, 1, -0.12, 0.12), vmin=-1, vmax=1)
    axes.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
    for place in (-1.0, -0.5, 0.0, 0.5, 1.0):
        value = np.sign(place) * place**2 * most
        axes.plot([place, place], [-0.12, -0.2], color=INK, linewidth=0.5)
        if place != -0.5 and place != 0.5:
            text = "0" if place == 0 else f"{value:+.2g}".replace("-", "−")
            axes.text(place, -0.26, text, ha="center", va="top", fontsize=6.5)
    axes.text(-1, 0.2, "too little", ha="left", va="bottom", fontsize=6.8)
    axes.text(1, 0.2, "too much", ha="right", va="bottom", fontsize=6.8)
    axes.set_axis_off()

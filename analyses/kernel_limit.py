"""Finite networks and their limit of infinite width: tangent kernel, loss curves, weights.

Source: the architecture and gradient descent of section 3.1 of arXiv 2406.12839; for the limit see
design_space/training/kernel_limit.py.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from design_space.arrays import Array
from design_space.numerics.lanczos import largest_eigenvalue
from design_space.numerics.statistics import mean_estimate
from design_space.schedules.named import edm
from design_space.scores.model import AbstractModel
from design_space.scores.relu_network import ReluNetwork
from design_space.scores.two_layer import TwoLayer
from design_space.training.kernel_limit import limit_dynamics, limit_kernel, limit_matrices
from design_space.training.objective import DenoisingData, denoising_data
from design_space.training.tangent_kernel import (
    KernelDynamics,
    kernel_dynamics,
    loss_kernel,
    tangent_kernel,
    weighted_kernel,
    weighted_residuals,
)
from design_space.training.train import train_ensemble
from design_space.weightings.named import edm_weighting

OPERATOR_NORM = 8**0.5
"""The limit of the largest singular value of a square matrix with entries N(0, 2/m)."""

_LANCZOS = 24


def data_of(settings: Settings) -> DenoisingData:
    """The data of every piece: n points of N(0, I), N levels of EDM's, EDM's weighting.

    Args:
      settings: with points, levels, dim, low and high.
    """
    shape = settings["points"], settings["dim"]
    points = np.random.default_rng(0).normal(size=shape)
    schedule = edm(settings["levels"], sigma_min=settings["low"], sigma_max=settings["high"])
    return denoising_data(points, schedule, edm_weighting(), jax.random.key(0))


def networks(seed: int, count: int, dim: int, width: int, depth: int) -> AbstractModel:
    """Networks as the paper draws them, members first; depth 0 is a hidden layer, trained.

    NumPy draws: JAX' generator would be compiled anew for every shape.

    Args:
      seed: of the generator; the sizes enter it, too.
      count: how many.
      dim: d.
      width: m.
      depth: L.
    """
    random = np.random.default_rng([seed, width, depth])
    scale = math.sqrt(2 / width)
    first = jnp.asarray(scale * random.standard_normal((count, width, dim + 1)))
    last = jnp.asarray(random.standard_normal((count, dim, width)) / math.sqrt(dim))
    if depth == 0:
        return jax.vmap(TwoLayer)(first, last)
    shape = (count, width, width)
    hidden = [jnp.asarray(scale * random.standard_normal(shape)) for _ in range(depth)]
    return jax.vmap(ReluNetwork)(first, tuple(hidden), last)


def _batches(piece: Settings) -> Iterator[AbstractModel]:
    """The networks of a piece, so many at a time that their matrices have at most so many cells."""
    cells = piece["width"] ** 2 * max(piece["depth"], 1)
    count = math.gcd(piece["seeds"], 2 ** int(math.log2(max(piece["cells"] // cells, 1))))
    for first in range(0, piece["seeds"], count):
        yield networks(first, count, piece["dim"], piece["width"], piece["depth"])


def _layers(depth: int) -> tuple[int, int]:
    """Depth and first trained layer, as the limit's functions take them."""
    return depth, min(depth, 1)


def _root_mean_square(samples: np.ndarray) -> dict[str, float]:
    """sqrt(E X^2) with the 99 % interval that the one of E X^2 gives to first order."""
    found = mean_estimate(jnp.asarray(samples**2))
    root = math.sqrt(float(found.value))
    return {"value": root, "error": float(found.error) / (2 * root)}


def _mean(samples: np.ndarray) -> dict[str, float]:
    found = mean_estimate(jnp.asarray(samples))
    return {"value": float(found.value), "error": float(found.error)}


@eqx.filter_jit
def _deviations(
    models: AbstractModel, rows: tuple[Array, Array], limit: Array, width: int
) -> Array:
    """|Theta/m - limit| over |limit|, in the Frobenius norm, for every network."""

    def one(model: AbstractModel) -> Array:
        kernel = tangent_kernel(model, *rows) / width
        off = kernel - limit[:, None, :, None] * jnp.eye(rows[0].shape[1])[None, :, None, :]
        return jnp.linalg.norm(off.ravel())

    dim = rows[0].shape[1]
    return jax.vmap(one)(models) / (math.sqrt(dim) * jnp.linalg.norm(limit))


def _deviation(piece: Settings) -> pd.DataFrame:
    """How far the kernels of one architecture and width are from the limit."""
    data = data_of(piece)
    limit = limit_matrices(data, *_layers(piece["depth"])).kernel
    rows = data.noisy.reshape(-1, piece["dim"]), jnp.tile(data.sigmas, piece["points"])
    found = [
        np.asarray(_deviations(models, rows, limit, piece["width"])) for models in _batches(piece)
    ]
    row = {"depth": piece["depth"], "width": piece["width"]}
    return pd.DataFrame([row | _root_mean_square(np.concatenate(found))])


def _fan(angles: np.ndarray, sigma: float) -> tuple[Array, np.ndarray]:
    """Points of the unit circle at given angles from (1, 0), and the angles of [x, sigma]."""
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return jnp.asarray(points), np.arccos((points[:, 0] + sigma**2) / (1 + sigma**2))


@eqx.filter_jit
def _entries(models: AbstractModel, points: Array, sigma: Array, width: int) -> Array:
    """The mean diagonal entry of Theta/m between the first point and each, for every network."""

    def one(model: AbstractModel) -> Array:
        others = points, jnp.full(points.shape[0], sigma)
        kernel = tangent_kernel(model, points[:1], others[1][:1], others)[0]
        return jnp.einsum("ckc->k", kernel) / (2 * width)

    return jax.vmap(one)(models)


def _limit_entries(points: Array, sigma: float, depth: int) -> np.ndarray:
    """The same in the limit."""
    one = jax.vmap(lambda x: limit_kernel(points[0], sigma, x, sigma, *_layers(depth)))
    return np.asarray(one(points))


def _angle(piece: Settings) -> pd.DataFrame:
    """The kernel against the angle of its inputs, over its limit at equal inputs."""
    sigma, depth = piece["sigma"], piece["depth"]
    points, x = _fan(np.linspace(0, np.pi, piece["angles"]), sigma)
    limit = _limit_entries(points, sigma, depth)
    level, width = jnp.asarray(sigma), piece["width"]
    found = [_entries(models, points, level, width) for models in _batches(piece)]
    mean = mean_estimate(jnp.concatenate(found))
    columns = {"x": x, "value": mean.value, "error": mean.error, "limit": limit}
    networks_rows = pd.DataFrame({k: np.asarray(v) for k, v in columns.items()})
    points, x = _fan(np.linspace(0, np.pi, 121), sigma)
    line = pd.DataFrame({"x": x, "limit": _limit_entries(points, sigma, depth)})
    table = pd.concat([networks_rows, line], ignore_index=True)
    table[["value", "error", "limit"]] /= limit[0]
    return table.assign(depth=depth, width=piece["width"])


@eqx.filter_jit
def _own(models: AbstractModel, data: DenoisingData) -> KernelDynamics:
    """Solved gradient descent of every network with its own kernel at initialization."""

    def one(model: AbstractModel) -> KernelDynamics:
        return kernel_dynamics(loss_kernel(model, data), weighted_residuals(model, data))

    return jax.vmap(one)(models)


@eqx.filter_jit
def _of_limit(models: AbstractModel, data: DenoisingData, kernel: Array) -> KernelDynamics:
    """The same with the limit's kernel."""
    return jax.vmap(lambda model: kernel_dynamics(kernel, weighted_residuals(model, data)))(models)


@eqx.filter_jit
def _losses(dynamics: KernelDynamics, steps: Array, rate: Array) -> Array:
    """Losses of every member at every step, members first."""

    def one(member: KernelDynamics) -> Array:
        return jax.vmap(lambda k: member.loss(k, rate))(steps)

    return jax.vmap(one)(dynamics)


@eqx.filter_jit
def _operator_norms(moves: Array) -> Array:
    """The largest singular value of each matrix, by Lanczos."""

    def one(move: Array) -> Array:
        start = jax.random.normal(jax.random.key(1), (move.shape[1],))
        steps = min(_LANCZOS, move.shape[1])
        return jnp.sqrt(largest_eigenvalue(lambda v: move.T @ (move @ v), start, steps).value)

    return jax.vmap(one)(moves)


def _run(piece: Settings, data: DenoisingData, rate: float) -> dict[str, np.ndarray]:
    """What is measured of the networks of one width, seeds first."""
    steps = piece["steps"]
    kernel = piece["width"] * weighted_kernel(limit_matrices(data, piece["depth"]).kernel, data)
    parts = []
    for models in _batches(piece):
        own, limit = _own(models, data), _of_limit(models, data, kernel)
        trained = train_ensemble(
            models,
            data,
            steps=steps[-1],
            learning_rates=rate,
            records=steps,
            on_divergence="record",
        )
        before, after = models.weights()[0], trained.model.weights()[0]
        at = jnp.asarray(steps), jnp.asarray(rate)
        found = {
            "loss": trained.info.loss,
            "own": _losses(own, *at),
            "limit": _losses(limit, *at),
            "most": own.eigenvalues[:, -1],
            "least": own.eigenvalues[:, 0],
            "way": trained.info.distances[:, -1, 0],
            "start": jnp.linalg.norm(before, axis=(1, 2)),
            "operator": _operator_norms(after - before),
        }
        parts.append({name: np.asarray(value) for name, value in found.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _training(piece: Settings) -> pd.DataFrame:
    """Gradient descent of networks of one width beside both kernels' predictions."""
    data = data_of(piece)
    expected = limit_dynamics(data, piece["width"], piece["depth"])
    rate = piece["share"] * float(expected.stability_limit)
    found = _run(piece, data, rate)
    rows = []
    for i, step in enumerate(piece["steps"]):
        row = {"part": "curve", "x": step, "limit": float(expected.loss(step, rate))}
        rows.append(row | _mean(found["loss"][:, i]) | {"own": found["own"][:, i].mean()})
    ends = {name: np.log(found[name][:, -1]) for name in ("loss", "own", "limit")}
    gaps = {"freezing": ends["loss"] - ends["own"], "kernel": ends["own"] - ends["limit"]}
    rows += [{"part": "gap", "series": name} | _mean(np.abs(gap)) for name, gap in gaps.items()]
    ways = {
        "distance": found["way"],
        "relative": found["way"] / found["start"],
        "operator": found["operator"] / OPERATOR_NORM,
    }
    rows += [{"part": "way", "series": name} | _mean(way) for name, way in ways.items()]
    ratios = {
        "largest": found["most"] / float(expected.eigenvalues[-1]),
        "smallest": found["least"] / float(expected.eigenvalues[0]),
    }
    rows += [{"part": "spectrum", "series": k} | _mean(ratio) for k, ratio in ratios.items()]
    return pd.DataFrame(rows).assign(width=piece["width"], depth=piece["depth"], rate=rate)


_COMPUTE = {"deviation": _deviation, "angle": _angle, "training": _training}


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one piece; `part` is "deviation", "angle", or what training has."""
    table = _COMPUTE[piece["part"]](piece)
    return table if "part" in table else table.assign(part=piece["part"])


def pieces(settings: Settings) -> Sequence[dict[str, Any]]:
    """One piece per architecture and width."""
    common = {name: settings[name] for name in ("seeds", "cells")} | settings["data"]
    deviations = [
        common | {"part": "deviation", "depth": depth, "width": width}
        for depth, widths in settings["deviation"]
        for width in widths
    ]
    angles = [common | {"part": "angle", "depth": d} | settings["angle"] for d in (1, 2, 3)]
    own = settings["training"]
    runs = [common | own["each"] | {"part": "training", "width": m} for m in own["widths"]]
    return [*deviations, *angles, *runs]


def slope(rows: pd.DataFrame) -> tuple[float, float]:
    """The slope of ln value on ln width, and its 99 % half-width from those of the values.

    Widths have seeds of their own, so that errors add in squares.

    Args:
      rows: one row for each width, with value and error.
    """
    across = np.log(rows["width"].to_numpy(float))
    lever = (across - across.mean()) / np.sum((across - across.mean()) ** 2)
    values, errors = (rows[name].to_numpy(float) for name in ("value", "error"))
    return float(lever @ np.log(values)), float(np.sqrt(np.sum((lever * errors / values) ** 2)))


def finding(table: pd.DataFrame) -> str:
    """Slopes in the width, and what the limit says of finite networks."""

    def of(part: str, column: str, value: Any) -> pd.DataFrame:
        rows = table[(table["part"] == part) & (table[column] == value)]
        return rows.sort_values("width")

    def slope_words(rows: pd.DataFrame) -> str:
        found, error = slope(rows)
        return f"{found:.3f} ± {error:.3f}"

    names = {0: "hidden layer", 1: "L = 1", 2: "L = 2", 3: "L = 3"}
    deviations = ", ".join(
        f"{n} {slope_words(of('deviation', 'depth', d))}" for d, n in names.items()
    )
    points = table[(table["part"] == "angle") & table["value"].notna()]
    inside = int(((points["value"] - points["limit"]).abs() <= points["error"]).sum())
    gaps = [of("gap", "series", name) for name in ("freezing", "kernel")]
    ways = {
        name: slope_words(of("way", "series", name))
        for name in ("distance", "relative", "operator")
    }
    least, most = of("spectrum", "series", "smallest"), of("spectrum", "series", "largest")
    first, last = int(least["width"].iloc[0]), int(least["width"].iloc[-1])
    curve = of("curve", "width", last)
    off = ((curve["value"] - curve["limit"]).abs() <= curve["error"]).sum()
    falls = [f"{rows['value'].iloc[0]:.2g} to {rows['value'].iloc[-1]:.2g}" for rows in gaps]
    return (
        f"The relative deviation of Theta/m from its limit falls with the width to the power "
        f"{deviations} (99 %). At {inside} of {len(points)} angles the limit lies in the interval "
        f"of the networks' mean. After {int(curve['x'].max())} steps the loss differs from that of "
        f"the network's own frozen kernel by {falls[0]} in ln loss from m = {first} to {last}, "
        f"slope {slope_words(gaps[0])}, and own from limit kernel by {falls[1]}, slope "
        f"{slope_words(gaps[1])}. At m = {last} the limit's expected loss is in the interval of "
        f"the mean at {off} of {len(curve)} recorded steps. |W - W0| has slope {ways['distance']}, "
        f"over |W0| {ways['relative']}, in operator norm {ways['operator']}. lambda_min(K) is "
        f"{least['value'].iloc[0]:.2f} of its limit at m = {first} and "
        f"{least['value'].iloc[-1]:.2f} at m = {last}, lambda_max {most['value'].iloc[0]:.2f} and "
        f"{most['value'].iloc[-1]:.2f}."
    )


def _preset(
    seeds: int, cells: int, shallow: list, deep: list, wide: int, trained: list, steps: list
) -> dict[str, Any]:
    return {
        "seeds": seeds,
        "cells": cells,
        "data": {"points": 4, "levels": 3, "dim": 2, "low": 0.2, "high": 2.0},
        "deviation": [[0, shallow], [1, shallow], [2, deep], [3, deep]],
        "angle": {"width": wide, "angles": 9, "sigma": 0.3},
        "training": {
            "widths": trained,
            "each": {"seeds": 64, "depth": 1, "share": 0.25, "steps": steps},
        },
    }


_STEPS = [0, 1, 2, 4, 8, 16, 32, 64]
_WIDTHS = [64, 128, 256, 512, 1024]

EXPERIMENT = Experiment(
    name="kernel_limit",
    title="The tangent kernel and its limit of large width",
    file=Path(__file__),
    presets={
        "quick": _preset(128, 2**23, _WIDTHS, _WIDTHS[:4], 256, _WIDTHS[:4], _STEPS),
        "full": _preset(
            64,
            2**31,
            [*_WIDTHS, 2048, 4096, 8192, 16384],
            [*_WIDTHS, 2048, 4096],
            2048,
            [*_WIDTHS, 2048, 4096],
            [*_STEPS, 128, 256],
        ),
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
)

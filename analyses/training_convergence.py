"""Loss against gradient descent step, beside Theorem 1's bound and the tangent kernel's prediction.

The paper's network at a stable step h = 1/lambda_max, several widths and weightings, over seeds.

Source: Theorem 1 of arXiv 2406.12839; Jacot, Gabriel and Hongler 2018 for the tangent kernel.
"""

from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from design_space.arrays import Array
from design_space.bounds.convergence import (
    ConvergenceConstants,
    TrainingSizes,
    printed_rate,
    theorem_1,
)
from design_space.numerics.statistics import geometric_mean
from design_space.schedules.named import edm
from design_space.scores.relu_network import relu_network
from design_space.targets.gaussian import Gaussian
from design_space.training.descent import Info
from design_space.training.ensemble import Ensemble
from design_space.training.kernel_limit import limit_dynamics
from design_space.training.learning_rate import SAFE_SHARE, stability_limit
from design_space.training.objective import DenoisingData, denoising_data
from design_space.training.tangent_kernel import kernel_dynamics, loss_kernel, weighted_residuals
from design_space.weightings.base import AbstractWeighting, CustomWeighting
from design_space.weightings.named import edm_weighting, uniform


def weighting_of(name: str, settings: Settings) -> AbstractWeighting:
    """The weightings compared: EDM's bell, uniform, and beta_j = 1/sigma_j^2 (all a_j equal)."""
    if name == "equal a":
        schedule = edm(settings["levels"], settings["low"], settings["high"])
        return CustomWeighting(1 / schedule.forward_sigmas[1:] ** 2)
    return {"EDM": edm_weighting, "uniform": uniform}[name]()


def data_of(settings: Settings) -> DenoisingData:
    """The data sets of all seeds, the same for every width and weighting but for beta."""
    schedule = edm(settings["levels"], settings["low"], settings["high"])
    weighting = weighting_of(settings["weighting"], settings)
    target = Gaussian.isotropic(settings["dim"], 1.0)

    def one(key: Any) -> DenoisingData:
        points = target.sample(key, settings["points"])
        return denoising_data(points, schedule, weighting, key, "float64")

    return jax.vmap(one)(jax.random.split(jax.random.key(settings["seed"]), settings["seeds"]))


class Runs(NamedTuple):
    """What one width under one weighting gives, the seeds along the first axis.

    Attributes:
      info: measured before every step.
      rates: learning rates.
      kernel: the losses that the kernel at initialization predicts for every step.
    """

    info: Info
    rates: Array
    kernel: Array


def runs_of(settings: Settings) -> Runs:
    """Trains the networks of one width under one weighting, every step measured.

    Args:
      settings: of one piece.
    """
    data, steps = data_of(settings), settings["steps"]
    keys = jax.random.split(jax.random.key(settings["seed"] + 1), settings["seeds"])
    sizes = (settings["dim"], settings["width"], settings["depth"])

    @eqx.filter_jit
    def run(keys: Any, data: DenoisingData) -> Runs:
        models = jax.vmap(lambda key: relu_network(key, *sizes))(keys)
        rates = SAFE_SHARE * eqx.filter_vmap(stability_limit)(models, data)
        ensemble = Ensemble(models, data, rates)
        _, info = ensemble.every_step(ensemble.init(), steps)

        def predicted(model: Any, own: DenoisingData, rate: Array) -> Array:
            dynamics = kernel_dynamics(loss_kernel(model, own), weighted_residuals(model, own))
            return jax.vmap(lambda k: dynamics.loss(k, rate))(jnp.arange(steps))

        return Runs(info, rates, eqx.filter_vmap(predicted)(models, data, rates))

    size = settings["batch"]
    parts = []
    for first in range(0, settings["seeds"], size):
        batch = slice(first, first + size)
        parts.append(run(*jax.tree.map(lambda leaf, at=batch: leaf[at], (keys, data))))
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


def largest_scales(data: DenoisingData, info: Info) -> Array:
    """a_{j*} at every step, the runs along the first axis."""
    scales = data.beta * data.sigmas**2
    return jnp.take_along_axis(scales, info.where[:, :, 1], axis=1)


def largest_decay(info: Info, scales: Array, rates: Array, sizes: TrainingSizes) -> float:
    """The largest C5 with which Theorem 1's bound holds at every step of every run.

    Args:
      info: measured before every step, the runs along the first axis.
      scales: a_{j*} at these steps.
      rates: learning rates of the runs.
      sizes: n, N, d, m.
    """
    printed = rates[:, None] * jax.vmap(lambda a: printed_rate(a, sizes))(scales)
    printed = np.asarray(printed)
    loss = np.asarray(info.loss)

    def holds(constant: float) -> bool:
        bound = np.cumsum(np.log1p(-np.minimum(constant * printed[:, :-1], 1 - 1e-16)), axis=1)
        return bool(np.all(np.log(loss[:, 1:] / loss[:, :1]) <= bound))

    low, high = 0.0, 1 / float(printed.max())
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def compute(piece: Settings) -> pd.DataFrame:
    """One weighting at one width, or in the limit of infinite width.

    Args:
      piece: settings; width None stands for the limit.
    """
    found = _limit(piece) if piece["width"] is None else _network(piece)
    return found.assign(weighting=piece["weighting"], width=float(piece["width"] or np.inf))


def _kept(settings: Settings) -> np.ndarray:
    """The steps that go into the table: all of the first few, then evenly in their logarithm."""
    last = settings["steps"] - 1
    return np.unique(np.concatenate([[0], np.geomspace(1, last, 60).round().astype(int)]))


def _network(piece: Settings) -> pd.DataFrame:
    data, runs, at = data_of(piece), runs_of(piece), _kept(piece)
    loss = np.asarray(runs.info.loss)
    sizes = TrainingSizes(
        piece["points"], piece["levels"], piece["dim"], piece["width"], piece["depth"]
    )
    scales = largest_scales(data, runs.info)
    constant = largest_decay(runs.info, scales, runs.rates, sizes)
    constants = ConvergenceConstants(decay=constant)
    bound = jax.vmap(lambda a, h: theorem_1(a, h, sizes, constants))(scales, runs.rates)
    bound = np.concatenate([np.ones((len(loss), 1)), np.asarray(bound)[:, :-1]], axis=1)
    series = {"loss": loss / loss[:, :1], "bound": bound}
    series["kernel"] = np.asarray(runs.kernel) / loss[:, :1]
    rows = [
        pd.DataFrame(geometric_mean(values[:, at])._asdict()).assign(
            part="curve", series=name, step=at
        )
        for name, values in series.items()
    ]
    off = np.abs(np.log(series["loss"][:, -1] / series["kernel"][:, -1]))
    moved = np.asarray(runs.info.distances)[:, -1, 0] / np.sqrt(2 * piece["width"])
    summary = {
        "part": "summary",
        "constant": constant,
        "rise": float(np.max(np.diff(np.log(loss), axis=1))),
        "kernel_gap": float(np.exp(np.mean(np.log(off)))),
        "moved": float(np.mean(moved)),
        "distinct": len(np.unique(np.asarray(runs.info.where)[:, :, 1])),
    }
    return pd.concat([*rows, pd.DataFrame([summary])], ignore_index=True)


def _limit(piece: Settings) -> pd.DataFrame:
    """The expected loss over initializations of infinitely wide networks, for each seed's data."""
    at = _kept(piece)

    @eqx.filter_jit
    def run(data: DenoisingData) -> Array:
        def one(own: DenoisingData) -> Array:
            dynamics = limit_dynamics(own, 1.0, piece["depth"])
            rate = SAFE_SHARE * dynamics.stability_limit
            return jax.vmap(lambda k: dynamics.loss(k, rate))(jnp.asarray(at))

        return jax.vmap(one)(data)

    losses = np.asarray(run(data_of(piece)))
    band = geometric_mean(losses / losses[:, :1])._asdict()
    return pd.DataFrame(band).assign(part="curve", series="limit", step=at)


def pieces(settings: Settings) -> list[dict]:
    """One piece for each weighting at each width."""
    common = {k: v for k, v in settings.items() if k not in ("weightings", "widths")}
    return [
        common | {"weighting": weighting, "width": width}
        for weighting in settings["weightings"]
        for width in settings["widths"]
    ]


def finding(table: pd.DataFrame) -> str:
    """How far the loss falls, how loose the bound is, and how near the kernel comes."""
    curves, sums = table[table["part"] == "curve"], table[table["part"] == "summary"]
    last = curves[curves["step"] == curves["step"].max()]
    wide = sums["width"].max()

    def at(weighting: str, series: str, width: float) -> pd.Series:
        rows = last[(last["weighting"] == weighting) & (last["series"] == series)]
        return rows[rows["width"] == width].iloc[0]

    steady = bool((sums["rise"].dropna() < 0).all())
    words = []
    for weighting in sums["weighting"].unique():
        end, limit = at(weighting, "loss", wide), at(weighting, "limit", np.inf)
        own = sums[sums["weighting"] == weighting].sort_values("width")
        constants = ", ".join(
            f"{c:.3g} (m = {m:.0f})" for c, m in own[["constant", "width"]].values
        )
        words.append(
            f"{weighting}: after {int(end['step'])} steps the loss is {end['value']:.2e} "
            f"[{end['low']:.2e}, {end['high']:.2e}] of the initial one at m = {wide:.0f} "
            f"(expected in the limit: {limit['value']:.2e}); the largest C5 that fits every run is "
            f"{constants}."
        )
    gaps = sums.groupby("width")["kernel_gap"].apply(lambda g: np.exp(np.mean(np.log(g))))
    moved = sums.groupby("width")["moved"].mean()
    words.append(
        "Between the network and its kernel's prediction lies a factor of "
        + ", ".join(f"e^{gap:.2g} (m = {m:.0f})" for m, gap in gaps.items())
        + "; the trained layer moves by "
        + ", ".join(f"{100 * way:.2g} % (m = {m:.0f})" for m, way in moved.items())
        + " of its norm. The loss fell at every step "
        + ("of every run." if steady else "of most runs, not of all.")
    )
    return " ".join(words)


_COMMON = {"points": 4, "levels": 4, "dim": 8, "depth": 1, "low": 0.2, "high": 2.0, "seed": 0}

EXPERIMENT = Experiment(
    name="training_convergence",
    title="Loss against step, bound and kernel",
    file=Path(__file__),
    presets={
        "quick": _COMMON
        | {
            "weightings": ["EDM", "uniform", "equal a"],
            "widths": [64, 192, 512, None],
            "seeds": 8,
            "batch": 8,
            "steps": 600,
        },
        "full": _COMMON
        | {
            "weightings": ["EDM", "uniform", "equal a"],
            "widths": [64, 256, 1024, 4096, 16384, None],
            "seeds": 64,
            "batch": 8,
            "steps": 2000,
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    workers=2,
)

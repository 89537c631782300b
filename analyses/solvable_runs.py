"""Runs of models linear in their weights on few or many data: closed form beside simulation.

Losses are over the floor -C_bar of the population loss; data are two modes in one dimension.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Settings
from design_space.arrays import Array, Key
from design_space.errors.training import population_loss
from design_space.numerics.statistics import median
from design_space.schedules.named import edm
from design_space.schedules.schedule import Schedule
from design_space.scores.linear import per_level_affine, random_features, shared_affine
from design_space.scores.model import AbstractModel
from design_space.targets.base import AbstractTarget
from design_space.targets.mixture import GaussianMixture
from design_space.training.objective import DenoisingData
from design_space.training.population import loss_floor
from design_space.training.solvable import Solvable, solvable
from design_space.training.train import train_ensemble
from design_space.weightings.named import edm_weighting

STEP = 0.5
"""Learning rates in units of the stability limit: h = 1/lambda_max."""


def schedule_of(settings: Settings) -> Schedule:
    """The noise levels, on EDM's grid."""
    return edm(settings["levels"], settings["low"], settings["high"])


def two_modes() -> GaussianMixture:
    """The mixture N(-1, 0.3^2)/2 + N(1, 0.3^2)/2."""
    return GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], [0.3, 0.3])


def _models(piece: Settings) -> AbstractModel:
    """Models from S = 0, the seeds along the first axis."""
    keys = jax.random.split(jax.random.key(piece["seed"]), piece["seeds"])

    def one(key: Key) -> AbstractModel:
        if piece["model"] == "random features":
            return random_features(key, 1, piece["width"], bias=True)
        if piece["model"] == "shared":
            return shared_affine(1, piece["scales"])
        return per_level_affine(1, schedule_of(piece))

    return eqx.filter_vmap(one)(keys)


def runs_of(piece: Settings) -> tuple[AbstractModel, DenoisingData]:
    """Models from S = 0 and data of the two modes, the seeds along the first axis.

    The data are drawn by NumPy: JAX' generator would be compiled anew for every shape.

    Args:
      piece: settings of one run.
    """
    schedule, random = schedule_of(piece), np.random.default_rng([5, piece["seed"]])
    seeds, points = piece["seeds"], piece["points"]
    modes = np.sign(random.random((seeds, points, 1)) - 0.5)
    data = jax.vmap(DenoisingData)(
        jnp.asarray(modes + 0.3 * random.standard_normal(modes.shape)),
        jnp.asarray(random.standard_normal((seeds, points, schedule.steps, 1))),
        jnp.tile(schedule.forward_sigmas[1:], (seeds, 1)),
        jnp.tile(edm_weighting().total(schedule), (seeds, 1)),
    )
    return _models(piece), data


@eqx.filter_jit
@eqx.filter_vmap(in_axes=(eqx.if_array(0), None, None))
def _population(model: AbstractModel, target: AbstractTarget, schedule: Schedule) -> Array:
    """The population loss of every seed's model."""
    return population_loss(target, schedule, edm_weighting(), model).total.value


@eqx.filter_jit
@eqx.filter_vmap(in_axes=(eqx.if_array(0), None, 0))
def _at(solution: Solvable, step: Array, rate: Array) -> AbstractModel:
    return solution.at(step, rate)


_solved = eqx.filter_jit(eqx.filter_vmap(solvable))


def first_below(steps: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """The step at which each seed's ratio first falls below 1, by interpolation; else infinite.

    Args:
      steps: ascending.
      ratios: shape [seeds, steps].
    """
    found = []
    for row in np.log(np.maximum(ratios, np.finfo(float).tiny)):
        below = np.flatnonzero(row < 0)
        if not len(below) or below[0] == 0:
            found.append(steps[0] if len(below) else np.inf)
            continue
        k = int(below[0])
        part = row[k - 1] / (row[k - 1] - row[k])
        found.append(steps[k - 1] * (steps[k] / steps[k - 1]) ** part)
    return np.array(found)


def empirical(piece: Settings) -> pd.DataFrame:
    """Training and population loss over the floor, by the closed form; and simulated descent.

    Args:
      piece: settings of one run: model, points, levels and their range, seeds, steps.
    """
    schedule, target = schedule_of(piece), two_modes()
    models, data = runs_of(piece)
    solutions = _solved(models, data)
    rates = STEP * eqx.filter_vmap(lambda s: s.stability_limit)(solutions)
    steps = np.unique(np.geomspace(1, piece["last"], piece["kept"]).round())
    at = jnp.asarray(steps)
    losses = eqx.filter_vmap(lambda s, h: s.loss(at, h))(solutions, rates)
    population = [_population(_at(solutions, k, rates), target, schedule) for k in at]
    floor = float(jnp.sum(loss_floor(target, schedule, edm_weighting()).value))
    series = {"training": losses, "population": jnp.stack(population, axis=1)}
    ratios = {name: np.asarray(values) / floor for name, values in series.items()}
    rows = [
        pd.DataFrame(median(values)._asdict()).assign(part="curve", series=name, step=steps)
        for name, values in ratios.items()
    ]
    crossed = first_below(steps, ratios["training"])
    inside = int(np.isfinite(crossed).sum())
    summary = [
        {"part": "crossing", "seeds": inside} | median(crossed)._asdict(),
        {"part": "least population", "value": float(ratios["population"].min())},
        {"part": "affine floor", "value": _affine_floor(schedule) / floor},
    ]
    simulated = _simulated(piece, models, data, solutions, rates)
    simulated[["value", "low", "high"]] /= np.where(simulated["part"] == "curve", floor, 1)[:, None]
    return pd.concat([*rows, pd.DataFrame(summary), simulated], ignore_index=True)


def _affine_floor(schedule: Schedule) -> float:
    """The least population loss of affine models: the mmse is that of N(0, 1.09)."""
    v, spread = np.asarray(schedule.forward_variances[1:]), 1 + 0.3**2
    beta = np.asarray(edm_weighting().total(schedule))
    return float(0.5 * np.sum(beta * spread / (spread + v)))


def _simulated(
    piece: Settings, models: AbstractModel, data: DenoisingData, solutions: Solvable, rates: Array
) -> pd.DataFrame:
    """Simulated descent beside the closed form: losses, level losses and the last weights."""
    records = np.unique(np.geomspace(1, piece["simulated"], 12).round().astype(int))
    run = train_ensemble(
        models,
        data,
        steps=int(records[-1]),
        records=records.tolist(),
        learning_rates=np.asarray(rates),
        on_divergence="record",
    )
    at = jnp.asarray(records)
    exact = eqx.filter_vmap(lambda s, h: (s.loss(at, h), s.level_losses(at, h)))(solutions, rates)
    weights = eqx.filter_vmap(lambda s, h: s.weights(at[-1], h)[0])(solutions, rates)
    found = run.info.loss, run.info.level_losses, run.model.weights()[0]
    pairs = zip(found, (*exact, weights), strict=True)
    off = [float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b))) for a, b in pairs]
    relative = np.max(np.abs(np.asarray(run.info.loss) / np.asarray(exact[0]) - 1))
    dots = pd.DataFrame(median(np.asarray(run.info.loss))._asdict())
    dots = dots.assign(part="curve", series="simulated", step=records.astype(float))
    names = ("loss", "level losses", "weights", "loss, relative")
    values = (*off, float(relative))
    agreed = pd.DataFrame({"part": "agreement", "series": names, "value": values})
    return pd.concat([dots, agreed.assign(step=float(records[-1]))], ignore_index=True)

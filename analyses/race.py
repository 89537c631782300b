"""Training runs that differ in the weighting of the loss only, side by side.

Members are ordered by weighting, then by seed: a seed has the same data, noise and initial weights
under every weighting. Weightings are scaled to max_j a_j = 1, which changes nothing that is
compared at a multiple of a run's own stability limit.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from analyses.residuals import mismatch
from design_space.arrays import Array, Key
from design_space.schedules.named import edm
from design_space.schedules.schedule import Schedule
from design_space.scores.linear import random_features
from design_space.scores.model import AbstractModel
from design_space.scores.preconditioned import preconditioned
from design_space.scores.relu_network import relu_network
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture
from design_space.training.learning_rate import stability_limit
from design_space.training.objective import DenoisingData, denoising_data, residuals
from design_space.training.solvable import solvable
from design_space.training.train import train_ensemble
from design_space.weightings.base import AbstractWeighting
from design_space.weightings.named import edm_weighting, min_snr, p2, song, uniform

NAMED: Mapping[str, Callable[[], AbstractWeighting]] = {
    "EDM": edm_weighting,
    "uniform": uniform,
    "Song": song,
    "Min-SNR": min_snr,
    "P2": p2,
}
EQUAL, AGAIN = "equal f at start", "equal f again and again"
"""beta_j that makes every level's mean f_ij equal at the start, or anew at every record."""

_SPACING = 1 / 16  # of quadrature nodes; see analyses/residuals.py


class Runs(NamedTuple):
    """Models with their data, the members along the first axis.

    Attributes:
      models: the members' models.
      data: their data.
      weightings: the name of each member's weighting.
    """

    models: AbstractModel
    data: DenoisingData
    weightings: tuple[str, ...]


class Measures(NamedTuple):
    """What is compared, at one step of one member.

    Attributes:
      own: the loss that is trained, in its own weighting.
      residual: mean of |sigma_j S + xi|^2/d over the training set, the same for all weightings.
      score: E_S = (1/2) sum_j h_j E|S - L|^2 over the data law, in nats; NaN if not asked for.
      levels: the part of each level in `score`.
      unevenness: the largest over the mean of the levels' mean f_ij.
    """

    own: Any
    residual: Any
    score: Any
    levels: Any
    unevenness: Any


def target_of(settings: Mapping[str, Any]) -> AbstractTarget:
    """The data law of a race: two modes in one dimension, N(0, I) in several."""
    if settings["dim"] == 1:
        return GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], [0.3, 0.3])
    return Gaussian.isotropic(settings["dim"], 1.0)


def schedule_of(settings: Mapping[str, Any]) -> Schedule:
    """The noise levels of a race, on EDM's grid."""
    return edm(settings["levels"], settings["low"], settings["high"])


def _model(key: Key, settings: Mapping[str, Any]) -> AbstractModel:
    dim, width = settings["dim"], settings["width"]
    if settings["model"] == "features":
        return random_features(key, dim, width)
    network = relu_network(key, dim, width, settings["depth"], settings["dtype"])
    return preconditioned(network, 0.5) if settings["model"] == "preconditioned" else network


def _scaled(data: DenoisingData, beta: Array) -> DenoisingData:
    """The data under another weighting, scaled to max_j a_j = 1."""
    top = jnp.max(beta * data.sigmas**2, axis=-1, keepdims=True)
    return eqx.tree_at(lambda d: d.beta, data, beta / top)


def equalizing(model: AbstractModel, data: DenoisingData) -> Array:
    """beta_j = 1/mean_i |r_ij|^2, under which every level's mean f_ij is 1, [levels].

    Args:
      model: where the residuals are taken.
      data: data and noise.
    """
    squares = jnp.sum(residuals(model, data) ** 2, axis=-1)
    return 1 / jnp.mean(squares, axis=0)


_equalizing = eqx.filter_jit(eqx.filter_vmap(equalizing))
_limits = eqx.filter_jit(eqx.filter_vmap(stability_limit))


def entered(settings: Mapping[str, Any], weightings: tuple[str, ...], seeds: int) -> Runs:
    """The members before training.

    Args:
      settings: of the race: model, dim, width, depth, points, levels, low, high, dtype, seed.
      weightings: names, of NAMED or the two equalizing ones.
      seeds: members for each weighting.
    """
    keys = jax.random.split(jax.random.key(settings["seed"]), seeds)
    target, schedule, count = target_of(settings), schedule_of(settings), len(weightings)

    def drawn(key: Key) -> tuple[AbstractModel, DenoisingData]:
        points = target.sample(key, settings["points"])
        own = denoising_data(points, schedule, uniform(), key, settings["dtype"])
        return _model(key, settings), own

    built = eqx.filter_vmap(drawn)(keys)
    arrays, rest = eqx.partition(built, eqx.is_array)
    tiled = jax.tree.map(lambda leaf: jnp.tile(leaf, (count,) + (1,) * (leaf.ndim - 1)), arrays)
    models, data = eqx.combine(tiled, rest)
    beta = _equalizing(models, data)
    for place, name in enumerate(weightings):
        if name in NAMED:
            values = jnp.asarray(NAMED[name]().total(schedule), beta.dtype)
            beta = beta.at[place * seeds : (place + 1) * seeds].set(values)
    names = tuple(name for name in weightings for _ in range(seeds))
    return Runs(models, _scaled(data, beta), names)


def _measure(
    target: AbstractTarget | None, schedule: Schedule
) -> Callable[[AbstractModel, DenoisingData], Measures]:
    """Measures one member; the score error only if there is a target."""
    sigmas, steps = schedule.forward_sigmas[1:], schedule.forward_variance_steps

    def one(model: AbstractModel, data: DenoisingData) -> Measures:
        squares = jnp.sum(residuals(model, data) ** 2, axis=-1)
        weighted = jnp.mean(data.beta[None, :] * squares, axis=0)
        levels = jnp.full(sigmas.shape, jnp.nan)
        if target is not None:
            off = jax.lax.map(lambda s: mismatch(target, model, s, _SPACING), sigmas)
            levels = 0.5 * steps * off
        return Measures(
            0.5 * jnp.sum(weighted),
            jnp.mean(squares) / data.points.shape[-1],
            jnp.sum(levels),
            levels,
            jnp.max(weighted) / jnp.mean(weighted),
        )

    return one


def measuring(settings: Mapping[str, Any]) -> Callable[[AbstractModel, DenoisingData], Measures]:
    """The measurement of a race, compiled, of all members at once.

    Args:
      settings: of the race.
    """
    target = target_of(settings) if settings["dim"] == 1 else None
    return eqx.filter_jit(eqx.filter_vmap(_measure(target, schedule_of(settings))))


def trained(
    runs: Runs, multiples: np.ndarray, at: np.ndarray, measure: Callable[..., Measures]
) -> tuple[list[Measures], np.ndarray]:
    """Trains all members, measuring them at the given steps.

    Args:
      runs: the members.
      multiples: learning rates in units of each member's stability limit, [members].
      at: steps, ascending, the first above 0.
      measure: of `measuring`.

    Returns:
      The measurements at step 0 and at each of the steps, and whether each member was lost.
    """
    models, data = runs.models, runs.data
    again = np.array([name == AGAIN for name in runs.weightings])
    rates = multiples * np.asarray(_limits(models, data))
    found, lost = [measure(models, data)], np.zeros(len(again), bool)
    for gap in np.diff(at, prepend=0):
        training = train_ensemble(
            models,
            data,
            steps=int(gap),
            records=[int(gap)],
            learning_rates=rates,
            on_divergence="record",
        )
        lost |= np.asarray(training.diverged_at) >= 0
        models = training.model
        if again.any():
            beta = jnp.where(again[:, None], _equalizing(models, data), data.beta)
            data = _scaled(data, beta)
            fresh = np.where(again, multiples * np.asarray(_limits(models, data)), rates)
            rates = np.where(np.isfinite(fresh) & (fresh > 0), fresh, rates)
        found.append(measure(models, data))
    return found, lost


_solvable = eqx.filter_jit(eqx.filter_vmap(solvable))


def solved(
    runs: Runs, multiples: np.ndarray, at: np.ndarray, measure: Callable[..., Measures]
) -> tuple[list[Measures], np.ndarray]:
    """The same by the closed form, for models that are linear in their weights.

    Args, Returns: as for `trained`.
    """
    solutions = _solvable(runs.models, runs.data)
    rates = jnp.asarray(multiples) * eqx.filter_vmap(lambda s: s.stability_limit)(solutions)
    there = eqx.filter_jit(
        eqx.filter_vmap(lambda s, h, k: s.at(k, h), in_axes=(eqx.if_array(0), 0, None))
    )
    found = [measure(runs.models, runs.data)]
    found += [measure(there(solutions, rates, jnp.asarray(k)), runs.data) for k in at.tolist()]
    return found, multiples >= 1

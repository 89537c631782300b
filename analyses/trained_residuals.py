"""Networks before, during and after training, and the residuals |sigma S + xi| that they leave.

Residuals are measured on fresh data and noise, at levels between and beyond those trained.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from analyses.experiment import Settings
from design_space.arrays import Array, Key, named_key
from design_space.schedules.named import edm
from design_space.schedules.schedule import Schedule
from design_space.scores.model import AbstractModel
from design_space.scores.preconditioned import preconditioned
from design_space.scores.relu_network import ReluNetwork, relu_network
from design_space.targets.mixture import GaussianMixture
from design_space.training.objective import DenoisingData, denoising_data, residuals
from design_space.training.train import train_ensemble
from design_space.weightings.base import AbstractWeighting, PointwiseWeighting
from design_space.weightings.named import edm_weighting, uniform

SIGMA_DATA = 0.5
"""EDM's, of the bell and of the preconditioning."""

READINGS: Mapping[str, Callable[[], AbstractWeighting]] = {
    "uniform": uniform,
    "EDM, at a level": lambda: edm_weighting().pointwise(),
    "EDM, density": edm_weighting,
    "inverse square": lambda: PointwiseWeighting(lambda sigma: sigma**-2),
}
"""Total weightings whose f_ij are compared: none, the bell's two readings, and beta = 1/sigma^2."""

TRAINED = {"EDM": "EDM, density", "inverse square": "inverse square"}
"""Weightings that networks are trained with, and which reading each of them is."""


def schedule_of(settings: Settings) -> Schedule:
    """The levels that are trained, on EDM's grid."""
    return edm(settings["levels"], settings["low"], settings["high"])


def target_of(settings: Settings) -> GaussianMixture:
    """Two modes a distance 2 apart, of standard deviation 0.3."""
    dim = settings["dim"]
    mean = np.full(dim, dim**-0.5)
    return GaussianMixture.isotropic([0.5, 0.5], [mean, -mean], [0.3, 0.3])


def grid_of(settings: Settings) -> np.ndarray:
    """The levels that are measured, evenly in their logarithm."""
    return np.geomspace(*settings["range"], settings["measured"])


def drawn(settings: Settings) -> tuple[AbstractModel, DenoisingData]:
    """The networks and their data, the seeds along the first axis."""
    target, schedule = target_of(settings), schedule_of(settings)
    weighting = READINGS[TRAINED[settings["weighting"]]]()
    sizes = (settings["dim"], settings["width"], settings["depth"], settings["dtype"])

    def one(key: Key) -> tuple[AbstractModel, DenoisingData]:
        points = target.sample(named_key(key, "data"), settings["points"])
        data = denoising_data(points, schedule, weighting, key, settings["dtype"])
        network = relu_network(named_key(key, "weights"), *sizes)
        bare = settings["model"] == "relu"
        return (network if bare else preconditioned(network, SIGMA_DATA)), data

    return eqx.filter_vmap(one)(_keys(settings))


def _keys(settings: Settings) -> Key:
    return jax.random.split(jax.random.key(settings["seed"]), settings["seeds"])


class Measured(NamedTuple):
    """Means over the fresh sample of a seed, the seeds along the first axis.

    Attributes:
      squares: |sigma S + xi|^2 at every measured level.
      trained: the same over the training set, at every trained level.
      noise, data: |xi|^2 and |x|^2.
      limit: |S(xi, 1)|^2.
      lipschitz: K, the product of the matrices' operator norms; NaN with preconditioning.
    """

    squares: Any
    trained: Any
    noise: Any
    data: Any
    limit: Any
    lipschitz: Any


def _lipschitz(model: AbstractModel) -> Array:
    if not isinstance(model, ReluNetwork):
        return jnp.full((), jnp.nan)
    matrices = (model.first, *model.hidden, model.last)
    return jnp.prod(jnp.stack([jnp.linalg.norm(w, 2) for w in matrices]))


@eqx.filter_jit
def _measured(
    models: AbstractModel,
    data: DenoisingData,
    keys: Key,
    target: GaussianMixture,
    sigmas: Array,
    fresh: int,
) -> Measured:
    """Measures every seed on a fresh sample of its own, the same at all levels and stages."""

    def one(model: AbstractModel, own: DenoisingData, key: Key) -> Measured:
        dtype = own.points.dtype
        x = target.sample(named_key(key, "fresh data"), fresh).astype(dtype)
        noise = jax.random.normal(named_key(key, "fresh noise"), x.shape, dtype)

        def square(sigma: Array) -> Array:
            scores = jax.vmap(lambda y: model(y, sigma))(x + sigma * noise)
            return jnp.mean(jnp.sum((sigma * scores + noise) ** 2, axis=1))

        limit = jax.vmap(lambda xi: model(xi, jnp.ones((), dtype)))(noise)
        parts = (residuals(model, own) ** 2, noise**2, x**2, limit**2)
        trained, *means = (jnp.mean(jnp.sum(part, axis=-1), axis=0) for part in parts)
        squares = jax.lax.map(square, sigmas.astype(dtype))
        return Measured(squares, trained, *means, _lipschitz(model))

    return eqx.filter_vmap(one)(models, data, keys)


def stages(settings: Settings) -> tuple[dict[int, Measured], int]:
    """Trains at half of the stability limit at initialization, measuring at the given steps.

    Args:
      settings: of one piece.

    Returns:
      The measurements by step, and how many seeds were lost on the way.
    """
    models, data = drawn(settings)
    target, sigmas = target_of(settings), jnp.asarray(grid_of(settings))

    def measure(models: AbstractModel) -> Measured:
        found = _measured(models, data, _keys(settings), target, sigmas, settings["fresh"])
        return jax.tree.map(lambda leaf: np.asarray(leaf, float), found)

    found, rates, lost = {0: measure(models)}, "auto", np.zeros(settings["seeds"], bool)
    for start, stop in zip([0, *settings["stages"]], settings["stages"], strict=False):
        run = train_ensemble(
            models,
            data,
            steps=stop - start,
            records=[stop - start],
            learning_rates=rates,
            on_divergence="record",
        )
        models, rates = run.model, np.asarray(run.learning_rate)
        lost |= np.asarray(run.diverged_at) >= 0
        found[stop] = measure(models)
    return found, int(lost.sum())

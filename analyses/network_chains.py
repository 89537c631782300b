"""Networks on the line, trained on EDM's and on Song's noise levels, and sampled with.

A seed has the same points, noise and initial weights on both grids. Both layers of a two-layer
network inside EDM's preconditioning are trained, by full-batch gradient descent.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from design_space.arrays import named_key
from design_space.errors.line import line_errors
from design_space.errors.line_law import line_laws
from design_space.errors.score import score_errors
from design_space.errors.training import level_excesses
from design_space.sampling.steppers import PAPER
from design_space.schedules.schedule import Schedule
from design_space.scores.model import AbstractModel
from design_space.scores.preconditioned import preconditioned
from design_space.scores.two_layer import two_layer
from design_space.targets.line import Line
from design_space.targets.mixture import GaussianMixture
from design_space.training.ensemble import member, stack
from design_space.training.objective import DenoisingData
from design_space.training.population import loss_floor
from design_space.training.train import train_ensemble
from design_space.weightings.base import AbstractWeighting

_LEAST_DRAWS = 64  # for functions that would sample where there is no quadrature; here there is


class NetworkErrors(NamedTuple):
    """What training and sampling cost, shape [designs, seeds, iterations]; in nats or loss units.

    Attributes:
      score: E_S, by quadrature.
      score_error: its numerical error.
      excess: the population loss above its floor.
      empirical: the empirical loss.
      floor: of the population loss, the same for all seeds and iterations.
      marginal_kl: by the density law; NaN where it was not asked for.
      marginal_error: its numerical error.
    """

    score: np.ndarray
    score_error: np.ndarray
    excess: np.ndarray
    empirical: np.ndarray
    floor: np.ndarray
    marginal_kl: np.ndarray
    marginal_error: np.ndarray


def two_modes() -> GaussianMixture:
    """N(-1, 0.3^2)/2 + N(1, 0.3^2)/2."""
    return GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], [0.3, 0.3])


def members(
    grids: tuple[Schedule, ...], weighting: AbstractWeighting, settings: Mapping[str, Any]
) -> tuple[AbstractModel, DenoisingData]:
    """Models and data before training: grid by grid, in each seed by seed.

    Args:
      grids: of equally many steps.
      weighting: gives beta_j.
      settings: `seed`, `seeds`, `points`, `width`, `sigma_data`.
    """
    models, data, target = [], [], two_modes()
    for grid in grids:
        levels, beta = grid.forward_sigmas[1:], weighting.total(grid)
        for key in jax.random.split(jax.random.key(settings["seed"]), settings["seeds"]):
            points = target.sample(named_key(key, "points"), settings["points"])
            shape = (settings["points"], grid.steps, 1)
            noise = jax.random.normal(named_key(key, "noise"), shape)
            network = two_layer(named_key(key, "weights"), 1, settings["width"], both=True)
            models.append(preconditioned(network, settings["sigma_data"]))
            data.append(DenoisingData(points, noise, levels, beta))
    return stack(models), stack(data)


def _measured(
    grid: Schedule, weighting: AbstractWeighting, model: AbstractModel, marginal: bool
) -> tuple[float, ...]:
    """E_S, excess and marginal KL of one network, the first and the last with their errors."""
    target = two_modes()
    steps = score_errors(target, grid, model, jax.random.key(0), _LEAST_DRAWS)
    excess = float(np.sum(level_excesses(steps, grid, weighting).value))
    found = (float(np.sum(steps.value)), float(np.sum(steps.error)), excess)
    if not marginal:
        return (*found, np.nan, np.nan)
    line = Line.of(target.components())
    kl = line_errors(line, grid.backward_variances[-1], line_laws(model, grid, PAPER)).marginal_kl
    return (*found, float(kl.value), float(kl.error))


def network_errors(
    grids: tuple[Schedule, ...], weighting: AbstractWeighting, settings: Mapping[str, Any]
) -> NetworkErrors:
    """Trains all networks at once, each at half of its own stability limit, and measures them.

    Args:
      grids: of equally many steps.
      weighting: gives beta_j.
      settings: as for `members`; `iterations`, steps of gradient descent, ascending, at least 1;
        `marginal_at`, those at which the marginal KL is wanted, and `marginal_seeds`, of how many
        seeds.
    """
    (models, data), seeds = members(grids, weighting, settings), settings["seeds"]
    shape = (len(grids), seeds, len(settings["iterations"]))
    found, empirical = np.full((5, *shape), np.nan), np.empty(shape)
    rates: Any = "auto"
    for k, gap in enumerate(np.diff(settings["iterations"], prepend=0).tolist()):
        run = train_ensemble(models, data, steps=gap, records=[gap], learning_rates=rates)
        models, rates = run.model, np.asarray(run.learning_rate)
        empirical[:, :, k] = np.asarray(run.info.loss)[:, -1].reshape(shape[:2])
        wanted = settings["iterations"][k] in settings["marginal_at"]
        for i, seed in np.ndindex(*shape[:2]):
            marginal = wanted and seed < settings["marginal_seeds"]
            own = member(models, i * seeds + seed)
            found[:, i, seed, k] = _measured(grids[i], weighting, own, marginal)
    floors = [float(np.sum(loss_floor(two_modes(), grid, weighting).value)) for grid in grids]
    floor = np.broadcast_to(np.array(floors)[:, None, None], shape)
    return NetworkErrors(*found[:3], empirical, floor, *found[3:])

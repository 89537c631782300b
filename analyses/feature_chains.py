"""Random features on the line, trained and sampled with, exactly: width against data and noise.

The loss is weighted by beta_j = h_j/v_j, with which E_S is the population excess and the terms of
Theorem 3 are parts of the path KL.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from analyses.network_chains import two_modes
from design_space.arrays import Array, Key, named_key
from design_space.errors.decomposition import LossDecomposition, loss_decomposition
from design_space.errors.line import line_errors
from design_space.errors.line_law import line_laws
from design_space.sampling.steppers import PAPER
from design_space.schedules.schedule import Schedule
from design_space.scores.linear import random_features
from design_space.scores.model import AbstractModel
from design_space.scores.preconditioned import preconditioned
from design_space.targets.line import Line
from design_space.training.learning_rate import SAFE_SHARE
from design_space.training.objective import DenoisingData
from design_space.training.population import PopulationSolvable, population_solvable
from design_space.training.solvable import solvable
from design_space.weightings.base import CustomWeighting


class FeatureParts(NamedTuple):
    """The parts of E_S in nats, at the chosen iterations where they depend on it.

    Attributes:
      train: eps_train.
      excess: L(K) = E_S.
      estimation: eps_est = L(*) - L(F).
      approximation: eps_approx = L(F).
    """

    train: np.ndarray
    excess: np.ndarray
    estimation: float
    approximation: float


def exact_weighting(grid: Schedule) -> CustomWeighting:
    """beta_j = h_j/v_j, with which a unit of the loss at any level costs the path one nat.

    Args:
      grid: of N steps.
    """
    return CustomWeighting(grid.forward_variance_steps / grid.forward_variances[1:])


def _model(key: Key, settings: Mapping[str, Any], width: int) -> AbstractModel:
    features = random_features(named_key(key, "features"), 1, width, bias=True)
    return preconditioned(features, settings["sigma_data"])


def population_of(
    key: Key, grid: Schedule, settings: Mapping[str, Any], width: int
) -> PopulationSolvable:
    """The population problem of one seed and width.

    Args:
      key: of the seed.
      grid: of N steps.
      settings: `sigma_data`.
      width: m.
    """
    model = _model(key, settings, width)
    return population_solvable(model, two_modes(), grid, exact_weighting(grid))


def decomposed(
    key: Key,
    grid: Schedule,
    settings: Mapping[str, Any],
    population: PopulationSolvable,
    count: int,
) -> LossDecomposition:
    """Training on `count` points, which with their noise are the first of the seed's.

    All numbers of points have one shape: the points are repeated, which changes no mean.

    Args:
      key: of the seed.
      grid: of N steps.
      settings: `points`, powers of two, of which the last is the largest.
      population: of `population_of`.
      count: n, one of `points`.
    """
    most = settings["points"][-1]
    kept = jnp.arange(most) % count
    points = two_modes().sample(named_key(key, "points"), most)[kept]
    noise = jax.random.normal(named_key(key, "noise"), (most, grid.steps, 1))[kept]
    beta = exact_weighting(grid).total(grid)
    data = DenoisingData(points, noise, grid.forward_sigmas[1:], beta)
    return loss_decomposition(solvable(population.dynamics.model, data), population)


@eqx.filter_jit
def _terms(found: LossDecomposition, iterations: Array) -> tuple[Array, Array]:
    terms = found.at(iterations, SAFE_SHARE * found.solution.stability_limit)
    return terms.train.value, terms.excess.value


def feature_parts(found: LossDecomposition, iterations: Any) -> FeatureParts:
    """The parts of E_S at half of the stability limit.

    Args:
      found: of `decomposed`.
      iterations: steps of gradient descent.
    """
    train, excess = _terms(found, jnp.asarray(iterations, jnp.float64))
    rest = float(found.estimation.value), float(found.approximation.value)
    return FeatureParts(np.asarray(train), np.asarray(excess), *rest)


def feature_marginal(
    found: LossDecomposition, grid: Schedule, iteration: float
) -> tuple[float, float]:
    """KL(p_{v_N} | q_N) of the trained sampler by the density law, and its numerical error.

    Args:
      found: of `decomposed`.
      grid: of N steps.
      iteration: step of gradient descent.
    """
    solution = found.solution
    model = solution.at(iteration, SAFE_SHARE * solution.stability_limit)
    line = Line.of(two_modes().components())
    kl = line_errors(line, grid.backward_variances[-1], line_laws(model, grid, PAPER)).marginal_kl
    return float(kl.value), float(kl.error)

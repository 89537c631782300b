"""Random chains from data to the sampler's law: Theorem 3's terms beside the exact errors.

A chain draws Gaussian data, trains a score with its own affine map at each noise level by gradient
descent from a random start, and samples with it; all of it is in closed form. Some chains meet an
assumption exactly, some break it; `Chains` says which.
"""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, Bool, Float
from design_space.bounds import full
from design_space.errors.budget import error_budget
from design_space.errors.decomposition import loss_terms
from design_space.schedules.schedule import Schedule
from design_space.schedules.variance import Power
from design_space.scores.features import LevelFeatures
from design_space.scores.linear import LinearModel
from design_space.scores.model import AbstractModel
from design_space.targets.gaussian import Gaussian
from design_space.training.objective import DenoisingData
from design_space.training.population import population_solvable
from design_space.training.solvable import solvable
from design_space.weightings.base import CustomWeighting

DIM, STEPS, POINTS, COUNT = 2, 6, 6, 576
"""Dimension, steps, data and how many chains."""

_LEVEL, _FALLING = 48, 48  # chains with one coefficient at all levels, and with falling sigma_t


class Inputs(NamedTuple):
    """One chain as plain numbers; stacked along the first axis.

    Attributes:
      mean, variances: of the data, shape [dim].
      sigmas: descending, shape [steps + 1].
      exponent: of sigma_bar_t = t^exponent.
      coefficients: sigma_t^2/w(t_j) at the forward levels, shape [steps].
      points: standard normal numbers of the data, shape [points, dim].
      noise: shape [points, steps, dim].
      start: the start of training, shape [dim, steps (dim + 1)].
      step: number of steps of gradient descent.
      rate: learning rate in units of the stability limit.
    """

    mean: np.ndarray
    variances: np.ndarray
    sigmas: np.ndarray
    exponent: np.ndarray
    coefficients: np.ndarray
    points: np.ndarray
    noise: np.ndarray
    start: np.ndarray
    step: np.ndarray
    rate: np.ndarray


class Chains(eqx.Module):
    """What was found of many chains; every field has shape [chains].

    Attributes:
      level: whether sigma_t^2/w is the same at all levels and sigma_t constant in time.
      falling: whether sigma_t falls with t.
      train, generalization, estimation, approximation, excess, terms: Theorem 3's, `terms` their
        sum.
      interpolation: the least empirical loss.
      split: |L(K) - Lem(K)| + |L(*) - Lem(*)|.
      floor: -C_bar.
      score: E_S.
      path, marginal: the KL divergences.
      error: of the path KL.
      coefficient: max sigma_t^2/w, corrected.
      printed, corrected, by_steps: right sides of Theorem 3.
      by_levels: sum_j (h_j/(beta_j v_j)) excess_j.
    """

    level: Bool[Array, ""]
    falling: Bool[Array, ""]
    train: Float[Array, ""]
    generalization: Float[Array, ""]
    estimation: Float[Array, ""]
    approximation: Float[Array, ""]
    excess: Float[Array, ""]
    terms: Float[Array, ""]
    interpolation: Float[Array, ""]
    split: Float[Array, ""]
    floor: Float[Array, ""]
    score: Float[Array, ""]
    path: Float[Array, ""]
    marginal: Float[Array, ""]
    error: Float[Array, ""]
    coefficient: Float[Array, ""]
    printed: Float[Array, ""]
    corrected: Float[Array, ""]
    by_steps: Float[Array, ""]


def drawn(seed: int = 0) -> Inputs:
    """Random chains; in every second one the data come in pairs and can be interpolated.

    Args:
      seed: of the generator.
    """
    random = np.random.default_rng([11, seed])
    uniform, normal = random.random, random.standard_normal
    sigmas = _grids(random)
    forward = sigmas[:, ::-1][:, 1:]
    exponent = 0.5 + 1.5 * uniform(COUNT) * random.integers(0, 2, COUNT)
    power = 2 * uniform((COUNT, 1)) - 1
    coefficients = np.exp(0.5 * normal((COUNT, STEPS))) * forward**power
    exponent[:_LEVEL], coefficients[:_LEVEL] = 0.5, 1.0
    exponent[COUNT - _FALLING :] = 0.1 + 0.3 * uniform(_FALLING)
    spread = 10 ** (-4 + 5 * uniform((COUNT, DIM)))
    mean = normal((COUNT, DIM)) * random.integers(0, 2, (COUNT, 1))
    data, noise = normal((COUNT, POINTS, DIM)), normal((COUNT, POINTS, STEPS, DIM))
    for drawn_twice in (data, noise):
        drawn_twice[::2, POINTS // 2 :] = drawn_twice[::2, : POINTS // 2]
    start = _starts(random, forward)
    step, rate = np.floor(10 ** (10 * uniform(COUNT))), 0.2 + 0.7 * uniform(COUNT)
    return Inputs(mean, spread, sigmas, exponent, coefficients, data, noise, start, step, rate)


def _grids(random: np.random.Generator) -> np.ndarray:
    """Noise levels, descending: from at most 100 to at least 1e-6."""
    gaps = 0.05 - np.log1p(-random.random((COUNT, STEPS)))
    share = np.cumsum(gaps, axis=1) / gaps.sum(axis=1, keepdims=True)
    high, low = (10 ** (a + b * random.random((COUNT, 1))) for a, b in ((0, 2), (-6, 5)))
    return np.concatenate([high, high * (low / high) ** share], axis=1)


def _starts(random: np.random.Generator, forward: np.ndarray) -> np.ndarray:
    """Starts that are wrong at every level, or, in half of the chains, those of the denoiser 0,
    with a shift at the lowest level.
    """
    size = (10 ** (3 * random.random((COUNT, STEPS)) - 2) / forward)[:, None, :, None]
    blocks = size * random.standard_normal((COUNT, DIM, STEPS, DIM + 1))
    blocks[..., :DIM] /= forward[:, None, :, None]  # slopes, in inverse squared data units
    shifted = random.random(COUNT) < 0.5
    shift = 10 ** (6 * random.random(COUNT)) / forward[:, 0]
    unit = np.eye(DIM, DIM + 1)[None, :, None, :]
    blocks[shifted] = -unit / forward[shifted, None, :, None] ** 2
    blocks[shifted, :, 0, DIM] = shift[shifted, None]  # intercepts, in inverse data units
    return blocks.reshape(COUNT, DIM, -1)


@eqx.filter_jit
@jax.vmap
def chain(given: Inputs) -> Chains:
    """Trains and samples, and measures both.

    Args:
      given: many chains.
    """
    dim = given.mean.shape[0]
    target = Gaussian.diagonal(given.mean, given.variances)
    schedule = Schedule.from_sigmas(given.sigmas, Power(given.exponent))
    diffusions, dt = schedule.forward_diffusions[1:], schedule.forward_time_steps
    variances = schedule.forward_variances[1:]
    weighting = CustomWeighting(diffusions * dt / (variances * given.coefficients))
    beta, sigmas = weighting.values, schedule.forward_sigmas[1:]
    points = given.mean[None, :] + jnp.sqrt(given.variances)[None, :] * given.points
    model = LinearModel(LevelFeatures(sigmas=sigmas, dim=dim, intercept=True), given.start)
    solution = solvable(model, DenoisingData(points, given.noise, sigmas, beta))
    population = population_solvable(model, target, schedule, weighting)
    step, rate = given.step, given.rate * solution.stability_limit
    terms = loss_terms(solution, population, step, rate)
    floor = jnp.sum(population.floor.value)
    here = floor + terms.excess.value - solution.loss(step, rate)
    there = floor + terms.estimation.value + terms.approximation.value - solution.least_loss
    return Chains(
        level=jnp.ptp(given.coefficients) == 0,
        falling=given.exponent < 0.5,
        train=terms.train.value,
        generalization=terms.generalization.value,
        estimation=terms.estimation.value,
        approximation=terms.approximation.value,
        excess=terms.excess.value,
        terms=terms.total.value,
        interpolation=solution.least_loss,
        split=jnp.abs(here) + jnp.abs(there),
        floor=floor,
        **_sampled(target, schedule, solution.at(step, rate)),
        **_bounds(target, schedule, weighting, terms.total.value),
    )


def _sampled(target: Gaussian, schedule: Schedule, score: AbstractModel) -> dict[str, Array]:
    errors = error_budget(target, schedule, score)
    path = errors.path_kl
    return {
        "score": errors.score.value,
        "path": path.value,
        "marginal": errors.marginal_kl.value,
        "error": path.error,
    }


def _bounds(
    target: Gaussian, schedule: Schedule, weighting: CustomWeighting, loss: Array
) -> dict[str, Array]:
    given = (target.dim, target.second_moment(), schedule, weighting, loss)
    mmse = jax.vmap(target.mmse)(schedule.backward_variances[:-1]).value
    one = full.Theorem3Constants(score=1.0)
    return {
        "coefficient": full.score_coefficient(schedule, weighting),
        "printed": full.theorem_3(*given, constants=one).total,
        "corrected": full.theorem_3_corrected(*given).total,
        "by_steps": full.theorem_3_by_steps(*given, mmse=mmse).total,
    }


@functools.cache
def chains(seed: int = 0) -> Chains:
    """The chains as NumPy arrays.

    Args:
      seed: of the random chains.
    """
    return jax.tree.map(np.asarray, chain(jax.tree.map(jnp.asarray, drawn(seed))))

"""The whole chain on Gaussian data, in closed form and in bulk: training, sampling, and its bound.

A learner is an affine score model inside EDM's preconditioning, from random weights, trained by
gradient descent on n points. A model with coefficients of its own at each noise level falls into
one problem for each level, of which only the learning rate is shared; a model that shares features
between the levels is one problem.
"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import Array, Float, Key, Scalar, named_key
from design_space.bounds.full import theorem_3, theorem_3_corrected
from design_space.errors.budget import error_budget
from design_space.errors.decomposition import LossDecomposition, loss_decomposition
from design_space.schedules.schedule import Schedule
from design_space.scores.affine import AffineScore
from design_space.scores.linear import per_level_affine, shared_affine
from design_space.scores.preconditioned import Preconditioned, noise_coordinate, preconditioned
from design_space.targets.gaussian import Gaussian
from design_space.training.learning_rate import SAFE_SHARE
from design_space.training.objective import DenoisingData
from design_space.training.population import population_solvable
from design_space.training.solvable import solvable
from design_space.weightings.base import AbstractWeighting, CustomWeighting

TERMS = ("train", "generalization", "estimation", "approximation")
"""The terms of Theorem 3, whose sum the bound takes."""


class Learner(eqx.Module):
    """How scores are learned.

    Attributes:
      scales: c_l of the features (A_l x + b_l)/(c_l^2 + z^2) that the levels share, with
        z = ln(sigma)/4; None for coefficients of their own at each level.
      sigma_data: of the preconditioning, in data units.
      spread: standard deviation of the initial weights.
    """

    scales: tuple[float, ...] | None = eqx.field(static=True, default=None)
    sigma_data: float = 0.5
    spread: float = 1.0


@final
class ChainErrors(eqx.Module):
    """What the chain costs at the chosen steps of training; KL in nats, W2 in data units.

    Attributes:
      initialization, discretization, score: E_I, E_D, E_S; path_kl: their sum.
      marginal_kl, w2: of the sampler's last law to the data law at that noise level.
      train, generalization, estimation, approximation: the terms of Theorem 3, in the loss's units.
      excess: the population loss above its floor.
      bound: right-hand side of Theorem 3, corrected; its parts bound_initialization,
        bound_discretization, bound_score.
      printed: right-hand side of Theorem 3 as printed.
    """

    initialization: Float[Array, "..."]
    discretization: Float[Array, "..."]
    score: Float[Array, "..."]
    path_kl: Float[Array, "..."]
    marginal_kl: Float[Array, "..."]
    w2: Float[Array, "..."]
    train: Float[Array, "..."]
    generalization: Float[Array, "..."]
    estimation: Float[Array, "..."]
    approximation: Float[Array, "..."]
    excess: Float[Array, "..."]
    bound: Float[Array, "..."]
    bound_initialization: Float[Array, "..."]
    bound_discretization: Float[Array, "..."]
    bound_score: Float[Array, "..."]
    printed: Float[Array, "..."]


class _Problem(eqx.Module):
    """One problem of gradient descent: noise levels that share weights."""

    nodes: Float[Array, " nodes"]
    beta: Float[Array, " levels"]
    noise: Float[Array, "points levels dim"]
    weights: Float[Array, "dim features"]


def _model(learner: Learner, levels: Array, weights: Array) -> Preconditioned:
    dim = weights.shape[0]
    if learner.scales is None:
        inner = per_level_affine(dim, noise_coordinate(levels), weights=weights)
    else:
        inner = shared_affine(dim, learner.scales, weights=weights)
    return preconditioned(inner, learner.sigma_data)


def _weights(learner: Learner, levels: int, dim: int, key: Key) -> Array:
    """Initial weights, block by block."""
    blocks = levels if learner.scales is None else len(learner.scales)
    shape = (blocks, dim, dim + 1)
    return learner.spread * jax.random.normal(named_key(key, "weights"), shape)


def _problems(
    learner: Learner,
    schedule: Schedule,
    weighting: AbstractWeighting,
    noise: Array,
    weights: Array,
) -> _Problem:
    """The problems of one training, stacked."""
    nodes, beta = schedule.forward_sigmas, weighting.total(schedule)
    if learner.scales is None:
        nodes = jnp.stack([nodes[:-1], nodes[1:]], axis=1)
        return _Problem(nodes, beta[:, None], jnp.moveaxis(noise, 1, 0)[:, :, None], weights)
    whole = jnp.concatenate(list(weights), axis=1)
    return _Problem(nodes[None], beta[None], noise[None], whole[None])


def _solved(
    learner: Learner, target: Gaussian, points: Array, problem: _Problem
) -> LossDecomposition:
    model = _model(learner, problem.nodes[1:], problem.weights)
    data = DenoisingData(points, problem.noise, problem.nodes[1:], problem.beta)
    schedule = Schedule.from_sigmas(problem.nodes[::-1])
    population = population_solvable(model, target, schedule, CustomWeighting(problem.beta))
    return loss_decomposition(solvable(model, data), population)


def _coefficients(
    solved: LossDecomposition, nodes: Array, step: Scalar, rate: Scalar
) -> tuple[Array, Array]:
    """A_j [levels, dim, dim] and b_j [levels, dim] of the trained score."""
    model = solved.solution.at(step, rate)

    def at(sigma: Array) -> tuple[Array, Array]:
        found = model.affine(sigma)
        assert found is not None
        return found

    return jax.vmap(at)(nodes[1:])


class Training(eqx.Module):
    """One training, at every step of gradient descent.

    Attributes:
      problems: of gradient descent, stacked.
      solved: what became of each.
      rate: the learning rate, half of the stability limit of all together.
    """

    problems: _Problem
    solved: LossDecomposition
    rate: Float[Array, ""]

    def score(self, step: Scalar) -> AffineScore:
        """The score after some steps.

        Args:
          step: at least 0.
        """
        slopes, intercepts = eqx.filter_vmap(
            lambda s, p: _coefficients(s, p.nodes, step, self.rate)
        )(self.solved, self.problems)
        dim = intercepts.shape[-1]
        shape = (-1, dim, dim) if dim > 1 else (-1, 1)  # a diagonal, which is cheaper
        sigmas = self.problems.nodes[:, 1:].reshape(-1)
        return AffineScore(sigmas, slopes.reshape(shape), intercepts.reshape(-1, dim))

    def terms(self, step: Scalar) -> dict[str, Array]:
        """The terms of Theorem 3 over all problems; eps_n is the absolute value of a sum.

        Args:
          step: at least 0.
        """
        found = eqx.filter_vmap(lambda s: s.at(step, self.rate))(self.solved)
        names = ("train", "estimation", "approximation", "excess")
        sums = {name: jnp.sum(getattr(found, name).value) for name in names}
        rest = found.excess.value - (
            found.train.value + found.estimation.value + found.approximation.value
        )
        return sums | {"generalization": jnp.abs(jnp.sum(rest))}


def training(
    learner: Learner,
    target: Gaussian,
    schedule: Schedule,
    weighting: AbstractWeighting,
    points: Float[Array, "points dim"],
    noise: Float[Array, "points levels dim"],
    weights: Float[Array, "blocks dim features"],
) -> Training:
    """Gradient descent from given weights on given data and noise.

    Args:
      learner: the model.
      target: N(m, S) with the moments of the law of the points.
      schedule: the noise levels.
      weighting: gives beta_j.
      points: the data.
      noise: standard normal numbers.
      weights: initial weights; a block for each level, or for each scale.
    """
    problems = _problems(learner, schedule, weighting, noise, weights)
    solved = eqx.filter_vmap(lambda p: _solved(learner, target, points, p))(problems)
    limits = eqx.filter_vmap(lambda s: s.solution.stability_limit)(solved)
    return Training(problems, solved, SAFE_SHARE * jnp.min(limits))


def chain_errors(
    learner: Learner,
    target: Gaussian,
    schedule: Schedule,
    weighting: AbstractWeighting,
    points: Float[Array, "points dim"],
    key: Key,
    steps: Float[Array, " chosen"],
) -> ChainErrors:
    """Trains on points and samples with the result, exactly.

    The learning rate is half of the stability limit. The same key gives the same weights and noise
    on any schedule of as many levels, so that schedules can be compared in pairs.

    Args:
      learner: the model.
      target: N(m, S), the law of the points; of another law with these moments the excess, the
        terms and E_S are those over its best affine score.
      schedule: the noise levels that are trained and then sampled at.
      weighting: gives beta_j.
      points: the data.
      key: random key of noise and initial weights.
      steps: steps of gradient descent, at least 0, shape [chosen].

    Returns:
      Arrays of shape [chosen].
    """
    count, dim = points.shape
    noise = jax.random.normal(named_key(key, "noise"), (count, schedule.steps, dim))
    weights = _weights(learner, schedule.steps, dim, key)
    trained = training(learner, target, schedule, weighting, points, noise, weights)

    def at(step: Array) -> ChainErrors:
        return errors_of(target, schedule, weighting, trained.score(step), trained.terms(step))

    return jax.lax.map(at, steps)


def errors_of(
    target: Gaussian,
    schedule: Schedule,
    weighting: AbstractWeighting,
    score: AffineScore,
    terms: dict[str, Array],
) -> ChainErrors:
    """Budget and bound of one trained score.

    Args:
      target: the data law.
      schedule: the noise levels.
      weighting: gives beta_j.
      score: what was trained.
      terms: of Theorem 3, by name, with the excess.
    """
    budget = error_budget(target, schedule, score)
    loss = sum(terms[name] for name in TERMS)
    given = (target.dim, target.second_moment(), schedule, weighting, loss)
    bound = theorem_3_corrected(*given)
    names = ("initialization", "discretization", "score", "path_kl", "marginal_kl", "w2")
    return ChainErrors(
        **{name: getattr(budget, name).value for name in names},
        **terms,
        bound=bound.total,
        bound_initialization=bound.initialization,
        bound_discretization=bound.discretization,
        bound_score=bound.score,
        printed=theorem_3(*given).total,
    )


@eqx.filter_jit
def chain_table(
    learner: Learner,
    target: Gaussian,
    schedules: Schedule,
    weighting: AbstractWeighting,
    points: Float[Array, "keys points dim"],
    keys: Key,
    steps: Float[Array, " chosen"],
) -> ChainErrors:
    """`chain_errors` for many schedules and keys at once, compiled once for a number of levels.

    Args:
      learner: the model.
      target: N(m, S), one for all schedules or one for each.
      schedules: stacked along the first axis, [schedules].
      weighting: gives beta_j.
      points: data for each key, [keys, points, dim].
      keys: [keys].
      steps: steps of gradient descent, [chosen].

    Returns:
      Arrays of shape [schedules, keys, chosen].
    """
    own = target.mean_vector.ndim == 2
    of = eqx.filter_vmap(
        eqx.filter_vmap(chain_errors, in_axes=(None, None, None, None, 0, 0, None)),
        in_axes=(None, eqx.if_array(0) if own else None, eqx.if_array(0), None, None, None, None),
    )
    return of(learner, target, schedules, weighting, points, keys, steps)

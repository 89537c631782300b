"""One compiled program per kind of sampler and of score: all closed forms of one Gaussian design.

Every number of the design is an argument, the number of steps too: `padded` says how.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import EPS, Array, Float, Int
from design_space.bounds.sampling import BoundTerms
from design_space.errors.design import SamplerDesign
from design_space.errors.discretization import discretization_errors, summed
from design_space.errors.gaussian_marginal import marginals_of
from design_space.errors.initialization import initialization_error
from design_space.errors.marginal import square_root
from design_space.errors.path import path_terms
from design_space.errors.score import score_errors
from design_space.explorer.named_sampler import named_sampler
from design_space.explorer.padded import Grid
from design_space.explorer.padded_bounds import padded_bounds
from design_space.explorer.trained_score import trained_score
from design_space.numerics.estimate import Estimate
from design_space.sampling.gaussian_law import GaussianLaw, advance
from design_space.sampling.moves import AbstractMove
from design_space.sampling.operators import Diagonals
from design_space.sampling.steppers import Frozen
from design_space.scores.base import AbstractScore, deviations
from design_space.scores.exact import exact_score
from design_space.scores.model import AbstractModel
from design_space.scores.perturbed import scaled_score
from design_space.targets.gaussian import Gaussian

_SAMPLES = 64  # of what is sampled; here nothing is


class Inputs(eqx.Module):
    """The numbers of a Gaussian design.

    Attributes:
      mean, std: of the data.
      grid: the schedule.
      factor: of a scaled score; 1 is the exact one.
    """

    mean: Float[Array, ""]
    std: Float[Array, ""]
    grid: Grid
    factor: Float[Array, ""]

    def target(self) -> Gaussian:
        """The data law."""
        return Gaussian.diagonal(self.mean[None], self.std[None] ** 2)


class Outputs(NamedTuple):
    """What the program has; arrays over steps are of fixed size, zero beyond the last step.

    Attributes:
      sigmas: backward, shape [MOST_STEPS + 1].
      initialization, discretization, score, path_kl, marginal_kl, w2: the budget.
      discretization_steps, score_steps: shape [MOST_STEPS].
      bounds: by statement id.
      shifts: mean of the sampler's law less that of the data, shape [MOST_STEPS + 1].
      excesses: its variance less std^2 + v_j, likewise.
    """

    sigmas: Array
    initialization: Estimate
    discretization: Estimate
    score: Estimate
    path_kl: Estimate
    marginal_kl: Estimate
    w2: Estimate
    discretization_steps: Array
    score_steps: Array
    bounds: dict[str, BoundTerms]
    shifts: Array
    excesses: Array


class _Walk(NamedTuple):
    """The law after every step, stacked with the start, and the rounding of its mean."""

    laws: GaussianLaw
    off: Array


def _walk(
    target: Gaussian, score: AbstractScore, moves: tuple[AbstractMove, ...], taken: Array
) -> _Walk:
    """The recursion of `sampling.gaussian_law.affine_law`, every state kept."""
    on, mean, values = Diagonals(), target.mean_vector, target.eigenvalues
    found, off = [], jnp.zeros(1)
    for move in moves:
        each = [deviations(target, score, sigmas) for sigmas in move.sigmas]
        found.append(tuple(at for at in each if at is not None))
        for sigmas, at in zip(move.sigmas, found[-1], strict=True):
            size = (values[None, :] + sigmas[:, None] ** 2) * at.size
            off = jnp.maximum(off, jnp.max(jnp.where(taken[:, None], size, 0.0), axis=0))

    def step(law: GaussianLaw, level: tuple) -> tuple[GaussianLaw, GaussianLaw]:
        for move, at in zip(*level, strict=True):
            law = advance(on, mean, values, law, move, at)
        return law, law

    start = GaussianLaw(-mean, -values, values)
    _, after = jax.lax.scan(step, start, (moves, tuple(found)))
    laws = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, after)
    return _Walk(laws, 16 * EPS * off)


def _taken(estimate: Estimate, taken: Array) -> Estimate:
    """The entries of the steps that are taken, zero for the others."""
    if estimate.reason is not None:
        return estimate
    value, error = (jnp.where(taken, x, 0.0) for x in (estimate.value, estimate.error))
    return Estimate(value, error, estimate.method)


def _path(design: SamplerDesign, taken: Array, exact: Array) -> tuple[Estimate, Estimate]:
    """What each step adds to E_D and to E_S; none of the latter where the score is exact."""
    target, schedule, score, stepper = design
    key = jax.random.key(0)
    if isinstance(stepper, Frozen):
        grid = (schedule.backward_variances, schedule.backward_variance_steps)
        per_step = discretization_errors(target, *grid, key, _SAMPLES)
        per_score = score_errors(target, schedule, score, key, _SAMPLES)
    else:
        found = path_terms(design, key, _SAMPLES)
        if isinstance(found, str):
            return Estimate.unavailable(found), Estimate.unavailable(found)
        per_step, per_score = found
    return _taken(per_step, taken), _taken(per_score, taken & ~exact)


@eqx.filter_jit
def trained_program(
    given: Inputs, weighting: Int[Array, ""], training: Int[Array, ""]
) -> AbstractModel:
    """The trained score of a Gaussian design.

    Args:
      given: its numbers.
      weighting: place in controls.WEIGHTINGS.
      training: steps of gradient descent.
    """
    return trained_score(given.target(), given.grid, weighting, training)


@eqx.filter_jit
def gaussian_program(given: Inputs, kind: str, model: AbstractModel | None = None) -> Outputs:
    """Every closed form of a Gaussian design.

    Args:
      given: its numbers.
      kind: of the sampler.
      model: a trained score; the exact one times `factor` unless given.
    """
    grid, taken, n = given.grid, given.grid.taken, given.grid.steps
    target = given.target()
    score = scaled_score(exact_score(target), given.factor) if model is None else model
    exact = (given.factor == 1) & (model is None)
    schedule, stepper = grid.falling(), named_sampler(kind, target, grid)
    design = SamplerDesign(target, schedule, score, stepper)
    per_step, per_score = _path(design, taken, exact)
    walk = _walk(target, score, stepper.moves(schedule), taken)
    variances = schedule.backward_variances
    last = jax.tree.map(lambda leaf: leaf[n], walk.laws)
    final = target.eigenvalues + variances[n]
    # Coefficients given as numbers carry rounding of the size of the variance itself.
    absolute = last.absolute + jnp.where(exact, 0.0, final)
    marginals = marginals_of(
        GaussianLaw(last.shift, last.excess, absolute), final, n, jnp.where(exact, 0.0, walk.off)
    )
    start = initialization_error(target, variances[0], jax.random.key(0), _SAMPLES)
    discretization, score_total = summed(per_step), summed(per_score)
    bounds = {}
    if kind == Frozen.kind:
        mmse = jax.vmap(lambda v: target.mmse(v).value)(grid.resting().backward_variances[:-1])
        bounds = padded_bounds(grid, target.second_moment(), per_score.value, mmse)
    return Outputs(
        schedule.backward_sigmas,
        start,
        discretization,
        score_total,
        start + discretization + score_total,
        marginals.marginal_kl,
        square_root(marginals.w2_squared),
        per_step.value,
        per_score.value,
        bounds,
        walk.laws.shift[:, 0],
        walk.laws.excess[:, 0],
    )

"""Marginal errors on Gaussian data under affine scores, in closed form."""

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import EPS, Array, Float, Int
from design_space.errors.design import Marginals, SamplerDesign
from design_space.errors.gaussian import condition_number
from design_space.numerics.divergences import (
    bures_squared,
    full_gaussian_kl,
    gaussian_kl_terms,
    gaussian_w2_squared_terms,
)
from design_space.numerics.estimate import Estimate
from design_space.sampling.gaussian_law import (
    Deviations,
    GaussianLaw,
    affine_law,
    exact_score_law,
)
from design_space.sampling.moves import AbstractMove
from design_space.sampling.steppers import PAPER, AbstractStepper, Frozen
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore, deviations
from design_space.targets.gaussian import Gaussian


def _affine_at(
    target: Gaussian, score: AbstractScore, moves: tuple[AbstractMove, ...]
) -> Deviations | None:
    """The score seen from the exact one at each level of each move; None if it is not affine."""
    found = []
    for move in moves:
        each = [deviations(target, score, sigmas) for sigmas in move.sigmas]
        if any(at is None for at in each):
            return None
        found.append(tuple(at for at in each if at is not None))
    return tuple(found)


def gaussian_law(
    target: Gaussian, schedule: Schedule, score: AbstractScore, stepper: AbstractStepper = PAPER
) -> GaussianLaw | None:
    """The law of the sampler on Gaussian data under an affine score, in the eigenbasis.

    Args:
      target: N(m, S).
      schedule: the noise schedule.
      score: the score.
      stepper: the sampler.

    Returns:
      The law relative to p_{v_N}, or None if the score is not affine.
    """
    mean = target.into_basis(target.mean_vector)
    exact = score.is_exact_for(target)
    if exact and isinstance(stepper, Frozen):
        grid = (schedule.backward_variances, schedule.backward_variance_steps)
        return eqx.filter_jit(exact_score_law)(mean, target.eigenvalues, *grid)
    moves = stepper.moves(schedule)
    found = None if exact else _affine_at(target, score, moves)
    if found is None and not exact:
        return None
    law = eqx.filter_jit(affine_law)(mean, target.eigenvalues, moves, found, basis=target.basis)
    if exact:
        return law
    # Coefficients given as numbers carry rounding of the size of the variance itself.
    whole = target.eigenvalues + schedule.backward_variances[-1]
    return GaussianLaw(law.shift, law.excess, law.absolute + whole)


def _shift_rounding(
    target: Gaussian, schedule: Schedule, score: AbstractScore, stepper: AbstractStepper
) -> Array:
    """Rounding of the mean of the law where the score's intercepts are differences, shape [dim].

    An error f_j of e_j moves the mean by at most max_j (l + v_j) f_j: a move of gain b contracts at
    the rate b / (l + v_j), which sums the b f_j to that.
    """
    worst = jnp.zeros(target.dim)
    if score.is_exact_for(target):
        return worst
    for move in stepper.moves(schedule):
        for sigmas in move.sigmas:
            found = deviations(target, score, sigmas)
            if found is not None:
                total = target.eigenvalues[None, :] + sigmas[:, None] ** 2
                worst = jnp.maximum(worst, jnp.max(total * found.size, axis=0))
    return 16 * EPS * worst


class _Parts(eqx.Module):
    """KL and squared W2 against N(m, diag(final)): what variances and what means contribute."""

    kl_variance: Array
    kl_mean: Array
    w2_variance: Array
    w2_mean: Array
    condition: Array


@eqx.filter_jit
def _parts(law: GaussianLaw, final: Float[Array, " dim"]) -> _Parts:
    none, w2_mean = jnp.zeros_like(law.shift), law.shift @ law.shift
    if law.excess.ndim == 1:
        terms = gaussian_kl_terms(final, law.excess, none)
        kl_mean = 0.5 * jnp.sum(law.shift**2 / (final + law.excess))
        w2 = jnp.sum(gaussian_w2_squared_terms(final, law.excess, none))
        condition = condition_number(law, final, terms)
        return _Parts(jnp.sum(terms), kl_mean, w2, w2_mean, condition)
    kl = full_gaussian_kl(final, law.excess, none)
    kl_mean = 0.5 * law.shift @ jnp.linalg.solve(jnp.diag(final) + law.excess, law.shift)
    root = jnp.sqrt(final)
    relative = jnp.linalg.eigvalsh(law.excess / root[:, None] / root[None, :])
    size = jnp.minimum(jnp.linalg.norm(relative), 1 + relative[0])
    condition = jnp.linalg.norm(law.absolute / final) / jnp.where(size > 0, size, 1.0)
    w2 = bures_squared(final, law.excess)
    return _Parts(kl, kl_mean, w2, w2_mean, jnp.maximum(condition, 1.0))


def gaussian_marginals(design: SamplerDesign) -> Marginals | None:
    """KL and W2 in closed form.

    Args:
      design: on Gaussian data.

    Returns:
      The errors; None if the score is not affine.
    """
    target, schedule, score, stepper = design
    assert isinstance(target, Gaussian)
    law = gaussian_law(target, schedule, score, stepper)
    if law is None:
        return None
    final = target.eigenvalues + schedule.backward_variances[-1]
    off = _shift_rounding(target, schedule, score, stepper)
    return marginals_of(law, final, schedule.steps, off)


def marginals_of(
    law: GaussianLaw, final: Float[Array, " dim"], steps: int | Int[Array, ""], off: Array
) -> Marginals:
    """KL and squared W2 of a law that the closed form has led to, with their rounding.

    Args:
      law: relative to N(m, diag(final)), in the eigenbasis.
      final: l + v_N, shape [dim].
      steps: how many steps led to it; may be traced.
      off: rounding of the mean of the law, shape [dim].
    """
    parts = _parts(law, final)
    kl, w2_squared = parts.kl_variance + parts.kl_mean, parts.w2_variance + parts.w2_mean
    # Every step rounds a part by a few units; the parts of the variance cancel by `condition`.
    unit = 32 * EPS * (steps + 16)
    lost = unit * (1 + parts.condition)
    lost = lost * (1 + lost)  # KL and W2^2 are quadratic in what is lost
    moved = off * (2 * jnp.abs(law.shift) + off)
    diagonal = law.excess if law.excess.ndim == 1 else jnp.linalg.eigvalsh(law.excess)[0]
    kl_error = lost * parts.kl_variance + 2 * unit * parts.kl_mean
    kl_error += jnp.sum(moved / (final + jnp.minimum(diagonal, 0.0)))
    w2_error = lost * parts.w2_variance + 2 * unit * parts.w2_mean + jnp.sum(moved)
    share = jnp.where(kl > 0, parts.kl_variance / jnp.where(kl > 0, kl, 1.0), 1.0)
    condition = 1 + share * (parts.condition - 1)
    return Marginals(
        Estimate(kl, kl_error, "closed form", condition),
        Estimate(w2_squared, w2_error, "closed form", condition),
    )

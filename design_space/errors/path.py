"""The path identity for samplers of another mean or another noise than the paper's.

A step with mean x + h s'(x) and noise of covariance C (h the variance that it removes) has the KL

    (1/2) int (I(v) - I(v_j)) dv + (1/2) h E|s' - L|^2
        + (1/2) [tr Y - log det(1 + Y) - h tr(Y J) + h^2 E (s' - L)^T (C^{-1} - 1/h) (s' - L)]

from the reverse process, Y = h C^{-1} - 1, L the exact score and J = E L L^T: the first line is the
paper's sampler, and log N(.; h) - log N(.; C) integrates to the second, since the reverse process
moves from x by h L and a rest of covariance h (1 - h J) in the mean.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array, Key, is_concrete
from design_space.errors.design import SamplerDesign
from design_space.errors.discretization import discretization_errors
from design_space.errors.score import score_errors
from design_space.numerics.defects import log1p_defect
from design_space.numerics.estimate import Estimate, weakest
from design_space.numerics.linear_algebra import eigh
from design_space.sampling.moves import AbstractMove, OneStage
from design_space.schedules.schedule import Schedule
from design_space.scores.effective import EffectiveScore
from design_space.targets.base import AbstractTarget
from design_space.targets.fisher import fisher_matrices
from design_space.targets.gaussian import Gaussian
from design_space.targets.integrals import mixture_integrals

_NO_NOISE = "the sampler moves without noise, so that its path law and the exact one are singular"
_PARTS = "the identity holds for samplers of one noisy move per step; this one takes more"
_UNEVEN = "noise that is not alike in every direction is accounted for with the exact score only"


WITHOUT_PATH = (_NO_NOISE, _PARTS)
"""Why samplers of some kinds have no path KL, whatever the numbers of the design."""


class PathTerms(NamedTuple):
    """What each step adds to the path KL, in nats, shape [steps] each.

    Attributes:
      discretization: with the exact score.
      score: what another score adds to that; it may be negative where both errors cancel.
    """

    discretization: Estimate
    score: Estimate


def path_terms(design: SamplerDesign, key: Key, samples: int) -> PathTerms | str:
    """The terms of the path KL of a sampler, or why there are none.

    Args:
      design: the sampler, and the data law.
      key: random key, used where only Monte Carlo is left.
      samples: draws per noise level then.
    """
    target, schedule, score, stepper = design
    moves, exact = stepper.moves(schedule), score.is_exact_for(target)
    reason = without_path(moves)
    if reason is not None:
        return reason
    (move,) = moves
    assert isinstance(move, OneStage)  # without_path refuses all others
    if not (move.isotropic or exact):
        return _UNEVEN
    grid = (schedule.backward_variances, schedule.backward_variance_steps)
    frozen = discretization_errors(target, *grid, key, samples)
    if not move.isotropic:
        matrices = fisher_matrices(target, move.before, key, samples)
        bent = _matrix_noise(target, move, matrices)
        return PathTerms(_sum(frozen, bent, jnp.ones(())), _none(schedule))
    fisher = _fisher(target, move.before, key, samples)
    ratio = move.drop / move.variance
    apart = _mean_defect(target, move, fisher)
    own = _sum(_sum(frozen, _noise(target, move, fisher), jnp.ones(())), apart, ratio)
    if exact:
        return _where_noisy(move, PathTerms(own, _none(schedule)))
    seen = EffectiveScore(score, move.sigma, move.stretch / move.drop, move.gain / move.drop)
    whole = score_errors(target, schedule, seen, key, samples)
    return _where_noisy(move, PathTerms(own, _sum(whole.scaled(ratio), apart, -ratio)))


def without_path(moves: tuple[AbstractMove, ...]) -> str | None:
    """Why a sampler with these moves has no path KL with any score; None if it has one.

    Args:
      moves: the moves of a step.
    """
    if not all(move.noisy for move in moves):
        return _NO_NOISE if len(moves) == 1 else _PARTS
    first, *others = moves
    if others or not isinstance(first, OneStage):
        return _PARTS
    variance = first.variance
    silent = is_concrete(variance) and first.isotropic and not np.all(np.asarray(variance) > 0)
    return _NO_NOISE if silent else None


def _where_noisy(move: OneStage, terms: PathTerms) -> PathTerms:
    """The terms; NaN if the noise, which may be traced, turns out to be none in some step."""
    noisy = jnp.all(move.variance > 0)
    return jax.tree.map(lambda leaf: jnp.where(noisy, leaf, jnp.nan), terms)


def _none(schedule: Schedule) -> Estimate:
    zero = jnp.zeros(schedule.steps)
    return Estimate(zero, zero, "closed form")


def _sum(one: Estimate, other: Estimate, factor: Array) -> Estimate:
    """One + factor other, with the rounding of a difference."""
    value = one.value + factor * other.value
    size = jnp.abs(one.value) + jnp.abs(factor * other.value)
    error = one.error + jnp.abs(factor) * other.error + 16 * EPS * size
    return Estimate(value, error, weakest(one.method, other.method))


def _fisher(target: AbstractTarget, variances: Array, key: Key, samples: int) -> Estimate:
    """I(v) at each level."""
    if isinstance(target, Gaussian):
        found = jax.vmap(lambda v: target.fisher_information(v))(variances)
        return Estimate(found.value, found.error, "closed form")
    return mixture_integrals(target, variances, key, samples).fisher_information


def _noise(target: AbstractTarget, move: OneStage, fisher: Estimate) -> Estimate:
    """(1/2) [d (y - log(1 + y)) - h y I] with y = h/c^2 - 1."""
    y = -move.variance_defect / move.variance
    bent = 0.5 * target.dim * log1p_defect(y, move.drop / move.variance)
    pulled = 0.5 * move.drop * y
    value = bent - pulled * fisher.value
    rounding = 64 * EPS * (bent + jnp.abs(pulled * fisher.value))
    return Estimate(value, jnp.abs(pulled) * fisher.error + rounding, fisher.method)


def _mean_defect(target: AbstractTarget, move: OneStage, fisher: Estimate) -> Estimate:
    """(1/2) h E|s' - L|^2 for the exact score: h s' - h L = q L + p x, and E x^T L = -d.

    (1/2h) [q^2 I - 2 q p d + p^2 (m2^2 + d v)].
    """
    q, p, d = move.gain_defect, move.stretch, target.dim
    second = target.second_moment() + d * move.before
    parts = jnp.stack([q * q * fisher.value, -2 * q * p * d, p * p * second])
    half = 0.5 / move.drop
    rounding = 64 * EPS * jnp.sum(jnp.abs(parts), axis=0)
    error = half * (q * q * fisher.error + rounding)
    return Estimate(half * jnp.sum(parts, axis=0), error, fisher.method)


@eqx.filter_jit
def _matrix_terms(
    target: AbstractTarget, move: OneStage, fisher: Array
) -> tuple[Array, Array, Array]:
    """(1/2) [tr Y - log det(1 + Y) - h tr(Y J)] + (1/2) tr(C^{-1} M) with the exact score.

    M = E (q L + p x)(q L + p x)^T = q^2 J - 2 q p + p^2 E x x^T is the square of h (s' - L).

    Returns:
      The terms, the size of their parts, and what an error of J's entries is multiplied by.
    """
    mean, unit = target.mean(), jnp.eye(target.dim)
    data = target.covariance() + jnp.outer(mean, mean)

    def one(step: OneStage, j: Array) -> tuple[Array, Array, Array]:
        h, p, q = step.drop, step.stretch, step.gain_defect
        share, basis = eigh(step.variance_defect / h)  # C = h (1 + share)
        y = -share / (1 + share)
        bent = log1p_defect(y, 1 / (1 + share))
        square = q * q * j - 2 * q * p * unit + p * p * (data + step.before * unit)
        seen, off = (jnp.einsum("ik,ij,jk->k", basis, m, basis) for m in (j, square))
        pulled, apart = h * y * seen, off / (h * (1 + share))
        size = jnp.sum(jnp.abs(bent) + jnp.abs(pulled) + jnp.abs(apart))
        factor = jnp.max(jnp.abs(h * y) + q * q / (h * (1 + share)))
        return 0.5 * jnp.sum(bent - pulled + apart), size, 0.5 * factor

    return jax.vmap(one)(move, fisher)


def _matrix_noise(target: AbstractTarget, move: OneStage, fisher: Estimate) -> Estimate:
    value, size, factor = _matrix_terms(target, move, fisher.value)
    error = factor * jnp.sum(fisher.error, axis=(1, 2)) + 64 * EPS * size
    return Estimate(value, error, fisher.method)

"""How far the sampler's law is from the data law at the end: marginal KL and W2."""

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import EPS, Array, Float, Key, is_concrete, named_key
from design_space.errors.gaussian import condition_number
from design_space.errors.line import line_errors
from design_space.errors.particles import marginal_kl_by_particles
from design_space.errors.score import split_of
from design_space.numerics.divergences import (
    bures_squared,
    full_gaussian_kl,
    gaussian_kl_terms,
    gaussian_w2_squared_terms,
)
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import mean_estimate
from design_space.sampling.gaussian_law import (
    GaussianLaw,
    commuting_law,
    exact_score_law,
    full_law,
)
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore, deviations
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.reduction import reduce_to_line

_TRACED = "the density law plans its grids from concrete values; call it outside jit and vmap"
_NO_TRANSPORT = (
    "no closed form and no reduction to one dimension: the transport cost of samples in more "
    "dimensions is not computed"
)
_OUTER = 4  # one point of the particle filters per this many samples


class Marginals(eqx.Module):
    """Marginal KL (nats) and squared W2 (squared data units)."""

    marginal_kl: Estimate
    w2_squared: Estimate


def gaussian_law(target: Gaussian, schedule: Schedule, score: AbstractScore) -> GaussianLaw | None:
    """The law of the sampler on Gaussian data under an affine score, in the eigenbasis.

    Args:
      target: N(m, S).
      schedule: the noise schedule.
      score: the score.

    Returns:
      The law relative to p_{v_N}, or None if the score is not affine.
    """
    mean = target.into_basis(target.mean_vector)
    grid = (schedule.backward_variances, schedule.backward_variance_steps)
    if score.is_exact_for(target):
        return eqx.filter_jit(exact_score_law)(mean, target.eigenvalues, *grid)
    found = deviations(target, score, schedule.backward_sigmas[:-1])
    if found is None:
        return None
    run = eqx.filter_jit(commuting_law if found.slope.ndim == 2 else full_law)
    law = run(mean, target.eigenvalues, *grid, found.slope, found.intercept)
    # Coefficients given as numbers carry rounding of the size of the variance itself.
    whole = target.eigenvalues + schedule.backward_variances[-1]
    return GaussianLaw(law.shift, law.excess, law.absolute + whole)


def _shift_rounding(target: Gaussian, schedule: Schedule, score: AbstractScore) -> Array:
    """Rounding of the mean of the law where the score's intercepts are differences, shape [dim].

    An error f_j of e_j moves the mean by at most max_j (l + v_j) f_j: contraction at the rate
    h_j / (l + v_j) sums the h_j f_j to that.
    """
    sigmas = schedule.backward_sigmas[:-1]
    found = None if score.is_exact_for(target) else deviations(target, score, sigmas)
    if found is None:
        return jnp.zeros(target.dim)
    total = target.eigenvalues[None, :] + sigmas[:, None] ** 2
    return 16 * EPS * jnp.max(total * found.size, axis=0)


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


def _gaussian(target: Gaussian, schedule: Schedule, score: AbstractScore) -> Marginals | None:
    """In closed form, if the score is affine."""
    law = gaussian_law(target, schedule, score)
    if law is None:
        return None
    final = target.eigenvalues + schedule.backward_variances[-1]
    parts, off = _parts(law, final), _shift_rounding(target, schedule, score)
    kl, w2_squared = parts.kl_variance + parts.kl_mean, parts.w2_variance + parts.w2_mean
    # Every step rounds a part by a few units; the parts of the variance cancel by `condition`.
    unit = 32 * EPS * (schedule.steps + 16)
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


def _line(target: AbstractTarget, schedule: Schedule, score: AbstractScore) -> Marginals | None:
    """By the density carried along the line, if the law and the score reduce to one."""
    reduction = reduce_to_line(target.components())
    split = split_of(target, score, reduction)
    if reduction is None or split is None:
        return None
    if not is_concrete(target, schedule, score):
        nothing = Estimate.unavailable(_TRACED)
        return Marginals(nothing, nothing)
    try:
        along = line_errors(
            reduction.line, split.line, schedule.backward_sigmas, schedule.backward_variance_steps
        )
    except ValueError as error:
        nothing = Estimate.unavailable(str(error))
        return Marginals(nothing, nothing)
    if split.complement is None or split.complement_target is None:
        return Marginals(along.marginal_kl, along.w2_squared)
    across = _gaussian(split.complement_target, schedule, split.complement)
    assert across is not None  # the parts of a split score are affine across the line
    return Marginals(along.marginal_kl + across.marginal_kl, along.w2_squared + across.w2_squared)


@eqx.filter_jit
def _log_ratio_draws(
    target: AbstractTarget, law: GaussianLaw, schedule: Schedule, key: Key, samples: int
) -> Array:
    """Draws of log p_{v_N}(Y) - log q_N(Y), Y ~ p_{v_N}; `law` is q_N seen from a Dirac at 0."""
    v = schedule.backward_variances[-1]
    covariance = v * jnp.eye(target.dim)
    covariance += jnp.diag(law.excess) if law.excess.ndim == 1 else law.excess
    draws = target.sample(key, samples, v)

    def one(y: Array) -> Array:
        gap = jax.scipy.stats.multivariate_normal.logpdf(y, law.shift, covariance)
        return target.log_density(y, v) - gap

    return jax.lax.map(one, draws, batch_size=min(256, samples))


def _affine(
    target: AbstractTarget, schedule: Schedule, score: AbstractScore, key: Key, samples: int
) -> Marginals | None:
    """An affine score makes the sampler Gaussian on any data; the KL to it is then a plain mean."""
    law = gaussian_law(Gaussian.dirac(jnp.zeros(target.dim)), schedule, score)
    if law is None:
        return None
    kl = mean_estimate(_log_ratio_draws(target, law, schedule, key, samples))
    return Marginals(kl, Estimate.unavailable(_NO_TRANSPORT))


def marginal_errors(
    target: AbstractTarget, schedule: Schedule, score: AbstractScore, key: Key, samples: int
) -> Marginals:
    """KL(p_{v_N} | q_N) and W2(p_{v_N}, q_N)^2.

    Args:
      target: the data law.
      schedule: the noise schedule.
      score: the score model.
      key: random key, used where only Monte Carlo is left.
      samples: its size; one point of the particle filters per 4 samples.

    Returns:
      Closed form for Gaussian data and affine scores in any dimension; the propagated density in
      one dimension and for mixtures that reduce to one; else no W2, and the KL as a plain mean
      against the Gaussian law of an affine score, or by particle filters.
    """
    found = _gaussian(target, schedule, score) if isinstance(target, Gaussian) else None
    found = _line(target, schedule, score) if found is None else found
    if found is not None:
        return found
    key = named_key(key, "marginal")
    found = _affine(target, schedule, score, key, samples)
    if found is not None:
        return found
    points = max(16, samples // _OUTER)
    kl = marginal_kl_by_particles(target, schedule, score, key, points=points)
    return Marginals(kl, Estimate.unavailable(_NO_TRANSPORT))


def square_root(squared: Estimate) -> Estimate:
    """The square root of an estimate of a square, with the error carried over."""
    root: Float[Array, ""] = jnp.sqrt(squared.value)
    # |sqrt(x + e) - sqrt(x)| <= min(e / sqrt(x), sqrt(e)).
    error = jnp.minimum(squared.error / jnp.where(root > 0, root, jnp.inf), squared.error**0.5)
    error = jnp.where(root > 0, error, squared.error**0.5) + EPS * root
    return Estimate(root, error, squared.method, squared.condition, squared.reason)

"""Both sides of equations (3), (4) and (6) for one design."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from analyses import residuals
from analyses.cases import Case
from analyses.statement import Sides
from design_space.arrays import EPS, Array
from design_space.bounds import objective
from design_space.schedules.variance import AbstractVarianceSchedule
from design_space.weightings.conversions import TimeWeighting
from design_space.weightings.named import edm_weighting

Weight = Callable[[Array], Array]
SidesOf = Callable[[Case], Sides]


def _weights(variance: AbstractVarianceSchedule) -> tuple[Weight, ...]:
    """Weights w of one forward time: none, that of score matching, growing ones, and a bell."""
    bell = edm_weighting().density
    return (
        jnp.ones_like,
        lambda t: 2 * variance.diffusion(t),
        lambda t: variance.sigma(t) ** 2,
        lambda t: bell(variance.sigma(t)),
    )


def _time(case: Case, panels: int = 4) -> tuple[objective.TimeRule, Array]:
    """Times of quadrature from t_0 to T with their noise levels.

    Panels are 8 on Gaussian data. On mixtures, where each time costs a quadrature, they are fewer:
    a few where the integral must be exact, one where two integrands are compared.
    """
    times = case.schedule.forward_times
    rule = objective.gauss_times(times[0], times[-1], panels if _is_mixture(case) else 8)
    return rule, case.schedule.variance.sigma(rule.times)


def _is_mixture(case: Case) -> bool:
    return case.target.components().means.shape[0] > 1


def _score(case: Case, factor: Array | float) -> residuals.Score:
    return lambda x, sigma: factor * case.target.score(x, sigma**2)


def _affine(case: Case, function: Callable[..., Array], factor: Array | float, sigmas: Array):
    """A moment on Gaussian data of the exact score times a factor, along noise levels."""
    spread = case.target.components().variances[0]
    return jax.vmap(lambda s: function(spread, -factor / (spread + s**2), s))(sigmas)


def _mismatches(case: Case, sigmas: Array, factor: Array | float | None = None) -> Array:
    """E|S - L|^2 of the case's score, or of the exact score times another factor."""
    factor = case.factor if factor is None else factor
    if not _is_mixture(case):
        return _affine(case, residuals.affine_mismatch, factor, sigmas)
    score = _score(case, factor)
    return residuals.along(lambda s: residuals.mismatch(case.target, score, s), sigmas)


def _residuals(case: Case, sigmas: Array, factor: Array | float | None = None) -> Array:
    """E|sigma S + xi|^2 of the same."""
    factor = case.factor if factor is None else factor
    if not _is_mixture(case):
        return _affine(case, residuals.affine_residual, factor, sigmas)
    score = _score(case, factor)
    return residuals.along(lambda s: residuals.residual(case.target, score, s), sigmas)


def _rounding(case: Case, sigmas: Array, found: Array) -> Array:
    return residuals.rounding(case.target.components().means, sigmas, found, case.target.dim)


def _mmse(case: Case, sigmas: Array) -> Array:
    if not _is_mixture(case):
        return jax.vmap(lambda s: case.target.mmse(s**2).value)(sigmas)
    return residuals.along(lambda s: residuals.least_error(case.target, s), sigmas)


def _loss(case: Case, factor: float = 2.0) -> Array:
    """Score matching with w = 2 sigma_t^2, or another factor than 2."""
    rule, sigmas = _time(case)
    w = factor * case.schedule.variance.diffusion(rule.times)
    return objective.equation_3(rule, w, _mismatches(case, sigmas))


def _entropy_gain(case: Case) -> Array:
    high, low = case.schedule.forward_sigmas[-1], case.schedule.forward_sigmas[0]
    if _is_mixture(case):
        return residuals.entropy(case.target, high) - residuals.entropy(case.target, low)
    return case.target.entropy(high**2).value - case.target.entropy(low**2).value


def entropy_gained(case: Case) -> Sides:
    """Eq. (3) with w = 2 sigma_t^2 against (factor - 1)^2 times the entropy gained."""
    gain = _entropy_gain(case)
    return Sides(_loss(case), (case.factor - 1) ** 2 * gain, 64 * EPS * gain)


def zero(case: Case) -> Sides:
    """The loss of the exact score is nothing beside that of the score zero, the entropy gained."""
    rule, sigmas = _time(case, 1)
    w = 2 * case.schedule.variance.diffusion(rule.times)
    gain = _entropy_gain(case)
    return Sides(gain + objective.equation_3(rule, w, _mismatches(case, sigmas, 1.0)), gain)


def limit(factor: float) -> SidesOf:
    """E_S and what it misses of the integral, (factor - 1)^2 E_D, which goes as 1/N."""

    def sides(case: Case) -> Sides:
        missed = (case.factor - 1) ** 2 * case.errors.discretization.value
        budget = case.errors.score.value + missed
        return Sides(budget, _loss(case, factor), 64 * EPS * _entropy_gain(case))

    return sides


def _worst(left: Array, right: Array, error: Array) -> Sides:
    """Of equalities with their rounding errors the one that is farthest off."""
    size = jnp.maximum(jnp.maximum(jnp.abs(left), jnp.abs(right)), 1e-300)
    off = (jnp.abs(left - right) - error) / size
    index = jnp.argmax(jnp.where(jnp.isnan(off), jnp.inf, off))
    return Sides(left[index], right[index], error[index])


def denoising(formula: Callable[..., Array], others: bool = False) -> SidesOf:
    """L_conti - (1/2) int w C against the denoising integral, for each of the weights.

    The constant stands on the left, so that nothing cancels.

    Args:
      formula: eq. (4), printed or corrected.
      others: take noise that is not the one in X.
    """

    def sides(case: Case) -> Sides:
        rule, sigmas = _time(case, 1)
        left, floor = _mismatches(case, sigmas), _mmse(case, sigmas) / sigmas**4
        right = _independent_noise(case, sigmas) if others else _residuals(case, sigmas)
        none, rounding = jnp.zeros_like(sigmas), _rounding(case, sigmas, right) / sigmas**2
        w = jnp.stack([jax.vmap(f)(rule.times) for f in _weights(case.schedule.variance)])
        return _worst(
            jax.vmap(lambda row: objective.equation_3(rule, row, left + floor))(w),
            jax.vmap(lambda row: formula(rule, row, sigmas, right, none))(w),
            jax.vmap(lambda row: objective.equation_3(rule, row, rounding))(w),
        )

    return sides


def _independent_noise(case: Case, sigmas: Array) -> Array:
    """E|sigma S(X) + xi'|^2 for noise xi' that is not the one in X: v E|S|^2 + d."""
    information = jax.vmap(lambda s: case.target.fisher_information(s**2).value)(sigmas)
    return (sigmas * case.factor) ** 2 * information + case.target.dim


def unit_level(case: Case) -> Sides:
    """The integrand of the printed form at the one noise level where it is right."""
    one = jnp.ones(1)
    rule, floor = objective.TimeRule(one, one), _mmse(case, one)
    right = _residuals(case, one)
    return Sides(
        objective.equation_3(rule, one, _mismatches(case, one)),
        objective.equation_4(rule, one, one, right, objective.gap_by_mmse(floor, one)),
        objective.equation_3(rule, one, _rounding(case, one, right) + 16 * EPS * floor),
    )


def whole(case: Case) -> Sides:
    """L_conti against the corrected form as it stands, constant on the right, for w = 1."""
    rule, sigmas = _time(case, 1)
    one, floor = jnp.ones_like(sigmas), _mmse(case, sigmas)
    right, variance = _residuals(case, sigmas), sigmas**2
    gap = objective.gap_by_mmse(floor, variance)
    rounding = _rounding(case, sigmas, right) / variance + 16 * EPS * floor / variance**2
    return Sides(
        objective.equation_3(rule, one, _mismatches(case, sigmas)),
        objective.equation_4_corrected(rule, one, sigmas, right, gap),
        objective.equation_3(rule, one, rounding),
    )


def gaps(case: Case) -> Sides:
    """C by its definition and by mmse; the definition cancels."""
    v, dim = case.variances, case.target.dim
    left = objective.gap(case.information, dim, v)
    return _worst(left, objective.gap_by_mmse(case.mmse, v), 16 * EPS * dim / v)


def _levels(case: Case) -> tuple[Array, Array, Array]:
    """Noise levels 1, ..., N in forward order, with information and mmse there."""
    forward = (case.information[::-1][1:], case.mmse[::-1][1:])
    return case.schedule.forward_sigmas[1:], *forward


def floor(conversion: Callable[[Weight], TimeWeighting], exact: bool = True) -> SidesOf:
    """The loss (6) of the exact score, or of the case's, against -C_bar, for each of the weights.

    Args:
      conversion: from w to the total weighting.
      exact: whether to take the exact score.
    """

    def sides(case: Case) -> Sides:
        sigmas, _, mmse = _levels(case)
        found = _residuals(case, sigmas, 1.0 if exact else None)
        c, rounding = objective.gap_by_mmse(mmse, sigmas**2), _rounding(case, sigmas, found)
        weights, times = _weights(case.schedule.variance), case.schedule.forward_times[1:]
        w = jnp.stack([jax.vmap(weight)(times) for weight in weights])
        beta = jnp.stack([conversion(weight).total(case.schedule) for weight in weights])
        return _worst(
            jax.vmap(lambda row: objective.equation_6(row, found))(beta),
            jax.vmap(lambda row: -objective.equation_5_constant(case.schedule, row, c))(w),
            jax.vmap(lambda row: objective.equation_6(row, rounding))(beta),
        )

    return sides


def excess(case: Case) -> Sides:
    """The loss of any score is the floor plus (1/2) sum beta_j v_j e_j."""
    sigmas, information, mmse = _levels(case)
    beta, found = edm_weighting().total(case.schedule), _residuals(case, sigmas)
    least = objective.equation_6_floor(beta, mmse, sigmas**2)
    more = objective.equation_6(beta, sigmas**2 * (case.factor - 1) ** 2 * information)
    error = objective.equation_6(beta, _rounding(case, sigmas, found))
    return Sides(objective.equation_6(beta, found), least + more, error)

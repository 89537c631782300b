"""Marginal errors in the plane: the data law against the density carried through the sampler."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import pdist

from design_space.arrays import EPS, Array
from design_space.numerics.defects import expm1_defect
from design_space.numerics.estimate import Estimate
from design_space.numerics.plane_grid import PlaneGrid, in_chunks
from design_space.sampling.moves import AbstractMove, is_turned
from design_space.sampling.plane_law import plane_law
from design_space.sampling.plane_patches import (
    COARSE,
    FINE,
    MOST,
    Patch,
    PlaneDensity,
    PlaneResolution,
    responsibilities,
    windows,
)
from design_space.sampling.steppers import AbstractStepper
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.scores.plane import split_in_plane
from design_space.targets.base import AbstractTarget
from design_space.targets.components import Components
from design_space.targets.mixture import GaussianMixture
from design_space.targets.plane import reduce_to_plane

# of the maximum; where q is below, it is a tail, followed at the fine resolution only
_CORE = 1e-10
_MOST_WEIGHED = 1 << 20  # points of a patch at which responsibilities are asked
_NOISE = 10.0  # values count where they are so many times the rounding that shows below zero


class PlaneErrors(eqx.Module):
    """How far a sampler's law q is from p_{v_N} in the plane.

    Attributes:
      marginal_kl: KL(p | q), in nats.
      total_variation: (1/2) int |p - q|.
      mass_defect: int q - 1, which is zero but for the numerical error.
      mode_weights: E_q r_k, the mass that q gives to each component, shape [components]; those of
        the data are its weights.
      mean: of q, in the coordinates of the plane, shape [2].
      covariance: of q, shape [2, 2].
      density: q itself, at the finer resolution.
    """

    marginal_kl: Estimate
    total_variation: Estimate
    mass_defect: Estimate
    mode_weights: Estimate
    mean: Estimate
    covariance: Estimate
    density: PlaneDensity


class _Moments(NamedTuple):
    """Mass, mean, covariance and mode weights of a density."""

    mass: float
    mean: np.ndarray
    covariance: np.ndarray
    weights: np.ndarray


class _Comparison(NamedTuple):
    """KL and total variation, and what is not resolved of either.

    The share `core` of the KL, where q is no tail, is the same at all resolutions.
    """

    kl: float
    core: float
    variation: float
    beyond: float
    bent: float


@eqx.filter_jit
def _log_densities(parts: Components, variance: Array, x: Array) -> Array:
    law = GaussianMixture.from_components(parts)
    return jax.vmap(lambda y: law.posterior(y, variance).log_density)(x)


_defects = eqx.filter_jit(expm1_defect)


def _moments(density: PlaneDensity, parts: Components, variance: Array) -> _Moments:
    """By the trapezoid rule on every patch, which is spectral for smooth integrands."""
    turn = _turn(parts, variance)
    mass, first, second = 0.0, np.zeros(2), np.zeros((2, 2))
    weights = np.zeros(parts.means.shape[0])
    for patch in density.patches:
        x, q = patch.grid.points(), patch.values.ravel() * patch.grid.cell
        mass += float(np.sum(q))
        first += q @ x
        second += np.einsum("n,ni,nj->ij", q, x, x)
        weights += _weights(patch, parts, variance, turn)
    mean = first / mass
    return _Moments(mass, mean, second / mass - np.outer(mean, mean), weights)


def _turn(parts: Components, variance: Array) -> float:
    """The least length on which a responsibility rises: (s^2 + v) over a distance of means."""
    means, least = np.asarray(parts.means), float(np.min(np.asarray(parts.variances)))
    return (least + float(variance)) / max(float(np.max(pdist(means), initial=0.0)), 1e-300)


def _weights(patch: Patch, parts: Components, variance: Array, turn: float) -> np.ndarray:
    """E r_k of a patch; responsibilities may turn faster than its density, which is interpolated.

    A logistic of length w has its poles at pi i w: points a distance w apart leave e^-19.
    """
    grid = patch.grid
    finest = max(1, int((_MOST_WEIGHED / (grid.size[0] * grid.size[1])) ** 0.5))
    factors = [int(np.clip(np.ceil(h / turn), 1, finest)) for h in grid.spacing]
    if max(factors) == 1:
        x, q = grid.points(), patch.values.ravel()
    else:
        spacing = tuple(h / k for h, k in zip(grid.spacing, factors, strict=True))
        size = tuple((n - 1) * k + 1 for n, k in zip(grid.size, factors, strict=True))
        grid = PlaneGrid(grid.origin, spacing, size)  # type: ignore[arg-type]
        x = grid.points()
        q = patch.between(x)
    return grid.cell * q @ responsibilities(parts, variance, x)


def _grids(
    density: PlaneDensity, parts: Components, variance: Array, how: PlaneResolution
) -> list[tuple[int, PlaneGrid]]:
    """For every group of components, a grid that covers it and resolves both laws."""
    view = windows(parts, variance)
    means = np.asarray(parts.means)
    widest, least = (
        np.sqrt(f(np.asarray(parts.variances), axis=1) + float(variance)) for f in (np.max, np.min)
    )
    reach = (2 * how.depth) ** 0.5 * widest[:, None]
    found = []
    for g in range(view.count):
        own = view.groups == g
        low, high = np.min((means - reach)[own], axis=0), np.max((means + reach)[own], axis=0)
        limit = (2 * how.tolerance) ** 0.5 / np.min(least[own])
        spacing = np.full(2, np.pi / (how.oversampling * limit))
        for patch in density.patches:
            start, end = np.array(patch.grid.origin), np.array(patch.grid.end)
            if np.all(start < high) and np.all(end > low):
                spacing = np.minimum(spacing, patch.grid.spacing)
        found.append((g, PlaneGrid.covering(low, high, spacing, MOST)))
    return found


def _near(density: PlaneDensity, grid: PlaneGrid, how: PlaneResolution) -> tuple[float, float]:
    """The largest value of the density on a grid, and the least that is no rounding or cut tail."""
    tops, cuts = [], []
    for patch in density.patches:
        start, end = np.array(patch.grid.origin), np.array(patch.grid.end)
        if np.all(start < grid.end) and np.all(end > np.array(grid.origin)):
            top, least = float(np.max(patch.values)), float(np.min(patch.values))
            tops.append(top)
            cuts.append(max(np.exp(-how.depth) * top, -_NOISE * least))
    return max(tops, default=0.0), max(cuts, default=0.0)


def _compare_on(
    grid: PlaneGrid, share: np.ndarray, p: np.ndarray, q: np.ndarray, ends: tuple[float, float]
) -> np.ndarray:
    """KL and its core, variation, mass of q, what is beyond, and what lies where |p - q| bends."""
    top, cut = ends
    seen = q > max(cut, 1e-300)
    log_p = np.log(np.maximum(p, 1e-300))
    z = np.where(seen, np.log(np.where(seen, q, 1.0)) - log_p, 0.0)
    # p log(p/q) + q - p = p (e^z - 1 - z) has no sign changes; where q outgrows p, as it stands.
    terms = np.where(
        z < 1, p * np.asarray(_defects(jnp.asarray(np.minimum(z, 1.0)))), q - p - p * z
    )
    lost = np.where(seen, 0.0, p * (2 + 2 * np.abs(log_p - np.log(max(cut, 1e-300)))))
    off = (p - q).reshape(grid.size)
    turns = np.zeros(grid.size, bool)
    turns[1:] |= off[1:] * off[:-1] < 0
    turns[:, 1:] |= off[:, 1:] * off[:, :-1] < 0
    # The trapezoid rule errs by at most slope spacing^2 / 12 along a bend, a third of this.
    bent = np.where(turns.ravel(), np.abs(p - q), 0.0) / 4
    terms = np.where(seen, terms, q - p)
    core = np.where(q > _CORE * top, terms, 0.0)
    each = np.stack([terms, core, 0.5 * np.abs(p - q), q, lost, bent])
    return np.sum(each * share[None, :], axis=1) * grid.cell


def _compare(
    density: PlaneDensity, parts: Components, variance: Array, mass: float, how: PlaneResolution
) -> _Comparison:
    """Sums over grids near the data; what q has elsewhere counts in full."""
    view, total = windows(parts, variance), np.zeros(6)
    for g, grid in _grids(density, parts, variance, how):
        x = grid.points()
        p = np.exp(in_chunks(lambda part: _log_densities(parts, variance, part), (x,)))
        ends = _near(density, grid, how)
        total += _compare_on(grid, view(x)[:, g], p, density(x), ends)
    kl, core, variation, near, beyond, bent = (float(t) for t in total)
    elsewhere = mass - near
    return _Comparison(
        kl + elsewhere, core + elsewhere, variation + 0.5 * abs(elsewhere), beyond, bent
    )


def plane_errors(
    parts: Components,
    score: AbstractScore,
    moves: tuple[AbstractMove, ...],
    start: float,
    end: float,
) -> PlaneErrors:
    """The law of a sampler in the plane against the data law, for any score.

    Everything is computed at two resolutions; the difference, the defect of the sampler's mass,
    tails below the rounding of densities and rounding make the stated error.

    Args:
      parts: components of the data law, in two dimensions.
      score: a score of points in the plane, differentiable in JAX.
      moves: the moves of a step of the sampler.
      start: v_0, the sampler starts from N(0, v_0 I).
      end: v_N; the data law is compared at this noise variance.

    Returns:
      The errors, method "quadrature".

    Raises:
      ValueError: if the law has structure too fine for its extent (see plane_law).
    """
    variance = jnp.asarray(end)
    results = []
    for how in (COARSE, FINE):
        density = plane_law(score, moves, start, parts, how)
        moments = _moments(density, parts, variance)
        compared = _compare(density, parts, variance, moments.mass, how)
        results.append((moments, compared, density))
    (coarse, rough, _), (fine, found, density) = results
    steps = sum(move.before.shape[0] for move in moves)
    # Rounding: every move rounds q by a few units; a relative change d of q moves the KL by d
    # sqrt(2 KL).
    relative = abs(fine.mass - 1) + 64 * EPS * (steps + 16)
    scale = np.abs(fine.mean) + np.sqrt(np.diag(fine.covariance))
    kl_error = abs(found.core - rough.core) + found.beyond + (2 * abs(found.kl)) ** 0.5 * relative
    variation_error = abs(found.variation - rough.variation) + found.bent + relative
    return PlaneErrors(
        _estimate(found.kl, kl_error + relative),
        _estimate(found.variation, variation_error),
        _estimate(fine.mass - 1, abs(fine.mass - coarse.mass) + relative),
        _estimate(fine.weights, np.abs(fine.weights - coarse.weights) + relative),
        _estimate(fine.mean, np.abs(fine.mean - coarse.mean) + relative * scale),
        _estimate(
            fine.covariance,
            np.abs(fine.covariance - coarse.covariance) + 2 * relative * np.outer(scale, scale),
        ),
        density,
    )


def _estimate(value: float | np.ndarray, error: float | np.ndarray) -> Estimate:
    return Estimate(jnp.asarray(value), jnp.asarray(error), "quadrature")


def plane_marginals(
    target: AbstractTarget, schedule: Schedule, score: AbstractScore, stepper: AbstractStepper
) -> PlaneErrors | None:
    """The errors of a sampler's law in the plane that the data law reduces to.

    In more than two dimensions the law is that of the plane beside an independent Gaussian across
    it (see split_in_plane), whose KL adds to this one; coordinates are those of the plane.

    Args:
      target: the data law.
      schedule: the noise schedule.
      score: the score.
      stepper: the sampler.

    Returns:
      The errors; None if the law and the score do not reduce to a plane.

    Raises:
      ValueError: if the density cannot be carried, with the reason (see plane_law).
    """
    reduction = reduce_to_plane(target.components())
    split = split_in_plane(target, score, reduction)
    if reduction is None or split is None:
        return None
    moves = stepper.moves(schedule)
    if reduction.complement_dim and is_turned(moves):
        return None
    v = schedule.backward_variances
    return plane_errors(reduction.plane, split.plane, moves, float(v[0]), float(v[-1]))

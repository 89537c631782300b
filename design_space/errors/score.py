"""E_S: what a wrong score costs, (1/2) h_j E|s_j(X) - L_{v_j}(X)|^2 with X ~ p_{v_j}, per step."""

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import EPS, Array, Key, named_key
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import mean_estimate
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore, Deviation, SplitScore, deviations
from design_space.scores.model import AbstractModel
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.line import Line, at_point, panel_count, rule
from design_space.targets.reduction import Reduction, by_quadrature, reduce_to_line


def _zero(schedule: Schedule) -> Estimate:
    zero = jnp.zeros(schedule.steps)
    return Estimate(zero, zero, "closed form")


@eqx.filter_jit
def _affine_mismatch(target: Gaussian, found: Deviation, sigmas: Array) -> tuple[Array, Array]:
    """E|E (x - m) + e|^2 = tr(E P E^T) + |e|^2 at each level, P = diag(l + v), and its rounding.

    A slope that is given as a number is a difference of two slopes of the size of P^{-1}.
    """
    total = target.eigenvalues[None, :] + sigmas[:, None] ** 2
    square = found.slope**2
    columns = square if square.ndim == 2 else jnp.sum(square, axis=1)
    value = jnp.sum(columns * total + found.intercept**2, axis=1)
    off = 16 * EPS * jnp.sqrt(target.dim) / jnp.min(total, axis=1)
    spread = jnp.sum(total, axis=1) + target.mean_vector @ target.mean_vector
    square_off = jnp.where(jnp.any(columns > 0, axis=1), off**2 * spread, 0.0)
    square_off += jnp.sum((16 * EPS * found.size) ** 2, axis=1)
    return value, 256 * EPS * value + 2 * jnp.sqrt(value * square_off) + square_off


@eqx.filter_jit
def _line_mismatch(line: Line, score: AbstractScore, sigmas: Array, panels: int) -> Array:
    """E|s - L|^2 at each level, what a fine and a coarse rule differ by, panel for panel, and the
    rounding; shape [levels, 3]. Panels end where the score is known to bend.
    """

    def by(sigma: Array, order: int) -> tuple[Array, Array]:
        v = sigma**2
        bends = score.kinks(sigma) if isinstance(score, AbstractModel) else None
        nodes, weights = rule(line, v, panels, order, bends)

        def node(x: Array, w: Array) -> tuple[Array, Array]:
            at = at_point(line, x, v)
            s = score(x[None], sigma)[0]
            mass = w * jnp.exp(at.log_density)
            return mass * (s - at.score) ** 2, mass * (jnp.abs(s) + jnp.abs(at.score)) ** 2

        square, size = jax.vmap(jax.vmap(node))(nodes, weights)
        return jnp.sum(square, axis=1), jnp.sum(size)

    def level(sigma: Array) -> Array:
        (fine, size), (coarse, _) = by(sigma, 20), by(sigma, 12)
        # s - L is off by a few EPS of |s| + |L|, its square by twice that times |s - L|.
        off = 64 * EPS * jnp.sqrt(size)
        apart, total = jnp.abs(fine - coarse), jnp.sum(fine)
        if isinstance(score, AbstractModel) and score.kinks(sigma) is None:
            # It bends unseen: rules err by as much as each other, with signs of their own.
            apart = 2 * jnp.maximum(apart, jnp.abs(fine - by(sigma, 16)[0]))
        return jnp.stack([total, jnp.sum(apart), off * (off + 2 * jnp.sqrt(total))])

    return jax.lax.map(level, sigmas)


@eqx.filter_jit
def _sampled_mismatch(
    target: AbstractTarget, score: AbstractScore, sigmas: Array, key: Key, samples: int
) -> Array:
    def level(args: tuple[Array, Key]) -> Array:
        sigma, k = args
        draws = target.sample(k, samples, sigma**2)

        def point(x: Array) -> Array:
            difference = score(x, sigma) - target.score(x, sigma**2)
            return difference @ difference

        return jax.lax.map(point, draws, batch_size=min(256, samples))

    return jax.lax.map(level, (sigmas, jax.random.split(key, sigmas.shape[0])))


def split_of(
    target: AbstractTarget, score: AbstractScore, reduction: Reduction | None
) -> SplitScore | None:
    """The score along and across the line a law reduces to; in one dimension, the score itself."""
    if reduction is None:
        return None
    if target.dim == 1:
        return SplitScore(score, None, None)
    return score.split(target, reduction)


def score_errors(
    target: AbstractTarget, schedule: Schedule, score: AbstractScore, key: Key, samples: int
) -> Estimate:
    """The contribution of every step to E_S.

    Args:
      target: the data law.
      schedule: the noise schedule.
      score: the score model.
      key: random key, used where only Monte Carlo is left.
      samples: draws per noise level then.

    Returns:
      An Estimate of shape [steps], in nats: exactly zero for the exact score, closed form for
      Gaussian data and affine scores, quadrature on the line, else Monte Carlo.
    """
    if score.is_exact_for(target):
        return _zero(schedule)
    sigmas, half = schedule.backward_sigmas[:-1], 0.5 * schedule.backward_variance_steps
    found = deviations(target, score, sigmas) if isinstance(target, Gaussian) else None
    if isinstance(target, Gaussian) and found is not None:
        value, error = _affine_mismatch(target, found, sigmas)
        return Estimate(half * value, half * error + EPS**2 * half / sigmas**2, "closed form")
    reduction = reduce_to_line(target.components())
    split = split_of(target, score, reduction)
    if reduction is not None and split is not None and by_quadrature(reduction):
        panels = panel_count(reduction.line, sigmas**2)
        sums = _line_mismatch(reduction.line, split.line, sigmas, panels)
        along = Estimate(half * sums[:, 0], half * (sums[:, 1] + sums[:, 2]), "quadrature")
        if split.complement is None or split.complement_target is None:
            return along
        across = score_errors(split.complement_target, schedule, split.complement, key, samples)
        return along + across
    draws = _sampled_mismatch(target, score, sigmas, named_key(key, "score"), samples)
    mean = mean_estimate(draws.T)
    return Estimate(half * mean.value, half * mean.error, "monte carlo")

"""Distances and moments of a sampler's law that only its particles know."""

import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Key, named_key
from design_space.errors.particles import PARTICLES, log_density_ratios
from design_space.numerics.estimate import Estimate
from design_space.numerics.mixture_fit import FittedMixture, fit_mixture
from design_space.numerics.neighbors import neighbor_kl
from design_space.numerics.statistics import interval_factor, mean_estimate
from design_space.sampling.moves import OneStage
from design_space.scores.base import AbstractScore
from design_space.targets.base import AbstractTarget

LARGEST_FIT = 32
"""Components up to which the reference of the nearest-neighbor KL is fitted to the sampler."""


def law_as_mixture(target: AbstractTarget, variance: float) -> FittedMixture:
    """The law p_v of the data, as the reference of other estimates.

    Args:
      target: the data law.
      variance: noise variance v, above 0.
    """
    parts = target.components()
    totals = np.asarray(parts.variances) + variance
    bases = np.eye(target.dim)[None] if parts.bases is None else np.asarray(parts.bases)
    covariances = np.einsum(
        "kij,kj,klj->kil",
        np.broadcast_to(bases, (len(totals), target.dim, target.dim)),
        totals,
        np.broadcast_to(bases, (len(totals), target.dim, target.dim)),
    )
    weights = np.exp(np.asarray(parts.log_weights))
    return FittedMixture(weights / weights.sum(), np.asarray(parts.means), covariances)


def log_densities(
    target: AbstractTarget, variance: float, points: Float[np.ndarray, "points dim"]
) -> Float[np.ndarray, " points"]:
    """The log density of p_v at many points.

    Args:
      target: the data law.
      variance: noise variance v.
      points: shape [points, dim].
    """
    many = min(256, len(points))

    def one(x: Array) -> Array:
        return target.log_density(x, variance)

    return np.asarray(jax.lax.map(one, jnp.asarray(points), batch_size=many))


def kl_by_neighbors(
    target: AbstractTarget,
    variance: float,
    exact: Float[np.ndarray, "draws dim"],
    made: Float[np.ndarray, "particles dim"],
    seed: int,
) -> Estimate:
    """KL(p_v | q) by nearest neighbors, from draws of both laws (see numerics/neighbors.py).

    The reference is the data law, each component moved to where the particles are.

    Args:
      target: the data law.
      variance: noise variance v.
      exact: draws of p_v, shape [draws, dim].
      made: draws of q, shape [particles, dim].
      seed: of the draws of the reference.
    """
    start = law_as_mixture(target, variance)
    few = len(start.weights) <= LARGEST_FIT

    def fit(samples: Float[np.ndarray, "count dim"]) -> FittedMixture:
        return fit_mixture(samples, start) if few else start

    return neighbor_kl(exact, log_densities(target, variance, exact), made, fit=fit, seed=seed)


def total_variation_by_particles(
    target: AbstractTarget,
    chain: OneStage,
    score: AbstractScore,
    points: Float[Array, "points dim"],
    key: Key,
) -> Estimate:
    """TV(p, q) between two means that are proved to lie below and above it.

    With unbiased estimates r of q/p at draws of p from independent particle filters,

        E (1 - r_1) 1{r_2 < 1}  <=  TV  <=  E (1 - (r_1 + r_2)/2)_+ :

    the first is p(A) - q(A) for a random set A, the second is Jensen's inequality.

    Args:
      target: the data law.
      chain: the moves of the sampler (`as_chain`).
      score: the score model.
      points: independent draws of p_{v_N}, shape [points, dim].
      key: random key.

    Returns:
      The middle of both; the error reaches beyond both by their 99 % intervals.
    """
    log_r = log_density_ratios(
        target, chain, score, points, named_key(key, "paths"), filters=2, particles=PARTICLES
    )
    missing = -jnp.expm1(log_r)
    above = mean_estimate(jnp.maximum(jnp.mean(missing, axis=1), 0.0))
    below = mean_estimate(jnp.mean(jnp.where(log_r[:, ::-1] < 0, missing, 0.0), axis=1))
    half = 0.5 * jnp.abs(above.value - below.value)
    error = half + jnp.maximum(above.error, below.error)
    return Estimate(0.5 * (above.value + below.value), error, "monte carlo")


def sampled_mode_weights(
    target: AbstractTarget, variance: float, made: Float[np.ndarray, "particles dim"]
) -> Estimate:
    """E_q of the posterior probability of each component at noise variance v.

    A mode that no particle has found may still have a weight of z^2 / n (Wilson's interval), which
    enters every error.

    Args:
      target: the data law.
      variance: noise variance v.
      made: draws of q, shape [particles, dim].

    Returns:
      Shape [components].
    """

    def share(x: Array) -> Array:
        return target.posterior(x, variance).weights

    draws = jax.lax.map(share, jnp.asarray(made), batch_size=min(256, len(made)))
    found, count = mean_estimate(draws), len(made)
    return Estimate(
        found.value, jnp.hypot(found.error, interval_factor(count) ** 2 / count), "monte carlo"
    )


def covariance_estimate(made: Float[np.ndarray, "particles dim"]) -> Estimate:
    """The covariance from draws, entry by entry with its 99 % interval.

    Args:
      made: independent draws, shape [particles, dim].

    Returns:
      Shape [dim, dim].
    """
    count = len(made)
    centered = made - np.mean(made, axis=0)
    value = centered.T @ centered / count
    square = (centered**2).T @ (centered**2) / count
    spread = np.sqrt(np.maximum(square - value**2, 0.0) / count)
    value, error = count / (count - 1) * value, interval_factor(count) * spread
    return Estimate(jnp.asarray(value), jnp.asarray(error), "monte carlo")


def check_particles(made: Float[np.ndarray, "particles dim"]) -> None:
    """Refuses particles that have run away.

    Raises:
      ValueError: if one is not finite.
    """
    if not np.all(np.isfinite(made)):
        remedy = "check that the score is finite at every level of the schedule"
        raise checks.refusal("particles", "NaN or infinite", "finite", remedy)

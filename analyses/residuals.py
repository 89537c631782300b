"""What a score leaves over on a mixture of Gaussians: the two errors of score matching, by points.

Given its component, data and noise are normal, so that X = m + s u and xi = (sigma u + sqrt(l) u')/s
with s^2 = l + sigma^2 and u, u' independent standard normal numbers. Expectations are sums over
components, over nodes for u and over u' = +-1, which is exact, as xi enters squared. For an affine
score on Gaussian data u = +-1 is exact too. Covariances are diagonal; in several dimensions all
coordinates take the same node, which is exact for sums of squares coordinate by coordinate.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from analyses.cases import Case
from design_space.arrays import EPS, Array
from design_space.targets.base import AbstractTarget

Score = Callable[[Array, Array], Array]
"""A score of one point [dim] and one noise level sigma."""


class Nodes(NamedTuple):
    """Nodes and weights of a rule for a standard normal number."""

    places: np.ndarray
    weights: np.ndarray


TWO = Nodes(np.array([-1.0, 1.0]), np.array([0.5, 0.5]))
"""Exact for squares of affine functions."""


def _trapezoid(spacing: float, reach: float) -> Nodes:
    places = np.arange(-reach, reach + spacing / 2, spacing)
    weights = np.exp(-0.5 * places**2)
    return Nodes(places, weights / weights.sum())


MANY = _trapezoid(1 / 16, 9.0)
"""The trapezoid rule: spectrally accurate for scores of mixtures."""


def nodes_of(target: AbstractTarget) -> Nodes:
    """The rule for a target: two nodes for one component, many for several."""
    return TWO if target.components().means.shape[0] == 1 else MANY


def _sum(target: AbstractTarget, sigma: Array, square: Callable[[Array, Array], Array]) -> Array:
    """E square(X, xi) over components, nodes and u'."""
    parts, rule = target.components(), nodes_of(target)
    total = jnp.sqrt(parts.variances + sigma**2)
    u, other = jnp.asarray(rule.places)[:, None], jnp.array([-1.0, 1.0])[:, None, None, None]
    x = parts.means[:, None, :] + total[:, None, :] * u[None, :, :]
    along = (sigma / total)[:, None, :] * u[None, :, :]
    xi = along[None] + other * (jnp.sqrt(parts.variances) / total)[None, :, None, :]
    values = jax.vmap(jax.vmap(jax.vmap(square)))(jnp.broadcast_to(x[None], xi.shape), xi)
    weights = jnp.exp(parts.log_weights)[:, None] * rule.weights[None, :]
    return jnp.sum(weights * jnp.mean(values, axis=0))


def residual(target: AbstractTarget, score: Score, sigma: Array) -> Array:
    """r = E|sigma S(X, sigma) + xi|^2, xi the noise in X = X_0 + sigma xi.

    Args:
      target: the data law, with diagonal covariances.
      score: affine if the target has one component, of one dimension if it has several.
      sigma: noise level.
    """
    return _sum(target, sigma, lambda x, xi: jnp.sum((sigma * score(x, sigma) + xi) ** 2))


def mismatch(target: AbstractTarget, score: Score, sigma: Array) -> Array:
    """e = E|S(X, sigma) - grad log p(X)|^2, with the slope of the log density by differentiation.

    Args: as for `residual`.
    """

    def square(x: Array, xi: Array) -> Array:
        slope = jax.grad(lambda y: target.log_density(y, sigma**2))(x)
        return jnp.sum((score(x, sigma) - slope) ** 2)

    return _sum(target, sigma, square)


def least_error(target: AbstractTarget, sigma: Array) -> Array:
    """mmse(v) = E tr Cov(X_0 | X), from the posterior covariance.

    Args: as for `residual`.
    """
    return _sum(
        target, sigma, lambda x, xi: jnp.trace(target.posterior_covariance(x, sigma**2))
    )


def entropy(target: AbstractTarget, sigma: Array) -> Array:
    """-E log p(X), in nats; for targets of several components in one dimension.

    Args: as for `residual`.
    """
    return _sum(target, sigma, lambda x, xi: -target.log_density(x, sigma**2))


def along(function: Callable[[Array], Array], sigmas: Array) -> Array:
    """A function of one noise level at many; one after the other where there are many nodes."""
    return jax.lax.map(function, sigmas, batch_size=min(16, sigmas.shape[0]))


def case_score(case: Case) -> Score:
    """The score of a case: its factor times the exact score."""
    return lambda x, sigma: case.factor * case.target.score(x, sigma**2)


def rounding(case: Case, sigmas: Array, residuals: Array) -> Array:
    """What rounding can move the residuals by: X - m is known to EPS |X|, in units of sigma.

    Args:
      case: the case.
      sigmas: noise levels, [k].
      residuals: r there, [k].
    """
    size = jnp.max(jnp.abs(case.target.components().means))
    off = 16 * EPS * (1 + size / sigmas)
    dim = case.target.dim
    return 2 * jnp.sqrt(residuals * dim) * off + dim * off**2

"""What a score leaves over on a mixture of Gaussians: its errors in score matching and denoising.

On one Gaussian and for an affine score they are moments in closed form. On mixtures in one
dimension they are sums over points: given its component, data and noise are normal, X = m + s u and
xi = (sigma u + sqrt(l) u')/s with s^2 = l + sigma^2 and u, u' independent standard normal numbers;
u runs over the nodes of a trapezoid rule, and u' over +-1, which is exact, as xi enters squared.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array
from design_space.targets.base import AbstractTarget

Score = Callable[[Array, Array], Array]
"""A score of one point [dim] and one noise level sigma."""

FINE, COARSE = 1 / 128, 1 / 16
"""Spacings of the nodes, in standard deviations of their component. Two nodes to the standard
deviation of the narrowest component are enough; COARSE is for components of equal width."""

_BATCH = 4  # noise levels at a time


def affine_residual(spread: Array, slope: Array, sigma: Array) -> Array:
    """E|sigma S(X) + xi|^2 for S(x) = a (x - m) on N(m, diag(l)), by the joint law of X and xi.

    sigma S + xi = sigma a (X_0 - m) + (sigma^2 a + 1) xi.

    Args:
      spread: l, [dim].
      slope: a, [dim] or a number.
      sigma: noise level.
    """
    return jnp.sum((sigma * slope) ** 2 * spread + (sigma**2 * slope + 1) ** 2)


def affine_mismatch(spread: Array, slope: Array, sigma: Array) -> Array:
    """E|S(X) - grad log p(X)|^2 for the same, by the law of X, of variances l + sigma^2.

    Args: as for `affine_residual`.
    """
    total = spread + sigma**2
    return jnp.sum((slope + 1 / total) ** 2 * total)


class _Points(NamedTuple):
    """Points x and their weights, [components, nodes], and the noise in them, [2, ...]."""

    x: Array
    weights: Array
    xi: Array

    def each(self, function: Callable[[Array], Array]) -> Array:
        """A function of a point [1], whose value is one number, at every x."""
        values = jax.vmap(lambda x: jnp.sum(function(x)))(self.x.reshape(-1, 1))
        return values.reshape(self.x.shape)


def _points(target: AbstractTarget, sigma: Array, spacing: float) -> _Points:
    parts, places = target.components(), np.arange(-9.0, 9.0 + spacing / 2, spacing)
    normal = np.exp(-0.5 * places**2)
    total, u = jnp.sqrt(parts.variances + sigma**2), jnp.asarray(places)[None, :]
    other = jnp.array([-1.0, 1.0])[:, None, None] * (jnp.sqrt(parts.variances) / total)[None]
    weights = jnp.exp(parts.log_weights)[:, None] * (normal / normal.sum())[None, :]
    return _Points(parts.means + total * u, weights, (sigma / total * u)[None] + other)


def residual(target: AbstractTarget, score: Score, sigma: Array, spacing: float = FINE) -> Array:
    """E|sigma S(X, sigma) + xi|^2, xi the noise in X = X_0 + sigma xi.

    Args:
      target: the data law, in one dimension.
      score: any score.
      sigma: noise level.
      spacing: of the nodes.
    """
    points = _points(target, sigma, spacing)
    scores = points.each(lambda x: score(x, sigma))
    squares = jnp.mean((sigma * scores[None] + points.xi) ** 2, axis=0)
    return jnp.sum(points.weights * squares)


def mismatch(target: AbstractTarget, score: Score, sigma: Array, spacing: float = FINE) -> Array:
    """E|S(X, sigma) - grad log p(X)|^2, with the slope of the log density by differentiation.

    Args: as for `residual`.
    """
    points = _points(target, sigma, spacing)

    def off(x: Array) -> Array:
        return score(x, sigma) - jax.grad(lambda y: target.log_density(y, sigma**2))(x)

    return jnp.sum(points.weights * points.each(off) ** 2)


def least_error(target: AbstractTarget, sigma: Array, spacing: float = FINE) -> Array:
    """mmse(v) = E tr Cov(X_0 | X), from the posterior covariance.

    Args:
      target: the data law, in one dimension.
      sigma: noise level.
      spacing: of the nodes.
    """
    points = _points(target, sigma, spacing)
    return jnp.sum(points.weights * points.each(lambda x: target.posterior_covariance(x, sigma**2)))


def entropy(target: AbstractTarget, sigma: Array, spacing: float = FINE) -> Array:
    """-E log p(X), in nats.

    Args: as for `least_error`.
    """
    points = _points(target, sigma, spacing)
    return -jnp.sum(points.weights * points.each(lambda x: target.log_density(x, sigma**2)))


def along(function: Callable[[Array], Array], sigmas: Array) -> Array:
    """A function of one noise level at many of them, a few at a time.

    Args:
      function: of a noise level.
      sigmas: noise levels, [k].
    """
    return jax.lax.map(function, sigmas, batch_size=min(_BATCH, sigmas.shape[0]))


def rounding(means: Array, sigmas: Array, residuals: Array, dim: int) -> Array:
    """What rounding can move residuals by: X - m is known to EPS |X|, in units of sigma.

    Args:
      means: of the components.
      sigmas: noise levels, [k].
      residuals: E|sigma S + xi|^2 there, [k].
      dim: dimension.
    """
    off = 16 * EPS * (1 + jnp.max(jnp.abs(means)) / sigmas)
    return 2 * jnp.sqrt(residuals * dim) * off + dim * off**2

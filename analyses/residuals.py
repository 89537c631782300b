"""What a score leaves over on a mixture of Gaussians: its errors in score matching and denoising.

On one Gaussian and for an affine score they are moments in closed form. On mixtures in one
dimension they are sums over points: given its component, data and noise are normal, X = m + s u and
xi = (sigma u + sqrt(l) u')/s with s^2 = l + sigma^2 and u, u' independent standard normal numbers;
u runs over the nodes of a trapezoid rule, and u' over +-1, which is exact, as xi enters squared.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array
from design_space.targets.base import AbstractTarget

Score = Callable[[Array, Array], Array]
"""A score of one point [dim] and one noise level sigma."""

_PLACES = np.arange(-9.0, 9.0 + 1 / 32, 1 / 16)
_WEIGHTS = np.exp(-0.5 * _PLACES**2) / np.sum(np.exp(-0.5 * _PLACES**2))
_BATCH = 8  # noise levels at a time


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


def _sum(target: AbstractTarget, sigma: Array, function: Callable[[Array, Array], Array]) -> Array:
    """E function(X, xi) over components, nodes and u'."""
    parts = target.components()
    total = jnp.sqrt(parts.variances + sigma**2)
    u, other = jnp.asarray(_PLACES)[None, :], jnp.array([-1.0, 1.0])[:, None, None]
    x = jnp.broadcast_to((parts.means + total * u)[None], (2, len(total), len(_PLACES)))
    xi = (sigma / total * u)[None] + other * (jnp.sqrt(parts.variances) / total)[None]
    values = jax.vmap(function)(x.reshape(-1, 1), xi.reshape(-1, 1)).reshape(x.shape)
    weights = jnp.exp(parts.log_weights)[:, None] * _WEIGHTS[None, :]
    return jnp.sum(weights * jnp.mean(values, axis=0))


def residual(target: AbstractTarget, score: Score, sigma: Array) -> Array:
    """E|sigma S(X, sigma) + xi|^2, xi the noise in X = X_0 + sigma xi.

    Args:
      target: the data law, in one dimension.
      score: any score.
      sigma: noise level.
    """
    return _sum(target, sigma, lambda x, xi: jnp.sum((sigma * score(x, sigma) + xi) ** 2))


def mismatch(target: AbstractTarget, score: Score, sigma: Array) -> Array:
    """E|S(X, sigma) - grad log p(X)|^2, with the slope of the log density by differentiation.

    Args: as for `residual`.
    """

    def square(x: Array, xi: Array) -> Array:
        slope = jax.grad(lambda y: target.log_density(y, sigma**2))(x)
        return jnp.sum((score(x, sigma) - slope) ** 2)

    return _sum(target, sigma, square)


def least_error(target: AbstractTarget, sigma: Array) -> Array:
    """mmse(v) = E tr Cov(X_0 | X), from the posterior covariance.

    Args:
      target: the data law, in one dimension.
      sigma: noise level.
    """
    return _sum(target, sigma, lambda x, xi: jnp.trace(target.posterior_covariance(x, sigma**2)))


def entropy(target: AbstractTarget, sigma: Array) -> Array:
    """-E log p(X), in nats.

    Args: as for `least_error`.
    """
    return _sum(target, sigma, lambda x, xi: -target.log_density(x, sigma**2))


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

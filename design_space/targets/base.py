"""What every data law can do. All of it follows from a list of Gaussian components."""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import (
    Array,
    ArrayLike,
    Float,
    Key,
    Real,
    Scalar,
    float64,
    is_concrete,
    named_key,
)
from design_space.numerics.estimate import Estimate
from design_space.targets.components import Components, few_score


class Posterior(eqx.Module):
    """What one observation x of X_v = X_0 + sqrt(v) xi says of the components.

    Attributes:
      log_density: log p_v(x).
      weights: posterior probabilities r_k of the components.
      scores: component scores -(S_k + v)^{-1} (x - m_k).
      means: component posterior means of X_0.
    """

    log_density: Float[Array, ""]
    weights: Float[Array, " components"]
    scores: Float[Array, "components dim"]
    means: Float[Array, "components dim"]


def _check_point(x: Array, parts: Components) -> None:
    """Refuses what is not one point of the law's dimension."""
    if x.shape != parts.means.shape[1:]:
        raise checks.refusal(
            "x.shape",
            x.shape,
            f"{parts.means.shape[1:]}, one point",
            "match the dimension of the law; batch over points with jax.vmap",
        )


def _spread(
    weights: Float[Array, " components"], points: Float[Array, "components dim"]
) -> Float[Array, "dim dim"]:
    """Covariance of the points under the weights."""
    centered = points - (weights @ points)[None, :]
    return jnp.einsum("k,ki,kj->ij", weights, centered, centered)


class AbstractTarget(eqx.Module):
    """A data law p_0, and with it p_v, the law of X_0 + sqrt(v) xi, at every noise variance v.

    Pointwise methods take one point x of shape [dim] and the noise variance v (data unit squared);
    batch them with jax.vmap. Responsibilities are formed by log-sum-exp and derivatives from
    posterior moments, so that a point hundreds of standard deviations away has a finite score.
    """

    kind: ClassVar[str]

    @abc.abstractmethod
    def components(self) -> Components:
        """The law as a mixture of Gaussians."""

    @abc.abstractmethod
    def entropy(self, variance: Scalar, *, key: Key | None = None, samples: int = 4096) -> Estimate:
        """Differential entropy -E log p_v(X_v), in nats.

        Args:
          variance: noise variance v; the law p_v must have a density.
          key: random key, needed only where Monte Carlo is the only way.
          samples: number of Monte-Carlo draws then.

        Raises:
          ValueError: if p_v has no density, or a key is needed and missing.
        """

    @abc.abstractmethod
    def mmse(self, variance: Scalar, *, key: Key | None = None, samples: int = 4096) -> Estimate:
        """E tr Cov(X_0 | X_v), the least mean squared error of a denoiser (data unit squared).

        Args, Raises: as for `entropy`.
        """

    @abc.abstractmethod
    def fisher_information(
        self, variance: Scalar, *, key: Key | None = None, samples: int = 4096
    ) -> Estimate:
        """I(v) = E|grad log p_v(X_v)|^2 = d/v - mmse(v)/v^2 (inverse data unit squared).

        Args, Raises: as for `entropy`.
        """

    @abc.abstractmethod
    def fisher_information_slope(
        self, variance: Scalar, *, key: Key | None = None, samples: int = 4096
    ) -> Estimate:
        """I'(v) = -E|Hess log p_v(X_v)|_F^2, never positive.

        Args, Raises: as for `entropy`.
        """

    @property
    def dim(self) -> int:
        """Dimension of the data."""
        return self.components().means.shape[1]

    def mean(self) -> Float[Array, " dim"]:
        """E X_0."""
        parts = self.components()
        return jnp.exp(parts.log_weights) @ parts.means

    def covariance(self) -> Float[Array, "dim dim"]:
        """Cov X_0."""
        parts = self.components()
        weights = jnp.exp(parts.log_weights)
        return parts.mean_of_diagonals(weights, parts.variances) + _spread(weights, parts.means)

    def second_moment(self) -> Float[Array, ""]:
        """m_2^2 = E|X_0|^2."""
        parts = self.components()
        norms = jnp.sum(parts.means**2 + parts.variances, axis=1)
        return jnp.exp(parts.log_weights) @ norms

    def check_variance(self, variance: Scalar) -> Array:
        """Checks that p_v has a density.

        Raises:
          ValueError: if v < 0, or v = 0 and the law is singular.
        """
        checks.nonnegative("variance", variance)
        if is_concrete(self, variance) and not variance > 0:
            least = float(np.min(np.asarray(self.components().variances)))
            if not least > 0:
                raise checks.refusal(
                    "variance", 0.0, "above 0 for a singular law", "add noise: p_0 has no density"
                )
        return float64(variance)

    def posterior(self, x: Float[Array, "..."], variance: Scalar) -> Posterior:
        """Posterior over the components given X_v = x (Bayes' rule in log space).

        Raises:
          ValueError: if x is not one point of the law's dimension.
        """
        parts = self.components()
        _check_point(x, parts)
        z = parts.into_basis(x[None, :] - parts.means)
        c = parts.variances + variance
        log_joint = parts.log_weights - 0.5 * jnp.sum(z * z / c + jnp.log(2 * jnp.pi * c), axis=1)
        return Posterior(
            jax.nn.logsumexp(log_joint),
            jax.nn.softmax(log_joint),
            -parts.out_of_basis(z / c),
            parts.means + parts.out_of_basis(parts.variances / c * z),
        )

    def log_density(self, x: Real[ArrayLike, "..."], variance: Scalar) -> Float[Array, ""]:
        """The log density log p_v(x), in nats."""
        return self.posterior(float64(x), self.check_variance(variance)).log_density

    def score(self, x: Real[ArrayLike, "..."], variance: Scalar) -> Float[Array, " dim"]:
        """The score grad log p_v(x), shape [dim], as the posterior mean of the component scores."""
        parts, point, v = self.components(), float64(x), self.check_variance(variance)
        if parts.is_few:
            _check_point(point, parts)
            return few_score(parts, point, v)
        posterior = self.posterior(point, v)
        return posterior.weights @ posterior.scores

    def denoiser(self, x: Real[ArrayLike, "..."], variance: Scalar) -> Float[Array, " dim"]:
        """E(X_0 | X_v = x) = x + v grad log p_v(x) (Tweedie), shape [dim], without cancellation."""
        posterior = self.posterior(float64(x), self.check_variance(variance))
        return posterior.weights @ posterior.means

    def posterior_covariance(
        self, x: Real[ArrayLike, "..."], variance: Scalar
    ) -> Float[Array, "dim dim"]:
        """Cov(X_0 | X_v = x) = v + v^2 Hess log p_v(x), shape [dim, dim], without cancellation."""
        v = self.check_variance(variance)
        posterior, parts = self.posterior(float64(x), v), self.components()
        within = parts.variances * v / (parts.variances + v)
        inner = parts.mean_of_diagonals(posterior.weights, within)
        return inner + _spread(posterior.weights, posterior.means)

    def hessian(self, x: Real[ArrayLike, "..."], variance: Scalar) -> Float[Array, "dim dim"]:
        """The Hessian of log p_v at x, shape [dim, dim]."""
        v = self.check_variance(variance)
        posterior, parts = self.posterior(float64(x), v), self.components()
        inner = parts.mean_of_diagonals(posterior.weights, 1 / (parts.variances + v))
        return _spread(posterior.weights, posterior.scores) - inner

    def sample(self, key: Key, count: int, variance: Scalar = 0.0) -> Float[Array, "count dim"]:
        """Draws from p_v.

        Args:
          key: random key.
          count: number of draws, at least 1.
          variance: noise variance v >= 0; 0 draws data.

        Returns:
          Independent draws, shape [count, dim].

        Raises:
          ValueError: if count < 1 or v < 0.
        """
        checks.count("count", count)
        checks.nonnegative("variance", variance)
        parts = self.components()
        picks = jax.random.categorical(
            named_key(key, "component"), parts.log_weights, shape=(count,)
        )
        normal = jax.random.normal(named_key(key, "normal"), (count, self.dim), dtype=jnp.float64)
        scaled = jnp.sqrt(parts.variances[picks] + variance) * normal
        if parts.bases is not None:
            scaled = jnp.einsum("nij,nj->ni", parts.bases[picks], scaled)
        return parts.means[picks] + scaled

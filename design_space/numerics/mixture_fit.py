"""Gaussian mixtures fitted to samples, as references that other estimates are measured against."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

_PER_PARAMETER = 2.0  # samples per number of a covariance, below which a component is not refitted


class FittedMixture(NamedTuple):
    """The mixture sum_k w_k N(m_k, C_k), in NumPy.

    Attributes:
      weights: w_k, shape [components].
      means: m_k, shape [components, dim].
      covariances: C_k, shape [components, dim, dim], positive definite.
    """

    weights: Float[np.ndarray, " components"]
    means: Float[np.ndarray, "components dim"]
    covariances: Float[np.ndarray, "components dim dim"]

    def log_joint(self, x: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "points _"]:
        """Log w_k + log N(x; m_k, C_k) for every point and component."""
        columns = []
        for weight, mean, covariance in zip(*self, strict=True):
            factor = np.linalg.cholesky(covariance)
            z = np.linalg.solve(factor, (x - mean).T)
            size = x.shape[1] * np.log(2 * np.pi) + 2 * np.sum(np.log(np.diag(factor)))
            log_weight = np.log(weight) if weight > 0 else -np.inf
            columns.append(log_weight - 0.5 * (np.sum(z * z, axis=0) + size))
        return np.stack(columns, axis=1)

    def log_density(self, x: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, " points"]:
        """The log density at the points, in nats."""
        return np.asarray(logsumexp(self.log_joint(x), axis=1))

    def draws(self, random: np.random.Generator, count: int) -> Float[np.ndarray, "count dim"]:
        """Independent draws.

        Args:
          random: the generator.
          count: number of draws.
        """
        picks = random.choice(len(self.weights), size=count, p=self.weights)
        normal = random.standard_normal((count, self.means.shape[1]))
        factors = np.linalg.cholesky(self.covariances)
        return self.means[picks] + np.einsum("nij,nj->ni", factors[picks], normal)


def gaussian_start(samples: Float[np.ndarray, "count dim"]) -> FittedMixture:
    """The Gaussian with the mean and the covariance of the samples."""
    covariance = np.atleast_2d(np.cov(samples.T))
    return FittedMixture(np.ones(1), np.mean(samples, axis=0)[None], covariance[None])


def fit_mixture(
    samples: Float[np.ndarray, "count dim"], start: FittedMixture, iterations: int = 3
) -> FittedMixture:
    """A few steps of expectation maximization from a start that is nearly right.

    A component that too few samples belong to keeps the mean and the covariance of the start.

    Args:
      samples: shape [count, dim].
      start: the first mixture.
      iterations: steps.

    Returns:
      The fitted mixture, with as many components as the start.
    """
    fitted, dim = start, samples.shape[1]
    least = _PER_PARAMETER * dim * (dim + 3) + 8
    for _ in range(iterations):
        joint = fitted.log_joint(samples)
        share = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        counts = np.sum(share, axis=0)
        means, covariances = start.means.copy(), start.covariances.copy()
        for k in np.flatnonzero(counts >= least):
            means[k] = share[:, k] @ samples / counts[k]
            centered = samples - means[k]
            covariances[k] = (share[:, k, None] * centered).T @ centered / counts[k]
        fitted = FittedMixture(counts / np.sum(counts), means, covariances)
    return fitted

"""The same work in plain NumPy: floors of the benchmark, and an independent check of the numbers.

Formulas are written as in a notebook: no batching by a compiler, no care for cancellation.
"""

import itertools
from typing import NamedTuple

import numpy as np

REACH = 9.0
"""Standard deviations to which the dense rule on the line follows a density."""


def edm_sigmas(
    rho: np.ndarray, sigma_min: np.ndarray, sigma_max: np.ndarray, steps: int
) -> np.ndarray:
    """Noise levels sigma_j = (a + j/N (b - a))^rho, a = sigma_max^(1/rho), b = sigma_min^(1/rho).

    Args:
      rho: exponents, shape [designs].
      sigma_min: last levels, shape [designs].
      sigma_max: first levels, shape [designs].
      steps: N.

    Returns:
      Levels from large to small, shape [designs, steps + 1].
    """
    a, b = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    share = np.arange(steps + 1) / steps
    return (a[:, None] + share[None, :] * (b - a)[:, None]) ** rho[:, None]


def gaussian_errors(eigenvalues: np.ndarray, sigmas: np.ndarray) -> dict[str, np.ndarray]:
    """E_I, E_D, path KL, marginal KL and W2 of designs on N(0, diag(l)) with the exact score.

    With P_j = l + v_j and x_j = h_j/P_j: E_D = (1/2) sum [-x_j - log(1 - x_j)] and
    D_{j+1} = (1 - x_j)^2 D_j + h_j x_j, D_0 = -l: one division and one logarithm for each step and
    eigenvalue.

    Args:
      eigenvalues: l, shape [dim].
      sigmas: levels from large to small, shape [designs, steps + 1].

    Returns:
      The quantities by name, each of shape [designs].
    """
    variances = sigmas**2
    excess = np.broadcast_to(-eigenvalues, (len(sigmas), len(eigenvalues)))
    x = eigenvalues / variances[:, :1]
    initialization = 0.5 * np.sum(x - np.log1p(x), axis=1)
    defects = np.zeros(excess.shape)
    for j in range(sigmas.shape[1] - 1):
        v = variances[:, j, None]
        h = v - variances[:, j + 1, None]
        x = h / (eigenvalues + v)
        defects = defects - x - np.log1p(-x)
        excess = (1 - x) ** 2 * excess + h * x
    final = eigenvalues + variances[:, -1:]
    c = excess / final
    root = excess / (np.sqrt(final + excess) + np.sqrt(final))
    discretization = 0.5 * np.sum(defects, axis=1)
    return {
        "initialization": initialization,
        "discretization": discretization,
        "path_kl": initialization + discretization,
        "marginal_kl": 0.5 * np.sum(np.log1p(c) - c / (1 + c), axis=1),
        "w2": np.sqrt(np.sum(root**2, axis=1)),
    }


def gaussian_in_blocks(
    eigenvalues: np.ndarray, sigmas: np.ndarray, block: int
) -> dict[str, np.ndarray]:
    """`gaussian_errors` of a few designs at a time: with 1, the loop over single designs.

    Args:
      eigenvalues: l, shape [dim].
      sigmas: levels from large to small, shape [designs, steps + 1].
      block: designs at a time; so many that their arrays stay in the cache are fastest.

    Returns:
      As `gaussian_errors`.
    """
    parts = [
        gaussian_errors(eigenvalues, sigmas[start : start + block])
        for start in range(0, len(sigmas), block)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Mixture(NamedTuple):
    """A mixture of normal laws on the line.

    Attributes:
      weights: shape [components], of sum 1.
      means: shape [components].
      stds: shape [components].
    """

    weights: np.ndarray
    means: np.ndarray
    stds: np.ndarray

    def parts(self, x: np.ndarray, variance: float) -> tuple[np.ndarray, np.ndarray]:
        """Log of each weighted density at noise `variance`, and its slope, [components, points]."""
        total = (self.stds**2 + variance)[:, None]
        slope = (self.means[:, None] - x[None, :]) / total
        logs = np.log(self.weights)[:, None] - 0.5 * np.log(2 * np.pi * total)
        return logs - 0.5 * slope**2 * total, slope

    def log_density(self, x: np.ndarray, variance: float) -> np.ndarray:
        """Log of the density at noise `variance`, shape [points]."""
        return np.logaddexp.reduce(self.parts(x, variance)[0], axis=0)

    def score(self, x: np.ndarray, variance: float) -> np.ndarray:
        """Gradient of the log density at noise `variance`, shape [points]."""
        logs, slopes = self.parts(x, variance)
        shares = np.exp(logs - np.max(logs, axis=0))
        return np.sum(shares * slopes, axis=0) / np.sum(shares, axis=0)


def dense_marginal_kl(law: Mixture, sigmas: np.ndarray, points: int) -> float:
    """KL(p_{v_N} | q_N) on the line, the density carried by dense kernels on even grids.

    q'(y_i) = sum_k q(x_k) dx N(y_i; x_k + h s(x_k), h): points^2 exponentials and a matrix-vector
    product in each step. It is right while sqrt(h) is more than the distance of grid points.

    Args:
      law: the data law.
      sigmas: levels from large to small, shape [steps + 1].
      points: of every grid.

    Returns:
      The divergence, in nats.
    """

    def grid(variance: float) -> np.ndarray:
        reach = np.max(np.abs(law.means)) + REACH * np.sqrt(np.max(law.stds**2) + variance)
        return np.linspace(-reach, reach, points)

    variances = sigmas**2
    spread = variances[0]  # of the sampler's noise, which long steps leave wider than the data's
    x = grid(spread)
    q = np.exp(-0.5 * x**2 / variances[0]) / np.sqrt(2 * np.pi * variances[0])
    for v, below in itertools.pairwise(variances):
        h = v - below
        spread = (below / v) ** 2 * spread + h
        y = grid(spread)
        moved = x + h * law.score(x, v)
        kernel = np.exp((y[:, None] - moved[None, :]) ** 2 * (-0.5 / h))
        q = kernel @ q * ((x[1] - x[0]) / np.sqrt(2 * np.pi * h))
        x = y
    log_p = law.log_density(x, variances[-1])
    inside = q > 0
    log_ratio = log_p[inside] - np.log(q[inside])
    return float(np.sum(np.exp(log_p[inside]) * log_ratio) * (x[1] - x[0]))


def particles(law: Mixture, sigmas: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The frozen-score sampler on particles: Y' = Y + h s(Y) + sqrt(h) U.

    Args:
      law: the data law.
      sigmas: levels from large to small, shape [steps + 1].
      count: number of particles.
      rng: source of the noise.

    Returns:
      Y_N, shape [count].
    """
    y = sigmas[0] * rng.standard_normal(count)
    for high, low in itertools.pairwise(sigmas):
        h = high**2 - low**2
        y = y + h * law.score(y, high**2) + np.sqrt(h) * rng.standard_normal(count)
    return y


def heun_particles(
    law: Mixture, sigmas: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Heun's method for the probability flow dy/dsigma = -sigma s(y, sigma) on particles.

    Args:
      law: the data law.
      sigmas: levels from large to small, shape [steps + 1].
      count: number of particles.
      rng: source of the start.

    Returns:
      Y_N, shape [count].
    """
    y = sigmas[0] * rng.standard_normal(count)
    for high, low in itertools.pairwise(sigmas):
        slope = -high * law.score(y, high**2)
        after = -low * law.score(y + (low - high) * slope, low**2)
        y = y + (low - high) / 2 * (slope + after)
    return y

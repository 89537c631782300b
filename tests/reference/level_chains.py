"""Training and sampling on N(0, s^2) with a score of its own at each level, without compilation.

A slow twin of analyses/chain.py in one dimension: inside EDM's
preconditioning with sigma_data = s the score at level j is -x/(s^2 + v_j) + g_j w_j . phi, with
phi = (x/sqrt(s^2 + v_j), 1) and g_j = s/(sigma_j sqrt(s^2 + v_j)). The features are orthonormal
under the data law and the exact score is w = 0, so that with c_j = beta_j v_j g_j^2, G_j the
empirical second moments of the features and w*_j the least-squares solution

  excess_j = (c_j/2) |w_j|^2,  Lem_j = Lem_j(*) + (c_j/2) (w_j - w*_j)' G_j (w_j - w*_j),
  w_j(k) = w*_j + (1 - h c_j G_j)^k (w_j(0) - w*_j),   E_S = sum_j (h_j/(beta_j v_j)) excess_j.
"""

from typing import NamedTuple

import numpy as np

_HALF = 0.5  # of the stability limit


class LevelProblem(NamedTuple):
    """Gradient descent of all levels, for many seeds.

    Attributes:
      curvatures: c_j times the eigenvalues of G_j, over their largest; [seeds, levels, 2].
      basis: eigenvectors of G_j as columns, [seeds, levels, 2, 2].
      optimum: w*_j, [seeds, levels, 2].
      apart: w_j(0) - w*_j in the basis, [seeds, levels, 2].
      scales: c_j, [levels].
      gains: g_j, [levels].
      totals: s^2 + v_j, [levels].
    """

    curvatures: np.ndarray
    basis: np.ndarray
    optimum: np.ndarray
    apart: np.ndarray
    scales: np.ndarray
    gains: np.ndarray
    totals: np.ndarray


def level_problem(
    std: float,
    sigmas: np.ndarray,
    beta: np.ndarray,
    points: np.ndarray,
    noise: np.ndarray,
    start: np.ndarray,
) -> LevelProblem:
    """The problem of every level and seed.

    Args:
      std: s, of the data and of the preconditioning.
      sigmas: noise levels, ascending, [levels].
      beta: total weighting, [levels].
      points: data, [seeds, points].
      noise: [seeds, points, levels].
      start: w_j(0), [seeds, levels, 2].
    """
    totals = std**2 + sigmas**2
    gains = std / (sigmas * np.sqrt(totals))
    x = points[:, :, None] + sigmas * noise
    feature = x / np.sqrt(totals)
    wanted = (x / totals - noise / sigmas) / gains
    first, second = feature.mean(axis=1), np.mean(feature**2, axis=1)
    moments = np.stack([second, first, first, np.ones_like(first)], axis=-1)
    moments = moments.reshape(*first.shape, 2, 2)
    right = np.stack([np.mean(feature * wanted, axis=1), wanted.mean(axis=1)], axis=-1)
    values, basis = np.linalg.eigh(moments)
    optimum = np.einsum("...ab,...b,...cb,...c->...a", basis, 1 / values, basis, right)
    apart = np.einsum("...ab,...a->...b", basis, start - optimum)
    scales = beta * (sigmas * gains) ** 2
    curvatures = scales[:, None] * values
    curvatures = curvatures / curvatures.max(axis=(1, 2), keepdims=True)
    return LevelProblem(curvatures, basis, optimum, apart, scales, gains, totals)


def weights_at(problem: LevelProblem, iteration: float) -> np.ndarray:
    """w_j(k) at half of the stability limit, [seeds, levels, 2].

    Args:
      problem: of `level_problem`.
      iteration: k, at least 0.
    """
    left = (1 - 2 * _HALF * problem.curvatures) ** iteration * problem.apart
    return problem.optimum + np.einsum("...ab,...b->...a", problem.basis, left)


def excesses(problem: LevelProblem, weights: np.ndarray) -> np.ndarray:
    """(1/2) beta_j v_j E|S - L_j|^2, [seeds, levels].

    Args:
      problem: of `level_problem`.
      weights: w_j, [seeds, levels, 2].
    """
    return 0.5 * problem.scales * np.sum(weights**2, axis=-1)


def marginal_kl(
    problem: LevelProblem, weights: np.ndarray, std: float, variances: np.ndarray
) -> np.ndarray:
    """KL(p_{v_N} | q_N) of the sampler with these scores, [seeds].

    Args:
      problem: of `level_problem`.
      weights: w_j, [seeds, levels, 2].
      std: s.
      variances: v of all grid points, ascending, [levels + 1].
    """
    slope = problem.gains * weights[..., 0] / np.sqrt(problem.totals) - 1 / problem.totals
    shift = problem.gains * weights[..., 1]
    mean, spread = np.zeros(len(weights)), np.full(len(weights), variances[-1])
    for j in range(len(variances) - 2, -1, -1):
        h = variances[j + 1] - variances[j]
        mean = mean + h * (slope[:, j] * mean + shift[:, j])
        spread = (1 + h * slope[:, j]) ** 2 * spread + h
    ratio = (std**2 + variances[0]) / spread
    return 0.5 * (ratio - 1 - np.log(ratio) + mean**2 / spread)

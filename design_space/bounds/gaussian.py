"""What the paper says of Gaussian data N(m, s^2 I) under the exact score, printed and corrected.

Notation: v_0 > ... > v_N the noise variances in the sampler's order, h_j = v_j - v_{j+1}. Where the
data are not isotropic, the formulas hold for each eigenvalue s^2 of the covariance.

Source: Lemmas 13 to 15 of arXiv 2406.12839.
"""

import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar, float64
from design_space.numerics.defects import log1p_defect


def lemma_13_inverse_ratio(
    variance: Scalar, variances: Float[Array, " nodes"], steps: Float[Array, " steps"]
) -> Float[Array, ""]:
    """1/E, the variance of the sampler over that of the data at its last noise level.

    1/E = (s^2 + v_N) v_0/(s^2 + v_0)^2 + sum_j (s^2 + v_N) h_j/(s^2 + v_{j+1})^2.

    Args:
      variance: s^2, at least 0, in squared data units.
      variances: v_0 > ... > v_N > 0, shape [steps + 1].
      steps: h_j, shape [steps].

    Returns:
      The ratio; it holds as printed.

    Source: Lemma 13 of arXiv 2406.12839.
    """
    last = variance + variances[-1]
    start = last * variances[0] / (variance + variances[0]) ** 2
    return start + jnp.sum(last * steps / (variance + variances[1:]) ** 2)


def _variance_part(inverse_ratio: Scalar) -> Array:
    """(1/2) (E - 1 - log E), in nats."""
    return 0.5 * log1p_defect(1 / inverse_ratio - 1)


def lemma_13(
    mean: Scalar,
    variance: Scalar,
    variances: Float[Array, " nodes"],
    steps: Float[Array, " steps"],
) -> Float[Array, ""]:
    """KL(p_{v_N} | q_N) of one dimension as printed.

    (1/2) (E - 1 - log E) + m^2 ((s^2 + v_0)^2/(s^2 + v_N)) E.

    Args:
      mean: m, in data units.
      variance: s^2, at least 0, in squared data units.
      variances: v_0 > ... > v_N > 0, shape [steps + 1].
      steps: h_j, shape [steps].

    Returns:
      The divergence, in nats; its second part is wrong (see `lemma_13_corrected`).

    Source: Lemma 13 of arXiv 2406.12839.
    """
    inverse = lemma_13_inverse_ratio(variance, variances, steps)
    factor = (variance + variances[0]) ** 2 / (variance + variances[-1])
    return _variance_part(inverse) + mean**2 * factor / inverse


def lemma_13_corrected(
    mean: Scalar,
    variance: Scalar,
    variances: Float[Array, " nodes"],
    steps: Float[Array, " steps"],
) -> Float[Array, ""]:
    """KL(p_{v_N} | q_N) of one dimension, with the mean that Lemma 15 gives once its sign is right.

    (1/2) (E - 1 - log E) + (1/2) m^2 ((s^2 + v_N)/(s^2 + v_0)^2) E.

    Args, Returns: as for `lemma_13`; it holds.

    Source: Lemma 13 of arXiv 2406.12839, corrected.
    """
    inverse = lemma_13_inverse_ratio(variance, variances, steps)
    factor = (variance + variances[-1]) / (variance + variances[0]) ** 2
    return _variance_part(inverse) + 0.5 * mean**2 * factor / inverse


def lemma_14_score(point: Scalar, mean: Scalar, variance: Scalar, noise: Scalar) -> Array:
    """The score grad log p_v(x) = -(x - m)/(s^2 + v) of one dimension.

    Args:
      point: x, in data units.
      mean: m.
      variance: s^2, in squared data units.
      noise: v, in squared data units; s^2 + v above 0.

    Source: Lemma 14 of arXiv 2406.12839.
    """
    return -(float64(point) - mean) / (variance + noise)


def lemma_15_mean(mean: Scalar, variance: Scalar, variances: Float[Array, " nodes"]) -> Array:
    """Means m_j = ((v_0 + v_j)/(s^2 + v_0)) m of the sampler as printed, shape [steps + 1].

    Args:
      mean: m, in data units.
      variance: s^2, in squared data units.
      variances: v_0 > ... > v_N > 0, shape [steps + 1].

    Source: Lemma 15 of arXiv 2406.12839.
    """
    return (variances[0] + variances) / (variance + variances[0]) * mean


def lemma_15_mean_corrected(
    mean: Scalar, variance: Scalar, variances: Float[Array, " nodes"]
) -> Array:
    """Means m_j = ((v_0 - v_j)/(s^2 + v_0)) m of the sampler: zero at the start, where it is drawn
    from N(0, v_0).

    Args: as for `lemma_15_mean`. Returns: shape [steps + 1].

    Source: Lemma 15 of arXiv 2406.12839, corrected.
    """
    return (variances[0] - variances) / (variance + variances[0]) * mean


def lemma_15_variance(
    variance: Scalar, variances: Float[Array, " nodes"], steps: Float[Array, " steps"]
) -> Float[Array, " nodes"]:
    """Variances of the sampler at every grid point; they hold as printed.

    Sigma_j = (s^2 + v_j)^2 [v_0/(s^2 + v_0)^2 + sum_{l<j} h_l/(s^2 + v_{l+1})^2].

    Args:
      variance: s^2, in squared data units.
      variances: v_0 > ... > v_N > 0, shape [steps + 1].
      steps: h_j, shape [steps].

    Returns:
      Sigma_j, in squared data units, shape [steps + 1].

    Source: Lemma 15 of arXiv 2406.12839.
    """
    added = jnp.cumsum(steps / (variance + variances[1:]) ** 2)
    start = variances[0] / (variance + variances[0]) ** 2
    inner = start + jnp.concatenate([jnp.zeros(1), added])
    return (variance + variances) ** 2 * inner

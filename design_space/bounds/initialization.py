"""Right-hand sides for the error of starting from N(0, v I) instead of the noised data."""

from design_space.arrays import Array, Float, Scalar, float64
from design_space.checks import nonnegative, positive


def lemma_10(second_moment: Scalar, variance: Scalar) -> Float[Array, ""]:
    """The bound KL(p * N(0, v I) | N(0, v I)) <= m2^2/(2 v).

    It holds, with equality for point masses only.

    Args:
      second_moment: m2^2 = E|X_0|^2, at least 0, in squared data units.
      variance: v, above 0, in squared data units.

    Returns:
      The bound, in nats.

    Raises:
      ValueError: if the second moment is negative or the variance not above 0.

    Source: Lemma 10 of arXiv 2406.12839.
    """
    nonnegative("second_moment", second_moment)
    positive("variance", variance)
    return float64(second_moment) / (2 * float64(variance))


def lemma_10_exact(
    second_moment: Scalar, variance: Scalar, mutual_information: Scalar
) -> Float[Array, ""]:
    """The equality behind Lemma 10: KL = m2^2/(2 v) - MI(X_0; X_0 + sqrt(v) xi).

    Args:
      second_moment: m2^2 = E|X_0|^2, at least 0, in squared data units.
      variance: v, above 0, in squared data units.
      mutual_information: between data and noised data, at least 0, in nats.

    Returns:
      The divergence, in nats.

    Source: Lemma 10 of arXiv 2406.12839, sharpened: -E log N(X_v; 0, v) is (d/2) log(2 pi v) +
      (m2^2 + d v)/(2 v), the entropy of X_v is MI plus that of the noise, (d/2) log(2 pi e v).
    """
    return lemma_10(second_moment, variance) - mutual_information

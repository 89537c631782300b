"""Lemmas 11 and 12: what the reverse process does to the posterior of the data.

Source: Lemmas 11 and 12 of arXiv 2406.12839.
"""

from design_space.arrays import Array, Float, Scalar, float64


def lemma_11_rate(
    diffusion: Float[Array, "..."], variance: Scalar, squared: Float[Array, "..."]
) -> Float[Array, "..."]:
    """The rate d/dt E Sigma_t = 2 sigma_t^2 v_t^{-2} E Sigma_t^2, in forward time.

    Args:
      diffusion: sigma_t^2, in squared data units per time.
      variance: v_t, in squared data units.
      squared: E Sigma_t^2, of the posterior covariance of X_0 given X_t (or of its entries).

    Returns:
      The rate, in squared data units per time.

    Source: Lemma 11 of arXiv 2406.12839.
    """
    return 2 * diffusion / variance**2 * squared


def lemma_12(
    dim: int,
    integral: Scalar,
    start: tuple[Scalar, Scalar],
    end: tuple[Scalar, Scalar],
) -> Float[Array, ""]:
    """E|L_t - L_{s_j}|^2 along the exact reverse process, L the exact score.

    2 d int sigma^2/sigma_bar^4 du + mmse(v_s)/v_s^2 - mmse(v_t)/v_t^2; it equals I(v_t) - I(v_s).

    Args:
      dim: d.
      integral: of sigma_{T-u}^2/sigma_bar_{T-u}^4 over the time between, in inverse squared data
        units.
      start: v and mmse(v) where the step begins (more noise).
      end: the same where it ends.

    Returns:
      The mean square, in inverse squared data units.

    Source: Lemma 12 of arXiv 2406.12839.
    """
    (high, mmse_high), (low, mmse_low) = start, end
    return 2 * dim * float64(integral) + mmse_high / high**2 - mmse_low / low**2

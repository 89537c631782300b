"""Weightings by name."""

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar, float64
from design_space.checks import finite, nonnegative, positive
from design_space.weightings.base import DensityWeighting, PointwiseWeighting
from design_space.weightings.conversions import from_snr_weight


class EdmBell(eqx.Module):
    """EDM's bell as a function of one noise level; see `edm_weighting`.

    Attributes:
      p_mean: mean of ln sigma over training levels.
      p_std: its standard deviation.
      sigma_data: standard deviation of the data, in data units.
    """

    p_mean: Float[Array, ""]
    p_std: Float[Array, ""]
    sigma_data: Float[Array, ""]

    def __call__(self, sigma: Float[Array, ""]) -> Float[Array, ""]:
        """Returns beta_EDM(sigma)."""
        bell = jnp.exp(-0.5 * ((jnp.log(sigma) - self.p_mean) / self.p_std) ** 2)
        return bell * (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data**2)


class MinSnr(eqx.Module):
    """min(1, gamma/SNR) as a function of the SNR; see `min_snr`.

    Attributes:
      gamma: the SNR below which the weight is 1.
    """

    gamma: Float[Array, ""]

    def __call__(self, snr: Float[Array, ""]) -> Float[Array, ""]:
        """Returns the weight at one SNR."""
        return jnp.minimum(1.0, self.gamma / snr)


class P2(eqx.Module):
    """(k + SNR)^(-gamma) as a function of the SNR; see `p2`.

    Attributes:
      gamma: exponent.
      k: offset.
    """

    gamma: Float[Array, ""]
    k: Float[Array, ""]

    def __call__(self, snr: Float[Array, ""]) -> Float[Array, ""]:
        """Returns the weight at one SNR."""
        return (self.k + snr) ** (-self.gamma)


def edm_weighting(
    p_mean: Scalar = -1.2, p_std: Scalar = 1.2, sigma_data: Scalar = 0.5
) -> DensityWeighting:
    """EDM's bell-shaped total weighting, a density in the measure sigma.

    beta_EDM(s) = exp(-(ln s - P_mean)^2/(2 P_std^2)) (s^2 + sigma_data^2)/(s sigma_data^2) and
    beta_j = beta_EDM(sigma_j) (sigma_j - sigma_{j-1}). It is `from_edm` of EDM's log-normal
    p_train and its lambda = (s^2 + sigma_data^2)/(s sigma_data)^2, less the constant factor
    1/(sqrt(2 pi) P_std). Appendix H.3 of the paper reads it as `.pointwise()`.

    Args:
      p_mean: mean of ln sigma over training levels.
      p_std: its standard deviation, above 0.
      sigma_data: standard deviation of the data, above 0, in data units.

    Returns:
      The weighting; its numbers may be traced.

    Raises:
      ValueError: if a number is not finite, or `p_std` or `sigma_data` is not above 0.

    Source: Table 1 of arXiv 2206.00364; eq. (12) of arXiv 2406.12839.
    """
    p_mean = float64(finite("p_mean", p_mean))
    p_std = float64(positive("p_std", p_std))
    return DensityWeighting(
        EdmBell(p_mean, p_std, float64(positive("sigma_data", sigma_data))), "sigma"
    )


def uniform() -> PointwiseWeighting:
    """The total weighting beta_j = 1 at every level. Measure: counting levels."""
    return PointwiseWeighting(jnp.ones_like)


def song() -> DensityWeighting:
    """Song et al.'s weighting, the density 1 in the measure ln sigma.

    Score matching with lambda(t) = sigma_bar_t^2 weights |sigma S + xi|^2 by 1, at times drawn
    uniformly on a process whose ln sigma is linear in time: beta_j = ln(sigma_j/sigma_{j-1}). On
    Song's own grid this is the same at every level.

    Source: eq. (7) and appendix C of arXiv 2011.13456.
    """
    return DensityWeighting(jnp.ones_like, "log_sigma")


def min_snr(gamma: Scalar = 5.0) -> PointwiseWeighting:
    """Min-SNR-gamma: beta_j = min(1, gamma/SNR_j), SNR = 1/sigma^2. Measure: counting levels.

    In the paper's training the levels of the schedule are drawn with equal probability.

    Args:
      gamma: the SNR below which the weight is 1, above 0; may be traced.

    Raises:
      ValueError: if `gamma` is not a finite number above 0.

    Source: arXiv 2303.09556 (Min-SNR), in noise prediction.
    """
    return from_snr_weight(MinSnr(float64(positive("gamma", gamma))))


def p2(gamma: Scalar = 1.0, k: Scalar = 1.0) -> PointwiseWeighting:
    """P2: beta_j = (k + SNR_j)^(-gamma), SNR = 1/sigma^2. Measure: counting levels.

    In the paper's training the levels of the schedule are drawn with equal probability.

    Args:
      gamma: exponent, at least 0; may be traced.
      k: offset, above 0; may be traced.

    Raises:
      ValueError: if `gamma` is not a finite number of at least 0, or `k` is not above 0.

    Source: arXiv 2204.00227 (P2), in noise prediction.
    """
    gamma, k = nonnegative("gamma", gamma), positive("k", k)
    return from_snr_weight(P2(float64(gamma), float64(k)))

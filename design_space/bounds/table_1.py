"""Table 1: the forward times of EDM's and Song's designs, as printed.

Source: Table 1 of arXiv 2406.12839.
"""

import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar


def edm_times(
    steps: int, sigma_min: Scalar, sigma_max: Scalar, rho: Scalar
) -> Float[Array, " nodes"]:
    """t_j = (smax^{1/rho} - (smax^{1/rho} - smin^{1/rho}) (N - j)/N)^rho, with sigma_bar_t = t.

    Args:
      steps: N.
      sigma_min: smallest noise level.
      sigma_max: largest noise level.
      rho: the exponent, above 0.

    Returns:
      t_0, ..., t_N, ascending.
    """
    remaining = (steps - jnp.arange(steps + 1.0)) / steps
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return (high - (high - low) * remaining) ** rho


def song_times(steps: int, sigma_min: Scalar, sigma_max: Scalar) -> Float[Array, " nodes"]:
    """t_j = smax^2 (smin^2/smax^2)^{(N - j)/N}, with sigma_bar_t = sqrt t.

    Args, Returns: as for `edm_times`.
    """
    remaining = (steps - jnp.arange(steps + 1.0)) / steps
    return sigma_max**2 * (sigma_min**2 / sigma_max**2) ** remaining

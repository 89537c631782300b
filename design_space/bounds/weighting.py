"""Appendix H.3: what EDM's weighting makes of the factor max_j sigma_t^2/w of the full error bound.

The total weighting is fixed to beta_j = C beta_EDM(sigma_j), and w follows from it. That leaves two
choices, hence four conventions. beta_EDM is read at each level (`pointwise`, as printed) or as the
density that it is in eq. (12), with beta_j = C beta_EDM(sigma_j) (sigma_j - sigma_{j-1})
(`density`). And w = beta_j sigma_j/dt_j (`printed`) or beta_j sigma_j^2/dt_j (`corrected`).

Source: appendix H.3 and Table 2 of arXiv 2406.12839.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from design_space.arrays import Array, Float, Scalar
from design_space.schedules.schedule import Schedule
from design_space.weightings.base import DensityWeighting
from design_space.weightings.conversions import to_w_corrected, to_w_printed

CONVENTIONS: dict[str, Callable[[DensityWeighting, Schedule], Array]] = {
    "pointwise, printed": lambda bell, schedule: to_w_printed(bell.pointwise(), schedule),
    "pointwise, corrected": lambda bell, schedule: to_w_corrected(bell.pointwise(), schedule),
    "density, printed": to_w_printed,
    "density, corrected": to_w_corrected,
}
"""How w at the levels j = 1, ..., N comes from EDM's bell."""


def score_error_factors(schedule: Schedule, w: Float[Array, " levels"]) -> Float[Array, " levels"]:
    """sigma_t^2/w(t) at the levels j = 1, ..., N, by which the bound multiplies training errors.

    Args:
      schedule: of N steps.
      w: weights of score matching at its levels, in the unit of data squared.

    Source: Theorem 3 of arXiv 2406.12839.
    """
    return schedule.forward_diffusions[1:] / w


def h3_prefactor(
    sigma_max: Scalar, p_mean: Scalar, p_std: Scalar, sigma_data: Scalar, scale: Scalar = 1.0
) -> Float[Array, ""]:
    """The factor 1/(C beta_EDM(smax)) that EDM's and Song's value have in common.

    smax sigma_data^2 exp((P_mean - ln smax)^2/(2 P_std^2)) / (C (smax^2 + sigma_data^2)).

    Args:
      sigma_max: largest noise level.
      p_mean: P_mean of the bell.
      p_std: P_std of the bell.
      sigma_data: sigma_data of the bell.
      scale: C.

    Source: appendix H.3 of arXiv 2406.12839.
    """
    bell = jnp.exp((p_mean - jnp.log(sigma_max)) ** 2 / (2 * p_std**2))
    return sigma_max * sigma_data**2 * bell / (scale * (sigma_max**2 + sigma_data**2))


def h3_edm(
    steps: Scalar, sigma_min: Scalar, sigma_max: Scalar, rho: Scalar, prefactor: Scalar = 1.0
) -> Float[Array, ""]:
    """EDM's value of max_j sigma_t^2/w, pointwise and printed, if the maximum is at j = N.

    prefactor (smax - (smax^{1/rho} - (smax^{1/rho} - smin^{1/rho})/N)^rho).

    Args:
      steps: N, which need not be an integer.
      sigma_min: smallest noise level.
      sigma_max: largest noise level.
      rho: exponent of the polynomial times.
      prefactor: see `h3_prefactor`.

    Source: appendix H.3 of arXiv 2406.12839.
    """
    low = jnp.expm1(jnp.log(sigma_min / sigma_max) / rho)  # (smin/smax)^{1/rho} - 1
    return -prefactor * sigma_max * jnp.expm1(rho * jnp.log1p(low / steps))


def h3_song(
    steps: Scalar, sigma_min: Scalar, sigma_max: Scalar, prefactor: Scalar = 1.0
) -> Float[Array, ""]:
    """Song's value of max_j sigma_t^2/w, pointwise and printed, if the maximum is at j = N.

    prefactor (smax/2) (1 - (smin^2/smax^2)^{1/N}).

    Args: as for `h3_edm`.

    Source: appendix H.3 of arXiv 2406.12839.
    """
    return -prefactor * sigma_max / 2 * jnp.expm1(2 * jnp.log(sigma_min / sigma_max) / steps)


def h3_crossover(sigma_min: float, sigma_max: float, rho: float) -> float:
    """The number of steps, a real number, from which on EDM's value is below Song's.

    The only root N > 1 of h3_edm = h3_song: at N = 1 their ratio is 2 smax/(smin + smax), and it
    falls to `h3_limit_ratio`, which is below 1.

    Args:
      sigma_min: smallest noise level.
      sigma_max: largest noise level.
      rho: exponent of the polynomial times, at least 1.
    """
    length = np.log(sigma_max / sigma_min)

    def difference(log_steps: float) -> float:  # of the values, over smax
        steps = np.exp(log_steps)
        edm = np.expm1(rho * np.log1p(np.expm1(-length / rho) / steps))
        return float(steps * (np.expm1(-2 * length / steps) / 2 - edm))

    root: Any = brentq(difference, 0.0, np.log(1e6), xtol=1e-14)
    return float(np.exp(root))


def h3_limit_ratio(sigma_min: Scalar, sigma_max: Scalar, rho: Scalar) -> Float[Array, ""]:
    """The ratio of EDM's to Song's value as N grows, (1 - e^{-x})/x with x = ln(smax/smin)/rho.

    Args: as for `h3_edm`.
    """
    x = jnp.log(sigma_max / sigma_min) / rho
    return -jnp.expm1(-x) / x


def h3_density_ratio(steps: Scalar, sigma_min: Scalar, sigma_max: Scalar) -> Float[Array, ""]:
    """The same ratio at N steps where beta_EDM is a density: 2/(1 + (smin/smax)^{1/N}), above 1.

    It needs both maxima at j = N and the printed factor in w.

    Args: as for `h3_edm`.
    """
    return 2 / (1 + jnp.exp(jnp.log(sigma_min / sigma_max) / steps))


def h3_margin(
    sigma_min: Scalar, sigma_max: Scalar, rho: Scalar, p_mean: Scalar, p_std: Scalar
) -> Float[Array, ""]:
    """(1/2) ln(smin smax) - P_mean - P_std^2/rho: where it is at least 0, the maximum is at j = N.

    For the pointwise, printed convention, rho >= 1, every N and every sigma_data. Proof: at level x
    = ln sigma the logarithm of sigma_t^2/w is, up to constants, ln dt_j - ln beta_EDM, with -ln
    beta_EDM = (x - P_mean)^2/(2 P_std^2) - ln cosh(x - ln sigma_data). For EDM dt_N/dt_j is at
    least (sigma_N/sigma_j)^{1 - 1/rho}, for Song dt_j/sigma_j is proportional to sigma_j, and ln
    cosh grows no faster than x. So from x to x_N the logarithm grows by at least (x_N - x) ((x +
    x_N)/2 - P_mean - P_std^2/rho)/P_std^2, and x is above ln smin.

    Args:
      sigma_min: smallest noise level.
      sigma_max: largest noise level.
      rho: exponent of EDM's times; infinite for Song's, which needs less.
      p_mean: P_mean of the bell.
      p_std: P_std of the bell.

    Source: the condition is ours; appendix H.3 of arXiv 2406.12839 has the conclusion without it.
    """
    return 0.5 * jnp.log(sigma_min * sigma_max) - p_mean - p_std**2 / rho

"""Schedules that other authors published as a rule or a table; none of them asks for a target.

Noise levels uniform in log-SNR, -2 log sigma, are geometric: that is the grid of `named.song`. The
cosine schedule is the time schedule "cosine" of `named.schedule`.
"""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from scipy.special import betaincinv

from design_space.arrays import Scalar, float64
from design_space.checks import count, finite, one_of, ordered, positive, refusal
from design_space.schedules.schedule import Schedule
from design_space.schedules.variance import Preserving

Map = Literal["vp", "sigma"]
MAPS: tuple[Map, ...] = ("vp", "sigma")
"""How `beta_quantiles` turns a time in [0, 1] into a noise level."""

TABLES: dict[str, tuple[float, ...]] = {
    "sd15": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
    "deepfloyd": (160.41, 8.081, 3.315, 1.885, 1.207, 0.785, 0.553, 0.293, 0.186, 0.030, 0.006),
    "svd": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}
"""Align Your Steps: noise levels of ten steps for Stable Diffusion 1.5, SDXL, DeepFloyd-IF (stage
1) and Stable Video Diffusion, as printed in the paper's table of optimized schedules."""


def beta_quantiles(
    steps: int,
    sigma_min: Scalar = 0.002,
    sigma_max: Scalar = 80.0,
    *,
    alpha: float = 0.6,
    beta: float = 0.6,
    map: str = "vp",
) -> Schedule:
    """Beta quantiles: steps crowd at both ends of the time axis.

    u_i = F^{-1}(1 - i/N; alpha, beta), i = 0, ..., N, with F the distribution function of
    Beta(alpha, beta), and

    - map "vp": sigma_i = sqrt(exp(beta_d t_i^2/2 + beta_min t_i) - 1), beta_min = 0.1,
      beta_d = 19.9, the noise level of the linear variance-preserving process in the
      variance-exploding one, at t_i = t(sigma_min) + u_i (t(sigma_max) - t(sigma_min));
    - map "sigma": sigma_i = sigma_min + u_i (sigma_max - sigma_min), as a widely used library of
      samplers ships it under this name.

    Args:
      steps: the number N of steps, at least 1.
      sigma_min: smallest noise standard deviation, above 0, in data units; may be traced.
      sigma_max: largest noise standard deviation, above `sigma_min`; may be traced.
      alpha: first parameter, above 0; below 1 the quantiles crowd at the smallest noise.
      beta: second parameter, above 0; below 1 they crowd at the largest noise.
      map: "vp" or "sigma".

    Returns:
      The schedule, with sigma_bar_t = t.

    Raises:
      ValueError: if a number is outside its domain, or `map` is unknown.

    Source: arXiv 2407.12173 for the quantiles.
    """
    steps = count("steps", steps)
    sigma_min, sigma_max = positive("sigma_min", sigma_min), positive("sigma_max", sigma_max)
    ordered("sigma_min", sigma_min, "sigma_max", sigma_max)
    one_of("map", map, MAPS)
    alpha, beta = float(positive("alpha", alpha)), float(positive("beta", beta))
    quantiles = jnp.asarray(betaincinv(alpha, beta, np.arange(steps, -1, -1) / steps))
    low, high = float64(sigma_min), float64(sigma_max)
    if map == "sigma":
        sigmas = low + quantiles * (high - low)
    else:
        process = Preserving()
        first, last = process.time(low), process.time(high)
        sigmas = process.sigma(first + quantiles * (last - first))
    return Schedule.from_sigmas(sigmas.at[0].set(high).at[-1].set(low))


def align_your_steps(
    steps: int,
    table: str = "sd15",
    sigma_min: Scalar | None = None,
    sigma_max: Scalar | None = None,
) -> Schedule:
    """Align Your Steps: a table of ten steps, log-linearly interpolated to any number of them.

    log sigma at the fractions j/N of the table's ten steps, linear between its entries. The table
    keeps its own ends unless both others are given; then log sigma is stretched,
    log sigma -> log smin + (log sigma - log a) (log smax - log smin)/(log b - log a), [a, b] the
    range of the table. The tables were optimized for images of unit scale and other samplers, and
    the stretching is ours.

    Args:
      steps: the number N of steps, at least 1.
      table: "sd15", "sdxl", "deepfloyd" or "svd".
      sigma_min: smallest noise level to stretch to, above 0, or None; may be traced.
      sigma_max: largest one, above `sigma_min`, or None; may be traced.

    Returns:
      The schedule, with sigma_bar_t = t.

    Raises:
      ValueError: if the table is unknown, or only one end is given, or an end is out of its domain.

    Source: the table of optimized schedules in arXiv 2404.14507.
    """
    steps = count("steps", steps)
    levels = np.asarray(TABLES[one_of("table", table, TABLES)])
    if (sigma_min is None) != (sigma_max is None):
        field = "sigma_max" if sigma_max is None else "sigma_min"
        raise refusal(field, None, "given together with the other end", "give both ends or none")
    places = np.arange(steps + 1) / steps * (levels.size - 1)
    logs = np.interp(places, np.arange(levels.size), np.log(levels))
    if sigma_min is None or sigma_max is None:
        low, high = float64(levels[-1]), float64(levels[0])
        sigmas = jnp.exp(jnp.asarray(logs))
    else:
        ordered(
            "sigma_min",
            positive("sigma_min", sigma_min),
            "sigma_max",
            finite("sigma_max", sigma_max),
        )
        low, high = float64(sigma_min), float64(sigma_max)
        share = (logs - logs[-1]) / (logs[0] - logs[-1])
        sigmas = jnp.exp(jnp.log(low) + jnp.asarray(share) * (jnp.log(high) - jnp.log(low)))
    return Schedule.from_sigmas(sigmas.at[0].set(high).at[-1].set(low))

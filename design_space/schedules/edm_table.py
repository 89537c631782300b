"""The designs of EDM's Table 1 that are not variance exploding, or have a table of their own.

Its VE column is `named.song` with sigma_bar from 0.02 to 100, its EDM column `named.edm`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Scalar, float64
from design_space.checks import count, ordered, positive, refusal
from design_space.schedules.scale import PreservingScale
from design_space.schedules.schedule import Schedule
from design_space.schedules.variance import Preserving

IDDPM_LEVELS = 1000
"""Noise levels of iDDPM's own grid, of which a design takes some."""

IDDPM_FIRST = 8
"""The first of them that EDM's table takes: sigma_bar = 80.2 in place of 20,291."""

_LEAST_RATIO, _OFFSET = 0.001, 0.008  # C_1 and C_2


def vp(
    steps: int,
    beta_d: Scalar = 19.9,
    beta_min: Scalar = 0.1,
    t_min: Scalar = 1e-3,
    t_max: Scalar = 1.0,
) -> Schedule:
    """The variance-preserving design of Song et al.: times uniform in t, state of scale S.

    sigma_bar_t = sqrt(exp(beta_d t^2/2 + beta_min t) - 1), S = (1 + sigma_bar^2)^{-1/2}.

    Args:
      steps: the number N of steps, at least 1.
      beta_d: slope of beta(t), above 0; may be traced, like the others.
      beta_min: beta(0), above 0.
      t_min: smallest time, above 0.
      t_max: largest time, above `t_min`.

    Returns:
      The schedule with N + 1 positive noise levels. Karras et al. place N levels and append a 0:
      their grid of n levels is `vp(steps=n - 1)`.

    Raises:
      ValueError: if a number is out of its domain.

    Source: the VP column of Table 1 in arXiv 2206.00364.
    """
    steps = count("steps", steps)
    low, high = float64(positive("t_min", t_min)), float64(positive("t_max", t_max))
    ordered("t_min", t_min, "t_max", t_max)
    variance = Preserving(beta_d, beta_min)
    share = jnp.arange(steps + 1) / steps
    times = low * (1 - share) + high * share
    sigmas = jax.vmap(variance.sigma)(times)
    return Schedule(variance, sigmas, times, PreservingScale())


def iddpm(steps: int, first: int = IDDPM_FIRST) -> Schedule:
    """The grid of improved DDPM in EDM's table: levels of its cosine grid at even places.

    u_M = 0, u_{j-1} = sqrt((u_j^2 + 1)/max(abar_{j-1}/abar_j, C_1) - 1), M = 1000, with
    abar_j = sin^2(pi j/(2 M (1 + C_2))), C_1 = 0.001, C_2 = 0.008; the levels are those at the
    places floor(j_0 + (M - 1 - j_0) i/N + 1/2), i = 0, ..., N.

    Args:
      steps: the number N of steps, from 1 to M - 1 - j_0.
      first: j_0, the place of the largest level, from 0 to M - 2.

    Returns:
      The schedule, with sigma_bar_t = t.

    Raises:
      ValueError: if a number is out of its domain.

    Source: the iDDPM column of Table 1 in arXiv 2206.00364.
    """
    steps, first = count("steps", steps), count("first", first, least=0)
    most = IDDPM_LEVELS - 1 - first
    if most < 1:
        raise refusal("first", first, f"at most {IDDPM_LEVELS - 2}", "start at a larger level")
    if steps > most:
        domain = f"at most {most}, the levels of iDDPM's grid below place {first}"
        raise refusal("steps", steps, domain, "take fewer steps")
    places = np.floor(first + most * np.arange(steps + 1) / steps + 0.5).astype(int)
    return Schedule.from_sigmas(_iddpm_grid()[places])


def _iddpm_grid() -> np.ndarray:
    """u_0 > ... > u_{M-1} > 0."""
    angle = np.pi / 2 * np.arange(IDDPM_LEVELS + 1) / (IDDPM_LEVELS * (1 + _OFFSET))
    kept = np.sin(angle) ** 2
    u = np.zeros(IDDPM_LEVELS + 1)
    for j in range(IDDPM_LEVELS, 0, -1):
        u[j - 1] = np.sqrt((u[j] ** 2 + 1) / max(kept[j - 1] / kept[j], _LEAST_RATIO) - 1)
    return u[:-1]

"""Schedules by name: EDM's, Song's, and every pair of a variance and a time schedule."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from design_space.arrays import Scalar, float64
from design_space.checks import count, one_of, ordered, positive, refusal
from design_space.schedules.schedule import Schedule
from design_space.schedules.time import (
    AbstractTimeSchedule,
    Cosine,
    Exponential,
    Polynomial,
    Uniform,
)
from design_space.schedules.variance import AbstractVarianceSchedule, linear, sqrt

VARIANCES: dict[str, Callable[[], AbstractVarianceSchedule]] = {"linear": linear, "sqrt": sqrt}
"""Variance schedules that can be named in `schedule` and in a specification."""

TIMES: dict[str, Callable[[Scalar], AbstractTimeSchedule]] = {
    "polynomial": Polynomial,
    "exponential": lambda rho: Exponential(),
    "uniform": lambda rho: Uniform(),
    "cosine": lambda rho: Cosine(),
}
"""Time schedules that can be named there; each is built from rho, which only one of them uses."""

MOST_STEPS = 10_000_000
"""More steps than any sampler takes; a slip of the keyboard, not a design."""


def schedule(
    variance: str | AbstractVarianceSchedule = "linear",
    time: str | AbstractTimeSchedule = "polynomial",
    *,
    steps: int,
    sigma_min: Scalar = 0.002,
    sigma_max: Scalar = 80.0,
    rho: Scalar = 7.0,
) -> Schedule:
    """Builds the schedule of a variance schedule and a time schedule.

    The times run from t(sigma_min) to t(sigma_max), where t is the inverse of the variance
    schedule. For the sampler such pairs collapse: exponential times give the same noise levels
    with every power of t, and polynomial times with sigma_bar_t = sqrt t those of
    sigma_bar_t = t with rho/2; only bounds and weightings tell them apart.

    Args:
      variance: "linear" (sigma_bar_t = t), "sqrt" (sigma_bar_t = sqrt t), or an object.
      time: "polynomial", "exponential", "uniform", "cosine", or an object.
      steps: the number N of steps, at least 1.
      sigma_min: smallest noise standard deviation, above 0, in data units; may be traced.
      sigma_max: largest noise standard deviation, above `sigma_min`; may be traced.
      rho: exponent of the polynomial times, above 0; may be traced. Other times do not use it.

    Returns:
      The schedule, with both end noise levels exact.

    Raises:
      ValueError: if a name is unknown, `steps` is below 1, a number is not finite and above 0, or
        `sigma_min` is not below `sigma_max`.

    Source: Table 1 and appendix I.1 of arXiv 2406.12839.
    """
    steps = count("steps", steps)
    if steps > MOST_STEPS:
        raise refusal("steps", steps, f"at most {MOST_STEPS:,}", "take fewer steps")
    sigma_min, sigma_max = positive("sigma_min", sigma_min), positive("sigma_max", sigma_max)
    ordered("sigma_min", sigma_min, "sigma_max", sigma_max)
    if isinstance(variance, str):
        variance = VARIANCES[one_of("variance", variance, VARIANCES)]()
    if isinstance(time, str):
        time = TIMES[one_of("time", time, TIMES)](positive("rho", rho))
    low, high = float64(sigma_min), float64(sigma_max)
    times = time(steps, variance.time(low), variance.time(high))
    sigmas = jax.vmap(variance.sigma)(times).at[0].set(low).at[-1].set(high)
    return Schedule(variance, jnp.asarray(sigmas), times)


def edm(
    steps: int, sigma_min: Scalar = 0.002, sigma_max: Scalar = 80.0, rho: Scalar = 7.0
) -> Schedule:
    """EDM's schedule: sigma_bar_t = t with polynomial times.

    sigma_j = (smax^{1/rho} - (smax^{1/rho} - smin^{1/rho}) (N - j)/N)^rho.

    Args:
      steps: the number N of steps, at least 1.
      sigma_min: smallest noise standard deviation, above 0, in data units; may be traced.
      sigma_max: largest noise standard deviation, above `sigma_min`; may be traced.
      rho: exponent, above 0; may be traced.

    Returns:
      The schedule with N + 1 positive noise levels. Karras et al. place N levels and append a 0:
      their grid of n levels is `edm(steps=n - 1)`.

    Raises:
      ValueError: as `schedule`.

    Source: eq. (5) of arXiv 2206.00364; Table 1 of arXiv 2406.12839.
    """
    return schedule(
        "linear", "polynomial", steps=steps, sigma_min=sigma_min, sigma_max=sigma_max, rho=rho
    )


def song(steps: int, sigma_min: Scalar = 0.002, sigma_max: Scalar = 80.0) -> Schedule:
    """Song et al.'s schedule: sigma_bar_t = sqrt t with exponential times.

    t_j = smax^2 (smin^2/smax^2)^{(N - j)/N}: noise levels geometric from sigma_min to sigma_max.

    Args:
      steps: the number N of steps, at least 1.
      sigma_min: smallest noise standard deviation, above 0, in data units; may be traced.
      sigma_max: largest noise standard deviation, above `sigma_min`; may be traced.

    Returns:
      The schedule with N + 1 positive noise levels.

    Raises:
      ValueError: as `schedule`.

    Source: arXiv 2011.13456; Table 1 of arXiv 2406.12839.
    """
    return schedule("sqrt", "exponential", steps=steps, sigma_min=sigma_min, sigma_max=sigma_max)

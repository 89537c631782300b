"""Time schedules: where on the axis of forward time the grid points lie."""

import abc
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, ArrayLike, Float, Scalar, float64, is_concrete
from design_space.checks import count, finite, numbers, ordered, positive, refusal


def _positive_rho(value: ArrayLike) -> Float[Array, ""]:
    return float64(positive("rho", value))


def _positive_scale(value: ArrayLike) -> Float[Array, ""]:
    return float64(positive("scale", value))


def _increasing_times(value: ArrayLike | Sequence[Any]) -> Float[Array, " nodes"]:
    times = float64(numbers("times", value, 1))
    if times.shape[0] < 2:
        raise refusal("times", value, "at least two times", "give steps + 1 of them")
    if is_concrete(times) and not np.all(np.diff(times) > 0):
        raise refusal(
            "times", value, "strictly increasing (forward times)", "sort it from small to large"
        )
    return times


class AbstractTimeSchedule(eqx.Module):
    """A rule that places steps + 1 forward times between two ends.

    A new schedule needs only `interpolate`; calling the object checks the ends and keeps them
    exact.
    """

    @abc.abstractmethod
    def interpolate(
        self, fractions: Float[Array, " nodes"], t_low: Float[Array, ""], t_high: Float[Array, ""]
    ) -> Float[Array, " nodes"]:
        """Returns the forward time at each of the fractions j/N.

        Args:
          fractions: j/N for j = 0, ..., N.
          t_low: the time at fraction 0, in the unit of time of the variance schedule.
          t_high: the time at fraction 1, same unit.
        """

    def __call__(self, steps: int, t_low: Scalar, t_high: Scalar) -> Float[Array, " nodes"]:
        """Returns the forward times t_0 = t_low < t_1 < ... < t_N = t_high, ends exact.

        Args:
          steps: the number N of steps, at least 1.
          t_low: smallest time, in the unit of time of the variance schedule.
          t_high: largest time, same unit, above `t_low`.

        Returns:
          N + 1 times, ascending.

        Raises:
          ValueError: if `steps` is below 1, or the ends are not finite or not in order.
        """
        steps = count("steps", steps)
        t_low, t_high = finite("t_low", t_low), finite("t_high", t_high)
        ordered("t_low", t_low, "t_high", t_high)
        low, high = float64(t_low), float64(t_high)
        fractions = jnp.arange(steps + 1, dtype=jnp.float64) / steps
        times = self.interpolate(fractions, low, high)
        return times.at[0].set(low).at[-1].set(high)  # ends exact, not to rounding


class Polynomial(AbstractTimeSchedule):
    """Times uniform in t^(1/rho).

    t_j = (t_high^{1/rho} - (t_high^{1/rho} - t_low^{1/rho}) (N - j)/N)^rho.

    Attributes:
      rho: the exponent, above 0; 7 in EDM, 1 is uniform; may be traced.

    Raises:
      ValueError: if `rho` is not a finite number above 0; on call, if `t_low` is negative.

    Source: eq. (5) of arXiv 2206.00364; Table 1 of arXiv 2406.12839.
    """

    rho: Float[Array, ""] = eqx.field(converter=_positive_rho, default=7.0)

    def interpolate(
        self, fractions: Float[Array, " nodes"], t_low: Float[Array, ""], t_high: Float[Array, ""]
    ) -> Float[Array, " nodes"]:
        """Returns the times at the fractions; see the class."""
        if is_concrete(t_low) and not t_low >= 0:
            raise refusal(
                "t_low", float(t_low), "at least 0 for polynomial times", "use uniform times"
            )
        low, high = t_low ** (1 / self.rho), t_high ** (1 / self.rho)
        return (low * (1 - fractions) + high * fractions) ** self.rho


class Exponential(AbstractTimeSchedule):
    """Times uniform in ln t: t_j = t_high (t_low/t_high)^{(N - j)/N}.

    Raises:
      ValueError: on call, if `t_low` is not above 0.

    Source: Table 1 of arXiv 2406.12839, the times of Song et al. (arXiv 2011.13456).
    """

    def interpolate(
        self, fractions: Float[Array, " nodes"], t_low: Float[Array, ""], t_high: Float[Array, ""]
    ) -> Float[Array, " nodes"]:
        """Returns the times at the fractions; see the class."""
        positive("t_low", t_low)
        return jnp.exp(jnp.log(t_low) * (1 - fractions) + jnp.log(t_high) * fractions)


class Uniform(AbstractTimeSchedule):
    """Times uniform in t: t_j = t_low + (t_high - t_low) j/N."""

    def interpolate(
        self, fractions: Float[Array, " nodes"], t_low: Float[Array, ""], t_high: Float[Array, ""]
    ) -> Float[Array, " nodes"]:
        """Returns the times at the fractions; see the class."""
        return t_low * (1 - fractions) + t_high * fractions


class Cosine(AbstractTimeSchedule):
    """Times uniform in the angle arctan(t/scale): the cosine schedule, variance exploding.

    t_j = scale tan(theta_j), theta_j = theta_low + (theta_high - theta_low) j/N, where
    theta = arctan(t/scale) at the ends. Nichol and Dhariwal take the variance-preserving
    abar(u) = cos(pi u/2)^2 at uniform u; its noise level in the variance-exploding process is
    sigma_bar = sqrt((1 - abar)/abar) = tan(pi u/2), which with sigma_bar_t = t and scale 1 is this
    schedule restricted to [sigma_min, sigma_max]. Their offset 0.008, which keeps the smallest
    noise level away from 0, is left out, since sigma_min does that. Another scale is the shifted
    cosine schedule, and the tangent law for data of standard deviation `scale`.

    Attributes:
      scale: the time at the angle pi/4, above 0; may be traced.

    Raises:
      ValueError: if `scale` is not a finite number above 0; on call, if `t_low` is negative.

    Source: eq. (17) of arXiv 2102.09672; the tangent law of arXiv 2601.13602.
    """

    scale: Float[Array, ""] = eqx.field(converter=_positive_scale, default=1.0)

    def interpolate(
        self, fractions: Float[Array, " nodes"], t_low: Float[Array, ""], t_high: Float[Array, ""]
    ) -> Float[Array, " nodes"]:
        """Returns the times at the fractions; see the class."""
        if is_concrete(t_low) and not t_low >= 0:
            raise refusal("t_low", float(t_low), "at least 0 for cosine times", "use uniform times")
        low, high = t_low / self.scale, t_high / self.scale
        # The tangent near pi/2 magnifies rounding of the angle; a rotation from one end direction
        # (cos, sin) to the other, with weights sin((1-u) angle), sin(u angle), does not.
        angle = jnp.arctan2(high - low, 1 + low * high)
        from_low = jnp.sin(angle * (1 - fractions)) / jnp.hypot(1.0, low)
        from_high = jnp.sin(angle * fractions) / jnp.hypot(1.0, high)
        return self.scale * (low * from_low + high * from_high) / (from_low + from_high)


class CustomTimes(AbstractTimeSchedule):
    """Times given one by one.

    Attributes:
      times: N + 1 forward times, strictly increasing, in the unit of the variance schedule.

    Raises:
      ValueError: if `times` has fewer than two entries or is not increasing; on call, if their
        number is not steps + 1, or the ends differ from those asked for by more than rounding.
    """

    times: Float[Array, " nodes"] = eqx.field(converter=_increasing_times)

    def interpolate(
        self, fractions: Float[Array, " nodes"], t_low: Float[Array, ""], t_high: Float[Array, ""]
    ) -> Float[Array, " nodes"]:
        """Returns the given times, after a check of their number and ends; see the class."""
        nodes = self.times.shape[0]
        if nodes != fractions.shape[0]:
            raise refusal(
                "steps", fractions.shape[0] - 1, f"{nodes - 1} for {nodes} times", "set it so"
            )
        for field, end, wanted in (
            ("t_low", self.times[0], t_low),
            ("t_high", self.times[-1], t_high),
        ):
            if is_concrete(end, wanted) and not np.isclose(end, wanted, rtol=1e-9, atol=0):
                raise refusal(
                    field,
                    float(wanted),
                    f"the end {float(end)!r} of the custom times",
                    "set sigma_min and sigma_max to the noise levels of the first and last time",
                )
        return self.times

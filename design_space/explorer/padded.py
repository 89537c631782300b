"""Grids of noise levels of one fixed size, so that another number of steps compiles nothing.

The first N + 1 entries, in the sampler's order, are those of the schedule of N steps. Two paddings
follow: levels that go on falling below sigma_min, so that steps beyond the last are proper steps of
which nothing is read; and sigma_min again and again, steps that remove no variance.
"""

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, Float, Int
from design_space.explorer.controls import MOST_STEPS
from design_space.schedules.schedule import Schedule
from design_space.schedules.time import Exponential, Polynomial
from design_space.schedules.variance import Power

_FALL = 0.9  # of the noise level in each step beyond the last


class Grid(eqx.Module):
    """The numbers of a schedule; all may be traced.

    Attributes:
      sigma_min: least noise level.
      sigma_max: largest noise level.
      exponent: of the variance schedule sigma_bar_t = t^exponent.
      rho: of polynomial times; uniform times have rho = 1.
      exponential: whether the times are exponential instead.
      steps: N, at most MOST_STEPS.
    """

    sigma_min: Float[Array, ""]
    sigma_max: Float[Array, ""]
    exponent: Float[Array, ""]
    rho: Float[Array, ""]
    exponential: Array
    steps: Int[Array, ""]

    def _levels(self, beyond: Array) -> Schedule:
        """The schedule with the levels `beyond` after the last step."""
        variance = Power(self.exponent)
        low, high = variance.time(self.sigma_min), variance.time(self.sigma_max)
        index = jnp.arange(MOST_STEPS + 1)
        fractions = jnp.maximum(self.steps - index, 0) / self.steps  # backward
        times = jnp.where(
            self.exponential,
            Exponential().interpolate(fractions, low, high),
            Polynomial(self.rho).interpolate(fractions, low, high),
        )
        after = index > self.steps
        times = jnp.where(after, variance.time(beyond), times)
        times = jnp.where(index == self.steps, low, times).at[0].set(high)
        sigmas = jnp.where(after, beyond, variance.sigma(times))
        sigmas = jnp.where(index == self.steps, self.sigma_min, sigmas).at[0].set(self.sigma_max)
        return Schedule(variance, sigmas[::-1], times[::-1])

    def falling(self) -> Schedule:
        """The schedule whose levels go on falling after the last step."""
        beyond = jnp.maximum(jnp.arange(MOST_STEPS + 1) - self.steps, 0)
        return self._levels(self.sigma_min * _FALL**beyond)

    def resting(self) -> Schedule:
        """The schedule that stays at sigma_min after the last step."""
        return self._levels(jnp.full(MOST_STEPS + 1, self.sigma_min))

    @property
    def taken(self) -> Array:
        """Which of the steps are taken, shape [MOST_STEPS]."""
        return jnp.arange(MOST_STEPS) < self.steps

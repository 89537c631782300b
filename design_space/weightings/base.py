"""Weightings as objects: pointwise, densities, custom values, and weights of time."""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, ArrayLike, Float, float64, is_concrete
from design_space.checks import numbers, one_of, refusal, same_dimension
from design_space.schedules.schedule import Schedule

MEASURES = ("sigma", "log_sigma", "log_snr")
"""Measures of a density over noise levels; the increment of log-SNR is taken as positive."""


def as_pytree(function: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function as a pytree without leaves, so that a weighting may enter jit and vmap."""
    if isinstance(function, eqx.Module) and callable(function):
        return function
    return jax.tree_util.Partial(function)


def _nonnegative_values(values: ArrayLike | Sequence[Any]) -> Float[Array, " levels"]:
    array = float64(numbers("values", values, 1))
    if is_concrete(array) and np.any(array < 0):
        raise refusal("values", values, "non-negative", "check the signs")
    return array


def increments(schedule: Schedule, measure: str) -> Array:
    """The increment of the measure from level j - 1 to level j, positive, [N]."""
    steps, low = jnp.diff(schedule.forward_sigmas), schedule.forward_sigmas[:-1]
    if measure == "sigma":
        return steps
    return (2 if measure == "log_snr" else 1) * jnp.log1p(steps / low)


def time_factor(schedule: Schedule, power: int) -> Array:
    """(t_j - t_{j-1}) / sigma_j^power at the forward levels, [N]."""
    return schedule.forward_time_steps / schedule.forward_sigmas[1:] ** power


class AbstractWeighting(eqx.Module):
    """A rule that gives a schedule its total weighting."""

    @abc.abstractmethod
    def total(self, schedule: Schedule) -> Float[Array, " levels"]:
        """Returns the total weighting beta_j at the forward levels j = 1, ..., N.

        Args:
          schedule: a schedule of N steps.

        Returns:
          beta_j, ascending in noise, [N]; without unit, up to the weighting's own convention.
        """


class PointwiseWeighting(AbstractWeighting):
    """A total weighting read off at each level: beta_j = value(sigma_j). Measure: counting levels.

    Attributes:
      value: a function of one noise standard deviation; a module may hold numeric leaves.
    """

    value: Callable[..., Any] = eqx.field(converter=as_pytree)

    def total(self, schedule: Schedule) -> Float[Array, " levels"]:
        """Returns beta_j = value(sigma_j), [N]; see the base class."""
        return float64(jax.vmap(self.value)(schedule.forward_sigmas[1:]))


class DensityWeighting(AbstractWeighting):
    """A density over noise levels: beta_j = density(sigma_j) (mu_j - mu_{j-1}).

    Attributes:
      density: a function of one noise standard deviation, with respect to the measure; a module may
        hold numeric leaves.
      measure: mu = sigma ("sigma"), ln sigma ("log_sigma") or log-SNR ("log_snr", of which the
        increment is 2 ln(sigma_j/sigma_{j-1})).

    Raises:
      ValueError: if `measure` is not one of these.
    """

    density: Callable[..., Any] = eqx.field(converter=as_pytree)
    measure: str = eqx.field(static=True)

    def __check_init__(self):
        one_of("measure", self.measure, MEASURES)

    def total(self, schedule: Schedule) -> Float[Array, " levels"]:
        """Returns beta_j = density(sigma_j) times the increment of the measure, [N]."""
        return self.pointwise().total(schedule) * increments(schedule, self.measure)

    def pointwise(self) -> PointwiseWeighting:
        """Returns the weighting that reads the density at each level, without the increment."""
        return PointwiseWeighting(self.density)


class CustomWeighting(AbstractWeighting):
    """A total weighting given level by level.

    Attributes:
      values: beta_j for j = 1, ..., N, ascending in noise, non-negative.

    Raises:
      ValueError: if a value is negative or not finite; on use, if their number is not N.
    """

    values: Float[Array, " levels"] = eqx.field(converter=_nonnegative_values)

    def total(self, schedule: Schedule) -> Float[Array, " levels"]:
        """Returns the given beta_j, [N]; see the base class."""
        same_dimension("values", self.values.shape[0], "schedule.steps", schedule.steps)
        return self.values


class TimeWeighting(AbstractWeighting):
    """The weighting w(t) of score matching, carried to the denoising loss.

    beta_j = w(t_j) (t_j - t_{j-1}) / sigma_j^power. Measure: forward time t.

    Attributes:
      w: a function of one forward time; a module may hold numeric leaves.
      power: 2 is correct, 1 is printed; see `from_w_corrected` and `from_w_printed`.
    """

    w: Callable[..., Any] = eqx.field(converter=as_pytree)
    power: int = eqx.field(static=True)

    def total(self, schedule: Schedule) -> Float[Array, " levels"]:
        """Returns beta_j from w(t_j), [N]; see the class."""
        values = float64(jax.vmap(self.w)(schedule.forward_times[1:]))
        return values * time_factor(schedule, self.power)

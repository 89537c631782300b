"""Variance schedules: how the noise level sigma_bar grows with forward time t."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, ArrayLike, Float, Real, float64
from design_space.checks import positive

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def _positive_exponent(value: ArrayLike) -> Float[Array, ""]:
    return float64(positive("exponent", value))


class AbstractVarianceSchedule(eqx.Module):
    """A strictly increasing noise level sigma_bar_t of forward time t.

    A new schedule needs only `sigma` and its inverse `time`, both written for one number with JAX
    functions; the squared diffusion coefficient and the integral of the theory follow from them.
    """

    @abc.abstractmethod
    def sigma(self, t: Real[ArrayLike, "*times"]) -> Float[Array, "*times"]:
        """Returns the standard deviation sigma_bar_t of the noise at forward time t, in data units.

        Args:
          t: forward times, in the schedule's own unit of time.
        """

    @abc.abstractmethod
    def time(self, sigma: Real[ArrayLike, "*times"]) -> Float[Array, "*times"]:
        """Returns the forward time t at which sigma_bar_t equals `sigma`.

        Args:
          sigma: noise standard deviations above 0, in data units.
        """

    def diffusion(self, t: Real[ArrayLike, "*times"]) -> Float[Array, "*times"]:
        """Returns the squared diffusion coefficient at time t.

        sigma_t^2 = (1/2) d(sigma_bar_t^2)/dt = sigma_bar_t d(sigma_bar_t)/dt, so that the forward
        process is dX = sqrt(2 sigma_t^2) dW. The derivative is automatic.

        Args:
          t: forward times, in the schedule's own unit of time.

        Returns:
          sigma_t^2 at each time, in squared data units per unit of time.
        """
        t = float64(t)
        return jnp.vectorize(self.sigma)(t) * jnp.vectorize(jax.grad(self.sigma))(t)

    def squared_ratio_integral(
        self, t_low: Real[ArrayLike, "*times"], t_high: Real[ArrayLike, "*times"]
    ) -> Float[Array, "*times"]:
        """Returns the integral of sigma_t^4 / sigma_bar_t^4 over [t_low, t_high].

        Since sigma_t^2 / sigma_bar_t^2 = d(ln sigma_bar_t)/dt =: r, the integral of r^2 dt is the
        integral of r d(ln sigma_bar). Gauss-Legendre quadrature with 64 nodes in ln sigma_bar is
        exact to rounding for every power of t over the whole range of noise levels in use.

        Args:
          t_low: lower ends, where sigma_bar is above 0, in the schedule's own unit of time.
          t_high: upper ends, same shape and unit.

        Returns:
          The integral for each pair of ends, in inverse units of time.

        Source: third term of Theorem 2 (eq. 11) in arXiv 2406.12839.
        """
        low, high = float64(t_low), float64(t_high)
        return jnp.vectorize(self._squared_ratio_integral)(low, high)

    def _squared_ratio_integral(self, t_low: Array, t_high: Array) -> Array:
        low, high = self.sigma(t_low), self.sigma(t_high)
        width = jnp.log1p((high - low) / low)  # of close levels, without cancellation
        levels = low * jnp.exp(width * (1 + _NODES) / 2)
        times = jax.vmap(self.time)(levels)
        rates = jax.vmap(jax.grad(self.sigma))(times) / levels
        return width / 2 * jnp.sum(_WEIGHTS * rates)


class Power(AbstractVarianceSchedule):
    """Noise level sigma_bar_t = t^exponent, for t >= 0.

    Exponent 1 is the linear schedule of EDM (sigma_t^2 = t), exponent 1/2 the square root that
    Song et al.'s variance-exploding process takes in the time of Table 1 (sigma_t^2 = 1/2).

    Attributes:
      exponent: the power, above 0; may be traced.

    Raises:
      ValueError: if `exponent` is not a finite number above 0.

    Source: Table 1 of arXiv 2406.12839.
    """

    exponent: Float[Array, ""] = eqx.field(converter=_positive_exponent)

    def sigma(self, t: Real[ArrayLike, "*times"]) -> Float[Array, "*times"]:
        """Returns sigma_bar_t = t^exponent; see the base class."""
        return float64(t) ** self.exponent

    def time(self, sigma: Real[ArrayLike, "*times"]) -> Float[Array, "*times"]:
        """Returns t = sigma^(1/exponent); see the base class."""
        return float64(sigma) ** (1 / self.exponent)


def _positive(field: str) -> Callable[[ArrayLike], Float[Array, ""]]:
    return lambda value: float64(positive(field, value))


class Preserving(AbstractVarianceSchedule):
    """Noise level of the variance-preserving process with beta(t) = beta_min + beta_d t, t >= 0.

    sigma_bar_t = sqrt(exp(beta_d t^2/2 + beta_min t) - 1), for the state divided by its scale.

    Attributes:
      beta_d: slope of beta, above 0; may be traced, like the other.
      beta_min: beta(0), above 0.

    Raises:
      ValueError: if one is not a finite number above 0.

    Source: the VP column of Table 1 in arXiv 2206.00364.
    """

    beta_d: Float[Array, ""] = eqx.field(converter=_positive("beta_d"), default=19.9)
    beta_min: Float[Array, ""] = eqx.field(converter=_positive("beta_min"), default=0.1)

    def sigma(self, t: Real[ArrayLike, "*times"]) -> Float[Array, "*times"]:
        """Returns sigma_bar_t; see the class."""
        t = float64(t)
        return jnp.sqrt(jnp.expm1(self.beta_d / 2 * t * t + self.beta_min * t))

    def time(self, sigma: Real[ArrayLike, "*times"]) -> Float[Array, "*times"]:
        """Returns the positive root of beta_d t^2/2 + beta_min t = log(1 + sigma^2)."""
        total = jnp.log1p(float64(sigma) ** 2)
        return 2 * total / (self.beta_min + jnp.sqrt(self.beta_min**2 + 2 * self.beta_d * total))


def linear() -> Power:
    """The linear variance schedule sigma_bar_t = t of EDM (2206.00364)."""
    return Power(1.0)


def sqrt() -> Power:
    """The square-root schedule, of variance sigma_bar_t^2 = t, of Song et al. (2011.13456)."""
    return Power(0.5)

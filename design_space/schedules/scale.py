"""Scales: what multiplies the state of a design whose process is not variance exploding.

A process x_t = S_t (x_0 + sigma_bar_t xi) is the variance-exploding one, y_t = x_t / S_t, seen
through a scale. Scores, laws and errors are those of y; only steps that are uniform in the time of
x, such as Euler's, feel the scale.
"""

import abc
from typing import final

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, ArrayLike, Float, Real, float64


class AbstractScale(eqx.Module):
    """The scale S as a function of the noise level sigma_bar."""

    @abc.abstractmethod
    def value(self, sigma: Real[ArrayLike, "*levels"]) -> Float[Array, "*levels"]:
        """Returns S at the noise levels.

        Args:
          sigma: noise standard deviations of y, above 0, in data units.
        """

    @abc.abstractmethod
    def slope(self, sigma: Real[ArrayLike, "*levels"]) -> Float[Array, "*levels"]:
        """Returns dS/d sigma_bar at the noise levels, in inverse data units.

        Args:
          sigma: noise standard deviations of y, above 0, in data units.
        """


@final
class UnitScale(AbstractScale):
    """S = 1: the variance-exploding process itself."""

    def value(self, sigma: Real[ArrayLike, "*levels"]) -> Float[Array, "*levels"]:
        """Returns 1; see AbstractScale."""
        return jnp.ones_like(float64(sigma))

    def slope(self, sigma: Real[ArrayLike, "*levels"]) -> Float[Array, "*levels"]:
        """Returns 0; see AbstractScale."""
        return jnp.zeros_like(float64(sigma))


@final
class PreservingScale(AbstractScale):
    """S = (1 + sigma_bar^2)^{-1/2}: data of unit variance keep it (variance preserving).

    Source: the VP column of Table 1 in arXiv 2206.00364.
    """

    def value(self, sigma: Real[ArrayLike, "*levels"]) -> Float[Array, "*levels"]:
        """Returns (1 + sigma^2)^{-1/2}; see AbstractScale."""
        return 1 / jnp.hypot(1.0, float64(sigma))

    def slope(self, sigma: Real[ArrayLike, "*levels"]) -> Float[Array, "*levels"]:
        """Returns -sigma (1 + sigma^2)^{-3/2}; see AbstractScale."""
        return -float64(sigma) * self.value(sigma) ** 3

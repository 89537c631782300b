"""Every paper's convention for a weighting, to and from the total weighting beta_j, by name."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, Float
from design_space.checks import one_of
from design_space.schedules.schedule import Schedule
from design_space.weightings.base import (
    AbstractWeighting,
    DensityWeighting,
    PointwiseWeighting,
    TimeWeighting,
    as_pytree,
    time_factor,
)

SPACES = ("noise", "data", "velocity")
"""What a network predicts: the noise xi, the data X_0, or alpha xi - sigma X_0."""


class SnrWeight(eqx.Module):
    """A weight of the SNR as a function of the noise level; see `from_snr_weight`.

    Attributes:
      weight: a function of one SNR.
      space: what the weighted squared error compares.
    """

    weight: Callable[..., Any] = eqx.field(converter=as_pytree)
    space: str = eqx.field(static=True)

    def __check_init__(self):
        one_of("space", self.space, SPACES)

    def __call__(self, sigma: Float[Array, ""]) -> Float[Array, ""]:
        """Returns the weight of |sigma S + xi|^2 at one noise level."""
        return self.weight(1 / sigma**2) * _error_ratio(sigma, self.space)


class EdmProduct(eqx.Module):
    """p_train lambda sigma^2 as a function of one noise level; see `from_edm`.

    Attributes:
      p_train: density of training levels.
      loss_weight: EDM's lambda.
    """

    p_train: Callable[..., Any] = eqx.field(converter=as_pytree)
    loss_weight: Callable[..., Any] = eqx.field(converter=as_pytree)

    def __call__(self, sigma: Float[Array, ""]) -> Float[Array, ""]:
        """Returns the density of the total weighting at one noise level."""
        return self.p_train(sigma) * self.loss_weight(sigma) * sigma**2


def from_w_printed(w: Callable[..., Any]) -> TimeWeighting:
    """The total weighting of w(t) with the printed factor: beta_j = w(t_j) dt_j / sigma_j.

    Eq. (4) states this factor for (1/2) int w(t) E|S - grad log p_t|^2 dt; it agrees with that
    integral only where sigma_bar = 1. `from_w_corrected` holds everywhere.

    Args:
      w: a function of one forward time. Measure: forward time t, dt_j = t_j - t_{j-1}.

    Source: eqs. (4) and (6) of arXiv 2406.12839.
    """
    return TimeWeighting(w, 1)


def from_w_corrected(w: Callable[..., Any]) -> TimeWeighting:
    """The total weighting of w(t) with the corrected factor: beta_j = w(t_j) dt_j / sigma_j^2.

    By Tweedie, E|S - grad log p_t|^2 = E|sigma_bar S + xi|^2/sigma_bar^2 - mmse(v)/v^2, v =
    sigma_bar^2.

    Args:
      w: a function of one forward time. Measure: forward time t, dt_j = t_j - t_{j-1}.

    Source: eq. (4) of arXiv 2406.12839, corrected.
    """
    return TimeWeighting(w, 2)


def to_w_printed(weighting: AbstractWeighting, schedule: Schedule) -> Float[Array, " levels"]:
    """Returns w(t_j) = beta_j sigma_j / dt_j, j = 1, ..., N: the inverse of `from_w_printed`.

    Args:
      weighting: any weighting.
      schedule: a schedule of N steps.

    Returns:
      w at the forward levels, [N].

    Source: eq. (6) and appendix H.3 of arXiv 2406.12839.
    """
    return weighting.total(schedule) / time_factor(schedule, 1)


def to_w_corrected(weighting: AbstractWeighting, schedule: Schedule) -> Float[Array, " levels"]:
    """Returns w(t_j) = beta_j sigma_j^2 / dt_j, j = 1, ..., N: the inverse of `from_w_corrected`.

    Args:
      weighting: any weighting.
      schedule: a schedule of N steps.

    Returns:
      w at the forward levels, [N].

    Source: eq. (6) of arXiv 2406.12839, corrected.
    """
    return weighting.total(schedule) / time_factor(schedule, 2)


def from_edm(
    p_train: Callable[..., Any], loss_weight: Callable[..., Any], measure: str = "sigma"
) -> DensityWeighting:
    """The total weighting of EDM's loss E_{sigma ~ p_train} lambda(sigma) E|D - X_0|^2.

    With the denoiser D = X + sigma^2 S and X = X_0 + sigma xi, D - X_0 = sigma (sigma S + xi), so
    the density of the total weighting is p_train(sigma) lambda(sigma) sigma^2.

    Args:
      p_train: density of the training levels with respect to `measure`, a function of one sigma.
      loss_weight: lambda, a function of one sigma, in inverse squared data units.
      measure: "sigma", "log_sigma" or "log_snr".

    Raises:
      ValueError: if `measure` is not one of these.

    Source: eqs. (2) and (8) of arXiv 2206.00364.
    """
    return DensityWeighting(EdmProduct(p_train, loss_weight), measure)


def to_edm(
    weighting: AbstractWeighting,
    schedule: Schedule,
    p_train: Callable[..., Any],
    measure: str = "sigma",
) -> Float[Array, " levels"]:
    """Returns EDM's lambda(sigma_j) = beta_j / (p_train(sigma_j) sigma_j^2 dmu_j).

    The inverse of `from_edm` for a given density of training levels.

    Args:
      weighting: any weighting.
      schedule: a schedule of N steps.
      p_train: density with respect to `measure`, positive, a function of one sigma.
      measure: "sigma", "log_sigma" or "log_snr".

    Returns:
      lambda at the forward levels, [N], in inverse squared data units.

    Raises:
      ValueError: if `measure` is not one of these.
    """
    unweighted = from_edm(p_train, jnp.ones_like, measure)
    return weighting.total(schedule) / unweighted.total(schedule)


def from_snr_weight(weight: Callable[..., Any], space: str = "noise") -> PointwiseWeighting:
    """The total weighting of a loss weighted by a function of SNR = 1/sigma^2.

    beta_j = weight(SNR_j) r_j, r_j = |error in `space`|^2 / |sigma S + xi|^2, which is 1 for noise,
    sigma^2 for data and 1 + sigma^2 for velocity. Measure: counting levels, each drawn with equal
    probability.

    Args:
      weight: a function of one SNR.
      space: what the squared error compares: "noise", "data" or "velocity".

    Raises:
      ValueError: if `space` is not one of these.

    Source: arXiv 2303.09556, which converts between the three predictions.
    """
    return PointwiseWeighting(SnrWeight(weight, space))


def to_snr_weight(
    weighting: AbstractWeighting, schedule: Schedule, space: str = "noise"
) -> Float[Array, " levels"]:
    """Returns weight(SNR_j) = beta_j / r_j, j = 1, ..., N: the inverse of `from_snr_weight`.

    Args:
      weighting: any weighting.
      schedule: a schedule of N steps.
      space: what the squared error compares: "noise", "data" or "velocity".

    Returns:
      The weight at the forward levels, [N].

    Raises:
      ValueError: if `space` is not one of these.
    """
    one_of("space", space, SPACES)
    return weighting.total(schedule) / _error_ratio(schedule.forward_sigmas[1:], space)


def _error_ratio(sigma: Array, space: str) -> Array:
    """Squared error in `space` over |sigma S + xi|^2."""
    return {"noise": jnp.ones_like(sigma), "data": sigma**2, "velocity": 1 + sigma**2}[space]

"""The variable in which a sampler steps, and what its formulas need at the nodes."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, Float
from design_space.schedules.schedule import Schedule

Variable = Literal["sigma", "time"]
VARIABLES: tuple[Variable, ...] = ("sigma", "time")
"""What a Euler or Heun step is uniform in: the noise level, or the time of the design."""


class Clock(eqx.Module):
    """The state x = S y and its noise at the nodes, in the sampler's order.

    In the variable t the probability flow is dx/dt = (S'/S) x - S sigma sigma' s(x/S, sigma), that
    is S' y - pull s(y, sigma) in terms of y.

    Attributes:
      times: t at the nodes, descending, shape [nodes].
      scales: S, same shape.
      scale_rates: S' = dS/dt.
      pulls: S sigma dsigma/dt.

    Source: eq. (4) of arXiv 2206.00364.
    """

    times: Float[Array, " nodes"]
    scales: Float[Array, " nodes"]
    scale_rates: Float[Array, " nodes"]
    pulls: Float[Array, " nodes"]

    @property
    def moved(self) -> Float[Array, " steps"]:
        """The change of t in each step, below 0."""
        return jnp.diff(self.times)

    def drift(self) -> tuple[Float[Array, " steps"], Float[Array, " steps"]]:
        """Euler's step on the flow as y' = y + p y + b s(y, sigma): p and b, each [steps].

        S_{j+1} y' = S_j y + dt (S'_j y - pull_j s).
        """
        here, after, dt = self.scales[:-1], self.scales[1:], self.moved
        stretch = (here - after + dt * self.scale_rates[:-1]) / after
        return stretch, -dt * self.pulls[:-1] / after


def clock(schedule: Schedule, variable: Variable) -> Clock:
    """The clock of a schedule.

    Args:
      schedule: the noise schedule.
      variable: "sigma": t = sigma_bar and S = 1, so that only the grid of noise levels matters;
        "time": the schedule's own time and scale.
    """
    sigmas = schedule.backward_sigmas
    if variable == "sigma":
        one = jnp.ones_like(sigmas)
        return Clock(sigmas, one, jnp.zeros_like(sigmas), sigmas)
    rates = schedule.backward_diffusions / sigmas
    scales = schedule.scale.value(sigmas)
    slopes = schedule.scale.slope(sigmas) * rates
    return Clock(schedule.backward_times, scales, slopes, scales * schedule.backward_diffusions)

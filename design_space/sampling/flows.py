"""Steppers for the probability flow, without noise or with what EDM's churn adds before a step."""

from typing import Any, ClassVar, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Scalar, float64, is_concrete
from design_space.sampling.clock import Variable, clock
from design_space.sampling.moves import AbstractMove, Blur, TwoStage
from design_space.sampling.steppers import AbstractStepper, one_stage, variable_name
from design_space.schedules.schedule import Schedule

_MOST_CHURN = 2**0.5 - 1  # EDM's largest growth of the noise level by churn


@final
class FlowEuler(AbstractStepper):
    """Euler's method for the probability flow; in sigma, y + sigma (sigma - sigma') s(y, sigma).

    Args:
      variable: "sigma", or "time" for the schedule's own time and scale.

    Raises:
      ValueError: if the variable is unknown.

    Source: eq. (4) of arXiv 2206.00364; in sigma also DDIM, arXiv 2010.02502.
    """

    kind: ClassVar[str] = "ode-euler"
    variable: Variable = eqx.field(static=True, default="sigma", converter=variable_name)

    def moves(self, schedule: Schedule) -> tuple[AbstractMove, ...]:
        """One move without noise; see AbstractStepper."""
        h = schedule.backward_variance_steps
        stretch, gain = clock(schedule, self.variable).drift()
        return (one_stage(schedule, stretch, gain - h, -h, False),)


@final
class FlowHeun(AbstractStepper):
    """Heun's method for the probability flow: the mean of the drifts at both ends of the step.

    Args:
      variable: "sigma", or "time" for the schedule's own time and scale.

    Raises:
      ValueError: if the variable is unknown.

    Source: Algorithm 1 of arXiv 2206.00364.
    """

    kind: ClassVar[str] = "heun"
    variable: Variable = eqx.field(static=True, default="sigma", converter=variable_name)

    def moves(self, schedule: Schedule) -> tuple[AbstractMove, ...]:
        """One move without noise; see AbstractStepper."""
        ticks = clock(schedule, self.variable)
        p, b = ticks.drift()
        after, half = ticks.scales[1:], ticks.moved / 2
        back = half * ticks.scale_rates[1:] / after  # of the second drift on its own state
        grown = ticks.scales[:-1] - after + half * ticks.scale_rates[:-1]
        return (
            TwoStage(
                sigma=schedule.backward_sigmas[:-1],
                sigma_inner=schedule.backward_sigmas[1:],
                inner_stretch=p,
                inner_gain=b,
                stretch=grown / after + back * (1 + p),
                gain=b / 2 + back * b,
                second_gain=-half * ticks.pulls[1:] / after,
                drop=schedule.backward_variance_steps,
                before=schedule.backward_variances[:-1],
                after=schedule.backward_variances[1:],
            ),
        )


@final
class FlowMidpoint(AbstractStepper):
    """The midpoint method for the flow in sigma, with the geometric middle: DPM-Solver-2.

    At sigma_m = sqrt(sigma sigma'): y_m = y + sigma (sigma - sigma_m) s(y, sigma), and
    y' = y + sigma_m (sigma - sigma') s(y_m, sigma_m).

    Source: Algorithm 1 of arXiv 2206.00927.
    """

    kind: ClassVar[str] = "midpoint"

    def moves(self, schedule: Schedule) -> tuple[AbstractMove, ...]:
        """One move without noise; see AbstractStepper."""
        high, low = schedule.backward_sigmas[:-1], schedule.backward_sigmas[1:]
        middle, none = jnp.sqrt(high * low), jnp.zeros_like(high)
        return (
            TwoStage(
                sigma=high,
                sigma_inner=middle,
                inner_stretch=none,
                inner_gain=high * (high - middle),
                stretch=none,
                gain=none,
                second_gain=middle * (high - low),
                drop=schedule.backward_variance_steps,
                before=schedule.backward_variances[:-1],
                after=schedule.backward_variances[1:],
            ),
        )


def _unbounded(field: str, value: Any) -> bool:
    """Whether this is s_max = inf, which leaves no level out."""
    single = field == "s_max" and is_concrete(value) and np.ndim(value) == 0
    return single and bool(np.isposinf(value))


@final
class Churn(AbstractStepper):
    """EDM's stochastic sampler: raise the noise level by churn, then Heun's method for the flow.

    Inside [s_min, s_max] the level is raised by the factor 1 + min(s_churn / N, sqrt 2 - 1), with
    noise of s_noise times the standard deviation that this asks for. N counts the schedule's
    steps; Karras et al. count their last step to sigma = 0 as well.

    Args:
      s_churn: at least 0; may be traced, like the others.
      s_min, s_max: noise levels between which churn is added, at least 0; s_max may be infinite.
      s_noise: at least 0.

    Raises:
      ValueError: if a number is below 0 or not a number, or s_min is above s_max.

    Source: Algorithm 2 of arXiv 2206.00364.
    """

    kind: ClassVar[str] = "churn"
    s_churn: Float[Array, ""]
    s_min: Float[Array, ""]
    s_max: Float[Array, ""]
    s_noise: Float[Array, ""]

    def __init__(
        self,
        s_churn: Scalar = 40.0,
        s_min: Scalar = 0.05,
        s_max: Scalar = 50.0,
        s_noise: Scalar = 1.003,
    ):
        numbers = {"s_churn": s_churn, "s_min": s_min, "s_max": s_max, "s_noise": s_noise}
        for field, value in numbers.items():
            checks.numbers(field, 0.0 if _unbounded(field, value) else value, 0)
            if not _unbounded(field, value):
                checks.nonnegative(field, value)
            setattr(self, field, float64(value))
        if is_concrete(s_min, s_max) and float(s_min) > float(s_max):
            domain = f"at most s_max = {float(s_max)!r}"
            raise checks.refusal("s_min", float(s_min), domain, "swap them, or set s_churn = 0")

    def moves(self, schedule: Schedule) -> tuple[AbstractMove, ...]:
        """Noise, then Heun's move from the raised level; see AbstractStepper."""
        sigma, low = schedule.backward_sigmas[:-1], schedule.backward_sigmas[1:]
        v, below = schedule.backward_variances[:-1], schedule.backward_variances[1:]
        inside = (self.s_min <= sigma) & (sigma <= self.s_max)
        churn = jnp.where(inside, jnp.minimum(self.s_churn / schedule.steps, _MOST_CHURN), 0.0)
        raised = v * churn * (2 + churn)  # of the variance
        top, none = sigma * (1 + churn), jnp.zeros_like(sigma)
        heun = TwoStage(
            sigma=top,
            sigma_inner=low,
            inner_stretch=none,
            inner_gain=top * (top - low),
            stretch=none,
            gain=top * (top - low) / 2,
            second_gain=low * (top - low) / 2,
            drop=schedule.backward_variance_steps + raised,
            before=v + raised,
            after=below,
        )
        return Blur(added=raised * self.s_noise**2, before=v, after=v + raised), heun

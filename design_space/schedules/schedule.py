"""The noise schedule of a design: a grid of times and noise levels, read in both directions."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, ArrayLike, Float, float64, is_concrete
from design_space.checks import decreasing, numbers, one_of, refusal
from design_space.schedules.scale import AbstractScale, UnitScale
from design_space.schedules.variance import AbstractVarianceSchedule, Power


class Schedule(eqx.Module):
    """A grid of N + 1 forward times with its noise levels.

    Two directions, always named: `forward_*` arrays ascend in noise, entry j belongs to t_j with
    t_0 the smallest time; `backward_*` arrays descend, entry j is the state of the sampler after j
    steps, so entry 0 is the largest noise level (t_N = T) and entry N the smallest. Levels are
    trained at t_1, ..., t_N. Numeric leaves may be traced, and a schedule may be vmapped over.

    Attributes:
      variance: the variance schedule that relates times and noise levels.
      forward_sigmas: noise standard deviations sigma_bar_{t_j}, ascending, in data units.
      forward_times: forward times t_j, ascending, in the unit of the variance schedule.
      scale: what multiplies the state, where the process is not variance exploding; only steppers
        that step in time ask for it.

    Raises:
      ValueError: if the noise levels are fewer than two, not finite, not above 0 or not increasing.
    """

    variance: AbstractVarianceSchedule
    forward_sigmas: Float[Array, " nodes"]
    forward_times: Float[Array, " nodes"]
    scale: AbstractScale = UnitScale()

    def __check_init__(self):
        if not is_concrete(self.forward_sigmas):
            return
        sigmas = numbers("forward_sigmas", self.forward_sigmas, 1)
        if sigmas.size < 2:
            raise refusal(
                "forward_sigmas", sigmas, "at least two noise levels", "take N >= 1 steps"
            )
        if not (sigmas[0] > 0 and np.all(np.diff(sigmas) > 0)):
            raise refusal(
                "forward_sigmas",
                sigmas,
                "above 0 and strictly increasing in float64",
                "take fewer steps or a wider range of noise levels",
            )

    @staticmethod
    def from_sigmas(
        sigmas: ArrayLike | Sequence[Any],
        variance: AbstractVarianceSchedule | None = None,
        appended_zero: str = "refuse",
    ) -> "Schedule":
        """Builds a schedule from the descending noise levels that other samplers use.

        Args:
          sigmas: N + 1 noise standard deviations, strictly decreasing, above 0, in data units;
            some samplers append a 0.
          variance: the variance schedule that gives the times; linear (t = sigma) if left out.
            The sampler's law does not depend on it.
          appended_zero: "refuse" raises if the last noise level is 0; "drop" leaves such a level
            out, so that the design ends at the last positive one.

        Returns:
          The schedule with the given levels, unchanged.

        Raises:
          ValueError: if the noise levels are fewer than two, not finite, not above 0, not
            decreasing, or end in a 0 that is to be refused.
        """
        one_of("appended_zero", appended_zero, ("refuse", "drop"))
        variance = Power(1.0) if variance is None else variance
        levels = float64(_checked_descending(sigmas, appended_zero))
        times = jax.vmap(variance.time)(levels)
        return Schedule(variance, levels[::-1], times[::-1])

    @property
    def steps(self) -> int:
        """The number N of steps."""
        return self.forward_sigmas.shape[0] - 1

    @property
    def backward_sigmas(self) -> Float[Array, " nodes"]:
        """Noise standard deviations in the sampler's order, descending, [N + 1], in data units."""
        return self.forward_sigmas[::-1]

    @property
    def backward_times(self) -> Float[Array, " nodes"]:
        """Forward times T - s_j at the sampler's grid points, descending, [N + 1]."""
        return self.forward_times[::-1]

    @property
    def forward_variances(self) -> Float[Array, " nodes"]:
        """Noise variances sigma_bar_{t_j}^2, ascending, [N + 1], in squared data units."""
        return self.forward_sigmas**2

    @property
    def backward_variances(self) -> Float[Array, " nodes"]:
        """Noise variances v_j in the sampler's order, v_0 the largest, [N + 1]."""
        return self.backward_sigmas**2

    @property
    def forward_diffusions(self) -> Float[Array, " nodes"]:
        """Squared diffusion coefficients sigma_{t_j}^2, [N + 1], in squared data units per time."""
        return self.variance.diffusion(self.forward_times)

    @property
    def backward_diffusions(self) -> Float[Array, " nodes"]:
        """Squared diffusion coefficients sigma_{T - s_j}^2 in the sampler's order, [N + 1]."""
        return self.forward_diffusions[::-1]

    @property
    def forward_time_steps(self) -> Float[Array, " steps"]:
        """t_j - t_{j-1} for j = 1, ..., N, [N]."""
        return jnp.diff(self.forward_times)

    @property
    def backward_time_steps(self) -> Float[Array, " steps"]:
        """gamma_j = s_{j+1} - s_j for j = 0, ..., N - 1, in the sampler's order, [N]."""
        return self.forward_time_steps[::-1]

    @property
    def forward_variance_steps(self) -> Float[Array, " steps"]:
        """Variance gained from t_{j-1} to t_j for j = 1, ..., N, [N], without cancellation."""
        low, high = self.forward_sigmas[:-1], self.forward_sigmas[1:]
        return (high - low) * (high + low)

    @property
    def backward_variance_steps(self) -> Float[Array, " steps"]:
        """h_j = v_j - v_{j+1}, the variance that sampler step j removes, [N]."""
        return self.forward_variance_steps[::-1]


def _checked_descending(sigmas: ArrayLike | Sequence[Any], appended_zero: str) -> Any:
    """The noise levels with an appended 0 handled and every other fault refused."""
    levels = numbers("sigmas", sigmas, 1)
    if not is_concrete(levels):
        if appended_zero == "drop":
            raise refusal(
                "appended_zero",
                appended_zero,
                '"refuse" where sigmas are traced, since their values are unknown',
                "leave the 0 out before tracing",
            )
        return levels
    if levels.size and levels[-1] == 0:
        if appended_zero == "refuse":
            raise refusal(
                "sigmas",
                levels,
                "above 0, but the last noise level is an appended 0",
                'pass appended_zero="drop" to end at the last positive level',
            )
        levels = levels[:-1]
    if levels.size < 2:
        raise refusal("sigmas", levels, "at least two noise levels", "take N >= 1 steps")
    if not np.all(levels > 0):
        raise refusal("sigmas", levels, "above 0", "remove the levels that are not positive")
    decreasing("sigmas", levels)
    return levels

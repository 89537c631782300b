"""A sampler's design, and what is known of its last law."""

from typing import NamedTuple

import equinox as eqx

from design_space.arrays import Array, is_concrete
from design_space.numerics.estimate import Estimate
from design_space.sampling.steppers import AbstractStepper
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.targets.base import AbstractTarget


class SamplerDesign(NamedTuple):
    """What the law of a sampler depends on, and the law of the data beside it.

    Attributes:
      target: the data law.
      schedule: the noise schedule.
      score: the score model.
      stepper: the sampler.
    """

    target: AbstractTarget
    schedule: Schedule
    score: AbstractScore
    stepper: AbstractStepper

    @property
    def variance(self) -> Array:
        """The last noise variance v_N."""
        return self.schedule.backward_variances[-1]

    @property
    def concrete(self) -> bool:
        """Whether none of it is traced."""
        return is_concrete(*self)


class Marginals(eqx.Module):
    """Marginal KL (nats) and squared W2 (squared data units)."""

    marginal_kl: Estimate
    w2_squared: Estimate

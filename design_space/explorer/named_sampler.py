"""The sampler that a specification names, on a padded grid."""

from design_space.explorer.padded import Grid
from design_space.optimal.langevin import predictor_corrector
from design_space.optimal.step_variance import optimal_variance
from design_space.sampling.flows import Churn
from design_space.sampling.kinds import STEPPERS
from design_space.sampling.steppers import AbstractStepper
from design_space.targets.base import AbstractTarget

_CHURN = 40.0  # the default of a specification


def named_sampler(kind: str, target: AbstractTarget, grid: Grid) -> AbstractStepper:
    """A sampler with the numbers that a specification has by default.

    Args:
      kind: of the sampler.
      target: the data law, for samplers whose noise is computed from it.
      grid: the schedule.
    """
    match kind:
        case "optimal-variance":
            return optimal_variance(target, grid.falling())
        case "predictor-corrector":
            return predictor_corrector(target, grid.falling())
        case "churn":  # which divides by the number of steps of its schedule
            return Churn(_CHURN * grid.falling().steps / grid.steps)
    return STEPPERS[kind]()

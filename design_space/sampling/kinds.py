"""Every sampler by its kind."""

from design_space.sampling.flows import Churn, FlowEuler, FlowHeun, FlowMidpoint
from design_space.sampling.steppers import (
    AbstractStepper,
    Ancestral,
    EulerMaruyama,
    Frozen,
    OptimalVariance,
    PredictorCorrector,
)

STEPPERS: dict[str, type[AbstractStepper]] = {
    stepper.kind: stepper
    for stepper in (
        Frozen,
        EulerMaruyama,
        Ancestral,
        OptimalVariance,
        FlowEuler,
        FlowHeun,
        FlowMidpoint,
        Churn,
        PredictorCorrector,
    )
}
"""Kind, as a specification names it -> the class of the sampler."""

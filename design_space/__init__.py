"""design_space: error budgets of diffusion-model designs, exact or with an error bar.

Names are handed on lazily (PEP 562), so that importing the package costs nothing until a name is
used and never changes JAX's global state.
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see of the lazy names
    from design_space import weightings as weightings
    from design_space.errors.metrics import Metrics as Metrics
    from design_space.errors.metrics import sampler_metrics as sampler_metrics
    from design_space.errors.particles import marginal_kl_by_particles as marginal_kl_by_particles
    from design_space.errors.realism import realism as realism
    from design_space.errors.realism_record import Realism as Realism
    from design_space.errors.training import population_loss as population_loss
    from design_space.evaluate import Evaluation as Evaluation
    from design_space.evaluate import evaluate as evaluate
    from design_space.numerics.estimate import Estimate as Estimate
    from design_space.optimal.langevin import predictor_corrector as predictor_corrector
    from design_space.optimal.marginal import MarginalOptimum as MarginalOptimum
    from design_space.optimal.marginal import marginal_optimal as marginal_optimal
    from design_space.optimal.marginal import marginal_optimum as marginal_optimum
    from design_space.optimal.path import path_optimal as path_optimal
    from design_space.optimal.score_optimal import score_optimal as score_optimal
    from design_space.optimal.step_variance import optimal_variance as optimal_variance
    from design_space.optimal.tangent import tangent as tangent
    from design_space.pipeline import evaluate_specification as evaluate_specification
    from design_space.pipeline import evaluate_training as evaluate_training
    from design_space.pipeline import training_data as training_data
    from design_space.sampling.flows import Churn as Churn
    from design_space.sampling.flows import FlowEuler as FlowEuler
    from design_space.sampling.flows import FlowHeun as FlowHeun
    from design_space.sampling.flows import FlowMidpoint as FlowMidpoint
    from design_space.sampling.simulate import simulate as simulate
    from design_space.sampling.steppers import AbstractStepper as AbstractStepper
    from design_space.sampling.steppers import Ancestral as Ancestral
    from design_space.sampling.steppers import EulerMaruyama as EulerMaruyama
    from design_space.sampling.steppers import Frozen as Frozen
    from design_space.sampling.steppers import OptimalVariance as OptimalVariance
    from design_space.sampling.steppers import PredictorCorrector as PredictorCorrector
    from design_space.schedules.edm_table import iddpm as iddpm
    from design_space.schedules.edm_table import vp as vp
    from design_space.schedules.named import edm as edm
    from design_space.schedules.named import schedule as schedule
    from design_space.schedules.named import song as song
    from design_space.schedules.published import align_your_steps as align_your_steps
    from design_space.schedules.published import beta_quantiles as beta_quantiles
    from design_space.schedules.schedule import Schedule as Schedule
    from design_space.scores.affine import AffineScore as AffineScore
    from design_space.scores.exact import exact_score as exact_score
    from design_space.scores.function import function_score as function_score
    from design_space.scores.function import host_score as host_score
    from design_space.scores.guided import GuidedScore as GuidedScore
    from design_space.scores.guided import classifier_guided as classifier_guided
    from design_space.scores.guided import guided_exact as guided_exact
    from design_space.scores.linear import per_level_affine as per_level_affine
    from design_space.scores.linear import random_features as random_features
    from design_space.scores.linear import shared_affine as shared_affine
    from design_space.scores.perceptron import perceptron as perceptron
    from design_space.scores.perturbed import scaled_score as scaled_score
    from design_space.scores.perturbed import shifted_score as shifted_score
    from design_space.scores.preconditioned import preconditioned as preconditioned
    from design_space.scores.relu_network import relu_network as relu_network
    from design_space.scores.two_layer import two_layer as two_layer
    from design_space.specification import Specification as Specification
    from design_space.sweeps.reading import read_sweep as read_sweep
    from design_space.sweeps.reading import table_digest as table_digest
    from design_space.sweeps.run import sweep as sweep
    from design_space.targets.empirical import Empirical as Empirical
    from design_space.targets.gaussian import Gaussian as Gaussian
    from design_space.targets.labeled import LabeledMixture as LabeledMixture
    from design_space.targets.mixture import GaussianMixture as GaussianMixture
    from design_space.trained_evaluation import TrainedEvaluation as TrainedEvaluation
    from design_space.training.losses import DenoisingLoss as DenoisingLoss
    from design_space.training.losses import Minibatches as Minibatches
    from design_space.training.losses import draw_batches as draw_batches
    from design_space.training.objective import denoising_data as denoising_data
    from design_space.training.objective import empirical_loss as empirical_loss
    from design_space.training.perceptual import self_perceptual as self_perceptual
    from design_space.training.population import population_solvable as population_solvable
    from design_space.training.solvable import solvable as solvable
    from design_space.training.train import train as train
    from design_space.training.train import train_ensemble as train_ensemble

_HOMES = {
    "AbstractStepper": "design_space.sampling.steppers",
    "AffineScore": "design_space.scores.affine",
    "Ancestral": "design_space.sampling.steppers",
    "Churn": "design_space.sampling.flows",
    "DenoisingLoss": "design_space.training.losses",
    "Empirical": "design_space.targets.empirical",
    "Estimate": "design_space.numerics.estimate",
    "EulerMaruyama": "design_space.sampling.steppers",
    "Evaluation": "design_space.evaluate",
    "FlowEuler": "design_space.sampling.flows",
    "FlowHeun": "design_space.sampling.flows",
    "FlowMidpoint": "design_space.sampling.flows",
    "Frozen": "design_space.sampling.steppers",
    "Gaussian": "design_space.targets.gaussian",
    "GaussianMixture": "design_space.targets.mixture",
    "GuidedScore": "design_space.scores.guided",
    "LabeledMixture": "design_space.targets.labeled",
    "MarginalOptimum": "design_space.optimal.marginal",
    "Metrics": "design_space.errors.metrics",
    "Minibatches": "design_space.training.losses",
    "OptimalVariance": "design_space.sampling.steppers",
    "PredictorCorrector": "design_space.sampling.steppers",
    "Realism": "design_space.errors.realism_record",
    "Schedule": "design_space.schedules.schedule",
    "Specification": "design_space.specification",
    "TrainedEvaluation": "design_space.trained_evaluation",
    "align_your_steps": "design_space.schedules.published",
    "beta_quantiles": "design_space.schedules.published",
    "classifier_guided": "design_space.scores.guided",
    "denoising_data": "design_space.training.objective",
    "draw_batches": "design_space.training.losses",
    "edm": "design_space.schedules.named",
    "empirical_loss": "design_space.training.objective",
    "evaluate": "design_space.evaluate",
    "evaluate_specification": "design_space.pipeline",
    "evaluate_training": "design_space.pipeline",
    "exact_score": "design_space.scores.exact",
    "function_score": "design_space.scores.function",
    "guided_exact": "design_space.scores.guided",
    "host_score": "design_space.scores.function",
    "iddpm": "design_space.schedules.edm_table",
    "marginal_kl_by_particles": "design_space.errors.particles",
    "marginal_optimal": "design_space.optimal.marginal",
    "marginal_optimum": "design_space.optimal.marginal",
    "optimal_variance": "design_space.optimal.step_variance",
    "path_optimal": "design_space.optimal.path",
    "per_level_affine": "design_space.scores.linear",
    "perceptron": "design_space.scores.perceptron",
    "population_loss": "design_space.errors.training",
    "population_solvable": "design_space.training.population",
    "preconditioned": "design_space.scores.preconditioned",
    "predictor_corrector": "design_space.optimal.langevin",
    "random_features": "design_space.scores.linear",
    "read_sweep": "design_space.sweeps.reading",
    "realism": "design_space.errors.realism",
    "relu_network": "design_space.scores.relu_network",
    "sampler_metrics": "design_space.errors.metrics",
    "scaled_score": "design_space.scores.perturbed",
    "schedule": "design_space.schedules.named",
    "score_optimal": "design_space.optimal.score_optimal",
    "self_perceptual": "design_space.training.perceptual",
    "shared_affine": "design_space.scores.linear",
    "shifted_score": "design_space.scores.perturbed",
    "simulate": "design_space.sampling.simulate",
    "solvable": "design_space.training.solvable",
    "song": "design_space.schedules.named",
    "sweep": "design_space.sweeps.run",
    "table_digest": "design_space.sweeps.reading",
    "tangent": "design_space.optimal.tangent",
    "train": "design_space.training.train",
    "train_ensemble": "design_space.training.train",
    "training_data": "design_space.pipeline",
    "two_layer": "design_space.scores.two_layer",
    "vp": "design_space.schedules.edm_table",
    "weightings": "design_space.weightings",
}


__all__ = [
    "AbstractStepper",
    "AffineScore",
    "Ancestral",
    "Churn",
    "DenoisingLoss",
    "Empirical",
    "Estimate",
    "EulerMaruyama",
    "Evaluation",
    "FlowEuler",
    "FlowHeun",
    "FlowMidpoint",
    "Frozen",
    "Gaussian",
    "GaussianMixture",
    "GuidedScore",
    "LabeledMixture",
    "MarginalOptimum",
    "Metrics",
    "Minibatches",
    "OptimalVariance",
    "PredictorCorrector",
    "Realism",
    "Schedule",
    "Specification",
    "TrainedEvaluation",
    "align_your_steps",
    "beta_quantiles",
    "classifier_guided",
    "denoising_data",
    "draw_batches",
    "edm",
    "empirical_loss",
    "evaluate",
    "evaluate_specification",
    "evaluate_training",
    "exact_score",
    "function_score",
    "guided_exact",
    "host_score",
    "iddpm",
    "marginal_kl_by_particles",
    "marginal_optimal",
    "marginal_optimum",
    "optimal_variance",
    "path_optimal",
    "per_level_affine",
    "perceptron",
    "population_loss",
    "population_solvable",
    "preconditioned",
    "predictor_corrector",
    "random_features",
    "read_sweep",
    "realism",
    "relu_network",
    "sampler_metrics",
    "scaled_score",
    "schedule",
    "score_optimal",
    "self_perceptual",
    "shared_affine",
    "shifted_score",
    "simulate",
    "solvable",
    "song",
    "sweep",
    "table_digest",
    "tangent",
    "train",
    "train_ensemble",
    "training_data",
    "two_layer",
    "vp",
    "weightings",
]


class _Package(types.ModuleType):
    """The package, on which the import of the submodule `evaluate` does not hide the function."""

    @property
    def evaluate(self) -> Any:
        return importlib.import_module("design_space.evaluate").evaluate

    @evaluate.setter
    def evaluate(self, module: types.ModuleType) -> None:
        """Python binds a submodule to its package when it is imported; the name is taken."""


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'design_space' has no attribute {name!r}")
    module = importlib.import_module(_HOMES[name])
    return module if name == "weightings" else getattr(module, name)


def __dir__() -> list[str]:
    return list(__all__)

"""design_space: error budgets of diffusion-model designs, exact or with an error bar.

Names are handed on lazily (PEP 562), so that importing the package costs nothing until a name is
used and never changes JAX's global state.
"""

import importlib
import sys
import types
from typing import Any

_HOMES = {
    "AffineScore": "design_space.scores.affine",
    "Empirical": "design_space.targets.empirical",
    "Estimate": "design_space.numerics.estimate",
    "Evaluation": "design_space.evaluate",
    "Gaussian": "design_space.targets.gaussian",
    "GaussianMixture": "design_space.targets.mixture",
    "Schedule": "design_space.schedules.schedule",
    "edm": "design_space.schedules.named",
    "evaluate": "design_space.evaluate",
    "exact_score": "design_space.scores.exact",
    "function_score": "design_space.scores.function",
    "host_score": "design_space.scores.function",
    "marginal_kl_by_particles": "design_space.errors.particles",
    "path_optimal": "design_space.optimal.path",
    "scaled_score": "design_space.scores.perturbed",
    "schedule": "design_space.schedules.named",
    "shifted_score": "design_space.scores.perturbed",
    "simulate": "design_space.sampling.simulate",
    "song": "design_space.schedules.named",
    "weightings": "design_space.weightings",
}

__all__ = sorted(_HOMES)


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
    return __all__

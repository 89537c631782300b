"""Designs on which statements are checked: as plain numbers, and measured, many at once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array, Float
from design_space.errors.budget import ErrorBudget, error_budget
from design_space.schedules.schedule import Schedule
from design_space.schedules.variance import Power
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.integrals import mixture_integrals
from design_space.targets.mixture import GaussianMixture


@dataclass(frozen=True)
class Design:
    """A design as plain numbers: a mixture of Gaussians with diagonal covariances, a grid of noise
    levels with sigma_bar_t = t^exponent, and the exact score times a factor.

    Attributes:
      weights: of the components, shape [components]; one component is a Gaussian.
      means: shape [components, dim].
      variances: shape [components, dim], at least 0.
      sigmas: noise levels in the sampler's order, descending, shape [steps + 1].
      exponent: of the variance schedule, above 0.
      factor: the score is this times the exact one.
      name: how the design is called in tables.
    """

    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray
    sigmas: np.ndarray
    exponent: float = 1.0
    factor: float = 1.0
    name: str = ""

    @staticmethod
    def gaussian(mean: Any, variances: Any, sigmas: Any, **rest: Any) -> "Design":
        """A design on N(mean, diag(variances))."""
        means, spread = np.atleast_2d(mean), np.atleast_2d(variances)
        return Design(np.ones(1), means * 1.0, spread * 1.0, np.asarray(sigmas), **rest)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of components, dimensions and steps: what is batched has the same."""
        return (*self.means.shape, len(self.sigmas) - 1)

    def moved(self, **changes: Any) -> "Design":
        """The same design with some fields replaced."""
        return replace(self, **changes)

    def summary(self) -> str:
        """The design in one line, for tables."""

        def listed(values: np.ndarray) -> str:
            return ", ".join(f"{x:.4g}" for x in values.ravel())

        words = [f"mean {listed(self.means)}", f"variance {listed(self.variances)}"]
        if len(self.weights) > 1:
            words.insert(0, f"weights {listed(self.weights)}")
        words.append(f"σ {listed(self.sigmas)}")
        if self.exponent != 1:
            words.append(f"σ̄ = t^{self.exponent:.4g}")
        if self.factor != 1:
            words.append(f"score × {self.factor:.4g}")
        return "; ".join(words)

    def specification(self) -> dict[str, dict[str, Any]]:
        """The design as the sections of a specification file."""
        parts, own = np.unique(np.hstack([self.means, self.variances]), axis=0, return_inverse=True)
        mean, spread = np.split(parts, 2, axis=1)
        weights = np.bincount(own.ravel(), self.weights)
        target: dict[str, Any] = {"kind": "gaussian", "mean": mean[0].tolist()}
        target["variances"] = spread[0].tolist()
        if len(weights) > 1:
            target = {"kind": "mixture", "weights": weights.tolist(), "means": mean.tolist()}
            target["covariances"] = [np.diag(row).tolist() for row in spread]
        sections: dict[str, dict[str, Any]] = {"target": target}
        sections["schedule"] = {"kind": "custom", "sigmas": self.sigmas.tolist()}
        if self.exponent != 1:
            sections["schedule"]["exponent"] = self.exponent
        if self.factor != 1:
            sections["score"] = {"kind": "scaled", "factor": self.factor}
        return sections


def toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """A design's sections as the text of a specification file.

    Args:
      sections: section name -> its keys, with strings, numbers and lists as values.
    """
    lines = []
    for name, keys in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


class Case(eqx.Module):
    """A design and what was measured of it.

    Attributes:
      target: the data law, a Gaussian with diagonal covariance or a mixture.
      schedule: the noise schedule, of N steps.
      factor: the score is this times the exact one.
      errors: the error budget.
      information: I(v_j) at the grid points in the sampler's order, [N + 1].
      mmse: mmse(v_j) there, [N + 1].
      mismatches: E|s_j - L_j|^2 = (factor - 1)^2 I(v_j), [N].
    """

    target: AbstractTarget
    schedule: Schedule
    factor: Float[Array, ""]
    errors: ErrorBudget
    information: Float[Array, " nodes"]
    mmse: Float[Array, " nodes"]
    mismatches: Float[Array, " steps"]

    @property
    def variances(self) -> Float[Array, " nodes"]:
        """v_j in the sampler's order, [N + 1]."""
        return self.schedule.backward_variances

    @property
    def variance_steps(self) -> Float[Array, " steps"]:
        """h_j, [N]."""
        return self.schedule.backward_variance_steps


def _case(
    target: AbstractTarget, schedule: Schedule, factor: Array, information: Array, mmse: Array
) -> Case:
    score = scaled_score(exact_score(target), factor)
    errors = error_budget(target, schedule, score, samples=64)
    mismatches = (factor - 1) ** 2 * information[:-1]
    return Case(target, schedule, factor, errors, information, mmse, mismatches)


@eqx.filter_jit
def _gaussian_cases(
    means: Array, variances: Array, sigmas: Array, exponents: Array, factors: Array
) -> Case:
    def one(mean: Array, spread: Array, levels: Array, exponent: Array, factor: Array) -> Case:
        target = Gaussian.diagonal(mean, spread)
        schedule = Schedule.from_sigmas(levels, Power(exponent))
        v = schedule.backward_variances
        information = jax.vmap(lambda u: target.fisher_information(u).value)(v)
        mmse = jax.vmap(lambda u: target.mmse(u).value)(v)
        return _case(target, schedule, factor, information, mmse)

    return jax.vmap(one)(means, variances, sigmas, exponents, factors)


def _mixture_case(design: Design) -> Case:
    target = GaussianMixture.diagonal(design.weights, design.means, design.variances)
    schedule = Schedule.from_sigmas(design.sigmas, Power(design.exponent))
    found = mixture_integrals(target, schedule.backward_variances, None, 2)
    factor = jnp.asarray(design.factor)
    return _case(target, schedule, factor, found.fisher_information.value, found.mmse.value)


def measured(designs: Sequence[Design]) -> Case:
    """Measures designs of one shape.

    Args:
      designs: with equal numbers of components, dimensions and steps; mixtures of more than one
        component need dimension one.

    Returns:
      A case whose every array has the designs along its first axis.
    """
    if len(designs[0].weights) == 1:
        stacked = [
            jnp.asarray(np.stack(values))
            for values in zip(
                *(
                    (d.means[0], d.variances[0], d.sigmas, np.float64(d.exponent), d.factor)
                    for d in designs
                ),
                strict=True,
            )
        ]
        return _gaussian_cases(*stacked)
    cases = [_mixture_case(design) for design in designs]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *cases)

"""Mixtures of Gaussians in any dimension."""

from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Key, Scalar, float64, is_concrete
from design_space.numerics.estimate import Estimate
from design_space.targets.base import AbstractTarget
from design_space.targets.components import Components
from design_space.targets.gaussian import diagonalize, standard_deviations
from design_space.targets.integrals import mixture_integrals
from design_space.targets.line import LineIntegrals


class AbstractMixture(AbstractTarget):
    """A law whose integrals come by reduction to a line or by Monte Carlo."""

    def _integrals(self, variance: Scalar, key: Key | None, samples: int) -> LineIntegrals:
        v = self.check_variance(variance)
        checks.count("samples", samples, least=2)
        many = mixture_integrals(self, v[None], key, samples)
        return jax.tree.map(lambda x: x[0], many, is_leaf=eqx.is_array)

    def entropy(self, variance: Scalar, *, key: Key | None = None, samples: int = 4096) -> Estimate:
        """By quadrature or Monte Carlo; see AbstractTarget.entropy."""
        return self._integrals(variance, key, samples).entropy

    def mmse(self, variance: Scalar, *, key: Key | None = None, samples: int = 4096) -> Estimate:
        """By quadrature or Monte Carlo; see AbstractTarget.mmse."""
        return self._integrals(variance, key, samples).mmse

    def fisher_information(
        self, variance: Scalar, *, key: Key | None = None, samples: int = 4096
    ) -> Estimate:
        """By quadrature or Monte Carlo; see AbstractTarget.fisher_information."""
        return self._integrals(variance, key, samples).fisher_information

    def fisher_information_slope(
        self, variance: Scalar, *, key: Key | None = None, samples: int = 4096
    ) -> Estimate:
        """By quadrature or Monte Carlo; see AbstractTarget.fisher_information_slope."""
        return self._integrals(variance, key, samples).fisher_information_slope


def _weights_and_means(weights: Any, means: Any) -> tuple[Array, Array]:
    """Checks weights [components] and means [components, dim] together."""
    weights = checks.probabilities("weights", weights)
    means = checks.nonempty("means", means, 2)
    checks.same_dimension("len(means)", len(means), "weights", len(weights))
    return float64(weights), float64(means)


@final
class GaussianMixture(AbstractMixture):
    """sum_k w_k N(m_k, S_k), in any dimension; the S_k may be singular.

    Args:
      weights: w, shape [components], non-negative, summing to one.
      means: m_k, shape [components, dim].
      covariances: S_k, shape [components, dim, dim], symmetric positive semidefinite.

    Attributes:
      parts: the components, with the S_k in their eigenbases.

    Raises:
      ValueError: if weights, means or covariances are not of this form.
    """

    kind: ClassVar[str] = "mixture"
    parts: Components

    def __init__(self, weights: Any, means: Any, covariances: Any):
        weights, means = _weights_and_means(weights, means)
        covariances = checks.numbers("covariances", covariances, 3)
        checks.same_dimension("len(covariances)", len(covariances), "weights", len(weights))
        pairs = [
            diagonalize(f"covariances[{k}]", covariances[k], means.shape[1])
            for k in range(len(covariances))
        ]
        variances = jnp.stack([eigenvalues for eigenvalues, _ in pairs])
        bases = None
        if any(basis is not None for _, basis in pairs):
            unit = jnp.eye(means.shape[1])
            bases = jnp.stack([unit if basis is None else basis for _, basis in pairs])
        self.parts = Components(jnp.log(weights), means, variances, bases)

    @classmethod
    def diagonal(cls, weights: Any, means: Any, variances: Any) -> "GaussianMixture":
        """Components N(m_k, diag(variances_k)).

        Args:
          weights: shape [components].
          means: shape [components, dim].
          variances: shape [components, dim], at least 0.

        Raises:
          ValueError: as for the class, or if a variance is negative.
        """
        weights, means = _weights_and_means(weights, means)
        variances = checks.numbers("variances", variances, 2)
        if is_concrete(variances) and np.any(variances < 0):
            raise checks.refusal("variances", variances, "at least 0", "check the signs")
        if variances.shape != means.shape:
            raise checks.refusal(
                "variances.shape", variances.shape, f"that of means, {means.shape}", "match them"
            )
        return cls.from_components(Components(jnp.log(weights), means, float64(variances)))

    @classmethod
    def isotropic(cls, weights: Any, means: Any, stds: Any) -> "GaussianMixture":
        """Components N(m_k, stds_k^2 I).

        Args:
          weights: shape [components].
          means: shape [components, dim].
          stds: shape [components] or a number, at least 0.

        Raises:
          ValueError: as for the class, or if a standard deviation is negative.
        """
        weights, means = _weights_and_means(weights, means)
        stds = standard_deviations("stds", stds)
        if jnp.ndim(stds) == 1:
            checks.same_dimension("len(stds)", len(stds), "weights", len(weights))
        variances = jnp.broadcast_to(float64(stds) ** 2, (len(weights),))
        each = jnp.broadcast_to(variances[:, None], means.shape)
        return cls.from_components(Components(jnp.log(weights), means, each))

    @classmethod
    def from_components(cls, parts: Components) -> "GaussianMixture":
        """The mixture of given components, which are not checked again."""
        self = object.__new__(cls)
        object.__setattr__(self, "parts", parts)
        return self

    def components(self) -> Components:
        """The components."""
        return self.parts

    @property
    def weights(self) -> Float[Array, " components"]:
        """w_k."""
        return jnp.exp(self.parts.log_weights)

"""The Gaussian data law N(m, S), in the eigenbasis of S."""

from typing import Any, ClassVar, final

import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import EPS, Array, Float, Key, Scalar, float64, is_concrete
from design_space.numerics.estimate import Estimate
from design_space.targets.base import AbstractTarget
from design_space.targets.components import Components


def diagonalize(field: str, matrix: Any, dim: int) -> tuple[Array, Array | None]:
    """Eigenvalues and eigenvectors of a covariance; None for the basis if it is diagonal.

    A traced matrix that is no covariance gives NaN eigenvalues.

    Raises:
      ValueError: if the matrix is not symmetric positive semidefinite of `dim` rows.
    """
    matrix = checks.covariance(field, matrix, dim)
    if is_concrete(matrix) and not np.any(matrix - np.diag(np.diag(matrix))):
        return float64(np.maximum(np.diag(matrix), 0.0)), None
    matrix = float64(matrix)
    eigenvalues, basis = jnp.linalg.eigh(matrix)
    scale = 1e-10 * jnp.max(jnp.abs(matrix))  # what `checks.covariance` takes for rounding
    fine = (eigenvalues[0] >= -scale) & jnp.all(jnp.abs(matrix - matrix.T) <= scale)
    return jnp.where(fine, jnp.maximum(eigenvalues, 0.0), jnp.nan), basis


def standard_deviations(field: str, std: Any) -> Any:
    """Checks that every standard deviation is at least zero."""
    std = checks.numbers(field, std)
    if is_concrete(std) and np.any(std < 0):
        raise checks.refusal(field, std, "at least 0", "give standard deviations, not signed")
    return std


@final
class Gaussian(AbstractTarget):
    """N(m, S) with S = B diag(l) B^T; eigenvalues may be zero, all of them for a Dirac.

    Args:
      mean: m, shape [dim].
      covariance: S, shape [dim, dim], symmetric positive semidefinite (data unit squared).

    Attributes:
      mean_vector: m, shape [dim].
      eigenvalues: l, shape [dim].
      basis: B, shape [dim, dim], or None where S is diagonal.

    Raises:
      ValueError: if mean or covariance is not of this form.
    """

    kind: ClassVar[str] = "gaussian"
    mean_vector: Float[Array, " dim"]
    eigenvalues: Float[Array, " dim"]
    basis: Float[Array, "dim dim"] | None = None

    def __init__(self, mean: Any, covariance: Any):
        mean = checks.nonempty("mean", mean, 1)
        self.mean_vector = float64(mean)
        self.eigenvalues, self.basis = diagonalize(
            "covariance", covariance, self.mean_vector.shape[0]
        )

    @classmethod
    def _of(cls, mean: Any, eigenvalues: Any) -> "Gaussian":
        """Bypasses the eigendecomposition for a diagonal covariance."""
        self = object.__new__(cls)
        object.__setattr__(self, "mean_vector", float64(mean))
        object.__setattr__(self, "eigenvalues", float64(eigenvalues))
        object.__setattr__(self, "basis", None)
        return self

    @classmethod
    def diagonal(cls, mean: Any, variances: Any) -> "Gaussian":
        """N(m, diag(variances)).

        Args:
          mean: shape [dim].
          variances: shape [dim], at least 0.

        Raises:
          ValueError: if the shapes differ or a variance is negative.
        """
        mean, variances = (
            checks.nonempty("mean", mean, 1),
            checks.numbers("variances", variances, 1),
        )
        checks.same_dimension("len(variances)", len(variances), "mean", len(mean))
        if is_concrete(variances) and np.any(variances < 0):
            raise checks.refusal("variances", variances, "at least 0", "check the signs")
        return cls._of(mean, variances)

    @classmethod
    def isotropic(cls, dim: int, std: Scalar, mean: Any = None) -> "Gaussian":
        """N(m, std^2 I).

        Args:
          dim: dimension, at least 1.
          std: standard deviation, at least 0.
          mean: shape [dim]; zero unless given.

        Raises:
          ValueError: if dim < 1, std < 0, or the mean has another dimension.
        """
        checks.count("dim", dim)
        checks.nonnegative("std", std)
        mean = np.zeros(dim) if mean is None else checks.numbers("mean", mean, 1)
        checks.same_dimension("len(mean)", len(mean), "dim", dim)
        return cls._of(mean, jnp.broadcast_to(float64(std) ** 2, (dim,)))

    @classmethod
    def dirac(cls, point: Any) -> "Gaussian":
        """All mass at one point, shape [dim]."""
        point = checks.nonempty("point", point, 1)
        return cls._of(point, np.zeros(len(point)))

    def components(self) -> Components:
        """The one component."""
        bases = None if self.basis is None else self.basis[None, :, :]
        return Components(jnp.zeros(1), self.mean_vector[None, :], self.eigenvalues[None, :], bases)

    def into_basis(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """Coordinates B^T x in the eigenbasis."""
        return x if self.basis is None else self.basis.T @ x

    def _sum(self, terms: Array, slopes: Array) -> Estimate:
        """The sum of terms f(l_i), each good to a few units in the last place where l_i is exact.

        An eigenvalue that was computed is off by up to a few EPS dim max l (backward stability of
        the symmetric eigenproblem), which moves its term by |f'(l_i)| times that.
        """
        error = 32 * EPS * jnp.sum(jnp.abs(terms))
        if self.basis is not None:
            wrong = 4 * EPS * self.dim * jnp.max(self.eigenvalues)
            error = error + wrong * jnp.sum(jnp.abs(slopes))
        return Estimate(jnp.sum(terms), error, "closed form")

    def entropy(self, variance: Scalar, *, key: Key | None = None, samples: int = 4096) -> Estimate:
        """(1/2) sum_i log(2 pi e (l_i + v)), in nats; see AbstractTarget.entropy."""
        v = self.check_variance(variance)
        total = self.eigenvalues + v
        return self._sum(0.5 * jnp.log(2 * jnp.pi * jnp.e * total), 0.5 / total)

    def mmse(self, variance: Scalar, *, key: Key | None = None, samples: int = 4096) -> Estimate:
        """sum_i l_i v / (l_i + v); see AbstractTarget.mmse."""
        v = self.check_variance(variance)
        ratio = v / (self.eigenvalues + v)
        return self._sum(self.eigenvalues * ratio, ratio**2)

    def fisher_information(
        self, variance: Scalar, *, key: Key | None = None, samples: int = 4096
    ) -> Estimate:
        """sum_i 1 / (l_i + v); see AbstractTarget.fisher_information."""
        v = self.check_variance(variance)
        each = 1 / (self.eigenvalues + v)
        return self._sum(each, each**2)

    def fisher_information_slope(
        self, variance: Scalar, *, key: Key | None = None, samples: int = 4096
    ) -> Estimate:
        """-sum_i 1 / (l_i + v)^2; see AbstractTarget.fisher_information_slope."""
        v = self.check_variance(variance)
        each = 1 / (self.eigenvalues + v)
        return self._sum(-(each**2), 2 * each**3)

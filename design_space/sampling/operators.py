"""Linear maps of the laws, held as diagonals where everything commutes, else as matrices."""

import abc
from typing import final

import equinox as eqx
import jax.numpy as jnp

from design_space.arrays import Array, Float


class AbstractOperators(eqx.Module):
    """How linear maps are held; an operator is an array of the shape that `diagonal` gives."""

    @abc.abstractmethod
    def diagonal(self, entries: Float[Array, " dim"]) -> Array:
        """The operator with the given diagonal."""

    @abc.abstractmethod
    def diagonal_of(self, operator: Array) -> Float[Array, " dim"]:
        """Its diagonal."""

    @abc.abstractmethod
    def product(self, left: Array, right: Array) -> Array:
        """The operator that applies `right` first."""

    @abc.abstractmethod
    def apply(self, operator: Array, vector: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """The operator applied to a vector."""

    @abc.abstractmethod
    def columns(self, operator: Array, weights: Float[Array, " dim"]) -> Array:
        """A diag(w)."""

    @abc.abstractmethod
    def symmetric(self, operator: Array) -> Array:
        """A + A^T."""

    @abc.abstractmethod
    def around(self, operator: Array, inner: Array) -> Array:
        """A B A^T for a symmetric B."""

    @abc.abstractmethod
    def rotated(self, matrix: Float[Array, "dim dim"]) -> Array:
        """A matrix of the data space as an operator in the eigenbasis."""


@final
class Diagonals(AbstractOperators):
    """AbstractOperators that are all diagonal: arrays of shape [dim]."""

    def diagonal(self, entries: Float[Array, " dim"]) -> Array:
        """See AbstractOperators."""
        return entries

    def diagonal_of(self, operator: Array) -> Float[Array, " dim"]:
        """See AbstractOperators."""
        return operator

    def product(self, left: Array, right: Array) -> Array:
        """See AbstractOperators."""
        return left * right

    def apply(self, operator: Array, vector: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """See AbstractOperators."""
        return operator * vector

    def columns(self, operator: Array, weights: Float[Array, " dim"]) -> Array:
        """See AbstractOperators."""
        return operator * weights

    def symmetric(self, operator: Array) -> Array:
        """See AbstractOperators."""
        return 2 * operator

    def around(self, operator: Array, inner: Array) -> Array:
        """See AbstractOperators."""
        return operator * operator * inner

    def rotated(self, matrix: Float[Array, "dim dim"]) -> Array:
        """The diagonal; the caller knows that there is nothing else."""
        return jnp.diagonal(matrix)


@final
class Matrices(AbstractOperators):
    """AbstractOperators as matrices [dim, dim].

    Attributes:
      basis: the eigenbasis of the data covariance, [dim, dim], None for the identity.
    """

    basis: Float[Array, "dim dim"] | None = None

    def diagonal(self, entries: Float[Array, " dim"]) -> Array:
        """See AbstractOperators."""
        return jnp.diag(entries)

    def diagonal_of(self, operator: Array) -> Float[Array, " dim"]:
        """See AbstractOperators."""
        return jnp.diagonal(operator)

    def product(self, left: Array, right: Array) -> Array:
        """See AbstractOperators."""
        return left @ right

    def apply(self, operator: Array, vector: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """See AbstractOperators."""
        return operator @ vector

    def columns(self, operator: Array, weights: Float[Array, " dim"]) -> Array:
        """See AbstractOperators."""
        return operator * weights[None, :]

    def symmetric(self, operator: Array) -> Array:
        """See AbstractOperators."""
        return operator + operator.T

    def around(self, operator: Array, inner: Array) -> Array:
        """See AbstractOperators."""
        found = operator @ inner @ operator.T
        return (found + found.T) / 2

    def rotated(self, matrix: Float[Array, "dim dim"]) -> Array:
        """See AbstractOperators."""
        return matrix if self.basis is None else self.basis.T @ matrix @ self.basis

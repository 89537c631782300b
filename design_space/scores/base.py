"""What every score function is: a map from a point and a noise level to a vector."""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.reduction import Reduction


class Deviation(eqx.Module):
    """An affine score seen from the exact score L of N(m, S): s(x) = L(x) + E (x - m) + e.

    Everything is in the eigenbasis of S.

    Attributes:
      slope: E, its diagonal [dim] if it commutes with S, else the matrix [dim, dim].
      intercept: e, shape [dim].
      size: where e is a difference, the size of what it is a difference of, which sets its
        rounding, shape [dim]; else zero.
    """

    slope: Float[Array, "..."]
    intercept: Float[Array, "..."]
    size: Float[Array, "..."]


class AbstractScore(eqx.Module):
    """A score model s(x, sigma), written for one point x of shape [dim]; batch it with jax.vmap.

    Two optional properties open exact ways: an affine score keeps Gaussian laws Gaussian
    (`deviation`), and a score that splits along a line leaves a one-dimensional problem (`split`).
    """

    kind: ClassVar[str]

    @abc.abstractmethod
    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """The score at x and noise level sigma (the standard deviation of the noise).

        Args:
          x: one point, shape [dim].
          sigma: noise level, above 0, in the unit of the data.

        Returns:
          s(x, sigma), shape [dim], in inverse data units.
        """

    def is_exact_for(self, target: AbstractTarget) -> bool:
        """Says whether this is known to be the exact score of `target`."""
        return False

    def deviation(self, target: Gaussian, sigma: Scalar) -> Deviation | None:
        """The score as an affine deviation from the exact score of a Gaussian; None if not affine.

        Args:
          target: the Gaussian data law.
          sigma: noise level.
        """
        return None

    def split(self, target: AbstractTarget, reduction: Reduction) -> "SplitScore | None":
        """The parts along and across a line, if the one does not depend on the other; else None.

        Args:
          target: the law that was reduced.
          reduction: its reduction to a line.
        """
        return None


def affine_deviation(
    target: Gaussian,
    sigma: Scalar,
    slope: Float[Array, "..."],
    intercept: Float[Array, " dim"],
) -> Deviation:
    """The deviation of A x + b: E = A + (S + v)^{-1}, e = A m + b, in the eigenbasis of S.

    Args:
      target: the Gaussian data law.
      sigma: noise level.
      slope: A, a number, its diagonal [dim] or the matrix [dim, dim].
      intercept: b, shape [dim].
    """
    exact, mean = 1 / (target.eigenvalues + sigma * sigma), target.mean_vector
    moved = slope @ mean if slope.ndim == 2 else slope * mean
    size = jnp.abs(moved) + jnp.abs(intercept)
    e = target.into_basis(moved + intercept)
    if target.dim == 1:  # on the line everything commutes
        return Deviation(slope.reshape(1) + exact, e, size)
    if slope.ndim == 0 or target.basis is None:  # a number is a number in any basis
        size = size if target.basis is None else jnp.broadcast_to(jnp.linalg.norm(size), e.shape)
        return Deviation(slope + (exact if slope.ndim < 2 else jnp.diag(exact)), e, size)
    size = jnp.broadcast_to(jnp.linalg.norm(size), e.shape)  # a rotation mixes the coordinates
    matrix = slope if slope.ndim == 2 else jnp.diag(slope)
    return Deviation(target.basis.T @ matrix @ target.basis + jnp.diag(exact), e, size)


def deviations(
    target: Gaussian, score: AbstractScore, sigmas: Float[Array, " levels"]
) -> Deviation | None:
    """The deviations of an affine score at many levels, stacked; None if the score is not affine.

    Call it outside jit: whether a score belongs to a target is seen by identity or equality, which
    a traced copy of either loses.

    Args:
      target: the Gaussian data law.
      score: the score.
      sigmas: noise levels, shape [levels].
    """
    parts = jax.tree.leaves(score, is_leaf=lambda part: isinstance(part, AbstractTarget))
    if not any(isinstance(part, AbstractTarget) for part in parts):
        return _deviations(target, score, sigmas)
    # it may be exact for its own target, which tracing it would hide
    if score.deviation(target, sigmas[0]) is None:
        return None
    return jax.vmap(lambda sigma: score.deviation(target, sigma))(sigmas)


@eqx.filter_jit
def _deviations(target: Gaussian, score: AbstractScore, sigmas: Array) -> Deviation | None:
    return jax.vmap(lambda sigma: score.deviation(target, sigma))(sigmas)


class SplitScore(eqx.Module):
    """A score that acts separately along a line and on the Gaussian complement.

    Attributes:
      line: score of the coordinate along the line (dimension one).
      complement: score of the coordinates across (dimension dim - 1), None if there are none.
      complement_target: the Gaussian law of the complement, None if there is none.
    """

    line: AbstractScore
    complement: AbstractScore | None
    complement_target: Gaussian | None

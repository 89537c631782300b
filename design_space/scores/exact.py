"""The exact score of a target."""

from typing import ClassVar, final

import equinox as eqx
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Scalar, is_concrete
from design_space.scores.base import AbstractScore, Deviation, SplitScore, affine_deviation
from design_space.targets.base import AbstractTarget
from design_space.targets.components import Components
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture
from design_space.targets.reduction import Reduction


def same_target(one: AbstractTarget, other: AbstractTarget) -> bool:
    """Says whether two laws are one object, or are known to have equal parameters."""
    if one is other:
        return True
    return is_concrete(one, other) and bool(eqx.tree_equal(one, other))


def line_target(reduction: Reduction) -> GaussianMixture:
    """The law along the line, as a mixture in one dimension."""
    line = reduction.line
    parts = Components(line.log_weights, line.centers[:, None], line.variances[:, None])
    return GaussianMixture.from_components(parts)


def complement_target(reduction: Reduction) -> Gaussian | None:
    """The Gaussian law across the line; None in one dimension."""
    d = reduction.complement_dim
    if d == 0:
        return None
    variances = jnp.broadcast_to(reduction.complement_variance, (d,))
    return Gaussian.diagonal(reduction.across(reduction.origin), variances)


@final
class ExactScore(AbstractScore):
    """s(x, sigma) = grad log p_{sigma^2}(x).

    Attributes:
      target: the data law.
    """

    kind: ClassVar[str] = "exact"
    target: AbstractTarget

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        return self.target.score(x, sigma * sigma)

    def is_exact_for(self, target: AbstractTarget) -> bool:
        """See AbstractScore."""
        return same_target(self.target, target)

    def deviation(self, target: Gaussian, sigma: Scalar) -> Deviation | None:
        """Zero for its own target; affine if its own target is another Gaussian."""
        zero = jnp.zeros(target.dim)
        if self.is_exact_for(target):
            return Deviation(zero, zero, zero)
        own = self.target
        if not isinstance(own, Gaussian):
            return None
        checks.same_dimension("score's dimension", own.dim, "the target", target.dim)
        inverse = 1 / (own.eigenvalues + sigma * sigma)
        if own.basis is None:
            return affine_deviation(target, sigma, -inverse, inverse * own.mean_vector)
        slope = -(own.basis * inverse[None, :]) @ own.basis.T
        return affine_deviation(target, sigma, slope, -slope @ own.mean_vector)

    def split(self, target: AbstractTarget, reduction: Reduction) -> SplitScore | None:
        """The exact scores along and across; see AbstractScore."""
        if not self.is_exact_for(target):
            return None
        across = complement_target(reduction)
        return SplitScore(
            ExactScore(line_target(reduction)),
            None if across is None else ExactScore(across),
            across,
        )


def exact_score(target: AbstractTarget) -> AbstractScore:
    """The exact score of a target: s(x, sigma) = grad log p_{sigma^2}(x).

    Args:
      target: the data law.

    Returns:
      A score, called as score(x [dim], sigma) -> [dim].
    """
    return ExactScore(target)

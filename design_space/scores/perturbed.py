"""Scores with a known error: scaled and shifted."""

from typing import Any, ClassVar, final

import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Scalar, float64
from design_space.scores.base import AbstractScore, Deviation, SplitScore
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.reduction import Reduction


@final
class ScaledScore(AbstractScore):
    """s(x, sigma) = factor * base(x, sigma).

    Attributes:
      base: the score that is scaled.
      factor: the factor, a number.
    """

    kind: ClassVar[str] = "scaled"
    base: AbstractScore
    factor: Float[Array, ""]

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        return self.factor * self.base(x, sigma)

    def deviation(self, target: Gaussian, sigma: Scalar) -> Deviation | None:
        """E -> c E - (c - 1)/(l + v), e -> c e; see AbstractScore."""
        base = self.base.deviation(target, sigma)
        if base is None:
            return None
        exact = (self.factor - 1) / (target.eigenvalues + sigma * sigma)
        if base.slope.ndim == 2:
            exact = jnp.diag(exact)
        return Deviation(
            self.factor * base.slope - exact,
            self.factor * base.intercept,
            jnp.abs(self.factor) * base.size,
        )

    def split(self, target: AbstractTarget, reduction: Reduction) -> SplitScore | None:
        """Scales both parts; see AbstractScore."""
        base = self.base.split(target, reduction)
        if base is None:
            return None
        across = None if base.complement is None else ScaledScore(base.complement, self.factor)
        return SplitScore(ScaledScore(base.line, self.factor), across, base.complement_target)


@final
class ShiftedScore(AbstractScore):
    """s(x, sigma) = base(x, sigma) + shift.

    Attributes:
      base: the score that is shifted.
      shift: the shift, shape [dim], in inverse data units.
    """

    kind: ClassVar[str] = "shifted"
    base: AbstractScore
    shift: Float[Array, " dim"]

    def _shift(self, dim: int) -> Array:
        """The shift, of the dimension asked for: a shorter one would broadcast unseen."""
        checks.same_dimension("len(shift)", self.shift.shape[0], "the data", dim)
        return self.shift

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore; raises ValueError if x has not the dimension of the shift."""
        return self.base(x, sigma) + self._shift(x.shape[0])

    def deviation(self, target: Gaussian, sigma: Scalar) -> Deviation | None:
        """E -> E, e -> e + shift; see AbstractScore."""
        base = self.base.deviation(target, sigma)
        if base is None:
            return None
        shift = self._shift(target.dim)
        return Deviation(base.slope, base.intercept + target.into_basis(shift), base.size)

    def split(self, target: AbstractTarget, reduction: Reduction) -> SplitScore | None:
        """Shifts both parts; see AbstractScore."""
        base = self.base.split(target, reduction)
        if base is None:
            return None
        shift = self._shift(target.dim)
        along = shift @ reduction.direction
        across = None
        if base.complement is not None:
            across = ShiftedScore(base.complement, reduction.across(shift))
        return SplitScore(ShiftedScore(base.line, along[None]), across, base.complement_target)


def scaled_score(score: AbstractScore, factor: Any) -> AbstractScore:
    """A score times a number: s = factor * score.

    Args:
      score: the score to scale.
      factor: a finite number.

    Raises:
      ValueError: if the factor is not a finite number.
    """
    return ScaledScore(score, float64(checks.finite("factor", factor)))


def shifted_score(score: AbstractScore, shift: Any) -> AbstractScore:
    """A score plus a constant vector: s = score + shift.

    Args:
      score: the score to shift.
      shift: shape [dim], in inverse data units.

    Raises:
      ValueError: if the shift is not a vector of finite numbers.
    """
    return ShiftedScore(score, float64(checks.numbers("shift", shift, 1)))

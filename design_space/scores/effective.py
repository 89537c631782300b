"""A score as a step of another mean sees it."""

from typing import ClassVar, final

import jax.numpy as jnp

from design_space.arrays import Array, Float, Scalar
from design_space.scores.base import AbstractScore, Deviation, SplitScore
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.reduction import Reduction


@final
class EffectiveScore(AbstractScore):
    """s'(x, sigma_j) = a_j x + b_j s(x, sigma_j): x + h_j s' is the mean of a step.

    Attributes:
      inner: the score s.
      sigmas: the levels sigma_j, shape [steps].
      stretches: a_j, in inverse data units squared, shape [steps].
      gains: b_j, shape [steps].
    """

    kind: ClassVar[str] = "effective"
    inner: AbstractScore
    sigmas: Float[Array, " steps"]
    stretches: Float[Array, " steps"]
    gains: Float[Array, " steps"]

    def _at(self, sigma: Scalar) -> tuple[Array, Array]:
        """The coefficients of the level nearest to sigma."""
        j = jnp.argmin(jnp.abs(self.sigmas / sigma - 1))
        return self.stretches[j], self.gains[j]

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        stretch, gain = self._at(sigma)
        return stretch * x + gain * self.inner(x, sigma)

    def deviation(self, target: Gaussian, sigma: Scalar) -> Deviation | None:
        """The slope b E + a + (1 - b)/(l + v), the intercept b e + a m; see AbstractScore."""
        found = self.inner.deviation(target, sigma)
        if found is None:
            return None
        stretch, gain = self._at(sigma)
        own = stretch + (1 - gain) / (target.eigenvalues + sigma * sigma)
        moved = stretch * target.into_basis(target.mean_vector)
        full = found.slope.ndim == 2
        return Deviation(
            gain * found.slope + (jnp.diag(own) if full else own),
            gain * found.intercept + moved,
            jnp.abs(gain) * found.size + jnp.abs(moved),
        )

    def split(self, target: AbstractTarget, reduction: Reduction) -> SplitScore | None:
        """The parts of the inner score, each seen alike; see AbstractScore."""
        found = self.inner.split(target, reduction)
        if found is None:
            return None
        across = None if found.complement is None else self._around(found.complement)
        return SplitScore(self._around(found.line), across, found.complement_target)

    def _around(self, inner: AbstractScore) -> "EffectiveScore":
        return EffectiveScore(inner, self.sigmas, self.stretches, self.gains)

"""Scores that are affine in x, with their own coefficients at each noise level."""

from typing import Any, ClassVar, final

import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Array, Float, Scalar, float64, is_concrete
from design_space.scores.base import AbstractScore, Deviation, affine_deviation
from design_space.targets.gaussian import Gaussian

_SAME_LEVEL = 1e-9  # relative distance at which two noise levels count as one


@final
class AffineScore(AbstractScore):
    """s(x, sigma_i) = A_i x + b_i at the noise levels sigma_i; NaN at any other level.

    Args:
      sigmas: the levels, shape [levels], above 0, in any order.
      slopes: A_i as numbers [levels], diagonals [levels, dim] or matrices [levels, dim, dim],
        in inverse data units squared.
      intercepts: b_i, shape [levels, dim], in inverse data units; zero unless given.

    Raises:
      ValueError: if the shapes disagree or a number is not finite.
    """

    kind: ClassVar[str] = "affine"
    sigmas: Float[Array, " levels"]
    slopes: Float[Array, " levels"] | Float[Array, "levels dim"] | Float[Array, "levels dim dim"]
    intercepts: Float[Array, "levels dim"] | None

    def __init__(self, sigmas: Any, slopes: Any, intercepts: Any = None):
        sigmas = checks.nonempty("sigmas", sigmas, 1)
        if is_concrete(sigmas) and np.any(sigmas <= 0):
            raise checks.refusal("sigmas", sigmas, "above 0", "leave out the level zero")
        if is_concrete(sigmas) and len(np.unique(sigmas)) < len(sigmas):
            raise checks.refusal("sigmas", sigmas, "distinct", "give each level once")
        slopes = checks.numbers("slopes", slopes, (1, 2, 3))
        checks.same_dimension("len(slopes)", len(slopes), "sigmas", len(sigmas))
        self.sigmas, self.slopes, self.intercepts = float64(sigmas), float64(slopes), None
        if self.slopes.ndim == 3:
            checks.same_dimension("slopes.shape[2]", slopes.shape[2], "rows", slopes.shape[1])
        if intercepts is not None:
            intercepts = checks.numbers("intercepts", intercepts, 2)
            checks.same_dimension("len(intercepts)", len(intercepts), "sigmas", len(sigmas))
            if self.slopes.ndim > 1:
                dim = slopes.shape[1]
                checks.same_dimension("intercepts.shape[1]", intercepts.shape[1], "slopes", dim)
            self.intercepts = float64(intercepts)

    def coefficients(self, sigma: Scalar, dim: int) -> tuple[Array, Array]:
        """A (diagonal [dim] or matrix [dim, dim]) and b [dim]; NaN at a foreign level."""
        for field in ("slopes", "intercepts"):
            given = getattr(self, field)
            if given is not None and given.ndim > 1:
                checks.same_dimension(f"{field}.shape[1]", given.shape[1], "the data", dim)
        distance = jnp.abs(self.sigmas / sigma - 1)
        i = jnp.argmin(distance)
        known = distance[i] < _SAME_LEVEL
        slope = jnp.where(known, self.slopes[i], jnp.nan)
        if slope.ndim == 0:
            slope = jnp.broadcast_to(slope, (dim,))
        intercept = jnp.zeros(dim) if self.intercepts is None else self.intercepts[i]
        return slope, intercept

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        slope, intercept = self.coefficients(sigma, x.shape[0])
        return (slope @ x if slope.ndim == 2 else slope * x) + intercept

    def deviation(self, target: Gaussian, sigma: Scalar) -> Deviation | None:
        """E = A + (S + v)^{-1}, e = A m + b, in the eigenbasis of S; see AbstractScore."""
        slope, intercept = self.coefficients(sigma, target.dim)
        slope = slope[0] if self.slopes.ndim == 1 else slope
        return affine_deviation(target, sigma, slope, intercept)

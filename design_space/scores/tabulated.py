"""Scores known on a table: another score, and a departure from it interpolated on the line."""

from typing import Any, ClassVar, final

import jax.numpy as jnp
import numpy as np
from scipy.interpolate import PchipInterpolator

from design_space import checks
from design_space.arrays import Array, Float, Scalar, float64
from design_space.scores.base import AbstractScore

_SAME_LEVEL = 1e-9  # relative distance at which two levels count as one


@final
class TabulatedScore(AbstractScore):
    """s(x, sigma_j) = base(x, sigma_j) - d_j(x)/sigma_j for points of one dimension.

    The deviation d_j of the predicted noise is given at nodes, and between them by monotone cubics
    (PCHIP): it has a continuous derivative and never overshoots, not even beside a jump. Beyond the
    nodes it is constant. At other levels the score is NaN.

    Attributes:
      base: the score that the table corrects.
      sigmas: the levels sigma_j, shape [levels].
      nodes: ascending in each row, shape [levels, nodes], in data units.
      values: d_j there, same shape.
      slopes: its derivatives there, same shape.
    """

    kind: ClassVar[str] = "tabulated"
    base: AbstractScore
    sigmas: Float[Array, " levels"]
    nodes: Float[Array, "levels nodes"]
    values: Float[Array, "levels nodes"]
    slopes: Float[Array, "levels nodes"]

    def __call__(self, x: Float[Array, " dim"], sigma: Scalar) -> Float[Array, " dim"]:
        """See AbstractScore."""
        checks.same_dimension("len(x)", x.shape[0], "the table", 1)
        sigma = jnp.asarray(sigma)
        distance = jnp.abs(self.sigmas / sigma - 1)
        j = jnp.argmin(distance)
        deviation = _hermite(self.nodes[j], self.values[j], self.slopes[j], x[0])
        deviation = jnp.where(distance[j] <= _SAME_LEVEL, deviation, jnp.nan)
        return self.base(x, sigma) - deviation[None] / sigma


def _hermite(nodes: Array, values: Array, slopes: Array, x: Array) -> Array:
    """The cubic of the cell of x; the value at the nearer end outside."""
    x = jnp.clip(x, nodes[0], nodes[-1])
    i = jnp.clip(jnp.searchsorted(nodes, x, side="right") - 1, 0, nodes.shape[0] - 2)
    width = nodes[i + 1] - nodes[i]
    t = (x - nodes[i]) / width
    left = (1 + 2 * t) * values[i] + t * width * slopes[i]
    right = (3 - 2 * t) * values[i + 1] - (1 - t) * width * slopes[i + 1]
    return (1 - t) ** 2 * left + t**2 * right


def tabulated_score(
    base: AbstractScore, sigmas: Any, nodes: Any, deviations: Any
) -> TabulatedScore:
    """A score from a table of what its predicted noise -sigma s departs from that of another.

    Args:
      base: the score to depart from.
      sigmas: noise levels, above 0, shape [levels].
      nodes: points, strictly ascending in each row, shape [levels, nodes], at least 2 of them.
      deviations: -sigma_j (s - base) at the nodes, same shape.

    Raises:
      ValueError: if a level is not above 0, nodes do not ascend, or shapes differ.
    """
    sigmas = np.asarray(checks.nonempty("sigmas", sigmas, 1))
    nodes = np.asarray(checks.nonempty("nodes", nodes, 2))
    values = np.asarray(checks.nonempty("deviations", deviations, 2))
    if np.any(sigmas <= 0):
        raise checks.refusal("sigmas", sigmas, "above 0", "leave the level without noise out")
    if nodes.shape != values.shape or nodes.shape[0] != len(sigmas) or nodes.shape[1] < 2:
        domain = f"{nodes.shape}, one row for each of {len(sigmas)} levels, at least 2 nodes"
        raise checks.refusal("deviations.shape", values.shape, domain, "make the shapes agree")
    if np.any(np.diff(nodes, axis=1) <= 0):
        raise checks.refusal("nodes", nodes, "strictly ascending in each row", "sort them")
    pairs = zip(nodes, values, strict=True)
    slopes = np.stack([PchipInterpolator(x, d)(x, 1) for x, d in pairs])
    return TabulatedScore(base, *(float64(a) for a in (sigmas, nodes, values, slopes)))

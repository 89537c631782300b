"""Exact reduction of a mixture to one dimension plus an independent Gaussian complement."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array, Float, is_concrete
from design_space.targets.components import Components
from design_space.targets.line import Line

LARGEST_LINE = 32
"""Components up to which a sum over a whole schedule is done by quadrature; beyond, sampled."""

_ROUNDING = 1e-12  # relative distance from a common line or a common variance taken as rounding


class Reduction(eqx.Module):
    """X = origin + u A + s Z: a Line law A along the unit vector u, N(0, s^2) across it.

    Attributes:
      line: the law along u, with coordinate u^T (x - origin).
      complement_variance: s^2, the variance in each of the `complement_dim` directions across.
      direction: u, shape [dim].
      origin: a point on the line, shape [dim], orthogonal to u.
      complement_dim: dim - 1.
    """

    line: Line
    complement_variance: Float[Array, ""]
    direction: Float[Array, " dim"]
    origin: Float[Array, " dim"]
    complement_dim: int = eqx.field(static=True)

    def across(self, vector: Float[Array, " dim"]) -> Float[Array, " complement_dim"]:
        """Coordinates, across the line, of a vector of the data space.

        The complement is round, so only lengths and the angle to `origin` matter: the first axis
        points along `origin` (anywhere across if the origin is zero), the second along what is left
        of the vector. Where one direction is all there is, its sign is that of `origin`.
        """
        rest = vector - (vector @ self.direction) * self.direction
        length = jnp.linalg.norm(self.origin)
        first = jnp.where(length > 0, self.origin @ rest / jnp.where(length > 0, length, 1.0), 0.0)
        left = jnp.where(
            length > 0,
            jnp.linalg.norm(rest - first / jnp.where(length > 0, length, 1.0) * self.origin),
            jnp.linalg.norm(rest),
        )
        axes = jnp.zeros(self.complement_dim)
        if self.complement_dim == 1:  # one direction is left: the sign is along the origin
            return axes.at[0].set(jnp.where(length > 0, first, left))
        return axes.at[0].set(first).at[1].set(left)


def _live(parts: Components) -> Components:
    """The components of positive weight, where that is known."""
    if not is_concrete(parts):
        return parts
    live = np.isfinite(np.asarray(parts.log_weights))
    if np.all(live):
        return parts
    return jax.tree.map(lambda leaf: leaf[live], parts)


def reduce_to_line(parts: Components) -> Reduction | None:
    """Reduces a mixture whose components share s^2 I and whose means lie on a line.

    A mixture in one dimension always reduces, whatever its variances.

    Args:
      parts: the components of the mixture.

    Returns:
      The reduction, or None if the mixture has none (or is traced, in more than one dimension).
    """
    parts, dim = _live(parts), parts.means.shape[1]
    if dim == 1:
        one, zero = jnp.ones(1), jnp.zeros(1)
        return Reduction(Line.of(parts), jnp.zeros(()), one, zero, 0)
    if not is_concrete(parts):
        return None
    variances, means = np.asarray(parts.variances), np.asarray(parts.means)
    shared = variances.flat[0]
    if np.ptp(variances) > _ROUNDING * shared:
        return None
    # At most `components` directions matter; the thin decomposition never forms a dim x dim matrix.
    center = means.mean(axis=0)
    _, singular, directions = np.linalg.svd(means - center, full_matrices=False)
    scale = float(np.max(np.abs(means), initial=0.0))
    if len(singular) > 1 and singular[1] > _ROUNDING * scale * np.sqrt(len(means)):
        return None
    u = directions[0] if singular[0] > 0 else np.eye(1, dim)[0]
    # Twice, since what the first projection leaves of a line through zero is rounding, not across.
    origin = center - (center @ u) * u
    origin = origin - (origin @ u) * u
    if np.linalg.norm(origin) <= 4 * EPS * scale:
        origin = np.zeros(dim)
    line = Line(
        parts.log_weights, jnp.asarray(means @ u), jnp.full(len(means), shared, dtype=jnp.float64)
    )
    return Reduction(line, jnp.asarray(shared), jnp.asarray(u), jnp.asarray(origin), dim - 1)


def by_quadrature(reduction: Reduction | None) -> bool:
    """Says whether sums over a schedule are done by quadrature for this law.

    A single noise level always is, if there is a reduction; hundreds of them are too dear when
    each has thousands of panels, as many data points in one dimension have.
    """
    return reduction is not None and reduction.line.centers.shape[0] <= LARGEST_LINE

"""Exact reduction of a mixture to two dimensions plus an independent Gaussian complement."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Float, is_concrete
from design_space.targets.components import Components

_ROUNDING = 1e-12  # relative distance from a common plane or a common variance taken as rounding


class PlaneReduction(eqx.Module):
    """X = origin + u_1 A_1 + u_2 A_2 + s Z: a mixture A in the plane, N(0, s^2) across it.

    Attributes:
      plane: the components of A, in two dimensions.
      complement_variance: s^2, the variance in each of the `complement_dim` directions across.
      axes: orthonormal u_1, u_2, shape [2, dim].
      origin: a point of the plane, shape [dim], orthogonal to both axes.
      complement_dim: dim - 2.
    """

    plane: Components
    complement_variance: Float[jax.Array, ""]
    axes: Float[jax.Array, "2 dim"]
    origin: Float[jax.Array, " dim"]
    complement_dim: int = eqx.field(static=True)

    def across(self, vector: Float[jax.Array, " dim"]) -> Float[jax.Array, " complement_dim"]:
        """Coordinates, across the plane, of a vector of the data space.

        The complement is round, so only lengths and the angle to `origin` matter: the first axis
        points along `origin` (anywhere across if the origin is zero), the second along what is left
        of the vector. Where one direction is all there is, its sign is that of `origin`.
        """
        rest = vector - (self.axes @ vector) @ self.axes
        length = jnp.linalg.norm(self.origin)
        unit = self.origin / jnp.where(length > 0, length, 1.0)
        first = unit @ rest
        left = jnp.linalg.norm(rest - first * unit)
        along = jnp.zeros(self.complement_dim)
        if self.complement_dim == 1:  # one direction is left: the sign is along the origin
            return along.at[0].set(jnp.where(length > 0, first, left))
        return along.at[0].set(first).at[1].set(left)


def reduce_to_plane(parts: Components) -> PlaneReduction | None:
    """Reduces a mixture in the plane, or one whose components share s^2 I and means lie on a plane.

    A mixture in two dimensions always reduces, whatever its covariances.

    Args:
      parts: the components of the mixture.

    Returns:
      The reduction; None if the mixture has none, is traced, or has one dimension.
    """
    dim = parts.means.shape[1]
    if dim < 2 or not is_concrete(parts):
        return None
    live = np.isfinite(np.asarray(parts.log_weights))
    parts = jax.tree.map(lambda leaf: leaf[live], parts)
    if dim == 2:
        return PlaneReduction(parts, jnp.zeros(()), jnp.eye(2), jnp.zeros(2), 0)
    variances, means = np.asarray(parts.variances), np.asarray(parts.means)
    shared = variances.flat[0]
    if np.ptp(variances) > _ROUNDING * shared:
        return None
    center = means.mean(axis=0)
    # Two rows of zeros, so that there are two axes however few means there are.
    spread = np.concatenate([means - center, np.zeros((2, dim))])
    _, singular, directions = np.linalg.svd(spread, full_matrices=False)
    scale = float(np.max(np.abs(means), initial=0.0))
    if singular[2:].max(initial=0.0) > _ROUNDING * scale * np.sqrt(len(means)):
        return None
    axes = directions[:2]
    # Twice, since what the first projection leaves of a plane through zero is rounding, not across.
    origin = center - (axes @ center) @ axes
    origin = origin - (axes @ origin) @ axes
    if np.linalg.norm(origin) <= 4 * EPS * scale:
        origin = np.zeros(dim)
    inside = jnp.asarray(means @ axes.T)
    plane = Components(parts.log_weights, inside, jnp.full(inside.shape, float(shared)))
    return PlaneReduction(
        plane, jnp.asarray(float(shared)), jnp.asarray(axes), jnp.asarray(origin), dim - 2
    )

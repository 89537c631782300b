"""The convex hull of a few points, in a flat of any dimension."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import nnls
from scipy.spatial import ConvexHull

_FLAT = 1e-9  # relative extent below which points have none
_FACETS = 4  # dimension up to which a hull is known by its facets, of which there may be many
_ROUNDING = 1e-12


def inside_hull(
    points: Float[np.ndarray, "points dim"], vertices: Float[np.ndarray, "vertices dim"]
) -> Bool[np.ndarray, " points"]:
    """Says which points lie in the convex hull of others, seen along the flat that holds it.

    Points beside the flat count as their projection on it: between two vertices of a plane lies the
    strip between both lines across.

    Args:
      points: shape [points, dim].
      vertices: whose hull it is, shape [vertices, dim].

    Returns:
      Shape [points]; nowhere True if all vertices are one point.
    """
    center = vertices.mean(axis=0)
    _, sizes, axes = np.linalg.svd(vertices - center, full_matrices=False)
    scale = float(np.max(np.abs(vertices), initial=0.0))
    rank = int(np.sum(sizes > _FLAT * scale))
    x, corners = (points - center) @ axes[:rank].T, (vertices - center) @ axes[:rank].T
    if rank == 0:
        return np.zeros(len(points), bool)
    if rank == 1:
        return (x[:, 0] >= np.min(corners)) & (x[:, 0] <= np.max(corners))
    if rank <= _FACETS:
        facets = ConvexHull(corners).equations
        return np.all(x @ facets[:, :-1].T + facets[:, -1] <= _ROUNDING * scale, axis=1)
    # x is a mean of the corners if some weights of at least 0 with sum 1 give it
    system = np.vstack([corners.T / sizes[0], np.ones(len(corners))])
    right = np.column_stack([x / sizes[0], np.ones(len(x))])
    return np.array([nnls(system, one)[1] < _FLAT for one in right], dtype=bool)

"""The map of a move in the plane: its values, its derivative and its inverse."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree

from design_space.arrays import EPS, Array, Float
from design_space.numerics.plane_grid import PlaneGrid, in_chunks
from design_space.sampling.moves import AbstractMove
from design_space.scores.base import AbstractScore

_ITERATIONS = 60
_NEAR = 3.0  # cells of the source that a target point may be from the image of the source


def determinants(slopes: Any) -> Any:
    """Determinants of 2 x 2 matrices, shape [..., 2, 2]."""
    return slopes[..., 0, 0] * slopes[..., 1, 1] - slopes[..., 0, 1] * slopes[..., 1, 0]


def _with_slope(score: AbstractScore, move: AbstractMove, x: Array) -> tuple[Array, Array]:
    def along(direction: Array) -> tuple[Array, Array]:
        return jax.jvp(lambda y: move.mean(score, y), (x,), (direction,))

    return jax.vmap(along, out_axes=(None, 1))(jnp.eye(2))


@eqx.filter_jit
def _image(score: AbstractScore, move: AbstractMove, x: Array) -> tuple[Array, Array]:
    return jax.vmap(lambda point: _with_slope(score, move, point))(x)


class Image(NamedTuple):
    """Points and what a map makes of them.

    Attributes:
      points: x, shape [points, 2].
      moved: m(x), shape [points, 2].
      slopes: Dm(x), shape [points, 2, 2].
    """

    points: np.ndarray
    moved: np.ndarray
    slopes: np.ndarray


def image(score: AbstractScore, move: AbstractMove, x: Float[np.ndarray, "points 2"]) -> Image:
    """The map of a move and its derivative at points.

    Args:
      score: the score.
      move: the move, of one step.
      x: the points, shape [points, 2].

    Raises:
      ValueError: if the score or its derivative is not finite there.
    """
    moved, slopes = in_chunks(lambda part: _image(score, move, part), (x,))
    if not (np.all(np.isfinite(moved)) and np.all(np.isfinite(slopes))):
        raise ValueError(
            f"score(x, {float(move.before) ** 0.5:.6g}) = NaN or infinite: it and its derivative "
            "must be finite wherever the sampler goes; check the score there, and that it knows "
            "every level of the schedule"
        )
    return Image(x, moved, slopes)


@eqx.filter_jit
def _solved(
    score: AbstractScore, move: AbstractMove, close: Array, y: Array, start: Array
) -> tuple[Array, Array, Array]:
    """X with m(x) = y, det Dm(x), and the distance left, by Newton's method with shorter steps."""

    def one(y: Array, start: Array) -> tuple[Array, Array, Array]:
        def at(x: Array) -> tuple[Array, Array, Array, Array]:
            moved, slope = _with_slope(score, move, x)
            rest = moved - y
            return x, rest, slope, jnp.sqrt(rest @ rest)

        def far(state: tuple[Any, Array, Array]) -> Array:
            (_, _, _, distance), _, count = state
            return (distance > close) & (count < _ITERATIONS)

        def improved(state: tuple[Any, Array, Array]) -> tuple[Any, Array, Array]:
            old, share, count = state
            new = at(old[0] - share * _quotient(old[2], old[1]))
            better = new[3] < old[3]
            kept = jax.tree.map(lambda a, b: jnp.where(better, a, b), new, old)
            return kept, jnp.where(better, jnp.minimum(1.0, 4 * share), share / 4), count + 1

        first = (at(start), jnp.ones(()), jnp.zeros((), jnp.int64))
        (x, _, slope, distance), _, _ = jax.lax.while_loop(far, improved, first)
        return x, determinants(slope), distance

    return jax.vmap(one)(y, start)


def _quotient(a: Array, b: Array) -> Array:
    """The solution x of a x = b for a 2 x 2 matrix."""
    x = jnp.stack([a[1, 1] * b[0] - a[0, 1] * b[1], a[0, 0] * b[1] - a[1, 0] * b[0]])
    return x / determinants(a)


class Inverse(NamedTuple):
    """The inverse of a map at those points of a grid that the image of its sources comes near.

    Attributes:
      where: which points of the grid, shape [found].
      points: x with m(x) = y, shape [found, 2].
      determinants: det Dm(x), shape [found].
      failed: the sources nearest to points at which Newton's method fails, which are left out.
    """

    where: np.ndarray
    points: np.ndarray
    determinants: np.ndarray
    failed: np.ndarray


def inverse(
    score: AbstractScore,
    move: AbstractMove,
    seen: Image,
    spacing: Float[np.ndarray, "points 2"],
    grid: PlaneGrid,
) -> Inverse:
    """Solves m(x) = y for the points y of a grid, from the nearest image of a source.

    Args:
      score: the score.
      move: the move, of one step.
      seen: the sources and their images.
      spacing: distance of neighboring sources along the axes, at each of them.
      grid: the points y.
    """
    y = grid.points()
    distance, nearest = (np.asarray(a) for a in KDTree(seen.moved).query(y))
    cell = np.sqrt(np.sum((seen.slopes * spacing[:, None, :]) ** 2, axis=(1, 2)))
    where = np.flatnonzero(distance < _NEAR * cell[nearest] + max(grid.spacing))
    close = 1e-10 * min(grid.spacing) + 64 * EPS * float(np.max(np.abs(seen.moved)))
    start = seen.points[nearest[where]]
    x, found, left = in_chunks(
        lambda *part: _solved(score, move, jnp.asarray(close), *part), (y[where], start)
    )
    good = left <= close
    return Inverse(where[good], x[good], found[good], nearest[where[~good]])

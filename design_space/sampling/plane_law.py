"""The law of a sampler in the plane, for any score: a density carried through the moves.

The density is a sum of patches, each on a rectangle of its own that shrinks with the noise. Where
clusters of the data are far apart, the exact responsibilities r_g of the groups of its components
part the density: each patch carries r_g q. A move y' = m(y) + c U takes a patch to the next by
whichever of two rules costs less:

- push forward by the map, q(x) / det Dm(x) at m(x), with the inverse of m by Newton's method and q
  by a spline; then convolve with the noise in frequencies, however narrow it is;
- where the noise is broad, the trapezoid rule in x: a sum of kernels around m(x). It needs no
  inverse, so the map may fold.

Values are good to about 1e-16 of the largest of a patch; what is below exp(-depth) is left out.
"""

from typing import NamedTuple

import jax
import numpy as np

from design_space.numerics.plane_grid import PlaneGrid, band, blurred, kernel_sum_on
from design_space.sampling.moves import AbstractMove
from design_space.sampling.plane_maps import Image, determinants, inverse
from design_space.sampling.plane_patches import (
    FINE,
    NO_BLUR,
    Patch,
    PlaneDensity,
    PlaneResolution,
    cropped,
    normal,
    windows,
)
from design_space.sampling.plane_sources import Source, Step, depths, rough, source
from design_space.scores.base import AbstractScore
from design_space.targets.components import Components

_ATTEMPTS = 8  # at a grid that resolves an image
_PULLED, _KERNEL = 1e-5, 1e-10  # seconds per point of an inverse, and per term of a kernel sum
_ROUGHER = 6.0  # an image that one grid does not resolve is taken to be so much dearer
_NOTHING = 1e-18  # share of the mass below which a window is left out


class _Task(NamedTuple):
    """One window's share of a move.

    Attributes:
      g: the window.
      sources: those of all patches that matter.
      kept: for each of them, the points that matter.
      low, high: corners of the rectangle that holds the image.
      limits: guess of its highest frequencies; None if the map folds.
      most: largest r_g q.
    """

    g: int
    sources: list[Source]
    kept: list[np.ndarray]
    low: np.ndarray
    high: np.ndarray
    limits: np.ndarray | None
    most: float

    @property
    def pairs(self) -> list[tuple[Source, np.ndarray]]:
        """The sources with their points that matter."""
        return list(zip(self.sources, self.kept, strict=True))

    @staticmethod
    def of(sources: list[Source], g: int, how: PlaneResolution) -> "_Task":
        """Looks at the image of each source: q / det at m(x)."""
        pushed = [s.pushed(g) for s in sources]
        top = max(float(np.max(p)) for p in pushed)
        deep = [depths(p, top) for p in pushed]
        kept = [np.flatnonzero(d < how.depth) for d in deep]
        live = [i for i in range(len(sources)) if kept[i].size]
        corners = [sources[i].seen.moved[kept[i]] for i in live]
        limits = [_pushed_limits(sources[i], deep[i], how.tolerance) for i in live]
        folded = any(np.any(determinants(sources[i].seen.slopes[kept[i]]) <= 0) for i in live)
        return _Task(
            g,
            [sources[i] for i in live],
            [kept[i] for i in live],
            np.min([np.min(c, axis=0) for c in corners], axis=0),
            np.max([np.max(c, axis=0) for c in corners], axis=0),
            None if folded else np.max(limits, axis=0),
            max(float(np.max(s.masses[:, g])) for s in sources),
        )


def _pushed_limits(source: Source, deep: np.ndarray, tolerance: float) -> np.ndarray:
    """Highest frequencies of the image: Dm^-T k, less where the density is small."""
    (a, b), (c, d) = np.moveaxis(source.seen.slopes, 0, -1)
    k, m = source.patch.limits
    along = np.stack([np.hypot(d * k, c * m), np.hypot(b * k, a * m)])
    share = np.sqrt(np.maximum(1 - deep / tolerance, 0.0))
    along = along * share / np.abs(a * d - b * c)
    return np.max(along, axis=1)


def _pulled(task: _Task, grid: PlaneGrid, step: Step) -> np.ndarray:
    """The push-forward of the window's share at the points of a grid."""
    pairs = task.pairs
    seen = Image(*(np.concatenate([s.seen[i][k] for s, k in pairs]) for i in range(3)))
    spacing = np.concatenate([s.spacing[k] for s, k in pairs])
    found = inverse(step.score, step.move, seen, spacing, grid)
    pushed = np.concatenate([s.pushed(task.g)[k] for s, k in pairs])
    if np.any(pushed[found.failed] > np.exp(-step.how.tolerance) * np.max(pushed)):
        raise ValueError(
            f"inverse of a step from sigma = {step.sigma:.6g}: Newton's method fails, the map may "
            "fold; more steps, or a sampler with noise, may help"
        )
    density = PlaneDensity(tuple(s.patch for s in task.sources))
    masses = density(found.points) * step.view(found.points)[:, task.g]
    values = np.zeros(grid.size[0] * grid.size[1])
    values[found.where] = masses / found.determinants
    return values.reshape(grid.size)


def _blurred(grid: PlaneGrid, values: np.ndarray, step: Step) -> Patch:
    """Adds the noise of a step."""
    how, spread = step.how, np.sqrt(2 * step.how.depth * np.diag(step.covariance))
    if not np.any(spread > 0):
        return cropped(grid, values, how)
    limits = band(grid, values, step.covariance, how.tolerance).limits
    out = how.grid(np.array(grid.origin) - spread, np.array(grid.end) + spread, limits)
    return cropped(out, blurred(grid, values, step.covariance, out), how)


def _wide(task: _Task, step: Step) -> Patch:
    """The sum of kernels around the images."""
    out = step.how.grid(*_wide_range(task, step))
    values = np.zeros(out.size)
    for each in task.sources:
        masses = each.masses[:, task.g] * each.weights
        kept = each.masses[:, task.g] > np.exp(-step.how.depth) * task.most
        values += kernel_sum_on(out, each.seen.moved[kept], masses[kept], step.variance)
    return cropped(out, values, step.how)


def _wide_range(task: _Task, step: Step) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners and highest frequencies of the result of a wide step."""
    how, variance = step.how, step.variance
    spread = (2 * how.depth * variance) ** 0.5
    free = 0.0 if task.limits is None else 1 / task.limits**2
    limits = 1 / np.sqrt(np.full(2, variance / (2 * how.tolerance)) + free)
    return task.low - spread, task.high + spread, limits


def _cost_of_wide(task: _Task, step: Step) -> float:
    if not all(each.broad for each in task.sources):
        return np.inf
    low, high, limits = _wide_range(task, step)
    out = np.prod((high - low) * limits * step.how.oversampling / np.pi + 8)
    return _KERNEL * float(out) * sum(kept.size for kept in task.kept)


def _cost_of_narrow(task: _Task, limits: np.ndarray, step: Step) -> float:
    cells = (task.high - task.low) * limits * step.how.oversampling / np.pi + 8
    return _PULLED * float(np.prod(cells))


def _carried(task: _Task, step: Step) -> Patch:
    """One window's share of a move, by the cheaper rule.

    The frequencies of the image are known when it has been seen: between far clusters it may have
    edges that only the noise softens, and then it is dearer than it looked.
    """
    how, limits, wide = step.how, task.limits, _cost_of_wide(task, step)
    for _ in range(_ATTEMPTS):
        if wide < (np.inf if limits is None else _cost_of_narrow(task, limits, step)):
            return _wide(task, step)
        if limits is None:
            break
        grid = how.grid(task.low, task.high, limits)
        values = _pulled(task, grid, step)
        heard = band(grid, values, NO_BLUR, how.tolerance)
        if np.all(heard.resolved):
            return _blurred(grid, values, step)
        limits = np.where(heard.resolved, np.maximum(limits, heard.limits), 1.6 * limits)
        wide /= _ROUGHER
    if limits is not None:
        raise ValueError(rough(step))
    raise ValueError(
        f"step from sigma = {float(step.move.before) ** 0.5:.6g}: its map folds, and it adds no "
        "round noise; the density then has no bound, use shorter steps"
    )


def _moved(density: PlaneDensity, step: Step) -> PlaneDensity:
    """The density after one move."""
    if step.move.evaluations == 0:
        return PlaneDensity(tuple(_blurred(p.grid, p.values, step) for p in density.patches))
    tops = _tops(density, step)
    found = [source(patch, np.where(tops > 0, tops, 1.0), step) for patch in density.patches]
    sources = [each for each in found if each is not None]
    shares = sum(each.weights @ each.masses for each in sources)
    tasks = [_Task.of(sources, int(g), step.how) for g in np.flatnonzero(shares > _NOTHING)]
    return PlaneDensity(tuple(_carried(task, step) for task in tasks))


def _tops(density: PlaneDensity, step: Step) -> np.ndarray:
    """The largest r_g q for each window g."""
    found = []
    for patch in density.patches:
        values = patch.values.ravel()
        some = np.flatnonzero(values > np.exp(-step.how.depth) * np.max(values))
        here = values[some, None] * step.view(patch.grid.points()[some])
        found.append(np.max(here, axis=0))
    return np.max(found, axis=0)


def _covariance(move: AbstractMove) -> np.ndarray:
    variance = np.asarray(move.variance)
    return variance if variance.ndim == 2 else float(variance) * np.eye(2)


def plane_law(
    score: AbstractScore,
    moves: tuple[AbstractMove, ...],
    start: float,
    parts: Components | None = None,
    how: PlaneResolution = FINE,
) -> PlaneDensity:
    """The density of a sampler's law in the plane, for any score.

    Args:
      score: a score of points in the plane, differentiable in JAX.
      moves: the moves of a step, their arrays with a leading axis of steps, from a stepper.
      start: v_0; the sampler starts from N(0, v_0 I).
      parts: components in the plane near whose clusters the law gathers, by which it is parted;
        None to carry it in one piece. The law is the same.
      how: the resolution.

    Returns:
      The density.

    Raises:
      ValueError: if a density needs more than 2^22 points, a map folds without noise to hide it, or
        the score is not finite.
    """
    density = normal(start, how)
    for j in range(moves[0].before.shape[0]):
        for every in moves:
            move = jax.tree.map(lambda a, j=j: a[j], every)
            view = windows(parts, move.before)
            density = _moved(density, Step(score, move, _covariance(move), view, how))
    return density

"""Realism and diversity of a sampler's law on the line, from its density."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array
from design_space.errors.line import line_errors
from design_space.errors.line_law import LineLaws, common_grid, line_log_density
from design_space.errors.line_metrics import line_metrics
from design_space.errors.marginal import square_root
from design_space.errors.realism_record import (
    ALPHA,
    ANGLES,
    Classifier,
    Realism,
    check_alpha,
    data_modes,
    effective_modes,
)
from design_space.numerics.cumulative import Cumulative
from design_space.numerics.estimate import Estimate
from design_space.numerics.grid import LEAST, Grid, interpolate
from design_space.numerics.level_sets import CLOSE, LevelSets, level_of_mass, root_near
from design_space.sampling.line_density import LineDensity, Resolution
from design_space.targets.line import Line

_FOLLOWED = 60.0  # densities below exp(-60) of their largest value have no turns that matter
_CURVE = ("curve_precision", "curve_recall", "f_8", "f_eighth")
_NOT_ASKED = "the curve was not asked for"
_STEP = 1e-3  # of a level, over which the change of a mass is measured


class _Sight(NamedTuple):
    """Both laws on one grid.

    Attributes:
      p, q: masses of the data law and of the sampler's.
      hull: the lowest and the highest center of the data.
    """

    p: Cumulative
    q: Cumulative
    hull: tuple[float, float]

    @property
    def grid(self) -> Grid:
        return self.p.grid

    def level_sets(self, values: np.ndarray) -> LevelSets:
        """Level sets of a function on the grid, where one of the laws has mass."""
        logs = np.maximum(self.p.log_density, self.q.log_density)
        return LevelSets.of(self.grid, values, logs > np.max(logs) - _FOLLOWED)


def _sight(line: Line, variance: Array, density: LineDensity, how: Resolution) -> _Sight:
    grid = common_grid(line, variance, density, how)
    x = grid.points()
    log_p = np.asarray(line_log_density(line, variance, jnp.asarray(x)))
    log_q = interpolate(density.grid, density.log_values, x)
    live = np.asarray(line.centers)[np.isfinite(np.asarray(line.log_weights))]
    hull = float(np.min(live)), float(np.max(live))
    return _Sight(Cumulative.of(grid, log_p), Cumulative.of(grid, log_q), hull)


def _valleys(sight: _Sight, alpha: float) -> dict[str, np.ndarray]:
    """What lies where data have almost nothing."""
    sets = sight.level_sets(sight.p.log_density)
    level = level_of_mass(sets, sight.p, alpha)
    at, both = np.array([level]), (sight.q, sight.p)
    (valley,), _ = sets.masses(at, both)
    (between,), (data_between,) = sets.masses(at, both, sight.hull)
    found = (valley, between, data_between, level)
    names = ("valley_mass", "between_mass", "data_between_mass", "log_threshold")
    return {name: np.asarray(each) for name, each in zip(names, found, strict=True)}


def _recall(sight: _Sight, alpha: float) -> tuple[np.ndarray, float]:
    """P({q > d}), and its change with a relative change of q."""
    sets = sight.level_sets(sight.q.log_density)
    level = level_of_mass(sets, sight.q, alpha * sight.q.total)
    missed = sets.masses(level + _STEP * np.arange(-1, 2), (sight.p,))[0]
    return np.asarray(sight.p.total - missed[1]), float(missed[2] - missed[0]) / (2 * _STEP)


def _curve(sight: _Sight) -> dict[str, np.ndarray]:
    """The curve of Sajjadi et al. and its two numbers.

    F_b(l) = (1 + b^2) a(l) / (1 + b^2 l) is largest where P(q > l p) = b^2 Q(q <= l p), since
    a'(l) is the former.
    """
    sets = sight.level_sets(sight.q.log_density - sight.p.log_density)
    both = (sight.p, sight.q)

    def parted(slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P(q > l p) and Q(q <= l p)."""
        under_p, under_q = sets.masses(np.log(slopes), both)
        return sight.p.total - under_p, under_q

    slopes = np.tan(ANGLES)
    above, under = parted(slopes)
    along = under + slopes * above

    def best(square: float) -> float:
        def excess(log_slope: float) -> float:
            above, under = parted(np.exp(np.array([log_slope])))
            return float(square * under[0] - above[0])

        near = float(np.log(slopes[np.argmax(along / (1 + square * slopes))]))
        top = np.exp(np.array([root_near(excess, near, 0.1)]))
        above, under = parted(top)
        return float((1 + square) * (under + top * above)[0] / (1 + square * top[0]))

    return {
        "curve_precision": along,
        "curve_recall": along / slopes,
        "f_8": np.asarray(best(64.0)),
        "f_eighth": np.asarray(best(1 / 64.0)),
    }


@eqx.filter_jit
def _class_sums(classifier: Classifier, variance: Array, x: Array, masses: Array) -> Array:
    """The sum of masses times p(c | x), block by block of points."""

    def block(args: tuple[Array, Array]) -> Array:
        points, weights = args
        return jnp.tensordot(
            weights, jnp.exp(jax.vmap(lambda y: classifier(y[None], variance))(points)), 1
        )

    parts = (x.reshape(-1, LEAST), masses.reshape(-1, LEAST))
    return jnp.sum(jax.lax.map(block, parts), axis=0)


def _numbers(
    sight: _Sight, variance: Array, alpha: float, classifier: Classifier | None, curve: bool
) -> tuple[dict[str, np.ndarray], float]:
    """All numbers of one resolution, and the change of the recall with a relative one of q."""
    recall, rate = _recall(sight, alpha)
    found = _valleys(sight, alpha) | {"recall": recall} | (_curve(sight) if curve else {})
    if classifier is not None:
        masses = jnp.exp(jnp.asarray(sight.q.log_density)) * sight.grid.spacing
        x = jnp.asarray(sight.grid.points())
        sums = _class_sums(classifier, variance, x, masses)
        found["class_probabilities"] = np.asarray(sums)
    return found, rate


def _estimates(
    line: Line,
    variance: Array,
    laws: LineLaws,
    alpha: float,
    classifier: Classifier | None,
    curve: bool,
) -> dict[str, Any]:
    """What both densities on one grid say, from two resolutions."""
    sights = [_sight(line, variance, density, how) for density, how in laws.each()]
    (coarse, _), (fine, rate) = (_numbers(s, variance, alpha, classifier, curve) for s in sights)
    grid, q = sights[-1].grid, sights[-1].q
    summing = 4 * EPS * grid.size**0.5
    # A relative change d of q moves masses under q by at most d. Mass d in the wrong place moves
    # the level below which alpha lies by about d / alpha.
    relative = abs(q.total - 1) + laws.rounding + summing
    sizes: dict[str, Any] = dict.fromkeys(fine, relative)
    level = float(fine["log_threshold"])
    sizes["log_threshold"] = 4 * CLOSE * (1 + abs(level)) + 4 * summing / alpha
    sizes["data_between_mass"] = summing
    sizes["recall"] = 2 * relative * (1 + 1 / alpha) * rate + summing
    sizes["curve_recall"] = np.minimum(1 / np.tan(ANGLES), 1.0) * relative + summing
    return {name: _estimate(fine[name], coarse[name], sizes[name]) for name in fine}


def _estimate(value: np.ndarray, other: np.ndarray, size: float | np.ndarray) -> Estimate:
    error = np.abs(value - other) + size
    return Estimate(jnp.asarray(value), jnp.asarray(error), "quadrature")


def line_realism(
    line: Line,
    variance: Array,
    laws: LineLaws,
    *,
    alpha: float = ALPHA,
    classifier: Classifier | None = None,
    curve: bool = True,
) -> Realism:
    """Realism and diversity of a sampler's law in one dimension.

    All are computed at two resolutions; the difference, the defect of the sampler's mass and
    rounding make the stated error. Edges of level sets are solved for, not read off a grid.

    Args:
      line: the data law.
      variance: v_N.
      laws: of the sampler, from `line_laws`.
      alpha: mass of the data in the region of low density, from 1e-9 to 1/2.
      classifier: (x, v) -> log p_v(c | x) for one point x of shape [1], for one class or all, for
        instance `log_posterior` of a labeled mixture; or None.
      curve: whether the curve and its two numbers are computed, a sixth of the time.

    Returns:
      The numbers, method "quadrature".

    Raises:
      ValueError: if alpha is out of range, or the data law has structure too fine for the extent of
        both.
    """
    alpha = check_alpha(alpha)
    own = {"class_probabilities": None} | dict.fromkeys(_CURVE, Estimate.unavailable(_NOT_ASKED))
    own |= _estimates(line, variance, laws, alpha, classifier, curve)
    along = line_metrics(line, variance, laws)
    errors = line_errors(line, variance, laws)
    spread = (line.variances + variance)[:, None]
    return Realism(
        **own,
        **data_modes(line.log_weights, line.centers[:, None], spread),
        mode_weights=along.mode_weights,
        mode_means=_column(along.mode_means),
        mode_variances=_column(along.mode_variances),
        effective_modes=effective_modes(along.mode_weights),
        kl=errors.marginal_kl,
        reverse_kl=errors.reverse_kl,
        w2=square_root(errors.w2_squared),
        alpha=alpha,
    )


def _column(estimate: Estimate) -> Estimate:
    return Estimate(estimate.value[:, None], estimate.error[:, None], estimate.method)

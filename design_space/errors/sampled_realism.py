"""Realism and diversity of a sampler's law from draws, with exact densities where there are any."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gammainccinv

from design_space.arrays import EPS, Array, Float, Key, named_key
from design_space.errors.realism_record import ANGLES, Classifier
from design_space.errors.sampled_metrics import log_densities
from design_space.numerics.estimate import Estimate
from design_space.numerics.hull import inside_hull
from design_space.numerics.statistics import Interval, interval_factor, mean_estimate, quantile
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian

LogDensity = Callable[[np.ndarray], np.ndarray]
"""Points, shape [points, dim] -> log q there, shape [points]."""

NO_DENSITY = "the density of this sampler's law is not known, only particles of it"

_RARE = 256.0  # draws of p in the region of low density, by which its threshold is known
_MOST = 1 << 20  # draws of p
_WORK = 1 << 30  # of numbers that their densities take
_FEWEST = 10.0  # draws in a region, or a mode, below which nothing is said of it
_SLOPES = np.exp(np.linspace(-12.0, 12.0, 961))  # among which the largest F is looked for


class Draws(NamedTuple):
    """Draws of both laws and what is known at them.

    Attributes:
      data: independent draws of p, shape [draws, dim].
      made: independent draws of q, shape [particles, dim].
      log_p: log p at both.
      log_q: log q at both, or None.
    """

    data: np.ndarray
    made: np.ndarray
    log_p: tuple[np.ndarray, np.ndarray]
    log_q: tuple[np.ndarray, np.ndarray] | None

    @staticmethod
    def of(
        target: AbstractTarget,
        variance: float,
        data: np.ndarray,
        made: np.ndarray,
        log_q: LogDensity | None,
    ) -> "Draws":
        """Looks both densities up."""
        known = None if log_q is None else (log_q(data), log_q(made))
        logs = tuple(log_densities(target, variance, each) for each in (data, made))
        return Draws(data, made, (logs[0], logs[1]), known)

    @property
    def log_ratios(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Log q/p at draws of p and at draws of q."""
        if self.log_q is None:
            return None
        at_data, at_made = (q - p for q, p in zip(self.log_q, self.log_p, strict=True))
        return at_data, at_made


def _share(inside: np.ndarray, off: float = 0.0) -> Estimate:
    """The probability of an event from draws; `off` is what else may be wrong with it.

    Where no draw is inside there may still be z^2 / n (Wilson's interval).
    """
    count, found = len(inside), float(np.mean(inside))
    factor = interval_factor(count)
    error = np.sqrt(found * (1 - found) * factor**2 / count + (factor**2 / count) ** 2 + off**2)
    return Estimate(jnp.asarray(found), jnp.asarray(error), "monte carlo")


def _share_below(logs: np.ndarray, level: Interval, within: np.ndarray) -> Estimate:
    """The probability that a density is below a level and a point within a set."""
    low, here, high = (
        float(np.mean((logs <= c) & within)) for c in (level.low, level.value, level.high)
    )
    return _share((logs <= level.value) & within, max(high - here, here - low))


class _Region(NamedTuple):
    """The region of low density of the data: its level, and what the data have of it."""

    level: Interval
    logs: np.ndarray
    points: np.ndarray


def _region(
    target: AbstractTarget, variance: float, alpha: float, key: Key, samples: int
) -> _Region | None:
    """The level below which p has mass alpha: by chi^2 for a Gaussian, else by many draws.

    None if too few of as many draws as are affordable lie there.
    """
    most = min(_MOST, _WORK // target.components().means.size)
    count = int(min(max(samples, _RARE / alpha), max(samples, most)))
    if count * alpha < _FEWEST:
        return None
    points = np.asarray(target.sample(key, count, variance))
    logs = log_densities(target, variance, points)
    if isinstance(target, Gaussian):
        spread = np.asarray(target.eigenvalues) + variance
        radius = 2 * gammainccinv(target.dim / 2, alpha)
        level = -0.5 * (radius + float(np.sum(np.log(2 * np.pi * spread))))
        return _Region(Interval(*(np.asarray(level),) * 3), logs, points)
    return _Region(quantile(logs, alpha), logs, points)


def _valleys(
    target: AbstractTarget, draws: Draws, region: _Region | None, alpha: float
) -> dict[str, Estimate]:
    names = ("valley_mass", "between_mass", "data_between_mass", "log_threshold")
    if region is None:
        reason = (
            f"alpha = {alpha:g}: too few draws of the data lie in its region; take a larger one"
        )
        return dict.fromkeys(names, Estimate.unavailable(reason))
    parts, level = target.components(), region.level
    live = np.asarray(parts.means)[np.isfinite(np.asarray(parts.log_weights))]

    def within(points: np.ndarray, logs: np.ndarray) -> np.ndarray:
        found = np.zeros(len(points), bool)
        rare = logs <= level.high
        found[rare] = inside_hull(points[rare], live)
        return found

    log_p = draws.log_p[1]
    ends = np.max(np.abs(np.array([level.low, level.high]) - level.value))
    threshold = Estimate(
        jnp.asarray(level.value),
        jnp.asarray(ends + 64 * EPS * (1 + abs(level.value))),
        "monte carlo" if ends > 0 else "closed form",
    )
    found = (
        _share_below(log_p, level, np.ones(len(log_p), bool)),
        _share_below(log_p, level, within(draws.made, log_p)),
        _share_below(region.logs, level, within(region.points, region.logs)),
        threshold,
    )
    return dict(zip(names, found, strict=True))


def _recall(draws: Draws, alpha: float) -> Estimate:
    """P({q > d}), with d an order statistic of q at its own draws."""
    if draws.log_q is None:
        return Estimate.unavailable(NO_DENSITY)
    at_data, at_made = draws.log_q
    missed = _share_below(at_data, quantile(at_made, alpha), np.ones(len(at_data), bool))
    return Estimate(1 - missed.value, missed.error, missed.method)


def _overlaps(draws: Draws, slopes: np.ndarray) -> Estimate | None:
    """The integral of min(l p, q): E_q min(l p/q, 1) where l > 1, else E_p min(l, q/p).

    Neither exceeds 1.
    """
    ratios = draws.log_ratios
    if ratios is None:
        return None
    values, errors = np.empty(len(slopes)), np.empty(len(slopes))
    for i, slope in enumerate(slopes):
        z = np.log(slope) - ratios[1] if slope > 1 else ratios[0] - np.log(slope)
        top = np.exp(np.minimum(z, 0.0)) * min(slope, 1.0)
        factor = interval_factor(len(top))
        values[i], errors[i] = np.mean(top), factor * np.std(top, ddof=1) / len(top) ** 0.5
        errors[i] = np.hypot(errors[i], min(slope, 1.0) * factor**2 / len(top))
    return Estimate(jnp.asarray(values), jnp.asarray(errors), "monte carlo")


def _curve(draws: Draws) -> dict[str, Estimate]:
    slopes = np.tan(ANGLES)
    along, wide = _overlaps(draws, slopes), _overlaps(draws, _SLOPES)
    if along is None or wide is None:
        names = ("curve_precision", "curve_recall", "f_8", "f_eighth")
        return dict.fromkeys(names, Estimate.unavailable(NO_DENSITY))

    def best(square: float) -> Estimate:
        size = (1 + square) / (1 + square * _SLOPES)
        value, error = np.asarray(wide.value) * size, np.asarray(wide.error) * size
        top = int(np.argmax(value))
        # the largest lies where the upper ends come up to the largest value, and between slopes
        near = value + error >= value[top]
        gap = np.log(_SLOPES[1] / _SLOPES[0]) / 4
        wrong = float(np.max((value + error)[near])) - float(value[top])
        return Estimate(
            jnp.asarray(value[top]), jnp.asarray(max(wrong, error[top]) + gap**2), "monte carlo"
        )

    return {
        "curve_precision": along,
        "curve_recall": Estimate(along.value / slopes, along.error / slopes, "monte carlo"),
        "f_8": best(64.0),
        "f_eighth": best(1 / 64.0),
    }


@eqx.filter_jit
def _shares(target: AbstractTarget, variance: Array, points: Array) -> Array:
    many = min(256, points.shape[0])
    return jax.lax.map(lambda x: target.posterior(x, variance).weights, points, batch_size=many)


def modes_of_draws(
    target: AbstractTarget, variance: float, made: Float[np.ndarray, "particles dim"]
) -> dict[str, Estimate]:
    """Weights, means and variances of the modes of q, from its draws.

    A mode that fewer than ten particles have found has no mean and no variance: NaN.

    Args:
      target: the data law.
      variance: noise variance v.
      made: independent draws of q, shape [particles, dim].

    Returns:
      `mode_weights` [components], `mode_means` and `mode_variances` [components, dim].
    """
    shares = np.asarray(_shares(target, jnp.asarray(variance), jnp.asarray(made)))
    count, factor = len(made), interval_factor(len(made))
    sums = shares.sum(axis=0)
    weights = mean_estimate(jnp.asarray(shares))
    found = np.where(sums >= _FEWEST, sums, np.nan)[:, None]
    means = shares.T @ made / found
    spread, of_mean, of_spread = (np.empty_like(means) for _ in range(3))
    for k, mean in enumerate(means):
        # what each draw adds to a ratio of sums, to first order
        r, z = shares[:, k, None] / found[k], (made - mean) ** 2
        spread[k] = np.sum(r * z, axis=0)
        of_mean[k] = np.sqrt(np.sum(r * r * z, axis=0))
        of_spread[k] = np.sqrt(np.sum((r * (z - spread[k])) ** 2, axis=0))
    errors = jnp.hypot(weights.error, factor**2 / count)
    return {
        "mode_weights": Estimate(weights.value, errors, "monte carlo"),
        "mode_means": Estimate(jnp.asarray(means), jnp.asarray(factor * of_mean), "monte carlo"),
        "mode_variances": Estimate(
            jnp.asarray(spread), jnp.asarray(factor * of_spread), "monte carlo"
        ),
    }


@eqx.filter_jit
def _classes(classifier: Classifier, variance: Array, points: Array) -> Array:
    many = min(256, points.shape[0])
    return jnp.exp(jax.lax.map(lambda x: classifier(x, variance), points, batch_size=many))


def sampled_realism(
    target: AbstractTarget,
    variance: float,
    draws: Draws,
    alpha: float,
    classifier: Classifier | None,
    key: Key,
) -> dict[str, Any]:
    """What draws of both laws say of realism and diversity.

    Args:
      target: the data law.
      variance: v_N.
      draws: of both laws.
      alpha: mass of the data in the region of low density.
      classifier: (x, v) -> log p_v(c | x), or None.
      key: random key of further draws of the data, by which the region is found.

    Returns:
      Estimates by their name in Realism, with 99 % intervals; both KL, W2 and the data's modes are
      not among them, but the reverse KL is.
    """
    region = _region(target, variance, alpha, named_key(key, "region"), len(draws.data))
    ratios = draws.log_ratios
    reverse = Estimate.unavailable(NO_DENSITY)
    if ratios is not None:
        reverse = mean_estimate(jnp.asarray(ratios[1]))
    found: dict[str, Any] = {
        **_valleys(target, draws, region, alpha),
        **_curve(draws),
        **modes_of_draws(target, variance, draws.made),
        "recall": _recall(draws, alpha),
        "reverse_kl": reverse,
        "class_probabilities": None,
    }
    if classifier is not None:
        each = _classes(classifier, jnp.asarray(variance), jnp.asarray(draws.made))
        found["class_probabilities"] = mean_estimate(each)
    return found

"""Confidence intervals."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy import stats

from design_space.arrays import Array, ArrayLike, Float
from design_space.checks import refusal
from design_space.numerics.estimate import Estimate

CONFIDENCE = 0.99
"""Coverage of every Monte-Carlo interval of the toolkit."""


def interval_factor(samples: int) -> float:
    """Half-width of the confidence interval of a mean, in standard errors (Student's t).

    Args:
      samples: number of independent samples, at least 2.
    """
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, samples - 1))


def mean_estimate(samples: Float[Array, "samples ..."]) -> Estimate:
    """The mean over the first axis with its 99 % interval.

    Args:
      samples: independent draws, shape [samples, ...], at least 2 of them.

    Returns:
      An Estimate of shape [...], method "monte carlo".
    """
    count = samples.shape[0]
    spread = jnp.std(samples, axis=0, ddof=1) / jnp.sqrt(count)
    return Estimate(jnp.mean(samples, axis=0), interval_factor(count) * spread, "monte carlo")


class Interval(NamedTuple):
    """A value inside an interval that need not lie evenly around it.

    Attributes:
      value: the value.
      low: lower end, same shape.
      high: upper end, same shape.
    """

    value: Float[np.ndarray, "..."]
    low: Float[np.ndarray, "..."]
    high: Float[np.ndarray, "..."]


def geometric_mean(samples: ArrayLike) -> Interval:
    """The exponential of the mean logarithm over the first axis, with its 99 % interval.

    For quantities that are spread over decades: losses, step counts, ratios.

    Args:
      samples: independent draws, above 0, shape [samples, ...], at least 2 of them.

    Returns:
      The mean and both ends of its interval, of shape [...].
    """
    logs = np.log(np.asarray(samples, dtype=np.float64))
    middle = logs.mean(axis=0)
    spread = logs.std(axis=0, ddof=1) / np.sqrt(len(logs))
    half = interval_factor(len(logs)) * spread
    return Interval(*(np.asarray(np.exp(x)) for x in (middle, middle - half, middle + half)))


def median(samples: ArrayLike) -> Interval:
    """The median over the first axis, with a 99 % interval between two order statistics.

    It asks nothing of the law, and the samples may be 0 or infinite. The interval leaves out as
    many of the least samples as of the largest, at most so many that the median of the law lies
    outside with probability 1 % (a binomial sum).

    Args:
      samples: independent draws, shape [samples, ...], at least 8 of them.

    Returns:
      The median of the samples, shape [...].

    Raises:
      ValueError: if there are fewer than 8: not even the least and the largest are far enough.
    """
    ranked = np.sort(np.asarray(samples, dtype=np.float64), axis=0)
    count = len(ranked)
    chances = stats.binom.cdf(np.arange(count), count, 0.5)
    outside = int(np.searchsorted(chances, (1 - CONFIDENCE) / 2, side="right"))
    if not outside:
        remedy = "draw more, such a small sample has no 99 % interval of its median"
        raise refusal("samples", count, "at least 8", remedy)
    return Interval(np.median(ranked, axis=0), ranked[outside - 1], ranked[count - outside])


def quantile(samples: Float[np.ndarray, " samples"], share: float) -> Interval:
    """The value below which a law has a given share, with a 99 % interval of order statistics.

    The number of draws below it is binomial, whatever the law.

    Args:
      samples: independent draws, shape [samples].
      share: above 0 and below 1.

    Returns:
      The quantile of the samples; an end of the interval is infinite where there are too few.
    """
    ranked, count = np.sort(samples), len(samples)
    tail = (1 - CONFIDENCE) / 2
    least, most = (int(stats.binom.ppf(t, count, share)) for t in (tail, 1 - tail))
    low = ranked[least - 1] if least > 0 else -np.inf
    high = ranked[most] if most < count else np.inf
    value = ranked[min(int(share * count), count - 1)]
    return Interval(*(np.asarray(x) for x in (value, low, high)))

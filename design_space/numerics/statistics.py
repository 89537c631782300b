"""Confidence intervals."""

import jax.numpy as jnp
from scipy import stats

from design_space.arrays import Array, Float
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

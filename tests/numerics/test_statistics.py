"""Coverage of the intervals."""

import jax
import numpy as np
import pytest
from scipy import stats

from design_space.numerics.statistics import (
    CONFIDENCE,
    geometric_mean,
    interval_factor,
    mean_estimate,
    median,
)


def test_coverage_over_four_hundred_seeds():
    keys = jax.random.split(jax.random.key(0), 400)
    few = jax.vmap(lambda k: jax.random.normal(k, (8,)))(keys)
    many = jax.vmap(lambda k: jax.random.exponential(k, (400,)))(keys)
    for draws, truth in ((few, 0.0), (many, 1.0)):
        estimate = mean_estimate(draws.T)
        assert estimate.method == "monte carlo"
        covered = np.abs(np.asarray(estimate.value) - truth) <= np.asarray(estimate.error)
        # 99 % is stated; 400 trials at 99 % stay above 96 % but once in 1e5, and 95 % is asked for
        assert covered.mean() >= 0.96
        # and the intervals are not idle: at 99 % all 400 cover with probability 0.018
        assert covered.mean() < 1.0


def test_the_factor_is_students():
    # two-sided 99 % quantiles of Student's t, from a printed table
    for samples, factor in ((2, 63.657), (3, 9.925), (11, 3.169), (121, 2.617)):
        assert abs(interval_factor(samples) - factor) < 6e-4
    assert abs(interval_factor(10**7) - 2.5758) < 1e-4
    assert CONFIDENCE == 0.99


def test_mean_estimate_by_hand():
    draws = np.array([[1.0, 10.0], [2.0, 10.0], [6.0, 10.0]])
    estimate = mean_estimate(jax.numpy.asarray(draws))
    np.testing.assert_array_equal(estimate.value, [3.0, 10.0])
    # variance ((-2)^2 + (-1)^2 + 3^2)/2 = 7, standard error sqrt(7/3), factor 9.92484
    np.testing.assert_allclose(estimate.error, [9.92484 * np.sqrt(7 / 3), 0.0], rtol=1e-6)


def test_geometric_mean_of_a_lognormal_is_covered():
    """e^mu of lognormal draws lies in the 99 % interval in about 99 of 100 repetitions."""
    draws = np.random.default_rng(5).normal(0.7, 2.0, size=(12, 2000))
    found = geometric_mean(np.exp(draws))
    inside = np.mean((found.low <= np.exp(0.7)) & (np.exp(0.7) <= found.high))
    assert abs(inside - 0.99) < 4 * np.sqrt(0.99 * 0.01 / 2000)
    np.testing.assert_allclose(found.value, stats.gmean(np.exp(draws), axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.value**2, found.low * found.high, rtol=1e-12)


def test_median_is_covered_by_the_second_and_the_eleventh_of_twelve():
    draws = np.random.default_rng(0).exponential(size=(12, 20_000))
    found = median(draws)
    inside = np.mean((found.low <= np.log(2)) & (np.log(2) <= found.high))
    exact = 1 - 2 * (1 + 12) / 2**12  # at most one of twelve on either side of the true median
    assert abs(inside - exact) < 4 * np.sqrt(exact * (1 - exact) / 20_000)
    np.testing.assert_array_equal(found.low, np.sort(draws, axis=0)[1])
    np.testing.assert_array_equal(found.high, np.sort(draws, axis=0)[10])


def test_median_of_few_and_of_many():
    eight = median(np.arange(8.0))
    assert (eight.low, eight.value, eight.high) == (0.0, 3.5, 7.0)  # chance 2/2^8 outside
    for count in (20, 101, 1000):
        place = int(median(np.arange(float(count))).low)
        chances = stats.binom.cdf([place, place + 1], count, 0.5)
        assert chances[0] <= 0.005 < chances[1]
    assert np.isinf(median(np.array([1.0] * 3 + [np.inf] * 5)).value)
    with pytest.raises(ValueError, match="at least 8"):
        median(np.arange(7.0))

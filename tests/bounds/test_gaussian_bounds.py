"""Lemmas 13 to 15 against the sampler itself, step by step in sixty digits."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from reference import gaussian as twin
from reference import grids
from reference.precision import exact, mp, variances

from design_space.bounds import gaussian

GRIDS = {
    "one step": [3.0, 1.0],
    "edm": grids.edm(12),
    "song": grids.song(12),
    "random": grids.random(9, 3),
    "narrow": grids.random(5, 8, 0.1, 10.0),
}
VARIANCES = (0.0, 1e-6, 0.25, 1.0, 400.0)
MEANS = (0.0, 0.7, -30.0)
# Sums of at most 12 positive terms, each a few roundings off.
CLOSE = 1e-14


def arrays(sigmas):
    s = np.asarray(sigmas)
    return jnp.asarray(s**2), jnp.asarray((s[:-1] - s[1:]) * (s[:-1] + s[1:]))


def walk(mean, variance, sigmas):
    """Mean and variance of Y_j, from Y_{j+1} = Y_j - h (Y_j - m)/(s^2 + v_j) + sqrt(h) U."""
    levels, m, s = variances(sigmas), exact(mean), exact(variance)
    found = [(mp.zero, levels[0])]
    for high, low in itertools.pairwise(levels):
        center, spread = found[-1]
        h = high - low
        keep = 1 - h / (s + high)
        found.append((keep * center + h * m / (s + high), keep**2 * spread + h))
    return found


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def sigmas(request):
    return request.param


@pytest.mark.parametrize("variance", VARIANCES)
def test_ratio_and_variances_hold_as_printed(sigmas, variance):
    expected = [float(spread) for _, spread in walk(0.0, variance, sigmas)]
    found = gaussian.lemma_15_variance(variance, *arrays(sigmas))
    np.testing.assert_allclose(found, expected, rtol=CLOSE)
    ratio = walk(0.0, variance, sigmas)[-1][1] / (exact(variance) + exact(sigmas[-1]) ** 2)
    inverse = gaussian.lemma_13_inverse_ratio(variance, *arrays(sigmas))
    np.testing.assert_allclose(inverse, float(ratio), rtol=CLOSE)


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("mean", MEANS)
def test_corrected_means_are_the_sampler_s(sigmas, mean, variance):
    expected = [float(center) for center, _ in walk(mean, variance, sigmas)]
    v, _ = arrays(sigmas)
    found = gaussian.lemma_15_mean_corrected(mean, variance, v)
    np.testing.assert_allclose(found, expected, rtol=CLOSE, atol=CLOSE * abs(mean))
    printed = gaussian.lemma_15_mean(mean, variance, v)
    if mean == 0:
        np.testing.assert_array_equal(printed, 0)
    else:  # at the start it is 2 v_0 m/(s^2 + v_0) where the sampler's mean is 0
        start = 2 * sigmas[0] ** 2 * mean / (variance + sigmas[0] ** 2)
        np.testing.assert_allclose(printed[0], start, rtol=CLOSE)
        assert np.all(np.abs(printed - found) > 0)


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("mean", MEANS)
def test_divergence_of_the_two_laws(sigmas, mean, variance):
    center, spread = walk(mean, variance, sigmas)[-1]
    last = exact(variance) + exact(sigmas[-1]) ** 2
    expected = twin.kl(exact(mean), last, center, spread)
    found = gaussian.lemma_13_corrected(mean, variance, *arrays(sigmas))
    # E is known to CLOSE, and the KL moves by |E - 1| = O(sqrt KL) times that.
    error = CLOSE * float(mp.sqrt(expected) + expected)
    np.testing.assert_allclose(found, float(expected), rtol=CLOSE, atol=error)


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("mean", MEANS)
def test_the_printed_mean_term_stands_upside_down(sigmas, mean, variance):
    printed = gaussian.lemma_13(mean, variance, *arrays(sigmas))
    centered = gaussian.lemma_13_corrected(0.0, variance, *arrays(sigmas))
    ratio = walk(0.0, variance, sigmas)[-1][1] / (exact(variance) + exact(sigmas[-1]) ** 2)
    first, last = (exact(variance) + exact(s) ** 2 for s in (sigmas[0], sigmas[-1]))
    term = exact(mean) ** 2 * first**2 / last / ratio
    np.testing.assert_allclose(printed, float(centered) + float(term), rtol=CLOSE)


def test_one_step_by_hand():
    # s = 1, m = 2, v: 3 -> 1, h = 2. Sigma_1 = (1 - 2/4)^2 3 + 2 = 2.75, against 1 + 1 = 2;
    # m_1 = 2 * 2/4 = 1. 1/E = 1.375.
    v, h = jnp.array([3.0, 1.0]), jnp.array([2.0])
    np.testing.assert_allclose(gaussian.lemma_13_inverse_ratio(1.0, v, h), 1.375, rtol=1e-15)
    np.testing.assert_allclose(gaussian.lemma_15_variance(1.0, v, h), [3, 2.75], rtol=1e-15)
    np.testing.assert_allclose(gaussian.lemma_15_mean_corrected(2.0, 1.0, v), [0, 1], rtol=1e-15)
    np.testing.assert_allclose(gaussian.lemma_15_mean(2.0, 1.0, v), [3, 2], rtol=1e-15)
    shape = (1 / 1.375 - 1 + np.log(1.375)) / 2
    # the means differ by 1, over twice the sampler's variance 2.75
    corrected = gaussian.lemma_13_corrected(2.0, 1.0, v, h)
    np.testing.assert_allclose(corrected, shape + 1 / 5.5, rtol=1e-14)
    # 2^2 * 4^2/2 / 1.375 = 32/1.375
    np.testing.assert_allclose(gaussian.lemma_13(2.0, 1.0, v, h), shape + 32 / 1.375, rtol=1e-14)


@pytest.mark.parametrize(
    ("point", "mean", "variance", "noise"), [(3.0, 1.0, 0.5, 1.5), (0, 2, 0, 4)]
)
def test_score_is_the_slope_of_the_log_density(point, mean, variance, noise):
    def log_density(x):
        return -((x - mean) ** 2) / (2 * (mp.mpf(variance) + noise))

    slope = mp.diff(log_density, mp.mpf(point))
    found = gaussian.lemma_14_score(point, mean, variance, noise)
    np.testing.assert_allclose(found, float(slope), rtol=1e-14)

"""The cost of one step on Gaussian data, against explicit Gaussians in sixty digits."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from reference import gaussian as twin
from reference import grids
from reference.precision import exact, mp, variances

from design_space.errors.one_step import one_step_kl, reverse_mismatch

SPECTRA = [(0.0,), (0.25,), (1e-9, 1.0, 1e4)]
STEPS = [(9.0, 4.0), (6400.0, 6.4e-7), (1.0, 1.0 - 1e-6), (4.0, 3.9), (1e-4, 1e-5)]


def mean_kl(values, high, low, factor, tau=None):
    """E KL of N(r y, h r) from N((1 - c h/(l + v)) y, tau), y ~ N(0, l + v)."""
    total = mp.zero
    high, low, factor = exact(high), exact(low), exact(factor)
    h = high - low
    tau = h if tau is None else exact(tau)
    for value in map(exact, values):
        r = (value + low) / (value + high)
        apart = r - (1 - factor * h / (value + high))
        total += twin.kl(0, h * r, 0, tau) + apart**2 * (value + high) / (2 * tau)
    return float(total)


@pytest.mark.parametrize("values", SPECTRA)
@pytest.mark.parametrize(("high", "low"), STEPS)
@pytest.mark.parametrize("factor", [1.0, 0.5, 1.001, 2.0, 0.0])
def test_mean_divergence_of_two_kernels(values, high, low, factor):
    found = one_step_kl(jnp.asarray(values), high, low, factor)
    # h is a difference of two given numbers; relative to it their rounding is EPS v/h at most
    rounding = 4e-16 * high / (high - low)
    np.testing.assert_allclose(found, mean_kl(values, high, low, factor), rtol=1e-14 + rounding)


@pytest.mark.parametrize("values", SPECTRA)
@pytest.mark.parametrize(("high", "low"), STEPS)
@pytest.mark.parametrize("share", [0.1, 0.9, 1.0, 1.5])
@pytest.mark.parametrize("factor", [1.0, 0.7])
def test_another_step_variance(values, high, low, share, factor):
    tau = share * (high - low)
    expected = mean_kl(values, high, low, factor, tau)
    found = one_step_kl(jnp.asarray(values), high, low, factor, tau)
    # The excess r - 1 is known to EPS times its parts of order one, and its defect to that times
    # the excess, the square root of the divergence.
    rounding = 1e-15 * high / (high - low) * (np.sqrt(expected) + expected)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=rounding)


@pytest.mark.parametrize(("high", "low"), STEPS)
def test_the_exact_variance_costs_nothing(high, low):
    value = 0.25
    tau = (high - low) * (value + low) / (value + high)
    found = float(one_step_kl(jnp.array([value]), high, low, 1.0, tau))
    assert 0 <= found < 1e-28 * (high / (high - low)) ** 2  # the square of a rounding


def test_one_step_by_hand():
    # l = 1, 3 -> 1, h = 2, r = 1/2; (1/2)(1/2 - 1 + ln 2); c = 3: 4 * 4/(4 * 2)/2 = 1 more
    plain = 0.5 * (np.log(2) - 0.5)
    np.testing.assert_allclose(one_step_kl(jnp.ones(1), 3.0, 1.0), plain, rtol=1e-15)
    np.testing.assert_allclose(one_step_kl(jnp.ones(1), 3.0, 1.0, 3.0), plain + 1, rtol=1e-15)


def quadratic(covariance, coefficients):
    return (coefficients.T * covariance * coefficients)[0]


@pytest.mark.parametrize("values", SPECTRA)
@pytest.mark.parametrize(("high", "low"), [*STEPS, (2.0, 2.0)])
@pytest.mark.parametrize("factor", [1.0, 0.5, 2.0])
def test_mismatch_from_the_joint_covariance(values, high, low, factor):
    expected = mp.zero
    for value in map(exact, values):
        more, less = value + exact(high), value + exact(low)
        covariance = mp.matrix([[more, less], [less, less]])  # of X_v and X_{v'}
        expected += quadratic(covariance, mp.matrix([-exact(factor) / more, 1 / less]))
    found = reverse_mismatch(jnp.asarray(values), high, low, factor)
    np.testing.assert_allclose(found, float(expected), rtol=1e-14)


def joint_covariances(value, levels, factor):
    """Covariances of (X_0, ..., X_N) on the reverse path and of the sampler's (Y_0, ..., Y_N)."""
    size = len(levels)
    path = mp.matrix(size, size)
    for i, j in itertools.product(range(size), repeat=2):
        path[i, j] = value + levels[max(i, j)]  # later points have less noise
    maker = mp.matrix(size, size)  # Y = maker times independent standard normal numbers
    maker[0, 0] = mp.sqrt(levels[0])
    for j, (high, low) in enumerate(itertools.pairwise(levels)):
        keep = 1 - factor * (high - low) / (value + high)
        for k in range(j + 1):
            maker[j + 1, k] = keep * maker[j, k]
        maker[j + 1, j + 1] = mp.sqrt(high - low)
    return path, maker * maker.T


def dense_kl(ours, others):
    product = others**-1 * ours
    trace = sum(product[i, i] for i in range(ours.rows))
    return (trace - ours.rows - mp.log(mp.det(ours)) + mp.log(mp.det(others))) / 2


@pytest.mark.parametrize("value", [0.0, 0.25, 30.0])
@pytest.mark.parametrize("factor", [1.0, 0.6])
@pytest.mark.parametrize("sigmas", [[3.0, 1.0], grids.song(4, 0.1, 10.0), grids.random(5, 2)])
def test_the_steps_add_up_to_the_divergence_of_whole_paths(value, factor, sigmas):
    levels = variances(sigmas)
    joint = joint_covariances(exact(value), levels, exact(factor))
    whole = dense_kl(*joint) - twin.initialization(exact(value), mp.zero, levels)
    v = np.square(np.asarray(sigmas))
    steps = [float(one_step_kl(jnp.array([value]), a, b, factor)) for a, b in itertools.pairwise(v)]
    np.testing.assert_allclose(sum(steps), float(whole), rtol=1e-12)

"""Particles against the Gaussian law that they sample, and the handling of keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import gaussian, grids
from reference.precision import exact, variances

from design_space.sampling.simulate import moved, simulate
from design_space.sampling.steppers import Frozen
from design_space.schedules.schedule import Schedule
from design_space.scores.exact import exact_score
from design_space.scores.function import function_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.targets.gaussian import Gaussian

SIGMAS = grids.edm(6, 0.1, 5.0)
EIGENVALUES, MEAN, FACTOR, SHIFT = [0.25, 2.0], [1.0, -0.5], 0.8, [0.1, -0.2]


@pytest.fixture(scope="module")
def design():
    target = Gaussian.diagonal(MEAN, EIGENVALUES)
    score = shifted_score(scaled_score(exact_score(target), FACTOR), SHIFT)
    return score, Schedule.from_sigmas(SIGMAS)


@pytest.fixture(scope="module")
def moments():
    """Mean and second moments of Y_N by the sixty-digit recursion."""
    ends = [
        gaussian.law(exact(lam), exact(m), variances(SIGMAS), exact(FACTOR), exact(b))
        for lam, m, b in zip(EIGENVALUES, MEAN, SHIFT, strict=True)
    ]
    mean = np.array([float(end.mean) for end in ends])
    return mean, np.outer(mean, mean) + np.diag([float(end.variance) for end in ends])


def test_intervals_of_the_moments_cover_the_gaussian_law(design, moments):
    def one(key):
        law = simulate(*design, key, count=400, dim=2)
        return law.mean(), law.second_moments()

    mean, second = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(3), 200))
    for estimate, truth in zip((mean, second), moments, strict=True):
        assert estimate.method == "monte carlo"
        inside = np.abs(estimate.value - truth[None]) <= estimate.error
        # 99 % intervals: at least 97 % of 200 seeds for each entry, four deviations below 99 %
        # with room for the normal approximation.
        assert np.all(np.mean(inside, axis=0) >= 0.96)
        # The mean over all seeds is fourteen times sharper; no bias may hide in the intervals.
        pooled = np.abs(np.mean(estimate.value, axis=0) - truth)
        assert np.all(pooled <= 1.5 * np.mean(estimate.error, axis=0) / np.sqrt(200))


def test_one_step_is_the_printed_recursion():
    score = function_score(lambda x, sigma: jnp.sin(x) / sigma)
    x, noise = jnp.array([0.3, -2.0]), jnp.array([1.0, 0.5])
    (moves,) = Frozen().moves(Schedule.from_sigmas([2.0, np.sqrt(3.3)]))  # h = 0.7
    move = jax.tree.map(lambda a: a[0], moves)
    found = moved(score, move, jnp.sqrt(move.variance), x, noise)
    expected = np.array([0.3, -2.0]) + 0.7 * np.sin([0.3, -2.0]) / 2 + np.sqrt(0.7) * noise
    # h is a difference of squares, good to a few units
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_the_score_is_asked_at_the_noise_level_before_each_step():
    """With s(x, sigma) = 1e6 sigma the drift, sum h_j sigma_j, dwarfs the noise."""
    score = function_score(lambda x, sigma: jnp.full_like(x, 1e6 * sigma))
    schedule = Schedule.from_sigmas([4.0, 2.0, 1.0])
    law = simulate(score, schedule, jax.random.key(0), count=5, dim=1)
    expected = 1e6 * (12.0 * 4.0 + 3.0 * 2.0)
    # the noise has standard deviation sqrt(16 + 12 + 3)
    np.testing.assert_allclose(law.particles, expected, atol=40)


def test_keys_determine_the_particles(design):
    first, again = (simulate(*design, jax.random.key(5), count=50, dim=2) for _ in range(2))
    np.testing.assert_array_equal(first.particles, again.particles)
    other = simulate(*design, jax.random.key(6), count=50, dim=2)
    assert not np.any(np.asarray(first.particles) == np.asarray(other.particles))
    assert first.particles.shape == (50, 2)
    assert np.unique(np.asarray(first.particles)).size == 100


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"count": 0, "dim": 2}, "count = 0: must be a whole number of at least 1"),
        ({"count": 3, "dim": 0}, "dim = 0: must be a whole number of at least 1"),
    ],
)
def test_empty_samples_are_refused(design, sizes, message):
    with pytest.raises(ValueError, match=message):
        simulate(*design, jax.random.key(0), **sizes)

"""Sampled errors: their intervals cover the truth in at least 95 % of 200 seeds.

The law is a product of a mixture and a Gaussian of another variance: the toolkit sees no reduction
and samples, while the truth is a sum of an integral on the line and a closed form.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import density, gaussian
from reference.mixture import Mixture
from reference.precision import mp, variances

from design_space.errors.discretization import discretization_errors, summed
from design_space.errors.initialization import initialization_error
from design_space.errors.marginal import marginal_errors
from design_space.errors.particles import marginal_kl_by_particles
from design_space.errors.score import score_errors
from design_space.schedules.schedule import Schedule
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

SIGMAS = [5.0, 2.0, 1.0, 0.5, 0.3]
WEIGHTS, MEANS, VARIANCE, ACROSS = [0.4, 0.6], [-1.0, 1.0], 0.1, 0.5
FACTOR, SHIFT = 0.9, [0.05, -0.1]
KEYS = 200


@pytest.fixture(scope="module")
def schedule():
    return Schedule.from_sigmas(SIGMAS)


@pytest.fixture(scope="module")
def target():
    """The product, turned by half a radian."""
    c, s = np.cos(0.5), np.sin(0.5)
    turn = np.array([[c, -s], [s, c]])
    covariance = turn @ np.diag([VARIANCE, ACROSS]) @ turn.T
    means = np.array([[m, 0.0] for m in MEANS]) @ turn.T
    return GaussianMixture(WEIGHTS, means, np.stack([covariance, covariance]))


@pytest.fixture(scope="module")
def score(target):
    c, s = np.cos(0.5), np.sin(0.5)
    shift = np.array([[c, -s], [s, c]]) @ np.array(SHIFT)
    return shifted_score(scaled_score(exact_score(target), FACTOR), shift)


@pytest.fixture(scope="module")
def truth():
    """Line plus complement; fifteen digits do for the line."""
    dps, mp.dps = mp.dps, 15
    try:
        levels, line = variances(SIGMAS), Mixture(WEIGHTS, MEANS, [VARIANCE] * 2)
        found = {
            "initialization": line.initialization(levels),
            "score": line.score_error(levels, FACTOR, SHIFT[0]),
            "discretization": line.discretization(levels),
        }
    finally:
        mp.dps = dps
    across = gaussian.errors([ACROSS], [0.0], levels, FACTOR, SHIFT[1:])
    data = density.Mixture(WEIGHTS, MEANS, [VARIANCE] * 2)
    law = density.propagate(lambda x, s: FACTOR * data.score(x, s) + SHIFT[0], SIGMAS)
    found["marginal"] = density.marginal_kl(law, data.noisy(SIGMAS[-1] ** 2))
    return {
        name: float(value + (across.marginal_kl if name == "marginal" else getattr(across, name)))
        for name, value in found.items()
    }


def assert_covers(estimate, truth):
    assert estimate.method == "monte carlo"
    value, error = np.asarray(estimate.value), np.asarray(estimate.error)
    assert np.mean(np.abs(value - truth) <= error) >= 0.95
    # The seeds together are much sharper than each; the intervals hide no bias of a third of
    # their width, and are not wider than the spread asks for (2.6 standard deviations).
    assert abs(np.mean(value) - truth) <= np.mean(error) / 3
    assert np.mean(error) <= 6 * np.std(value)


def batch(function):
    return eqx.filter_jit(jax.vmap(function))(jax.random.split(jax.random.key(7), KEYS))


def test_initialization(target, schedule, truth):
    v = schedule.backward_variances[0]
    # The terms are products of normals: at 256 draws, intervals by Student's t cover 94.5 %.
    found = batch(lambda key: initialization_error(target, v, key, 1024))
    assert_covers(found, truth["initialization"])


def test_discretization(target, schedule, truth):
    v, h = schedule.backward_variances, schedule.backward_variance_steps
    found = batch(lambda key: summed(discretization_errors(target, v, h, key, 128)))
    assert_covers(found, truth["discretization"])


def test_score(target, schedule, score, truth):
    found = batch(lambda key: summed(score_errors(target, schedule, score, key, 128)))
    assert_covers(found, truth["score"])


@pytest.mark.slow
def test_marginal_kl(target, schedule, score, truth):
    def one(key):
        return marginal_kl_by_particles(target, schedule, score, key, points=64, particles=16)

    assert_covers(batch(one), truth["marginal"])


@pytest.mark.slow
def test_marginal_kl_on_the_line_where_the_density_knows_it(schedule):
    target = GaussianMixture.isotropic(WEIGHTS, np.array(MEANS)[:, None], 0.3)
    score = scaled_score(exact_score(target), 0.8)
    known = marginal_errors(target, schedule, score, jax.random.key(0), 64).marginal_kl
    assert known.method == "quadrature"

    def one(key):
        return marginal_kl_by_particles(target, schedule, score, key, points=64, particles=16)

    assert_covers(batch(one), float(known.value))


@pytest.mark.slow
def test_gaussian_data_in_closed_form_agree_with_particles(schedule):
    """Three dimensions, matrices that do not commute with the data, a score that is not affine."""
    target = Gaussian([0.5, 0.0, -0.5], np.diag([0.2, 1.0, 3.0]) + 0.1)
    score = shifted_score(exact_score(target), [0.2, 0.0, 0.1])
    known = marginal_errors(target, schedule, score, jax.random.key(0), 64).marginal_kl
    found = marginal_kl_by_particles(
        target, schedule, score, jax.random.key(1), points=512, particles=64
    )
    assert abs(float(found.value - known.value)) <= 1.5 * float(found.error)
    assert float(found.error) < 0.5 * float(known.value)
    other = marginal_kl_by_particles(
        target, schedule, score, jax.random.key(2), points=512, particles=64
    )
    assert not jnp.array_equal(found.value, other.value)

"""Losses of random-feature models against the targets' mmse, draws and least squares."""

import jax.numpy as jnp
import numpy as np
import pytest

from analyses import interpolation
from design_space.targets.mixture import GaussianMixture


@pytest.fixture(scope="module")
def given():
    return interpolation.designs(np.random.default_rng(0), 3, 2, 40)


@pytest.fixture(scope="module")
def over(given):
    return interpolation.law(given)


def target(given, i):
    spread = given.variances[i][:, None, None]
    return GaussianMixture(given.shares[i], given.means[i][:, None], spread)


def test_the_law_is_that_of_the_target(given, over):
    found = interpolation.mmse(over)
    for i, j in ((0, 0), (2, 1)):
        law, v = target(given, i), given.sigmas[i, j] ** 2
        np.testing.assert_allclose(found[i, j], law.mmse(v).value, rtol=1e-9)
        x = over.x[i, j, 200]
        np.testing.assert_allclose(over.score[i, j, 200], law.score(jnp.array([x]), v)[0])
    np.testing.assert_allclose(np.sum(over.mass, axis=-1), 1, rtol=1e-13)


def test_population_losses_are_those_of_draws(given, over):
    random = np.random.default_rng(1)
    a = random.normal(size=(3, 40)) * 0.3
    found, error = interpolation.population_losses(
        given, over, interpolation.scores(given, over, a)
    )
    noisy, noise = interpolation.drawn(given, random, 20_000)
    models = np.einsum("djpw,dw->djp", given.features(noisy), a)
    squares = (given.sigmas[:, :, None] * models + noise) ** 2
    each = 0.5 * np.sum(given.beta[:, :, None] * squares, axis=1)
    spread = each.std(axis=1) / np.sqrt(each.shape[1])
    assert np.all(np.abs(each.mean(axis=1) - found) < 5 * spread)
    assert np.all(error < 1e-3 * found)


def test_the_exact_score_has_the_floor(given, over):
    found, _ = interpolation.population_losses(given, over, over.score)
    floor = 0.5 * np.sum(given.beta * interpolation.mmse(over) / given.sigmas**2, axis=1)
    np.testing.assert_allclose(found, floor, rtol=1e-12)


def test_least_empirical_losses_are_least(given):
    random = np.random.default_rng(2)
    noisy, noise = interpolation.drawn(given, random, 60)
    least, a = interpolation.least_empirical(given, noisy, noise)

    def losses(a):
        models = np.einsum("djpw,dw->djp", given.features(noisy), a)
        squares = given.beta[:, :, None] * (given.sigmas[:, :, None] * models + noise) ** 2
        return 0.5 * np.sum(squares, axis=(1, 2)) / 60

    np.testing.assert_allclose(losses(a), least, rtol=1e-9)
    for _ in range(5):
        assert np.all(losses(a + 0.1 * random.normal(size=a.shape)) > least)
    few = interpolation.least_empirical(given, noisy[:, :, :1], noise[:, :, :1])[0]
    np.testing.assert_array_equal(few, 0.0)


def test_least_population_losses_are_least(given, over):
    a = interpolation.least_population(given, over)

    def losses(a):
        scores = interpolation.scores(given, over, a)
        return interpolation.population_losses(given, over, scores)[0]

    random = np.random.default_rng(3)
    for size in (1e-2, 1.0):
        assert np.all(losses(a + size * random.normal(size=a.shape)) > losses(a))

"""Metrics of samplers against brute force in NumPy, and particles against the density."""

import importlib
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

import design_space as ds
from design_space.errors.metrics import sampler_metrics

SCHEDULE = ds.edm(steps=6)
WEIGHTS, CENTERS, STD = np.array([0.3, 0.7]), np.array([-1.5, 1.5]), 0.4


def numbers(schedule):
    """Noise levels of a schedule as NumPy numbers, largest first."""
    return np.asarray(schedule.backward_sigmas)


def brute_gaussian(mean, variance, sigmas):
    """Mean and variance of y + h s(y) + sqrt(h) U in absolute form, for one eigenvalue."""
    m, c = 0.0, sigmas[0] ** 2
    for high, low in itertools.pairwise(sigmas**2):
        slope = 1 - (high - low) / (variance + high)
        m, c = slope * m + (1 - slope) * mean, slope**2 * c + high - low
    return m, c


def brute_variation(log_p, log_q, cell):
    return 0.5 * np.sum(np.abs(np.exp(log_p) - np.exp(log_q))) * cell


def log_normal(x, mean, variance):
    return -0.5 * ((x - mean) ** 2 / variance + np.log(2 * np.pi * variance))


def log_joint(x, v):
    return np.log(WEIGHTS) + log_normal(x[:, None], CENTERS, STD**2 + v)


def brute_density(sigmas, points=3000):
    """The density of the frozen-score sampler on the mixture: one dense kernel per step."""

    def grid(sigma):  # the law after a step is about as wide as the noise before it
        return np.linspace(-1, 1, points) * 8 * np.sqrt(sigma**2 + 3)

    x = grid(sigmas[0])
    q = np.exp(log_normal(x, 0.0, sigmas[0] ** 2))
    for high, low in itertools.pairwise(sigmas):
        h, joint = high**2 - low**2, log_joint(x, high**2)
        share = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        score = np.sum(share * (CENTERS - x[:, None]), axis=1) / (STD**2 + high**2)
        out = grid(high)
        kernel = np.exp(log_normal(out[:, None], (x + h * score)[None, :], h))
        q, x = kernel @ q * (x[1] - x[0]), out
    return x, q


def test_gaussian_data_against_recursions_in_absolute_form():
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    eigenvalues, mean = np.array([1.0, 0.2]), np.array([0.5, -1.0])
    target = ds.Gaussian(mean, turn @ np.diag(eigenvalues) @ turn.T)
    found = sampler_metrics(target, SCHEDULE)
    sigmas, along = numbers(SCHEDULE), turn.T @ mean
    law = [brute_gaussian(m, each, sigmas) for m, each in zip(along, eigenvalues, strict=True)]
    covariance = turn @ np.diag([c for _, c in law]) @ turn.T
    np.testing.assert_allclose(found.mean.value, turn @ [m for m, _ in law], rtol=1e-12)
    np.testing.assert_allclose(found.covariance.value, covariance, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(found.mode_weights.value, [1.0])
    noisy = turn @ np.diag(eigenvalues + sigmas[-1] ** 2) @ turn.T
    np.testing.assert_allclose(found.data_covariance.value, noisy, rtol=1e-12, atol=1e-14)
    a = eigenvalues + sigmas[-1] ** 2
    w2 = sum(
        (m - e) ** 2 + (c**0.5 - t**0.5) ** 2 for (m, c), e, t in zip(law, along, a, strict=True)
    )
    assert float(found.w2.value) == pytest.approx(w2**0.5, rel=1e-11)
    angle = np.pi * np.arange(4000) / 4000
    u = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ turn
    shadows = [np.sqrt(u**2 @ np.array(s)) for s in (a, [c for _, c in law])]
    sliced = np.mean((u @ (np.array([m for m, _ in law]) - along)) ** 2)
    sliced += np.mean((shadows[0] - shadows[1]) ** 2)
    assert float(found.sliced_w2.value) == pytest.approx(sliced**0.5, rel=1e-9)
    assert found.sliced_w2.method == "quadrature"
    assert found.total_variation.method == "monte carlo"


def test_mixture_on_the_line_against_a_dense_kernel():
    """The brute force resolves the last kernel (std 0.1) by 20 points: it is good to 1e-10."""
    target = ds.GaussianMixture.isotropic(WEIGHTS, CENTERS[:, None], STD)
    schedule = ds.edm(steps=6, sigma_min=0.1)
    found, sigmas = sampler_metrics(target, schedule), numbers(schedule)
    x, q = brute_density(sigmas)
    joint, cell = log_joint(x, sigmas[-1] ** 2), x[1] - x[0]
    log_p = logsumexp(joint, axis=1)
    mean = np.sum(q * x) * cell
    # kinks leave the trapezoid rule of the brute force off by about its squared cell, 8e-5, times
    # the slope of p - q at the crossings, a tenth, over 6
    brute = 0.5 * np.sum(np.abs(np.exp(log_p) - q)) * cell
    assert float(found.total_variation.value) == pytest.approx(brute, abs=1e-5)
    shares = np.exp(joint - log_p[:, None]).T @ q * cell
    np.testing.assert_allclose(found.mode_weights.value, shares, atol=1e-9)
    np.testing.assert_allclose(found.data_mode_weights.value, WEIGHTS, rtol=1e-12)
    assert float(found.mean.value[0]) == pytest.approx(mean, abs=1e-9)
    variance = np.sum(q * (x - mean) ** 2) * cell
    assert float(found.covariance.value[0, 0]) == pytest.approx(variance, abs=1e-9)
    assert float(found.sliced_w2.value) == float(found.w2.value)
    for name in ("total_variation", "mode_weights", "mean", "covariance"):
        assert getattr(found, name).method == "quadrature"
        assert np.all(np.asarray(getattr(found, name).error) < 1e-8)


def test_a_reduced_mixture_is_a_product():
    """Two modes in the plane: the density along them times a Gaussian across, on a fine grid."""
    means = np.stack([CENTERS, [1.0, 1.0]], axis=1)
    target = ds.GaussianMixture.isotropic(WEIGHTS, means, STD)
    schedule = ds.edm(steps=6, sigma_min=0.1)
    found, sigmas = sampler_metrics(target, schedule), numbers(schedule)
    x, q = brute_density(sigmas)
    m, c = brute_gaussian(1.0, STD**2, sigmas)
    y = np.linspace(-4, 6, 1001)
    log_p = logsumexp(log_joint(x, sigmas[-1] ** 2), axis=1)[:, None]
    log_p = log_p + log_normal(y, 1.0, STD**2 + sigmas[-1] ** 2)[None, :]
    made = q[:, None] * np.exp(log_normal(y, m, c))[None, :]
    brute = 0.5 * np.sum(np.abs(np.exp(log_p) - made)) * (x[1] - x[0]) * (y[1] - y[0])
    assert abs(float(found.total_variation.value) - brute) <= float(found.total_variation.error)
    along = np.exp(log_joint(x, sigmas[-1] ** 2)).T / np.sum(
        np.exp(log_joint(x, sigmas[-1] ** 2)), axis=1
    )
    np.testing.assert_allclose(found.mode_weights.value, along @ q * (x[1] - x[0]), atol=1e-9)
    assert found.mode_weights.method == "quadrature"
    assert abs(float(found.mean.value[1]) - m) <= float(found.mean.error[1])
    assert abs(float(found.covariance.value[1, 1]) - c) <= float(found.covariance.error[1, 1])


def hidden(target):
    """The exact score as a function that says nothing of itself: only particles are left."""
    return ds.function_score(lambda x, sigma: target.score(x, sigma**2))


def holds(interval, true):
    return np.all(np.abs(np.asarray(interval.value) - np.asarray(true)) <= interval.error)


PLANE = ds.GaussianMixture.isotropic(WEIGHTS, np.stack([CENTERS, [0.0, 0.0]], axis=1), STD)
SPACE = ds.GaussianMixture.isotropic(WEIGHTS, np.outer(CENTERS, [1.0, 0.0, 0.0]), STD)


@pytest.fixture(scope="module")
def flow():
    """A deterministic sampler in three dimensions, by its density and by particles."""
    known = sampler_metrics(SPACE, SCHEDULE, None, ds.FlowHeun())
    return known, sampler_metrics(SPACE, SCHEDULE, hidden(SPACE), ds.FlowHeun(), samples=4096)


def test_particles_hold_what_the_density_knows(flow):
    known, sampled = flow
    for name in ("marginal_kl", "w2", "mode_weights"):
        assert getattr(known, name).method != "monte carlo"
        assert getattr(sampled, name).method == "monte carlo"
        assert holds(getattr(sampled, name), getattr(known, name).value), name
    # and say something
    assert float(sampled.marginal_kl.error) < 0.3
    assert float(sampled.w2.error) < 0.5
    assert np.all(np.asarray(sampled.mode_weights.error) < 0.05)
    assert "no noise to filter by" in str(sampled.total_variation.reason)


@pytest.mark.slow
def test_filters_bracket_the_total_variation():
    known = sampler_metrics(SPACE, SCHEDULE)
    sampled = sampler_metrics(SPACE, SCHEDULE, hidden(SPACE))
    for name in ("marginal_kl", "w2", "mode_weights"):
        assert holds(getattr(sampled, name), getattr(known, name).value), name
    gap = abs(float(sampled.total_variation.value) - float(known.total_variation.value))
    assert gap <= float(sampled.total_variation.error + known.total_variation.error) < 0.1


def test_an_affine_score_has_known_moments_on_any_data():
    schedule = ds.edm(steps=6, sigma_max=2.0)
    sigmas = numbers(schedule)
    slope, intercept = np.array([[-0.5, 0.1], [0.0, -0.3]]), np.array([0.2, 0.1])
    score = ds.AffineScore(sigmas[:-1], np.stack([slope] * 6), np.stack([intercept] * 6))
    m, c = np.zeros(2), sigmas[0] ** 2 * np.eye(2)
    for high, low in itertools.pairwise(sigmas**2):
        t = np.eye(2) + (high - low) * slope
        m, c = t @ m + (high - low) * intercept, t @ c @ t.T + (high - low) * np.eye(2)
    found = sampler_metrics(PLANE, schedule, score, samples=512)
    np.testing.assert_allclose(found.mean.value, m, rtol=1e-11)
    np.testing.assert_allclose(found.covariance.value, c, rtol=1e-11, atol=1e-12)
    x, y = np.meshgrid(np.linspace(-9, 9, 901), np.linspace(-9, 9, 901), indexing="ij")
    inverse, away = np.linalg.inv(c), np.stack([x - m[0], y - m[1]])
    log_q = -0.5 * np.einsum("iab,ij,jab->ab", away, inverse, away)
    log_q -= 0.5 * np.log(np.linalg.det(2 * np.pi * c))
    v = sigmas[-1] ** 2
    log_p = logsumexp(log_joint(x.ravel(), v), axis=1).reshape(x.shape)
    log_p = log_p + log_normal(y, 0.0, STD**2 + v)
    brute = brute_variation(log_p, log_q, 0.02**2)
    assert abs(float(found.total_variation.value) - brute) <= float(found.total_variation.error)
    assert found.mean.method == found.covariance.method == "closed form"


def test_the_contract_is_plain_data(flow):
    known, sampled = flow
    for found in (known, sampled):
        row = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert row["samples"] == 4096
        assert len(row["mode_weights"]["value"]) == 2
        assert np.shape(row["covariance"]["error"]) == (3, 3)
    assert sampled.to_dict()["total_variation"]["value"] is None


def test_without_the_library_the_distance_says_how_to_get_it(monkeypatch):
    ordinary = importlib.import_module

    def missing(name, *rest):
        if name == "ot":
            raise ModuleNotFoundError("No module named 'ot'")
        return ordinary(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    schedule = ds.edm(steps=6, sigma_max=2.0)
    score = ds.AffineScore(numbers(schedule)[:-1], np.full(6, -0.5))
    found = sampler_metrics(SPACE, schedule, score, samples=512)
    assert "design-space[transport]" in str(found.w2.reason)
    assert np.isfinite(float(found.sliced_w2.value))


def test_refusals():
    target = ds.Gaussian([0.0], [[1.0]])
    with pytest.raises(ValueError, match="samples = 100"):
        sampler_metrics(target, SCHEDULE, samples=100)
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda m: sampler_metrics(ds.Gaussian.diagonal(m, jnp.ones(1)), SCHEDULE).w2.value)(
            jnp.zeros(1)
        )
    bad = ds.function_score(lambda x, sigma: jnp.nan * x)
    with pytest.raises(ValueError, match="particles"):
        sampler_metrics(SPACE, SCHEDULE, bad, ds.FlowHeun())

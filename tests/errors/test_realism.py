"""Realism where draws are needed: closed forms, brute force, and densities against particles."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import chi2, norm

import design_space as ds
from design_space.errors.realism import realism
from design_space.errors.realism_record import ANGLES
from design_space.errors.sampled_realism import modes_of_draws
from design_space.numerics.statistics import quantile
from design_space.targets.labeled import LabeledMixture

SCHEDULE = ds.edm(steps=6, sigma_min=0.1)
WEIGHTS, CENTERS, STD = np.array([0.3, 0.7]), np.array([-1.5, 1.5]), 0.4
ALPHA = 1e-3


def holds(estimate, truth, useful=0.05):
    gap = np.abs(np.asarray(estimate.value) - truth)
    assert np.all(gap <= np.asarray(estimate.error) + 1e-12), (gap, estimate.error)
    assert np.all(np.asarray(estimate.error) <= useful)


def hidden(target):
    """The exact score as a function that says nothing of itself: only particles are left."""
    return ds.function_score(lambda x, sigma: target.score(x, sigma**2))


def round_overlap(slopes, b, dim):
    """int min(l p, q) for N(0, I) and N(0, b I), b > 1: the densities cross on one sphere."""
    square = 2 * (np.log(slopes) + 0.5 * dim * np.log(b)) / (1 - 1 / b)
    square = np.maximum(square, 0.0)
    return chi2.cdf(square / b, dim) + slopes * chi2.sf(square, dim)


def test_round_gaussians_in_closed_form():
    """Data N(0, I) with the noise; affine scores make the law N(0, b I)."""
    dim = 2
    target = ds.Gaussian.isotropic(dim=dim, std=1.0)
    found = realism(target, SCHEDULE)
    a, b = 1 + 0.1**2, float(ds.sampler_metrics(target, SCHEDULE).covariance.value[0, 0])
    assert b > 1.5 * a
    radius = chi2.isf(ALPHA, dim)
    holds(found.valley_mass, chi2.sf(radius * a / b, dim))
    holds(found.precision, chi2.cdf(radius * a / b, dim))
    holds(found.recall, chi2.cdf(radius * b / a, dim))
    holds(found.log_threshold, -np.log(2 * np.pi * a) - radius / 2, 1e-12)
    slopes = np.tan(ANGLES)
    along = round_overlap(slopes, b / a, dim)
    holds(found.curve_precision, along)
    holds(found.curve_recall, along / slopes, 1.0)
    wide = np.exp(np.linspace(-15, 15, 30001))
    for square, each in ((64, found.f_8), (1 / 64, found.f_eighth)):
        curve = (1 + square) * round_overlap(wide, b / a, dim) / (1 + square * wide)
        holds(each, np.max(curve))
    holds(found.reverse_kl, 0.5 * dim * (b / a - 1 - np.log(b / a)), 0.2)
    assert found.kl.method == found.w2.method == "closed form"
    holds(found.mode_variances, [[b, b]], 0.3)
    holds(found.mode_means, [[0.0, 0.0]], 0.1)
    assert float(found.between_mass.value) == 0  # one mean has no hull


OFF_LINE = ds.GaussianMixture.isotropic(WEIGHTS, np.stack([CENTERS, [1.0, 1.0]], axis=1), STD)


def product_on_a_grid():
    """Both laws of a product in the plane: the law on the line times a Gaussian."""
    line = ds.GaussianMixture.isotropic(WEIGHTS, CENTERS[:, None], STD)
    laws = line_density(line)
    x, y = np.linspace(-7, 7, 1401), np.linspace(-5, 7, 1201)
    across = ds.sampler_metrics(ds.Gaussian([1.0], [[STD**2]]), SCHEDULE)
    mean, variance = float(across.mean.value[0]), float(across.covariance.value[0, 0])
    std = np.hypot(STD, 0.1)
    log_p = logsumexp(np.log(WEIGHTS) + norm.logpdf(x[:, None], CENTERS, std), axis=1)
    p = np.exp(log_p[:, None] + norm.logpdf(y, 1.0, std)[None, :])
    q = laws(x)[:, None] * norm.pdf(y, mean, variance**0.5)[None, :]
    cell = (x[1] - x[0]) * (y[1] - y[0])
    return x, p * cell, q * cell, cell


def line_density(line):
    """The density of the sampler on the line by one dense kernel per step."""
    sigmas = np.asarray(SCHEDULE.backward_sigmas)
    x = np.linspace(-1, 1, 3000) * 8 * np.sqrt(sigmas[0] ** 2 + 3)
    q = norm.pdf(x, 0, sigmas[0])
    score = jax.jit(jax.vmap(lambda y, s: line.score(y[None], s**2)[0], (0, None)))
    for high, low in itertools.pairwise(sigmas):
        h = high**2 - low**2
        out = np.linspace(-1, 1, 3000) * 8 * np.sqrt(high**2 + 3)
        moved = x + h * np.asarray(score(x, high))
        q = norm.pdf(out[:, None], moved[None, :], h**0.5) @ q * (x[1] - x[0])
        x = out
    return lambda y: np.interp(y, x, q)


def test_a_product_by_brute_force():
    """Cells of 0.01: edges of sets are off by some 1e-4 in mass, far within the intervals."""
    found = realism(OFF_LINE, SCHEDULE, samples=8192)
    x, p, q, cell = product_on_a_grid()
    ranked = np.sort(p.ravel())
    c = ranked[np.searchsorted(np.cumsum(ranked), ALPHA)]
    low = p <= c
    between = low & (np.abs(x) <= CENTERS[1])[:, None]
    holds(found.valley_mass, np.sum(q[low]))
    holds(found.between_mass, np.sum(q[between]))
    holds(found.data_between_mass, np.sum(p[between]), 1e-3)
    holds(found.log_threshold, np.log(c / cell), 0.3)
    ranked = np.sort(q.ravel())
    d = ranked[np.searchsorted(np.cumsum(ranked), ALPHA)]
    holds(found.recall, np.sum(p[q > d]))
    slopes = np.tan(ANGLES)
    along = np.array([np.sum(np.minimum(slope * p, q)) for slope in slopes])
    holds(found.curve_precision, along)
    kept = q > 1e-200
    holds(found.reverse_kl, np.sum(q[kept] * np.log(q[kept] / p[kept])), 0.2)
    assert found.kl.method == "quadrature"


SPACE = ds.GaussianMixture.isotropic(WEIGHTS, np.outer(CENTERS, [1.0, 0.0, 0.0]), STD)


@pytest.fixture(scope="module")
def particles():
    labeled = LabeledMixture(SPACE, [0, 1])
    options = {"classifier": labeled.log_posterior, "alpha": 0.01, "samples": 2048}
    return realism(SPACE, SCHEDULE, hidden(SPACE), ds.FlowHeun(), **options)


def test_without_a_density_the_reason_is_given(particles):
    for name in ("recall", "curve_precision", "curve_recall", "f_8", "f_eighth", "reverse_kl"):
        assert "only particles" in str(getattr(particles, name).reason), name
    for name in ("valley_mass", "between_mass", "mode_means", "mode_variances", "w2", "kl"):
        assert np.all(np.isfinite(np.asarray(getattr(particles, name).value))), name
    weights = np.asarray(particles.mode_weights.value)
    np.testing.assert_allclose(particles.class_probabilities.value, weights, atol=1e-12)


def test_the_contract_is_plain_data(particles):
    row = json.loads(json.dumps(particles.to_dict(), allow_nan=False))
    assert row["recall"]["value"] is None
    assert np.shape(row["mode_means"]["value"]) == (2, 3)
    assert (row["alpha"], row["samples"], row["seed"]) == (0.01, 2048, 0)
    assert row["precision"]["value"] == 1 - row["valley_mass"]["value"]
    assert len(row["curve_angles"]) == 63


def test_the_same_seed_gives_the_same_numbers(particles):
    again = realism(SPACE, SCHEDULE, hidden(SPACE), ds.FlowHeun(), alpha=0.01, samples=2048, seed=0)
    assert float(again.valley_mass.value) == float(particles.valley_mass.value)
    assert again.class_probabilities is None


def test_the_line_is_known_without_draws():
    target = ds.GaussianMixture.isotropic(WEIGHTS, CENTERS[:, None], STD)
    found = realism(target, SCHEDULE)
    assert found.samples is None
    for name in ("valley_mass", "recall", "f_8", "mode_variances", "kl", "reverse_kl", "w2"):
        assert getattr(found, name).method == "quadrature"
    single = realism(ds.Gaussian([0.5], [[0.3]]), SCHEDULE)
    assert single.recall.method == "quadrature"


@pytest.mark.slow
@pytest.mark.parametrize("sampler", [ds.Frozen(), ds.FlowHeun()])
def test_a_million_particles_on_the_line(sampler):
    target = ds.GaussianMixture.isotropic(WEIGHTS, CENTERS[:, None], STD)
    known = realism(target, SCHEDULE, sampler=sampler)
    made = ds.simulate(
        ds.exact_score(target), SCHEDULE, jax.random.key(5), count=10**6, dim=1, stepper=sampler
    ).particles
    y = np.asarray(made)[:, 0]
    log_p = logsumexp(
        np.log(WEIGHTS) + norm.logpdf(y[:, None], CENTERS, np.hypot(STD, 0.1)), axis=1
    )
    low = log_p <= float(known.log_threshold.value)
    # half-width of the 99 % interval of a share: 2.6 standard errors
    for inside, each in (
        (low, known.valley_mass),
        (low & (np.abs(y) <= CENTERS[1]), known.between_mass),
    ):
        share = float(each.value)
        assert abs(np.mean(inside) - share) <= 2.6 * (share * (1 - share) / 1e6) ** 0.5
    found = modes_of_draws(target, 0.01, np.asarray(made))
    for name, each in found.items():
        holds(each, np.asarray(getattr(known, name).value), 0.02)


@pytest.mark.slow
def test_a_million_particles_in_the_plane():
    means = [[-1.5, 0.0], [1.5, 0.0], [0.0, 2.0]]
    target = ds.GaussianMixture.isotropic([0.3, 0.4, 0.3], means, [0.4, 0.4, 0.3])
    known = realism(target, SCHEDULE)
    made = ds.simulate(
        ds.exact_score(target), SCHEDULE, jax.random.key(5), count=10**6, dim=2
    ).particles
    found = modes_of_draws(target, 0.01, np.asarray(made))
    for name, each in found.items():
        gap = np.abs(np.asarray(each.value) - np.asarray(getattr(known, name).value))
        assert np.all(gap <= np.asarray(each.error) + np.asarray(getattr(known, name).error)), name
    assert known.mode_weights.method == "quadrature"
    log_p = jax.lax.map(lambda x: target.log_density(x, 0.01), made, batch_size=256)
    share = float(np.mean(log_p <= float(known.log_threshold.value)))
    holds(known.valley_mass, share)


@pytest.mark.slow
def test_the_density_in_the_plane_is_that_of_the_gaussian():
    """Equal components in disguise: the same draws, a carried density against a closed form."""
    mean, matrix = [0.2, -0.1], np.array([[0.3, 0.1], [0.1, 0.2]])
    normal = ds.Gaussian(mean, matrix)
    disguise = ds.GaussianMixture([0.4, 0.6], [mean, mean], [matrix, matrix])
    schedule = ds.edm(steps=10, sigma_min=0.05, sigma_max=20.0)
    closed, carried = realism(normal, schedule), realism(disguise, schedule)
    assert closed.kl.method == "closed form"
    assert carried.kl.method == "quadrature"
    for name in ("recall", "curve_precision", "f_8", "f_eighth", "reverse_kl", "valley_mass"):
        one, other = getattr(closed, name), getattr(carried, name)
        gap = np.abs(np.asarray(one.value) - np.asarray(other.value))
        assert np.all(gap <= np.asarray(one.error) + np.asarray(other.error)), name
    np.testing.assert_allclose(
        carried.curve_precision.value, closed.curve_precision.value, atol=1e-6
    )


def test_modes_of_draws_of_the_data_and_a_lost_mode():
    target = ds.GaussianMixture.isotropic([0.2, 0.5, 0.3], [[-3.0, 0], [0, 1], [3.0, 0]], 0.4)
    draws = np.asarray(target.sample(jax.random.key(1), 20000, 0.09))
    found = modes_of_draws(target, 0.09, draws)
    holds(found["mode_weights"], [0.2, 0.5, 0.3], 0.02)
    holds(found["mode_means"], [[-3.0, 0], [0, 1], [3.0, 0]], 0.03)
    holds(found["mode_variances"], 0.25, 0.02)
    lost = modes_of_draws(target, 0.09, draws[draws[:, 0] < 0.5])
    assert np.all(np.isnan(lost["mode_means"].value[2]))
    assert np.all(np.isfinite(lost["mode_means"].value[:2]))


def test_quantiles_hold_the_truth_as_often_as_they_say():
    """400 samples of a uniform law: misses are binomial of at most 1 %, above 12 in 1e-4."""
    random = np.random.default_rng(7)
    found = [quantile(random.random(3000), 0.01) for _ in range(400)]
    misses = sum(not each.low <= 0.01 <= each.high for each in found)
    assert misses <= 12
    assert np.mean([float(each.high - each.low) for each in found]) < 0.012
    few = quantile(random.random(100), 0.001)
    assert few.low == -np.inf


def test_refusals():
    target = ds.Gaussian([0.0, 0.0], np.eye(2))
    for wrong in ({"alpha": 0.0}, {"alpha": 0.6}, {"samples": 100}, {"seed": -1}):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"^{name} = "):
            realism(target, SCHEDULE, **wrong)
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda m: realism(ds.Gaussian.diagonal(m, jnp.ones(1)), SCHEDULE).kl.value)(
            jnp.zeros(1)
        )
    rare = realism(OFF_LINE, SCHEDULE, alpha=1e-8, samples=512)
    assert "take a larger one" in str(rare.valley_mass.reason)

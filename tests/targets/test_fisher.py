"""The Fisher matrix against brute force, and the samplers whose noise is computed from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.optimal.langevin import predictor_corrector
from design_space.optimal.step_variance import information, optimal_variance
from design_space.sampling.steppers import PredictorCorrector
from design_space.schedules.named import edm
from design_space.targets.fisher import fisher_matrices
from design_space.targets.gaussian import Gaussian
from design_space.targets.integrals import mixture_integrals
from design_space.targets.mixture import GaussianMixture

KEY = jax.random.key(0)
LEVELS = np.array([0.05, 0.6, 4.0])
WEIGHTS = np.array([0.2, 0.5, 0.3])
ALONG = np.array([[-1.2, -1.6], [0.3, 0.4], [0.9, 1.2]]) + np.array([-0.4, 0.3])  # on a line
APART = np.array([[-1.0, 0.0], [1.2, 0.3], [0.0, 1.5]])
SHAPES = np.array([[[0.3, 0.1], [0.1, 0.2]], [[0.2, 0.0], [0.0, 0.5]], [[0.4, -0.1], [-0.1, 0.3]]])
ROUND = np.stack([0.09 * np.eye(2)] * 3)


def brute_force(means, covariances, v):
    """J(v) = int grad p grad p^T / p over the plane, by the trapezoid rule."""
    # Spacing 0.05 under standard deviations from 0.37 errs by exp(-2 pi^2 7.4^2); the cut is at
    # 6.5 of the largest.
    side = np.linspace(-16, 16, 641)
    x = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    density, slope = np.zeros(len(x)), np.zeros((len(x), 2))
    for weight, mean, covariance in zip(WEIGHTS, means, covariances, strict=True):
        total = covariance + v * np.eye(2)
        pulled = np.linalg.solve(total, (x - mean).T).T
        part = weight * np.exp(-0.5 * np.sum((x - mean) * pulled, axis=1))
        part /= 2 * np.pi * np.sqrt(np.linalg.det(total))
        density += part
        slope -= part[:, None] * pulled
    inside = density > 1e-200
    scaled = slope[inside] / np.sqrt(density[inside])[:, None]
    return scaled.T @ scaled * (side[1] - side[0]) ** 2


def test_gaussians_in_closed_form():
    basis = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    covariance = basis @ np.diag([0.04, 0.5, 3.0]) @ basis.T
    for target, matrix in (
        (Gaussian(np.ones(3), covariance), covariance),
        (Gaussian.diagonal(np.ones(3), np.array([0.0, 1.0, 2.0])), np.diag([0.0, 1.0, 2.0])),
    ):
        found = fisher_matrices(target, jnp.asarray(LEVELS), KEY, 2)
        truth = np.linalg.inv(matrix + LEVELS[:, None, None] * np.eye(3))
        assert found.method == "closed form"
        np.testing.assert_allclose(found.value, truth, rtol=1e-12, atol=1e-13)


def test_a_mixture_on_a_line_by_quadrature():
    target = GaussianMixture.isotropic(WEIGHTS, ALONG, 0.3)
    found = fisher_matrices(target, jnp.asarray(LEVELS), KEY, 2)
    assert found.method == "quadrature"
    truth = np.array([brute_force(ALONG, ROUND, v) for v in LEVELS])
    np.testing.assert_allclose(found.value, truth, rtol=1e-8, atol=1e-8)
    trace = mixture_integrals(target, jnp.asarray(LEVELS), KEY, 2).fisher_information
    np.testing.assert_allclose(np.trace(found.value, axis1=1, axis2=2), trace.value, rtol=1e-12)


def test_a_mixture_in_the_plane_by_sampling():
    target = GaussianMixture(WEIGHTS, APART, SHAPES)
    found = fisher_matrices(target, jnp.asarray(LEVELS), KEY, 4096)
    assert found.method == "monte carlo"
    truth = np.array([brute_force(APART, SHAPES, v) for v in LEVELS])
    off = np.abs(np.asarray(found.value) - truth)
    assert np.all(off <= 1.6 * found.error)  # 99 % intervals, 2.6 to 4.1 standard errors
    assert np.all(found.error < 0.1 * np.trace(truth, axis1=1, axis2=2)[:, None, None])
    # each draw lies between 0 and 1/v, and so does their mean
    values = np.linalg.eigvalsh(np.asarray(found.value))
    assert np.all(values > 0)
    assert np.all(values < 1 / LEVELS[:, None])


def test_the_information_by_the_best_way():
    levels = jnp.asarray(LEVELS)
    target = Gaussian.diagonal(np.zeros(2), np.array([0.1, 2.0]))
    truth = 1 / (0.1 + LEVELS) + 1 / (2.0 + LEVELS)
    np.testing.assert_allclose(information(target, levels, None, 2), truth, rtol=1e-13)
    line = GaussianMixture.isotropic(WEIGHTS, ALONG, 0.3)
    truth = [np.trace(brute_force(ALONG, ROUND, v)) for v in LEVELS]
    np.testing.assert_allclose(information(line, levels, None, 2), truth, rtol=1e-8)
    sampled = information(GaussianMixture(WEIGHTS, APART, SHAPES), levels, KEY, 64)
    assert np.all(np.asarray(sampled) <= 2 / LEVELS)


def test_songs_corrector_has_the_ratio_that_is_asked_for():
    """snr = |e s| / |sqrt(2 e) z| in mean squares, under the law at the level the step reaches."""
    grid, snr = edm(3, 0.1, 5.0), 0.16
    target = Gaussian.diagonal(np.zeros(2), np.array([0.1, 2.0]))
    made = predictor_corrector(target, grid, snr, 2)
    assert isinstance(made, PredictorCorrector)
    assert made.corrections == 2
    v, e = np.asarray(grid.backward_variances)[1:], np.asarray(made.langevin_steps)
    mean_square_score = 1 / (0.1 + v) + 1 / (2.0 + v)
    np.testing.assert_allclose(np.sqrt(e**2 * mean_square_score / (2 * e * 2)), snr, rtol=1e-13)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda t, g: optimal_variance(t, g, "diagonal"), r"form = 'diagonal': .*full, isotropic"),
        (lambda t, g: predictor_corrector(t, g, 0.0), r"snr = 0\.0: must be .*above 0"),
        (lambda t, g: predictor_corrector(t, g, 0.1, 0), r"corrections = 0: .*at least 1"),
    ],
)
def test_what_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build(Gaussian.isotropic(1, 1.0), edm(2))

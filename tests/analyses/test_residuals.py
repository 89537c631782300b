import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.stats import norm

from analyses import residuals
from design_space.targets.mixture import GaussianMixture

WEIGHTS, MEANS, STDS = np.array([0.3, 0.7]), np.array([-1.0, 1.5]), np.array([0.4, 0.9])
MIXTURE = GaussianMixture.isotropic(WEIGHTS, MEANS[:, None], STDS)
FACTOR = 0.8


def density(x, sigma):
    return np.sum(WEIGHTS * norm.pdf(x, MEANS, np.sqrt(STDS**2 + sigma**2)))


def slope(x, sigma):
    total = STDS**2 + sigma**2
    each = WEIGHTS * norm.pdf(x, MEANS, np.sqrt(total))
    return np.sum(each * (MEANS - x) / total) / np.sum(each)


def score(x, sigma):
    return FACTOR * MIXTURE.score(x, sigma**2)


def line(function, sigma):
    reach = 10 * np.sqrt(STDS.max() ** 2 + sigma**2)
    return quad(
        function, -1 - reach, 1.5 + reach, epsabs=1e-14, epsrel=1e-11, limit=400, points=[-1, 1.5]
    )[0]


@pytest.mark.parametrize("sigma", [0.2, 3.0])
def test_mismatch_least_error_and_entropy_by_quad(sigma):
    information = line(lambda x: density(x, sigma) * slope(x, sigma) ** 2, sigma)
    level = jnp.asarray(sigma)
    found = residuals.mismatch(MIXTURE, score, level)
    np.testing.assert_allclose(found, (FACTOR - 1) ** 2 * information, rtol=1e-9)
    mmse = sigma**2 - sigma**4 * information
    np.testing.assert_allclose(residuals.least_error(MIXTURE, level), mmse, rtol=1e-8)
    entropy = line(lambda x: -density(x, sigma) * np.log(density(x, sigma)), sigma)
    np.testing.assert_allclose(residuals.entropy(MIXTURE, level), entropy, rtol=1e-9)


def test_residual_by_a_double_integral_over_data_and_noise():
    sigma, wanted = 0.7, 0.0
    for weight, mean, std in zip(WEIGHTS, MEANS, STDS, strict=True):

        def integrand(z, u, mean=mean, std=std):
            left = sigma * FACTOR * slope(mean + std * u + sigma * z, sigma) + z
            return left**2 * norm.pdf(u) * norm.pdf(z)

        wanted += weight * dblquad(integrand, -7, 7, -7, 7, epsabs=1e-6, epsrel=1e-6)[0]
    found = residuals.residual(MIXTURE, score, jnp.asarray(sigma))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)  # the tolerance of dblquad


def test_affine_errors_by_brute_force():
    """Gauss-Hermite over data and noise, exact for squares."""
    spread, slopes, sigma = np.array([0.3, 2.0]), np.array([-0.5, -0.1]), 0.8
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    weights = weights / weights.sum()
    residual = mismatch = 0.0
    for lam, a in zip(spread, slopes, strict=True):
        for u, p in zip(nodes, weights, strict=True):
            for z, q in zip(nodes, weights, strict=True):
                x = np.sqrt(lam) * u + sigma * z
                residual += p * q * (sigma * a * x + z) ** 2
                mismatch += p * q * (a * x + x / (lam + sigma**2)) ** 2
    given = (jnp.asarray(spread), jnp.asarray(slopes), jnp.asarray(sigma))
    np.testing.assert_allclose(residuals.affine_residual(*given), residual, rtol=1e-13)
    np.testing.assert_allclose(residuals.affine_mismatch(*given), mismatch, rtol=1e-13)


def test_along_is_the_function_level_by_level():
    sigmas = jnp.array([0.5, 1.0, 2.0, 4.0, 8.0])
    np.testing.assert_array_equal(residuals.along(lambda s: s**2, sigmas), sigmas**2)

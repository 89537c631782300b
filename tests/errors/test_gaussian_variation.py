"""Total variation of Gaussians against quadrature by hand and a closed form."""

import numpy as np
import pytest
from scipy.special import ndtr

from design_space.errors.gaussian_metrics import gaussian_total_variation, line_total_variation


def log_normal(x, mean, variance):
    return -0.5 * ((x - mean) ** 2 / variance + np.log(2 * np.pi * variance))


def brute_variation(log_p, log_q, cell):
    return 0.5 * np.sum(np.abs(np.exp(log_p) - np.exp(log_q))) * cell


def test_variation_of_two_gaussians_on_the_line():
    x = np.linspace(-60, 60, 2_000_001)
    for c, b in [(0.5, 0.3), (-0.6, 0.2), (8.0, -1.0), (0.0, 0.7), (0.3, 0.0), (-0.9, 3.0)]:
        brute = brute_variation(log_normal(x, 0.0, 1.0), log_normal(x, b, 1 + c), x[1] - x[0])
        found = line_total_variation(c, b)
        # kinks leave the trapezoid rule off by about its squared cell, 4e-9
        assert float(found.value) == pytest.approx(brute, abs=1e-8)
        assert found.method == "closed form"


@pytest.mark.parametrize(("c", "b"), [(1e-7, 0.0), (0.0, 1e-6), (-3e-6, 2e-6), (1e-4, 5e-4)])
def test_variation_of_near_gaussians_keeps_its_digits(c, b):
    """To first order (1/2) E |c (z^2 - 1)/2 + b z|; the next order is max(c, b) smaller."""
    z = np.linspace(-12, 12, 4_000_001)
    first = 0.5 * np.sum(np.abs(0.5 * c * (z * z - 1) + b * z) * np.exp(log_normal(z, 0, 1)))
    found = line_total_variation(c, b)
    assert float(found.value) == pytest.approx(first * (z[1] - z[0]), rel=4 * max(abs(c), b) + 1e-9)
    assert float(found.error) <= 1e-12 * float(found.value)
    assert found.method == "quadrature"


def test_variation_of_gaussians_in_more_dimensions():
    random = np.random.default_rng(0)
    shift = np.array([0.6, 0.0, 0.8])
    found = gaussian_total_variation(np.zeros(3), shift, random, 4096)
    assert abs(float(found.value) - (2 * ndtr(0.5) - 1)) <= float(found.error) < 0.02
    x, y = np.meshgrid(np.linspace(-9, 9, 1801), np.linspace(-9, 9, 1801))
    excess, b = np.array([[0.8, 0.3], [0.3, -0.4]]), np.array([0.5, -0.2])
    inverse = np.linalg.inv(np.eye(2) + excess)
    u, v = x - b[0], y - b[1]
    square = inverse[0, 0] * u * u + 2 * inverse[0, 1] * u * v + inverse[1, 1] * v * v
    log_q = -0.5 * square - np.log(2 * np.pi) + 0.5 * np.log(np.linalg.det(inverse))
    log_p = -0.5 * (x * x + y * y) - np.log(2 * np.pi)
    found = gaussian_total_variation(excess, b, random, 4096)
    assert abs(float(found.value) - brute_variation(log_p, log_q, 1e-4)) <= float(found.error)
    far = gaussian_total_variation(np.zeros(2), np.array([40.0, 0.0]), random, 4096)
    assert 1 - float(far.value) <= float(far.error) < 0.01

"""Classical rules on the functions they are exact for."""

import math

import numpy as np
import pytest

from design_space.numerics.quadrature import gauss_hermite, gauss_legendre


@pytest.mark.parametrize("order", [1, 2, 7, 20])
def test_gauss_legendre_is_exact_to_degree_twice_the_order(order):
    nodes, weights = gauss_legendre(order)
    assert nodes.shape == weights.shape == (order,)
    for degree in range(2 * order):
        # int_0^1 x^n dx = 1/(n + 1); rounding of 20 terms
        assert weights @ nodes**degree == pytest.approx(1 / (degree + 1), rel=1e-14)
    degree = 2 * order
    if order < 20:  # there the error, 4^-40, is below rounding
        assert abs(weights @ nodes**degree * (degree + 1) - 1) > 1e-9


@pytest.mark.parametrize("order", [1, 2, 7, 20])
def test_gauss_hermite_gives_normal_moments(order):
    nodes, weights = gauss_hermite(order)
    assert nodes.shape == weights.shape == (order,)
    for degree in range(0, 2 * order, 2):
        moment = math.prod(range(1, degree, 2))  # (n - 1)!!
        # nodes are good to about 1e-15 relative, raised to the power of up to 38
        assert weights @ nodes**degree == pytest.approx(moment, rel=3e-13)
        assert weights @ nodes ** (degree + 1) == pytest.approx(0, abs=1e-12 * max(moment, 1) * 9)


def test_both_converge_on_an_analytic_function():
    nodes, weights = gauss_legendre(12)
    assert weights @ np.exp(nodes) == pytest.approx(math.e - 1, rel=1e-15)
    nodes, weights = gauss_hermite(24)
    assert weights @ np.cos(nodes) == pytest.approx(math.exp(-0.5), rel=1e-14)

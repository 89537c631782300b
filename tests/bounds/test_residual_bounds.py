"""Proposition 1 by hand and on a network of one neuron."""

import numpy as np
import pytest

from design_space.bounds.residual import (
    proposition_1_floor,
    proposition_1_gap,
    proposition_1_large,
    proposition_1_small,
)


def test_by_hand():
    # 2 delta (3 + 2 delta) = 4 at delta = 1/2
    np.testing.assert_allclose(proposition_1_small(4.0, 2.0, 3.0, 1.0), 0.5, rtol=1e-14)
    np.testing.assert_allclose(proposition_1_gap(2.0, 3.0, 4.0, 5.0), 7.25, rtol=1e-14)
    # 2 M^2 - 3 M - 5 = 0 at M = 5/2
    np.testing.assert_allclose(proposition_1_large(2.0, 3.0, 1.0, 5.0), 2.5, rtol=1e-14)
    np.testing.assert_allclose(proposition_1_floor(3.0, 2.0, 0.5), 13.5, rtol=1e-14)


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 4.0])
def test_large_is_where_the_gap_is_epsilon(epsilon):
    level = proposition_1_large(epsilon, 7.0, 0.3, 1.9)
    np.testing.assert_allclose(proposition_1_gap(level, 7.0, 0.3, 1.9), epsilon, rtol=1e-13)


@pytest.mark.parametrize("weight", [-3.0, 0.2, 5.0])
def test_on_one_neuron(weight):
    """S(x, sigma) = w relu(x + sigma), with Lipschitz constant sqrt 2 |w|."""
    x, noise, slope = 0.7, 1.3, np.sqrt(2) * abs(weight)

    def residual(sigma):
        return abs(sigma * weight * max(x + sigma * noise + sigma, 0.0) + noise)

    edge = float(proposition_1_small(0.2, slope, x, noise))
    assert all(residual(edge * share) > noise - 0.2 for share in (0.01, 0.5, 0.999))
    level = float(proposition_1_large(0.2, slope, x, noise))
    limit = abs(weight) * max(noise + 1, 0.0)
    for times in (1.0, 2.0, 50.0):
        sigma = level * times
        assert residual(sigma) >= proposition_1_floor(sigma, limit, 0.2)
        assert abs(residual(sigma) / sigma**2 - limit) <= proposition_1_gap(sigma, slope, x, noise)

"""Brackets of Theorem 3's terms hold the exact terms, where these are known; and for a network."""

import jax
import numpy as np
import pytest

from design_space.errors.brackets import bracketed_terms
from design_space.errors.decomposition import loss_terms
from design_space.schedules.named import edm
from design_space.scores.linear import per_level_affine
from design_space.scores.relu_network import relu_network
from design_space.targets.gaussian import Gaussian
from design_space.training.objective import denoising_data
from design_space.training.population import population_solvable
from design_space.training.solvable import solvable
from design_space.weightings.base import CustomWeighting

SCHEDULE = edm(3, sigma_min=0.2, sigma_max=2.0)
WEIGHTING = CustomWeighting([1.0, 0.5, 0.7])
TARGET = Gaussian([0.5], [[0.25]])
KEY = jax.random.key(2)
DATA = denoising_data(TARGET.sample(KEY, 2), SCHEDULE, WEIGHTING, KEY)
FIELDS = ("train", "generalization", "estimation", "approximation", "excess", "total")


@pytest.mark.parametrize("steps", [0, 20, 3000])
def test_they_hold_the_exact_terms(steps):
    """Two points and two coefficients at each level: interpolated."""
    model = per_level_affine(1, SCHEDULE)
    solution = solvable(model, DATA)
    known = population_solvable(model, TARGET, SCHEDULE, WEIGHTING)
    rate = 0.5 * solution.stability_limit
    exact = loss_terms(solution, known, steps, rate)
    scores = (solution.at(steps, rate), solution.optimum, known.at(100, 0.1))
    found = bracketed_terms(*scores, DATA, TARGET, SCHEDULE, WEIGHTING)
    assert found.residual < 1e-20
    for field in FIELDS:
        bracket, value = getattr(found, field), float(getattr(exact, field).value)
        room = 1e-9 * (1 + value)
        assert float(bracket.low) - room <= value <= float(bracket.high) + room, field


def test_a_network_has_brackets_in_order():
    """In the line, by quadrature: no key is needed."""
    scores = [relu_network(jax.random.key(i), 1, 8, 1) for i in range(3)]
    found = bracketed_terms(*scores, DATA, TARGET, SCHEDULE, WEIGHTING)
    for field in FIELDS:
        bracket = getattr(found, field)
        assert 0 <= float(bracket.low) <= float(bracket.high)
    assert found.total.low >= found.excess.low
    np.testing.assert_array_less(0, found.residual)  # these do not interpolate, and it says so

"""Level sets and masses on the line against what can be written down."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from design_space.numerics.cumulative import Cumulative
from design_space.numerics.grid import Grid
from design_space.numerics.level_sets import LevelSets, level_of_mass, root_near

GRID = Grid(-10.0, 20.0 / 1023, 1024)
X = GRID.points()
EVERYWHERE = np.ones(1024, bool)


def test_masses_are_distribution_functions():
    normal = Cumulative.of(GRID, norm.logpdf(X, 0.3, 0.5))
    x = np.array([-20.0, -3.0, -0.1234, 0.3, 1.7, 20.0])
    # sums of 1024 numbers of total 1 round by 1e-15
    np.testing.assert_allclose(normal(x), norm.cdf(x, 0.3, 0.5), rtol=0, atol=4e-15)
    assert normal.total == pytest.approx(1.0, abs=4e-15)


def test_edges_are_roots_and_turns_are_found():
    """cos has an edge pair within a cell around each turn: nodes alone would miss it."""
    sets = LevelSets.of(GRID, np.cos(2 * X), EVERYWHERE)
    level = 1 - 1e-7
    half = 0.5 * np.arccos(level)  # 2e-4, a hundredth of a cell
    edges = sets.edges(np.array([level]))
    centers = np.pi * np.arange(-3, 4)
    expected = np.sort(np.concatenate([centers - half, centers + half]))
    # a residual of 1e-13 at slope 9e-4 is 1e-10
    np.testing.assert_allclose(edges.places, expected, rtol=0, atol=1e-9)
    assert edges.signs.tolist() == [1.0, -1.0] * 7
    np.testing.assert_allclose(sets.edges(np.array([0.3, 2.0])).which, 0)


def test_masses_on_level_sets_inside_a_window():
    sets = LevelSets.of(GRID, np.sin(X), EVERYWHERE)
    density = Cumulative.of(GRID, norm.logpdf(X))

    def truth(level, window):
        root = np.arcsin(level)
        ends = [(np.pi - root - 2 * np.pi * k, 2 * np.pi + root - 2 * np.pi * k) for k in range(4)]
        total = 0.0
        for low, high in ends:
            a, b = max(low, window[0], -10.0), min(high, window[1], 10.0)
            total += max(0.0, norm.cdf(b) - norm.cdf(a)) if b > a else 0.0
        return total

    levels = np.array([-0.5, 0.0, 0.9])
    for window in ((-np.inf, np.inf), (-1.0, 2.5), (0.0, 0.1)):
        found = sets.masses(levels, (density,), window)[0]
        expected = [truth(level, window) for level in levels]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("mass", [1e-8, 1e-3, 0.6])
def test_the_level_of_a_mass(mass):
    density = Cumulative.of(GRID, norm.logpdf(X))
    sets = LevelSets.of(GRID, norm.logpdf(X), EVERYWHERE)
    expected = norm.logpdf(norm.isf(mass / 2))
    # masses round by 1e-15, which moves the level by 1e-15 / mass
    level = level_of_mass(sets, density, mass)
    assert level == pytest.approx(expected, abs=1e-11 + 1e-14 / mass)


def test_a_root_is_found_from_afar():
    assert root_near(lambda x: x**3 - 5.0, -40.0, 0.1) == pytest.approx(5 ** (1 / 3), abs=1e-11)
    cosine = brentq(lambda x: x - np.cos(x), 0, 1, xtol=1e-15)
    assert root_near(lambda x: x - float(np.cos(x)), 3.0, 0.1) == pytest.approx(cosine, abs=1e-12)

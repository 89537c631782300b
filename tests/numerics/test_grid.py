"""Interpolation, continuation, kernel sums on uniform grids."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import BarycentricInterpolator
from scipy.special import logsumexp

from design_space.numerics import grid as g

SIZE = 512


def grid_on(low, high):
    return g.Grid(low, (high - low) / (SIZE - 1), SIZE)


def test_covering():
    grid = g.Grid.covering(-2.0, 3.0, 0.01, 10_000)
    points = grid.points()
    assert grid.size == g.LEAST
    assert points[0] == -2.0
    assert points[-1] == pytest.approx(3.0, rel=1e-14)
    assert np.max(np.diff(points)) <= 0.01
    fine = g.Grid.covering(-2.0, 3.0, 0.001, 10_000)
    assert fine.size == 16 * g.LEAST  # 5000 cells do not fit in 4 * 1024
    assert fine.spacing <= 0.001
    assert fine.end == pytest.approx(3.0, rel=1e-14)
    with pytest.raises(ValueError, match=r"grid size = 5e\+03: must be below 4000; .*more noise"):
        g.Grid.covering(-2.0, 3.0, 0.001, 4000)


def test_shifts_weigh_the_polynomial_through_twelve_points():
    fractions = np.array([0.0, 1e-9, 0.25, 0.5, 0.999])
    band = g.shift_band(fractions - 2, 8)
    nodes = np.arange(g.STENCIL) - (g.STENCIL // 2 - 1)
    weights = band[:, nodes - 2 + 8]
    twin = BarycentricInterpolator(nodes, np.eye(g.STENCIL))(fractions)
    np.testing.assert_allclose(weights, twin, atol=1e-14)
    np.testing.assert_array_equal(weights[0], np.eye(g.STENCIL)[g.STENCIL // 2 - 1])
    assert np.count_nonzero(band) == np.count_nonzero(weights)


def test_interpolation_is_exact_for_polynomials_of_degree_eleven():
    grid = grid_on(-1.0, 1.0)
    coefficients = np.random.default_rng(0).normal(size=12)
    x = np.random.default_rng(1).uniform(-0.97, 0.97, 400)  # six cells from either end
    values = g.interpolate(grid, np.polyval(coefficients, grid.points()), x)
    # rounding of values of size 5, times a Lebesgue constant of 3 in the middle cell
    np.testing.assert_allclose(values, np.polyval(coefficients, x), atol=2e-14)


def test_interpolation_is_of_order_twelve():
    x = np.random.default_rng(1).uniform(-1, 1, 400)
    errors = []
    for half in (20.0, 40.0):  # spacings 0.078 and 0.157
        grid = grid_on(-half, half)
        values = g.interpolate(grid, np.sin(6 * grid.points()), x)
        errors.append(np.max(np.abs(values - np.sin(6 * x))))
    order = np.log2(errors[1] / errors[0])
    assert 11.3 < order < 12.5  # the leading term is h^12, the next of relative size (6 h)^2


def test_interpolation_hits_grid_points():
    grid = grid_on(0.0, 511.0)
    values = np.random.default_rng(0).normal(size=SIZE)
    np.testing.assert_array_equal(g.interpolate(grid, values, grid.points()), values)


def test_parabolas_are_continued_exactly():
    grid = grid_on(-1.0, 4.0)

    def parabola(x):
        return 2 - 3 * x - 50 * x**2

    values = parabola(grid.points())
    x = np.concatenate([np.linspace(-300.0, -1.0, 200), np.linspace(4.0, 300.0, 200)])
    # second differences of values of size 800, of size 0.4 over 8 cells, good to 1e-13 / 0.4
    np.testing.assert_allclose(g.interpolate(grid, values, x), parabola(x), rtol=3e-11)
    longer = g.extended(values, 20)
    far = -1.0 + grid.spacing * (np.arange(SIZE + 40) - 20)
    np.testing.assert_allclose(longer, parabola(far), rtol=1e-12, atol=1e-10)


def test_shifted_values_are_interpolated_values():
    grid = grid_on(0.0, 511.0)
    values = -((grid.points() - 200) ** 2) / 5000 + np.sin(grid.points() / 9) * np.exp(
        -(((grid.points() - 256) / 45) ** 2)
    )
    shifts = np.array([-14.0, -3.25, -1e-9, 0.0, 0.5, 2.0, 13.9])
    padded, band = g.extended(values, 20), g.shift_band(shifts, 20)
    moved = g.shifted_values(jnp.asarray(padded), jnp.asarray(band))
    assert moved.shape == (7, SIZE)
    inside = slice(30, -30)
    for shift, row in zip(shifts, np.asarray(moved), strict=True):
        direct = g.interpolate(grid, values, grid.points() + shift)
        np.testing.assert_allclose(row[inside], direct[inside], atol=1e-13)
        # at the ends the values are a parabola but for exp(-31) = 4e-14, which both continue
        np.testing.assert_allclose(row, direct, atol=1e-11)


def test_derivatives_are_of_second_order():
    x = np.linspace(0.0, 1.0, SIZE)
    values, h = np.sin(3 * x), float(x[1] - x[0])
    inside = slice(1, -1)
    # h^2 f'''/6 and h^2 f''''/12
    slopes, curvatures = g.slopes(values, h), g.curvatures(values, h)
    np.testing.assert_allclose(slopes[inside], 3 * np.cos(3 * x)[inside], atol=27 * h**2 / 5)
    np.testing.assert_allclose(curvatures[inside], -9 * np.sin(3 * x)[inside], atol=81 * h**2 / 11)
    assert slopes.shape == curvatures.shape == (SIZE,)


def dense_log_sum(y, centers, log_masses, variance):
    distance = y[:, None] - centers[None, :]
    constant = 0.5 * np.log(2 * np.pi * variance)
    return logsumexp(log_masses[None, :] - distance**2 / (2 * variance), axis=1) - constant


U = np.linspace(-1.0, 1.0, 4 * g.TILE)
CENTERS = {
    "ascending": 5 * U,
    "descending": -5 * U,
    "folding": 5 * (2 * U**3 - U),
    "constant": 0.3 + 0 * U,
    "random": 5 * np.random.default_rng(0).normal(size=U.size),
}


@pytest.mark.parametrize("variance", [1e-4, 0.01, 4.0])
@pytest.mark.parametrize("name", CENTERS)
def test_kernel_sum_is_the_dense_sum(name, variance):
    y = np.linspace(-7.0, 7.0, 8 * g.TILE)
    centers = CENTERS[name]
    log_masses = -30 * U**2 + np.sin(9 * U)
    reach = 12.0
    sums = g.kernel_sum(y, centers, log_masses, variance, reach)
    truth = dense_log_sum(y, centers, log_masses, variance)
    near = np.min(np.abs(y[:, None] - centers[None, :]), axis=1) < 4 * np.sqrt(variance)
    assert near.any()
    # what lies beyond 12 standard deviations is below exp(-72 + 8 + 31) of the nearest center
    np.testing.assert_allclose(sums[near], truth[near], rtol=1e-12, atol=1e-12)
    assert np.all(sums <= truth + 1e-12)


def test_kernel_sum_far_away_is_minus_infinity_and_empty_masses_do_not_count():
    centers, y = np.linspace(0.0, 1.0, 4 * g.TILE), np.linspace(0.0, 5000.0, 8 * g.TILE)
    masses = np.full(4 * g.TILE, -np.inf)
    masses[3] = 2.0
    sums = g.kernel_sum(y, centers, masses, 0.01, 10.0)
    truth = 2 - 0.5 * (y[0] - centers[3]) ** 2 / 0.01 - 0.5 * np.log(2 * np.pi * 0.01)
    assert sums[0] == pytest.approx(float(truth), rel=1e-14)
    assert np.all(np.isneginf(sums[1:]))

"""Splines, convolutions and kernel sums in the plane against Gaussians in closed form."""

import numpy as np
import pytest

from design_space.numerics.plane_grid import (
    PlaneGrid,
    band,
    blurred,
    in_chunks,
    kernel_sum_on,
    spline,
)

COVARIANCE = np.array([[0.5, 0.3], [0.3, 0.4]])
MEAN = np.array([0.1, 0.2])
NONE = np.zeros((2, 2))
MOST = 1 << 20


def gaussian(x, covariance=COVARIANCE):
    z = x - MEAN
    form = np.einsum("ni,ij,nj->n", z, np.linalg.inv(covariance), z)
    return np.exp(-0.5 * form) / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))


def on_grid(covariance=COVARIANCE, share=0.2, reach=8.5):
    """A grid of `share` of the least standard deviation, and the Gaussian on it."""
    spread = reach * np.sqrt(np.diag(covariance))
    spacing = np.full(2, share * np.linalg.eigvalsh(covariance)[0] ** 0.5)
    grid = PlaneGrid.covering(MEAN - spread, MEAN + spread, spacing, MOST)
    return grid, gaussian(grid.points(), covariance).reshape(grid.size)


def test_a_spline_of_degree_9():
    """Its error is about 105 * 9 * 2 (share / 2 pi)^10 of the maximum: halving divides by 1024."""
    x = MEAN + np.random.default_rng(0).normal(size=(5000, 2))
    errors = []
    for share in (0.4, 0.2):
        grid, values = on_grid(share=share)
        found = spline(grid, values)(x)
        errors.append(np.max(np.abs(found - gaussian(x))) / np.max(values))
    assert errors[1] < 4e-12
    assert 400 < errors[0] / errors[1] < 4000


def test_a_spline_goes_through_its_values_and_is_zero_outside():
    grid, values = on_grid()
    between = spline(grid, values)
    np.testing.assert_allclose(between(grid.points()), values.ravel(), atol=1e-13)
    assert between(np.array([[50.0, 0.0], [0.0, -50.0]])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "noise",
    [
        NONE,
        1e-8 * np.eye(2),  # a thousandth of the spacing
        0.3 * np.eye(2),
        40.0 * np.eye(2),
        np.array([[0.3, 0.1], [0.1, 0.05]]),
        np.array([[3e-4, 1e-4], [1e-4, 5e-5]]),
    ],
)
def test_convolution_with_a_gaussian_onto_another_grid(noise):
    grid, values = on_grid()
    out, expected = on_grid(COVARIANCE + noise, 0.31)
    found = blurred(grid, values, noise, out)
    # Rounding of sums of ten thousand terms.
    np.testing.assert_allclose(found, expected, atol=3e-14 * np.max(expected))


def test_a_sum_of_kernels_is_a_convolution():
    grid, values = on_grid(share=0.25)
    noise = 0.3 * np.eye(2)
    out, expected = on_grid(COVARIANCE + noise)
    found = kernel_sum_on(out, grid.points(), values.ravel() * grid.cell, 0.3)
    np.testing.assert_allclose(found, expected, atol=1e-14 * np.max(expected))


def test_the_band_of_a_gaussian():
    """Its transform exp(-k^T C k / 2) is exp(-depth) at most up to sqrt(2 depth C^-1_aa)."""
    depth, noise = 20.0, np.array([[0.2, -0.1], [-0.1, 0.3]])
    grid, values = on_grid(share=0.2)
    for added in (NONE, noise):
        found = band(grid, values, added, depth)
        expected = np.sqrt(2 * depth * np.diag(np.linalg.inv(COVARIANCE + added)))
        cell = 2 * np.pi / (np.array(grid.size) * np.array(grid.spacing))
        assert np.all(np.abs(found.limits - expected) <= 1.5 * cell)
        assert np.all(found.resolved)
    assert not np.any(band(*on_grid(share=0.9), NONE, depth).resolved)


def test_grids_of_too_many_points_are_refused():
    ends = np.array([-1.0, -1.0]), np.array([1.0, 1.0])
    with pytest.raises(ValueError, match=r"grid size = .*must be at most"):
        PlaneGrid.covering(*ends, np.full(2, 1e-4), MOST)
    grid = PlaneGrid.covering(*ends, np.full(2, 0.13), MOST)
    assert grid.origin[0] <= -1
    assert grid.end[1] >= 1
    assert grid.points().shape == (grid.size[0] * grid.size[1], 2)


@pytest.mark.parametrize("rows", [1, 4096, 5000])
def test_chunks_make_the_whole(rows):
    x = np.arange(2.0 * rows).reshape(rows, 2)
    first, second = in_chunks(lambda a: (a[:, 0] + 1, 2 * a), (x,))
    np.testing.assert_array_equal(first, x[:, 0] + 1)
    np.testing.assert_array_equal(second, 2 * x)

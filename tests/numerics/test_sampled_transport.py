"""Transport between samples: POT against assignment and sorting, intervals against closed forms."""

import importlib

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from design_space.numerics.centered import root_of_square
from design_space.numerics.estimate import Estimate
from design_space.numerics.sliced import (
    empirical_sliced_w2_squared,
    gaussian_sliced_w2_squared,
    sampled_sliced_w2_squared,
    uniform_directions,
)
from design_space.numerics.transport_samples import empirical_w2_squared, sampled_w2_squared

CASES = {"equal": (1.0, 0.0), "near": (1.1, 0.1), "wide": (1.5, 0.0), "narrow": (0.6, 0.0)}


def draws(dim, case, seed, count=2048):
    std, shift = CASES[case]
    random = np.random.default_rng(seed)
    x, y = random.standard_normal((2, count, dim))
    return x, shift + std * y


def true_w2_squared(dim, case):
    std, shift = CASES[case]
    return dim * (shift**2 + (1 - std) ** 2)


def test_exact_transport_is_an_assignment_and_on_the_line_a_sorting():
    x, y = draws(3, "wide", 1, 200)
    costs = cdist(x, y, "sqeuclidean")
    rows, columns = linear_sum_assignment(costs)
    assert empirical_w2_squared(x, y) == pytest.approx(costs[rows, columns].mean(), rel=1e-12)
    x, y = x[:, :1], y[:, :1]
    by_sorting = np.mean((np.sort(x, axis=0) - np.sort(y, axis=0)) ** 2)
    assert empirical_w2_squared(x, y) == pytest.approx(by_sorting, rel=1e-12)
    sliced = empirical_sliced_w2_squared(x, y, np.array([[1.0], [-1.0]]))
    assert sliced == pytest.approx(by_sorting, rel=1e-12)


def test_unequal_samples_by_repeating_points():
    """Three points against two: six atoms of mass 1/6 each, solved as an assignment."""
    x, y = np.array([[0.0], [1.0], [5.0]]), np.array([[2.0], [3.0]])
    many_x, many_y = np.repeat(x, 2, axis=0), np.repeat(y, 3, axis=0)
    expected = np.mean((np.sort(many_x, axis=0) - np.sort(many_y, axis=0)) ** 2)
    assert empirical_w2_squared(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 5])
@pytest.mark.parametrize("case", CASES)
def test_intervals_hold_the_distances_of_gaussians(dim, case):
    x, y = draws(dim, case, seed=10 + dim)
    true = true_w2_squared(dim, case)
    found = sampled_w2_squared(x, y)
    assert abs(float(found.value) - true) <= float(found.error)
    # In 1, 2, 5 dimensions the interval stays below these lengths, where the squares reach 1.25.
    assert float(found.error) < 0.1 + 0.1 * dim + 0.3 * true
    sliced = sampled_sliced_w2_squared(x, y, np.random.default_rng(dim))
    # N(0, I) and N(b, s^2 I) cast shadows of the same kind in every direction.
    assert abs(float(sliced.value) - true / dim) <= float(sliced.error)
    assert float(sliced.error) < 0.05 + 0.5 * true / dim


@pytest.mark.slow
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_transport_intervals_cover_as_often_as_they_say(dim):
    """99 % are promised. Of 160 at most 7 may miss: more have a chance below 1e-3 (binomial)."""
    missed, missed_sliced = 0, 0
    for case in CASES:
        for seed in range(40):
            x, y = draws(dim, case, seed=500 + seed, count=1024)
            true, found = true_w2_squared(dim, case), sampled_w2_squared(x, y)
            missed += abs(float(found.value) - true) > float(found.error)
            sliced = sampled_sliced_w2_squared(x, y, np.random.default_rng(seed))
            missed_sliced += abs(float(sliced.value) - true / dim) > float(sliced.error)
    assert missed <= 7
    assert missed_sliced <= 7


def test_the_plug_in_is_too_large_and_the_centered_distance_is_not():
    """Equal laws in five dimensions: the plug-in is off by far more than the interval."""
    x, y = draws(5, "equal", seed=3)
    assert empirical_w2_squared(x[:128], y[:128]) > 1.0
    found = sampled_w2_squared(x, y)
    assert abs(float(found.value)) <= float(found.error) < 0.6


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_sliced_distance_of_gaussians_against_brute_force(dim):
    random = np.random.default_rng(7)
    a, c = (m @ m.T + 0.1 * np.eye(dim) for m in random.standard_normal((2, dim, dim)))
    b = random.standard_normal(dim)
    found = gaussian_sliced_w2_squared(b, a, c, np.random.default_rng(8))
    u = uniform_directions(np.random.default_rng(9), 400_000, dim)
    stds = [np.sqrt(np.sum((u @ m) * u, axis=1)) for m in (a, c)]
    each = (u @ b) ** 2 + (stds[0] - stds[1]) ** 2
    # 4.5 standard errors of the brute force, whose directions are others.
    slack = 4.5 * each.std() / len(u) ** 0.5
    assert abs(float(found.value) - each.mean()) <= float(found.error) + slack + 1e-12
    assert found.method == {1: "closed form", 2: "quadrature", 4: "monte carlo"}[dim]
    if dim == 2:
        angles = np.linspace(0, np.pi, 7001)[:-1]
        u = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        stds = [np.sqrt(np.sum((u @ m) * u, axis=1)) for m in (a, c)]
        exact = np.mean((u @ b) ** 2 + (stds[0] - stds[1]) ** 2)
        assert float(found.value) == pytest.approx(exact, rel=1e-10)


def test_roots_of_squares_that_may_be_negative():
    def root(value, error):
        return root_of_square(Estimate(jnp.asarray(value), jnp.asarray(error), "monte carlo"))

    far, near, below = root(4.0, 0.4), root(-0.01, 0.05), root(-0.2, 0.1)
    # sqrt(3.6) = 1.897 is farther from 2 than sqrt(4.4) = 2.098 is.
    assert (float(far.value), float(far.error)) == pytest.approx((2.0, 2 - 3.6**0.5))
    assert (float(near.value), float(near.error)) == pytest.approx((0.0, 0.2))
    assert below.method == "unavailable"
    assert "below 0" in str(below.reason)


def test_a_missing_library_is_named_with_its_remedy(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ValueError, match=r'pip install "design-space\[transport\]"'):
        empirical_w2_squared(np.zeros((2, 1)), np.ones((2, 1)))


@pytest.mark.parametrize(
    ("x", "y", "field"),
    [
        (np.zeros((10, 1)), np.zeros((10, 1)), "len.x."),
        (np.zeros((200, 1)), np.zeros((100, 1)), "len.y."),
        (np.zeros((200, 1)), np.zeros((200, 2)), "y.shape"),
    ],
)
def test_refusals(x, y, field):
    with pytest.raises(ValueError, match=field):
        sampled_w2_squared(x, y)

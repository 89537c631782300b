"""Drawn networks: their law, and perturbations against brute force."""

import itertools

import jax
import numpy as np
import pytest
from scipy import special, stats

from analyses import initial_networks
from analyses.initial_networks import drawn, leaving, shifts


@pytest.mark.parametrize("width", [8, 16])
def test_one_layer_is_a_mixture_of_chi_squares(width):
    epsilon = np.array([0.2, 0.7])
    low, high = leaving(width, 1, epsilon)
    exact = np.zeros(2)
    for kept in range(width + 1):
        law = stats.chi2(kept) if kept else stats.uniform(0, 1e-300)
        ends = width * (1 - epsilon) ** 2 / 2, width * (1 + epsilon) ** 2 / 2
        exact += special.comb(width, kept) / 2**width * (law.cdf(ends[0]) + law.sf(ends[1]))
    # A cell of the grid lies on both sides.
    assert np.all(low <= exact + 1e-12)
    assert np.all(exact <= high)
    assert np.all(high - low < 0.02)


def test_products_of_layers_are_counted():
    random, width = np.random.default_rng(0), 8
    kept = random.binomial(width, 0.5, size=(3, 200_000))
    squares = 2 / width * np.where(kept > 0, random.chisquare(np.maximum(kept, 1)), 0.0)
    off = np.abs(np.sqrt(np.prod(squares, axis=0)) - 1)
    low, high = leaving(width, 3, np.array([0.3, 0.9]))
    for i, epsilon in enumerate((0.3, 0.9)):
        assert low[i] - 0.006 < np.mean(off > epsilon) < high[i] + 0.006  # five deviations


def test_networks_are_drawn_as_the_paper_draws_them():
    given = drawn(0, 40, 5, 30, 2)
    variances = [np.var(w) for w in (given.networks.first, *given.networks.hidden)]
    np.testing.assert_allclose(variances, 2 / 30, rtol=0.1)
    np.testing.assert_allclose(np.var(given.networks.last), 1 / 5, rtol=0.1)
    assert np.all(np.abs(np.linalg.norm(given.points, axis=1) / 5**0.5 - 1) <= 0.5)
    for start in given.starts:
        np.testing.assert_array_equal(start @ start.swapaxes(1, 2), np.tile(np.eye(30), (40, 1, 1)))


def test_no_direction_moves_one_layer_further_than_the_worst():
    given = drawn(1, 3, 2, 6, 1)
    along, worst = shifts(given, np.full(3, 1e-3))
    for i in range(3):
        network = jax.tree.map(lambda leaf, i=i: leaf[i], given.networks)
        q = network.outputs(given.points[i], given.sigmas[i])
        # To first order it moves by D V q_0, D being the neurons that are on: by omega |q_0|.
        assert worst[i] == pytest.approx(1e-3 * np.linalg.norm(q[0]), rel=1e-6)
    assert np.all(along <= worst)


def test_many_directions_of_two_layers_stay_below_the_worst():
    given = drawn(2, 1, 2, 3, 2)
    omega = 1e-4
    worst = shifts(given, np.array([omega]))[1][0]
    network = jax.tree.map(lambda leaf: leaf[0], given.networks)
    point = given.points[0], given.sigmas[0]
    before = np.asarray(network.outputs(*point)[-1])
    random, most = np.random.default_rng(0), 0.0
    q0, q1 = (np.asarray(q) for q in network.outputs(*point)[:2])
    for _ in range(300):
        ends = random.normal(size=(2, 3))
        moves = [
            omega * np.outer(b / np.linalg.norm(b), q / max(np.linalg.norm(q), 1e-300))
            for b, q in zip(ends, (q0, q1), strict=True)
        ]
        moved = network.with_weights(
            tuple(w + a for w, a in zip(network.weights(), moves, strict=True))
        )
        most = max(most, np.linalg.norm(np.asarray(moved.outputs(*point)[-1]) - before))
    assert 0.8 * worst < most <= worst * (1 + 1e-6)


def test_norms_of_drawn_networks_keep_the_size_of_the_input():
    norms = np.asarray(initial_networks.drawn_norms(jax.random.key(0), 1024, 16, 1))
    assert norms.shape == (1024, 2)
    for layer, squares in itertools.product((0, 1), (norms**2,)):
        assert abs(squares[:, layer].mean() - 1) < 0.15  # five deviations of a product of two

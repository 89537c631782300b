"""Scores on a table and in bins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from score_contract import SIGMAS, ScoreContract

from design_space.scores.binned import binned
from design_space.scores.exact import exact_score
from design_space.scores.tabulated import tabulated_score
from design_space.targets.mixture import GaussianMixture

TARGET = GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], 0.3)
NODES = np.stack([np.sinh(np.linspace(-2, 2, 7)) * (1 + s) for s in SIGMAS])
DEVIATIONS = np.cos(NODES)
EDGES = np.array([[-1.0, 0.0, 2.0], [-0.5, 0.0, 0.5], [-3.0, 1.0, 1.5]])  # by ascending level
THETA = np.arange(12.0).reshape(3, 4)


def pchip_slope(left, middle, right, one, two):
    """Fritsch and Butland's slope at an inner node: widths, then differences."""
    if one * two <= 0:
        return 0.0
    h0, h1 = middle - left, right - middle
    return 3 * (h0 + h1) / ((2 * h1 + h0) / one + (h1 + 2 * h0) / two)


class TestTabulated(ScoreContract):
    dim = 1

    def make(self):
        return tabulated_score(exact_score(TARGET), SIGMAS, NODES, DEVIATIONS)

    def twin(self, x, sigma):
        base = np.asarray(jax.vmap(lambda y: TARGET.score(y, sigma**2))(jnp.asarray(x)))
        j = int(np.argmin(np.abs(SIGMAS - sigma)))
        off = [deviation(NODES[j], DEVIATIONS[j], y) for y in x[:, 0]]
        return base - np.array(off)[:, None] / sigma


def deviation(nodes, values, y):
    """The cubic with the values and slopes of the two nodes around y, in the inner cells."""
    y = min(max(y, nodes[0]), nodes[-1])
    i = min(max(int(np.searchsorted(nodes, y, side="right")) - 1, 0), len(nodes) - 2)
    rates = np.diff(values) / np.diff(nodes)
    slopes = [end_slope(nodes, rates, 0)]
    slopes += [
        pchip_slope(*nodes[k - 1 : k + 2], rates[k - 1], rates[k]) for k in range(1, len(nodes) - 1)
    ]
    slopes.append(end_slope(nodes, rates, -1))
    cubic = np.linalg.solve(
        [[1, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0], [0, 1, 2, 3]],
        [values[i], values[i + 1], *(slopes[k] * (nodes[i + 1] - nodes[i]) for k in (i, i + 1))],
    )
    return cubic @ ((y - nodes[i]) / (nodes[i + 1] - nodes[i])) ** np.arange(4)


def end_slope(nodes, rates, end):
    """Of the parabola through three points, kept monotone."""
    widths = np.diff(nodes)
    near, far = (0, 1) if end == 0 else (-1, -2)
    h0, h1, one, two = widths[near], widths[far], rates[near], rates[far]
    slope = ((2 * h0 + h1) * one - h0 * two) / (h0 + h1)
    if slope * one <= 0:
        return 0.0
    return 3 * one if one * two <= 0 and abs(slope) > 3 * abs(one) else slope


def test_a_table_is_met_at_its_nodes_constant_beyond_and_nan_elsewhere():
    score = TestTabulated().make()
    for j, sigma in enumerate(SIGMAS):
        places = np.concatenate([NODES[j], [NODES[j, 0] - 5, NODES[j, -1] + 5]])
        values = np.concatenate([DEVIATIONS[j], DEVIATIONS[j][[0, -1]]])
        for x, d in zip(places, values, strict=True):
            point = jnp.array([x])
            exact = TARGET.score(point, sigma**2)[0]
            assert -sigma * float(score(point, sigma)[0] - exact) == pytest.approx(d, abs=1e-11)
    assert np.isnan(float(score(jnp.zeros(1), 0.51)[0]))
    assert np.isfinite(float(score(jnp.zeros(1), 0.5 * (1 + 1e-12))[0]))


@pytest.mark.parametrize(
    ("sigmas", "nodes", "deviations", "field"),
    [
        ([1.0, 0.0], NODES[:2], DEVIATIONS[:2], "sigmas"),
        ([1.0], NODES[:2], DEVIATIONS[:2], "deviations"),
        ([1.0, 2.0], NODES[:2], DEVIATIONS[:2, :3], "deviations"),
        ([1.0], NODES[:1, ::-1], DEVIATIONS[:1], "nodes"),
        ([1.0], NODES[:1, :1], DEVIATIONS[:1, :1], "deviations"),
    ],
)
def test_tables_that_are_none_are_refused(sigmas, nodes, deviations, field):
    with pytest.raises(ValueError, match=field):
        tabulated_score(exact_score(TARGET), sigmas, nodes, deviations)


class TestBinned(ScoreContract):
    dim = 1

    def make(self):
        return binned(SIGMAS[::-1], EDGES, weights=THETA)

    def twin(self, x, sigma):
        j = int(np.argmin(np.abs(SIGMAS[::-1] - sigma)))
        bins = [sum(edge <= y for edge in EDGES[j]) for y in x[:, 0]]
        return THETA[j, bins][:, None]


def test_a_binned_model_is_linear_and_knows_its_bends():
    model = binned(SIGMAS[::-1], EDGES)
    assert model.is_linear
    assert model.level_blocks == 3
    assert model.weights()[0].shape == (1, 12)
    np.testing.assert_array_equal(model.kinks(0.5), EDGES[1])
    assert np.isnan(float(model(jnp.zeros(1), 0.51)[0]))


@pytest.mark.parametrize(
    ("levels", "edges", "weights", "field"),
    [
        ([2.0, 1.0], EDGES[:2], None, "sigmas"),
        ([1.0, 2.0], EDGES, None, "edges"),
        ([1.0], [[1.0, 0.0]], None, "edges"),
        ([1.0], [[0.0, 1.0]], [[1.0, 2.0]], "weights"),
    ],
)
def test_bins_that_are_none_are_refused(levels, edges, weights, field):
    with pytest.raises(ValueError, match=field):
        binned(levels, edges, weights=weights)

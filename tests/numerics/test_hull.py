"""Which points lie in a convex hull, against weights that are known."""

import numpy as np
import pytest

from design_space.numerics.hull import inside_hull


@pytest.mark.parametrize(("rank", "dim"), [(2, 2), (3, 5), (6, 6), (5, 9)])
def test_means_of_vertices_are_inside_and_reflections_are_not(rank, dim):
    random = np.random.default_rng(rank)
    flat = random.normal(size=(rank, dim))
    vertices = random.normal(size=(rank + 3, rank)) @ flat + 2.0
    weights = random.dirichlet(np.ones(len(vertices)), 50)
    inside = weights @ vertices
    assert np.all(inside_hull(inside, vertices))
    # along any direction nothing inside lies beyond the furthest vertex
    directions = random.normal(size=(50, rank)) @ flat
    heights = directions @ vertices.T
    beyond = vertices[np.argmax(heights, axis=1)] + 1e-3 * directions
    assert not np.any(inside_hull(beyond, vertices))


def test_points_beside_the_flat_count_as_their_projection():
    vertices = np.array([[-1.0, 0.0, 1.0], [2.0, 0.0, 1.0]])
    points = np.array([[0.0, 5.0, -3.0], [2.1, 0.0, 1.0], [-1.0, 9.0, 9.0]])
    assert inside_hull(points, vertices).tolist() == [True, False, True]
    triangle = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    above = np.array([[0.2, 0.2, 7.0], [0.6, 0.6, 0.0]])
    assert inside_hull(above, triangle).tolist() == [True, False]


def test_one_point_has_nothing_inside():
    same = np.full((3, 2), 0.7)
    assert not np.any(inside_hull(same, same))

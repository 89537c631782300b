"""Lemma 6 by hand."""

import numpy as np

from design_space.bounds.perturbation import lemma_6, lemma_6_radius, lemma_6_sharper

WIDTH = float(np.exp(4.0))  # log m = 4


def test_radius():
    # 4^{9/2} = 512, (log m)^3 = 64, sqrt 9 = 3
    np.testing.assert_allclose(lemma_6_radius(4, WIDTH, 9), 1 / (512 * 64 * 3), rtol=1e-14)
    np.testing.assert_allclose(lemma_6_radius(1, WIDTH, 1, 5.0), 1 / 320, rtol=1e-14)


def test_moves():
    # 4^{5/2} = 32, sqrt(log m) = 2, sqrt 9 = 3; 4^{3/2} = 8
    np.testing.assert_allclose(lemma_6(0.1, 4, WIDTH, 9), 19.2, rtol=1e-14)
    np.testing.assert_allclose(lemma_6(0.1, 4, WIDTH, 9, 0.5), 9.6, rtol=1e-14)
    np.testing.assert_allclose(lemma_6_sharper(0.1, 4, 3.0), 4.8, rtol=1e-14)


def test_one_layer_moves_by_the_norm_of_its_input():
    """|W' q - W q| = omega |q| along q: the sharper order with constant 1 is attained."""
    random = np.random.default_rng(0)
    matrix, q = random.normal(size=(6, 4)), random.normal(size=4)
    along = np.outer(random.normal(size=6), q)
    moved = matrix + 0.3 * along / np.linalg.norm(along, 2)
    size = np.linalg.norm(q)
    np.testing.assert_allclose(
        np.linalg.norm(moved @ q - matrix @ q), lemma_6_sharper(0.3, 1, size, 1.0), rtol=1e-12
    )

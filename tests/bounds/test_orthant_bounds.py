"""Lemmas 2 and 3 and Proposition 2 against integrals in high precision."""

import numpy as np
import pytest
from reference.precision import mp

from design_space.bounds.orthant import (
    cap_bound,
    cap_bound_sharp,
    cap_rate,
    lemma_2,
    lemma_3,
    proposition_2,
)

CAPS = [(0.3, 2), (1.2, 3), (0.785, 40), (0.1, 25), (1.5, 300)]


def cap(q, dim):
    """The density sin(t)^{d-2} of the angle, integrated."""
    density = lambda t: mp.sin(t) ** (dim - 2)  # noqa: E731
    # mp.quad needs short pieces where sin^{d-2} is steep
    pieces = [mp.mpf(q) * k / 8 for k in range(9)]
    return mp.quad(density, pieces) / mp.quad(density, mp.linspace(0, mp.pi, 33))


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2, 2.9, np.pi])
def test_lemma_2_counts_directions_in_the_plane(angle):
    turns = (np.arange(200_000) + 0.5) * 2 * np.pi / 200_000
    both = (np.cos(turns) >= 0) & (np.cos(turns - angle) >= 0)
    np.testing.assert_allclose(lemma_2(angle), both.mean(), atol=2e-5)  # two edges, one turn each


@pytest.mark.parametrize(("q", "dim"), CAPS)
def test_lemma_3_is_the_integral_of_the_density(q, dim):
    np.testing.assert_allclose(lemma_3(q, dim), float(cap(q, dim)), rtol=1e-11)


def test_lemma_3_by_hand():
    np.testing.assert_allclose(lemma_3(np.pi / 4, 2), 0.25, rtol=1e-14)  # a quarter of the circle
    np.testing.assert_allclose(lemma_3(np.pi / 3, 3), 0.25, rtol=1e-14)  # (1 - cos q)/2
    np.testing.assert_allclose(lemma_3(np.pi / 2, 7), 0.5, rtol=1e-14)


@pytest.mark.parametrize(("q", "dim"), CAPS)
def test_cap_bounds_hold(q, dim):
    exact = float(cap(q, dim))
    assert exact <= cap_bound(q, dim)
    assert exact <= cap_bound_sharp(q, dim)


def test_cap_bounds_are_tight():
    np.testing.assert_allclose(cap_bound(np.pi / 2, 9), 0.5, rtol=1e-14)
    # The next order of the ratio is tan(q)^2/d.
    np.testing.assert_allclose(cap_bound_sharp(0.5, 400) / float(cap(0.5, 400)), 1, atol=1e-3)


def test_the_rate_of_the_lemma():
    np.testing.assert_allclose(cap_rate(np.pi / 4), np.log(2) / 2, rtol=1e-14)


@pytest.mark.parametrize(("radius", "q", "dim"), [(1.0, 0.6, 2), (2.5, 1.2, 5), (0.7, 0.2, 3)])
def test_proposition_2_is_the_integral_of_the_gaussian_density(radius, q, dim):
    """Along an axis g and across it s: density g^0 s^{d-2} e^{-(g^2 + s^2)/2}, in a plane."""
    sphere = 2 * mp.pi ** (mp.mpf(dim - 1) / 2) / mp.gamma(mp.mpf(dim - 1) / 2)

    def across(g):
        end = min(g * mp.tan(q), mp.sqrt(max(mp.mpf(radius) ** 2 - g**2, 0)))
        return mp.exp(-(g**2) / 2) * mp.quad(
            lambda s: s ** (dim - 2) * mp.exp(-(s**2) / 2), [0, end]
        )

    knee = radius * mp.cos(q)
    found = sphere * mp.quad(across, [0, knee, radius]) / (2 * mp.pi) ** (mp.mpf(dim) / 2)
    np.testing.assert_allclose(proposition_2(radius, q, dim), float(found), rtol=1e-9)

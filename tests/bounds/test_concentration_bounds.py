"""Lemma 4 by hand and against noncentral chi-square probabilities."""

import numpy as np
import pytest
from reference.precision import mp
from scipy import integrate, stats

from design_space.bounds.concentration import (
    Lemma4Constants,
    lemma_4,
    lemma_4_by_level,
    lemma_4_ceiling,
    lemma_4_corrected,
    lemma_4_layers,
    noncentral_exponent,
)

DESIGNS = [
    (0.2, 10, 8.0, 1.0),
    (0.9, 50, 80.0, 1e-3),
    (0.5, 400, 300.0, 30.0),
    (0.7, 3, 5.0, 0.01),
    (0.99, 4, 1.0, 100.0),
]
"""eps, d, |x|^2, v."""


def outside(dim, squared, v, excess):
    """P(| |X|^2 - |x|^2 - v d | > r): |X|^2/v = (|x|/sigma + g)^2 + chi-square of d - 1."""
    middle, shift = squared / v + dim, np.sqrt(squared / v)

    def given(g):
        rest = stats.chi2(dim - 1)
        high = middle + excess / v - (shift + g) ** 2
        low = middle - excess / v - (shift + g) ** 2
        return stats.norm.pdf(g) * (rest.sf(high) + rest.cdf(low))

    return integrate.quad(given, -10, 10, limit=500, epsabs=1e-13)[0]


def test_by_hand():
    np.testing.assert_allclose(lemma_4(0.5, 8), 2 * np.exp(-0.125), rtol=1e-14)
    np.testing.assert_allclose(lemma_4(0.5, 8, Lemma4Constants(3.0, 1.0)), 3 * np.exp(-2.0))
    np.testing.assert_allclose(lemma_4_corrected(0.5, 8, 4.0, 0.5), 2 * np.exp(-0.25), rtol=1e-14)
    np.testing.assert_allclose(lemma_4_by_level(0.5, 8, 16.0, 0.5), 2 * np.exp(-0.025), rtol=1e-14)
    np.testing.assert_allclose(lemma_4_by_level(0.5, 8, 1.0, 5.0), 2 * np.exp(-0.1), rtol=1e-14)
    np.testing.assert_allclose(lemma_4_layers(0.5, 48, 2), 2 * np.exp(-1.0), rtol=1e-14)
    np.testing.assert_allclose(
        lemma_4_ceiling(0.1, 8, 16.0, 0.5), 0.8 * np.sqrt(0.5 / (32 * np.pi)), rtol=1e-14
    )


@pytest.mark.parametrize(("eps", "dim", "squared", "v"), DESIGNS)
def test_the_exponent_solves_its_equation(eps, dim, squared, v):
    t = mp.mpf(float(noncentral_exponent(eps * v * dim, dim, squared, v)))
    spread = dim + 2 * mp.mpf(squared) / mp.mpf(v)
    assert float(2 * mp.sqrt(spread * t) + 2 * t) == pytest.approx(eps * dim, rel=1e-13)


@pytest.mark.parametrize(("eps", "dim", "squared", "v"), DESIGNS)
def test_every_corrected_form_holds(eps, dim, squared, v):
    narrow = outside(dim, squared, v, eps * v * dim)
    wide = outside(dim, squared, v, eps * (squared + v * dim))
    assert narrow <= lemma_4_by_level(eps, dim, squared, v)
    assert narrow <= 2 * np.exp(-noncentral_exponent(eps * v * dim, dim, squared, v))
    assert 1 - narrow <= lemma_4_ceiling(eps, dim, squared, v) + 1e-10
    assert wide <= lemma_4_corrected(eps, dim, squared, v)


@pytest.mark.parametrize(("eps", "dim", "squared", "v"), DESIGNS)
def test_the_forms_by_level_follow_from_the_exponent(eps, dim, squared, v):
    """t >= eps^2 d min(1, v d/|x|^2)/20, and >= eps^2 (d + |x|^2/v)/16 for the wide tolerance."""
    narrow = noncentral_exponent(eps * v * dim, dim, squared, v)
    assert 2 * np.exp(-narrow) <= lemma_4_by_level(eps, dim, squared, v)
    wide = noncentral_exponent(eps * (squared + v * dim), dim, squared, v)
    assert 2 * np.exp(-wide) <= lemma_4_corrected(eps, dim, squared, v)


def test_the_printed_form_fails_for_small_noise_whatever_its_constants():
    eps, dim, v = 0.5, 10_000, 1e-8
    inside = 1 - outside(dim, float(dim), v, eps * v * dim)
    assert inside < 0.0021
    assert lemma_4(eps, dim, Lemma4Constants(100.0, 0.01)) < 1e-8

"""Lemma 8's right-hand sides against hand numbers and a quadratic loss."""

import numpy as np

from design_space.bounds.semi_smoothness import (
    SemiSmoothnessConstants,
    lemma_8,
    lemma_8_corrected,
)

SIZES = (16, 100, 2)  # d, m, L
LINEAR = SemiSmoothnessConstants(linear=1.0, quadratic=0.0)
QUADRATIC = SemiSmoothnessConstants(linear=0.0, quadratic=1.0)
GIVEN = (4.0, 9.0, 0.125, 0.1)  # loss, sum_j a_j, omega, distance


def test_both_terms_by_hand():
    # sqrt(4 * 9) * 0.5 * 4 * sqrt(100 ln 100) * 2 * 0.1
    linear = 6 * 0.5 * 4 * 10 * np.sqrt(np.log(100)) * 2 * 0.1
    for formula in (lemma_8, lemma_8_corrected):
        np.testing.assert_allclose(formula(*GIVEN, SIZES, LINEAR), linear, rtol=1e-14)
    # 6 * 4 * sqrt(100 * 16) * 0.01 as printed; 4 * 100 * 9 * 0.01 corrected
    np.testing.assert_allclose(lemma_8(*GIVEN, SIZES, QUADRATIC), 9.6, rtol=1e-14)
    np.testing.assert_allclose(lemma_8_corrected(*GIVEN, SIZES, QUADRATIC), 36.0, rtol=1e-14)


def test_the_printed_bound_vanishes_with_the_loss_and_the_corrected_one_does_not():
    interpolation = (0.0, *GIVEN[1:])
    assert float(lemma_8(*interpolation, SIZES)) == 0.0
    np.testing.assert_allclose(lemma_8_corrected(*interpolation, SIZES), 36.0, rtol=1e-14)


def test_constants_multiply_their_own_terms():
    both = SemiSmoothnessConstants(linear=3.0, quadratic=5.0)
    for formula in (lemma_8, lemma_8_corrected):
        parts = 3 * formula(*GIVEN, SIZES, LINEAR) + 5 * formula(*GIVEN, SIZES, QUADRATIC)
        np.testing.assert_allclose(formula(*GIVEN, SIZES, both), parts, rtol=1e-14)

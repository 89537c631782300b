"""Lemma 9, printed and corrected, against the divergence of two kernels followed in time."""

import numpy as np
import pytest
from reference.gaussian import kl
from reference.precision import mp

from design_space.bounds.one_step import lemma_9, lemma_9_corrected

# Data N(0, l), sigma_bar_t = t, so that sigma_t^2 = t; score factor c; from time 3 down to t.
START = 3


def kernels(value, factor, time):
    """E KL of the exact reverse kernel and the frozen one, and E|s - L_t|^2, by the definitions."""
    high, low = mp.mpf(START) ** 2, mp.mpf(time) ** 2
    h, total = high - low, value + high
    shrink = (value + low) / total
    at_zero = kl(0, h * shrink, 0, h)
    slope = shrink - (1 - factor * h / total)  # of the difference of means
    mismatch = factor**2 / total - 2 * factor / total + 1 / (value + low)
    return at_zero + slope**2 * total / (2 * h), mismatch


@pytest.mark.parametrize("value", [0.0, 0.25, 10.0])
@pytest.mark.parametrize("factor", [1.0, 0.5, 1.4])
@pytest.mark.parametrize("time", [2.9, 2.0, 0.5, 0.01])
def test_the_corrected_rate_is_the_rate(value, factor, time):
    value, factor = mp.mpf(value), mp.mpf(factor)
    slope = mp.diff(lambda t: kernels(value, factor, t)[0], mp.mpf(time))
    _, mismatch = kernels(value, factor, time)
    found = lemma_9_corrected(time, float(mismatch))
    # the sampler's time runs the other way
    np.testing.assert_allclose(found, float(-slope), rtol=1e-12)


def test_the_printed_bound_fails_on_a_long_step_and_holds_on_a_short_one():
    for time, fails in ((1.0, True), (2.5, False)):
        cost, mismatch = kernels(mp.zero, mp.one, time)
        assert (float(cost) > float(lemma_9(time, float(mismatch)))) == fails


def test_by_hand():
    assert float(lemma_9(3.0, 0.5)) == 0.75
    assert float(lemma_9_corrected(3.0, 0.5)) == 1.5

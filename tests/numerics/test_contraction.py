"""Powers of contractions against mpmath."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from design_space.numerics.contraction import power, signed_log_power

RATES = [0.0, 1e-18, 1e-9, 0.3, 0.5, 1 - 1e-12, 1.0, 1 + 1e-12, 1.5, 2.0, 2.5, 40.0]


@pytest.mark.parametrize("step", [0, 1, 2, 7, 1000])
def test_against_forty_digits(step):
    found = np.asarray(jax.jit(power)(jnp.array(RATES), step))
    with mpmath.workdps(60):
        for rate, value in zip(RATES, found, strict=True):
            truth = (1 - mpmath.mpf(rate)) ** step
            if abs(truth) > 1e308:
                assert np.isinf(value)
                assert np.sign(value) == mpmath.sign(truth)
            else:
                # the logarithm is off by a few EPS of itself, and of k times that of 1 - r
                size = 1 + abs(mpmath.log(abs(truth))) if truth else 1
                assert abs(value - truth) <= 4e-16 * size * abs(truth) + 1e-323


def test_the_logarithm_goes_on_where_the_power_has_vanished():
    sign, log = signed_log_power(jnp.array([0.5, 1.5]), 10**6 + 1)
    np.testing.assert_allclose(log, -(10**6 + 1) * np.log(2), rtol=1e-15)
    np.testing.assert_array_equal(sign, [1.0, -1.0])
    np.testing.assert_array_equal(power(jnp.array([0.5, 1.5]), 10**6), 0.0)


def test_many_small_steps_keep_their_accuracy():
    """(1 - r)^k for r = 1e-12 and k = 1e12, where rounding 1 - r would lose four digits."""
    value = power(jnp.asarray([1e-12]), 10**12)[0]
    with mpmath.workdps(40):
        truth = mpmath.exp(10**12 * mpmath.log1p(-mpmath.mpf(1e-12)))
    np.testing.assert_allclose(float(value), float(truth), rtol=1e-15)

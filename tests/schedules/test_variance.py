import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp
from schedule_contracts import VarianceScheduleContract

from design_space.arrays import float64
from design_space.schedules.variance import AbstractVarianceSchedule, Power, linear, sqrt


class PowerContract(VarianceScheduleContract):
    exponent = 1.0

    def twin_sigma(self, t):
        return t ** exact(self.exponent)

    def twin_integral(self, low, high):
        return exact(self.exponent) ** 2 * (1 / low - 1 / high)


class TestLinear(PowerContract):
    variance = linear()

    def test_diffusion_is_the_time(self):
        np.testing.assert_array_equal(self.variance.diffusion(self.times), self.times)


class TestSqrt(PowerContract):
    variance = sqrt()
    exponent = 0.5

    def test_diffusion_is_one_half(self):
        # the product of a square root and its slope: two roundings
        np.testing.assert_allclose(self.variance.diffusion(self.times), 0.5, rtol=1e-15)


class TestFourthRoot(PowerContract):
    variance = Power(0.25)
    exponent = 0.25


class Geometric(AbstractVarianceSchedule):
    """Song et al.'s own clock, sigma_bar_t = .01 * 5000^t: only what a user must write."""

    def sigma(self, t):
        return 0.01 * jnp.exp(np.log(5000.0) * float64(t))

    def time(self, sigma):
        return jnp.log(float64(sigma) / 0.01) / np.log(5000.0)


class TestUserSchedule(VarianceScheduleContract):
    variance = Geometric()
    times = np.linspace(0.05, 1.0, 12)

    def twin_sigma(self, t):
        return exact(0.01) * mp.exp(exact(np.log(5000.0)) * t)

    def twin_integral(self, low, high):
        return exact(np.log(5000.0)) ** 2 * (high - low)


def test_the_numerical_twin_integral_agrees_with_the_closed_form():
    low, high = mp.mpf("0.01"), mp.mpf(3)
    numerical = VarianceScheduleContract.twin_integral(TestFourthRoot(), low, high)
    # the twin's finite difference of order 1e-20 is good to 1e-38
    assert abs(numerical / (mp.mpf(1) / 16 * (1 / low - 1 / high)) - 1) < mp.mpf("1e-15")


@pytest.mark.parametrize("exponent", [0.0, -1.0])
def test_exponent_must_be_positive(exponent):
    with pytest.raises(ValueError, match=r"exponent = .*above 0; give a positive number"):
        Power(exponent)


def test_exponent_must_be_finite():
    with pytest.raises(ValueError, match=r"exponent = .*finite; remove"):
        Power(float("nan"))

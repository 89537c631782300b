import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp
from schedule_contracts import TimeScheduleContract

from design_space.schedules.time import (
    AbstractTimeSchedule,
    Cosine,
    CustomTimes,
    Exponential,
    Polynomial,
    Uniform,
)


class TestPolynomial(TimeScheduleContract):
    time = Polynomial(7.0)

    def twin(self, fraction, low, high):
        root = high ** (mp.one / 7) - (high ** (mp.one / 7) - low ** (mp.one / 7)) * (1 - fraction)
        return root**7


class TestPolynomialOfSmallExponent(TimeScheduleContract):
    time = Polynomial(0.5)

    def twin(self, fraction, low, high):
        return mp.sqrt(low**2 + (high**2 - low**2) * fraction)


class TestExponential(TimeScheduleContract):
    time = Exponential()

    def twin(self, fraction, low, high):
        return high * (low / high) ** (1 - fraction)


class TestUniform(TimeScheduleContract):
    time = Uniform()

    def twin(self, fraction, low, high):
        return low + (high - low) * fraction


class TestCosine(TimeScheduleContract):
    time = Cosine()
    scale = mp.one

    def twin(self, fraction, low, high):
        a, b = mp.atan(low / self.scale), mp.atan(high / self.scale)
        return self.scale * mp.tan(a + (b - a) * fraction)


class TestCosineToLargeTimes(TestCosine):
    ends = (4e-6, 1e9)  # the angle is within 1e-9 of pi/2, where a plain tangent loses nine digits


class TestShiftedCosine(TestCosine):
    time = Cosine(0.5)
    scale = mp.mpf("0.5")


class TestCustomTimes(TimeScheduleContract):
    time = CustomTimes([0.002, 0.5, 3.0, 80.0])
    steps = 3

    def twin(self, fraction, low, high):
        return exact([0.002, 0.5, 3.0, 80.0][int(mp.nint(3 * fraction))])


class SquareRootOfFraction(AbstractTimeSchedule):
    """Only what a user must write."""

    def interpolate(self, fractions, t_low, t_high):
        return t_low + (t_high - t_low) * jnp.sqrt(fractions)


class TestUserTimes(TimeScheduleContract):
    time = SquareRootOfFraction()

    def twin(self, fraction, low, high):
        return low + (high - low) * mp.sqrt(fraction)


def test_cosine_is_the_schedule_of_nichol_and_dhariwal():
    """abar = cos(pi u/2)^2 at uniform u, as the noise level sqrt((1 - abar)/abar)."""
    u = np.linspace(0.1, 0.9, 9)
    abar = np.cos(np.pi * u / 2) ** 2
    sigmas = np.sqrt((1 - abar) / abar)
    # 1 - abar at u = .1 loses a factor 40
    np.testing.assert_allclose(Cosine()(8, sigmas[0], sigmas[-1]), sigmas, rtol=1e-13)


def test_polynomial_of_exponent_one_is_uniform():
    np.testing.assert_allclose(Polynomial(1.0)(5, 0.1, 7.0), Uniform()(5, 0.1, 7.0), rtol=1e-15)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Polynomial(0.0), r"rho = 0.0: must be above 0; give a positive number"),
        (lambda: Polynomial(float("inf")), r"rho = inf: must be finite"),
        (lambda: Cosine(-1.0), r"scale = -1.0: must be above 0"),
        (lambda: Polynomial()(3, -1.0, 1.0), r"t_low = -1.0: .*polynomial times; use uniform"),
        (lambda: Cosine()(3, -1.0, 1.0), r"t_low = -1.0: .*cosine times; use uniform"),
        (lambda: Exponential()(3, 0.0, 1.0), r"t_low = 0.0: must be above 0; give a positive"),
        (lambda: Uniform()(3, 0.0, float("inf")), r"t_high = inf: must be finite"),
        (lambda: CustomTimes([1.0]), r"times = .*at least two times; give steps \+ 1"),
        (lambda: CustomTimes([1.0, 3.0, 2.0]), r"times = .*strictly increasing.*; sort it"),
        (lambda: CustomTimes([1.0, float("nan")]), r"times = .*finite; remove"),
        (lambda: CustomTimes([[1.0, 2.0]]), r"times = .*rank 1, not 2"),
        (lambda: CustomTimes([1.0, 2.0])(2, 1.0, 2.0), r"steps = 2: must be 1 for 2 times"),
        (lambda: CustomTimes([1.0, 2.0])(1, 1.0, 3.0), r"t_high = 3.0: .*2.0.*; set sigma_min"),
        (lambda: CustomTimes([1.0, 2.0])(1, 0.5, 2.0), r"t_low = 0.5: .*1.0.*; set sigma_min"),
    ],
)
def test_bad_input_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()

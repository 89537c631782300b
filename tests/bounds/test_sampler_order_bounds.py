"""Orders of samplers: one step at eighty digits, closed forms, naive recursions and quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp, mpf
from scipy.integrate import quad

from design_space.bounds import sampler_orders as orders

L = (0.3, 1.7)
"""Data variances."""


def frozen(total, sigma, low):
    h = sigma**2 - low**2
    return (1 - h / total) ** 2 * total + h


def euler_maruyama(total, sigma, low):
    gain = 2 * sigma * (sigma - low)
    return (1 - gain / total) ** 2 * total + gain


def ancestral(eta):
    def step(total, sigma, low):
        up = eta * mp.sqrt(low**2 * (sigma**2 - low**2)) / sigma
        down = mp.sqrt(low**2 - up**2)
        return (1 - sigma * (sigma - down) / total) ** 2 * total + up**2

    return step


def heun(total, sigma, low):
    value = total - sigma**2
    first = sigma / total  # dy/dsigma = sigma y/P
    y = 1 - (sigma - low) * first
    return (1 - (sigma - low) * (first + low / (value + low**2) * y) / 2) ** 2 * total


def midpoint(total, sigma, low):
    value, middle = total - sigma**2, mp.sqrt(sigma * low)
    y = 1 - (sigma - middle) * sigma / total
    return (1 - (sigma - low) * middle / (value + middle**2) * y) ** 2 * total


STEPS = {
    "frozen": (frozen, orders.frozen_defect, 1),
    "euler-maruyama": (euler_maruyama, orders.euler_maruyama_defect, 1),
    "ancestral": (ancestral(1), orders.posterior_defect, 1),
    "eta = 0.4": (ancestral(mpf("0.4")), lambda v, s: orders.posterior_defect(v, s, 0.4), 1),
    "flow": (ancestral(0), lambda v, s: orders.posterior_defect(v, s, 0.0), 1),
    "heun": (heun, orders.heun_defect, 2),
    "midpoint": (midpoint, orders.midpoint_defect, 2),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("sigma", [0.02, 0.7, 30.0])
def test_the_defect_of_one_step(name, sigma):
    step, local, order = STEPS[name]
    found = np.asarray(local(jnp.asarray(L), jnp.asarray(sigma)))
    with mp.workdps(90):
        delta = mpf(10) ** -22
        for value, c in zip(L, found, strict=True):
            high = mpf(sigma)
            after = step(mpf(value) + high**2, high, high - delta)
            expected = (after - mpf(value) - (high - delta) ** 2) / delta ** (order + 1)
            # the next order is 1e-22/sigma of it
            assert c == pytest.approx(float(expected), rel=1e-13)


def test_the_optimal_variance():
    values, sigma = np.array([1.0, 0.25, 0.1]), 0.6
    total, delta = values + sigma**2, 1e-4
    h = sigma**2 - (sigma - delta) ** 2
    noise = h - h**2 * np.mean(1 / total)
    excess = (1 - h / total) ** 2 * total + noise - (total - h)
    found = orders.optimal_variance_defect(jnp.asarray(values), jnp.asarray(sigma))
    # h = 2 sigma delta (1 - delta/(2 sigma)): off by 1e-4; rounding leaves 1e-16/1e-8
    np.testing.assert_allclose(found * delta**2, excess, rtol=5e-4)
    even = orders.optimal_variance_defect(jnp.full(3, 0.3), jnp.asarray(sigma))
    np.testing.assert_allclose(even, 0, atol=1e-15)


HIGH, LOW = 3.0, 0.1


def straight(u):
    return HIGH + (LOW - HIGH) * u


def test_euler_on_a_straight_grid():
    def local(values, s):
        return orders.posterior_defect(values, s, 0.0)

    found = orders.leading_excess(local, 1, straight, jnp.asarray(L), 0.0)
    for value, limit in zip(L, np.asarray(found), strict=True):
        c = np.sqrt(value)

        def primitive(s, value=value, c=c):  # of (l + s^2)^-2
            return s / (2 * value * (value + s * s)) + np.arctan(s / c) / (2 * value * c)

        spent = primitive(HIGH) - primitive(LOW)
        assert limit == pytest.approx(-value * (value + LOW**2) * (HIGH - LOW) * spent, rel=1e-12)


def test_churn_by_nested_quadrature():
    churn, value = 3.0, 0.3

    def total(u):
        return value + straight(u) ** 2

    def late(u):
        return quad(lambda x: straight(x) ** 2 / total(x), u, 1, epsabs=1e-13)[0]

    def integrand(u):
        moved = (churn * straight(u) + HIGH - LOW) ** 3
        c = value * straight(u) / total(u) ** 2
        return c * moved * total(1) / total(u) * np.exp(-2 * churn * late(u))

    found = orders.leading_excess(orders.heun_defect, 2, straight, jnp.asarray([value]), 0.0, churn)
    assert found[0] == pytest.approx(quad(integrand, 0, 1, epsabs=1e-12)[0], rel=1e-9)
    since = orders.forgetting(straight, jnp.asarray([value]), churn, 0.4)
    assert since[0] == pytest.approx(2 * churn * late(0.4), rel=1e-11)


def test_the_least_constants_in_closed_form():
    """With sigma = c tan a: Euler's integrand is da, the frozen sampler's sin a da, ancestral's
    cos a da, so that they spend the range of a, of cos a and of sin a.
    """
    value = 0.3
    angles = np.arctan(np.array([HIGH, LOW]) / np.sqrt(value))
    final = value + LOW**2

    def least(local, noise):
        return float(orders.least_leading_excess(local, 1, HIGH, LOW, value, noise))

    def flow(values, s):
        return orders.posterior_defect(values, s, 0.0)

    # arXiv 2601.13602: the variance ratio is cos(A/N)^(2 N) = 1 - A^2/N + ...
    assert least(flow, 0.0) == pytest.approx(final * np.ptp(angles) ** 2, rel=1e-11)
    expected = 4 * final**2 / value * np.ptp(np.cos(angles)) ** 2
    assert least(orders.frozen_defect, 1.0) == pytest.approx(expected, rel=1e-11)
    expected = 4 * final**2 / value * np.ptp(np.sin(angles)) ** 2
    assert least(orders.posterior_defect, 1.0) == pytest.approx(expected, rel=1e-11)


def test_the_bias_of_langevin_steps():
    values, sigma, snr = np.array([1.0, 0.2]), 0.3, 0.16
    total = values + sigma**2
    step, variance = 2 * snr**2 * 2 / np.sum(1 / total), total.copy()
    for _ in range(2000):
        variance = (1 - step / total) ** 2 * variance + 2 * step
    found = orders.langevin_bias(jnp.asarray(values), sigma, snr)
    np.testing.assert_allclose(found, variance - total, rtol=1e-11)
    one = orders.langevin_bias(jnp.asarray([0.2]), sigma, snr)
    assert one[0] == pytest.approx(total[1] * snr**2 / (1 - snr**2), rel=1e-13)


def test_the_bias_of_churn():
    """Exact flow between the noise: D/P is kept by the flow, (P, D) grows by (2 v g, 2 v g s^2)."""
    value, churn, s_noise, steps = 0.3, 3.0, 1.05, 200_000
    sigma = straight(np.arange(steps) / steps)
    raised = sigma**2 * (churn / steps) * (2 + churn / steps)
    total, ratio = value + sigma**2, 0.0
    for p, r in zip(total, raised, strict=True):
        ratio = (ratio * p + r * (s_noise**2 - 1)) / (p + r)
    given = jnp.asarray([value])
    forgotten = orders.forgetting(straight, given, churn)
    found = orders.churn_bias(given, LOW, s_noise, forgotten)
    # a Riemann sum of 200,000 steps is off by 1e-5
    assert found[0] / (value + LOW**2) == pytest.approx(ratio, rel=1e-4)
    assert jax.tree.leaves(orders.churn_bias(given, LOW, 1.0, forgotten))[0][0] == 0

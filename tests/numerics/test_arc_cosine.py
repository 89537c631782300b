import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mp

from design_space.numerics.arc_cosine import angle_between, kappa_0, kappa_1, relu_angle
from design_space.numerics.quadrature import gauss_legendre
from design_space.numerics.statistics import mean_estimate

GAPS = [1e-16, 1e-12, 1e-8, 1e-4, 1e-2]
COSINES = [
    *(1 - gap for gap in GAPS),
    *(-1 + gap for gap in GAPS),
    *(-1.0, -0.9, -0.6, -0.5, -0.3, 0.0, 0.2, 0.5, 0.8, 1.0),
]
ANGLES = [0.0, 1e-12, 1e-8, 1e-4, 0.1, 0.5, 0.999, 1.001, np.pi / 2, 2.0, 3.0, 3.1415926, np.pi]


def reference(u):
    with mp.workdps(50):
        theta = mpmath.acos(u)
        order_0 = (mpmath.pi - theta) / mpmath.pi
        order_1 = (mpmath.sin(theta) + (mpmath.pi - theta) * mpmath.cos(theta)) / mpmath.pi
        return float(order_0), float(order_1)


@pytest.mark.parametrize("u", COSINES)
def test_against_fifty_digits(u):
    order_0, order_1 = reference(u)
    # a few roundings; near u = -1, kappa_1 ~ theta^3/(3 pi) with theta good to a few ulp
    np.testing.assert_allclose(float(kappa_0(u)), order_0, rtol=4e-15, atol=0)
    np.testing.assert_allclose(float(kappa_1(u)), order_1, rtol=4e-15, atol=1e-49)


@pytest.mark.parametrize(
    ("angle", "order_0", "order_1"),
    [
        # Cho and Saul (2009), section 2: J_0 = pi - theta, J_1 = sin theta + (pi - theta) cos theta
        (0.0, 1.0, 1.0),
        (np.pi / 3, 2 / 3, np.sqrt(3) / (2 * np.pi) + 1 / 3),
        (np.pi / 2, 1 / 2, 1 / np.pi),
        (2 * np.pi / 3, 1 / 3, np.sqrt(3) / (2 * np.pi) - 1 / 6),
        (np.pi, 0.0, 0.0),
    ],
)
def test_published_values(angle, order_0, order_1):
    # cos(pi/3) is rounded: one ulp of u
    assert abs(float(kappa_0(np.cos(angle))) - order_0) < 1e-15
    assert abs(float(kappa_1(np.cos(angle))) - order_1) < 1e-15


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.5, 2.9])
def test_they_are_the_gaussian_averages(angle):
    """In polar coordinates, E relu relu = (1/pi) int cos(p) cos(p - angle) over both positive."""
    nodes, weights = gauss_legendre(30)
    points = angle - np.pi / 2 + (np.pi - angle) * nodes
    average = (np.pi - angle) * np.sum(weights * np.cos(points) * np.cos(points - angle)) / np.pi
    # the integrand is entire: 30 nodes leave rounding
    assert abs(float(kappa_1(np.cos(angle))) - 2 * average) < 1e-14


def test_monte_carlo():
    x, y = np.array([1.0, -2.0, 0.5]), np.array([0.3, 1.0, 1.5])
    draws = np.random.default_rng(0).normal(size=(200_000, 3))
    u = x @ y / (np.linalg.norm(x) * np.linalg.norm(y))
    steps = mean_estimate(jnp.asarray(1.0 * (draws @ x > 0) * (draws @ y > 0)))
    assert abs(float(steps.value - kappa_0(u) / 2)) < float(steps.error) < 4e-3
    ramps = mean_estimate(jnp.asarray(np.maximum(draws @ x, 0) * np.maximum(draws @ y, 0)))
    truth = np.linalg.norm(x) * np.linalg.norm(y) * float(kappa_1(u)) / 2
    assert abs(float(ramps.value) - truth) < float(ramps.error) < 2e-2


def test_rounding_beyond_the_ends_is_harmless():
    beyond = np.nextafter(1.0, 2.0)
    for kernel in (kappa_0, kappa_1):
        assert float(kernel(beyond)) == 1.0
        assert float(kernel(-beyond)) == 0.0


@pytest.mark.parametrize("u", [-0.99, -0.4, 0.0, 0.7, 0.999])
def test_derivatives(u):
    with mp.workdps(30):
        slopes = [float(mpmath.diff(lambda v, i=i: _mp(v)[i], u)) for i in range(2)]
    np.testing.assert_allclose(float(jax.grad(kappa_0)(u)), slopes[0], rtol=1e-12)
    np.testing.assert_allclose(float(jax.grad(kappa_1)(u)), slopes[1], rtol=1e-12)


def _mp(u):
    theta = mpmath.acos(u)
    rest = mpmath.pi - theta
    return rest / mpmath.pi, (mpmath.sin(theta) + rest * mpmath.cos(theta)) / mpmath.pi


def test_slope_at_the_ends():
    assert float(jax.grad(kappa_1)(1.0)) == 1.0
    assert float(jax.grad(kappa_1)(-1.0)) == 0.0
    assert float(jax.grad(kappa_0)(1.0)) == np.inf


@pytest.mark.parametrize("angle", ANGLES)
def test_relu_angle_against_eighty_digits(angle):
    with mp.workdps(80):
        theta = mpmath.mpf(angle)
        truth = float(mpmath.acos(_mp(mpmath.cos(theta))[1]))
    # arcsin of a square root of a difference that keeps half of its terms: a few ulp
    np.testing.assert_allclose(float(relu_angle(angle)), truth, rtol=5e-15, atol=0)


@pytest.mark.parametrize("angle", ANGLES)
def test_angle_between(angle):
    x = jnp.asarray([3.0, 0.0])
    y = jnp.asarray([0.2 * np.cos(angle), 0.2 * np.sin(angle)])
    # the entries of y are rounded relative to |y|: one part in 1e16 of a right angle
    assert abs(float(angle_between(x, y)) - angle) < 5e-16 + 2e-16 * angle
    assert float(angle_between(y, y)) == 0.0


def test_batches():
    cosines = jnp.asarray(COSINES)
    for kernel in (kappa_0, kappa_1):
        batch = jax.jit(jax.vmap(kernel))(cosines)
        # compiled, sines and square roots may differ by an ulp
        np.testing.assert_allclose(batch, [kernel(u) for u in COSINES], rtol=4e-15)

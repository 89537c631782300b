"""The optimum of the self-perceptual loss against closed forms and against brute force by SciPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from design_space.optimal.perceptual import binned_optima, pointwise_optima
from design_space.optimal.perceptual_loss import Perceptual, TwoLayerFeature, posterior
from design_space.targets.line import Line

TWO = Line(jnp.log(jnp.array([0.5, 0.5])), jnp.array([-1.0, 1.0]), jnp.array([0.09, 0.09]))
THREE = Line(
    jnp.log(jnp.array([0.2, 0.5, 0.3])), jnp.array([-2.0, 0.5, 1.0]), jnp.array([0.04, 0.25, 0.01])
)
LEVELS = np.array([0.15, 0.6, 2.5])
SHARES = np.array([0.5, 0.2, 0.3])
POINTS = np.array([-3.0, -0.8, -0.1, 0.3, 1.2, 2.5])


def noise_law(line, y, sigma):
    """Shares, means and standard deviations of the noise given y, in NumPy."""
    w, a, own = (np.asarray(x) for x in (np.exp(line.log_weights), line.centers, line.variances))
    total = own + sigma**2
    shares = w * np.exp(-((y - a) ** 2) / 2 / total) / np.sqrt(total)
    back = a + own / total * (y - a)  # of x_0
    return shares / shares.sum(), (y - back) / sigma, np.sqrt(own / total)


def expected(line, y, sigma, function):
    """E[function(eps) | y] by adaptive quadrature."""
    total, bell = 0.0, np.sqrt(2 * np.pi)
    for share, mean, std in zip(*noise_law(line, y, sigma), strict=True):
        total += share * sum(
            quad(
                lambda z, m=mean, s=std: function(m + s * z) * np.exp(-z * z / 2) / bell,
                low,
                low + 2.0,
                epsabs=1e-13,
                epsrel=1e-13,
            )[0]
            for low in np.arange(-10.0, 10.0, 2.0)
        )
    return total


def many_expected(line, y, sigma, function):
    """The same by the midpoint rule, 1000 cells over 20 standard deviations of a component."""
    z = (np.arange(1000) + 0.5) / 50 - 10
    bell = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) / 50
    parts = zip(*noise_law(line, y, sigma), strict=True)
    return sum(share * bell @ function(mean + std * z) for share, mean, std in parts)


def hidden(m, variance):
    return lambda y, sigma: np.tanh(m * y / (variance + sigma**2))


def brute(value, low, high):
    """The deepest minimum of a function by a dense scan and SciPy's bounded search."""
    nodes = np.linspace(low, high, 1001)
    best = int(np.argmin([value(n) for n in nodes]))
    ends = nodes[max(best - 1, 0)], nodes[min(best + 1, 1000)]
    found = minimize_scalar(value, bounds=ends, method="bounded", options={"xatol": 1e-12})
    return found.x, found.fun


def test_posterior_is_a_law_with_the_mean_of_tweedie():
    for y in POINTS:
        found = posterior(THREE, jnp.asarray(y), 0.7, 64)
        shares, means, stds = noise_law(THREE, y, 0.7)
        assert float(jnp.sum(found.weights)) == pytest.approx(1, abs=1e-14)
        mean = float(found.weights @ found.noise)
        assert mean == pytest.approx(shares @ means, abs=1e-13)
        square = float(found.weights @ found.noise**2)
        assert square == pytest.approx(shares @ (means**2 + stds**2), rel=1e-12)
        assert float(found.low) < np.min(means - 8 * stds)
        assert float(found.high) > np.max(means + 8 * stds)


@pytest.mark.parametrize("other", [0.3, 1.4])
def test_one_pair_of_levels_in_closed_form(other):
    """y'_hat = f^{-1}(E[f(y') | y]) for a monotone feature."""
    sigma, f = 0.7, hidden(1.0, 0.09)
    found = pointwise_optima(TWO, Perceptual(TwoLayerFeature(1.0, 0.09), [other]), POINTS, sigma)
    for y, noise, error in zip(POINTS, found.noise, found.error, strict=True):
        mean = expected(TWO, y, sigma, lambda n, y=y: f(y + (other - sigma) * n, other))
        exact = np.arctanh(mean) * (0.09 + other**2)
        assert abs((exact - y) / (other - sigma) - float(noise)) <= float(error) + 1e-11
    assert np.max(found.error) < 1e-5  # where tanh is flat
    assert np.median(found.error) < 1e-12
    # the loss at the optimum is the variance of the feature given y
    y = POINTS[3]
    mean, square = (
        expected(TWO, y, sigma, lambda n, p=p: f(y + (other - sigma) * n, other) ** p)
        for p in (1, 2)
    )
    assert float(found.loss[3]) == pytest.approx(square - mean**2, rel=1e-9)


def two_features(y, sigma):
    """Not monotone."""
    return jnp.stack([jnp.tanh(2 * y / (1 + sigma)), jnp.sin(1.3 * y)])


def test_many_levels_and_features_by_brute_force():
    sigma, c = 0.8, 0.05
    loss = Perceptual(two_features, LEVELS, SHARES, mean_square=c)
    found = pointwise_optima(THREE, loss, POINTS, sigma)
    parts = [lambda y, s: np.tanh(2 * y / (1 + s)), lambda y, s: np.sin(1.3 * y)]
    for y, noise, error, least in zip(POINTS, found.noise, found.error, found.loss, strict=True):

        def moment(f, s, power, y=y):
            return many_expected(THREE, y, sigma, lambda n: f(y + (s - sigma) * n, s) ** power)

        shares, middle, stds = noise_law(THREE, y, sigma)
        mean = shares @ middle
        known = [
            (f, s, p, moment(f, s, 1)) for f in parts for s, p in zip(LEVELS, SHARES, strict=True)
        ]
        rest = sum(p * (moment(f, s, 2) - m**2) for f, s, p, m in known)
        rest += c * (1 + sigma**2) * (shares @ (middle**2 + stds**2) - mean**2)

        def value(n, y=y, known=known, mean=mean):
            off = sum(p * (f(y + (s - sigma) * n, s) - m) ** 2 for f, s, p, m in known)
            return off + c * (1 + sigma**2) * (n - mean) ** 2

        at, deepest = brute(value, np.min(middle - 9 * stds), np.max(middle + 9 * stds))
        # a minimum is found to the root of the rounding of its value
        assert abs(at - float(noise)) <= float(error) + 1e-7
        assert float(least) == pytest.approx(deepest + rest, rel=1e-10)
        assert value(float(noise)) <= deepest + 1e-15


def test_the_mean_square_alone_and_large():
    flat = Perceptual(lambda y, sigma: jnp.zeros(1), LEVELS)
    found = pointwise_optima(THREE, flat, POINTS, 0.8)
    np.testing.assert_allclose(found.noise, found.mean_noise, atol=0)
    shares = [noise_law(THREE, y, 0.8) for y in POINTS]
    np.testing.assert_allclose(found.mean_noise, [s @ m for s, m, _ in shares], atol=1e-13)
    # n departs from the mean by the slope of the rest over 2 c (1 + sigma^2), so as 1/c
    loss = [Perceptual(TwoLayerFeature(1.0, 0.09), LEVELS, mean_square=c) for c in (1e3, 1e5)]
    off = [
        np.asarray(found.noise - found.mean_noise)
        for found in (pointwise_optima(TWO, x, POINTS, 0.8) for x in loss)
    ]
    assert np.max(np.abs(off[1])) < 1e-4
    np.testing.assert_allclose(off[0], 100 * off[1], rtol=1e-2, atol=1e-9)


def test_linear_features_ask_for_the_mean():
    loss = Perceptual(lambda y, sigma: jnp.array([2.0, -1.0]) * y / (1 + sigma), LEVELS)
    found = pointwise_optima(THREE, loss, POINTS, 0.8)
    assert np.all(np.abs(found.noise - found.mean_noise) <= found.error)
    assert np.max(found.error) < 1e-10


def test_flat_features_leave_the_mean_and_a_large_error():
    """Where tanh is 1 to rounding, no prediction is worse than another."""
    found = pointwise_optima(TWO, Perceptual(TwoLayerFeature(1.0, 0.09), [0.1]), [3.0], 0.2)
    assert float(found.noise[0]) == float(found.mean_noise[0])
    assert float(found.error[0]) > 1


def test_the_optimum_jumps_between_minima():
    """Of the data predicted at sigma = 0.8, between y = 0.7766 and 0.7933, from -0.02 to 0.81."""
    points = np.array([0.70, 0.74, 0.776, 0.794, 0.83, 0.87])
    loss = Perceptual(TwoLayerFeature(1.0, 0.09), LEVELS, SHARES)
    steps = np.diff(points - 0.8 * np.asarray(pointwise_optima(TWO, loss, points, 0.8).noise))
    assert steps[2] > 0.8
    assert np.max(np.abs(np.delete(steps, 2))) < 0.1


def test_bins_by_brute_force():
    sigma, edges = 0.8, np.array([-1.0, -0.4, 0.1, 0.9])
    loss = Perceptual(TwoLayerFeature(1.0, 0.09), LEVELS, SHARES)
    found = binned_optima(TWO, loss, edges, sigma)
    f = hidden(1.0, 0.09)
    for low, high, noise, error in zip(
        edges[:-1], edges[1:], found.noise, found.error, strict=True
    ):
        y, ramp = np.polynomial.legendre.leggauss(31)
        y = low + (high - low) * (y + 1) / 2
        density = sum(np.exp(-((y - a) ** 2) / 2 / (0.09 + sigma**2)) for a in (-1, 1))
        weights = ramp * density / np.sum(ramp * density)
        means = {
            s: np.array(
                [
                    many_expected(TWO, x, sigma, lambda n, x=x, s=s: f(x + (s - sigma) * n, s))
                    for x in y
                ]
            )
            for s in LEVELS
        }

        def value(n, y=y, weights=weights, means=means):
            parts = [
                p * weights @ (f(y + (s - sigma) * n, s) - means[s]) ** 2
                for s, p in zip(LEVELS, SHARES, strict=True)
            ]
            return sum(parts)

        at, _ = brute(value, -6.0, 6.0)
        assert abs(at - float(noise)) <= float(error) + 1e-7
    assert np.max(found.error) < 1e-6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"levels": [1.0, 0.0]}, "levels"),
        ({"levels": []}, "levels"),
        ({"levels": [1.0], "probabilities": [0.4, 0.6]}, "probabilities"),
        ({"levels": [1.0, 2.0], "probabilities": [0.4, 0.7]}, "probabilities"),
        ({"levels": [1.0], "mean_square": -1.0}, "mean_square"),
    ],
)
def test_losses_that_are_none_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Perceptual(TwoLayerFeature(1.0, 0.09), **given)


@pytest.mark.parametrize(
    ("points", "sigma", "field"),
    [([], 1.0, "points"), ([1.0], 0.0, "sigma"), ([1.0], [1.0, 2.0], "sigma")],
)
def test_points_without_noise_are_refused(points, sigma, field):
    with pytest.raises(ValueError, match=field):
        pointwise_optima(TWO, Perceptual(TwoLayerFeature(1.0, 0.09), LEVELS), points, sigma)


@pytest.mark.parametrize("edges", [[0.0], [1.0, 0.0], [0.0, 0.0, 1.0]])
def test_bins_that_are_none_are_refused(edges):
    with pytest.raises(ValueError, match="edges"):
        binned_optima(TWO, Perceptual(TwoLayerFeature(1.0, 0.09), LEVELS), edges, 1.0)

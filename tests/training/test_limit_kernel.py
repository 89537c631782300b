import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from design_space.numerics.rates import log_log_slope
from design_space.numerics.statistics import mean_estimate
from design_space.schedules.named import edm
from design_space.scores.relu_network import relu_network
from design_space.scores.two_layer import two_layer
from design_space.training.kernel_limit import (
    limit_covariance,
    limit_dynamics,
    limit_kernel,
    limit_matrices,
)
from design_space.training.objective import denoising_data, empirical_loss
from design_space.training.tangent_kernel import (
    kernel_dynamics,
    loss_kernel,
    tangent_kernel,
    weighted_kernel,
    weighted_residuals,
)
from design_space.weightings.named import edm_weighting

DIM = 2


def some_data(points=3, steps=2, seed=0):
    x = np.random.default_rng(seed).normal(size=(points, DIM))
    schedule = edm(steps, sigma_min=0.3, sigma_max=2.0)
    return denoising_data(x, schedule, edm_weighting(), jax.random.key(seed))


DATA = some_data()
X = DATA.noisy.reshape(-1, DIM)
SIGMA = jnp.tile(DATA.sigmas, 3)
ARCHITECTURES = {
    "depth 1": (lambda key, m: relu_network(key, DIM, m, 1), (1, 1)),
    "depth 2": (lambda key, m: relu_network(key, DIM, m, 2), (2, 1)),
    "depth 3": (lambda key, m: relu_network(key, DIM, m, 3), (3, 1)),
    "hidden layer": (lambda key, m: two_layer(key, DIM, m), (0, 0)),
}


def kernels_of_seeds(draw, width, seeds, seed=0):
    """Theta_m/m on the data, [seeds, 6, DIM, 6, DIM]."""
    keys = jax.random.split(jax.random.key(seed), seeds)
    kernel = jax.jit(lambda key: tangent_kernel(draw(key, width), X, SIGMA) / width)
    return np.stack([kernel(key) for key in keys])


def with_identity(kernel):
    return np.einsum("ik,ce->icke", np.asarray(kernel), np.eye(DIM))


@pytest.mark.parametrize("name", ["depth 1", "depth 2", "hidden layer"])
def test_the_mean_over_seeds_is_the_limit(name):
    """A deviation of the mean is of order 1/m, below the interval of 64 seeds."""
    draw, layers = ARCHITECTURES[name]
    mean = mean_estimate(jnp.asarray(kernels_of_seeds(draw, 512, 64)))
    truth = with_identity(limit_matrices(DATA, *layers).kernel)
    inside = np.abs(mean.value - truth) <= np.asarray(mean.error)
    # 144 entries, 99 % each, strongly correlated
    assert inside.mean() > 0.93
    assert np.max(np.asarray(mean.error)) < 0.06 * np.max(truth)


@pytest.mark.parametrize("name", ["depth 1", "hidden layer"])
def test_deviation_falls_like_the_square_root_of_the_width(name):
    draw, layers = ARCHITECTURES[name]
    truth = with_identity(limit_matrices(DATA, *layers).kernel)
    widths = [64, 128, 256, 512, 1024]
    deviations = [
        np.sqrt(np.mean(np.sum((kernels_of_seeds(draw, m, 32, m) - truth) ** 2, (1, 2, 3, 4))))
        for m in widths
    ]
    slope = log_log_slope(widths, deviations)
    assert abs(float(slope.value) + 0.5) <= float(slope.error) < 0.2
    assert deviations[-1] < 0.15 * np.linalg.norm(truth)


def reference_limit(z, other, depth):
    """The recursions in cosines and 40 digits, layer by layer as products are written."""
    with mpmath.mp.workdps(40):
        z, other = [mpmath.mpf(float(v)) for v in z], [mpmath.mpf(float(v)) for v in other]
        norms = mpmath.sqrt(mpmath.fsum(v * v for v in z) * mpmath.fsum(v * v for v in other))
        cosines = [mpmath.fsum(a * b for a, b in zip(z, other, strict=True)) / norms]
        for _ in range(depth + 1):
            angle = mpmath.acos(min(cosines[-1], 1))
            rest = mpmath.pi - angle
            cosines.append((mpmath.sin(angle) + rest * mpmath.cos(angle)) / mpmath.pi)
        total = mpmath.mpf(0)
        for layer in range(1, depth + 1):
            product = cosines[layer]
            for above in range(layer, depth + 1):
                product *= 1 - mpmath.acos(min(cosines[above], 1)) / mpmath.pi
            total += product
        dim = len(z) - 1
        return float(norms * total / (2 * dim)), float(norms * cosines[-1] / dim)


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("gap", [0.0, 1e-13, 1e-6, 0.3, 3.0])
def test_recursions_against_forty_digits(depth, gap):
    x, sigma = np.array([0.7, -1.1]), 0.4
    other = x + np.array([gap, -gap / 3])
    kernel, covariance = reference_limit([*x, sigma], [*other, sigma + gap], depth)
    pair = (jnp.asarray(x), sigma, jnp.asarray(other), sigma + gap)
    # the angle is good to rounding of the points, 1e-16
    np.testing.assert_allclose(float(limit_kernel(*pair, depth)), kernel, rtol=3e-15)
    np.testing.assert_allclose(float(limit_covariance(*pair, depth)), covariance, rtol=3e-15)


def test_equal_and_opposite_inputs():
    x = jnp.asarray([1.0, 2.0])
    for depth in (1, 2, 5):
        # kappa_0(1) = kappa_1(1) = 1: every layer gives |z|^2/(2d), |z|^2 = 14
        assert abs(float(limit_kernel(x, 3.0, x, 3.0, depth)) - depth * 14 / 4) < 1e-14
        assert abs(float(limit_covariance(x, 3.0, x, 3.0, depth)) - 7) < 1e-14
    # kappa_1(-1) = 0 after W_0: right angles, cos = 0 and nothing left for W_1
    assert abs(float(limit_kernel(x, 3.0, -x, -3.0, 1))) < 1e-15
    # both W_0 and W_1 trained: (cos t0 k0(t0) + cos t1) k0(t1), at a right angle t0
    y, right = jnp.asarray([2.0, -1.0]), np.arccos(1 / np.pi)
    truth = 5 / 4 * (1 / np.pi) * (1 - right / np.pi)
    assert abs(float(limit_kernel(x, 0.0, y, 0.0, 1, first_trained=0)) - truth) < 1e-15


def test_the_outer_layer_adds_nothing_in_the_limit():
    """Theta of both layers less Theta of the hidden layer is q.q' I_d, without a factor m."""
    draw = ARCHITECTURES["hidden layer"][0]
    hidden = kernels_of_seeds(draw, 1024, 16)
    both = kernels_of_seeds(lambda key, m: two_layer(key, DIM, m, both=True), 1024, 16)
    extra = mean_estimate(jnp.asarray(1024 * (both - hidden)))
    truth = with_identity(DIM * limit_matrices(DATA, 0, 0).covariance)
    assert np.all(np.abs(extra.value - truth) <= 2 * np.asarray(extra.error) + 1e-9)


@pytest.mark.parametrize("depth", [1, 2])
def test_initial_scores_have_the_limiting_covariance(depth):
    keys = jax.random.split(jax.random.key(7), 400)
    scores = jax.jit(jax.vmap(lambda key: jax.vmap(relu_network(key, DIM, 256, depth))(X, SIGMA)))
    drawn = scores(keys)
    products = drawn[:, :, None, :, None] * drawn[:, None, :, None, :]
    mean = mean_estimate(products)
    truth = np.einsum("ik,ce->ikce", limit_matrices(DATA, depth).covariance, np.eye(DIM))
    inside = np.abs(mean.value - truth) <= np.asarray(mean.error)
    assert inside.mean() > 0.93


def test_expected_loss_is_the_average_over_gaussian_starts():
    """Draws rho_0 = D s + b with s of the limiting covariance, and runs (1 - h K)^k by products."""
    limits, steps = limit_matrices(DATA), 7
    dynamics = limit_dynamics(DATA, 100)
    rate = 0.7 * float(dynamics.stability_limit)
    kernel = np.asarray(100 * weighted_kernel(limits.kernel, DATA))
    power = np.linalg.matrix_power(np.eye(6) - rate * kernel, steps)
    roots = np.tile(np.sqrt(np.asarray(DATA.scales)), 3)
    fixed = (np.sqrt(np.asarray(DATA.beta))[None, :, None] * np.asarray(DATA.noise)).reshape(6, -1)
    second = DIM * roots[:, None] * np.asarray(limits.covariance) * roots[None, :]
    second = power @ (second + fixed @ fixed.T) @ power.T
    by_level = np.diag(second).reshape(3, 2).sum(axis=0) / 6
    # products of seven factors against eigenvectors
    np.testing.assert_allclose(dynamics.level_losses(steps, rate), by_level, rtol=1e-11)
    np.testing.assert_allclose(dynamics.loss(steps, rate), by_level.sum(), rtol=1e-11)


def test_expected_loss_at_the_start_is_exact_at_every_width():
    """E f_ij = beta_j (sigma_j^2 |z_ij|^2 + |xi_ij|^2), at width 4 as in the limit."""
    z = jnp.sum(DATA.noisy**2, axis=-1) + (DATA.sigmas**2)[None, :]
    expected = DATA.scales[None, :] * z + DATA.beta[None, :] * jnp.sum(DATA.noise**2, axis=-1)
    start = float(limit_dynamics(DATA, 4, depth=2).loss(0, 0.1))
    np.testing.assert_allclose(start, float(jnp.sum(expected)) / 6, rtol=1e-13)
    keys = jax.random.split(jax.random.key(1), 4000)
    losses = jax.jit(jax.vmap(lambda k: empirical_loss(relu_network(k, DIM, 4, 2), DATA)))(keys)
    mean = mean_estimate(losses)
    assert abs(float(mean.value) - start) < float(mean.error) < 0.3 * start


def test_expected_curve_is_met_by_wide_networks():
    """The mean over 64 linearized networks of width 1024, at the limit's learning rate."""
    width = 1024
    limit = limit_dynamics(DATA, width)
    rate, steps = 0.5 * float(limit.stability_limit), jnp.asarray([0, 1, 4, 16])

    @jax.jit
    def curve(key):
        model = relu_network(key, DIM, width)
        dynamics = kernel_dynamics(loss_kernel(model, DATA), weighted_residuals(model, DATA))
        return jax.vmap(lambda k: dynamics.loss(k, rate))(steps)

    curves = jnp.stack([curve(key) for key in jax.random.split(jax.random.key(2), 64)])
    mean = mean_estimate(curves)
    expected = np.asarray(jax.vmap(lambda k: limit.loss(k, rate))(steps))
    # beyond the interval, a bias of order 1/m times the number of e-folds
    assert np.all(np.abs(mean.value - expected) <= np.asarray(mean.error) + 0.02 * expected)


def test_it_compiles():
    limits = eqx.filter_jit(limit_matrices)(DATA, 2)
    np.testing.assert_allclose(limits.kernel, limit_matrices(DATA, 2).kernel, rtol=1e-14)
    np.testing.assert_allclose(limits.kernel, limits.kernel.T, rtol=1e-14)
    assert np.linalg.eigvalsh(np.asarray(limits.kernel))[0] > 0


def test_refusals():
    x = jnp.ones(2)
    with pytest.raises(ValueError, match="first_trained = 1: must be 0, or 1 if depth"):
        limit_kernel(x, 1.0, x, 1.0, depth=0)
    with pytest.raises(ValueError, match="depth = -1"):
        limit_covariance(x, 1.0, x, 1.0, depth=-1)
    with pytest.raises(ValueError, match=r"width = 0\.0"):
        limit_dynamics(DATA, 0)

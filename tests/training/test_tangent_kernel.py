import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.schedules.named import edm
from design_space.scores.relu_network import relu_network
from design_space.scores.two_layer import two_layer
from design_space.training import tangent_kernel as module
from design_space.training.objective import denoising_data, empirical_loss, weighted_squares
from design_space.training.tangent_kernel import (
    kernel_dynamics,
    stability_limit,
    weighted_kernel,
)
from design_space.weightings.named import edm_weighting

# compiled, each as one program
tangent_kernel = eqx.filter_jit(module.tangent_kernel)
loss_kernel = eqx.filter_jit(module.loss_kernel)
weighted_residuals = eqx.filter_jit(module.weighted_residuals)

MODELS = {
    "depth 1": lambda key: relu_network(key, 3, 11, depth=1),
    "depth 2": lambda key: relu_network(key, 3, 11, depth=2),
    "depth 3": lambda key: relu_network(key, 3, 11, depth=3),
    "hidden layer": lambda key: two_layer(key, 3, 11),
    "both layers": lambda key: two_layer(key, 3, 11, both=True),
}


def some_data(points=3, steps=2, dim=3, seed=0, dtype="float64"):
    x = np.random.default_rng(seed).normal(size=(points, dim))
    schedule = edm(steps, sigma_min=0.3, sigma_max=2.0)
    return denoising_data(x, schedule, edm_weighting(), jax.random.key(seed), dtype)


def jacobian(model, function):
    """d function(model)/d(all trained weights), rows x weights, by reverse differentiation."""
    flat, unflatten = jax.flatten_util.ravel_pytree(model.weights())
    return np.asarray(
        jax.jacrev(lambda w: function(model.with_weights(unflatten(w))).ravel())(flat)
    )


@pytest.mark.parametrize("name", MODELS)
def test_against_a_jacobian(name):
    model = MODELS[name](jax.random.key(1))
    random = np.random.default_rng(2)
    x, sigma = jnp.asarray(random.normal(size=(5, 3))), jnp.asarray(random.uniform(0.1, 3, 5))
    theta = tangent_kernel(model, x, sigma)
    J = jacobian(model, lambda it: jax.vmap(it)(x, sigma))
    # sums of some hundred products in another order
    np.testing.assert_allclose(theta.reshape(15, 15), J @ J.T, rtol=0, atol=1e-13 * np.max(theta))
    crossed = tangent_kernel(model, x[:2], sigma[:2], (x[1:], sigma[1:]))
    np.testing.assert_allclose(crossed, theta[:2, :, 1:], rtol=0, atol=1e-13 * np.max(theta))


@pytest.mark.parametrize("name", ["depth 2", "both layers"])
def test_loss_kernel_is_that_of_the_weighted_residuals(name):
    """K = (1/n) G G' for the Jacobian G of rho, whatever made rho out of S."""
    model, data = MODELS[name](jax.random.key(1)), some_data()
    G = jacobian(model, lambda it: weighted_residuals(it, data))
    K = loss_kernel(model, data)
    np.testing.assert_allclose(K, G @ G.T / 3, rtol=0, atol=1e-13 * np.max(np.abs(K)))
    rho = weighted_residuals(model, data)
    np.testing.assert_allclose(jnp.sum(rho**2) / 6, empirical_loss(model, data), rtol=1e-14)


def test_single_precision_models_are_linearized_in_double():
    model, data = (
        relu_network(jax.random.key(0), 3, 11, dtype="float32"),
        some_data(dtype="float32"),
    )
    wide = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), (model, data))
    K = loss_kernel(model, data)
    assert K.dtype == jnp.float64
    assert np.array_equal(K, loss_kernel(*wide))
    assert kernel_dynamics(K, weighted_residuals(model, data)).coordinates.dtype == jnp.float64


def descend(model, data, rate, steps, linear):
    """Plain gradient descent; `linear` replaces rho(w) by its linearization about the start."""
    flat, unflatten = jax.flatten_util.ravel_pytree(model.weights())

    def rho(w):
        return weighted_residuals(model.with_weights(unflatten(w)), data)

    at_start, tangent = jax.linearize(rho, flat)
    current = (lambda w: at_start + tangent(w - flat)) if linear else rho
    gradient = jax.grad(lambda w: jnp.sum(current(w) ** 2) / (2 * data.points.shape[0]))

    def step(w, _):
        return w - rate * gradient(w), current(w)

    return jax.jit(lambda w: jax.lax.scan(step, w, None, steps))(flat)[1]


@pytest.mark.parametrize("name", ["depth 1", "depth 3", "both layers"])
def test_gradient_descent_on_the_linearized_network(name):
    model, data = MODELS[name](jax.random.key(5)), some_data()
    K, start = loss_kernel(model, data), weighted_residuals(model, data)
    dynamics = kernel_dynamics(K, start)
    rate = 0.9 * float(stability_limit(K))
    simulated = descend(model, data, rate, 200, linear=True)
    steps = jnp.arange(200)
    predicted = jax.vmap(lambda k: dynamics.residuals(k, rate))(steps)
    # 200 steps, each rounded to 1e-16 of rho: far inside the 1e-10 that is promised
    np.testing.assert_allclose(predicted, simulated, rtol=0, atol=1e-12 * np.max(np.abs(start)))
    losses = jax.vmap(lambda k: dynamics.loss(k, rate))(steps)
    np.testing.assert_allclose(losses, np.sum(simulated**2, axis=(1, 2, 3)) / 6, rtol=1e-10)
    by_level = jax.vmap(lambda k: dynamics.level_losses(k, rate))(steps)
    np.testing.assert_allclose(by_level, np.sum(simulated**2, axis=(1, 3)) / 6, rtol=1e-9)
    levels_at_start = np.sum(weighted_squares(model, data), axis=0) / 6
    np.testing.assert_allclose(dynamics.level_losses(0, rate), levels_at_start, rtol=1e-12)


def test_a_wide_network_follows_its_kernel():
    """The deviation after a few steps at half the stability limit falls with the width."""
    data, deviations = some_data(), []
    for width in (128, 2048):
        model = relu_network(jax.random.key(3), 3, width)
        dynamics = kernel_dynamics(loss_kernel(model, data), weighted_residuals(model, data))
        rate = 0.5 * float(dynamics.stability_limit)
        simulated = descend(model, data, rate, 16, linear=False)
        predicted = jax.vmap(lambda k, d=dynamics, h=rate: d.residuals(k, h))(jnp.arange(16))
        deviations.append(float(jnp.linalg.norm(predicted[-1] - simulated[-1])))
        deviations[-1] /= float(jnp.linalg.norm(predicted[0]))
    # m^{-1/2} would make a factor of 4; one seed spreads it
    assert deviations[1] < 0.03
    assert deviations[1] < deviations[0] / 2


def test_the_stability_limit_separates():
    model, data = relu_network(jax.random.key(0), 3, 40), some_data()
    K = loss_kernel(model, data)
    limit = 2 / np.linalg.eigvalsh(np.asarray(K))[-1]
    np.testing.assert_allclose(stability_limit(K), limit, rtol=1e-12)
    dynamics = kernel_dynamics(K, weighted_residuals(model, data))
    np.testing.assert_allclose(dynamics.stability_limit, limit, rtol=1e-12)
    first = float(dynamics.loss(0, limit))
    assert float(dynamics.loss(10_000, 0.999 * limit)) < first
    assert float(dynamics.loss(10_000, 1.01 * limit)) > 1e20 * first
    far = dynamics.level_losses(10**7, 10 * limit)
    assert np.all(far == np.inf)
    assert float(dynamics.loss(10**7, 10 * limit)) == np.inf


def test_a_zero_kernel_never_moves():
    dynamics = kernel_dynamics(jnp.zeros((4, 4)), jnp.ones((2, 1, 2)))
    assert float(dynamics.loss(10**9, 3.0)) == 1.0
    assert float(dynamics.stability_limit) == np.inf
    assert float(stability_limit(jnp.zeros((4, 4)))) == np.inf


def test_a_kernel_on_pairs_acts_on_every_coordinate():
    data = some_data()
    half = np.random.default_rng(0).normal(size=(6, 6))
    small = jnp.asarray(half @ half.T)
    start = weighted_residuals(relu_network(jax.random.key(0), 3, 8), data)
    large = weighted_kernel(jnp.kron(small, jnp.eye(3)), data)
    one, other = kernel_dynamics(weighted_kernel(small, data), start), kernel_dynamics(large, start)
    for step in (0, 1, 20):
        np.testing.assert_allclose(
            one.residuals(step, 0.01), other.residuals(step, 0.01), rtol=0, atol=1e-12
        )


def test_it_compiles_and_batches_over_seeds():
    data = some_data()

    @eqx.filter_jit
    def loss(keys):
        def one(key):
            model = relu_network(key, 3, 16)
            dynamics = kernel_dynamics(loss_kernel(model, data), weighted_residuals(model, data))
            return dynamics.loss(5, 0.5 * dynamics.stability_limit)

        return jax.vmap(one)(keys)

    assert np.all(np.isfinite(loss(jax.random.split(jax.random.key(0), 3))))


def test_refusals():
    data, start = some_data(), jnp.ones((3, 2, 3))
    with pytest.raises(ValueError, match=r"kernel.shape\[0\] = 5: must be of 18 rows .*, or 6"):
        kernel_dynamics(jnp.eye(5), start)
    with pytest.raises(ValueError, match=r"theta.shape\[0\] = 9"):
        weighted_kernel(jnp.eye(9), data)
    dynamics = kernel_dynamics(jnp.eye(6), start)
    with pytest.raises(ValueError, match=r"learning_rate = 0\.0"):
        dynamics.loss(1, 0.0)
    with pytest.raises(ValueError, match=r"step = -1\.0"):
        dynamics.loss(-1, 0.1)

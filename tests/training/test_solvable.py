"""Closed-form gradient descent against gradient descent, step by step."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from design_space.arrays import Array, Float
from design_space.schedules.named import edm
from design_space.scores.linear import per_level_affine, random_features, shared_affine
from design_space.scores.model import AbstractModel, Factor
from design_space.scores.preconditioned import noise_coordinate, preconditioned
from design_space.scores.relu_network import relu_network
from design_space.training import objective
from design_space.training.objective import denoising_data
from design_space.training.solvable import solvable
from design_space.weightings.base import CustomWeighting

SCHEDULE = edm(4, sigma_min=0.1, sigma_max=3.0)
LEVELS = SCHEDULE.forward_sigmas[1:]
KEY = jax.random.key(1)
empirical_loss = eqx.filter_jit(objective.empirical_loss)
weighted_squares = eqx.filter_jit(objective.weighted_squares)
RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(3, 2))
DATA = denoising_data(POINTS, SCHEDULE, CustomWeighting([1.0, 0.5, 0.7, 0.2]), KEY)


class Product(AbstractModel):
    """S = A x + B x / sigma with two trained matrices: linear, and solved by its Jacobian."""

    kind: ClassVar[str] = "product"
    matrices: tuple[Float[Array, "dim dim"], Float[Array, "dim dim"]]

    def __call__(self, x, sigma):
        return self.matrices[0] @ x + self.matrices[1] @ x / sigma

    def weights(self):
        return self.matrices

    def with_weights(self, weights):
        return Product(weights)

    def factors(self, x, sigma):
        return tuple(Factor(x / scale, jnp.eye(x.shape[0])) for scale in (1, sigma))

    @property
    def is_linear(self):
        return True


def drawn(shape):
    return np.random.default_rng(7).normal(size=shape)


START, START_40 = drawn((2, 12)), drawn((2, 40))
MODELS = {
    "per level": lambda: per_level_affine(2, LEVELS, weights=START),
    "shared": lambda: shared_affine(2, [0.5, 0.1, 1.0], weights=drawn((2, 9))),
    "few features": lambda: random_features(KEY, 2, 5, bias=True, weights=drawn((2, 5))),
    "more features than rows": lambda: random_features(KEY, 2, 40, weights=START_40),
    "preconditioned per level": lambda: preconditioned(
        per_level_affine(2, noise_coordinate(LEVELS), weights=START)
    ),
    "preconditioned features": lambda: preconditioned(random_features(KEY, 2, 40), 1.0),
    "by its Jacobian": lambda: Product((jnp.asarray(drawn((2, 2))), jnp.eye(2))),
}
# multiples of the stability limit, and steps: slow, oscillating, just unstable
RUNS = [(0.1, 40), (0.95, 60), (1.05, 15)]


def descend(model, data, step_size, steps):
    gradient = eqx.filter_jit(jax.grad(lambda w: empirical_loss(model.with_weights(w), data)))
    weights = model.weights()
    for _ in range(steps):
        slopes = gradient(weights)
        weights = tuple(w - step_size * g for w, g in zip(weights, slopes, strict=True))
    return model.with_weights(weights)


def relative(value, truth):
    scale = max(float(np.max(np.abs(t))) for t in truth)
    return max(float(np.max(np.abs(v - t))) for v, t in zip(value, truth, strict=True)) / scale


@pytest.mark.parametrize("name", MODELS)
def test_simulated_descent_matches_the_closed_form(name):
    model = MODELS[name]()
    solution = solvable(model, DATA)
    for multiple, steps in RUNS:
        h = multiple * solution.stability_limit
        simulated = descend(model, DATA, h, steps)
        assert relative(solution.weights(steps, h), simulated.weights()) < 1e-10
        assert abs(solution.loss(steps, h) / empirical_loss(simulated, DATA) - 1) < 1e-10
        own = weighted_squares(simulated, DATA).sum(axis=0) / 6
        np.testing.assert_allclose(solution.level_losses(steps, h), own, rtol=1e-10)


def test_against_a_loop_in_numpy_on_one_level_and_one_dimension():
    """S = a x at one level: the loss is (1/2n) sum_i beta (sigma a X_i + xi_i)^2."""
    points, beta, sigma, h = RNG.normal(size=(6, 1)), 0.7, 0.8, 0.3
    schedule = edm(1, sigma_min=0.1, sigma_max=sigma)
    data = denoising_data(points, schedule, CustomWeighting([beta]), KEY)
    x, xi = np.asarray(data.noisy)[:, 0, 0], np.asarray(data.noise)[:, 0, 0]
    solution = solvable(per_level_affine(1, schedule, intercept=False, weights=[[0.5]]), data)
    a, slopes, losses = 0.5, [], []
    for _ in range(30):
        slopes.append(a)
        losses.append(np.mean(beta * (sigma * a * x + xi) ** 2) / 2)
        a -= h * np.mean(beta * (sigma * a * x + xi) * sigma * x)
    np.testing.assert_allclose(solution.loss(jnp.arange(30), h), losses, rtol=1e-12)
    own = jax.vmap(lambda k: solution.weights(k, h)[0][0, 0])(jnp.arange(30))
    np.testing.assert_allclose(own, slopes, rtol=1e-12)
    curvature = beta * sigma**2 * np.mean(x**2)
    np.testing.assert_allclose(solution.eigenvalues, [curvature], rtol=1e-13)
    best = -np.mean(x * xi) / (sigma * np.mean(x**2))
    np.testing.assert_allclose(solution.optimum.weights()[0], [[best]], rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_eigenvalues_are_those_of_the_hessian(name):
    model = MODELS[name]()
    flat, unravel = ravel_pytree(model.weights())
    hessian = jax.hessian(lambda w: empirical_loss(model.with_weights(unravel(w)), DATA))(flat)
    truth = np.linalg.eigvalsh(hessian)[::-1]
    solution = solvable(model, DATA)
    own = np.asarray(solution.eigenvalues)
    if solution.separable:
        own = np.repeat(own, 2)
    shared = min(len(own), len(truth))
    np.testing.assert_allclose(own[:shared], truth[:shared], atol=1e-13 * truth[0])
    assert np.all(np.abs(truth[shared:]) < 1e-13 * truth[0])
    np.testing.assert_allclose(solution.stability_limit, 2 / truth[0], rtol=1e-12)


def test_what_no_row_sees_stays_where_it_started():
    model = MODELS["more features than rows"]()  # 12 rows, 40 features
    solution = solvable(model, DATA)
    optimum = solution.optimum.weights()[0]
    inputs = jax.vmap(lambda x: jax.vmap(model.features)(x, DATA.sigmas))(DATA.noisy)
    null = np.linalg.svd(np.asarray(inputs).reshape(12, 40))[2][12:]
    np.testing.assert_allclose(null @ optimum.T, null @ START_40.T, atol=1e-12)
    assert empirical_loss(solution.optimum, DATA) < 1e-24
    assert solution.least_loss == 0


def test_rows_that_repeat_leave_the_rank_deficient():
    """Two features are one: their weights move together, and nothing is infinite."""
    model = shared_affine(2, [0.5, 0.5, 1.0], weights=drawn((2, 9)))
    solution = solvable(model, DATA)
    h = 0.9 * solution.stability_limit
    simulated = descend(model, DATA, h, 100)
    assert relative(solution.weights(100, h), simulated.weights()) < 1e-10
    assert abs(solution.loss(100, h) / empirical_loss(simulated, DATA) - 1) < 1e-10
    assert np.sum(np.asarray(solution.eigenvalues) == 0) == 3
    late = solution.loss(1e300, h)
    np.testing.assert_allclose(late, solution.least_loss, rtol=1e-12)
    difference = drawn((2, 9))[:, :3] - drawn((2, 9))[:, 3:6]
    theta = solution.optimum.weights()[0]
    np.testing.assert_allclose(theta[:, :3] - theta[:, 3:6], difference, rtol=1e-11)


def test_nothing_cancels_near_interpolation():
    """With a residual of one mode only, the loss is exactly geometric down to 1e-300."""
    solution = solvable(MODELS["more features than rows"](), DATA)
    slowest = float(solution.eigenvalues[-1])
    h = 0.5 * float(solution.stability_limit)
    steps = jnp.array([0.2, 0.5, 1.0]) * 690 / (2 * h * slowest)
    losses = np.asarray(solution.loss(jnp.floor(steps), h))
    assert np.all(losses > 0)
    log_rate = np.diff(np.log(losses)) / np.diff(np.floor(np.asarray(steps)))
    # at such steps only the slowest mode is left; log1p of a float64 eigenvalue
    np.testing.assert_allclose(log_rate, 2 * np.log1p(-h * slowest), rtol=1e-6)


def test_alternating_modes_have_the_right_sign():
    """At h lambda = 2 every second step comes back; at h lambda = 1 one step is enough."""
    points = RNG.normal(size=(4, 1))
    schedule = edm(1, sigma_min=0.1, sigma_max=1.0)
    data = denoising_data(points, schedule, CustomWeighting([1.0]), KEY)
    solution = solvable(per_level_affine(1, schedule, intercept=False), data)
    h, best = solution.stability_limit, solution.optimum.weights()[0]
    np.testing.assert_allclose(solution.weights(2, h)[0], 0, atol=1e-14)
    np.testing.assert_allclose(solution.weights(3, h)[0], 2 * best, rtol=1e-13)
    np.testing.assert_allclose(solution.weights(1, h / 2)[0], best, rtol=1e-13)
    np.testing.assert_allclose(solution.weights(0, h / 2)[0], 0)
    np.testing.assert_allclose(solution.loss(7, h / 2), solution.least_loss, rtol=1e-13)


@pytest.mark.parametrize("name", MODELS)
def test_divergence_is_infinite_never_nan(name):
    solution = solvable(MODELS[name](), DATA)
    h = 3 * solution.stability_limit
    assert solution.loss(1e6, h) == np.inf
    assert np.any(np.asarray(solution.level_losses(1e6, h)) == np.inf)
    for value in (*solution.weights(10**6, h), solution.level_losses(1e6, h)):
        assert not np.any(np.isnan(value))


def test_levels_of_a_per_level_model_do_not_mix():
    """Where one level diverges the others still converge."""
    solution = solvable(MODELS["per level"](), DATA)
    losses = np.asarray(solution.level_losses(1e6, 1.01 * solution.stability_limit))
    assert np.sum(np.isinf(losses)) == 1
    assert np.sum(losses < 1e3) == 3


def test_it_batches_over_steps_rates_and_weightings():
    model, beta = MODELS["shared"](), jnp.array([[1.0, 0.5, 0.7, 0.2], [0.1, 0.2, 0.3, 0.4]])
    h = jnp.array([0.01, 0.02])

    @jax.jit
    @jax.vmap
    def losses(beta, h):
        data = eqx.tree_at(lambda d: d.beta, DATA, beta)
        solution = solvable(model, data)
        return solution.loss(jnp.arange(5), h), solution.weights(3, h)[0]

    values, thetas = losses(beta, h)
    for i in range(2):
        data = eqx.tree_at(lambda d: d.beta, DATA, beta[i])
        for k in range(5):
            truth = empirical_loss(descend(model, data, h[i], k), data)
            np.testing.assert_allclose(values[i, k], truth, rtol=1e-11)
        np.testing.assert_allclose(
            thetas[i], descend(model, data, h[i], 3).weights()[0], rtol=1e-10
        )
    assert solvable(model, DATA).level_losses(jnp.arange(3)[:, None], h[None]).shape == (3, 2, 4)


def test_models_that_are_not_linear_and_foreign_levels_are_refused():
    with pytest.raises(ValueError, match="must be affine in its trained parameters"):
        solvable(relu_network(KEY, 2, 8), DATA)
    other = per_level_affine(2, [0.5, 1.0])
    with pytest.raises(ValueError, match="must be a level of the model"):
        solvable(other, DATA)


@pytest.mark.parametrize(
    ("step", "rate", "message"),
    [
        (-1, 0.1, "step = -1: must be at least 0"),
        (float("nan"), 0.1, "step = nan: must be finite"),
        (3, -0.1, "learning_rate = -0.1: must be above 0"),
        (3, float("inf"), "learning_rate = inf: must be finite"),
    ],
)
def test_steps_and_rates_out_of_their_domain_are_refused(step, rate, message):
    solution = solvable(shared_affine(2, [0.5]), DATA)
    for read in (solution.loss, solution.level_losses, solution.at):
        with pytest.raises(ValueError, match=message):
            read(step, rate)

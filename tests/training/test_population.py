"""Gradient descent on the population loss: closed forms, simulation, quadrature by SciPy."""

from itertools import pairwise
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from design_space.schedules.named import edm
from design_space.scores.linear import per_level_affine, random_features, shared_affine
from design_space.scores.preconditioned import noise_coordinate, preconditioned
from design_space.scores.relu_network import relu_network
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture
from design_space.training.objective import denoising_data, empirical_loss
from design_space.training.population import loss_floor, population_solvable
from design_space.training.solvable import solvable
from design_space.weightings.base import AbstractWeighting, CustomWeighting

SCHEDULE = edm(4, sigma_min=0.1, sigma_max=3.0)
LEVELS = SCHEDULE.forward_sigmas[1:]
BETA = np.array([1.0, 0.5, 0.7, 0.2])
WEIGHTING = CustomWeighting(BETA)
KEY = jax.random.key(1)
PAIR = GaussianMixture.isotropic([0.3, 0.7], [[-1.0], [1.0]], [0.2, 0.4])
PLANE = GaussianMixture.isotropic([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.5]], [0.3, 0.3])


def drawn(shape):
    return np.random.default_rng(7).normal(size=shape)


def test_isotropic_gaussian_per_level():
    """a_j(k) - a_j* = (1 - h beta_j v_j (s^2 + v_j))^k (a_j(0) - a_j*), a_j* = -1/(s^2 + v_j)."""
    s, d = 0.5, 3
    start = drawn(4)
    blocks = [np.concatenate([a * np.eye(d), np.zeros((d, 1))], axis=1) for a in start]
    model = per_level_affine(d, SCHEDULE, weights=np.concatenate(blocks, axis=1))
    solution = population_solvable(model, Gaussian.isotropic(d, s), SCHEDULE, WEIGHTING)
    v = np.asarray(LEVELS) ** 2
    best = -1 / (s**2 + v)
    curvatures = BETA * v * (s**2 + v)
    # one for each coordinate of x, and beta_j v_j for the intercept
    own = np.sort(np.concatenate([np.repeat(curvatures, d), BETA * v]))[::-1]
    np.testing.assert_allclose(solution.eigenvalues, own, rtol=1e-13)
    for h, k in ((0.9 * 2 / max(curvatures), 37), (0.1, 1000), (1.02 * 2 / max(curvatures), 8)):
        gone = (1 - h * curvatures) ** k * (start - best)
        theta = np.asarray(solution.at(k, h).weights()[0]).reshape(d, 4, d + 1)
        for j in range(4):
            np.testing.assert_allclose(theta[:, j, :d], np.eye(d) * (best + gone)[j], atol=1e-12)
            np.testing.assert_allclose(theta[:, j, d], 0, atol=1e-13)
        truth = d * (s**2 + v) * gone**2
        # the power of a base that is known to EPS, k times
        np.testing.assert_allclose(solution.score_errors(k, h), truth, rtol=1e-11)
        excess = 0.5 * np.sum(BETA * v * truth)
        np.testing.assert_allclose(solution.excess(k, h), excess, rtol=1e-11)
        floor = 0.5 * np.sum(BETA * d * s**2 / (s**2 + v))
        np.testing.assert_allclose(solution.loss(k, h), floor + excess, rtol=1e-12)


def test_the_excess_decays_to_nothing():
    """The exact score is in the model: no part of the loss hides a small excess."""
    target = Gaussian([0.5, -1.0], [[0.5, 0.2], [0.2, 1.0]])
    solution = population_solvable(per_level_affine(2, SCHEDULE), target, SCHEDULE, WEIGHTING)
    h = 0.5 * solution.stability_limit
    k = jnp.floor(300 / (h * solution.eigenvalues[-1]))
    assert 0 < solution.excess(k, h) < 1e-250
    np.testing.assert_allclose(
        solution.excess(k + 1000, h) / solution.excess(k, h),
        np.exp(2 * 1000 * np.log1p(-float(h * solution.eigenvalues[-1]))),
        rtol=1e-9,
    )
    assert np.all(np.asarray(solution.dynamics.level_losses(0, h)) > 0)


MODELS = {
    "per level": lambda: per_level_affine(2, LEVELS, weights=drawn((2, 12))),
    "shared": lambda: shared_affine(2, [0.5, 0.1, 1.0], weights=drawn((2, 9))),
    "preconditioned": lambda: preconditioned(per_level_affine(2, noise_coordinate(LEVELS))),
}
TARGETS = {
    "gaussian": Gaussian([0.5, -1.0], [[0.5, 0.2], [0.2, 1.0]]),
    "mixture": PLANE,
}


def moment_gradient(model, mean, covariance):
    """The gradient of (1/2) sum beta E|sigma S + xi|^2 in A, b by hand, through affine models."""
    d = len(mean)

    def loss(weights):
        total = 0.0
        for sigma, beta in zip(np.asarray(LEVELS), BETA, strict=True):
            a, b = model.with_weights(weights).affine(sigma)
            spread = covariance + sigma**2 * np.eye(d)
            offset = a @ mean + b
            square = jnp.trace(a @ spread @ a.T) + offset @ offset
            total += 0.5 * beta * (sigma**2 * square + 2 * sigma**2 * jnp.trace(a) + d)
        return total

    return loss, jax.jit(jax.value_and_grad(loss))


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("name", MODELS)
def test_simulated_descent_on_the_moments(name, kind):
    model, target = MODELS[name](), TARGETS[kind]
    solution = population_solvable(model, target, SCHEDULE, WEIGHTING)
    mean, covariance = np.asarray(target.mean()), np.asarray(target.covariance())
    _, gradient = moment_gradient(model, mean, covariance)
    for multiple, steps in ((0.1, 40), (0.95, 60), (1.05, 15)):
        h = multiple * float(solution.stability_limit)
        weights = model.weights()
        for _ in range(steps):
            weights = (weights[0] - h * gradient(weights)[1][0],)
        own = solution.at(steps, h).weights()[0]
        scale = float(jnp.max(jnp.abs(weights[0])))
        np.testing.assert_allclose(own, weights[0], atol=1e-10 * scale)
        # the printed loss cancels floor and excess; the mixture's mmse is known to 1e-12
        np.testing.assert_allclose(solution.loss(steps, h), gradient(weights)[0], rtol=1e-10)


def mixture_score(x, v):
    c = np.array([0.04, 0.16]) + v
    log_r = np.log([0.3, 0.7]) + stats.norm.logpdf(x[:, None], [-1, 1], np.sqrt(c))
    r = np.exp(log_r - log_r.max(axis=1, keepdims=True))
    r /= r.sum(axis=1, keepdims=True)
    density = np.exp(log_r).sum(axis=1)
    return np.sum(r * -(x[:, None] - np.array([-1, 1])) / c, axis=1), density


@pytest.mark.parametrize("wrapped", [False, True])
def test_random_features_on_the_line_against_scipy(wrapped):
    model = random_features(KEY, 1, 12, bias=True, weights=drawn((1, 12)))
    model = preconditioned(model) if wrapped else model
    solution = population_solvable(model, PAIR, SCHEDULE, WEIGHTING)
    h = 0.8 * solution.stability_limit
    final = solution.at(25, h)
    trained = jax.jit(lambda x, sigma: jax.vmap(lambda y: final(y, sigma))(x))
    errors = np.asarray(solution.score_errors(25, h))
    for j, sigma in enumerate(np.asarray(LEVELS)):

        def square(x, sigma=sigma):
            exact, density = mixture_score(x, sigma**2)
            score = np.asarray(trained(jnp.asarray(x[:, None]), sigma))[:, 0]
            return density * (score - exact) ** 2

        ends = 1.2 + 12 * np.hypot(0.4, sigma)
        breaks = np.sort(np.clip(np.asarray(model.kinks(sigma)), -ends, ends))
        edges = np.unique(np.concatenate([np.linspace(-ends, ends, 60), breaks]))
        truth = sum(integrate.fixed_quad(square, a, b, n=24)[0] for a, b in pairwise(edges))
        np.testing.assert_allclose(errors[j], truth, rtol=1e-10)


def test_random_features_on_the_line_against_simulated_descent():
    """Gradient descent on the quadratic form that many fresh draws make agrees within noise."""
    model = random_features(KEY, 1, 6, bias=True)
    solution = population_solvable(model, PAIR, SCHEDULE, WEIGHTING)
    points = PAIR.sample(KEY, 40000)
    data = denoising_data(points, SCHEDULE, WEIGHTING, jax.random.key(5))
    sampled = solvable(model, data)
    h = 0.5 * solution.stability_limit
    # relative noise 1/sqrt(40000) = 0.5 % of the curvatures and losses, times a few
    np.testing.assert_allclose(sampled.stability_limit, solution.stability_limit, rtol=0.03)
    for k in (0, 5, 50, 500):
        np.testing.assert_allclose(sampled.loss(k, h), solution.loss(k, h), rtol=0.03)
    fresh = eqx.filter_jit(empirical_loss)(solution.at(500, h), data)
    np.testing.assert_allclose(fresh, solution.loss(500, h), rtol=0.03)


def test_affine_models_on_a_mixture_miss_what_is_not_gaussian():
    """E|s - L|^2 = E|s - L_G|^2 + I(v) - I_G(v), by SciPy for I."""
    solution = population_solvable(per_level_affine(1, SCHEDULE), PAIR, SCHEDULE, WEIGHTING)
    h = 0.9 * solution.stability_limit
    late = np.asarray(solution.score_errors(1e9, h))
    variance = float(PAIR.covariance()[0, 0])
    for j, v in enumerate(np.asarray(LEVELS) ** 2):

        def information(x, v=v):
            exact, density = mixture_score(np.array([x]), v)
            return float(density[0] * exact[0] ** 2)

        reach = 12 * (1 + v**0.5)
        value = integrate.quad(information, -reach, reach, points=[-1, 1], limit=400)[0]
        # the two terms agree to four digits at the largest level
        np.testing.assert_allclose(late[j], value - 1 / (variance + v), atol=1e-9 * value)


def test_the_floor_is_the_loss_of_the_exact_score():
    floor = loss_floor(Gaussian.isotropic(2, 0.5), SCHEDULE, WEIGHTING)
    v = np.asarray(LEVELS) ** 2
    np.testing.assert_allclose(floor.value, 0.5 * BETA * 2 * 0.25 / (0.25 + v), rtol=1e-14)
    assert floor.method == "closed form"
    assert loss_floor(PAIR, SCHEDULE, WEIGHTING).method == "quadrature"
    model = population_solvable(per_level_affine(1, SCHEDULE), PAIR, SCHEDULE, WEIGHTING)
    assert np.all(np.asarray(model.gap.value) > 0)
    assert np.all(np.asarray(model.gap.error) < 1e-9 * np.asarray(model.gap.value))


def test_it_batches_over_designs():
    target = Gaussian.isotropic(1, 0.5)

    @jax.jit
    @jax.vmap
    def errors(beta, rho, h):
        schedule = edm(4, rho=rho)
        model = per_level_affine(1, schedule)
        return population_solvable(model, target, schedule, CustomWeighting(beta)).loss(50, h)

    betas, rhos, h = jnp.asarray([BETA, 2 * BETA]), jnp.array([7.0, 3.0]), jnp.array([1e-9, 2e-8])
    values = errors(betas, rhos, h)
    for i in range(2):
        schedule = edm(4, rho=float(rhos[i]))
        v = np.asarray(schedule.forward_variances[1:])
        start = 1 / (0.25 + v)
        gone = (1 - float(h[i]) * np.asarray(betas[i]) * v * (0.25 + v)) ** 50 * start
        excess = 0.5 * np.sum(np.asarray(betas[i]) * v * (0.25 + v) * gone**2)
        floor = 0.5 * np.sum(np.asarray(betas[i]) * 0.25 / (0.25 + v))
        np.testing.assert_allclose(values[i], floor + excess, rtol=1e-10)


def test_what_cannot_be_had_is_refused():
    plane = Gaussian.isotropic(2, 1.0)
    with pytest.raises(ValueError, match="affine in x in several dimensions; draw a large sample"):
        population_solvable(random_features(KEY, 2, 5), plane, SCHEDULE, WEIGHTING)
    with pytest.raises(ValueError, match="affine in its trained parameters"):
        population_solvable(relu_network(KEY, 2, 5), plane, SCHEDULE, WEIGHTING)
    with pytest.raises(ValueError, match="must be a level of the model"):
        population_solvable(per_level_affine(2, [1.0]), plane, SCHEDULE, WEIGHTING)
    weighting = CustomWeighting([0.0, 1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="above 0"):
        population_solvable(per_level_affine(2, SCHEDULE), plane, SCHEDULE, weighting)


@final
class _Broken(AbstractWeighting):
    beta: tuple[float, ...]

    def total(self, schedule):
        return jnp.asarray(self.beta)


@pytest.mark.parametrize("bad", [np.inf, np.nan, -1.0])
def test_weights_that_are_no_weights_are_refused(bad):
    plane, weighting = Gaussian.isotropic(2, 1.0), _Broken((1.0, bad, 1.0, 1.0))
    with pytest.raises(ValueError, match="finite and above 0: every level"):
        population_solvable(per_level_affine(2, SCHEDULE), plane, SCHEDULE, weighting)
    with pytest.raises(ValueError, match=r"total\(schedule\) = .*: must be (finite|at least 0)"):
        loss_floor(plane, SCHEDULE, weighting)

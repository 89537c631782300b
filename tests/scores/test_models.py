"""Trained score models: values against NumPy, derivatives against autodiff and differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from score_contract import SIGMAS, ScoreContract

from design_space.schedules.named import edm
from design_space.scores.base import deviations
from design_space.scores.exact import exact_score
from design_space.scores.features import LevelFeatures, ReluFeatures, SharedFeatures
from design_space.scores.linear import (
    LinearModel,
    per_level_affine,
    random_features,
    shared_affine,
)
from design_space.scores.perceptron import perceptron
from design_space.scores.preconditioned import noise_coordinate, preconditioned
from design_space.scores.relu_network import relu_network
from design_space.scores.two_layer import two_layer
from design_space.targets.gaussian import Gaussian
from design_space.training.objective import denoising_data, empirical_loss
from design_space.weightings.base import CustomWeighting

RNG = np.random.default_rng(0)
LEVELS = np.sort(SIGMAS)
BY_LEVEL, BY_SCALE = RNG.normal(size=(2, 9)), RNG.normal(size=(2, 6))
BY_FEATURE, SCALES, S = RNG.normal(size=(2, 7)), np.array([0.5, 0.0]), 0.6
KEY = jax.random.key(3)


def level_model(levels=LEVELS):
    return per_level_affine(2, levels, weights=BY_LEVEL)


def shared_model():
    return shared_affine(2, SCALES, weights=BY_SCALE)


def feature_model():
    return random_features(KEY, 2, 7, bias=True, weights=BY_FEATURE)


MODELS = {
    "per level": level_model,
    "shared": shared_model,
    "without intercept": lambda: shared_affine(2, SCALES, False, weights=BY_SCALE[:, :4]),
    "random features": feature_model,
    "relu": lambda: relu_network(KEY, 2, 9, 3),
    "two-layer": lambda: two_layer(KEY, 2, 9),
    "two-layer, both": lambda: two_layer(KEY, 2, 9, both=True),
    "perceptron": lambda: perceptron(KEY, 2, 9, 2, dtype="float64"),
    "perceptron, class": lambda: perceptron(KEY, 2, 9, classes=3, dtype="float64").given(1),
    "perceptron, tanh": lambda: perceptron(KEY, 2, 9, 1, activation="tanh", dtype="float64"),
    "preconditioned per level": lambda: preconditioned(level_model(np.log(LEVELS) / 4), S),
    "preconditioned features": lambda: preconditioned(feature_model(), S),
    "preconditioned relu": lambda: preconditioned(relu_network(KEY, 2, 9), S),
}


def relu(x):
    return np.maximum(x, 0)


def with_level(x, sigma):
    return np.concatenate([x, np.full((len(x), 1), sigma)], axis=1)


def level_twin(x, sigma):
    own = BY_LEVEL.reshape(2, 3, 3)[:, int(np.argmin(np.abs(LEVELS - sigma)))]
    return x @ own[:, :2].T + own[:, 2]


def features_twin(x, sigma):
    given = np.concatenate([with_level(x, sigma), np.ones((len(x), 1))], axis=1)
    directions = np.asarray(feature_model().features.directions)
    return relu(given @ directions.T) @ BY_FEATURE.T / 7**0.5


class TestPerLevel(ScoreContract):
    make = staticmethod(level_model)
    twin = staticmethod(level_twin)


class TestShared(ScoreContract):
    make = staticmethod(shared_model)

    def twin(self, x, sigma):
        parts = BY_SCALE.reshape(2, 2, 3)
        each = [(x @ p[:, :2].T + p[:, 2]) for p in (parts[:, 0], parts[:, 1])]
        return each[0] / (SCALES[0] ** 2 + sigma**2) + each[1] / sigma**2


class TestRandomFeatures(ScoreContract):
    make = staticmethod(feature_model)
    twin = staticmethod(features_twin)


class TestRelu(ScoreContract):
    def make(self):
        return MODELS["relu"]()

    def twin(self, x, sigma):
        net = MODELS["relu"]()
        output = with_level(x, sigma)
        for matrix in (net.first, *net.hidden):
            output = relu(output @ np.asarray(matrix).T)
        return output @ np.asarray(net.last).T


class TestPerceptron(ScoreContract):
    def make(self):
        return MODELS["perceptron, class"]()

    def twin(self, x, sigma):
        matrices = [np.asarray(matrix) for matrix in self.make().weights()]
        unit = np.tile([0.0, 1.0, 0.0], (len(x), 1))
        value = np.concatenate([with_level(x, sigma), unit], axis=1)
        for k, matrix in enumerate(matrices):
            value = np.concatenate([value, np.ones((len(x), 1))], axis=1) @ matrix.T
            value = value / (1 + np.exp(-value)) if k + 1 < len(matrices) else value
        return value


class TestTwoLayer(ScoreContract):
    def make(self):
        return MODELS["two-layer"]()

    def twin(self, x, sigma):
        net = MODELS["two-layer"]()
        return relu(with_level(x, sigma) @ np.asarray(net.inner).T) @ np.asarray(net.outer).T


class TestPreconditioned(ScoreContract):
    """By the denoiser, as EDM's Table 1 has it."""

    tolerance = 1e-12  # the twin cancels x against D, by at most |x| / (0.02 |D - x|)

    def make(self):
        return MODELS["preconditioned features"]()

    def twin(self, x, sigma):
        total = sigma**2 + S**2
        inside = features_twin(x / total**0.5, np.log(sigma) / 4)
        denoised = S**2 / total * x + sigma * S / total**0.5 * inside
        return (denoised - x) / sigma**2


@pytest.mark.parametrize("name", MODELS)
def test_factors_are_the_derivative(name):
    model, x, sigma = MODELS[name](), jnp.array([0.3, -1.2]), jnp.asarray(0.5)
    jacobians = jax.jacrev(lambda w: model.with_weights(w)(x, sigma))(model.weights())
    factors = model.factors(x, sigma)
    assert len(factors) == len(jacobians)
    for factor, jacobian in zip(factors, jacobians, strict=True):
        own = jnp.einsum("cq,p->cqp", factor.back, factor.input)
        np.testing.assert_allclose(own, jacobian, atol=1e-13 * float(jnp.max(jnp.abs(jacobian))))


@pytest.mark.parametrize("name", MODELS)
def test_loss_gradients_match_finite_differences(name):
    model = MODELS[name]()
    levels = np.concatenate([[0.01], LEVELS])
    schedule = edm(3)
    schedule = eqx.tree_at(lambda s: s.forward_sigmas, schedule, jnp.asarray(levels))
    points = np.random.default_rng(2).normal(size=(3, 2))
    data = denoising_data(points, schedule, CustomWeighting([1.0, 2.0, 0.5]), KEY)

    @jax.jit
    def loss(weights):
        return empirical_loss(model.with_weights(weights), data)

    weights, gradients = model.weights(), jax.grad(loss)(model.weights())
    scale = max(float(jnp.linalg.norm(g)) for g in gradients)
    directions = [np.random.default_rng(i).normal(size=w.shape) for i, w in enumerate(weights)]
    # central differences: error h^2 f''' + EPS loss / h, far below 1e-6 at h = 1e-5
    h = 1e-5
    ends = [
        loss(tuple(w + s * h * d for w, d in zip(weights, directions, strict=True)))
        for s in (1, -1)
    ]
    slope = sum(float(jnp.sum(g * d)) for g, d in zip(gradients, directions, strict=True))
    assert abs((ends[0] - ends[1]) / (2 * h) - slope) < 1e-6 * scale


@pytest.mark.parametrize("name", MODELS)
def test_single_precision_is_close(name):
    model = MODELS[name]()
    single = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float32) if eqx.is_inexact_array(leaf) else leaf, model
    )
    x = jnp.array([0.3, -1.2])
    for sigma in LEVELS:
        value = single(x.astype(jnp.float32), jnp.float32(sigma))
        assert value.dtype == jnp.float32
        exact = model(x, sigma)
        # a few hundred roundings of 6e-8
        np.testing.assert_allclose(value, exact, atol=3e-5 * float(1 + jnp.max(jnp.abs(exact))))


@pytest.mark.parametrize("name", MODELS)
def test_a_row_is_the_model_seen_through_its_weights(name):
    model, x = MODELS[name](), jnp.array([0.3, -1.2])
    row = model.row(x, 0.5)
    assert (row is not None) == model.is_linear
    if row is not None:
        value = model.weights()[0] @ row.input + row.offset
        np.testing.assert_allclose(value, model(x, 0.5), rtol=1e-13)
        doubled = model.with_weights((2 * model.weights()[0],))(x, 0.5)
        np.testing.assert_allclose(doubled - row.offset, 2 * (value - row.offset), rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_affine_models_say_so(name):
    model, x = MODELS[name](), jnp.array([0.3, -1.2])
    found = model.affine(0.5)
    features = getattr(getattr(model, "model", model), "features", None)
    assert (found is not None) == isinstance(features, LevelFeatures | SharedFeatures)
    if found is not None:
        value = model(x, 0.5)
        np.testing.assert_allclose(found[0] @ x + found[1], value, rtol=1e-12)


@pytest.mark.parametrize("name", ["per level", "shared", "preconditioned per level"])
def test_deviation_is_the_difference_of_the_scores(name):
    model, target = MODELS[name](), Gaussian([1.0, -0.5], [[0.5, 0.2], [0.2, 1.0]])
    found = deviations(target, model, jnp.asarray(LEVELS))
    x = jnp.array([0.3, -1.2])
    for i, sigma in enumerate(LEVELS):
        exact = exact_score(target)(x, sigma)
        inside = target.basis.T @ (x - target.mean_vector)
        value = target.basis @ (found.slope[i] @ inside + found.intercept[i])
        scale = float(jnp.max(jnp.abs(model(x, sigma)))) + 1
        np.testing.assert_allclose(value, model(x, sigma) - exact, atol=1e-13 * scale)


def test_networks_and_random_features_have_no_deviation():
    target = Gaussian.isotropic(2, 1.0)
    for name in ("relu", "two-layer", "random features", "preconditioned features"):
        assert MODELS[name]().deviation(target, 0.5) is None


def test_shared_features_hold_the_score_of_a_gaussian():
    mean = np.array([0.4, -2.0])
    weights = np.concatenate([-np.eye(2), mean[:, None], np.zeros((2, 3))], axis=1)
    model = shared_affine(2, [0.7, 3.0], weights=weights)
    target = Gaussian.isotropic(2, 0.7, mean=mean)
    for sigma in (0.002, 1.0, 80.0):
        value = model(jnp.array([1.0, 2.0]), sigma)
        np.testing.assert_allclose(
            value, exact_score(target)(jnp.array([1.0, 2.0]), sigma), rtol=1e-13
        )


@pytest.mark.parametrize("levels", [LEVELS, np.log(LEVELS) / 4, [-0.5, 0.0, 0.3], [0.0]])
def test_foreign_levels_are_nan(levels):
    features = LevelFeatures(jnp.asarray(levels), 1)
    for level in levels:
        assert np.all(np.isfinite(features(jnp.ones(1), level + 1e-11 * (abs(level) + 0.1))))
        assert np.all(np.isnan(features(jnp.ones(1), level + 1e-6)))


def test_levels_of_long_schedules_are_told_apart_in_single_precision():
    sigmas = jnp.asarray(edm(500).forward_sigmas[1:], jnp.float32)
    for levels in (sigmas, noise_coordinate(sigmas)):
        features = LevelFeatures(levels, 1)
        # the coordinate is computed again under jit, where rounding may differ
        again = noise_coordinate(sigmas) if levels is not sigmas else sigmas
        gates = jax.jit(jax.vmap(features.gates))(again)
        assert np.array_equal(gates, np.eye(500))


def test_kinks_are_where_the_derivative_jumps():
    for wrapped in (False, True):
        model = random_features(KEY, 1, 4, bias=True, weights=np.ones((1, 4)))
        model = preconditioned(model, S) if wrapped else model
        slope = jax.grad(lambda x, m=model: m(x[None], 0.5)[0])
        for kink in model.kinks(0.5):
            assert abs(slope(kink + 1e-7) - slope(kink - 1e-7)) > 1e-3
    assert feature_model().kinks(0.5) is None
    assert shared_model().kinks(0.5).shape == (0,)


def test_drawn_directions_are_standard_normal():
    directions = np.asarray(random_features(KEY, 3, 4000).features.directions)
    assert directions.shape == (4000, 4)
    # 16,000 draws: the mean square is off by sqrt(2/16000) = 1.1 %, the mean by 0.8 %
    assert abs(np.mean(directions**2) - 1) < 0.06
    assert abs(np.mean(directions)) < 0.04


BAD = {
    "dim": lambda: per_level_affine(0, LEVELS),
    "sigmas = .* ascending": lambda: per_level_affine(1, LEVELS[::-1]),
    "levels": lambda: per_level_affine(1, []),
    "scales": lambda: shared_affine(1, [-1.0]),
    "width": lambda: random_features(KEY, 1, 0),
    "dtype": lambda: random_features(KEY, 1, 3, dtype="float16"),
    "weights.shape": lambda: shared_affine(1, [1.0], weights=np.ones((1, 3))),
    "theta.shape": lambda: LinearModel(SharedFeatures(jnp.ones(1), 2), jnp.ones((2, 2))),
    "directions.shape": lambda: ReluFeatures(jnp.ones((3, 5)), 2),
    "sigma_data": lambda: preconditioned(shared_model(), 0.0),
    r"len\(x\)": lambda: shared_model()(jnp.ones(3), 1.0),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()

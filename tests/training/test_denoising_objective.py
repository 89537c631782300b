"""The empirical denoising objective against a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.schedules.named import edm
from design_space.scores.function import function_score
from design_space.scores.relu_network import relu_network
from design_space.targets.gaussian import Gaussian
from design_space.training.objective import (
    denoising_data,
    empirical_loss,
    residuals,
    weighted_squares,
)
from design_space.weightings.base import CustomWeighting

SCHEDULE = edm(4, sigma_min=0.1, sigma_max=3.0)
BETA = np.array([0.3, 2.0, 1.0, 0.05])
POINTS = np.random.default_rng(0).normal(size=(5, 2))
KEY = jax.random.key(1)


def score(x, sigma):
    return jnp.sin(x) / sigma - x[::-1]


def test_against_a_loop_over_points_and_levels():
    data = denoising_data(POINTS, SCHEDULE, CustomWeighting(BETA), KEY)
    noise, sigmas = np.asarray(data.noise), np.asarray(SCHEDULE.forward_sigmas)
    total = 0.0
    for i in range(5):
        for j in range(1, 5):
            x = POINTS[i] + sigmas[j] * noise[i, j - 1]
            r = sigmas[j] * (np.sin(x) / sigmas[j] - x[::-1]) + noise[i, j - 1]
            f = BETA[j - 1] * (r[0] ** 2 + r[1] ** 2)
            total += f / (2 * 5)
            model = function_score(score)
            np.testing.assert_allclose(residuals(model, data)[i, j - 1], r, rtol=1e-13)
            np.testing.assert_allclose(weighted_squares(model, data)[i, j - 1], f, rtol=1e-13)
            np.testing.assert_allclose(data.noisy[i, j - 1], x, rtol=1e-15)
    assert abs(empirical_loss(function_score(score), data) / total - 1) < 1e-14
    np.testing.assert_allclose(data.scales, BETA * sigmas[1:] ** 2, rtol=1e-15)


def test_the_noise_is_standard_and_follows_the_key():
    many = np.zeros((2000, 2))
    data = denoising_data(many, SCHEDULE, CustomWeighting(BETA), KEY)
    assert data.noise.shape == (2000, 4, 2)
    # 16,000 draws: mean within 5 / sqrt(16000), mean square within 5 sqrt(2 / 16000)
    assert abs(np.mean(data.noise)) < 0.04
    assert abs(np.mean(data.noise**2) - 1) < 0.056
    again = denoising_data(many, SCHEDULE, CustomWeighting(BETA), KEY)
    assert np.array_equal(data.noise, again.noise)
    other = denoising_data(many, SCHEDULE, CustomWeighting(BETA), jax.random.key(2))
    assert not np.any(data.noise == other.noise)


def test_a_target_gives_data_of_its_own():
    points = Gaussian.isotropic(3, 0.5).sample(KEY, 7)
    data = denoising_data(points, SCHEDULE, CustomWeighting(BETA), KEY)
    assert np.array_equal(data.points, points)


def test_single_precision_stays_single():
    data = denoising_data(POINTS, SCHEDULE, CustomWeighting(BETA), KEY, dtype="float32")
    assert {leaf.dtype for leaf in jax.tree.leaves(data)} == {jnp.dtype("float32")}
    model = relu_network(KEY, 2, 8, dtype="float32")
    loss, gradient = jax.value_and_grad(lambda w: empirical_loss(model.with_weights(w), data))(
        model.weights()
    )
    assert loss.dtype == gradient[0].dtype == jnp.float32


def test_the_loss_batches_over_weightings_and_models():
    data = denoising_data(POINTS, SCHEDULE, CustomWeighting(BETA), KEY)
    models = jax.vmap(lambda key: relu_network(key, 2, 8))(jax.random.split(KEY, 3))
    losses = jax.jit(jax.vmap(empirical_loss, in_axes=(0, None)))(models, data)
    for i in range(3):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], models)
        np.testing.assert_allclose(losses[i], empirical_loss(one, data), rtol=1e-13)


@pytest.mark.parametrize("beta", [[1.0, 0.0, 1.0, 1.0]])
def test_a_level_without_weight_is_refused(beta):
    message = r"total\(schedule\)\[1\] = 0.0: must be finite and above 0"
    with pytest.raises(ValueError, match=message):
        denoising_data(POINTS, SCHEDULE, CustomWeighting(beta), KEY)


@pytest.mark.parametrize("points", [np.zeros((0, 2)), [[np.nan]], [1.0, 2.0]])
def test_bad_points_are_refused(points):
    with pytest.raises(ValueError, match="points"):
        denoising_data(points, SCHEDULE, CustomWeighting(BETA), KEY)


def test_what_single_precision_cannot_hold_is_refused():
    with pytest.raises(ValueError, match=r"points = 1e\+40: must be between 0 and 3.4e\+38"):
        denoising_data([[1e40]], SCHEDULE, CustomWeighting(BETA), KEY, dtype="float32")
    small = CustomWeighting([1e-60, 1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"total.* = 1e-60: must be between 1.18e-38 and"):
        denoising_data(POINTS, SCHEDULE, small, KEY, dtype="float32")
    assert denoising_data([[1e-60]], SCHEDULE, CustomWeighting(BETA), KEY, "float32").points == 0


def test_a_number_type_that_is_none_is_refused():
    with pytest.raises(ValueError, match="dtype = 'float16': must be float32 or float64"):
        denoising_data(POINTS, SCHEDULE, CustomWeighting(BETA), KEY, dtype="float16")

"""Exact facts of the self-perceptual loss, and the code that observes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from judging import assert_as_expected, outcomes
from scipy.stats import norm

from analyses.judge import judge
from analyses.perceptual_identities import SIGMAS, ConstantVelocity, LinearHidden, drawn
from analyses.perceptual_mass import flow_mass, noisy_mass, schedule, two_modes
from analyses.perceptual_training import frozen
from analyses.statements.perceptual_exact import EQUAL_TIMES, LINEAR_FEATURES, ROTATION
from analyses.statements.perceptual_optimum import POINTWISE_OPTIMUM, UNLIMITED_CAPACITY
from design_space.errors.line import line_errors
from design_space.errors.line_law import line_laws
from design_space.sampling.flows import FlowEuler
from design_space.scores.exact import exact_score
from design_space.scores.predictions import predictions
from design_space.targets.line import Line


def slopes_by_jax(model, x, sigma):
    def value(weights):
        return model.with_weights(weights)(x, sigma)

    return jax.jacobian(value)(model.weights())


def slopes_by_factors(model, x, sigma):
    return [jnp.einsum("cq,p->cqp", f.back, f.input) for f in model.factors(x, sigma)]


@pytest.mark.parametrize(
    "model",
    [
        frozen(),
        ConstantVelocity(jnp.arange(5.0)[:, None], jnp.asarray(SIGMAS)),
        LinearHidden(jnp.ones((5, 2, 1)), jnp.asarray(SIGMAS)),
    ],
    ids=lambda model: model.kind,
)
def test_models_know_their_derivatives(model):
    x, sigma = jnp.array([0.4]), SIGMAS[2]
    by_jax, by_factors = slopes_by_jax(model, x, sigma), slopes_by_factors(model, x, sigma)
    for one, two in zip(by_jax, by_factors, strict=True):
        np.testing.assert_allclose(one, two.reshape(one.shape), atol=1e-14)


def test_the_frozen_model_is_the_exact_denoiser():
    target = two_modes(1.0, 0.3)
    for x in (-2.0, 0.1, 0.7):
        point = jnp.array([x])
        np.testing.assert_allclose(frozen()(point, 0.8), target.score(point, 0.64), rtol=1e-13)


def test_a_constant_velocity_is_predicted_everywhere():
    model = ConstantVelocity(jnp.asarray(SIGMAS)[:, None] * 2, jnp.asarray(SIGMAS))
    data = drawn(jax.random.key(0), 1, 3)
    for j, sigma in enumerate(SIGMAS):
        for y in data.noisy[:, j]:
            found = predictions(y, sigma, model(y, sigma)).velocity
            # of y and (1 + sigma^2) S, which nearly cancel
            np.testing.assert_allclose(found, 2 * sigma, atol=1e-12 * (1 + sigma**2))


def test_masses_of_a_flow_by_quantiles_and_by_its_density():
    m, s = 1.0, 0.3
    score, target = exact_score(two_modes(m, s)), two_modes(m, s)
    found = flow_mass(score, m, s, "flow, Euler")
    laws = line_laws(score, schedule(), FlowEuler())
    x, q = laws.fine.grid.points(), np.exp(laws.fine.log_values)
    # a step at an edge is off by half a cell's mass
    between = np.sum(q[np.abs(x) < m / 2]) * laws.fine.grid.spacing
    cell = np.max(q[np.abs(np.abs(x) - m / 2) < 0.1]) * laws.fine.grid.spacing
    assert abs(found.between[0] - between) < found.between[1] + cell
    assert found.between[1] < 1e-4
    line = Line.of(target.components())
    w2 = float(line_errors(line, schedule().backward_variances[-1], laws).w2_squared.value) ** 0.5
    assert found.w2 == pytest.approx(w2, rel=1e-3)  # 131072 quantiles: tails beyond are left out


def test_mass_between_by_its_density():
    """Sixteen steps of the exact score widen the modes: more than the data have, not much more."""
    m, s = 1.0, 0.3
    found = noisy_mass(exact_score(two_modes(m, s)), m, s)
    spread = (s * s + 0.002**2) ** 0.5
    data = norm.cdf(-0.5 * m / spread) - norm.cdf(-1.5 * m / spread)
    assert data < found.between[0] < 3 * data
    assert found.between[1] < 1e-4
    assert found.kl[1] < 1e-6


def test_the_rotation():
    found = outcomes(ROTATION)
    assert_as_expected(found)
    seen = found["rotation"].seen
    assert np.max(seen.error / np.max(np.abs(seen.left))) < 1e-6


def test_closed_forms_of_the_optimum():
    pair = outcomes(POINTWISE_OPTIMUM, only=lambda c: c.name == "one pair")
    clean = outcomes(UNLIMITED_CAPACITY, only=lambda c: c.name == "clean levels")
    for found in (pair, clean):
        assert_as_expected(found)
        for outcome in found.values():
            assert np.median(outcome.seen.error) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("statement", [EQUAL_TIMES, LINEAR_FEATURES], ids=lambda s: s.id)
def test_where_the_loss_is_zero_or_a_mean_square(statement):
    assert judge(statement, {}).as_recorded


@pytest.mark.slow
def test_training_meets_the_optimum_and_not_the_posterior_mean():
    found = outcomes(POINTWISE_OPTIMUM, only=lambda c: c.name != "one pair")  # a test above has it
    assert_as_expected(found)
    trained, other = found["training"].seen, found["posterior mean"].seen
    # intervals are narrow beside what tells the two optima apart
    assert np.median(np.abs(trained.right - other.right) / trained.error) > 2

"""Loss curves against plain steps, the kernel against the network, the bound and its constant."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from analyses import training_convergence as analysis
from design_space.bounds.convergence import ConvergenceConstants, TrainingSizes, theorem_1
from design_space.training.ensemble import member
from design_space.training.objective import empirical_loss, residuals

TINY = {
    "points": 2,
    "levels": 3,
    "dim": 3,
    "depth": 1,
    "low": 0.2,
    "high": 2.0,
    "seed": 0,
    "seeds": 3,
    "batch": 2,
    "steps": 40,
    "weighting": "uniform",
    "width": 24,
}


@pytest.fixture(scope="module")
def table():
    parts = [analysis.compute(TINY | {"width": width}) for width in (24, None)]
    return analysis.pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def runs():
    return analysis.runs_of(TINY)


def models():
    keys = jax.random.split(jax.random.key(1), 3)
    return jax.vmap(lambda key: analysis.relu_network(key, 3, 24, 1))(keys)


def test_losses_are_those_of_plain_steps(runs):
    data = analysis.data_of(TINY)
    for seed in range(2):
        model, own = member(models(), seed), member(data, seed)
        loss = jax.jit(lambda w, model=model, own=own: empirical_loss(model.with_weights(w), own))
        slope, weights = jax.jit(jax.grad(loss)), model.weights()
        for k in range(6):
            assert float(loss(weights)) == pytest.approx(float(runs.info.loss[seed, k]), rel=1e-11)
            weights = tuple(
                w - runs.rates[seed] * g for w, g in zip(weights, slope(weights), strict=True)
            )


def test_the_step_is_half_the_stability_limit(runs):
    data = analysis.data_of(TINY)
    model, own = member(models(), 0), member(data, 0)
    flat, unravel = jax.flatten_util.ravel_pytree(model.weights())
    hessian = jax.hessian(lambda w: empirical_loss(model.with_weights(unravel(w)), own))(flat)
    top = np.linalg.eigvalsh(np.asarray(hessian))[-1]
    assert float(runs.rates[0]) == pytest.approx(1 / top, rel=1e-7)


def test_the_kernel_begins_as_the_network_does(runs):
    np.testing.assert_allclose(runs.kernel[:, 0], runs.info.loss[:, 0], rtol=1e-12)


def test_the_kernel_is_descent_on_the_linearized_network(runs):
    """rho <- rho - h J J' rho/n with the Jacobian of the weighted residuals, step by step."""
    model, own = member(models(), 0), member(analysis.data_of(TINY), 0)
    flat, unravel = jax.flatten_util.ravel_pytree(model.weights())

    def rho(w):
        scaled = jnp.sqrt(own.beta)[None, :, None]
        return jnp.ravel(scaled * residuals(model.with_weights(unravel(w)), own))

    jacobian, now = np.asarray(jax.jacobian(rho)(flat)), np.asarray(rho(flat))
    for k in range(6):
        assert float(runs.kernel[0, k]) == pytest.approx(now @ now / 4, rel=1e-10)
        now = now - float(runs.rates[0]) * jacobian @ (jacobian.T @ now) / 2


def test_the_largest_constant_is_admissible_and_no_larger_one_is(runs):
    data = analysis.data_of(TINY)
    sizes = TrainingSizes(2, 3, 3, 24, 1)
    scales = analysis.largest_scales(data, runs.info)
    found = analysis.largest_decay(runs.info, scales, runs.rates, sizes)
    loss = np.asarray(runs.info.loss)

    def violations(constant):
        constants = ConvergenceConstants(decay=constant)
        bound = [
            np.asarray(theorem_1(a, h, sizes, constants))[:-1]
            for a, h in zip(scales, runs.rates, strict=True)
        ]
        return int(np.sum(loss[:, 1:] / loss[:, :1] > np.stack(bound) * (1 + 1e-12)))

    assert violations(found) == 0
    assert violations(1.01 * found) > 0


def test_weightings():
    schedule = np.asarray(analysis.edm(3, 0.2, 2.0).forward_sigmas[1:])
    for name, beta in (("uniform", np.ones(3)), ("equal a", schedule**-2)):
        data = analysis.data_of(TINY | {"weighting": name})
        np.testing.assert_allclose(data.beta[0], beta, rtol=1e-12)
    bell = analysis.data_of(TINY | {"weighting": "EDM"})
    assert np.all(np.asarray(bell.beta) > 0)
    np.testing.assert_array_equal(bell.noise, analysis.data_of(TINY).noise)


def test_the_table_and_its_finding(table):
    curves = table[table["part"] == "curve"]
    assert set(curves["series"]) == {"loss", "bound", "kernel", "limit"}
    starts = curves[curves["step"] == 0]
    np.testing.assert_allclose(starts["value"], 1.0, rtol=1e-12)
    assert np.all(curves["low"] <= curves["high"])
    widths = sorted(table["width"].unique())
    assert widths == [24.0, np.inf]
    words = analysis.finding(table)
    assert "uniform: after 39 steps" in words
    assert "The loss fell at every step of every run." in words

"""Bounds on gradient descent against hand numbers, plain loops and small matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import mp

from design_space.bounds.convergence import (
    ConvergenceConstants,
    TrainingSizes,
    corollary_2,
    gradient_between,
    kernel_decay,
    lemma_1,
    lemma_5,
    lemma_7,
    printed_excess,
    printed_rate,
    theorem_1,
    theorem_1_steps,
)

SIZES = TrainingSizes(points=2, levels=3, dim=16, width=64)
ONE = ConvergenceConstants(decay=1.0, lower=1.0, upper=1.0, equal=1.0)


def test_the_rate_by_hand():
    # 64/(8 * 9), and with a_0 = 1/2 a factor 16^{-1/4} = 1/2.
    np.testing.assert_allclose(printed_rate(3.0, SIZES), 3 * 64 / 72, rtol=1e-15)
    np.testing.assert_allclose(printed_rate(3.0, SIZES, 0.5), 3 * 64 / 144, rtol=1e-15)


def test_theorem_1_is_the_product_over_the_steps():
    scales, h = jnp.asarray([1.0, 0.5, 0.25, 1.0]), 0.03
    c = ConvergenceConstants(decay=0.7, alpha=0.6)
    product, expected = mp.mpf(1), []
    for a in (1, "0.5", "0.25", 1):
        power = mp.mpf(16) ** ((mp.mpf("0.6") - 1) / 2)
        product *= 1 - mp.mpf("0.7") * mp.mpf("0.03") * mp.mpf(a) * 64 * power / 72
        expected.append(float(product))
    # the powers and products round once each
    np.testing.assert_allclose(theorem_1(scales, h, SIZES, c), expected, rtol=1e-14)


def test_a_factor_below_zero_counts_as_zero():
    assert theorem_1(jnp.ones(2), 10.0, SIZES, ONE).tolist() == [0.0, 0.0]
    assert float(corollary_2(3, 10.0, 1.0, SIZES, ONE)) == 0.0


def test_corollary_2_is_theorem_1_with_equal_scales():
    product = theorem_1(jnp.full(7, 0.3), 0.01, SIZES, ONE)
    np.testing.assert_allclose(corollary_2(7, 0.01, 0.3, SIZES, ONE), product[-1], rtol=1e-13)


def test_the_number_of_steps_by_hand():
    c = ConvergenceConstants(alpha=0.5)
    # 16^{1/4} * 4 * 3 * ln(16/0.016)
    np.testing.assert_allclose(theorem_1_steps(0.016, SIZES, c), 24 * np.log(1000), rtol=1e-14)


def test_lemmas_by_hand():
    np.testing.assert_allclose(lemma_1(9.0, 0.5, SIZES, ONE), 0.5 * 64 / 72 * 9, rtol=1e-15)
    np.testing.assert_allclose(lemma_5(9.0, 0.5, SIZES, ONE), 64 * 3 * 0.5 * 9, rtol=1e-15)
    steep = ConvergenceConstants(upper=1.0, norm_exponent=1.0)
    np.testing.assert_allclose(lemma_5(9.0, 0.5, SIZES, steep), 16 * 864, rtol=1e-15)


@pytest.mark.parametrize("losses", [(2.0, 9.0), (9.0, 2.0)])
def test_lemma_7_takes_the_smaller_loss(losses):
    below, above = lemma_7(*losses, 0.5, 1.0, SIZES, ONE)
    np.testing.assert_allclose(below, lemma_1(2.0, 0.5, SIZES, ONE), rtol=1e-15)
    np.testing.assert_allclose(above, lemma_5(2.0, 1.0, SIZES, ONE), rtol=1e-15)


def _problem(seed=0, rows=6, points=3):
    """A linear model's residuals J w + b, of which the loss is |.|^2/(2n)."""
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, 20)), random.standard_normal(rows), points


def test_gradients_of_a_linear_model_are_between_and_reach_both_ends():
    jacobian, _, n = _problem()
    kernel = jacobian @ jacobian.T / n
    eigenvalues, vectors = np.linalg.eigh(kernel)
    for rho in (*vectors.T, np.random.default_rng(1).standard_normal(6)):
        loss, square = rho @ rho / (2 * n), np.sum((jacobian.T @ rho / n) ** 2)
        below, above = gradient_between(loss, eigenvalues[0], eigenvalues[-1])
        assert float(below) <= square * (1 + 1e-12)
        assert square <= float(above) * (1 + 1e-12)
    for index, end in ((0, 0), (-1, 1)):
        rho = vectors[:, index]
        ends = gradient_between(rho @ rho / (2 * n), eigenvalues[0], eigenvalues[-1])
        np.testing.assert_allclose(ends[end], np.sum((jacobian.T @ rho / n) ** 2), rtol=1e-11)


def test_kernel_decay_bounds_a_linear_model_and_is_attained():
    jacobian, rho, n = _problem(2)
    eigenvalues, vectors = np.linalg.eigh(jacobian @ jacobian.T / n)
    h = 1 / eigenvalues[-1]
    for start in (rho, vectors[:, 0]):
        now = start.copy()
        for k in range(1, 30):
            now = now - h * jacobian @ (jacobian.T @ now) / n
            bound = float(kernel_decay(eigenvalues[0], h, k))
            ratio = now @ now / (start @ start)
            assert ratio <= bound * (1 + 1e-10)
    np.testing.assert_allclose(ratio, bound, rtol=1e-10)


def test_descent_diverges_exactly_above_one_stability_limit():
    jacobian, rho, n = _problem(3)
    most = np.linalg.eigvalsh(jacobian @ jacobian.T / n)[-1]
    for h in (1.9 / most, 2.1 / most):
        now = rho
        for _ in range(400):
            now = now - h * jacobian @ (jacobian.T @ now) / n
        assert (now @ now > rho @ rho) == (float(printed_excess(h, most)) > 1)


def test_bounds_compile_and_batch():
    scales = jnp.ones((5, 4))
    found = jax.jit(jax.vmap(lambda a: theorem_1(a, 0.01, SIZES)))(scales)
    assert found.shape == (5, 4)

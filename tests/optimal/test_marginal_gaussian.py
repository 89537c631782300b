"""Marginal-optimal grids on Gaussian data: stationary, global, not beaten by any schedule."""

import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp
from scipy.optimize import minimize

from design_space.errors.gaussian import commuting_errors
from design_space.optimal.marginal import marginal_optimal, marginal_optimum
from design_space.optimal.marginal_gaussian import (
    _model,
    gaussian_descent,
    gaussian_kl,
    leading_order_sigmas,
)
from design_space.targets.empirical import Empirical
from design_space.targets.gaussian import Gaussian

RNG = np.random.default_rng(3)
SPECTRA = {
    "narrow": Gaussian.isotropic(1, 0.01),
    "standard": Gaussian.isotropic(1, 0.5),
    "off center": Gaussian.isotropic(2, 0.5, [3.0, -1.0]),
    "wide": Gaussian.isotropic(1, 30.0),
    "four scales": Gaussian.diagonal([0.0, 1.0, 0.0, 0.3], [4.0, 0.25, 1e-2, 1e-3]),
    "power law": Gaussian.diagonal(np.zeros(64), 10.0 / np.arange(1, 65) ** 2),
    "random": Gaussian.diagonal(0.1 * RNG.normal(size=64), 10.0 ** RNG.uniform(-5, 2, 64)),
    "full": Gaussian([1.0, 0.0], [[2.0, 0.9], [0.9, 0.5]]),
    "points": Gaussian.dirac([0.5]),
}
FEW = [5, *(pytest.param(steps, marks=pytest.mark.slow) for steps in (10, 20, 50))]


def reference_kl(target, v):
    """The KL by the recursion of variances in sixty digits."""
    total = mp.mpf(0)
    mean = np.asarray(target.into_basis(target.mean_vector))
    for m, lam in zip(mean, np.asarray(target.eigenvalues), strict=True):
        lam, shift, variance = exact(lam), -exact(m), exact(v[0])
        for a, b in zip(map(exact, v[:-1]), map(exact, v[1:]), strict=True):
            slope = (lam + b) / (lam + a)
            variance, shift = slope**2 * variance + a - b, slope * shift
        ratio = (lam + exact(v[-1])) / variance
        total += (ratio - 1 - mp.log(ratio) + shift**2 / variance) / 2
    return float(total)


@pytest.mark.parametrize("name", SPECTRA)
def test_kl_is_the_recursion(name):
    v = np.array([900.0, 30.0, 2.0, 0.3, 1e-3])
    target = SPECTRA[name]
    mean = np.asarray(target.into_basis(target.mean_vector))
    found = gaussian_kl(mean, np.asarray(target.eigenvalues), v)
    np.testing.assert_allclose(found, reference_kl(target, v), rtol=1e-11)


def test_derivatives_by_central_differences():
    mean, lam = np.array([0.3, -1.0, 2.0]), np.array([1e-3, 0.4, 30.0])
    v = np.array([900.0, 30.0, 2.0, 0.3, 0.04, 1e-3])
    model = _model(mean, lam, v)
    for k in range(1, 5):
        up, down = v.copy(), v.copy()
        up[k] *= 1 + 1e-6
        down[k] *= 1 - 1e-6
        width = up[k] - down[k]
        slope = (gaussian_kl(mean, lam, up) - gaussian_kl(mean, lam, down)) / width
        bend = (_model(mean, lam, up).gradient - _model(mean, lam, down).gradient) / width
        # rounding of the KL, EPS of 10, over a change by 1e-6 in v
        np.testing.assert_allclose(model.gradient[k - 1], slope, rtol=1e-6, atol=1e-8 / v[k])
        np.testing.assert_allclose(model.hessian[k - 1], bend, rtol=2e-4, atol=1e-8)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("steps", FEW)
def test_beats_or_ties_every_published_schedule(name, steps):
    found = marginal_optimum(SPECTRA[name], steps)
    value, error = float(found.marginal_kl.value), float(found.marginal_kl.error)
    assert value - error <= min(found.published.values())
    if not found.below_rounding:
        # from every start the same minimum
        np.testing.assert_allclose(list(found.restarts.values()), value, rtol=1e-9)
        assert found.gradient_norm < 1e-8 * max(value, 1)
        assert value < 0.9999 * min(found.published.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("steps", [100, 200, 500])
def test_beats_or_ties_every_published_schedule_at_many_steps(name, steps):
    found = marginal_optimum(SPECTRA[name], steps)
    value, error = float(found.marginal_kl.value), float(found.marginal_kl.error)
    assert value - error <= min(found.published.values())


@pytest.mark.parametrize("name", ["standard", "four scales"])
def test_two_steps_are_those_of_a_scan_in_sixty_digits(name):
    target = SPECTRA[name]
    found = np.asarray(marginal_optimal(target, 2, 0.05, 20.0).backward_variances)
    best = reference_kl(target, found)
    for factor in (0.999, 1.001):
        assert reference_kl(target, found * np.array([1.0, factor, 1.0])) > best
    for middle in np.geomspace(0.0026, 399.0, 60):
        assert reference_kl(target, np.array([found[0], middle, found[2]])) >= best


@pytest.mark.parametrize("name", ["standard", "four scales"])
def test_another_search_from_random_starts_finds_no_better(name):
    target = SPECTRA[name]
    mean, lam = np.asarray(target.mean_vector), np.asarray(target.eigenvalues)
    found = marginal_optimum(target, 4, 0.05, 20.0)
    rng = np.random.default_rng(0)

    def kl(y):
        v = np.exp(np.concatenate([[2 * np.log(20.0)], np.sort(y)[::-1], [2 * np.log(0.05)]]))
        return gaussian_kl(mean, lam, v) if np.all(np.diff(v) < 0) else np.inf

    for _ in range(6):
        other = minimize(kl, rng.uniform(-5.9, 5.9, 3), method="Nelder-Mead")
        assert other.fun >= float(found.marginal_kl.value) * (1 - 1e-9)


def test_isotropic_optimum_is_one_and_the_same_from_random_starts():
    """In (l + v)^{-1/2} the excess variance is convex: one minimum."""
    rng = np.random.default_rng(1)
    mean, lam = np.zeros(1), np.array([0.25])
    reached = []
    for _ in range(8):
        inner = np.sort(rng.uniform(np.log(4e-6), np.log(6400.0), 19))[::-1]
        v = np.concatenate([[6400.0], np.exp(inner), [4e-6]])
        reached.append(gaussian_descent(mean, lam, v).kl)
    np.testing.assert_allclose(reached, reached[0], rtol=1e-12)


def test_five_hundred_steps_beat_the_leading_order():
    """The number of the theory page: 1.58e-5 for the grid uniform in (s^2 + v)^{-1/2}."""
    sigmas = leading_order_sigmas(0.25, 500, 0.002, 80.0)
    v = sigmas**2
    leading = float(commuting_errors(jnp.zeros(1), jnp.array([0.25]), v, -jnp.diff(v)).marginal_kl)
    np.testing.assert_allclose(leading, 1.58e-5, rtol=5e-3)
    found = gaussian_descent(np.zeros(1), np.array([0.25]), np.asarray(v))
    assert found.kl < leading * 0.999


def test_leading_order_grid_in_sixty_digits():
    lam, low, high = exact(0.25), exact(0.002) ** 2, exact(80.0) ** 2
    a, b = (lam + high) ** (-mp.one / 2), (lam + low) ** (-mp.one / 2)
    expected = [mp.sqrt((a + (b - a) * j / 7) ** -2 - lam) for j in range(8)]
    found = leading_order_sigmas(0.25, 7, 0.002, 80.0)
    # v_N = 4e-6 is a difference from 0.25: the reference keeps it in its sixty digits
    np.testing.assert_allclose(found, [float(x) for x in expected], rtol=1e-12)


def test_nothing_is_left_on_wide_data():
    """The sampler starts too narrow and the steps make it too wide: both can cancel exactly."""
    found = marginal_optimum(SPECTRA["wide"], 200)
    assert found.below_rounding
    assert min(found.published.values()) > 1e-7


def test_one_step_has_nothing_to_choose():
    found = marginal_optimum(SPECTRA["standard"], 1)
    np.testing.assert_array_equal(found.schedule.backward_sigmas, [80.0, 0.002])
    assert found.gradient_norm == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((SPECTRA["standard"], 0), "steps = 0: must be a whole number"),
        ((SPECTRA["standard"], 3, 2.0, 1.0), "sigma_min = 2.0: must be below sigma_max"),
        ((Empirical(np.eye(3)), 3), "target = 'empirical in dimension 3': must be a Gaussian, or"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        marginal_optimal(*arguments)

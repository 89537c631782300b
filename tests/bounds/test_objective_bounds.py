import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import mp
from scipy.integrate import quad

from design_space.bounds import objective
from design_space.bounds.objective import TimeRule, gauss_times, riemann_times
from design_space.schedules.named import edm
from design_space.schedules.schedule import Schedule
from design_space.schedules.variance import Power
from design_space.weightings.conversions import from_w_corrected, from_w_printed
from design_space.weightings.named import edm_weighting

LEVELS = Schedule.from_sigmas([4.0, 2.0, 1.0])  # sigma_bar_t = t: levels 2 and 4, steps 1 and 2
W = jnp.array([1.0, 0.5])
RESIDUALS, GAPS = jnp.array([3.0, 7.0]), jnp.array([-1.0, -2.0])


def arrays(*values):
    return [jnp.array([float(value)]) for value in values]


@pytest.mark.parametrize("power", [-2.0, -0.5, 0.0, 3.0])
@pytest.mark.parametrize("ends", [(0.002, 80.0), (4e-6, 6400.0), (0.5, 0.6)])
def test_gauss_times_integrates_powers_of_time(power, ends):
    rule = gauss_times(*ends)
    wanted = (ends[1] ** (power + 1) - ends[0] ** (power + 1)) / (power + 1)
    # 16 nodes a panel leave the rounding of 128 terms.
    np.testing.assert_allclose(jnp.sum(rule.weights * rule.times**power), wanted, rtol=1e-12)


def test_riemann_times_are_the_trained_levels():
    rule = riemann_times(LEVELS)
    np.testing.assert_array_equal(rule.times, [2.0, 4.0])
    np.testing.assert_array_equal(rule.weights, [1.0, 2.0])


@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0, 2.0])
def test_score_matching_of_a_wrong_variance(exponent):
    """The score -x/(l' + v) on N(0, l), with quad in v for w = 2 sigma_t^2."""
    variance, (given, true) = Power(exponent), (0.09, 0.25)
    low, high = (float(variance.time(s)) for s in (0.01, 20.0))
    rule = gauss_times(low, high)
    v = variance.sigma(rule.times) ** 2
    errors = (1 / (given + v) - 1 / (true + v)) ** 2 * (true + v)

    def integrand(x):  # x = ln v
        v = np.exp(x)
        return v * (1 / (given + v) - 1 / (true + v)) ** 2 * (true + v)

    wanted = 0.5 * quad(integrand, np.log(1e-4), np.log(400.0), epsabs=0, epsrel=1e-12)[0]
    found = objective.equation_3(rule, 2 * variance.diffusion(rule.times), errors)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)  # quad's own accuracy


def test_gaps_by_definition_and_by_mmse():
    spread, v = mp.mpf("0.25"), mp.mpf("0.04")
    wanted = float(3 * (1 / (spread + v) - 1 / v))  # three dimensions
    information, mmse = 3 / (spread + v), 3 * spread * v / (spread + v)
    args = (jnp.asarray(float(information)), 3, jnp.asarray(0.04))
    np.testing.assert_allclose(objective.gap(*args), wanted, rtol=1e-14)
    given = (jnp.asarray(float(mmse)), jnp.asarray(0.04))
    np.testing.assert_allclose(objective.gap_by_mmse(*given), wanted, rtol=1e-14)


def test_denoising_forms_in_hand_numbers():
    (t, q, w, s, r, c) = arrays(1, 2, 3, 2, 5, -1)
    rule = TimeRule(t, q)
    assert objective.equation_3(rule, w, r) == 15.0
    assert objective.equation_4(rule, w, s, r, c) == 4.5  # (1/2) 2 3 (5/2 - 1)
    assert objective.equation_4_corrected(rule, w, s, r, c) == 0.75  # (1/2) 2 3 (5/4 - 1)


def test_corrected_form_is_score_matching_by_quad():
    """S(x) = -c x/(l + v) on N(0, l): E|sigma S + xi|^2 from the variances of X_0 and xi."""
    spread, c, low, high = 0.3, 0.7, 0.05, 9.0
    rule = gauss_times(low, high)
    s = rule.times
    slope = -c / (spread + s**2)
    residuals = (s * slope) ** 2 * spread + (1 + s**2 * slope) ** 2
    gaps = 1 / (spread + s**2) - 1 / s**2
    wanted = 0.5 * quad(lambda t: t * (c - 1) ** 2 / (spread + t * t), low, high, epsrel=1e-12)[0]
    found = objective.equation_4_corrected(rule, s, s, residuals, gaps)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    assert abs(objective.equation_4(rule, s, s, residuals, gaps) / wanted - 1) > 0.5


def test_riemann_sums_in_hand_numbers():
    assert objective.equation_5_constant(LEVELS, W, GAPS) == -1.5  # (1/2) (1 (-1) + 2 .5 (-2))
    # beta = (1/2, 1/4) and (1/4, 1/16), the losses 1.625 and .59375
    np.testing.assert_allclose(objective.equation_5(LEVELS, W, RESIDUALS, GAPS), 0.125)
    corrected = objective.equation_5_corrected(LEVELS, W, RESIDUALS, GAPS)
    np.testing.assert_allclose(corrected, -0.90625)


def test_riemann_sums_use_the_weightings_by_name():
    schedule, gaps = edm(20), jnp.zeros(20)
    residuals = jnp.linspace(1.0, 2.0, 20)
    w = jnp.sqrt(schedule.forward_times[1:])
    for formula, conversion in (
        (objective.equation_5, from_w_printed),
        (objective.equation_5_corrected, from_w_corrected),
    ):
        beta = conversion(jnp.sqrt).total(schedule)
        wanted = objective.equation_6(beta, residuals)
        np.testing.assert_allclose(formula(schedule, w, residuals, gaps), wanted, rtol=1e-14)


def test_losses_in_hand_numbers():
    beta = jnp.array([2.0, 1.0])
    assert objective.equation_6(beta, RESIDUALS) == 6.5
    floor = objective.equation_6_floor(beta, jnp.array([3.0, 8.0]), jnp.array([1.0, 4.0]))
    assert floor == 4.0  # (1/2) (2 3/1 + 8/4)
    squares = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 0.0]])
    assert objective.equation_7(beta, squares) == 4.0  # (2 9 + 6)/(2 3)


@pytest.mark.parametrize(("mean", "std", "data"), [(-1.2, 1.2, 0.5), (0.3, 0.4, 2.0)])
def test_edm_objective_of_the_exact_denoiser(mean, std, data):
    """E lambda(sigma) mmse(sigma^2) on N(0, l), by quad over the normal law of ln sigma."""
    spread = 0.16

    def integrand(u):
        v = np.exp(2 * u)
        weight = (v + data**2) / (v * data**2)
        normal = np.exp(-0.5 * ((u - mean) / std) ** 2) / (np.sqrt(2 * np.pi) * std)
        return normal * weight * spread * v / (spread + v)

    ends = (mean - 12 * std, mean + 12 * std)
    wanted = quad(integrand, *ends, epsabs=0, epsrel=1e-12, points=[mean], limit=200)[0]
    sigmas = jnp.exp(jnp.linspace(*ends, 2001))
    weights = sigmas * (ends[1] - ends[0]) / 2000  # the trapezoid rule in ln sigma
    beta = edm_weighting(mean, std, data).pointwise().value
    residuals = spread / (spread + sigmas**2)  # mmse/v
    z = objective.equation_12_normalizer(std)
    found = objective.equation_12(weights, jax.vmap(beta)(sigmas), residuals, z)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)

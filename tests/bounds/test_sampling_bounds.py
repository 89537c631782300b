import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.precision import exact, mp

from design_space.bounds.sampling import (
    Theorem2Constants,
    sampling_bounds,
    scale_aware,
    theorem_2,
    theorem_2_corrected,
)
from design_space.schedules.named import edm, schedule, song
from design_space.schedules.schedule import Schedule
from design_space.schedules.variance import Power

STATEMENTS = ("theorem-2", "theorem-2-corrected", "discretization-scale-aware")


def excess(x):
    """x - log(1 + x), with 60 digits to cancel."""
    return x - mp.log1p(x)


def grid_of(schedule):
    """Exact noise variances and times in the sampler's order, as mpf."""
    sigmas = [exact(s) for s in np.asarray(schedule.backward_sigmas)]
    return [s**2 for s in sigmas], [exact(t) for t in np.asarray(schedule.backward_times)]


def gaussian_errors(eigenvalues, mean_squared, schedule, factor):
    """E_I, E_S, E_D of N(m, S) with the score factor * L, by definition, and the mismatches e_j."""
    v, _ = grid_of(schedule)
    eigenvalues = [exact(lam) for lam in eigenvalues]
    initial = sum(excess(lam / v[0]) for lam in eigenvalues) / 2 + exact(mean_squared) / (2 * v[0])
    mismatches = [
        sum((exact(factor) - 1) ** 2 / (lam + v_j) for lam in eigenvalues) for v_j in v[:-1]
    ]
    score = discretization = mp.zero
    for j, e_j in enumerate(mismatches):
        h = v[j] - v[j + 1]
        score += h * e_j / 2
        discretization += sum(excess(-h / (lam + v[j])) for lam in eigenvalues) / 2
    return initial, score, discretization, [float(e_j) for e_j in mismatches]


def printed_twin(dim, m2, schedule, exponent, mismatches, positive_parts):
    """Eq. (11) as it stands on the page, for sigma_bar = t^a: sigma_t^2 = a t^(2a - 1)."""
    v, t = grid_of(schedule)
    a, m2 = exact(exponent), exact(m2)
    score = diffusion = curvature = mp.zero
    for j in range(len(v) - 1):
        gamma = t[j] - t[j + 1]
        score += gamma * a * t[j] ** (2 * a - 1) * exact(mismatches[j])
        diffusion += gamma * a**2 * (1 / t[j + 1] - 1 / t[j])
        if j >= 1:
            part = (v[j] ** 2 - v[j + 1] * v[j - 1]) / (v[j - 1] * v[j] ** 2)
            part = max(part, mp.zero) if positive_parts else part
            curvature += (1 - mp.exp(-v[j])) * part
    first = m2 * (v[0] - v[1]) / 2 / v[0] ** 2
    return m2 / v[0], score, dim * diffusion + first + (m2 + dim) * curvature


def assert_terms(bound, expected):
    values = (bound.initialization, bound.score, bound.discretization)
    # sums of positive terms; the largest magnification is EPS N of the differences of times and of
    # the width in ln sigma, N = 30; entries of either sign are compared on the scale of the bound
    scale = float(max(abs(x) for x in expected))
    np.testing.assert_allclose(values, [float(x) for x in expected], rtol=1e-11, atol=1e-12 * scale)


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("time", ["polynomial", "exponential", "uniform"])
@pytest.mark.parametrize("m2", [0.0, 3.0])
def test_theorem_2_is_the_printed_formula(exponent, time, m2):
    grid = schedule(Power(exponent), time, steps=30, sigma_min=0.05, sigma_max=20.0)
    mismatches = np.linspace(0.1, 2.0, 30)
    for positive_parts, bound in ((False, theorem_2), (True, theorem_2_corrected)):
        expected = printed_twin(4, m2, grid, exponent, mismatches, positive_parts)
        assert_terms(bound(4, m2, grid, mismatches), expected)


@pytest.mark.parametrize("m2", [0.0, 3.0])
def test_scale_aware_is_the_formula_of_the_theory(m2):
    grid = Schedule.from_sigmas([30.0, 4.0, 3.9, 1.0, 0.02])
    v, _ = grid_of(grid)
    h = [a - b for a, b in itertools.pairwise(v)]
    mismatches = [0.5, 1.0, 2.0, 4.0]
    mu = [4 * m2 * x / (m2 + 4 * x) for x in v]
    total = sum(4 * (mp.log(v[j] / v[j + 1]) - h[j] / v[j]) for j in range(4))
    total += mu[0] * h[0] / v[0] ** 2
    for j in range(1, 4):
        total += mu[j] * max(v[j] ** 2 - v[j + 1] * v[j - 1], 0) / (v[j - 1] * v[j] ** 2)
    score = sum(h[j] * mismatches[j] for j in range(4)) / 2
    assert_terms(scale_aware(4, m2, grid, mismatches), (m2 / (2 * v[0]), score, total / 2))


# Standard deviations of the data from Dirac to wide, grids from the Hypothesis engine.
eigenvalues = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e3)), min_size=1, max_size=3)
ratios = st.lists(st.floats(1.001, 30.0), min_size=1, max_size=6)


@given(
    data=eigenvalues,
    mean_squared=st.floats(0.0, 100.0),
    ratios=ratios,
    low=st.floats(1e-3, 1.0),
    exponent=st.floats(0.5, 3.0),
    factor=st.floats(0.0, 2.0),
)
def test_corrected_and_sharper_bounds_hold_on_every_grid(
    data, mean_squared, ratios, low, exponent, factor
):
    sigmas = low * np.cumprod([1.0, *ratios])
    grid = Schedule.from_sigmas(sigmas[::-1], Power(exponent))
    *errors, mismatches = gaussian_errors(data, mean_squared, grid, factor)
    m2 = sum(data) + mean_squared
    v = np.asarray(grid.backward_variances)
    mmse = np.sum([[a * b / (a + b) for b in v[:-1]] for a in data], axis=0)
    bounds = [
        theorem_2_corrected(len(data), m2, grid, mismatches),
        scale_aware(len(data), m2, grid, mismatches),
        scale_aware(len(data), m2, grid, mismatches, mmse),
    ]
    for bound in bounds:
        terms = (bound.initialization, bound.score, bound.discretization)
        for term, error in zip(terms, errors, strict=True):
            # equality is attained (Dirac data; the score term), so rounding must be allowed for
            assert float(term) >= float(error) * (1 - 1e-10) - 1e-300
    # knowing the mmse can only help, and the default mmse bound is sharper than Theorem 2
    known, unknown = float(bounds[2].discretization), float(bounds[1].discretization)
    assert known <= unknown * (1 + 1e-10)
    assert unknown <= float(bounds[0].discretization) * (1 + 1e-10)


def test_scale_aware_discretization_is_exact_for_dirac_data():
    grid = edm(40)
    *_, discretization, mismatches = gaussian_errors([0.0, 0.0], 0.0, grid, 1.0)
    bound = scale_aware(2, 0.0, grid, mismatches)
    np.testing.assert_allclose(float(bound.total), float(discretization), rtol=1e-13)


@pytest.mark.parametrize("statement", ["theorem-2", "theorem-2-corrected"])
def test_constant_one_is_best_possible(statement):
    """Dirac data on Song's grid: the ratio of bound and exact error tends to 1."""
    ratio = {}
    for steps in (500, 5000):
        grid = song(steps)
        *_, discretization, mismatches = gaussian_errors([0.0], 0.0, grid, 1.0)
        bound = sampling_bounds(1, 0.0, grid, mismatches)[statement]
        ratio[steps] = float(bound.total / float(discretization))
    np.testing.assert_allclose(ratio[500], 1.014, atol=5e-4)
    # the ratio is 1 + y/3 + ..., y = 2 ln(40000)/N the step of ln v
    np.testing.assert_allclose(ratio[5000], 1 + 2 * np.log(40000) / 5000 / 3, atol=1e-5)


def test_theorem_2_fails_where_the_diffusion_falls():
    """sigma_bar = t^(1/4), t from 100 to 1, one step, a score off by one: 2.475 < 4.5."""
    grid = schedule(Power(0.25), "uniform", steps=1, sigma_min=1.0, sigma_max=100**0.25)
    exact_error = 0.5 * (10.0 - 1.0) * 1.0  # E_S = h e/2, v from 10 to 1
    np.testing.assert_allclose(theorem_2(1, 0.0, grid, [1.0]).score, 2.475, rtol=1e-13)
    np.testing.assert_allclose(scale_aware(1, 0.0, grid, [1.0]).score, exact_error, rtol=1e-13)
    assert theorem_2_corrected(1, 0.0, grid, [1.0]).score < exact_error


def test_printed_theorem_2_fails_on_a_grid_that_is_not_log_concave():
    """v = 100, 1, 0.99: v_1^2 < v_0 v_2, and the printed discretization bound is negative."""
    grid = Schedule.from_sigmas(np.sqrt([100.0, 1.0, 0.99]), Power(0.5))
    *_, discretization, mismatches = gaussian_errors([100.0], 0.0, grid, 1.0)
    printed = theorem_2(1, 100.0, grid, mismatches)
    assert printed.discretization < 0 < float(discretization)
    assert printed.total < float(discretization)
    assert theorem_2_corrected(1, 100.0, grid, mismatches).total > float(discretization)


def test_the_last_sum_vanishes_on_songs_grid():
    grid = song(100)
    constants = Theorem2Constants(0.0, 0.0, 0.0, 0.0, 1.0)
    last = theorem_2(1, 0.25, grid, np.zeros(100), constants).total
    # rounding of 100 terms of size EPS
    assert abs(float(last)) < 1e-12


def test_constants_multiply_their_terms():
    grid, mismatches = edm(8), np.ones(8)
    whole = theorem_2(3, 2.0, grid, mismatches)
    double = theorem_2(3, 2.0, grid, mismatches, Theorem2Constants(2.0, 2.0, 2.0, 2.0, 2.0))
    np.testing.assert_allclose(double.total, 2 * whole.total, rtol=1e-14)
    parts = [
        theorem_2(3, 2.0, grid, mismatches, Theorem2Constants(*np.eye(5)[k].tolist())).total
        for k in range(5)
    ]
    np.testing.assert_allclose(sum(parts), whole.total, rtol=1e-14)


def test_bounds_are_listed_by_statement():
    bounds = sampling_bounds(2, 0.5, edm(10), np.zeros(10))
    assert tuple(bounds) == STATEMENTS
    for bound in bounds.values():
        parts = bound.initialization + bound.score + bound.discretization
        np.testing.assert_array_equal(bound.total, parts)


def test_bounds_may_be_batched():
    def totals(m2, rho):
        bounds = sampling_bounds(2, m2, edm(10, rho=rho), jnp.zeros(10))
        return jnp.stack([bounds[name].total for name in STATEMENTS])

    batch = jax.jit(jax.vmap(totals))(jnp.array([0.5, 4.0]), jnp.array([3.0, 7.0]))
    # compiled, powers may round otherwise
    np.testing.assert_allclose(batch[1], totals(4.0, 7.0), rtol=1e-11)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1.0, [0.0, 0.0]), r"dim = 0: must be a whole number of at least 1"),
        ((1, -1.0, [0.0, 0.0]), r"second_moment = -1.0: must be at least 0; give"),
        ((1, float("inf"), [0.0, 0.0]), r"second_moment = inf: must be finite"),
        ((1, 1.0, [0.0]), r"score_mismatches = 1: .*dimension of schedule.steps, 2; make"),
        ((1, 1.0, [0.0, -1.0]), r"score_mismatches = .*non-negative; check the signs"),
        ((1, 1.0, [0.0, float("nan")]), r"score_mismatches = .*finite; remove"),
        ((1, 1.0, [0.0, 0.0], [1.0]), r"mmse = 1: .*dimension of schedule.steps, 2; make"),
        ((1, 1.0, [0.0, 0.0], [1.0, -1.0]), r"mmse = .*non-negative; check the signs"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    dim, second_moment, *rest = arguments
    with pytest.raises(ValueError, match=message):
        sampling_bounds(dim, second_moment, edm(2), *rest)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp

from design_space.bounds import complexity
from design_space.bounds.complexity import ComplexityConstants

TIMES = [30.0, 9.0, 2.0, 1.0, 0.7, 0.05, 0.01]
CONSTANTS = ComplexityConstants(initialization=2.0, diffusion=3.0, curvature=5.0)


def printed_sums(dim, m2, times, linear):
    """The three terms of appendix I.1, term by term as on the page."""
    u = [exact(t) for t in times]
    diffusion = extra = mp.zero
    for j in range(len(u) - 1):
        gamma = u[j] - u[j + 1]
        diffusion += gamma**2 / u[j] ** 2
        if linear and u[j] >= 1:
            extra += gamma**2 / u[j] ** 4 + gamma**3 / u[j] ** 5
        elif linear:
            extra += gamma**2 / u[j] ** 2 + gamma**3 / u[j] ** 3
        else:
            extra += gamma**2 / u[j] ** 3 if u[j] >= 1 else gamma**2 / u[j] ** 2
    return m2 / (u[0] ** 2 if linear else u[0]), dim * diffusion, (m2 + dim) * extra


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("m2", [0.0, 2.5])
def test_the_sums_are_the_printed_ones(linear, m2):
    form = complexity.linear_sums if linear else complexity.sqrt_sums
    start, diffusion, extra = (float(x) for x in printed_sums(3, exact(m2), TIMES, linear))
    found = form(3, m2, jnp.asarray(TIMES))
    # a handful of positive terms, each known to a few units in the last place
    np.testing.assert_allclose(found.initialization, start, rtol=1e-14)
    np.testing.assert_allclose(found.discretization, diffusion + extra, rtol=1e-13)
    assert float(found.score) == 0
    weighted = form(3, m2, jnp.asarray(TIMES), CONSTANTS)
    np.testing.assert_allclose(weighted.total, 2 * start + 3 * diffusion + 5 * extra, rtol=1e-13)


def test_the_closed_forms_by_hand():
    low, high = 1.0, float(np.exp(2.0))  # L = 2; N = 4, so L^2/N = 1 and L^3/N^2 = 1/2
    found = complexity.linear_exponential(3, 5.0, low, high, 4)
    np.testing.assert_allclose(found.initialization, 5 * np.exp(-4.0), rtol=1e-13)
    np.testing.assert_allclose(found.discretization, 3 + 8 * 1.5, rtol=1e-13)
    found = complexity.sqrt_exponential(3, 5.0, low, high, 4)
    np.testing.assert_allclose(found.initialization, 5 * np.exp(-2.0), rtol=1e-13)
    np.testing.assert_allclose(found.discretization, 3 + 8, rtol=1e-13)
    # T/delta = 2^7, a = 7, N = 14: a^2 2/14 = 7 and a^3 4/196 = 7
    found = complexity.corollary_1_sampling(3, 5.0, 0.5, 64.0, 14)
    np.testing.assert_allclose(found.initialization, 5 / 4096, rtol=1e-14)
    np.testing.assert_allclose(found.discretization, 3 * 7 + 8 * 14, rtol=1e-13)
    # T/delta = 16, a = 2, N = 8: 4 * 4/8 = 2 and 8 * 16/64 = 2
    found = complexity.corollary_1_sampling(3, 5.0, 0.5, 8.0, 8, 2.0)
    np.testing.assert_allclose(found.discretization, 3 * 2 + 8 * 4, rtol=1e-13)


@pytest.mark.parametrize(
    "form", [complexity.linear_exponential, complexity.sqrt_exponential], ids=["linear", "sqrt"]
)
def test_closed_forms_are_the_limit_of_the_sums(form):
    # below time 1 every weight is 1, and (1 - e^{-x})^2 -> x^2 as the steps get short
    sums = complexity.linear_sums if "linear" in form.__name__ else complexity.sqrt_sums
    times = jnp.geomspace(0.9, 0.01, 20001)
    closed = form(2, 3.0, 0.01, 0.9, 20000)
    # the relative difference is of the order of a step, ln(90)/20000 = 2.2e-4
    np.testing.assert_allclose(sums(2, 3.0, times).total, closed.total, rtol=5e-4)


def test_corollary_1_is_the_order_of_the_sums_for_polynomial_times():
    rho, steps = 7.0, 4000
    times = jnp.linspace(80 ** (1 / rho), 0.002 ** (1 / rho), steps + 1) ** rho
    ratio = complexity.linear_sums(1, 0.0, times).total / (
        complexity.corollary_1_sampling(1, 0.0, 0.002, 80.0, steps).total
    )
    assert 0.3 < float(ratio) < 1


def test_orders_by_hand():
    # m2^2 = 16, eps = 4, d = 2: (16 + 2)/4 = 4.5; T = 4/2 = 2 and 16/4 = 4
    assert float(complexity.linear_horizon(16.0, 4.0)) == 2
    assert float(complexity.sqrt_horizon(16.0, 4.0)) == 4
    np.testing.assert_allclose(complexity.polynomial_steps(2, 16.0, 8.0, 4.0, 3.0), 9 * 2 * 4.5)
    np.testing.assert_allclose(
        complexity.exponential_steps(2, 16.0, float(np.exp(3)), 4.0), 9 * 4.5, rtol=1e-14
    )
    # sigma_max = 4, sigma_max/sigma_min = 64, rho = 3: 9 * 4 * 16, times max(m2^2, d)/d
    np.testing.assert_allclose(complexity.table_2_edm(2, 1.0, 1 / 16, 4.0, 3.0), 576, rtol=1e-13)
    np.testing.assert_allclose(complexity.table_2_edm(2, 8.0, 1 / 16, 4.0, 3.0), 2304, rtol=1e-13)
    np.testing.assert_allclose(
        complexity.table_2_song(2, 8.0, 1 / 16, 4.0), 4 * 16 * (6 * np.log(2)) ** 2, rtol=1e-13
    )


def test_table_2_is_appendix_i_1_for_one_accuracy():
    # eps = d/sigma_max^2, and max(m2^2, d) in the place of m2^2 + d
    dim, moment, low, high, rho = 5.0, 2.0, 0.01, 3.0, 4.0
    given = (dim, 0.0, high / low, dim / high**2)  # m2^2 = 0: then both are d
    table = complexity.table_2_edm(dim, moment, low, high, rho)
    np.testing.assert_allclose(complexity.polynomial_steps(*given, rho), table, rtol=1e-13)
    np.testing.assert_allclose(
        complexity.exponential_steps(*given), complexity.table_2_song(dim, moment, low, high)
    )


def test_traced_numbers_pass():
    dims, lows = jnp.array([1.0, 2.0]), jnp.array([0.1, 0.2])
    forms = (
        lambda d, a: complexity.corollary_1_sampling(d, 1.0, a, 3.0, 5.0).total,
        lambda d, a: complexity.linear_sums(d, 1.0, jnp.stack([3.0 + a, a])).total,
        lambda d, a: complexity.polynomial_steps(d, 1.0, 1 + a, 0.1, 2.0),
    )
    for form in forms:
        found = jax.jit(jax.vmap(form))(dims, lows)
        assert found.shape == (2,)
        np.testing.assert_allclose(found[1], form(2.0, 0.2), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: complexity.linear_sums(0, 1.0, jnp.array([2.0, 1.0])), "dim = 0.0: must be above"),
        (lambda: complexity.sqrt_sums(1, -1.0, jnp.array([2.0, 1.0])), "second_moment = -1.0"),
        (lambda: complexity.linear_sums(1, 1.0, jnp.array([1.0, 2.0])), "strictly decreasing"),
        (lambda: complexity.linear_sums(1, 1.0, jnp.array([1.0, 0.0])), r"times\[-1\] = 0.0"),
        (lambda: complexity.linear_exponential(1, 1.0, 2.0, 1.0, 4), "low = 2.0: must be below"),
        (lambda: complexity.sqrt_exponential(1, 1.0, 1.0, 2.0, 0), "steps = 0.0"),
        (lambda: complexity.corollary_1_sampling(1, 1.0, 1.0, 2.0, 4, -7.0), "rho = -7.0"),
        (lambda: complexity.polynomial_steps(1, 1.0, 1.0, 0.1, 7.0), "ratio = 1.0: must be above"),
        (lambda: complexity.exponential_steps(1, 1.0, 2.0, 0.0), "accuracy = 0.0"),
        (lambda: complexity.table_2_song(1, 1.0, 2.0, 1.0), "low = 2.0: must be below"),
    ],
)
def test_refusals(call, says):
    with pytest.raises(ValueError, match=says):
        call()

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp
from scipy import optimize

from design_space.bounds import schedule_choice

STANDARD = 80.0 / 0.002
LENGTH = float(np.log(STANDARD))


def test_remark_3_minimizes_the_reduced_objective():
    def objective(rho):
        return float(schedule_choice.reduced_objective(STANDARD, rho))

    found = optimize.minimize_scalar(objective, bounds=(1, 30), options={"xatol": 1e-9})
    # theory: 5.298; a scalar minimum is known to the square root of rounding
    assert abs(float(schedule_choice.remark_3(STANDARD)) - 5.298) < 5e-4
    assert abs(found.x - float(schedule_choice.remark_3(STANDARD))) < 1e-5
    np.testing.assert_allclose(objective(2.0), 4 * 200, rtol=1e-13)  # sqrt(40000) = 200


def test_leading_term_by_hand_and_its_limit():
    # rho = 1 and ratio e: 4 sinh^2(1/2) = e - 2 + 1/e
    found = schedule_choice.leading_discretization(3, float(np.e), 1.0, 5)
    np.testing.assert_allclose(found, 3 / 5 * (np.e - 2 + 1 / np.e), rtol=1e-14)
    limit = schedule_choice.leading_discretization(1, STANDARD, 1e6, 1)
    np.testing.assert_allclose(limit, LENGTH**2, rtol=1e-10)
    # theory.md: the exact factor of EDM over Song's over the standard range, and the printed one
    factor = schedule_choice.leading_discretization(1, STANDARD, 7.0, 1) / LENGTH**2
    assert abs(float(factor) - 1.206) < 5e-4
    printed = schedule_choice.reduced_objective(STANDARD, 7.0) / LENGTH**2
    assert abs(float(printed) - 1.983) < 5e-4


@pytest.mark.parametrize("rho", [1.0, 3.5, 7.0])
def test_leading_term_against_the_discretization_error_itself(rho):
    def error(steps):
        top, bottom = exact(80) ** (1 / exact(rho)), exact(0.002) ** (1 / exact(rho))
        levels = [(top + (bottom - top) * j / steps) ** (2 * exact(rho)) for j in range(steps + 1)]
        ratios = [levels[j + 1] / levels[j] for j in range(steps)]
        return float(sum(r - 1 - mp.log(r) for r in ratios) / 2)

    few = float(schedule_choice.leading_discretization(1, STANDARD, rho, 20))
    assert error(20) < few
    if rho > 1:  # with rho = 1 only some 1e5 steps are many
        many = float(schedule_choice.leading_discretization(1, STANDARD, rho, 3000))
        assert 0.95 < error(3000) / many < 1


def test_step_constants():
    # at x = ln 2: (2 ln 2 - 1 + 1/4)/(2/4) and (ln 2 - 1/2)/(2/4)
    two = float(np.log(2))
    np.testing.assert_allclose(
        schedule_choice.step_constant(two, 2), 4 * np.log(2) - 1.5, rtol=1e-14
    )
    np.testing.assert_allclose(schedule_choice.step_constant(two, 1), 2 * np.log(2) - 1, rtol=1e-14)
    # short steps: p^2/4 to first order; long ones: p x/2 - 1/2
    np.testing.assert_allclose(schedule_choice.step_constant(1e-6, 2), 1, rtol=1e-6)
    np.testing.assert_allclose(schedule_choice.step_constant(1e-6, 1), 0.25, rtol=1e-6)
    np.testing.assert_allclose(schedule_choice.step_constant(40.0, 2), 39.5, rtol=1e-14)
    values = jax.vmap(schedule_choice.step_constant, (0, None))(jnp.linspace(0.01, 5, 99), 2.0)
    assert np.all(np.diff(values) > 0)


def test_surrogate_by_hand():
    assert float(schedule_choice.surrogate(jnp.array([8.0, 4.0, 1.0]))) == 0.25 + 0.5625
    even = schedule_choice.exponential_surrogate(64.0, 3)
    np.testing.assert_allclose(even, 3 * 0.75**2, rtol=1e-14)


def brute_least(length, steps):
    """The least sum of (1 - e^{-x_j})^2 with sum x_j = length, from several starts."""

    def total(logits):
        shares = np.exp(logits - logits.max())
        return float(np.sum(np.expm1(-length * shares / shares.sum()) ** 2))

    peaks = [np.zeros(steps), *(np.eye(steps)[0] * k for k in (1.0, 3.0, 6.0, 10.0))]
    noise = np.random.default_rng(0).standard_normal((3, steps))
    tight = {"gtol": 1e-10}
    found = [optimize.minimize(total, x, options=tight).fun for x in [*peaks, *noise]]
    return min(found)


@pytest.mark.parametrize(
    ("length", "steps"),
    [(1.0, 1), (1.3, 2), (1.5, 2), (6.0, 2), (2.0, 3), (3.0, 3), (3.0, 10), (4.1, 10), (9.0, 5)],
)
def test_least_surrogate_by_brute_force(length, steps):
    found = float(schedule_choice.least_surrogate(float(np.exp(length)), steps))
    # the search stops at a slope of 1e-10 or where its differences are rounding
    np.testing.assert_allclose(found, brute_least(length, steps), rtol=1e-7)


def test_where_the_exponential_schedule_is_best():
    def even_is_best(ratio, steps):
        even = schedule_choice.exponential_surrogate(ratio, steps)
        return float(schedule_choice.least_surrogate(ratio, steps)) >= float(even)

    assert even_is_best(3.99, 2)
    assert not even_is_best(4.01, 2)
    # a grid by hand: ten steps, ln(T/delta) = 4.1, one of them long; every even step is short
    short, long = 0.02, 4.1 - 9 * 0.02
    by_hand = 9 * np.expm1(-short) ** 2 + np.expm1(-long) ** 2
    assert by_hand < float(schedule_choice.exponential_surrogate(float(np.exp(4.1)), 10))
    assert np.log(2) > 4.1 / 10
    # over the range of EDM: one giant step costs 1 - 2 delta/T at most, little ones nothing
    assert not even_is_best(STANDARD, 101)
    assert even_is_best(STANDARD, 102)
    assert not even_is_best(STANDARD**2, 427)
    assert even_is_best(STANDARD**2, 428)


def test_sufficient_steps_by_hand():
    # 2 d/eps = 40; rho = 1, ratio e: e - 2 + 1/e; exponential: 1
    given = (2, float(np.e), 0.1)
    np.testing.assert_allclose(
        schedule_choice.sufficient_steps(*given, 1.0), 40 * (np.e - 2 + 1 / np.e), rtol=1e-13
    )
    np.testing.assert_allclose(schedule_choice.sufficient_steps(*given), 40, rtol=1e-13)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: schedule_choice.remark_3(1.0), "ratio = 1.0: must be above 1"),
        (lambda: schedule_choice.reduced_objective(2.0, 0.0), "rho = 0.0"),
        (lambda: schedule_choice.leading_discretization(0, 2.0, 1.0, 1), "dim = 0.0"),
        (lambda: schedule_choice.step_constant(0.0, 2.0), "log_ratio = 0.0"),
        (lambda: schedule_choice.surrogate(jnp.array([1.0, 2.0])), "strictly decreasing"),
        (lambda: schedule_choice.surrogate(jnp.array([1.0, -2.0])), r"times\[-1\] = -2.0"),
        (lambda: schedule_choice.exponential_surrogate(2.0, -1), "steps = -1.0"),
        (lambda: schedule_choice.sufficient_steps(1, 2.0, 0.0), "accuracy = 0.0"),
    ],
)
def test_refusals(call, says):
    with pytest.raises(ValueError, match=says):
        call()

"""The explorer's Gaussian numbers: against evaluate, a plain recursion, and quadrature."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from design_space.explorer.compute import coarse, refined
from design_space.explorer.controls import SAMPLERS
from design_space.explorer.design import sections
from design_space.explorer.export import table
from design_space.explorer.gaussian import gaussian_numbers
from design_space.explorer.numbers import QUANTITIES
from design_space.explorer.state import State
from design_space.pipeline import evaluate_specification
from design_space.sampling.kinds import STEPPERS
from design_space.schedules.named import schedule
from design_space.specification import Specification
from design_space.trained_evaluation import TrainedEvaluation

PATHLESS = ("ode-euler", "heun", "midpoint", "churn", "predictor-corrector")
AT_LEVELS = ("frozen", "euler-maruyama", "ancestral", "optimal-variance", "ode-euler")

DESIGNS = [
    State(steps=1, step=1),
    State(mean=0.3, std=2.0, steps=7, step=7, rho=3.0),
    State(mean=-4.0, std=0.05, steps=33, step=33, time="exponential", variance="sqrt"),
    State(std=30.0, steps=200, step=200, time="uniform", sigma_min=0.1, sigma_max=300.0),
    State(mean=1.0, std=0.7, steps=12, step=12, sigma_min=0.3, score="scaled", factor=0.8),
]


def unpadded(state):
    """What `design-space evaluate` says."""
    found = evaluate_specification(Specification.parse(sections(state)))
    return found.last if isinstance(found, TrainedEvaluation) else found


def check_against(state, numbers):
    """Every value within 1e-12 of the unpadded one, beyond what cancellation costs both."""
    budget = unpadded(state)
    for name in QUANTITIES:
        own, other = numbers.values[name], getattr(budget, name)
        if other.reason is not None:
            assert own.reason == other.reason
            continue
        tolerance = 1e-12 * abs(float(other.value)) + 2 * float(other.error)
        assert own.value == pytest.approx(float(other.value), abs=tolerance, rel=0)
        assert own.error <= 4 * float(other.error) + 1e-15 * abs(own.value)
    bounds = {bound.statement: bound.total for bound in numbers.bounds}
    for statement, total in budget.bounds.items():
        if statement in bounds:
            assert bounds[statement] == pytest.approx(float(total), rel=1e-12)
    assert not bounds or len(bounds) == 3
    steps = (numbers.discretization_steps, budget.discretization_steps)
    if budget.path_kl.reason is None:
        size = float(budget.path_kl.value)
        assert np.allclose(*(np.asarray(getattr(s, "value", s)) for s in steps), atol=1e-12 * size)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("state", DESIGNS, ids=str)
def test_padded_is_unpadded(state, sampler):
    state = dataclasses.replace(state, sampler=sampler)
    check_against(state, gaussian_numbers(state))


@pytest.mark.parametrize("sampler", AT_LEVELS)
def test_padded_training_is_unpadded(sampler):
    state = State(mean=0.5, sampler=sampler, score="trained", steps=9, step=9, training=3000)
    check_against(state, gaussian_numbers(state))


@pytest.mark.parametrize("weighting", ["song", "uniform", "min-snr", "p2"])
def test_every_weighting_trains_as_specified(weighting):
    state = State(score="trained", weighting=weighting, std=1.5, training=50, steps=9, step=9)
    check_against(state, gaussian_numbers(state))


def test_the_law_at_every_step_is_the_plain_recursion():
    state = State(mean=0.7, std=0.4, steps=15, step=15, score="scaled", factor=1.3)
    numbers = coarse(state)
    v = np.array(schedule(steps=15).backward_variances)
    mean, variance = 0.0, v[0]
    for j in range(16):
        assert numbers.laws.means[j] == pytest.approx(mean, abs=1e-12)
        assert numbers.laws.stds[j] == pytest.approx(variance**0.5, rel=1e-10)
        if j < 15:
            slope = 1.3 * (v[j] - v[j + 1]) / (0.4**2 + v[j])
            mean += slope * (0.7 - mean)
            variance = (1 - slope) ** 2 * variance + v[j] - v[j + 1]


def test_densities_have_mass_one_and_the_stated_moments():
    laws = coarse(State(mean=-2.0, std=3.0, steps=5, step=5)).laws
    for j, x in enumerate(laws.x):
        assert np.all(np.diff(x) >= 0)
        exact, made = laws.exact[j], laws.sampler[j]
        # rows reach 5 standard deviations, beyond which lie 6e-7; the trapezoid rule adds 1e-4
        assert np.trapezoid(exact, x) == pytest.approx(1, abs=1e-3)
        assert np.trapezoid(made, x) == pytest.approx(1, abs=1e-3)
        assert np.trapezoid(made * x, x) == pytest.approx(laws.means[j], abs=2e-3 * laws.stds[j])
    assert np.trapezoid(laws.data, laws.x[-1]) == pytest.approx(1, abs=1e-3)


def test_the_area_of_the_fisher_curve_is_the_discretization_error():
    state = State(std=0.8, steps=6, step=6)
    numbers = coarse(state)
    curve, sigmas = numbers.fisher, numbers.backward_sigmas
    for j in range(6):
        assert curve.sigmas[j, 0] == sigmas[j]
        assert curve.sigmas[j, -1] == sigmas[j + 1]
        area = -np.trapezoid(curve.moving[j] - curve.frozen[j], np.log(curve.sigmas[j]))
        # the trapezoid rule with 200 parts of a step
        assert area == pytest.approx(numbers.discretization_steps[j], rel=1e-3)

        def integrand(u, top=sigmas[j] ** 2):
            return 0.5 * (1 / (0.64 + u) - 1 / (0.64 + top))

        exact, _ = quad(integrand, sigmas[j + 1] ** 2, sigmas[j] ** 2, epsabs=1e-12)
        assert numbers.discretization_steps[j] == pytest.approx(exact, rel=1e-8)


def test_a_trained_score_is_asked_at_its_own_levels_only():
    for sampler in set(SAMPLERS) - set(AT_LEVELS):
        numbers = coarse(State(score="trained", sampler=sampler))
        assert numbers.laws.missing is not None
        assert np.all(np.isnan(numbers.laws.sampler))
        assert numbers.values["marginal_kl"].reason == numbers.laws.missing
        assert numbers.values["initialization"].value == pytest.approx(3.8146e-10, rel=1e-4)
        with pytest.raises(ValueError, match="NaN or infinite"):
            unpadded(State(score="trained", sampler=sampler))


def test_values_without_a_path_say_why():
    for sampler in PATHLESS:
        numbers = coarse(State(sampler=sampler))
        assert numbers.values["path_kl"].value is None
        assert "sampler" in numbers.values["path_kl"].reason
        assert np.all(np.isnan(numbers.discretization_steps))
        assert numbers.bounds == ()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_evaluations_are_those_of_the_sampler(sampler):
    if sampler in ("optimal-variance", "predictor-corrector"):
        wanted = 20 if sampler == "optimal-variance" else 40
    else:
        wanted = STEPPERS[sampler]().evaluations(schedule(steps=20))
    assert coarse(State(sampler=sampler)).evaluations == wanted


def test_gaussian_numbers_are_final():
    assert coarse(State()).final
    assert list(refined(State())) == []


def moves():
    """States as sliders make them, far from each other."""
    for n, std, low, rho in ((1, 0.1, 1e-3, 2.0), (57, 3.0, 0.5, 7.5), (200, 50.0, 0.01, 40.0)):
        for time in ("polynomial", "exponential", "uniform"):
            for variance in ("linear", "sqrt"):
                state = State(std=std, mean=n / 40, sigma_min=low, rho=rho, time=time)
                state = state.changed(steps=n, variance=variance, sigma_max=4 * n + 5.0)
                yield state.changed(score="scaled", factor=rho / 20)
                yield state.changed(score="trained", weighting="p2", training=n * 100)


def test_nothing_is_compiled_when_a_slider_moves(caplog):
    coarse(State())
    coarse(State(score="trained"))
    with jax.log_compiles(), caplog.at_level("WARNING"):
        for state in moves():
            coarse(state)
        compiled = [r for r in caplog.records if "Compiling" in r.getMessage()]
        assert compiled == []
        jax.jit(lambda x: x + 1)(jnp.zeros(3))  # that it would be seen
        assert any("Compiling" in r.getMessage() for r in caplog.records)


def test_the_table_has_one_row_per_state_of_the_sampler():
    numbers = coarse(State(steps=4, step=4, score="scaled"))
    found = table(numbers)
    assert list(found["step"]) == [0, 1, 2, 3, 4]
    assert found["discretization"].isna().sum() == 1
    assert found["discretization"].sum() == pytest.approx(numbers.values["discretization"].value)
    assert found["score"].sum() == pytest.approx(numbers.values["score"].value)
    assert found["sampler_std"].iloc[0] == 80.0
    assert found["exact_std"].iloc[-1] == pytest.approx((0.25 + 4e-6) ** 0.5)

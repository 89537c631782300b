"""The explorer's numbers for mixtures: against evaluate, quadrature of densities, and draws."""

import numpy as np
import pytest

from design_space.evaluate import evaluate
from design_space.explorer.compute import coarse, refined
from design_space.explorer.design import sections
from design_space.explorer.export import table
from design_space.explorer.information import information
from design_space.explorer.line import line_coarse, line_refined
from design_space.explorer.numbers import QUANTITIES
from design_space.explorer.state import State
from design_space.specification import Specification

BIMODAL = State(data="bimodal", steps=10, step=10)
TYPED = State(data="mixture", steps=12, step=12, time="exponential", score="scaled", factor=1.2)
FOREVER = 1e9


def evaluated(state):
    """What `design-space evaluate` says."""
    found = Specification.parse(sections(state))
    return evaluate(found.target(), found.schedule(), found.score(), found.sampler())


def last(state):
    """The final numbers."""
    return list(refined(state))[-1]


@pytest.mark.parametrize(
    "state",
    [
        BIMODAL,
        TYPED,
        BIMODAL.changed(sampler="ancestral", score="scaled"),
        BIMODAL.changed(sampler="euler-maruyama", score="scaled", factor=0.5),
        BIMODAL.changed(sampler="optimal-variance"),
        BIMODAL.changed(sampler="heun", steps=20),
    ],
    ids=lambda state: f"{state.data} {state.sampler} {state.score}",
)
def test_the_final_numbers_are_those_of_evaluate(state):
    numbers, budget = last(state), evaluated(state)
    assert numbers.final
    for name in QUANTITIES:
        own, other = numbers.values[name], getattr(budget, name)
        if other.reason is not None:
            assert own.reason == other.reason
            continue
        error = own.error + float(other.error)
        assert own.value == pytest.approx(float(other.value), abs=error, rel=0)
        # stated errors are of use: 1e-3 of the value, or of a nat
        assert own.error < 1e-3 * max(1, own.value)
    for bound in numbers.bounds:
        assert bound.total == pytest.approx(float(budget.bounds[bound.statement]), rel=1e-6)
    assert len(numbers.bounds) == len(budget.bounds)


def test_path_terms_come_at_once_and_add_up():
    for state in (BIMODAL, TYPED):
        numbers = line_coarse(state, 0.0)
        values = numbers.values
        assert numbers.discretization_steps.sum() == pytest.approx(values["discretization"].value)
        assert numbers.score_steps.sum() == pytest.approx(values["score"].value)
        parts = [values[name].value for name in ("initialization", "discretization", "score")]
        assert values["path_kl"].value == pytest.approx(sum(parts))
        assert values["marginal_kl"].pending
        assert not numbers.final
        assert numbers.laws.missing is not None
        # the first step is made before the time is looked at
        assert np.all(np.isnan(numbers.laws.sampler[2:]))
        assert not np.any(np.isnan(numbers.laws.sampler[:2]))


def test_the_tabulated_information_is_that_of_quadrature():
    law = State(
        data="mixture", mixture="0.2 N(-3, 0.02) + 0.3 N(0, 1) + 0.5 N(4, 0.3)"
    ).components()
    found = information(law)
    x = np.linspace(-40, 40, 800_001)
    for v in (1e-3, 0.04, 0.7, 20.0):
        p, slope = np.zeros_like(x), np.zeros_like(x)
        for w, m, s in zip(*law, strict=True):
            each = w * np.exp(-0.5 * (x - m) ** 2 / (s * s + v)) / np.sqrt(2 * np.pi * (s * s + v))
            p, slope = p + each, slope - each * (x - m) / (s * s + v)
        kept = p > 1e-200
        fisher = np.sum(slope[kept] ** 2 / p[kept]) * 1e-4
        assert abs(v * (found.fisher(np.array([v]))[0] - fisher)) < found.error[0]
        assert abs(found.posterior(np.array([v]))[0] / v - (1 - v * fisher)) < found.error[2]
    assert max(found.error) < 1e-4


@pytest.mark.parametrize(
    "state",
    [
        BIMODAL.changed(steps=20),
        TYPED.changed(steps=30),
        BIMODAL.changed(width=0.5, sampler="churn"),
        BIMODAL.changed(width=0.4, sampler="predictor-corrector"),
        BIMODAL.changed(sampler="ode-euler", steps=25, width=0.4),
    ],
    ids=lambda state: f"{state.data} {state.sampler}",
)
def test_the_first_answer_is_within_its_stated_error(state):
    first, best = line_coarse(state, FOREVER), last(state)
    for name in ("marginal_kl", "w2"):
        own, other = first.values[name], best.values[name]
        assert own.pending
        assert not other.pending
        assert abs(own.value - other.value) <= own.error
        assert own.error < 1e-2 * other.value


def test_the_drawn_densities_give_the_kl():
    numbers = last(BIMODAL)
    x, p, q = (part[-1] for part in (numbers.laws.x, numbers.laws.exact, numbers.laws.sampler))
    kept = p > 1e-12  # of the rest, the densities are not drawn to relative accuracy
    kl = np.trapezoid(p[kept] * np.log(p[kept] / q[kept]), x[kept])
    # a trapezoid rule on the points of a picture
    assert kl == pytest.approx(numbers.values["marginal_kl"].value, rel=0.02)
    for j in range(11):
        assert np.trapezoid(numbers.laws.sampler[j], numbers.laws.x[j]) == pytest.approx(
            1, abs=2e-3
        )
        assert np.trapezoid(numbers.laws.exact[j], numbers.laws.x[j]) == pytest.approx(1, abs=2e-3)
    assert np.trapezoid(numbers.laws.data, x) == pytest.approx(1, abs=2e-3)


def test_rows_are_the_laws_of_simulated_particles():
    state = BIMODAL.changed(score="scaled", factor=0.9)
    laws, sigmas = last(state).laws, last(state).backward_sigmas
    rng, count = np.random.default_rng(0), 200_000
    y = sigmas[0] * rng.standard_normal(count)
    for j in range(10):
        v, h = sigmas[j] ** 2, sigmas[j] ** 2 - sigmas[j + 1] ** 2
        total = 0.01 + v
        score = (np.tanh(y / total) - y) / total  # of 1/2 N(-1, c) + 1/2 N(1, c)
        y = y + 0.9 * h * score + h**0.5 * rng.standard_normal(count)
        # four standard errors, of a mean and of a standard deviation
        assert abs(laws.means[j + 1] - y.mean()) < 4 * y.std() / count**0.5
        assert laws.stds[j + 1] == pytest.approx(y.std(), rel=4 / count**0.5)


def test_a_refinement_can_be_stopped_between_moves():
    asked = []

    def stop():
        asked.append(None)
        return len(asked) > 13

    found = list(line_refined(BIMODAL, stop))
    # 10 moves at the first resolution, then 3 at the second and the fourth says stop
    assert [numbers.final for numbers in found] == [False]
    assert len(asked) == 14
    assert list(line_refined(BIMODAL, lambda: True)) == []


def test_a_sampler_that_folds_is_compared_by_draws():
    state = State(data="bimodal", sampler="ode-euler", steps=3, step=3, score="scaled", factor=3.0)
    numbers = last(state)
    budget = evaluated(state)
    assert numbers.final
    own, other = numbers.values["marginal_kl"], budget.marginal_kl
    assert (own.value is None) == (other.reason is not None)
    if own.value is not None:
        assert own.value == pytest.approx(float(other.value))
        assert own.method == other.method


def test_a_first_answer_of_few_long_steps_has_no_law_yet():
    numbers = coarse(BIMODAL.changed(sampler="heun", steps=4))
    assert numbers.values["marginal_kl"].pending
    assert numbers.values["marginal_kl"].reason == numbers.laws.missing


def test_the_table_of_a_mixture():
    found = table(last(BIMODAL))
    assert found.shape == (11, 9)
    assert found["exact_std"].iloc[-1] == pytest.approx((1.01 + 4e-6) ** 0.5)
    assert not found["sampler_std"].isna().any()

"""Optimality of the exponential schedule and Remark 3, judged on a small share of the designs."""

import numpy as np
import pytest
from few_designs import few_designs

from analyses.judge import judge
from analyses.statements.schedule_choice import OPTIMALITY, REMARK_3


@pytest.fixture(scope="module")
def optimality():
    return judge(OPTIMALITY, few_designs())


@pytest.fixture(scope="module")
def remark():
    return judge(REMARK_3, few_designs())


def test_verdicts(optimality, remark):
    for found in (optimality, remark):
        assert found.verdict == "fails as printed; corrected form holds"
        assert found.as_recorded


def test_the_smallest_counterexample_has_two_steps_and_a_ratio_above_four(optimality):
    small = optimality.outcomes[0].counterexample
    assert small.shape == (1, 1, 2)
    times = small.sigmas ** (1 / small.exponent)
    assert times[0] / times[-1] > 4
    grid = (1 - times[1] / times[0]) ** 2 + (1 - times[2] / times[1]) ** 2
    assert grid < 2 * (1 - np.sqrt(times[2] / times[0])) ** 2


def test_from_how_many_steps(optimality):
    seen = next(o for o in optimality.outcomes if o.claim.name == "from how many steps").seen
    np.testing.assert_array_equal(seen.left, [102, 428])


def test_equality_is_reached(optimality):
    for outcome in optimality.outcomes[1:5]:
        assert outcome.tightness == pytest.approx(1, abs=1e-9), outcome.claim.name


def test_optima_of_theory(remark):
    seen = next(o for o in remark.outcomes if o.claim.name == "optima on N(0, 1/4)").seen
    # theory.md: 3.14 at N = 10 to 3.45 at N = 500; marginal KL 8.5 to 13.5
    assert [f"{x:.3g}" for x in seen.left] == ["3.14", "3.45", "8.46", "13.5"]
    standard = next(o for o in remark.outcomes if o.claim.name == "corrected").seen
    assert f"{standard.left[-1]:.4g}" == "5.298"


def test_the_exact_optimum_is_elsewhere(remark):
    printed = remark.outcomes[0]
    assert printed.violations == printed.observations == 16

"""Equations (3) to (7) and (12), judged on a small share of the designs."""

import numpy as np
import pytest

from analyses import objective_studies as studies
from analyses.families import families
from analyses.judge import judge
from analyses.statements.objective import STATEMENTS
from design_space.bounds import objective

pytestmark = pytest.mark.slow  # a table of many designs is computed first

BY_ID = {s.id: s for s in STATEMENTS}
FAILS = "fails as printed; corrected form holds"
VERDICTS = {
    "equation-3": "holds",
    "equation-4": FAILS,
    "equation-5": FAILS,
    "equation-6": FAILS,
    "equation-7": "holds",
    "equation-12": "holds",
}


@pytest.fixture(scope="module")
def judged():
    with pytest.MonkeyPatch.context() as patch:  # shrinking compiles much and has its own tests
        patch.setattr("analyses.judge.shrunk", lambda claim, failing: failing[0])
        return {name: judge(s, families(0.02)) for name, s in BY_ID.items()}


def outcomes(judgement):
    return {outcome.claim.name: outcome for outcome in judgement.outcomes}


def test_every_equation_is_here():
    assert set(BY_ID) == set(VERDICTS)


@pytest.mark.parametrize("name", list(VERDICTS))
def test_verdicts(judged, name):
    assert judged[name].verdict == VERDICTS[name]
    assert judged[name].as_recorded


@pytest.mark.parametrize("name", ["equation-5", "equation-7", "equation-12"])
def test_studies_compute_five_hundred_designs(judged, name):
    assert judged[name].outcomes[0].designs >= 500


@pytest.mark.parametrize("name", ["equation-4", "equation-6"])
def test_the_printed_factor_fails_wherever_data_are_spread(judged, name):
    printed = judged[name].outcomes[0]
    fails = np.abs(printed.seen.left - printed.seen.right) > 1e-8 * printed.seen.left
    spread = np.array([design.variances.max() > 0 for design in printed.seen.found])
    assert np.all(fails[spread])


def test_half_the_weight_misses_the_error_of_the_score_by_two(judged):
    assert outcomes(judged["equation-3"])["half"].margin == pytest.approx(0.5)


def test_orders_are_one_and_two(judged):
    found = outcomes(judged["equation-5"])
    np.testing.assert_allclose(found["corrected"].seen.left, -1, atol=0.02)
    # Uniform times meet the smallest scale of narrow data with few points: most, not all.
    np.testing.assert_allclose(np.median(found["closed ends"].seen.left), -2, atol=0.01)


def test_intervals_are_simultaneous_and_tight(judged):
    seen = judged["equation-7"].outcomes[0].seen
    assert seen.confidence == 0.99
    # Where the least loss is not nearly zero the interval is a few percent wide.
    large = seen.right > 0.1
    assert large.sum() > 100
    assert np.median(seen.error[large] / seen.right[large]) < 0.1


def test_another_normalizer_is_seen():
    right = studies.edm_objective()().right
    wrong = studies.edm_objective(z=1.0)().right
    p_std = studies._objective_designs()["p_std"]
    np.testing.assert_allclose(wrong / right, np.sqrt(2 * np.pi) * p_std, rtol=1e-12)


def test_printed_and_corrected_sums_differ():
    printed = studies.orders(objective.equation_5)()
    corrected = studies.orders(objective.equation_5_corrected)()
    assert np.all(printed.left > -0.5)
    assert np.all(corrected.left < -0.9)

"""Lemmas 1 and 5 on a small ensemble."""

import pytest
from few_trainings import few_trainings

from analyses.judge import judge
from analyses.statements import gradient_bounds
from analyses.statements.gradient_bounds import CONSTANTS, STATEMENTS


@pytest.fixture(scope="module")
def judged():
    with few_trainings():
        yield {statement.id: judge(statement, {}) for statement in STATEMENTS}


def test_both_hold_with_constants(judged):
    assert tuple(judged) == ("lemma-1", "lemma-5")
    for found in judged.values():
        assert found.verdict == "holds with constant C"
        assert found.as_recorded


def test_constants_are_on_the_safe_side_of_what_is_needed(judged):
    found = gradient_bounds.largest_constants()
    assert CONSTANTS.lower < found["lower"]
    assert CONSTANTS.upper > found["upper"]


def test_data_that_break_a1_break_the_bounds_everywhere(judged):
    for name, claim in (("lemma-1", "short data"), ("lemma-5", "long data")):
        found = next(o for o in judged[name].outcomes if o.claim.name == claim)
        assert found.violations == found.observations


def test_the_gradient_grows_like_the_width(judged):
    value, error = gradient_bounds.exponents(gradient_bounds.share)["m"]
    assert abs(value - 1) < error < 0.4

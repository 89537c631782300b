"""Verdicts and the numbers that come with them, on observations by hand."""

import math

import numpy as np
import pytest
from claims import FALSE, TRUE, batch_of, claim, gaussian, seen, statement

from analyses.judge import deviations, failing, judge, judge_claim, ratios, sides_of
from analyses.statement import Assumption, Claim, OnDesigns, Sides

INF, NAN = math.inf, math.nan


def made(relation, **options):
    return claim([0.0], [0.0], relation=relation, **options)


@pytest.mark.parametrize(
    ("left", "right", "error", "ratio", "fails"),
    [
        (2.0, 3.0, 0.0, 1.5, False),
        (2.0, 2.0, 0.0, 1.0, False),
        (2.0, 1.0, 0.0, 0.5, True),
        (2.0, 1.999, 0.01, 0.9995, False),
        (2.0, 1.0, 0.01, 0.5, True),
        (2.0, 0.0, 0.0, 0.0, True),
        (2.0, -1.0, 0.0, -0.5, True),
        # a left side of zero or less, or not told from that
        (0.0, 3.0, 0.0, INF, False),
        (0.0, 0.0, 0.0, INF, False),
        (0.0, -1.0, 0.0, -INF, True),
        (-2.0, 3.0, 0.0, INF, False),
        (-2.0, -1.0, 0.0, INF, False),
        (-2.0, -3.0, 0.0, -INF, True),
        (1e-9, 0.0, 1e-8, INF, False),
        (1e-9, -1.0, 1e-8, -INF, True),
        # infinite sides and no numbers
        (2.0, INF, 0.0, INF, False),
        (INF, 2.0, 0.0, 0.0, True),
        (2.0, -INF, 0.0, -INF, True),
        (NAN, 2.0, 0.0, NAN, True),
        (2.0, NAN, 0.0, NAN, True),
        (INF, INF, 0.0, NAN, True),
    ],
)
def test_inequalities(left, right, error, ratio, fails):
    below = made("<=")
    found = seen(left, right, error)
    np.testing.assert_allclose(ratios(below, found), ratio, rtol=1e-15)
    assert failing(below, found.left, found.right, found.error)[0] == fails
    outcome = judge_claim(below, True, found)
    assert outcome.holds != fails
    np.testing.assert_allclose(outcome.margin, ratio, rtol=1e-15)


@pytest.mark.parametrize(
    ("left", "right", "error", "ratio", "deviation", "fails"),
    [
        (2.0, 2.0, 0.0, 1.0, 0.0, False),
        (2.0, 4.0, 0.0, 0.5, 0.5, True),
        (4.0, 2.0, 0.0, 0.5, 0.5, True),
        (2.0, 4.0, 1.0, 0.5, 0.25, True),
        (2.0, 4.0, 2.0, 1.0, 0.0, False),
        (1.0, 1 + 0.9e-8, 0.0, 1.0, 0.9e-8, False),
        (1.0, 1 + 1.1e-8, 0.0, 1.0, 1.1e-8, True),
        (-2.0, 4.0, 0.0, -0.5, 1.5, True),
        (-2.0, -4.0, 0.0, 0.5, 0.5, True),
        (0.0, 0.0, 0.0, 1.0, 0.0, False),
        (0.0, 3.0, 0.0, 0.0, 1.0, True),
        (3.0, 0.0, 0.0, 0.0, 1.0, True),
        (NAN, 1.0, 0.0, NAN, NAN, True),
        (1.0, NAN, 0.0, NAN, NAN, True),
        (1.0, INF, 0.0, 0.0, NAN, True),
        (INF, INF, 0.0, NAN, NAN, True),
    ],
)
def test_equalities(left, right, error, ratio, deviation, fails):
    equal, found = made("="), seen(left, right, error)
    np.testing.assert_allclose(ratios(equal, found), ratio, rtol=1e-7)
    # differences of 1e-8 of numbers of order one are known to EPS/1e-8
    np.testing.assert_allclose(deviations(equal, found), deviation, rtol=1e-7)
    assert failing(equal, found.left, found.right, found.error)[0] == fails


def test_a_constant_multiplies_the_right_side():
    found = seen([2.0, 6.0], [1.0, 2.0])
    for relation in ("<=", "="):
        # 3 over 2 and 6 over 6; of an equality the smaller over the larger
        expected = [1.5, 1] if relation == "<=" else [2 / 3, 1]
        np.testing.assert_allclose(ratios(made(relation, constant=3.0), found), expected)
    below = judge_claim(made("<=", constant=3.0), True, found)
    assert below.holds
    assert below.margin == 1
    assert not judge_claim(made("<=", constant=2.9), True, found).holds
    assert judge_claim(made("=", constant=3.0), False, found).violations == 1


def test_an_equality_may_be_wider():
    found = seen([1.0], [1.0 + 1e-4])
    assert judge_claim(made("=", to=2e-4), True, found).holds
    assert not judge_claim(made("=", to=0.5e-4), True, found).holds


def test_margin_tightness_and_the_worst_observation():
    outcome = judge_claim(made("<="), True, seen([1.0, 4.0, 2.0, 0.0], [3.0, 5.0, 2.1, 1.0]))
    assert (outcome.violations, outcome.observations, outcome.designs) == (0, 4, 4)
    assert outcome.margin == pytest.approx(1.05)
    assert outcome.tightness == pytest.approx(1 / 1.05)
    assert outcome.worst == 2
    assert outcome.deviation == 1  # 0 against 1
    assert outcome.counterexample is None
    assert outcome.as_expected


def test_tightness_is_of_those_that_do_not_fail():
    outcome = judge_claim(made("<="), False, seen([4.0, 1.0, 1.0], [1.0, 2.0, 4.0]))
    assert outcome.violations == 1
    assert outcome.margin == 0.25
    assert outcome.tightness == 0.5
    assert outcome.worst == 0
    assert outcome.as_expected
    alone = judge_claim(made("<="), False, seen([4.0], [1.0]))
    assert math.isnan(alone.tightness)


def test_no_number_is_worse_than_any_number():
    outcome = judge_claim(made("<="), True, seen([1.0, NAN, 5.0], [2.0, 1.0, 1.0]))
    assert outcome.worst == 1
    assert outcome.violations == 2
    assert outcome.tightness == 0.5


GOOD, BAD = claim(*TRUE), claim(*FALSE)
REPAIRED = claim(*TRUE, name="corrected")


@pytest.mark.parametrize(
    ("made_up", "verdict"),
    [
        (statement(GOOD), "holds"),
        (statement(GOOD, corrected=REPAIRED), "holds"),
        (statement(GOOD, constant=True), "holds with constant C"),
        (statement(GOOD, order=True), "order only"),
        (statement(GOOD, order=True, constant=True), "order only"),
        (statement(BAD, corrected=REPAIRED), "fails as printed; corrected form holds"),
        (statement(BAD, order=True, corrected=REPAIRED), "fails as printed; corrected form holds"),
        (statement(BAD), "fails"),
        (statement(BAD, corrected=claim(*FALSE, name="corrected")), "fails"),
        (statement(BAD, supporting=(REPAIRED,)), "fails"),
    ],
)
def test_the_five_verdicts(made_up, verdict):
    found = judge(made_up, {})
    assert found.verdict == verdict
    assert found.as_recorded == (verdict == "holds")
    assert found.seconds >= 0


@pytest.mark.parametrize(
    ("rest", "as_recorded"),
    [
        ({"broken": (claim(*FALSE, name="broken"),)}, True),
        ({"broken": (claim(*TRUE, name="broken"),)}, False),
        ({"supporting": (claim(*TRUE, name="more"),)}, True),
        ({"supporting": (claim(*FALSE, name="more"),)}, False),
        ({"supporting": (REPAIRED,), "broken": (claim(*FALSE, name="broken"),)}, True),
    ],
)
def test_broken_claims_must_fail_and_supporting_ones_hold(rest, as_recorded):
    found = judge(statement(GOOD, **rest), {})
    assert found.verdict == "holds"
    assert found.as_recorded == as_recorded


def test_a_printed_form_that_should_fail_must_fail():
    expected = "fails as printed; corrected form holds"
    assert judge(statement(BAD, expected, corrected=REPAIRED), {}).as_recorded
    now_true = judge(statement(GOOD, expected, corrected=REPAIRED), {})
    assert now_true.verdict == "holds"
    assert not now_true.as_recorded
    assert not now_true.outcomes[0].as_expected


SMALL = Claim("small", "v_0 ≤ 4", OnDesigns(lambda c: Sides(c.variances[0], 4.0), ("some",)))


def test_on_designs_with_a_counterexample_and_its_sides():
    designs = [gaussian([sigma, 0.5]) for sigma in (1.0, 1.9, 3.0)]
    found = judge(statement(SMALL, "fails"), {"some": lambda: (batch_of(designs),)})
    assert found.verdict == "fails"
    assert found.as_recorded
    (outcome,) = found.outcomes
    assert outcome.violations == 1
    assert outcome.worst == 2
    assert outcome.margin == pytest.approx(4 / 9)
    assert outcome.tightness == pytest.approx(3.61 / 4)
    left, right, error = sides_of(SMALL, outcome.counterexample)
    assert left == outcome.counterexample.sigmas[0] ** 2 > right == 4
    assert error == 0
    text = str(found)
    assert text.startswith("made-up: fails\n  small: fails on 1 of 3; margin 0.4444")
    assert "smallest counterexample:" in text
    assert "[target]" in text


def test_sides_of_takes_the_constant_into_the_right_side():
    twice = Claim("twice", "", SMALL.check, constant=2.0)
    assert sides_of(twice, gaussian([3.0, 0.5]))[:2] == pytest.approx((9, 8))


def test_a_statement_without_designs_is_refused():
    never = Assumption("never", lambda case: case.variances[0] < 0)
    empty = Claim("empty", "", OnDesigns(SMALL.check.sides, ("some",), (never,)))
    with pytest.raises(ValueError, match="designs of claim 'empty' = none"):
        judge(statement(empty), {"some": lambda: (batch_of([gaussian([2.0, 1.0])]),)})

"""Lemmas 9, 11 and 12, judged on few designs."""

import pytest
from few_designs import few_designs
from judging import assert_as_expected, on_mixtures_only, outcomes

from analyses.cases import Design
from analyses.judge import sides_of
from analyses.statements.reverse_process import LEMMA_9, LEMMA_11, LEMMA_12, STATEMENTS


@pytest.fixture(scope="module")
def found():
    return {s.id: outcomes(s) for s in STATEMENTS}


def test_every_claim_comes_out_as_expected(found):
    for each in found.values():
        assert_as_expected(each)
    assert LEMMA_9.expected == "fails as printed; corrected form holds"
    assert LEMMA_11.expected == LEMMA_12.expected == "holds"


def test_the_printed_lemma_9_fails_on_most_designs(found):
    outcome = found["lemma-9"]["printed"]
    assert outcome.violations > outcome.observations / 2
    assert found["lemma-9"]["corrected"].deviation < 1e-11
    assert found["lemma-9"]["mismatch at the start"].violations > 0


def test_lemma_9_by_hand():
    """A point mass, one step from v = 4 to 1, sigma_bar = sqrt t: 2 sigma^2 = 1."""
    design = Design.gaussian(0.0, 0.0, [2.0, 1.0], exponent=0.5)
    left, right, _ = sides_of(LEMMA_9.printed, design)
    # with r = 1/4: (1/2)(r - 1 - ln r) against (1/4)(1/v' - 1/v) at the end of the step
    assert left == pytest.approx(0.31814718, rel=1e-7)
    assert right == pytest.approx(3 / 16, rel=1e-12)


def test_equalities_hold_on_the_joint_law(found):
    for name, claim in (
        ("lemma-11", "printed"),
        ("lemma-12", "printed"),
        ("lemma-12", "information"),
    ):
        assert found[name][claim].deviation < 1e-8
        assert found[name][claim].observations == 64


@pytest.mark.slow
@pytest.mark.parametrize("statement", [LEMMA_11, LEMMA_12], ids=lambda s: s.id)
def test_mixtures(statement):
    found = outcomes(statement, few_designs(), on_mixtures_only)
    assert list(found) == ["mixtures"]
    assert_as_expected(found)
    assert found["mixtures"].observations == 2

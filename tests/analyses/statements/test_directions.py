"""Lemmas 2 and 3 and Proposition 2 in the ledger."""

import numpy as np
import pytest

from analyses.judge import judge
from analyses.statements.directions import LEMMA_2, LEMMA_3, PROPOSITION_2, STATEMENTS


@pytest.fixture(scope="module")
def judged():
    return {s.id: judge(s, {}) for s in STATEMENTS}


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: s.id)
def test_it_holds_and_every_broken_claim_fails(judged, statement):
    found = judged[statement.id]
    assert found.verdict == "holds"
    assert found.as_recorded
    assert max(outcome.designs for outcome in found.outcomes) >= 500


def outcome(judged, statement, name):
    return next(o for o in judged[statement.id].outcomes if o.claim.name == name)


@pytest.mark.parametrize("statement", [LEMMA_2, LEMMA_3, PROPOSITION_2], ids=lambda s: s.id)
def test_quadratures_agree_to_ten_digits(judged, statement):
    assert outcome(judged, statement, "printed").deviation < 1e-10


def test_caps_reach_far_down_and_the_sharp_bound_is_attained(judged):
    found = outcome(judged, LEMMA_3, "sharp")
    assert np.min(found.seen.left) < 1e-200
    assert 0.9999 < found.tightness < 1


def test_drawn_directions_carry_a_confidence(judged):
    for statement in (LEMMA_2, PROPOSITION_2):
        found = outcome(judged, statement, "drawn")
        assert found.seen.confidence == 0.99
        assert np.max(found.seen.error) < 0.02

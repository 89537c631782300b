"""Lemma 7 on few designs."""

import pytest

from analyses.judge import judge
from analyses.statements import gradient_near
from analyses.statements.gradient_near import LEMMA_7, STATEMENTS


@pytest.fixture(scope="module")
def judged():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient_near, "_FAR_SEEDS", 24)
        gradient_near._shifted.cache_clear()
        yield judge(LEMMA_7, {})
    gradient_near._shifted.cache_clear()


@pytest.fixture(scope="module")
def outcomes(judged):
    return {outcome.claim.name: outcome for outcome in judged.outcomes}


def test_the_printed_constants_are_not_universal(judged):
    assert STATEMENTS == (LEMMA_7,)
    assert judged.verdict == "fails as printed; corrected form holds"
    assert judged.as_recorded


def test_both_exponents_are_away_from_zero(outcomes):
    seen = outcomes["printed"].seen
    assert (seen.left > 2 * seen.error).all()


def test_the_sandwich_holds_to_rounding_and_is_nearly_attained(outcomes):
    assert outcomes["corrected"].violations == 0
    assert outcomes["corrected"].tightness > 0.5

"""Corollary 2 on few designs."""

import numpy as np
import pytest

from analyses.judge import judge
from analyses.statements import equal_residuals
from analyses.statements.equal_residuals import COROLLARY_2, STATEMENTS


@pytest.fixture(scope="module")
def judged():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equal_residuals, "EQUAL_SEEDS", 16)
        equal_residuals._equal_runs.cache_clear()
        yield judge(COROLLARY_2, {})
    equal_residuals._equal_runs.cache_clear()


@pytest.fixture(scope="module")
def outcomes(judged):
    return {outcome.claim.name: outcome for outcome in judged.outcomes}


def test_it_holds_with_a_constant(judged):
    assert STATEMENTS == (COROLLARY_2,)
    assert judged.verdict == "holds with constant C"
    assert judged.as_recorded


def test_equal_residuals_do_not_stay_equal(judged):
    np.testing.assert_allclose(equal_residuals.spreads(0), 1, rtol=1e-10)
    assert np.median(equal_residuals.spreads(4)) > 3


def test_other_weightings_are_faster_in_their_own_loss(outcomes):
    found = outcomes["fastest, own loss"]
    assert found.violations == found.observations
    assert 0 < outcomes["fastest, one loss"].violations < found.observations


def test_unequal_residuals_fall_slowly(outcomes):
    found = outcomes["unequal"]
    assert found.violations == found.observations

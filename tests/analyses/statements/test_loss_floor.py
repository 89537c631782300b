"""Remark 1 in the ledger."""

import numpy as np
import pytest

from analyses.judge import judge
from analyses.statements import loss_floor
from analyses.statements.loss_floor import REMARK_1


@pytest.fixture(scope="module")
def judged():
    return judge(REMARK_1, {})


@pytest.fixture(scope="module")
def outcomes(judged):
    return {outcome.claim.name: outcome for outcome in judged.outcomes}


def test_it_fails_by_its_factor_only(judged):
    assert judged.verdict == "fails as printed; corrected form holds"
    assert judged.as_recorded


def test_designs(outcomes):
    assert outcomes["corrected"].designs >= 500
    assert outcomes["driven below"].designs >= 500


def test_interpolation_is_paid_for(outcomes):
    found = loss_floor._losses("interpolated")
    assert np.mean(found.empirical == 0) > 0.9
    assert np.median(found.population / found.floor) > 10


def test_the_best_models_come_close_to_the_floor():
    found = loss_floor._losses("best")
    share = found.population / found.floor
    assert 1 < share.min() < 1.05


def test_the_printed_floor_is_right_where_levels_are_above_one():
    given = loss_floor._losses("interpolated")
    exact = loss_floor._exact()
    np.testing.assert_allclose(given.floor, exact.floor, rtol=1e-14)
    assert np.mean(exact.printed > exact.population) > 0.5

"""Lemmas 13 to 15, judged on few designs."""

import numpy as np
import pytest
from judging import GAUSSIANS, assert_as_expected, outcomes

from analyses.statements.gaussian_data import LEMMA_13, LEMMA_14, LEMMA_15, STATEMENTS

DESIGNS = [d for name in ("named", "gaussian") for d in GAUSSIANS[name]()[0].designs]
CENTERED = np.array([np.all(d.means == 0) for d in DESIGNS])


@pytest.fixture(scope="module")
def found():
    return {s.id: outcomes(s) for s in STATEMENTS}


def test_verdicts(found):
    assert [s.expected for s in STATEMENTS] == [
        "fails as printed; corrected form holds",
        "holds",
        "fails as printed; corrected form holds",
    ]
    for each in found.values():
        assert_as_expected(each)
        assert all(outcome.observations == len(DESIGNS) for outcome in each.values())


@pytest.mark.parametrize("name", [LEMMA_13.id, LEMMA_15.id])
def test_printed_forms_fail_exactly_where_the_data_are_not_centered(found, name):
    outcome = found[name]["printed"]
    assert outcome.violations == np.sum(~CENTERED)
    assert outcome.margin < 1e-3
    # where they hold they are equal to the corrected ones
    assert outcome.tightness == pytest.approx(1, abs=1e-8)


def test_deviations_are_rounding(found):
    assert found[LEMMA_14.id]["printed"].deviation < 1e-14
    assert found[LEMMA_15.id]["corrected"].deviation < 1e-13
    assert found[LEMMA_15.id]["variances"].deviation < 1e-13
    assert found[LEMMA_13.id]["ratio"].deviation < 1e-13
    assert found[LEMMA_13.id]["corrected"].deviation < 1e-9

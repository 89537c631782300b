"""Equation (10) and the path identity, judged on few designs."""

import numpy as np
import pytest
from few_designs import few_designs
from judging import assert_as_expected, on_mixtures_only, outcomes

from analyses.statement import Study
from analyses.statements.sampler import EQUATION_10, PATH_IDENTITY


def test_a_step_removes_what_it_adds():
    found = outcomes(EQUATION_10, only=lambda claim: not isinstance(claim.check, Study))
    assert_as_expected(found)
    assert found["printed"].deviation < 1e-11


@pytest.mark.slow
def test_particles_follow_the_law():
    (outcome,) = outcomes(EQUATION_10, only=lambda claim: isinstance(claim.check, Study)).values()
    assert outcome.holds
    assert outcome.designs == 512
    assert outcome.observations == 1024
    assert outcome.seen.confidence == 0.99
    # The intervals are those of 512 particles, 99 % in all: four to five standard errors.
    relative = outcome.seen.error[512:] / outcome.seen.right[512:]
    spread = np.sqrt(2 / 511)
    assert np.all(relative > 3.5 * spread)
    assert np.all(relative < 6 * spread)
    # They catch an error in either direction: some deviation is beyond a quarter of its interval.
    used = np.abs(outcome.seen.left - outcome.seen.right) / outcome.seen.error
    assert 0.25 < used.max() < 1


def test_path_identity():
    found = outcomes(PATH_IDENTITY)
    assert_as_expected(found)
    assert found["Gaussian data"].deviation < 1e-10
    late = found["mismatch at the end"]
    assert late.violations == late.observations
    assert 0 < found["marginal"].tightness <= 1


@pytest.mark.slow
def test_path_identity_on_mixtures():
    found = outcomes(PATH_IDENTITY, few_designs(), on_mixtures_only)
    assert_as_expected(found)
    assert found["mixtures"].observations == 2

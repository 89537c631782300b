"""Theorem 3 in the ledger."""

import numpy as np
import pytest

from analyses.full_chains import chains
from analyses.judge import judge
from analyses.statements import full_error
from analyses.statements.full_error import THEOREM_3


@pytest.fixture(scope="module")
def outcomes():
    judged = judge(THEOREM_3, {})
    assert judged.as_recorded
    return {outcome.claim.name: outcome for outcome in judged.outcomes}


def test_it_fails_as_printed_however_large_the_constant(outcomes):
    assert 0 < outcomes["printed"].violations < 20
    needed = full_error._growth().right
    # sigma_min falls by seven decades, the constant grows by as many
    np.testing.assert_allclose(needed[-1] / needed[0], 1e7, rtol=0.5)


def test_the_corrected_form_holds_and_is_tight(outcomes):
    assert outcomes["corrected"].designs >= 500
    assert outcomes["corrected"].tightness > 0.99
    assert outcomes["constant 2"].deviation < 1e-12
    assert outcomes["constant 1"].margin == pytest.approx(0.5, rel=1e-6)


def test_half_of_the_chains_interpolate(outcomes):
    found = chains()
    share = np.mean(found.interpolation < 1e-20)
    assert 0.45 < share < 0.55
    assert outcomes["floor as printed"].violations > 0
    assert np.min(found.generalization[found.interpolation < 1e-20]) >= 0


@pytest.mark.slow
def test_other_chains_keep_the_bounds():
    for seed in (1, 2):
        found = chains(seed)
        fine = ~found.falling
        room = found.error + 1e-9 * found.path
        assert np.all((found.path <= found.corrected + room)[fine])
        assert np.all(found.path <= found.by_steps + room)
        assert np.all(found.excess <= found.terms * (1 + 1e-12))

"""Orders in N, and Remark 2."""

import numpy as np
import pytest
from few_designs import few_designs
from judging import assert_as_expected, outcomes

from analyses.judge import judge
from analyses.statement import Study
from analyses.statements.orders import MARGINAL_ORDER, REMARK_2


@pytest.fixture(scope="module")
def remark():
    return outcomes(REMARK_2, only=lambda claim: isinstance(claim.check, Study))


def test_remark_2(remark):
    assert_as_expected(remark)
    assert REMARK_2.expected == "fails as printed; corrected form holds"


def by_name(outcome, start):
    chosen = [i for i, label in enumerate(outcome.seen.labels) if label.startswith(start)]
    assert chosen
    return outcome.seen.left[chosen]


def test_exponents(remark):
    corrected = remark["corrected"]
    # E_I = m2^2/(2 v_0) on point masses, E_D is a sum over dimensions and does not see the mean
    np.testing.assert_allclose(by_name(corrected, "E_I against distance"), 1, atol=1e-9)
    np.testing.assert_allclose(by_name(corrected, "E_D against dimension"), 1, atol=1e-9)
    np.testing.assert_allclose(by_name(corrected, "E_D against distance"), 0, atol=1e-9)
    # l/v - log(1 + l/v) = (l/v)^2/2 + ...
    centered = remark["centered data"]
    np.testing.assert_allclose(by_name(centered, "E_I against width"), 2, atol=0.01)
    assert sum(o.designs for o in (corrected, centered)) >= 500


def test_only_the_moment_fails_in_remark_2(remark):
    printed = remark["printed"].seen
    off = np.abs(printed.left - printed.right) > 1e-6
    assert {label for label, bad in zip(printed.labels, off, strict=True) if bad} == {
        label for label in printed.labels if label.startswith("E_D against distance")
    }


@pytest.mark.slow
def test_e_d_is_bounded_for_all_data():
    found = outcomes(REMARK_2, few_designs(), lambda claim: claim.name == "bounded")
    assert found["bounded"].holds
    assert 0.5 < found["bounded"].tightness < 1


@pytest.mark.slow
def test_orders_of_the_path_and_the_marginal_error():
    judgement = judge(MARGINAL_ORDER, {})
    assert judgement.verdict == "holds"
    assert judgement.as_recorded
    path, marginal, one_order = judgement.outcomes
    # EDM and Song, then the grid geometric in v + 1/4: on narrow data 1024 steps are few for it
    for outcome, order in ((path, -1), (marginal, -2)):
        np.testing.assert_allclose(outcome.seen.left[:80], order, atol=1e-3)
        np.testing.assert_allclose(outcome.seen.left[80:], order, atol=0.3)
        assert np.all(outcome.seen.error[:80] < 0.01)
    assert one_order.violations == one_order.observations
    assert path.designs >= 600

"""Orders of samplers: exponents, constants, least constants, biases."""

import numpy as np
import pytest
from judging import assert_as_expected, outcomes

from analyses.judge import judge
from analyses.statements.sampler_orders import SAMPLER_BIAS, SAMPLER_ORDERS


def test_exponents_of_one_sampler_of_each_order():
    found = outcomes(SAMPLER_ORDERS, only=lambda c: c.name in ("frozen", "one order for all"))
    assert_as_expected(found)
    frozen, heun = (found[name].seen for name in ("frozen", "one order for all"))
    exact = [-1.0] * 8 + [-2.0] * 8
    # extrapolated once, the exponents are off by c/N^2, 1e-6 here
    np.testing.assert_allclose(frozen.left, exact * 2, rtol=1e-5)
    np.testing.assert_allclose(heun.left, 2 * np.array(exact * 2), rtol=1e-5)
    assert max(frozen.error.max(), heun.error.max()) < 1e-4


def test_variances_that_leave_no_error():
    found = outcomes(SAMPLER_ORDERS, only=lambda c: c.name.startswith("no error"))
    assert_as_expected(found)
    assert found["no error"].seen.left.max() < 1e-13
    assert found["no error on any data"].seen.left.min() > 0.1


@pytest.mark.slow
def test_every_order():
    judgement = judge(SAMPLER_ORDERS, {})
    assert judgement.as_recorded
    found = {o.claim.name: o for o in judgement.outcomes}
    for outcome in found.values():
        seen = outcome.seen
        if outcome.claim.name == "least":  # EDM's and Song's grids suit Heun, not ancestral
            assert 1 < outcome.margin < 3
        elif outcome.expected:
            np.testing.assert_allclose(seen.left, seen.right, rtol=1e-4, atol=1e-13)
            assert np.all(seen.error <= 2e-3 * np.abs(seen.right) + 1e-12)


@pytest.mark.slow
def test_what_more_steps_do_not_take_away():
    judgement = judge(SAMPLER_BIAS, {})
    assert judgement.as_recorded
    seen = judgement.outcomes[0].seen
    wide = [i for i, label in enumerate(seen.labels) if label.startswith("predictor-corrector, r")]
    assert np.median(seen.error / np.abs(seen.right)) < 1e-3
    # r^2/(1 - r^2) = 0.0263 on isotropic data, less in wide directions and more in narrow ones
    first = seen.right[wide[:48]]
    assert first.min() < 0.16**2 / (1 - 0.16**2) < first.max()

"""The best grids, the best step variance and the tangent law, judged on few designs."""

import numpy as np
import pytest
from judging import assert_as_expected, outcomes

from analyses.statements.optimal import (
    PATH_OPTIMAL_CONSTANT,
    PATH_OPTIMAL_GEOMETRIC,
    STEP_VARIANCE,
    TANGENT_LAW,
)


@pytest.mark.parametrize(
    "statement", [PATH_OPTIMAL_GEOMETRIC, STEP_VARIANCE, TANGENT_LAW], ids=lambda s: s.id
)
def test_every_claim_comes_out_as_expected(statement):
    assert statement.expected == "holds"
    found = outcomes(statement)
    assert_as_expected(found)
    if statement is PATH_OPTIMAL_GEOMETRIC:
        # Song's own grid is geometric in v, and best for point masses
        assert found["printed"].tightness == pytest.approx(1, abs=1e-9)
        assert found["geometric in v"].margin < 0.9
        assert found["attained"].deviation < 1e-9
    if statement is STEP_VARIANCE:
        own = found["the sampler's own"]
        assert own.violations == own.observations
        assert found["optimal"].margin > 1
        assert all(np.ptp(d.variances) == 0 for d in found["isotropic"].seen.found)
    if statement is TANGENT_LAW:
        assert all(d.variances[0, 0] > 1e-6 for d in found["printed"].seen.found)
        assert found["W2"].violations == found["W2"].observations
        assert found["optimal"].margin > 1


@pytest.mark.slow
def test_the_constant_of_the_best_grids():
    found = outcomes(PATH_OPTIMAL_CONSTANT)
    assert_as_expected(found)
    printed, other = found["printed"].seen, found["another density"].seen
    assert found["printed"].designs == 512
    # what is left after two extrapolations is of order 1/N^3, and within the stated error
    np.testing.assert_allclose(printed.left, printed.right, rtol=2e-5)
    assert np.all(np.abs(printed.left - printed.right) <= printed.error + 1e-6 * printed.right)
    # Another density of points has a larger constant, by the inequality of Cauchy and Schwarz.
    assert np.all(other.left > other.right)

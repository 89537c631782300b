"""Corollary 1 and Table 2; their studies look at no families."""

import numpy as np
import pytest

from analyses.judge import judge
from analyses.statements.published_steps import COROLLARY_1, TABLE_2


@pytest.fixture(scope="module")
def corollary():
    return judge(COROLLARY_1, {})


@pytest.fixture(scope="module")
def table():
    return judge(TABLE_2, {})


def test_verdicts(corollary, table):
    assert (corollary.verdict, table.verdict) == ("holds with constant C", "order only")
    assert corollary.as_recorded
    assert table.as_recorded
    assert corollary.outcomes[0].designs >= 500
    assert table.outcomes[0].designs >= 500


def test_the_constant_of_corollary_1_is_a_half(corollary):
    printed = corollary.outcomes[0]
    assert printed.claim.constant == 0.5
    assert printed.tightness > 0.999


def test_shape_of_corollary_1(corollary):
    fit = next(o for o in corollary.outcomes if o.claim.name == "exponents").seen
    by_steps = [i for i, label in enumerate(fit.labels) if label.startswith("N,")]
    np.testing.assert_allclose(fit.left[by_steps], -1, atol=0.02)
    by_delta = [i for i, label in enumerate(fit.labels) if label.startswith("1/delta")]
    rho = np.linspace(1, 7, 16)
    # (T/delta)^(1/a) from T/delta = e^(2 a) on; the limit's excess is below (2/a) e^-2/(1 - e^-2)
    assert np.all(fit.left[by_delta] > 1 / rho - 0.005)
    assert np.all(fit.left[by_delta] < 1.32 / rho)


def test_leading_term_is_reached(corollary):
    leading = next(o for o in corollary.outcomes if o.claim.name == "leading term")
    assert leading.tightness > 0.999


def test_song_is_better_on_a_point_mass_and_worse_on_wide_data(table):
    outcomes = {o.claim.name: o for o in table.outcomes}
    assert outcomes["order of the two"].holds
    ratios = outcomes["order of the two"].seen
    # as N grows EDM's leading term is 1.206 times Song's
    assert float(ratios.right[-1] / ratios.left[-1]) == pytest.approx(1.206, abs=2e-3)
    assert outcomes["order on wide data"].violations > 400

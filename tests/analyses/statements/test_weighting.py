"""Appendix H.3 under each convention."""

import numpy as np
import pytest

from analyses.families import families
from analyses.judge import judge
from analyses.statements import weighting
from analyses.statements.weighting import H3, STATEMENTS


@pytest.fixture(scope="module")
def judged():
    return judge(H3, families(0.02))


@pytest.fixture(scope="module")
def outcomes(judged):
    return {outcome.claim.name: outcome for outcome in judged.outcomes}


def test_it_holds_and_every_broken_claim_fails(judged):
    assert STATEMENTS == (H3,)
    assert judged.verdict == "holds"
    assert judged.as_recorded


def test_designs(outcomes):
    assert outcomes["printed"].designs >= 500
    assert outcomes["values"].designs >= 500


def test_constants_come_out_of_the_code():
    for name, (found, recorded, half_digit) in weighting.constants().items():
        assert abs(found - recorded) <= half_digit, name


def test_the_closed_forms_hold_to_rounding(outcomes):
    assert outcomes["values"].deviation < 1e-11


def test_a_bell_to_the_right_moves_the_maximum_to_the_start(outcomes):
    found = outcomes["bell to the right"]
    moved = found.seen.left != found.seen.right
    assert moved.mean() > 0.3
    # Mostly to the first level; inside the range only for wide bells, P_std above 1.
    assert np.mean(found.seen.left[moved] == 1) > 0.85


def test_few_steps_and_the_density_turn_the_order_everywhere(outcomes):
    for name in ("few steps", "density"):
        assert outcomes[name].violations == outcomes[name].observations


def test_the_standard_design_is_the_first_of_its_batch():
    designs, values, levels = weighting._maxima(10)
    assert {key: row[0] for key, row in designs.items()} == (
        weighting._STANDARD | weighting._STANDARD_BELL
    )
    # Pointwise at the last level with either factor; as a density, corrected, at the first.
    np.testing.assert_array_equal(levels[0], [[10, 10], [10, 10], [10, 10], [1, 1]])
    np.testing.assert_allclose(values[0, 0, 0] / values[0, 0, 1], 0.9855, atol=5e-5)

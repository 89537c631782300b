"""Table 1: the formulas, and the collapse of mixed designs."""

import pytest

from analyses.families import families
from analyses.judge import judge
from analyses.statements.table_1 import STATEMENTS, TABLE_1


@pytest.fixture(scope="module")
def judged():
    return judge(TABLE_1, families(0.02))


def test_it_holds_and_weightings_tell_the_pairs_apart(judged):
    assert STATEMENTS == (TABLE_1,)
    assert judged.verdict == "holds"
    assert judged.as_recorded
    found = {outcome.claim.name: outcome for outcome in judged.outcomes}
    assert found["weightings"].violations == found["weightings"].observations


def test_designs_and_accuracy(judged):
    for outcome in judged.outcomes[:3]:
        assert outcome.designs >= 500
        assert outcome.deviation < 1e-11


def test_ends_are_exact(judged):
    found = {outcome.claim.name: outcome for outcome in judged.outcomes}
    assert found["ends"].deviation == 0

"""The statements on training on designs that nobody had seen when their constants were chosen."""

import pytest
from few_designs import few_designs
from mutants import forget

from analyses import training_designs
from analyses.catalogue import STATEMENTS
from analyses.judge import judge

pytestmark = pytest.mark.slow


@pytest.fixture
def fresh(monkeypatch):
    """Seeds far from the ledger's; what was measured of those is put aside."""
    monkeypatch.setattr(training_designs, "FIRST_SEED", 10_000)
    forget(everything=True)
    yield
    forget(everything=True)


@pytest.mark.usefixtures("fresh")
def test_verdicts_and_constants_hold_on_other_seeds():
    for name in ("theorem-1", "lemma-1", "lemma-5", "lemma-7", "corollary-2"):
        statement = STATEMENTS[name]
        found = judge(statement, few_designs())
        assert found.verdict == statement.expected, name
        held = {o.claim.name: o for o in found.outcomes}
        for claim in (statement.corrected, *statement.supporting):
            if claim is not None:
                assert held[claim.name].violations == 0, (name, claim.name)
        for claim in statement.broken:
            assert held[claim.name].violations > 0, (name, claim.name)

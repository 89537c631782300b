"""The ledger as an experiment: its rows and what it says of them."""

import numpy as np
import pandas as pd
import pytest

from analyses.catalogue import STATEMENTS, select
from analyses.ledger import EXPERIMENT, compute, finding, pieces


@pytest.fixture(scope="module")
def table():
    return pd.concat(
        [compute({"statement": name, "share": 0.01}) for name in ("lemma-14", "lemma-15")],
        ignore_index=True,
    )


def test_every_statement_is_a_piece():
    assert [piece["statement"] for piece in pieces({"share": 0.1})] == list(STATEMENTS)
    assert len(STATEMENTS) >= 34
    assert {"quick", "full"} == set(EXPERIMENT.presets)


def test_rows_of_a_statement(table):
    rows = table[(table["part"] == "statement") & (table["statement"] == "lemma-15")]
    assert rows["verdict"].tolist() == ["fails as printed; corrected form holds"]
    assert "σ" in rows["counterexample"].iloc[0]
    claims = table[(table["part"] == "claim") & (table["statement"] == "lemma-15")]
    assert claims["claim"].tolist() == ["printed", "corrected", "variances"]
    assert claims["holds"].tolist() == claims["expected"].tolist() == [False, True, True]
    ratios = table[(table["part"] == "ratio") & (table["claim"] == "printed")]
    for _, group in ratios.groupby("statement"):
        assert np.all(np.diff(group["ratio"]) >= 0)
        assert np.all(np.diff(group["quantile"]) > 0)


def test_finding_counts_and_names_what_fails(table):
    text = finding(table)
    assert text.startswith("2 statements, 4 claims")
    assert "As printed fail lemma-15." in text
    assert "Of 1 claims that must fail" in text
    assert "Different from the record" not in text


def test_finding_names_a_supporting_claim_that_fails(table):
    changed = table.copy()
    row = (changed["part"] == "claim") & (changed["claim"] == "variances")
    changed.loc[row, "holds"] = False
    assert "Different from the record: lemma-15." in finding(changed)


def test_patterns_choose_statements_in_order():
    assert [s.id for s in select(["lemma-1?"])] == [f"lemma-{n}" for n in range(10, 16)]
    with pytest.raises(ValueError, match=r"statement = 'lemma-99': must be an id or a pattern"):
        select(["lemma-99"])

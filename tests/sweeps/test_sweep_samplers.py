"""Sweeps over samplers: the rows of single designs, missing numbers and reasons included."""

import pytest
from sweep_designs import GAUSSIAN, given, planned, whole

from design_space.pipeline import evaluate_specification
from design_space.specification import Specification
from design_space.sweeps.content import TOGETHER
from design_space.sweeps.groups import put

QUANTITIES = ("initialization", "discretization", "score", "path_kl", "marginal_kl", "w2")
NO_PATH = "discretization, score, path_kl: the sampler moves without noise"
PARTS = "discretization, score, path_kl: the identity holds for samplers of one noisy move"


def rows_of(text, axes):
    """The rows of a sweep whose groups all have programs, each held against its own design."""
    manifest = planned(text, axes)
    assert {group["how"] for group in manifest["groups"]} == {TOGETHER}
    rows = whole(manifest).to_pylist()
    names = [name for name in rows[0] if name.startswith(("sampler.", "schedule."))]
    for row in rows:
        sections = given(text, axes)
        del sections["sweep"]
        for name in names:
            put(sections, name, row[name])
        check_row(row, evaluate_specification(Specification.parse(sections)))
    return rows


def check_row(row, alone):
    reasons = set()
    for name in QUANTITIES:
        estimate = getattr(alone, name)
        if estimate.reason is None:
            # the same formulas, with additions in another order
            assert row[name] == pytest.approx(float(estimate.value), rel=1e-11, abs=1e-15), name
            assert row[f"{name}_method"] == estimate.method
        else:
            assert row[name] is row[f"{name}_error"] is row[f"{name}_method"] is None, name
            reasons.add(estimate.reason)
    for reason in reasons:
        assert row["reason"].endswith(reason)
    assert bool(reasons) == (row["reason"] is not None)
    assert len(reasons) <= 1


def test_kinds():
    kinds = ("ancestral", "optimal-variance", "heun", "predictor-corrector")
    rows = rows_of(GAUSSIAN, f"sampler.kind = {list(kinds)}\nschedule.rho = [3.0, 7.0]\n")
    assert len(rows) == 8
    missing = {row["sampler.kind"] for row in rows if row["path_kl"] is None}
    assert missing == {"heun", "predictor-corrector"}


def test_eta_from_no_noise_to_all():
    rows = rows_of(GAUSSIAN + '[sampler]\nkind = "ancestral"\n', "sampler.eta = [0.0, 0.5, 1.0]\n")
    assert rows[0]["path_kl"] is None
    assert rows[0]["reason"].startswith(NO_PATH)
    assert rows[1]["path_kl"] > rows[2]["path_kl"] > 0  # less noise is nearer to singular


def test_eta_with_a_wrong_score():
    text = GAUSSIAN + '[score]\nkind = "scaled"\nfactor = 1.1\n[sampler]\nkind = "ancestral"\n'
    rows = rows_of(text, "sampler.eta = {from = 0.0, to = 1.0, count = 2}\n")
    assert rows[0]["score"] is None
    assert rows[0]["reason"].startswith(NO_PATH)
    assert rows[1]["score"] > 0


def test_churn():
    rows = rows_of(GAUSSIAN + '[sampler]\nkind = "churn"\n', "sampler.s_churn = [0.0, 0.8, 3.0]\n")
    assert len({row["marginal_kl"] for row in rows}) == 3
    for row in rows:
        assert row["reason"].startswith(PARTS)
    flow = rows_of(GAUSSIAN, 'sampler.kind = ["heun"]\nschedule.rho = [7.0]\n')
    assert rows[0]["marginal_kl"] == pytest.approx(flow[0]["marginal_kl"], rel=1e-11)

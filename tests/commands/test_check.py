"""`design-space check`: what it prints, where, and its exit status."""

import json
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent / "analyses" / "statements"))
from judging import GAUSSIANS

from design_space.bounds import gaussian
from design_space.cli import app
from design_space.commands import check as command

CHEAP = "lemma-14"
KEYS = {
    "expected",
    "verdict",
    "margin",
    "tightness",
    "deviation",
    "designs",
    "seconds",
    "differences",
    "claims",
}


def invoke(*words):
    return CliRunner().invoke(app, ["check", *map(str, words)])


@pytest.fixture
def _halved(monkeypatch):
    """Lemma 14 with one constant edited."""

    def score(point, mean, variance, noise):
        return -0.5 * (point - mean) / (variance + noise)

    monkeypatch.setattr(gaussian, "lemma_14_score", score)


@pytest.fixture
def _few(monkeypatch):
    """A few designs in place of the ledger's: an equality that holds has no number to compare."""
    monkeypatch.setattr(command, "families", lambda: GAUSSIANS)


@pytest.fixture
def _unrecorded(monkeypatch):
    """Nothing is compared with the record, whose numbers are those of all designs."""
    monkeypatch.setattr(command, "differences", lambda judgement, record: [])


@pytest.mark.slow
def test_all_designs():
    result = invoke(CHEAP, "--json")
    assert result.exit_code == 0, result.output
    entry = json.loads(result.stdout)["statements"][CHEAP]
    assert entry["designs"] >= 500
    assert entry["differences"] == []


@pytest.mark.usefixtures("_few")
def test_as_recorded():
    result = invoke(CHEAP)
    assert result.exit_code == 0, result.output
    for word in (CHEAP, "holds", "margin", "tightness", "designs", "seconds", "±"):
        assert word in result.stdout
    assert "1 statements, 1 claims; all as recorded" in result.stdout
    assert result.stderr == ""


@pytest.mark.usefixtures("_few", "_halved")
def test_one_constant_edited():
    result = invoke(CHEAP)
    assert result.exit_code == 1
    assert f"different from the record: {CHEAP}" in result.stdout
    assert f"{CHEAP}: verdict 'fails', recorded 'holds'" in result.stderr
    _, _, text = result.stderr.partition("counterexample to the claim 'printed'")
    design = tomllib.loads(text[text.index("[target]") :])
    assert design["target"]["kind"] == "gaussian"
    assert len(design["schedule"]["sigmas"]) == 2


@pytest.mark.usefixtures("_few")
def test_json_is_one_object():
    result = invoke(CHEAP, "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert set(report) == {"statements", "provenance"}
    assert set(report["provenance"]) >= {"versions", "device", "dtype"}
    (entry,) = report["statements"].values()
    assert set(entry) == KEYS
    assert entry["verdict"] == entry["expected"] == "holds"
    assert entry["differences"] == []
    assert entry["designs"] == 64
    assert set(entry["claims"]) == {"printed"}
    assert entry["claims"]["printed"]["violations"] == 0


@pytest.mark.slow
@pytest.mark.usefixtures("_few", "_halved")
def test_json_of_a_difference():
    result = invoke(CHEAP, "--json")
    assert result.exit_code == 1
    entry = json.loads(result.stdout)["statements"][CHEAP]
    assert entry["verdict"] == "fails"
    assert "verdict 'fails', recorded 'holds'" in entry["differences"]
    facts = entry["claims"]["printed"]["counterexample"]
    # the score halved
    assert facts["right"] == pytest.approx(facts["left"] / 2, rel=1e-12)


@pytest.mark.parametrize("words", [["lemma-99"], [CHEAP, "theorem-*x"], ["--json", "nothing"]])
def test_unknown_statements(words):
    result = invoke(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("design-space: statement = '")
    assert "lemma-14" in line


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = invoke(CHEAP, "--counterexamples", tmp_path / "file" / "folder")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("design-space: counterexamples = ")


@pytest.mark.usefixtures("_few", "_unrecorded")
def test_patterns_and_counterexamples_that_evaluate_reads(tmp_path):
    result = invoke("lemma-1[45]", "lemma-14", "--json", "--counterexamples", tmp_path)
    assert result.exit_code == 0, result.output
    assert list(json.loads(result.stdout)["statements"]) == ["lemma-14", "lemma-15"]
    assert [p.name for p in tmp_path.iterdir()] == ["lemma-15.toml"]
    design = tomllib.loads((tmp_path / "lemma-15.toml").read_text())
    assert set(design) >= {"target", "schedule"}
    budget = CliRunner().invoke(app, ["evaluate", str(tmp_path / "lemma-15.toml"), "--json"])
    assert budget.exit_code == 0, budget.output
    assert json.loads(budget.stdout)["marginal_kl"]["value"] >= 0

"""`design-space evaluate --realism`: what it prints, and that it is what Python gives."""

import json

import pytest
from typer.testing import CliRunner

import design_space as ds
from design_space.cli import app
from design_space.commands.realism_tables import realism_tables
from design_space.targets.labeled import LabeledMixture

MODES = """
[target]
kind = "mixture"
weights = [0.3, 0.7]
means = [[-2.0], [2.0]]
stds = [0.3, 0.3]
labels = [0, 1]

[schedule]
kind = "edm"
steps = 10
"""


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def modes(tmp_path):
    path = tmp_path / "modes.toml"
    path.write_text(MODES)
    return path


def test_json_holds_what_python_gives(modes):
    result = invoke("evaluate", modes, "--realism", "--json", "--set", "sampler.kind=heun")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["realism"]
    target = ds.GaussianMixture.isotropic([0.3, 0.7], [[-2.0], [2.0]], 0.3)
    classifier = LabeledMixture(target, [0, 1]).log_posterior
    known = ds.realism(target, ds.edm(10), sampler=ds.FlowHeun(), classifier=classifier)
    assert found == known.to_dict()
    assert found["class_probabilities"]["value"] == pytest.approx(
        found["mode_weights"]["value"], abs=1e-9
    )


def test_tables_are_there_when_asked_for(modes):
    plain, asked = invoke("evaluate", modes), invoke("evaluate", modes, "--realism")
    assert asked.exit_code == 0, asked.output
    assert "precision" not in plain.stdout
    for word in ("where they have 0.001", "recall", "between modes", "p(c = 1 | x)"):
        assert word in asked.stdout
    assert "Modes (weight: quadrature" in asked.stdout


def test_too_few_samples_are_refused_before_anything_is_computed(modes):
    result = invoke("evaluate", modes, "--realism", "--samples", "100")
    assert result.exit_code == 2
    assert "--samples = 100" in result.stderr
    assert result.stdout == ""


def test_missing_numbers_and_many_modes_are_shown():
    target = ds.GaussianMixture.isotropic([0.5, 0.5], [[-2.0], [2.0]], 0.3)
    found = ds.realism(target, ds.edm(10)).to_dict()
    missing = {"value": None, "error": None, "method": None, "reason": "no density"}
    lost = {"value": [[None], [0.1]] * 10, "error": [[None], [0.1]] * 10, "method": "monte carlo"}
    many = {"value": [0.05] * 20, "error": [0.01] * 20, "method": "monte carlo"}
    found |= {"recall": missing, "f_8": missing, "mode_weights": many, "mode_variances": lost}
    found |= {"data_mode_weights": many, "data_mode_variances": {"value": [[0.1]] * 20}}
    numbers, modes = realism_tables(found)
    assert "the first 12 of 20" in str(modes.title)
    assert list(modes.columns[5].cells)[:2] == ["", "0.1"]
    methods = list(numbers.columns[4].cells)
    assert methods.count("no density") == methods.count("the same") == 1
    assert realism_tables(None) == []

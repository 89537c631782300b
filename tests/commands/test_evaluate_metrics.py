"""`design-space evaluate --metrics`: what it prints, and that it is what Python gives."""

import json

import pytest
from specifications import PLAIN
from typer.testing import CliRunner

import design_space as ds
from design_space.cli import app
from design_space.commands.metric_tables import metric_tables


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def gaussian(tmp_path):
    path = tmp_path / "design.toml"
    path.write_text(PLAIN + '[schedule]\nkind = "edm"\nsteps = 10\n')
    return path


def test_json_holds_the_metrics_that_python_gives(gaussian):
    result = invoke("evaluate", gaussian, "--metrics", "--json", "--set", "sampler.kind=heun")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    target, schedule = ds.Gaussian.isotropic(dim=2, std=0.5), ds.edm(steps=10)
    assert report["metrics"] == ds.sampler_metrics(target, schedule, None, ds.FlowHeun()).to_dict()
    assert report["metrics"]["marginal_kl"]["value"] == report["marginal_kl"]["value"]


def test_tables_are_there_when_asked_for(gaussian):
    plain, asked = invoke("evaluate", gaussian), invoke("evaluate", gaussian, "--metrics")
    assert asked.exit_code == 0, asked.output
    assert "total variation" not in plain.stdout
    for word in ("total variation", "sliced W2", "Moments", "closed form"):
        assert word in asked.stdout


def test_too_few_samples_are_refused_before_anything_is_computed(gaussian):
    result = invoke("evaluate", gaussian, "--metrics", "--samples", "100")
    assert result.exit_code == 2
    assert "--samples = 100" in result.stderr
    assert result.stdout == ""


def test_modes_and_missing_numbers_are_shown():
    entry = {"value": 0.5, "error": 0.1, "method": "monte carlo"}
    missing = {"value": None, "error": None, "method": None, "reason": "no noise"}
    many = {"value": [0.05] * 20, "error": [0.01] * 20, "method": "quadrature"}
    one = {"value": [1.0], "error": [0.0], "method": "quadrature"}
    square = {"value": [[1.0]], "error": [[0.0]], "method": "quadrature"}
    tables = metric_tables(
        dict.fromkeys(("marginal_kl", "w2", "sliced_w2"), entry)
        | {"total_variation": missing, "mode_weights": many, "data_mode_weights": many}
        | {"mean": one, "data_mean": one, "covariance": square, "data_covariance": square}
    )
    assert [table.row_count for table in tables] == [4, 12, 1]
    assert "the first 12 of 20" in str(tables[1].title)
    assert "no noise" in list(tables[0].columns[3].cells)
    assert metric_tables(None) == []

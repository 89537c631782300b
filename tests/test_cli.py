"""The console script: what it prints, where, and how it refuses."""

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
from specifications import CONTRACT, PLAIN
from typer.testing import CliRunner

import design_space as ds
from design_space.cli import app
from design_space.numerics.startup import compilation_cache

QUANTITIES = ("initialization", "discretization", "score", "path_kl", "marginal_kl", "w2")


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def gaussian(tmp_path):
    path = tmp_path / "design.toml"
    path.write_text(PLAIN + '[schedule]\nkind = "edm"\nsteps = 10\n')
    return path


def check_refusal(result, *fragments):
    """Exit status 2, nothing on stdout, one readable line on stderr."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("design-space: ")
    for fragment in fragments:
        assert fragment in line


class TestEvaluate:
    def test_json_is_one_object_with_six_quantities(self, gaussian):
        result = invoke("evaluate", gaussian, "--json")
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        for name in QUANTITIES:
            assert set(report[name]) >= {"value", "error", "method"}
            assert report[name]["method"] in ("closed form", "quadrature", "monte carlo")
            assert report[name]["error"] >= 0
        assert "theorem-2" in " ".join(report["bounds"])
        assert report["provenance"]["specification"]["schedule"]["steps"] == 10

    @pytest.mark.slow
    def test_python_and_the_command_line_agree_on_the_specification_of_the_contract(self, tmp_path):
        path = tmp_path / "design.toml"
        path.write_text(CONTRACT)
        result = invoke("evaluate", path, "--json")
        assert result.exit_code == 0, result.output + repr(result.exception)
        printed = json.loads(result.stdout)
        given = tomllib.loads(CONTRACT)["target"]
        target = ds.GaussianMixture.isotropic(given["weights"], given["means"], given["stds"])
        budget = ds.evaluate(target, ds.edm(steps=50)).to_dict()
        for name in QUANTITIES:
            assert printed[name] == budget[name]
            assert printed[name]["value"] is not None
        assert printed["bounds"] == budget["bounds"]

    def test_table_shows_every_quantity_and_bound(self, gaussian):
        result = invoke("evaluate", gaussian)
        assert result.exit_code == 0, result.output
        for word in ("E_I", "E_D", "E_S", "path KL", "marginal KL", "W2", "theorem-2"):
            assert word in result.stdout
        # d = 2 eigenvalues of 0.25: twice the reference 2.3076 of N(0, 0.25) at N = 10
        assert "4.615" in result.stdout

    def test_overrides(self, gaussian):
        result = invoke("evaluate", gaussian, "--json", "--set", "schedule.steps=3")
        assert json.loads(result.stdout)["provenance"]["specification"]["schedule"]["steps"] == 3

    def test_csv_and_latex(self, gaussian, tmp_path):
        csv, latex = tmp_path / "budget.csv", tmp_path / "budget.tex"
        result = invoke("evaluate", gaussian, "--json", "--csv", csv, "--latex", latex)
        report = json.loads(result.stdout)
        table = pd.read_csv(csv).set_index("quantity")
        for name in QUANTITIES:
            np.testing.assert_allclose(table["value"][name], report[name]["value"], rtol=1e-15)
        assert list(table.index[table["kind"] == "bound"]) == list(report["bounds"])
        text = latex.read_text()
        assert "\\toprule" in text
        assert "marginal KL" in text
        assert "nan" not in text.lower()


class TestRefusals:
    def test_a_bad_field(self, gaussian):
        result = invoke("evaluate", gaussian, "--set", "schedule.steps=0")
        check_refusal(result, "schedule.steps = 0", "at least 1", "give an integer")

    def test_malformed_toml(self, tmp_path):
        (tmp_path / "bad.toml").write_text("[target\n")
        check_refusal(invoke("evaluate", tmp_path / "bad.toml"), "bad.toml", "line 1", "column 8")

    def test_a_missing_file(self, tmp_path):
        result = invoke("evaluate", tmp_path / "none.toml")
        check_refusal(result, "none.toml", "No such file", "check the path")

    def test_a_directory(self, tmp_path):
        check_refusal(invoke("evaluate", tmp_path), "Is a directory")

    @pytest.mark.parametrize("option", ["--csv", "--latex"])
    def test_an_output_that_cannot_be_written(self, gaussian, tmp_path, option):
        target = tmp_path / "absent" / "budget"
        result = invoke("evaluate", gaussian, option, target)
        check_refusal(result, option, "absent", "directory that exists")

    def test_an_unknown_analysis(self, tmp_path):
        result = invoke("reproduce", "nothing", "--out", tmp_path)
        check_refusal(result, "'nothing'", "bell_weighting", "choose one of these names")

    def test_a_result_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        result = invoke("reproduce", "bell_weighting", "--out", tmp_path / "file" / "results")
        check_refusal(result, "file")

    @pytest.mark.parametrize(
        "words",
        [
            ["evaluate"],
            ["evaluate", "x.toml", "--seed", "-1"],
            ["evaluate", "x.toml", "--seed", str(2**63)],
            ["nothing"],
            ["bench", "x"],
        ],
    )
    def test_usage(self, words):
        result = invoke(*words)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert "Traceback" not in result.stderr

    def test_a_defect_of_a_library_is_not_dressed_up_as_bad_input(self, gaussian, monkeypatch):
        def broken(*args, **kwargs):
            return np.zeros(3).reshape(2)  # numpy raises ValueError, not this package

        monkeypatch.setattr("design_space.commands.evaluate.evaluate_specification", broken)
        result = invoke("evaluate", gaussian)
        assert result.exit_code == 1
        assert isinstance(result.exception, ValueError)


class TestStart:
    def test_version(self):
        result = invoke("--version")
        assert result.stdout == f"design-space {version('design-space')}\n"

    def test_help_lists_the_commands_and_imports_nothing_heavy(self):
        code = (
            "import sys\n"
            "from design_space.cli import app\n"
            "try:\n    app(['--help'])\n"
            "except SystemExit as stop:\n    assert stop.code == 0\n"
            "heavy = [m for m in ('jax', 'numpy', 'pandas', 'matplotlib') if m in sys.modules]\n"
            "assert not heavy, heavy\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for command in ("evaluate", "reproduce", "bench"):
            assert command in done.stdout


class TestCompilationCache:
    """What the command line keeps between starts."""

    def test_it_can_be_switched_off(self, monkeypatch):
        monkeypatch.setenv("DESIGN_SPACE_CACHE", "off")
        assert compilation_cache() is None

    def test_it_lies_in_the_users_cache_folder(self, monkeypatch, tmp_path):
        monkeypatch.delenv("DESIGN_SPACE_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert compilation_cache() == tmp_path / "design-space" / "jax"
        assert (tmp_path / "design-space" / "jax").is_dir()

    def test_a_folder_that_cannot_be_made_is_not_used(self, monkeypatch, tmp_path):
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("DESIGN_SPACE_CACHE", str(tmp_path / "file" / "cache"))
        assert compilation_cache() is None

    def test_a_second_start_gives_the_same_numbers_from_it(self, gaussian, tmp_path):
        command = [sys.executable, "-m", "design_space.cli", "evaluate", str(gaussian), "--json"]
        environment = os.environ | {"DESIGN_SPACE_CACHE": str(tmp_path / "cache")}
        first, second = (
            subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            for _ in range(2)
        )
        assert list((tmp_path / "cache").iterdir())
        assert first.stdout == second.stdout
        assert second.stderr == ""

"""Specifications of trained scores: what is read, what is refused, and what the command says."""

import json

import jax
import numpy as np
import pandas as pd
import pytest
from specifications import EDM, GAUSSIAN, PLAIN, check_refused, parse
from typer.testing import CliRunner

import design_space as ds
from design_space.arrays import named_key
from design_space.cli import app

TRAINED = PLAIN + EDM + '[score]\nkind = "trained"\n'
AFFINE = '[model]\nkind = "affine"\n'
RELU = '[model]\nkind = "relu"\nwidth = 8\n'
BELL = '[weighting]\nkind = "edm"\n'
TRAINING = "[training]\n"
EVERY = TRAINED + AFFINE + BELL + TRAINING
LINE = GAUSSIAN + "mean = [0.3]\nstd = 0.5\n" + EDM + "sigma_min = 0.1\nsigma_max = 4.0\n"
SHORT = (
    LINE + '[score]\nkind = "trained"\n' + AFFINE + BELL + "[training]\nsamples = 9\nsteps = 50\n"
)


class TestWhatIsRead:
    def test_defaults(self):
        design = parse(EVERY)
        assert design.trains
        assert design.to_dict()["training"] == {
            "samples": 100,
            "steps": 1000,
            "learning_rate": "auto",
            "seed": 0,
            "method": "auto",
        }
        assert design.training["budgets"] == (1000,)
        assert design.to_dict()["model"]["kind"] == "affine"

    def test_a_design_that_does_not_train_is_as_before(self):
        design = parse(PLAIN + EDM)
        assert not design.trains
        assert set(design.to_dict()) == {"target", "schedule", "score", "sampler"}

    def test_the_last_step_has_a_budget(self):
        design = parse(EVERY + "budgets = [0, 10]\nsteps = 20\n")
        assert design.training["budgets"] == (0, 10, 20)
        assert design.to_dict()["training"]["budgets"] == [0, 10]

    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            (
                'kind = "edm"\np_mean = -1\nsigma_data = 1',
                ds.weightings.edm_weighting(-1.0, 1.2, 1),
            ),
            ('kind = "edm"\npointwise = true', ds.weightings.edm_weighting().pointwise()),
            ('kind = "song"', ds.weightings.song()),
            ('kind = "song"\npointwise = true', ds.weightings.song().pointwise()),
            ('kind = "uniform"', ds.weightings.uniform()),
            ('kind = "min-snr"\ngamma = 2', ds.weightings.min_snr(2.0)),
            ('kind = "p2"\ngamma = 0.5\nk = 3', ds.weightings.p2(0.5, 3.0)),
            ('kind = "custom"\nvalues = [1, 2, 3, 4]', ds.weightings.CustomWeighting([1, 2, 3, 4])),
        ],
    )
    def test_weightings(self, keys, expected):
        design = parse(TRAINED + AFFINE + TRAINING + f"[weighting]\n{keys}\n")
        grid = design.schedule()
        np.testing.assert_array_equal(design.weighting().total(grid), expected.total(grid))

    @pytest.mark.parametrize(
        ("keys", "make"),
        [
            ('kind = "affine"', lambda k, g: ds.per_level_affine(2, g)),
            ('kind = "affine"\nintercept = false', lambda k, g: ds.per_level_affine(2, g, False)),
            ('kind = "affine"\nscales = [1, 2]', lambda k, g: ds.shared_affine(2, [1, 2])),
            (
                'kind = "affine"\npreconditioned = true\nsigma_data = 2',
                lambda k, g: ds.preconditioned(
                    ds.per_level_affine(2, np.log(g.forward_sigmas[1:]) / 4), 2.0
                ),
            ),
            (
                'kind = "features"\nwidth = 5\nbias = true',
                lambda k, g: ds.random_features(k, 2, 5, bias=True),
            ),
            (
                'kind = "two-layer"\nwidth = 5\nboth = true\ndtype = "float32"',
                lambda k, g: ds.two_layer(k, 2, 5, both=True, dtype="float32"),
            ),
            (
                'kind = "relu"\nwidth = 5\ndepth = 2\npreconditioned = true',
                lambda k, g: ds.preconditioned(ds.relu_network(k, 2, 5, 2)),
            ),
            (
                'kind = "perceptron"\nwidth = 5\nactivation = "tanh"',
                lambda k, g: ds.perceptron(k, 2, 5, activation="tanh", dtype="float64"),
            ),
        ],
    )
    def test_models(self, keys, make):
        design = parse(TRAINED + BELL + f"[training]\nseed = 3\n[model]\n{keys}\n")
        grid, key = design.schedule(), named_key(jax.random.key(3), "model")
        found, expected = design.model(grid), make(key, grid)
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        (TRAINED + BELL + TRAINING, ["model is missing", '"relu"', "trained", "add [model]"]),
        (TRAINED + AFFINE + BELL, ["training is missing", "must be a section", "add [training]"]),
        (TRAINED + AFFINE + TRAINING, ["weighting is missing", '"min-snr"', "add [weighting]"]),
        (PLAIN + EDM + AFFINE, ["model = {'kind': 'affine'}", "absent unless", "remove [model]"]),
        (PLAIN + EDM + BELL, ["weighting = ", 'unless score.kind = "trained"']),
        (PLAIN + EDM + TRAINING, ["training = {}", 'unless score.kind = "trained"']),
        (EVERY + 'kind = "gd"\n', ["training.kind = 'gd'", "one of the keys of a training"]),
        (EVERY + "sample = 3\n", ["training.sample = 3", "write samples"]),
        (EVERY + "samples = 0\n", ["training.samples = 0", "at least 1"]),
        (EVERY + 'samples = "all"\n', ["training.samples = 'all'", '"population"']),
        (EVERY + "steps = 1.5\n", ["training.steps = 1.5", "whole number"]),
        (EVERY + "seed = -1\n", ["training.seed = -1", "at least 0"]),
        (EVERY + "learning_rate = 0\n", ["training.learning_rate = 0", "above 0"]),
        (EVERY + 'learning_rate = "big"\n', ["training.learning_rate = 'big'", '"auto"']),
        (EVERY + "budgets = 3\n", ["training.budgets = 3", "a list of whole numbers"]),
        (EVERY + "budgets = [3, 3]\n", ["training.budgets = [3, 3]", "ascending", "sort"]),
        (EVERY + "budgets = [-1]\n", ["training.budgets[0] = -1", "at least 0"]),
        (EVERY + "budgets = [5, 2000]\n", ["training.budgets", "training.steps = 1000"]),
        (EVERY + 'method = "adam"\n', ["training.method = 'adam'", "simulated"]),
        (EVERY + 'learning_rate = "printed"\n', ["training.learning_rate", "no width"]),
    ],
)
def test_sections_and_settings(text, fragments):
    check_refused(text, *fragments)


def with_model(keys, training=""):
    return TRAINED + BELL + TRAINING + training + "[model]\n" + keys


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        (with_model('kind = "mlp"\n'), ["model.kind = 'mlp'", '"two-layer"']),
        (with_model('kind = "affine"\nwidth = 3\n'), ["model.width = 3", 'kind "affine"']),
        (with_model('kind = "affine"\nscales = [-1]\n'), ["model.scales = [-1.0]", "at least 0"]),
        (with_model('kind = "relu"\nbias = true\n'), ["model.bias = True", 'kind "relu"']),
        (with_model('kind = "relu"\nwidth = 0\n'), ["model.width = 0", "at least 1"]),
        (with_model('kind = "relu"\ndtype = "int8"\n'), ["model.dtype = 'int8'", "float32"]),
        (with_model('kind = "relu"\npreconditioned = 1\n'), ["model.preconditioned = 1", "true"]),
        (
            with_model('kind = "relu"\nsigma_data = 1\n'),
            ["model.sigma_data = 1.0", "model.preconditioned = true", "remove it"],
        ),
        (
            with_model('kind = "relu"\n', 'samples = "population"\n'),
            ["training.samples = 'population'", 'kind "relu"', "give a number"],
        ),
        (
            with_model('kind = "features"\n', 'samples = "population"\n'),
            ["training.samples = 'population'", "in dimension 2"],
        ),
        (
            with_model('kind = "affine"\n', 'samples = "population"\nmethod = "simulated"\n'),
            ["training.samples = 'population'", "simulated"],
        ),
        (
            with_model('kind = "two-layer"\n', 'method = "closed form"\n'),
            ["training.method = 'closed form'", 'kind "two-layer"', "affine in their weights"],
        ),
    ],
)
def test_models_and_what_cannot_be_combined(text, fragments):
    check_refused(text, *fragments)


@pytest.mark.parametrize(
    ("keys", "fragments"),
    [
        ('kind = "sigmoid"', ["weighting.kind = 'sigmoid'", '"edm"']),
        ('kind = "uniform"\npointwise = true', ["weighting.pointwise = True", "nothing else"]),
        ('kind = "edm"\np_std = 0', ["weighting.p_std = 0", "above 0"]),
        ('kind = "p2"\ngamma = -1', ["weighting.gamma = -1", "at least 0"]),
        ('kind = "custom"\nvalues = [1, 2]', ["len(weighting.values) = 2", "levels, 4"]),
        ('kind = "custom"\nvalues = [1, 2, 0, 1]', ["weighting.values", "above 0 in every entry"]),
    ],
)
def test_weightings_that_do_not_exist(keys, fragments):
    check_refused(TRAINED + AFFINE + TRAINING + f"[weighting]\n{keys}\n", *fragments)


def test_a_trained_score_is_not_at_hand():
    with pytest.raises(ValueError, match=r"score\.kind = 'trained'.*train it"):
        parse(EVERY).score()


class TestCommand:
    @pytest.fixture
    def design(self, tmp_path):
        path = tmp_path / "design.toml"
        path.write_text(SHORT + "budgets = [0, 10]\n")
        return str(path)

    @staticmethod
    def invoke(*words):
        return CliRunner().invoke(app, ["evaluate", *words])

    def test_json(self, design):
        result = self.invoke(design, "--json")
        assert result.exit_code == 0, result.output + repr(result.exception)
        report = json.loads(result.stdout)
        training = report["training"]
        assert training["steps"] == [0, 10, 50]
        assert len(training["losses"]) == len(training["budgets"]) == 3
        assert training["losses"][2] < training["losses"][0]
        np.testing.assert_allclose(
            training["learning_rate"], training["stability_limit"] / 2, rtol=1e-15
        )
        last = training["budgets"][-1]
        assert last["step"] == 50
        assert last["marginal_kl"] == report["marginal_kl"]
        assert {"theorem-2", "theorem-3", "theorem-3-corrected"} <= set(report["bounds"])
        assert report["bounds"]["theorem-3-corrected"] >= report["path_kl"]["value"]
        for name in ("eps_train", "eps_n", "eps_est", "eps_approx"):
            assert training[name]["value"] >= 0
            assert training[name] == last[name]
        given = report["provenance"]["specification"]
        assert given["training"]["budgets"] == [0, 10]

        target, grid = ds.Gaussian([0.3], [[0.25]]), ds.edm(4, 0.1, 4.0)
        words = {"steps": [0, 10, 50], "samples": 9}
        weighting, model = ds.weightings.edm_weighting(), ds.per_level_affine(1, grid)
        alone = ds.evaluate_training(target, grid, weighting, model, **words).to_dict()
        assert alone["training"] == training

    def test_table_and_csv(self, design, tmp_path):
        result = self.invoke(design, "--csv", str(tmp_path / "b.csv"))
        assert result.exit_code == 0, result.output + repr(result.exception)
        for word in ("Along the training", "stable below", "excess", "theorem-3", "closed"):
            assert word in result.stdout
        table = pd.read_csv(tmp_path / "b.csv")
        assert sorted(table["step"].unique()) == [0, 10, 50]
        assert set(table["quantity"]) >= {"path_kl", "theorem-3"}

    def test_a_diverged_training_is_told_and_is_no_failure(self, design):
        rate = "training.learning_rate=1e4"
        result = self.invoke(design, "--json", "--set", rate)
        assert result.exit_code == 0
        report = json.loads(result.stdout)
        assert report["marginal_kl"]["value"] is None
        assert "training diverged" in report["marginal_kl"]["reason"]
        assert report["training"]["losses"][2] is None
        assert report["training"]["diverged_at"] == 10
        assert report["training"]["budgets"][0]["marginal_kl"]["value"] > 0
        shown = self.invoke(design, "--set", rate)
        assert shown.exit_code == 0
        assert "training diverged" in " ".join(shown.stdout.split())

    def test_a_checkpoint_without_a_run(self, design, tmp_path):
        result = self.invoke(design, "--checkpoint", str(tmp_path / "run.npz"))
        assert result.exit_code == 2
        assert "checkpoint" in result.stderr
        assert "closed form" in result.stderr

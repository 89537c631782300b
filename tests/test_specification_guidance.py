"""Labels of a target and the section [guidance]: what they build, what is refused, how they run."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from specifications import EDM, PLAIN, check_refused, parse
from typer.testing import CliRunner

import design_space as ds
from design_space.cli import app
from design_space.pipeline import evaluate_specification

MIXTURE = """
[target]
kind = "mixture"
weights = [0.4, 0.3, 0.3]
means = [[-1.0], [1.0], [2.5]]
stds = [0.5, 0.4, 0.3]
labels = [0, 1, 1]
[schedule]
kind = "edm"
steps = 5
sigma_min = 0.1
sigma_max = 10.0
"""
GUIDED = MIXTURE + "[guidance]\nstrength = 3.0\nlabel = 1\n"
WHOLE = ds.GaussianMixture.isotropic([0.4, 0.3, 0.3], [[-1.0], [1.0], [2.5]], [0.5, 0.4, 0.3])
LABELED = ds.LabeledMixture(WHOLE, [0, 1, 1])
POINTS = jnp.linspace(-2.0, 4.0, 5)[:, None]


def check_score(found, truth):
    for x in POINTS:
        np.testing.assert_allclose(found(x, 0.3), truth(x, 0.3), rtol=1e-12)


def test_the_data_law_is_that_of_the_class_and_the_score_guided():
    design = parse(GUIDED)
    np.testing.assert_allclose(design.target().weights, [0.5, 0.5], rtol=1e-14)
    np.testing.assert_array_equal(design.target().parts.means, [[1.0], [2.5]])
    assert isinstance(design.score(), ds.GuidedScore)
    check_score(design.score(), ds.guided_exact(LABELED, 1, 3.0))
    assert design.labeled().labels == (0, 1, 1)
    kept = design.to_dict()
    assert kept["guidance"] == {"strength": 3.0, "label": 1, "rescale": 0.0}
    assert kept["target"]["labels"] == [0, 1, 1]
    assert parse(MIXTURE).to_dict().keys() == {"target", "schedule", "score", "sampler"}


def test_labels_alone_change_nothing():
    design = parse(MIXTURE)
    assert design.target().parts.means.shape == (3, 1)
    assert isinstance(design.labeled(), ds.LabeledMixture)
    check_score(design.score(), ds.exact_score(WHOLE))
    assert parse(PLAIN + EDM).labeled() is None


@pytest.mark.parametrize(
    ("keys", "given"),
    [
        ("rescale = 0.7\n", {"rescale": 0.7}),
        ("interval = [0.2, 1.5]\n", {"interval": (0.2, 1.5)}),
        ("interval = [0.2, inf]\n", {"interval": (0.2, float("inf"))}),
        ("interval = [0.4, inf]\n", {"interval": (0.4, float("inf"))}),
        ("interval = [0.5, 1.5]\nrescale = 1\n", {"interval": (0.5, 1.5), "rescale": 1.0}),
    ],
)
def test_every_key(keys, given):
    check_score(parse(GUIDED + keys).score(), ds.guided_exact(LABELED, 1, 3.0, **given))


def test_an_error_of_the_score_is_in_both_scores():
    plain = ds.guided_exact(LABELED, 1, 3.0)
    scaled = parse(GUIDED + '[score]\nkind = "scaled"\nfactor = 0.9\n').score()
    check_score(scaled, ds.scaled_score(plain, 0.9))
    shifted = parse(GUIDED + '[score]\nkind = "shifted"\nshift = [0.3]\n').score()
    check_score(shifted, ds.shifted_score(plain, [0.3]))


def test_overrides_and_moved_values():
    two = parse(GUIDED).with_overrides(["guidance.strength=2"])
    check_score(two.score(), ds.guided_exact(LABELED, 1, 2.0))
    other = parse(GUIDED).with_overrides(["guidance.label=0"])
    assert other.target().parts.means.shape == (1, 1)
    moved = parse(GUIDED).with_values({"guidance.strength": 2.0, "target.stds": np.full(3, 0.2)})
    law = ds.GaussianMixture.isotropic([0.4, 0.3, 0.3], [[-1.0], [1.0], [2.5]], 0.2)
    check_score(moved.score(), ds.guided_exact(ds.LabeledMixture(law, [0, 1, 1]), 1, 2.0))


def test_the_evaluation_is_that_of_the_pieces():
    design = parse(GUIDED)
    found = evaluate_specification(design)
    truth = ds.evaluate(LABELED.given(1), design.schedule(), ds.guided_exact(LABELED, 1, 3.0))
    for name in ("initialization", "discretization", "score", "marginal_kl", "w2"):
        value, expected = (float(getattr(e, name).value) for e in (found, truth))
        assert value == pytest.approx(expected, rel=1e-12), name
    assert found.score.value > 0


def test_on_the_command_line(tmp_path):
    path = tmp_path / "guided.toml"
    path.write_text(GUIDED, encoding="utf-8")
    fields = ["guidance.strength=1", "guidance.interval=[0.2, inf]"]
    given = ["evaluate", str(path), *(word for field in fields for word in ("--set", field))]
    done = CliRunner().invoke(app, [*given, "--json"])
    assert done.exit_code == 0, done.output
    row = json.loads(done.stdout)
    assert row["score"]["value"] == 0
    assert row["provenance"]["specification"]["guidance"] == {
        "strength": 1.0,
        "label": 1,
        "rescale": 0.0,
        "interval": [0.2, "inf"],  # JSON has no infinity
    }


NO_LABELS = MIXTURE.replace("labels = [0, 1, 1]\n", "")


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        (NO_LABELS + "[guidance]\nstrength = 3\nlabel = 1\n", ["target.labels is missing", "add"]),
        (PLAIN + EDM + "[guidance]\nstrength = 3\nlabel = 0\n", ["target.labels is missing"]),
        (MIXTURE + "[guidance]\nlabel = 1\n", ["guidance.strength is missing", "add `strength"]),
        (MIXTURE + "[guidance]\nstrength = 1\n", ["guidance.label is missing"]),
        (GUIDED.replace("label = 1", "label = 2"), ["guidance.label = 2", "below 2"]),
        (GUIDED.replace("label = 1", "label = -1"), ["guidance.label = -1", "at least 0"]),
        (GUIDED.replace("label = 1", "label = 1.0"), ["guidance.label = 1.0", "whole number"]),
        (GUIDED.replace("3.0", "inf"), ["guidance.strength = inf", "finite"]),
        (GUIDED.replace("3.0", '"3"'), ["guidance.strength = '3'", "a number"]),
        (GUIDED + "rescale = 1.5\n", ["guidance.rescale = 1.5", "from 0 to 1"]),
        (GUIDED + "interval = [1.0]\n", ["guidance.interval", "two noise levels"]),
        (GUIDED + "interval = [2.0, 1.0]\n", ["guidance.interval[0] = 2.0", "below"]),
        (GUIDED + "interval = [-2.0, 1.0]\n", ["guidance.interval[0] = -2.0", "at least 0"]),
        (GUIDED + "interval = [inf, inf]\n", ["guidance.interval[0] = inf", "finite"]),
        (GUIDED + "interval = [0.2, nan]\n", ["guidance.interval[1] = nan", "finite"]),
        (GUIDED + "interval = [0.2, -inf]\n", ["guidance.interval[1] = -inf", "finite"]),
        (GUIDED + 'interval = [0.2, "1"]\n', ["guidance.interval[1] = '1'", "a number"]),
        (GUIDED + "interval = 3\n", ["guidance.interval = 3", "brackets"]),
        (GUIDED + "weight = 3\n", ["guidance.weight = 3", "a guidance section", "strength"]),
        (GUIDED + 'kind = "cfg"\n', ["guidance.kind = 'cfg'", "remove"]),
        (GUIDED.replace("[0, 1, 1]", "[0, 1]"), ["len(target.labels) = 2", "3, one label"]),
        (GUIDED.replace("[0, 1, 1]", "[0, 2, 2]"), ["target.labels = [0, 2, 2]", "none has 1"]),
        (GUIDED.replace("[0, 1, 1]", "[0, 1.5, 1]"), ["target.labels[1] = 1.5", "whole number"]),
        (GUIDED.replace("[0, 1, 1]", "3"), ["target.labels = 3", "in brackets"]),
        (PLAIN + "labels = [0]\n" + EDM, ["target.labels", '"gaussian"', "remove it"]),
        (
            GUIDED + '[score]\nkind = "affine"\nslopes = [1, 1, 1, 1, 1]\n',
            ["score.kind = 'affine'", '"exact", "scaled", "shifted"', "remove [guidance]"],
        ),
        (
            GUIDED + '[score]\nkind = "trained"\n[weighting]\nkind = "edm"\n'
            '[model]\nkind = "affine"\n[training]\n',
            ["score.kind = 'trained'", "beside [guidance]", "take one of these"],
        ),
        ("guidance = 3\n" + MIXTURE, ["guidance = 3", "a table"]),
    ],
)
def test_what_is_refused(text, fragments):
    check_refused(text, *fragments)

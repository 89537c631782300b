"""Rows of a table: those of single designs, with reasons where something is missing."""

import io
import math
import tomllib

import numpy as np
import pyarrow.parquet as pq
import pytest
from sweep_designs import GAUSSIAN, MIXTURE, TRAINED, frame, planned, tables, whole

import design_space as ds
from design_space.pipeline import evaluate_specification, evaluate_training
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.specification import Specification
from design_space.sweeps.content import ONE_BY_ONE, TOGETHER, compute
from design_space.sweeps.pieces import ABOUT
from design_space.trained_evaluation import TrainedEvaluation

QUANTITIES = ("initialization", "discretization", "score", "path_kl", "marginal_kl", "w2")
RTOL = 1e-12  # numbers of the same formulas, in another order of additions


def check_row(row, expected, errors=True):
    """A row of the table is the evaluation of its design."""
    for name in QUANTITIES:
        estimate = getattr(expected, name)
        value, error = float(estimate.value), float(estimate.error)
        assert row[name] == pytest.approx(value, rel=RTOL, abs=RTOL)
        kept = float(row[f"{name}_error"])
        if errors:  # in single precision, rounded up
            assert kept == pytest.approx(error, rel=1e-2, abs=1e-18)
        assert row[f"{name}_method"] == estimate.method
    for name, bound in expected.bounds.items():
        assert row[f"bound.{name}"] == pytest.approx(float(bound), rel=RTOL)
    assert row["reason"] is None


def law(mean=(0.1, -0.3), variances=(0.25, 4.0)):
    return ds.Gaussian.diagonal(np.array(mean, float), np.array(variances, float))


def rows_of(text, axes, how=TOGETHER, **settings):
    manifest = planned(text, axes, **settings)
    assert {group["how"] for group in manifest["groups"]} == {how}
    return manifest, whole(manifest).to_pylist()


def test_gaussians_with_the_exact_score():
    axes = (
        'schedule.kind = ["edm", "song"]\ntarget.variances = [[1, 2], [0.25, 0]]\n'
        "schedule.rho = {from = 3.0, to = 7.0, count = 2}\n"
    )
    manifest, rows = rows_of(GAUSSIAN, axes)
    assert [row["design"] for row in rows] == list(range(8))
    for row in rows[::3]:
        kind, rho = row["schedule.kind"], row["schedule.rho"]
        grid = ds.edm(4, rho=rho) if kind == "edm" else ds.song(4)
        variances = eval(row["target.variances"])
        check_row(row, ds.evaluate(law(variances=variances), grid))
    columns = ["design", *manifest["axes"], *manifest["columns"]]
    assert list(rows[0]) == columns


def test_scaled_scores_and_the_ends_of_the_noise():
    text = GAUSSIAN + '[score]\nkind = "scaled"\nfactor = 1.0\n'
    axes = "score.factor = [0.5, 1, 1.5]\nschedule.sigma_min = [0.01, 0.1]\n"
    for row in rows_of(text, axes)[1][::2]:
        score = scaled_score(exact_score(law()), row["score.factor"])
        grid = ds.edm(4, sigma_min=row["schedule.sigma_min"])
        check_row(row, ds.evaluate(law(), grid, score))


def test_vectors_as_values():
    text = GAUSSIAN + '[score]\nkind = "shifted"\nshift = [0, 0]\n'
    axes = "score.shift = [[0.1, 0.2], [-1, 3]]\ntarget.mean = [[0, 0], [1, -2]]\n"
    for row in rows_of(text, axes)[1]:
        own = law(mean=eval(row["target.mean"]))
        score = shifted_score(exact_score(own), np.array(eval(row["score.shift"]), float))
        check_row(row, ds.evaluate(own, ds.edm(4), score))


def test_mixtures_one_at_a_time():
    _, rows = rows_of(MIXTURE, "schedule.rho = [3, 7]\n", ONE_BY_ONE)
    target = ds.GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], [0.1, 0.1])
    for row in rows:
        check_row(row, ds.evaluate(target, ds.edm(4, rho=row["schedule.rho"])))


def single_training(row, steps, rate="auto", samples=10):
    """The training of one row by the library."""
    grid = ds.edm(2, rho=row.get("schedule.rho", 7.0))
    target, weighting = ds.Gaussian.isotropic(1, 0.5), ds.weightings.edm_weighting()
    model = ds.per_level_affine(1, grid)
    seed = row.get("training.seed", 0)
    data = ds.training_data(target, grid, weighting, samples, seed=seed)
    return evaluate_training(
        target, grid, weighting, model, steps=steps, data=data, learning_rate=rate
    )


def check_training(row, expected, i):
    check_row(row, expected.budgets[i], errors=False)
    assert row["step"] == expected.steps[i]

    def close(value):
        return pytest.approx(float(value), rel=1e-10, abs=1e-12)  # differences of the loss

    assert row["loss"] == close(expected.losses[i])
    assert row["learning_rate"] == pytest.approx(float(expected.learning_rate), rel=RTOL)
    assert row["stability_limit"] == pytest.approx(float(expected.stability_limit), rel=RTOL)
    assert row["excess"] == close(expected.excesses[i].value)
    terms = {"train": "eps_train", "generalization": "eps_n", "estimation": "eps_est"}
    for attribute, name in (terms | {"approximation": "eps_approx"}).items():
        assert row[name] == close(getattr(expected.terms[i], attribute).value)


@pytest.mark.slow
def test_trained_scores_have_a_row_for_each_budget():
    axes = "training.seed = {seeds = 2, first = 3}\nschedule.rho = [3, 7]\n"
    _, rows = rows_of(TRAINED + "budgets = [0, 10]\n", axes)
    assert [row["design"] for row in rows] == [n for n in range(4) for _ in range(3)]
    assert [row["step"] for row in rows] == [0, 10, 50] * 4
    for design in (0, 3):
        own = rows[3 * design : 3 * design + 3]
        expected = single_training(own[0], [0, 10, 50])
        for i, row in enumerate(own):
            check_training(row, expected, i)


def test_steps_and_rates_as_axes():
    axes = "training.steps = [3, 40]\ntraining.learning_rate = [1e-8, 2e-8]\n"
    _, rows = rows_of(TRAINED, axes)
    for row in rows[1:3]:
        expected = single_training({}, [row["training.steps"]], row["training.learning_rate"])
        check_training(row, expected, 0)


def test_training_that_diverges_says_so_and_leaves_the_others_alone():
    text = TRAINED + "budgets = [1]\n"
    axes = "training.learning_rate = [1e-8, 1e-3]\n"
    _, rows = rows_of(text, axes)
    fine, diverged = rows[:2], rows[2:]
    assert all(row["reason"] is None and row["path_kl"] is not None for row in fine)
    assert diverged[1]["path_kl"] is None
    assert diverged[1]["reason"].startswith("training diverged")
    assert "2/lambda_max" in diverged[1]["reason"]
    alone = whole(planned(text, "training.learning_rate = [1e-8]\n", piece=64)).to_pylist()
    kept = [name for name in rows[0] if name not in ("design",)]
    for row, other in zip(fine, alone, strict=True):
        assert {name: row[name] for name in kept} == {name: other[name] for name in kept}


def test_networks_one_at_a_time():
    text = TRAINED.replace('"affine"', '"relu"\nwidth = 2')
    text = text.replace("steps = 50", 'steps = 5\nmethod = "simulated"')
    text = text.replace("steps = 2\n", "steps = 2\nsigma_min = 0.3\nsigma_max = 3.0\n")
    _, rows = rows_of(text, "training.learning_rate = [1e-8]\n", ONE_BY_ONE)
    (row,) = rows
    assert row["reason"] is None
    assert row["step"] == 5
    assert row["eps_train"] is None
    document = tomllib.loads(text)
    document["training"]["learning_rate"] = 1e-8
    expected = evaluate_specification(Specification.parse(document))
    assert isinstance(expected, TrainedEvaluation)
    check_row(row, expected.budgets[0], errors=False)


BAD = (
    "schedule.sigma_min = [0.002, 60.0]\nschedule.sigma_max = [50.0, 80.0, 1e200]\n"
    "schedule.rho = [3, 7]\n"
)


def test_bad_designs_are_rows_with_their_reason():
    manifest, rows = rows_of(GAUSSIAN, BAD)
    for row in rows:
        low, high = row["schedule.sigma_min"], row["schedule.sigma_max"]
        if low > high:
            expected = f"schedule.sigma_min = {low}: must be below schedule.sigma_max = {high}"
            assert row["reason"].startswith(expected)
            assert all(row[name] is None for name in manifest["columns"][:-1])
        elif high == 1e200:
            assert "overflow" in row["reason"]
            assert "discretization" in row["reason"]
            assert row["path_kl"] is row["path_kl_method"] is row["path_kl_error"] is None
        else:
            assert row["reason"] is None
            assert math.isfinite(row["path_kl"])


def test_bad_designs_leave_all_other_rows_as_they_are_in_every_bit():
    together = {key(row): row for row in rows_of(GAUSSIAN, BAD)[1]}
    good = BAD.replace(", 1e200", "").replace(", 60.0", ", 40.0")
    for row in rows_of(GAUSSIAN, good)[1]:
        if row["schedule.sigma_min"] == 0.002:
            other = together[key(row)]
            assert other | {"design": 0} == row | {"design": 0}


def key(row):
    return tuple(row[f"schedule.{name}"] for name in ("sigma_min", "sigma_max", "rho"))


def test_a_bad_design_among_those_evaluated_one_at_a_time():
    axes = "schedule.sigma_min = [0.1, 60]\nschedule.sigma_max = [50, 80]\n"
    _, rows = rows_of(MIXTURE, axes, ONE_BY_ONE)
    assert [row["reason"] is None for row in rows] == [True, True, False, True]
    assert rows[2]["reason"].startswith("schedule.sigma_min = 60.0: must be below")
    assert rows[2]["w2_method"] is None


def test_pieces_have_the_same_columns_whatever_is_missing():
    axes = "schedule.sigma_min = [60, 0.1]\nschedule.sigma_max = [50, 80]\n"
    found = tables(planned(MIXTURE, axes, piece=1))
    assert len(found) == 4
    assert len({str(table.schema.remove_metadata()) for table in found}) == 1


def test_errors_are_rounded_up_in_single_precision():
    manifest = planned(GAUSSIAN, "schedule.rho = [3, 7]\n")
    row = whole(manifest).to_pylist()[0]
    single = ds.evaluate(law(), ds.edm(4, rho=3.0))
    for name in QUANTITIES:
        kept, error = row[f"{name}_error"], float(getattr(single, name).error)
        assert kept >= 0
        assert kept == pytest.approx(error, rel=1e-2, abs=1e-18)
    assert str(whole(manifest).schema.field("w2_error").type) == "float"


def test_a_piece_says_where_it_comes_from():
    manifest = planned(GAUSSIAN, "schedule.rho = [3, 7]\n", seed=3, draws=100)
    metadata = pq.read_schema(io.BytesIO(compute(manifest, 0))).metadata
    text = metadata[ABOUT].decode()
    for word in ('"piece":0', '"seed":3', '"draws":100', '"dtype":"float64"', '"seconds":'):
        assert word in text


def test_words_are_columns_of_texts():
    found = frame(planned(GAUSSIAN, "schedule.steps = [1, 2]\n"))
    assert found["schedule.steps"].tolist() == [1, 2]
    assert str(found["schedule.steps"].dtype) == "int64"
    axes = "target = [{variances = [1, 2]}, {variances = [3, 4]}]\n"
    texts = frame(planned(GAUSSIAN, axes))["target"].tolist()
    assert texts == ['{"variances": [1, 2]}', '{"variances": [3, 4]}']

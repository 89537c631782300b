"""The plan: checked as a whole, plain data, the same for the same sweep."""

import collections
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from sweep_designs import GAUSSIAN, MIXTURE, SCHEDULE, TRAINED, frame, given, planned

from design_space.files import canonical
from design_space.sweeps import run
from design_space.sweeps.content import ONE_BY_ONE, TOGETHER
from design_space.sweeps.plan import MOST_COMBINATIONS, plan, row_bytes

RHO = "schedule.rho = {from = 1.0, to = 9.0, count = 10}\n"
EMPIRICAL = '[target]\nkind = "empirical"\npoints = "points.npy"\n' + SCHEDULE


def how(text, axes):
    return {group["how"] for group in planned(text, axes)["groups"]}


@pytest.mark.parametrize(
    ("text", "axes", "expected"),
    [
        (GAUSSIAN, RHO, TOGETHER),
        (GAUSSIAN, RHO + 'schedule.kind = ["edm", "song"]', TOGETHER),
        (GAUSSIAN + '[score]\nkind = "scaled"\nfactor = 1\n', "score.factor = [1, 2]", TOGETHER),
        (TRAINED, RHO + "training.seed = {seeds = 2}", TOGETHER),
        (TRAINED, "training.steps = [5, 6]", TOGETHER),
        (TRAINED + "budgets = [0, 2]\n", RHO, TOGETHER),
        (MIXTURE, RHO, ONE_BY_ONE),
        (TRAINED + 'method = "simulated"\n', RHO, ONE_BY_ONE),
        (GAUSSIAN.replace('"edm"', '"marginal-optimal"'), "target.mean = [[1, 2], [3, 4]]", None),
        (GAUSSIAN, "schedule.steps = [3, 4]", ONE_BY_ONE),  # nothing moves within a group
    ],
)
def test_together_where_one_program_can_and_one_at_a_time_elsewhere(text, axes, expected):
    assert how(text, axes) == {expected or ONE_BY_ONE}


def test_the_designs_before_a_whole_group_of_good_ones_may_be_bad():
    """Neither the first 64 nor the last design exists."""
    least = [*np.linspace(79, 1, 64).tolist(), 0.005, 0.03]
    axes = f"schedule.sigma_max = [0.01, 80, 0.02]\nschedule.sigma_min = {least}\n"
    manifest = planned(GAUSSIAN, axes)
    assert manifest["groups"][0]["how"] == TOGETHER


def test_the_manifest_is_plain_and_says_what_will_be_there():
    manifest = planned(GAUSSIAN, RHO + "schedule.steps = [2, 3]\n", piece=4, seed=5, draws=128)
    assert json.loads(canonical(manifest)) == manifest
    assert manifest["format"] == 1
    assert manifest["combinations"] == manifest["designs"] == manifest["rows"] == 20
    assert manifest["axes"] == ["schedule.rho", "schedule.steps"]
    assert (manifest["seed"], manifest["draws"], manifest["piece"]) == (5, 128, 4)
    assert manifest["pieces"] == [
        {"group": group, "start": start, "designs": designs, "rows": designs}
        for group in (0, 1)
        for start, designs in ((0, 4), (4, 4), (8, 2))
    ]
    assert len(manifest["source"]) == 64
    assert manifest["columns"][-1] == "reason"


def test_every_budget_of_a_training_is_a_row():
    manifest = planned(TRAINED + "budgets = [0, 10]\n", RHO, piece=8)
    assert manifest["designs"] == 10
    assert manifest["rows"] == 30  # the end of the run is a budget as well
    assert [entry["rows"] for entry in manifest["pieces"]] == [24, 6]


PLAN = """
import json, sys
from design_space.numerics.startup import prepare_jax
prepare_jax()
from design_space.sweeps.plan import plan
print(json.dumps(plan(json.loads(sys.argv[1]), ".", piece=4), sort_keys=True))
"""


def test_the_manifest_is_the_same_in_every_process_and_folder(tmp_path):
    axes = RHO + 'schedule.kind = ["edm", "song"]\nwhere = ["schedule.rho < 5"]\n'
    sections = given(GAUSSIAN, axes)
    here = json.dumps(plan(sections, ".", piece=4), sort_keys=True)
    assert json.dumps(plan(sections, tmp_path, piece=4), sort_keys=True) == here
    command = [sys.executable, "-c", PLAN, json.dumps(sections)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == here


class TestFiles:
    points = np.array([[0.0, 1.0], [2.0, 3.0], [5.0, 4.0]])

    @pytest.fixture
    def folder(self, tmp_path):
        np.save(tmp_path / "points.npy", self.points)
        np.savetxt(tmp_path / "others.csv", self.points + 1, delimiter=",")
        return tmp_path

    def test_of_the_base_are_taken_into_the_manifest(self, folder):
        manifest = plan(given(EMPIRICAL, "schedule.steps = [1]"), folder)
        assert manifest["specification"]["target"]["points"] == self.points.tolist()

    @pytest.mark.parametrize(
        "axes",
        [
            '"target.points" = ["points.npy", "others.csv"]',
            'target.points = ["points.npy", "others.csv"]',
            'target = [{points = "points.npy"}, {points = "others.csv"}]',
            'zip = [{"target.points" = ["points.npy", "others.csv"], schedule.steps = [1, 2]}]',
            'zip = [{target.points = ["points.npy", "others.csv"], schedule.steps = [1, 2]}]',
        ],
    )
    def test_of_axes_are_taken_into_the_manifest(self, folder, axes):
        manifest = plan(given(EMPIRICAL, axes), folder)
        text = json.dumps(manifest)
        assert "points.npy" not in text
        assert "others.csv" not in text
        assert json.dumps(self.points.tolist()) in text
        assert json.dumps((self.points + 1).tolist()) in text
        assert manifest["designs"] == 2

    def test_that_are_not_there_are_named(self, tmp_path):
        with pytest.raises(ValueError, match=r"target\.points = .*an existing file"):
            plan(given(EMPIRICAL, "schedule.steps = [1]"), tmp_path)
        np.save(tmp_path / "points.npy", np.array([1.0, np.nan]))
        with pytest.raises(ValueError, match=r"target\.points"):
            plan(given(EMPIRICAL, "schedule.steps = [1]"), tmp_path)


def test_a_sweep_needs_its_table():
    sections = given(GAUSSIAN, RHO)
    del sections["sweep"]
    with pytest.raises(ValueError, match=r"sweep is missing: must be a table of axes"):
        plan(sections, ".")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"piece": 0}, "piece = 0: must be a whole number of at least 1"),
        ({"seed": -1}, "seed = -1: must be a whole number of at least 0"),
        ({"draws": 63}, "samples = 63: must be a whole number of at least 64"),
    ],
)
def test_settings_out_of_their_domain(settings, message):
    with pytest.raises(ValueError, match=message):
        planned(GAUSSIAN, RHO, **settings)


CHURN = '[sampler]\nkind = "churn"\n'


@pytest.mark.parametrize(
    ("text", "axes", "field"),
    [
        (GAUSSIAN + CHURN + "s_max = inf\n", "sampler.s_churn = [1, 2]", r"sampler\.s_max"),
        (GAUSSIAN + CHURN, "sampler.s_max = [1.0, inf]", r"sweep\.sampler\.s_max\[1\]"),
    ],
)
def test_infinite_numbers_have_no_place_in_a_manifest(text, axes, field):
    message = rf"{field} = inf: must be finite in a sweep; take a number above all noise levels"
    with pytest.raises(ValueError, match=message):
        planned(text, axes)


HUGE = "".join(
    f"{name} = {{from = 0.1, to = 0.9, count = 3000}}\n"
    for name in ("schedule.rho", "schedule.sigma_min", "schedule.sigma_max")
)


def test_too_many_combinations_are_refused():
    with pytest.raises(ValueError, match=r"27,000,000,000 combinations.*at most 10,000,000,000"):
        planned(GAUSSIAN, HUGE + 'where = ["schedule.rho < 0.2"]')
    assert MOST_COMBINATIONS == 10_000_000_000


def free(monkeypatch, size):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**15, 0, size))


def test_a_table_that_does_not_fit_on_the_disk_is_refused_before_it_is_planned(
    tmp_path, monkeypatch
):
    free(monkeypatch, 10**9)
    axes = HUGE.replace("3000", "1000")
    with pytest.raises(ValueError, match=r"1,000,000,000 combinations = .* MB.*free, 1,000.0 MB"):
        run.planned(given(GAUSSIAN, axes), ".", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_missing_must_fit_on_the_disk(tmp_path, monkeypatch):
    """Conditions leave less than all combinations: the disk is asked when they are known."""
    axes = RHO + 'where = ["schedule.rho < 5"]\n'
    made = run.planned(given(GAUSSIAN, axes), ".", tmp_path / "out")
    needed = made.manifest["rows"] * row_bytes(made.manifest)
    free(monkeypatch, needed - 1)
    with pytest.raises(ValueError, match=r"what is missing of the table = .*at most what is free"):
        run.run(made, print)
    assert not list((tmp_path / "out" / "pieces").glob("*"))
    free(monkeypatch, needed)
    assert run.run(made, print) == len(made.manifest["pieces"])


def test_nothing_is_written_when_a_sweep_is_refused(tmp_path):
    with pytest.raises(ValueError, match="above 0"):
        run.planned(given(GAUSSIAN, "schedule.rho = [1, -1]"), ".", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_illegal_combinations_of_words_are_rows_with_reasons():
    """A network has no closed form: its design says so, and the other is evaluated."""
    axes = (
        'model.kind = ["affine", "relu"]\ntraining.method = ["closed form", "auto"]\n'
        "where = [\"training.method == 'closed form'\"]\n"
    )
    found = frame(planned(TRAINED, axes))
    assert found["path_kl"].notna().tolist() == [True, False]
    assert found["reason"].isna().tolist() == [True, False]
    assert "training.method = 'closed form'" in found["reason"][1]


def test_a_value_that_the_conditions_leave_no_design_is_not_refused():
    """Half of a square: the largest sigma_min goes with no sigma_max, and no design asks for it."""
    levels = "[0.01, 0.1, 1.0, 10.0]"
    axes = f"schedule.sigma_min = {levels}\nschedule.sigma_max = {levels}\n"
    half = axes + 'where = ["schedule.sigma_min < schedule.sigma_max"]\n'
    found = frame(planned(GAUSSIAN, half))
    assert len(found) == 6
    assert found["reason"].isna().all()
    with pytest.raises(ValueError, match=r"sigma_min = 10.0: must be below"):
        planned(GAUSSIAN, axes)


def test_data_that_do_not_fit_into_memory_are_a_row_with_its_reason():
    found = frame(planned(TRAINED, f"training.samples = [10, {10**12}]\n"))
    assert found["reason"].isna().tolist() == [True, False]
    assert "samples = 1000000000000: out of memory" in found["reason"].iloc[1]

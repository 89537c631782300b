"""The benchmark: its table, its record, how two of them compare, and the floors' own numbers."""

import json
import math

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import design_space as ds
from design_space.cli import app
from design_space.commands.bench import (
    command,
    gaussian,
    line,
    rates,
    record,
    tables,
    trained_designs,
    training,
)
from design_space.commands.bench import numpy_forms as forms
from design_space.commands.bench.registry import FAMILIES, NAMES, chosen
from design_space.commands.bench.timing import (
    Family,
    Line,
    Row,
    Target,
    Times,
    Work,
    in_turn,
    measure,
)
from design_space.scores.relu_network import relu_network
from design_space.sweeps.content import compute
from design_space.sweeps.plan import plan
from design_space.sweeps.reading import read_sweep
from design_space.sweeps.store import Store

PROCESSES = ("reproduce", "help")
TASKS = (
    "gaussian-sweep",
    "mixture-density",
    "particles",
    "descent-step",
    "ensemble-step",
    "trained-designs",
    "reproduce",
    "help",
    "table-store",
    "table-read",
)
FIELDS = {"name", "task", "seconds", "floor", "floor_seconds", "ratio", "target", "repeats"}


def invoke(*words):
    return CliRunner().invoke(app, ["bench", *[str(word) for word in words]])


def tiny(names, monkeypatch):
    """Leaves some families in the command, at their tiny size, and tiny rates."""
    for name, family in list(FAMILIES.items()):
        if name in names:
            small = family._replace(sizes=lambda platform, size=family.tiny: size, rounds=1)
            monkeypatch.setitem(FAMILIES, name, small)
    monkeypatch.setattr(rates, "sizes", lambda platform: rates.Sizes(8, 1 << 10))


class TestTiming:
    def test_works_take_turns(self):
        calls = []
        works = {k: Work(k, lambda k=k: calls.append(k)) for k in ("a", "b")}
        in_turn(works, 2)
        assert calls == ["a", "b"] * 3

    def test_a_share_is_extrapolated_and_the_first_call_is_not(self, monkeypatch):
        clock = map(float, range(100))  # each run takes one second
        monkeypatch.setattr("time.perf_counter", lambda: next(clock))
        found = in_turn({"part": Work("", lambda: None, share=0.25)}, 3)["part"]
        assert found == ((4.0, 4.0, 4.0), 1.0)

    def test_a_ratio_is_of_times_in_one_round(self):
        """Load in one round falls on both works, and leaves the ratio as it is."""
        ours, floor = Times((2.0, 20.0, 2.0, 9.0), None), Times((1.0, 10.0, 1.0, 1.0), None)
        assert (ours.ratio(floor), ours.seconds, floor.seconds) == (2.0, 5.5, 1.0)

    def test_what_comes_before_is_not_timed(self, monkeypatch):
        clock = [0.0]
        monkeypatch.setattr("time.perf_counter", lambda: clock[0])

        def wait():
            clock[0] += 7.0

        found = in_turn({"a": Work("", lambda: None, before=wait)}, 1)["a"]
        assert found.seconds == 0.0

    def test_only_what_wanted_rows_need_is_run(self, tmp_path):
        ran = set()
        works = {k: Work(k, lambda k=k: ran.add(k)) for k in "abc"}
        lines = (Line("ab", "a", "b"), Line("ac", "a", "c"), Line("ad", "a", "d"))
        family = Family(lambda size, folder: works, lambda platform: 0, 0, lines)
        assert [row.name for row in measure(family, tmp_path, 0, {"ac"})] == ["ac"]
        assert ran == {"a", "c"}
        # "d" cannot be done here, and its row is left out
        assert [row.name for row in measure(family, tmp_path, 0)] == ["ab", "ac"]


class TestRegistry:
    def test_every_task_is_there_once(self):
        assert set(TASKS) <= set(NAMES)
        assert len(set(NAMES)) == len(NAMES)

    def test_targets_are_of_fields_of_a_row(self):
        for family in FAMILIES.values():
            for each in family.lines:
                assert each.target is None or each.target.of in Row._fields

    def test_names_and_patterns(self):
        assert chosen([]) == set(NAMES)
        assert chosen(["help"]) == {"help"}
        assert {"gaussian-sweep", "gaussian-loop", "help"} <= chosen(["gaussian-*", "help"])
        with pytest.raises(ValueError, match=r"only = 'nothing': must be .*gaussian-sweep"):
            chosen(["help", "nothing"])

    def test_a_gpu_is_given_more(self):
        for name, family in FAMILIES.items():
            on_cpu, on_gpu = family.sizes("cpu"), family.sizes("gpu")
            assert on_gpu is not None, name
        assert FAMILIES["step-large"].sizes("cpu") is None
        assert gaussian.sizes("gpu").designs > gaussian.sizes("cpu").designs
        assert on_cpu == on_gpu  # of a process, the last family

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=pytest.mark.slow if name == "trained-designs" else ())
            for name in FAMILIES
            if name not in PROCESSES
        ],
    )
    def test_each_family_runs_at_its_tiny_size(self, name, tmp_path):
        family = FAMILIES[name]._replace(rounds=1)
        rows = measure(family, tmp_path, family.tiny)
        assert rows
        assert {row.name for row in rows} <= {each.name for each in family.lines}
        for row in rows:
            assert row.seconds > 0
            np.testing.assert_allclose(row.ratio, row.seconds / row.floor_seconds)  # one round
            assert row.first_seconds is not None

    def test_the_help_runs(self, tmp_path):
        family = FAMILIES["help"]._replace(rounds=1, warm=False)
        (row,) = measure(family, tmp_path, family.tiny)
        assert row.first_seconds is None
        assert row.ratio > 0

    @pytest.mark.slow
    def test_an_analysis_is_reproduced(self, tmp_path):
        family = FAMILIES["reproduce"]
        new, again = measure(family, tmp_path, family.tiny)
        assert new.ratio > 1  # computing takes longer than finding everything there
        assert again.task.endswith("everything up to date")
        assert (tmp_path / "results-0" / "bell_weighting").is_dir()
        assert len(list(tmp_path.iterdir())) == family.rounds


class TestNumpyForms:
    """The floors are right: an independent form of the same numbers."""

    def test_gaussian_designs_agree_with_the_sweep(self, tmp_path):
        size = gaussian.Size(4, 3, dim=5, steps=20)
        manifest = plan(gaussian.specification(size), piece=size.designs)
        with Store(tmp_path / "out", manifest, pytest.fail) as store:
            store.put(0, compute(manifest, 0))
        table = read_sweep(tmp_path / "out")
        ours = gaussian.levels(size)
        for block in (1, 5):
            found = forms.gaussian_in_blocks(gaussian.eigenvalues(size), ours, block)
            assert set(found) == {
                "initialization",
                "discretization",
                "path_kl",
                "marginal_kl",
                "w2",
            }
            for name, values in found.items():
                # plain logarithms lose digits where x is small; the sums are dominated by the rest
                np.testing.assert_allclose(values, table[name], rtol=1e-9, err_msg=name)

    def test_gaussian_designs_agree_with_the_vmapped_call(self):
        size = gaussian.Size(4, 3, dim=5, steps=20)
        own, sigmas = gaussian.eigenvalues(size), gaussian.levels(size)
        found = forms.gaussian_errors(own, sigmas)
        names = ("initialization", "discretization", "marginal_kl")
        for name, values in zip(names, gaussian.vectorized(own, sigmas)(), strict=True):
            np.testing.assert_allclose(values, found[name], rtol=1e-9, err_msg=name)  # as above

    def test_levels_are_those_of_edm(self):
        schedule = ds.edm(7, sigma_min=0.1, sigma_max=20.0, rho=5.0)
        given = (np.array([x]) for x in (5.0, 0.1, 20.0))
        ours = forms.edm_sigmas(*given, 7)[0]
        np.testing.assert_allclose(ours, schedule.backward_sigmas, rtol=1e-13)

    def test_the_dense_rule_gives_the_marginal_kl(self, tmp_path):
        size = line.DENSITY.tiny
        works = line.prepare_density(size, tmp_path)
        # both are spectrally accurate: 512 points are 15 a standard deviation of the last step
        dense, ours = works["dense"].run(), float(works["density"].run())
        assert ours > 1e-3
        np.testing.assert_allclose(dense, ours, rtol=1e-8)

    def test_scores_and_densities_are_those_of_the_target(self):
        target = ds.GaussianMixture.isotropic([0.3, 0.7], [[-1.0], [0.5]], [0.2, 0.4])
        law = forms.Mixture(np.array([0.3, 0.7]), np.array([-1.0, 0.5]), np.array([0.2, 0.4]))
        x, sigma = np.linspace(-3, 3, 11), 0.3
        score = jax.vmap(lambda y: ds.exact_score(target)(y[None], sigma)[0])(x)
        np.testing.assert_allclose(law.score(x, sigma**2), score, rtol=1e-12)

    def test_particles_have_the_law_of_ours(self):
        count, steps = 20_000, 20
        rng = np.random.default_rng(0)
        schedule, score = ds.edm(steps), ds.exact_score(line.target())
        theirs = forms.particles(line.LAW, np.asarray(schedule.backward_sigmas), count, rng)
        size = line.ParticleSize(count, steps)
        ours = ds.simulate(score, schedule, jax.random.key(0), count=count, dim=1).particles[:, 0]
        assert size.count == len(ours)
        for power in (1, 2):
            a, b = theirs**power, np.asarray(ours) ** power
            error = math.hypot(np.std(a), np.std(b)) / math.sqrt(count)
            assert abs(np.mean(a) - np.mean(b)) < 4 * error  # four standard errors, fixed seeds


class TestTraining:
    def test_networks_together_are_networks_apart(self, tmp_path):
        size = training.ENSEMBLE.tiny
        works = training.prepare_ensemble(size, tmp_path)
        together, apart = works["together"].run(), works["apart"].run()
        together = together[0] if isinstance(together, tuple) else together
        assert len(apart) == size.members
        for i, alone in enumerate(apart):
            own = jax.tree.map(lambda leaf, i=i: leaf[i], together)
            for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(alone), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5)  # float32, a few steps

    def test_the_products_are_those_of_the_network(self, tmp_path):
        size = training.StepSize(6, points=3, levels=2, steps=1)
        made = np.asarray(training.prepare_step(size, tmp_path)["products"].run())
        network = relu_network(jax.random.key(1), training.DIM, 6, 1, "float32")
        inputs = np.asarray(training._inputs(training.training_set(3, 2)), np.float64)
        first, hidden, last = (
            np.asarray(w) for w in (network.first, *network.hidden, network.last)
        )
        outputs = np.einsum("bi,wi->bw", inputs, first)
        slopes = np.einsum("bw,vw,dv,du->bu", outputs, hidden, last, last)
        wanted = np.einsum("bu,bw->uw", slopes, outputs)
        np.testing.assert_allclose(made, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())

    @pytest.mark.slow
    def test_designs_together_are_designs_apart(self, tmp_path):
        size = trained_designs.FAMILY.tiny
        works = trained_designs.prepare(size, tmp_path)
        together, apart = works["together"].run(), works["apart"].run()
        assert together.shape == (2, 2, 2, 8)
        for i, alone in enumerate(apart):
            # the same program batched: a few roundings, magnified by cancellation in E_S
            np.testing.assert_allclose(together[0, i, i], alone, rtol=1e-8, atol=1e-12)


class TestTables:
    def test_the_pieces_hold_all_rows_and_numbers(self, tmp_path):
        size = tables.FAMILY.tiny
        works = tables.prepare(size, tmp_path)
        found = works["read"].run()
        assert found.shape == (size.rows, size.columns)
        packed = works["unpack"].run()
        assert sum(map(len, packed)) == 8 * size.measured * size.rows


def a_row(name, ratio, task="task", floor="floor"):
    target = Target("ratio", 2.0)
    rate = (None, None, None)
    return Row(name, task, ratio, None, floor, 1.0, ratio, target, 5, *rate, "cpu: cpu")


def a_record(*rows):
    return json.loads(json.dumps(record.encoded(rows, [], {})))


class TestComparison:
    def test_drift_is_found_and_small_change_is_not(self):
        then = a_record(a_row("a", 1.0), a_row("b", 1.0), a_row("c", 1.0))
        now = a_record(a_row("a", 1.29), a_row("b", 1.31), a_row("c", 0.7))
        found = record.compared(then, now)
        assert [change.verdict for change in found.changes] == ["same", "worse", "better"]
        assert found.worse
        assert not record.compared(then, now, factor=1.5).worse
        assert not record.compared(then, then).worse

    def test_seconds_do_not_count(self):
        slow = a_row("a", 1.0)._replace(seconds=10.0, floor_seconds=10.0)
        found = record.compared(a_record(a_row("a", 1.0)), a_record(slow))
        assert found.changes[0].verdict == "same"

    def test_missing_rows_are_named(self):
        then, now = a_record(a_row("a", 1.0), a_row("b", 1.0)), a_record(a_row("c", 1.0))
        found = record.compared(then, now)
        assert (found.only_then, found.only_now) == (("a", "b"), ("c",))
        assert not found.worse
        assert record.compared(then, now, wanted={"b", "c"}).only_then == ("b",)

    def test_another_size_is_another_task(self):
        then, now = a_record(a_row("a", 1.0)), a_record(a_row("a", 9.0, task="larger"))
        found = record.compared(then, now)
        assert found.changes[0].verdict == "another task"
        assert not found.worse

    @pytest.mark.parametrize("factor", [1.0, 0.5, -1.0, math.inf, math.nan])
    def test_a_factor_must_be_above_one(self, factor):
        with pytest.raises(ValueError, match=r"factor = .*above 1; give"):
            record.compared(a_record(), a_record(), factor)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "a JSON file"),
            ("[]", '"format" and "rows"'),
            ('{"rows": []}', '"format" and "rows"'),
            ('{"format": 2, "rows": []}', "format 1, not 2"),
            ('{"format": 1, "rows": {}}', "is a list"),
            ('{"format": 1, "rows": [3]}', r"rows\[0\] has the form of a row"),
            ('{"format": 1, "rows": [{"name": "a"}]}', 'a text "task"'),
        ],
    )
    def test_what_is_no_record_is_refused(self, text, says, tmp_path):
        path = tmp_path / "a.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"compare = .*a\.json.*{says}"):
            record.read(path)

    @pytest.mark.parametrize("ratio", [0, -1.0, True, "1", None])
    def test_a_ratio_must_be_a_number_above_0(self, ratio, tmp_path):
        content = a_record(a_row("a", 1.0))
        content["rows"][0]["ratio"] = ratio
        path = tmp_path / "a.json"
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match='number "ratio"'):
            record.read(path)

    def test_a_bytes_file_and_an_absent_one(self, tmp_path):
        (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match="a JSON file"):
            record.read(tmp_path / "a.json")
        assert invoke("--compare", tmp_path / "none.json").exit_code == 2


class TestCommand:
    def test_json_is_one_object_that_can_be_compared(self, tmp_path, monkeypatch):
        tiny(["ensemble", "table"], monkeypatch)
        result = invoke("--json", "--only", "ensemble-*", "--only", "table-read")
        assert result.exit_code == 0, result.output + repr(result.exception)
        found = json.loads(result.stdout)
        assert found["format"] == 1
        assert set(found) == {"format", "machine", "rates", "rows"}
        names = [row["name"] for row in found["rows"]]
        assert names == ["ensemble-step", "ensemble-apart", "table-read"]
        for row in found["rows"]:
            assert set(row) >= FIELDS
            assert set(row) == set(Row._fields)
        assert [rate["unit"] for rate in found["rates"]] == ["GFLOP/s", "GFLOP/s", "GB/s"]
        assert all(rate["value"] > 0 for rate in found["rates"])
        path = tmp_path / "a.json"
        path.write_text(result.stdout)
        assert record.read(path) == found

    def test_drift_for_the_worse_is_exit_status_1(self, tmp_path, monkeypatch):
        tiny(["ensemble"], monkeypatch)
        now = a_row("ensemble-step", 2.0)
        monkeypatch.setattr(command, "measured", lambda wanted: [now])
        path = tmp_path / "a.json"
        for then, status in ((1.0, 1), (2.0, 0), (3.0, 0)):
            path.write_text(json.dumps(a_record(a_row("ensemble-step", then), a_row("help", 1.0))))
            result = invoke("--compare", path)
            assert result.exit_code == status, result.output
            assert "only then: help" in result.stdout
            printed = json.loads(invoke("--compare", path, "--json").stdout)
            assert printed["comparison"]["rows"][0]["then"] == then

    def test_bad_input_is_refused_before_anything_is_timed(self, tmp_path, monkeypatch):
        monkeypatch.setattr(rates, "rates", pytest.fail)
        path = tmp_path / "a.json"
        path.write_text("{}")
        for words in (("--only", "none"), ("--compare", path), ("--factor", "0.9")):
            result = invoke(*words)
            assert result.exit_code == 2, words
            assert result.stdout == ""
            assert len(result.stderr.splitlines()) == 1

    def test_a_row_for_which_something_is_missing(self, monkeypatch):
        tiny([], monkeypatch)
        result = invoke("--only", "descent-step-large")
        assert result.exit_code == 2
        assert "a row that this machine can measure" in result.stderr

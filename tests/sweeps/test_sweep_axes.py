"""The [sweep] table: products, zips, ranges, seeds, and what is refused."""

import itertools
import tomllib

import numpy as np
import pytest
from sweep_designs import GAUSSIAN, SCHEDULE, given, planned

from design_space.sweeps.axes import MOST_VALUES, read_product
from design_space.sweeps.groups import document_of


def product(text):
    return read_product(tomllib.loads(text))


def one(text):
    """The values of the only field."""
    ((_, _, values),) = product(text).fields()
    return np.asarray(values)


def test_the_first_axis_of_a_product_is_slowest():
    found = product(
        '"schedule.steps" = [10, 20]\n'
        '"schedule.kind" = ["edm", "song"]\n"schedule.rho" = {from = 1.0, to = 3.0, count = 3}\n'
    )
    expected = itertools.product([10, 20], ["edm", "song"], [1.0, 2.0, 3.0])
    base = {"target": {"kind": "gaussian"}, "schedule": {"steps": 5}}
    assert found.shape == (2, 2, 3)
    assert found.size == 12
    for number, (steps, kind, rho) in enumerate(expected):
        places = [int(place) for place in np.unravel_index(number, found.shape)]
        document = document_of(base, found, places)
        assert document["schedule"] == {"steps": steps, "kind": kind, "rho": rho}
    assert base["schedule"] == {"steps": 5}


def test_zipped_fields_move_together_and_come_after_the_others():
    found = product(
        'zip = [{"schedule.variance" = ["linear", "sqrt"], schedule.time = ["a", "b"]}]\n'
        '"schedule.steps" = [1, 2, 3]\n'
    )
    assert [axis.names for axis in found.axes] == [
        ("schedule.steps",),
        ("schedule.variance", "schedule.time"),
    ]
    assert found.shape == (3, 2)
    document = document_of({}, found, [2, 1])
    assert document == {"schedule": {"steps": 3, "variance": "sqrt", "time": "b"}}


def test_names_without_quotes_are_the_same_axes():
    quoted = product('"schedule.rho" = [1, 2]\n"target.std" = {from = 1, to = 2, count = 2}\n')
    nested = product("schedule.rho = [1, 2]\ntarget.std = {from = 1, to = 2, count = 2}\n")
    assert [axis.names for axis in quoted.axes] == [axis.names for axis in nested.axes]
    np.testing.assert_equal([a.values for a in quoted.axes], [a.values for a in nested.axes])


def test_a_table_of_the_whole_section_is_merged_into_it():
    found = product('schedule = [{kind = "edm"}, {kind = "tangent", data_std = 0.5}]\n')
    base = {"schedule": {"kind": "song", "steps": 7}}
    assert document_of(base, found, [0])["schedule"] == {"kind": "edm", "steps": 7}
    tangent = {"kind": "tangent", "steps": 7, "data_std": 0.5}
    assert document_of(base, found, [1])["schedule"] == tangent


class TestRanges:
    def test_linear(self):
        values = one("schedule.rho = {from = 0.5, to = 2.0, count = 4}")
        np.testing.assert_array_equal(values, [0.5, 1.0, 1.5, 2.0])

    def test_logarithmic(self):
        values = one('schedule.rho = {from = 100.0, to = 0.01, count = 5, spacing = "log"}')
        # two roundings of a power
        np.testing.assert_allclose(values, [100.0, 10.0, 1.0, 0.1, 0.01], rtol=1e-15)
        assert values[0] == 100.0
        assert values[-1] == 0.01

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("from = 10, to = 20, count = 11", list(range(10, 21))),
            ('from = 10, to = 80, count = 4, spacing = "log"', [10, 20, 40, 80]),
        ],
    )
    def test_of_whole_numbers_for_fields_that_take_no_others(self, text, expected):
        values = one(f"schedule.steps = {{{text}}}")
        assert values.dtype == np.int64
        assert values.tolist() == expected
        manifest = planned(GAUSSIAN, "schedule.steps = {from = 2, to = 3, count = 2}")
        assert manifest["designs"] == 2

    def test_that_misses_whole_numbers_stays_a_range_of_floats(self):
        values = one("schedule.steps = {from = 1, to = 2, count = 3}")
        assert values.tolist() == [1.0, 1.5, 2.0]
        with pytest.raises(ValueError, match=r"schedule\.steps = 1\.0: must be a whole number"):
            planned(GAUSSIAN, "schedule.steps = {from = 1, to = 2, count = 3}")

    def test_of_seeds(self):
        assert one("training.seed = {seeds = 3}").tolist() == [0, 1, 2]
        assert one('"training.seed" = {seeds = 3, first = 7}').tolist() == [7, 8, 9]


EDM = '"schedule.kind" = ["edm"]\n'


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("", ["sweep = {}", "a table with an axis"]),
        ('where = ["1 < 2"]', ["a table with an axis"]),
        ('"schedule.rhoo" = [1]', ["'schedule.rhoo'", "(", "rho", "sigma_max", "correct the name"]),
        ('"schedules.rho" = [1]', ["'schedules.rho'", "sampler, schedule, score", "correct"]),
        ('"rho" = [1]', ["'rho'", "section.key"]),
        ("schedule.kind.foo = [1]", ["sweep.schedule.kind = {'foo': [1]}", "a list of values"]),
        ("schedule = {}", ["sweep.schedule = {}", "a list of values"]),
        ("schedule = [3]", ["sweep.schedule[0] = 3", "a table of the section"]),
        ("schedule.rho = []", ["sweep.schedule.rho = []", "at least one"]),
        ("schedule.rho = 3", ["sweep.schedule.rho = 3", "put the values in brackets"]),
        ("schedule.rho = [3, 7, 3]", ["sweep.schedule.rho = '3'", "listed once"]),
        ("schedule.rho = [3, 7, 3.0]", ["sweep.schedule.rho = '3.0'", "listed once"]),
        ("target.mean = [[1, 2], [1.0, 2.0]]", ["sweep.target.mean", "listed once"]),
        (
            "zip = [{schedule.rho = [1, 2, 1], target.std = [1, 2, 1]}]",
            ["sweep.schedule.rho, target.std = '1, 1'", "listed once"],
        ),
        (
            "zip = [{schedule.rho = [1, 2], target.std = [1, 2, 3]}]",
            ["sweep.zip[0]", "'schedule.rho': 2, 'target.std': 3", "equally long"],
        ),
        ("zip = [{}]", ["sweep.zip[0] = {}", "a table of axes of one length"]),
        ("zip = 3", ["sweep.zip = 3", "a list of tables"]),
        (
            "schedule.rho = [1]\nzip = [{schedule.rho = [2]}]",
            ["sweep axis = 'schedule.rho'", "one axis only"],
        ),
        (
            'schedule = [{kind = "edm"}]\nzip = [{"schedule.rho" = [2]}]',
            ["sweep axis = 'schedule.rho'", "one axis only"],
        ),
        ("schedule.rho = {from = 1, to = 2}", ["sweep.schedule.rho = ", "count", "its keys"]),
        ("schedule.rho = {from = 1, to = 2, steps = 3}", ["sweep.schedule.rho = ", "its keys"]),
        (
            "schedule.rho = {from = 1, to = 2, count = 1}",
            ["sweep.schedule.rho.count = 1", "at least 2"],
        ),
        ("schedule.rho = {from = 1, to = 2, count = 2.5}", ["rho.count = 2.5", "whole number"]),
        (
            f"schedule.rho = {{from = 1, to = 2, count = {MOST_VALUES + 1}}}",
            ["rho.count = 10000001", "at most 10,000,000"],
        ),
        ("schedule.rho = {from = 2, to = 2, count = 2}", ["rho.to = 2.0", "different"]),
        ('schedule.rho = {from = "a", to = 2, count = 2}', ["rho.from = 'a'", "a number"]),
        ("schedule.rho = {from = 1, to = inf, count = 2}", ["rho.to = inf", "finite"]),
        (
            'schedule.rho = {from = 0, to = 2, count = 2, spacing = "log"}',
            ["sweep.schedule.rho.from = 0.0", "above 0"],
        ),
        (
            'schedule.rho = {from = 1, to = -2, count = 2, spacing = "log"}',
            ["sweep.schedule.rho.to = -2.0", "above 0"],
        ),
        (
            'schedule.rho = {from = 1, to = 2, count = 2, spacing = "cubic"}',
            ["rho.spacing = 'cubic'", "linear, log"],
        ),
        ("training.seed = {seeds = 0}", ["sweep.training.seed.seeds = 0", "at least 1"]),
        ("training.seed = {seeds = 2, first = -1}", ["seed.first = -1", "at least 0"]),
        ("training.seed = {seeds = 10_000_001}", ["seeds = 10000001", "at most 10,000,000"]),
        ("training.seed = {seeds = 2, last = 3}", ["sweep.training.seed", "its keys"]),
        ("schedule.kind = [1979-05-27]", ["sweep.schedule.kind[0]", "dates"]),
        (EDM + 'where = "1 < 2"', ["sweep.where = '1 < 2'", "in brackets"]),
        (EDM + "where = [3]", ["sweep.where[0] = 3", "in quotes"]),
    ],
)
def test_refusals(text, fragments):
    with pytest.raises(ValueError) as raised:
        product(text)
    for fragment in fragments:
        assert fragment in str(raised.value)


def test_a_table_is_needed():
    with pytest.raises(ValueError, match="sweep = 3: must be a table"):
        read_product(3)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ("schedule.rho = [-1, 2]", r"schedule\.rho = -1\.0: must be above 0"),
        ("schedule.rho = {from = -1, to = 2, count = 4}", r"schedule\.rho = -1\.0: must be abov"),
        ("schedule.rho = {from = 3, to = 0, count = 4}", r"schedule\.rho = 0\.0: must be above 0"),
        ('schedule.rho = [1, "a"]', r"schedule\.rho = 'a': must be a number"),
        ("schedule.rho = [1, true]", r"schedule\.rho = True: must be a number"),
        ("schedule.rho = [1, nan]", r"schedule\.rho = nan: must be finite"),
        ("schedule.steps = [5, 6.5]", r"schedule\.steps = 6\.5: must be a whole number"),
        ("schedule.steps = [5, 0]", r"schedule\.steps = 0: must be a whole number of at least 1"),
        ('schedule.kind = ["edm", "emd"]', r"schedule\.kind = 'emd': must be one of"),
        ("target.variances = [[1, 2], [1, -2]]", r"target\.variances = \[1\.0, -2\.0\]: must be"),
        ("target.variances = [[1, 2], [1, 2, 3]]", r"target\.variances\) = 3: must be"),
        ("score.factor = [0.5]", r'score\.kind is missing: must be one of "affine"'),
        ("training.seed = [1]", r'training = .*: must be absent unless score\.kind = "trained"'),
    ],
)
def test_values_out_of_their_domain_are_refused_before_anything_runs(axes, message):
    with pytest.raises(ValueError, match=message):
        planned(GAUSSIAN, axes)


def test_a_base_that_is_no_specification_is_refused():
    with pytest.raises(ValueError, match="target = 3: must be a table"):
        planned("target = 3\n", "schedule.rho = [1]")
    with pytest.raises(ValueError, match="scores"):
        planned(GAUSSIAN + "[scores]\n", "schedule.rho = [1]")


def test_a_value_that_goes_with_some_values_of_another_axis_only_is_kept():
    means = [[float(n)] * n for n in (1, 2, 3, 4, 5, 6)]
    variances = means[::-1]
    text = '[target]\nkind = "gaussian"\n' + SCHEDULE
    axes = f"target.mean = {means}\ntarget.variances = {variances}\n"
    assert planned(text, axes)["designs"] == 36


def test_the_table_is_not_changed():
    document = given(GAUSSIAN, "schedule.rho = {from = 1, to = 2, count = 2}")
    before = repr(document)
    read_product(document["sweep"])
    assert repr(document) == before

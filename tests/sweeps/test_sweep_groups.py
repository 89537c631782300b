"""Groups: every combination once, in its place; pieces cover the rows that count."""

import itertools

import numpy as np
import pytest
from sweep_designs import GAUSSIAN, MIXTURE, TRAINED, given

from design_space.sweeps import groups
from design_space.sweeps.axes import read_product
from design_space.sweeps.content import designs_of

PRODUCT = """
schedule.steps = [3, 5]
schedule.kind = ["edm", "song"]
schedule.rho = {from = 1.0, to = 9.0, count = 5}
target.variances = [[1, 2], [3, 4], [5, 6]]
zip = [{schedule.sigma_min = [0.1, 0.2], schedule.sigma_max = [10.0, 20.0]}]
"""
CONDITIONS = [
    "",
    'where = ["schedule.rho < 8 or schedule.steps == 3", "schedule.sigma_min * 50 < schedule.rho"]',
    "where = [\"schedule.kind == 'song' and schedule.rho == 5\"]",
]


def designs(text, axes):
    return designs_of(given(text, axes))


def expected():
    """The values of every field, by number of the design."""
    return list(
        itertools.product(
            [3, 5],
            ["edm", "song"],
            [1.0, 3.0, 5.0, 7.0, 9.0],
            [(1.0, 2.0), (3.0, 4.0), (5.0, 6.0)],
            [(0.1, 10.0), (0.2, 20.0)],
        )
    )


def holds(condition, steps, kind, rho, ends):
    if not condition:
        return True
    if "50" in condition:
        return (rho < 8 or steps == 3) and ends[0] * 50 < rho
    return kind == "song" and rho == 5


def test_words_and_sizes_are_fixed_and_numbers_move():
    found = designs(GAUSSIAN, PRODUCT)
    assert set(found.moving) == {
        "schedule.rho",
        "target.variances",
        "schedule.sigma_min",
        "schedule.sigma_max",
    }
    fixed = [group.fixed for group in found.groups]
    assert fixed == [
        {"schedule.steps": steps, "schedule.kind": kind}
        for steps in (3, 5)
        for kind in ("edm", "song")
    ]


@pytest.mark.parametrize(
    ("text", "axis", "moves"),
    [
        (GAUSSIAN, "target.mean = [[1, 2], [3, 4]]", True),
        (GAUSSIAN, "schedule.steps = [3, 4]", False),
        (GAUSSIAN, 'schedule = [{kind = "edm"}, {kind = "song"}]', False),
        (MIXTURE, "target.means = [[[1], [2]], [[3], [4]]]", True),
        (TRAINED, "training.seed = {seeds = 3}", True),
        (TRAINED, "training.steps = [3, 4]", True),
        (TRAINED + "budgets = [0, 2]\n", "training.steps = [3, 4]", False),
        (TRAINED, "training.budgets = [[0, 1], [0, 2]]", False),
        (TRAINED, "training.samples = [10, 20]", False),
        (TRAINED, 'training.samples = [10, "population"]', False),
        (TRAINED, "training.learning_rate = [0.1, 0.2]", True),
        (TRAINED, 'training.learning_rate = ["auto", 0.2]', False),
        (TRAINED, "model.preconditioned = [true, false]", False),
        (TRAINED, "weighting.p_mean = [-1, 0.5]", True),
    ],
)
def test_what_moves(text, axis, moves):
    found = designs(text, axis)
    assert bool(found.moving) == moves
    assert len(found.groups) == (1 if moves else 2)


def test_ragged_lists_are_groups_of_their_own():
    found = designs(GAUSSIAN, "target.variances = [[1, 2], [1, 2, 3], [3, 4]]")
    assert len(found.groups) == 3


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_design_is_in_one_group_once_with_its_number_and_values(condition):
    found = designs(GAUSSIAN, PRODUCT + condition)
    everything = expected()
    assert found.product.size == len(everything)
    seen = []
    for group in found.groups:
        rows = found.counting(group, 0, group.size)
        numbers, values = found.design_numbers(group, rows), found.values(group, rows)
        for i, number in enumerate(numbers):
            steps, kind, rho, variances, ends = everything[number]
            assert values["schedule.steps"][i] == steps == group.fixed["schedule.steps"]
            assert values["schedule.kind"][i] == kind == group.fixed["schedule.kind"]
            assert values["schedule.rho"][i] == rho
            assert tuple(values["target.variances"][i]) == variances
            own = values["schedule.sigma_min"][i], values["schedule.sigma_max"][i]
            assert own == ends
        seen += numbers.tolist()
    kept = [
        number
        for number, (steps, kind, rho, _, ends) in enumerate(everything)
        if holds(condition, steps, kind, rho, ends)
    ]
    assert sorted(seen) == kept
    assert 0 < len(kept) <= len(everything)


@pytest.mark.parametrize("chunk", [4, 1 << 18])
@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_pieces_cover_the_rows_that_count(monkeypatch, condition, size, chunk):
    monkeypatch.setattr(groups, "CHUNK", chunk)
    found = designs(GAUSSIAN, PRODUCT + condition)
    for group in found.groups:
        wanted = found.counting(group, 0, group.size)
        cuts = list(found.cut(group, size))
        assert [count for _, count in cuts[:-1]] == [size] * (len(cuts) - 1)
        rows = [found.rows(group, start, count) for start, count in cuts]
        for own, (start, count) in zip(rows, cuts, strict=True):
            assert own[0] == start
            assert len(own) == count
        np.testing.assert_array_equal(np.concatenate([np.arange(0), *rows]), wanted)


def test_the_specification_of_a_row():
    found = designs(GAUSSIAN, PRODUCT)
    group = found.groups[3]
    row = 17
    (number,) = found.design_numbers(group, np.array([row]))
    steps, kind, rho, variances, ends = expected()[number]
    sections = found.specification(group, row).sections
    assert sections["schedule"]["kind"] == kind
    assert sections["schedule"]["steps"] == steps
    assert sections["schedule"]["rho"] == rho
    assert (sections["schedule"]["sigma_min"], sections["schedule"]["sigma_max"]) == ends
    np.testing.assert_array_equal(sections["target"]["variances"], variances)


def test_truth_values_stay_truth_values():
    found = designs(TRAINED, "model.preconditioned = [true, false]")
    values = [found.values(group, np.array([0])) for group in found.groups]
    assert [each["model.preconditioned"].dtype.kind for each in values] == ["b", "b"]


def test_the_product_is_not_looked_at_value_by_value():
    axes = "\n".join(
        f"{name} = {{from = 0.001, to = 0.9, count = 2000}}"
        for name in ("schedule.sigma_min", "schedule.rho", "target.std")
    )
    text = GAUSSIAN.replace("variances = [0.25, 4.0]", "std = 1.0")
    found = designs(text, axes)
    (group,) = found.groups
    assert group.size == 8_000_000_000
    assert found.design_numbers(group, np.array([group.size - 1])).tolist() == [group.size - 1]
    assert read_product(given(text, axes)["sweep"]).size == group.size

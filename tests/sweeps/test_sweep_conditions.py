"""Conditions: against Python's own evaluation, and what is no condition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_designs import GAUSSIAN, planned, whole

from design_space.sweeps.conditions import Condition

ROWS = 12
_RNG = np.random.default_rng(0)
FIELDS = {
    "schedule.rho": _RNG.uniform(-3, 3, ROWS).round(2),
    "schedule.sigma_min": _RNG.uniform(0.1, 5, ROWS).round(2),
    "schedule.steps": _RNG.integers(1, 9, ROWS),
    "schedule.kind": np.array(["edm", "song", "beta"] * 4),
    "model.preconditioned": np.array([True, False] * 6),
}
NUMBERS = ["schedule.rho", "schedule.sigma_min", "schedule.steps"]


class _Section:
    def __init__(self, fields):
        self.__dict__.update(fields)


def python(text, row):
    """What Python makes of a condition, for one design."""
    sections: dict[str, dict] = {}
    for name, values in FIELDS.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = values[row].item()
    return eval(text, {}, {name: _Section(fields) for name, fields in sections.items()})


leaves = st.one_of(
    st.sampled_from(NUMBERS),
    st.integers(0, 9).map(str),
    st.floats(0.25, 9, width=16).map(repr),
)
numbers = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda t: f"(-{t})"),
        st.tuples(inner, st.sampled_from("/%")).map(lambda t: f"({t[0]} {t[1]} 0.75)"),
        st.tuples(st.sampled_from(NUMBERS[1:]), st.sampled_from(["2", "(-1)", "0.5"])).map(
            lambda t: f"({t[0]} ** {t[1]})"
        ),
    ),
    max_leaves=5,
)
signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
comparisons = st.one_of(
    st.tuples(numbers, signs, numbers).map(" ".join),
    st.tuples(numbers, signs, numbers, signs, numbers).map(" ".join),
    st.tuples(signs, st.sampled_from(["edm", "song", "other"])).map(
        lambda t: f"schedule.kind {t[0]} '{t[1]}'"
    ),
    st.just("model.preconditioned"),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda t: f"({t[0]}) {t[1]} ({t[2]})"
        ),
        inner.map(lambda t: f"not ({t})"),
    ),
    max_leaves=4,
)


@given(conditions)
def test_as_python_has_it(text):
    condition = Condition(text)
    found = condition.holds({name: FIELDS[name] for name in condition.names})
    expected = [python(text, row) for row in range(ROWS)]
    np.testing.assert_array_equal(np.broadcast_to(found, ROWS), expected)


def test_names_are_the_fields():
    condition = Condition("schedule.rho < 3 and not target.std == schedule.rho")
    assert condition.names == ("schedule.rho", "target.std")
    assert Condition("1 < 2").names == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 / schedule.rho > 9", [True, False]),
        ("schedule.rho / schedule.rho == 1", [False, True]),  # 0/0 compares as false
        ("not schedule.rho / schedule.rho == 1", [True, False]),
        ("schedule.rho % schedule.rho < 1", [False, True]),
        ("schedule.rho ** -1 > 9", [True, False]),
        ("1 / 0 > schedule.rho", [True, True]),
        ("10 ** 400 > schedule.rho", [True, True]),
        (f"{10**30} > schedule.rho", [True, True]),
    ],
)
def test_arithmetic_is_that_of_double_precision(text, expected):
    for kind in (np.int64, np.float64):
        found = Condition(text).holds({"schedule.rho": np.array([0, 1], dtype=kind)})
        np.testing.assert_array_equal(np.broadcast_to(found, 2), expected)


def test_seeds_of_63_bits_are_compared_exactly():
    seeds = np.array([2**62, 2**62 + 1])
    found = Condition(f"training.seed == {2**62 + 1}").holds({"training.seed": seeds})
    assert found.tolist() == [False, True]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "schedule.rho <",
        "schedule.rho = 3",
        "import os",
        "print(3)",
        "schedule.rho.real()",
        "__import__('os').system('true') == 0",
        "schedule['rho'] < 3",
        "[3][0] < 3",
        "(lambda: 3)() < 3",
        "schedule.rho in [1, 2]",
        "schedule.rho is 3",
        "3 if schedule.rho else 4",
        "[x for x in (1, 2)] == 3",
        "(1).real < 2",
        "'a'.upper == 'A'",
        "schedule.rho < 3j",
        "schedule.rho == None",
        "schedule.rho == ...",
        "schedule.rho == b'a'",
        "f'{schedule.rho}' == '3'",
        "(rho := 3) < 4",
        "~schedule.rho < 3",
        "schedule.rho @ schedule.rho < 3",
        "schedule.rho << 3 < 4",
        "+" * 3 + "schedule.rho < 3",
        "not " * 5000 + "1 < 2",
        "(" * 5000 + "1" + ")" * 5000,
        "schedule.rho \0 < 3",
    ],
)
def test_anything_else_is_refused_and_never_run(text):
    with pytest.raises(ValueError, match=r"sweep\.where = .*must be a comparison of numbers"):
        Condition(text)


@pytest.mark.parametrize(
    "text",
    [
        "schedule.kind < 3",
        "schedule.kind == 3",
        "3 != schedule.kind",
        "schedule.rho == 'edm'",
        "schedule.rho == (schedule.kind == 'edm')",
        "schedule.kind + 'a' == 'edma'",
        "schedule.kind * 2 == 'edmedm'",
        "-schedule.kind == 'a'",
        "-model.preconditioned < 1",
        "schedule.kind",
        "schedule.rho",
        "not schedule.rho",
        "schedule.kind and 1 < 2",
        "1 < 2 or schedule.rho",
        f"{10**400} > schedule.rho",
    ],
)
def test_texts_and_numbers_are_not_mixed(text):
    condition = Condition(text)
    with pytest.raises(ValueError, match=r"sweep\.where = .*must be a comparison of numbers"):
        condition.holds({name: FIELDS[name] for name in condition.names})


RHO = "schedule.rho = [1.0, 2.0, 3.0]\n"


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (RHO + 'where = ["schedule.rhoo < 3"]', r"schedule\.rhoo in sweep\.where is missing.*rho"),
        (RHO + 'where = ["steps < 3"]', r"steps in sweep\.where is missing: must be given for"),
        (RHO + 'where = ["target.mean < 3"]', r"target\.mean in sweep\.where = \[0\.1, -0\.3\]"),
        (RHO + 'where = ["schedule.kind < 3"]', r"sweep\.where = .*compare numbers with numbers"),
        (RHO + 'where = ["schedule.rho > 3"]', r"true for some of the 3 combinations; relax"),
        (
            'target.variances = [[1, 2], [3, 4]]\nwhere = ["target.variances == 1"]',
            r"target\.variances in sweep\.where = \[1, 2\]: must be one number",
        ),
        (
            'schedule = [{kind = "edm"}]\nwhere = ["schedule == 1"]',
            r"schedule in sweep\.where = .*must be one number",
        ),
        (
            'schedule = [{kind = "edm"}, {kind = "edm", rho = 3}]\nwhere = ["schedule.rho > 1"]',
            r"schedule\.rho in sweep\.where is missing: must be given for every design",
        ),
    ],
)
def test_refused_with_the_sweep(axes, message):
    with pytest.raises(ValueError, match=message):
        planned(GAUSSIAN, axes)


@pytest.mark.parametrize(
    ("axes", "kept"),
    [
        (RHO + 'where = ["schedule.rho > schedule.steps - 2"]', [2]),  # steps of the base
        (RHO + 'where = ["schedule.rho != 2", "schedule.kind == \'edm\'"]', [0, 2]),
        (
            'schedule = [{kind = "song"}, {kind = "tangent", data_std = 0.5}]\n'
            "where = [\"schedule.kind == 'tangent'\"]",
            [1],
        ),
        (
            'schedule = [{kind = "edm"}, {kind = "edm", steps = 9}]\n'
            'where = ["schedule.steps == 4"]',
            [0],
        ),
    ],
)
def test_keeps_the_designs_that_fulfil_it(axes, kept):
    assert whole(planned(GAUSSIAN, axes))["design"].to_pylist() == kept


def test_not_a_number_is_no_number():
    assert not Condition("schedule.rho < 1 or schedule.rho >= 1").holds({"schedule.rho": math.nan})

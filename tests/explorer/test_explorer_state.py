"""The state of the explorer: query strings, refusals, typed mixtures, specification files."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from design_space.explorer.controls import CONTROLS
from design_space.explorer.design import sections, specification
from design_space.explorer.state import State, validated
from design_space.explorer.typed_mixture import read_mixture
from design_space.sampling.kinds import STEPPERS
from design_space.schedules.named import TIMES, VARIANCES
from design_space.specification import Specification


def values_of(name):
    """Values inside the domain of a control."""
    control = CONTROLS[name]
    match control.kind:
        case "choice":
            return st.sampled_from(control.choices)
        case "text":
            return st.sampled_from(["N(0, 1)", "0.3 N(-1, .2)+.7N(2e0,0.5)", "1 N(-3, 1)"])
        case "whole":
            return st.integers(int(control.low), int(control.high))
    return st.floats(control.low, control.high)


CHOSEN = st.fixed_dictionaries(
    {}, optional={name: values_of(name) for name in CONTROLS if name != "step"}
)


def state_of(chosen, share):
    """A consistent state with these values, as far as they go together."""
    state = State()
    for name, value in chosen.items():
        if name == "sigma_min":
            value = min(value, 0.5 * state.sigma_max)
        if name == "sigma_max":
            value = max(value, 2 * state.sigma_min)
        if name == "data" and value != "gaussian":
            state = state.changed(score="exact")
        if name == "score" and state.data != "gaussian":
            value = "exact"
        state = state.changed(**{name: value})
    return state.changed(step=int(share * state.steps))


@given(CHOSEN, st.floats(0, 1))
def test_query_strings_give_the_state_back(chosen, share):
    state = state_of(chosen, share)
    assert State.from_query(state.to_query()) == (state, ())


@given(CHOSEN)
def test_every_state_is_a_specification(chosen):
    state = state_of(chosen, 1.0)
    given_back = tomllib.loads(specification(state))
    assert given_back == sections(state)
    found = Specification.parse(given_back)
    assert found.sections["sampler"]["kind"] == state.sampler
    assert found.sections["schedule"]["steps"] == state.steps


@given(
    st.dictionaries(
        st.sampled_from([*CONTROLS, "stds", ""]),
        st.one_of(st.none(), st.text(), st.floats(), st.integers(), st.lists(st.text())),
    )
)
def test_any_query_makes_a_consistent_state(query):
    state, notes = State.from_query(query)
    assert State.from_query(state.to_query()) == (state, ())
    for note in notes:
        assert "must be" in note or note.startswith("mixture = ")


def test_choices_are_those_of_the_package():
    assert set(CONTROLS["sampler"].choices) == set(STEPPERS)
    assert set(CONTROLS["variance"].choices) == set(VARIANCES)
    assert set(CONTROLS["time"].choices) <= set(TIMES)


@pytest.mark.parametrize(
    ("query", "field", "shown"),
    [
        ({"std": "-1"}, "std", "'-1'"),
        ({"std": "nan"}, "std", "'nan'"),
        ({"steps": "10.5"}, "steps", "'10.5'"),
        ({"steps": "201"}, "steps", "'201'"),
        ({"sampler": "froze"}, "sampler", "'froze'"),
        ({"lesson": "9"}, "lesson", "'9'"),
        ({"rho": True}, "rho", "True"),
        ({"sigma_min": "3", "sigma_max": "3"}, "sigma_min", "3.0"),
        ({"sigma_min": "8", "sigma_max": "2"}, "sigma_min", "8.0"),
        ({"data": "bimodal", "score": "trained"}, "score", "'trained'"),
        ({"steps": "5", "step": "6"}, "step", "6"),
        ({"mixture": "0.5 N(0, 1)"}, "mixture", "0.5 N(0, 1)"),
    ],
)
def test_what_cannot_be_taken_is_noted_and_default(query, field, shown):
    state, notes = State.from_query(query)
    default = state.steps if field == "step" else CONTROLS[field].default
    assert getattr(state, field) == default
    (note,) = notes
    assert note.startswith(f"{field} = ")
    assert shown in note


def test_an_unknown_name_is_noted():
    state, notes = State.from_query({"stdd": "1", "std": "2"})
    assert state == State(std=2.0)
    assert notes[0].startswith("stdd = '1': must be absent, or one of the names data, mean")


def test_the_shown_step_follows_the_number_of_steps():
    assert State().changed(steps=7).step == 7
    assert State().changed(step=3).changed(steps=50).step == 3
    assert State().changed(step=9).changed(steps=5).step == 5
    with pytest.raises(ValueError, match="step = 21: must be at most steps = 20"):
        State().changed(step=21)


def test_a_typed_value_is_refused_with_its_domain():
    with pytest.raises(ValueError, match=r"rho = 'x': must be a number from 1 to 50; take 7"):
        validated("rho", "x")
    assert validated("steps", "12") == 12
    assert validated("mean", "-0") == 0.0


def test_mixtures_are_read():
    law = read_mixture(" 0.25N( -1,.2) + 0.75 * N(2e0, 0.5) ")
    assert law == ((0.25, 0.75), (-1.0, 2.0), (0.2, 0.5))
    assert read_mixture(str(law)) == law
    assert read_mixture("N(3, 2)").weights == (1.0,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a term must be at character 1, which is missing"),
        ("0.5 N(0, 1) + ", "a term must be at character 15, which is missing"),
        ("0.5 N(0, 1) + M(1, 1)", "a term must be at character 15, which is 'M\\(1, 1\\)'"),
        ("0.5 N(0, 1) - 0.5 N(1, 1)", "character 13 is '-', where \\+ must be"),
        ("0.5 N(0, 0) + 0.5 N(1, 1)", "the standard deviation 0 at character 10"),
        ("0.5 N(0, 1) + 0.5 N(900, 1)", "the mean 900 at character 21"),
        ("N(0, 1) + N(1, 1)", "the term at character 1 has no weight"),
        ("0.5 N(0, 1) + 0.6 N(1, 1)", "add up to 1.1, where 1 is needed; divide each of them"),
        ("0.5 N(0, 1) + 0.50001 N(1, 1)", "add up to 1.00001, where 1 is needed"),
        (" + ".join(["0.125 N(0, 1)"] * 8), "8 components, where at most 6"),
    ],
)
def test_mixtures_are_refused_with_the_place(text, says):
    with pytest.raises(ValueError, match=says):
        read_mixture(text)


def test_controls_apply_where_they_have_an_effect():
    state = State(data="bimodal")
    shown = [name for name in CONTROLS if state.applies(name)]
    assert {"separation", "width", "rho"} <= set(shown)
    assert not {"mean", "std", "mixture", "factor", "training"} & set(shown)

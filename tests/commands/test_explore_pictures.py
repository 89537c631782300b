"""The pictures of the explorer without a page: their data, words and tables, and what is read."""

import csv
import io

import altair as alt
import numpy as np
import pytest

import design_space as ds
from design_space.commands.explore import live, widgets
from design_space.commands.explore.bounds import bounds
from design_space.commands.explore.budget import budget
from design_space.commands.explore.fisher import areas_of_steps, fisher
from design_space.commands.explore.law import law
from design_space.commands.explore.picture import drawn
from design_space.commands.explore.reading import Memory, chosen, read, step_in
from design_space.commands.explore.winner import winner
from design_space.commands.explore.words import measured, short
from design_space.explorer.compute import coarse
from design_space.explorer.controls import CONTROLS
from design_space.explorer.numbers import Value
from design_space.explorer.state import State, validated


@pytest.fixture(scope="module")
def numbers():
    return coarse(State(steps=10, step=10))


def rows(picture, name):
    """A data set of a chart, read as a browser reads it."""
    found = list(csv.DictReader(io.StringIO(picture.chart["datasets"][name])))
    return {key: [row[key] for row in found] for key in found[0]}


def floats(column):
    return np.array([float(value) for value in column])


class TestPictures:
    @pytest.mark.parametrize(
        "state",
        [
            State(),
            State(steps=1, step=0),
            State(steps=200, step=7),
            State(sampler="heun"),
            State(score="trained", sampler="churn"),
            State(data="bimodal", steps=3, step=3),
        ],
        ids=lambda state: f"{state.data}-{state.steps}-{state.sampler}-{state.score}",
    )
    @pytest.mark.parametrize("per_step", [False, True])
    def test_every_picture_is_vega_lite_and_says_what_it_shows(self, state, per_step):
        wishes = live.Wishes(per_step, "path_kl" if per_step else "marginal_kl")
        for picture in live.pictures(coarse(state), wishes):
            assert picture.title
            assert len(picture.alt) > 20
            assert picture.table.rows
            if picture.chart is None:
                assert picture.note
                continue
            alt.Chart.from_dict(picture.specification())  # validates
            assert set(picture.data()) >= set(picture.specification()["datasets"])

    def test_a_chart_is_the_same_for_all_states_that_it_can_show(self, numbers):
        """What a browser draws once: only its data differ."""
        others = live.pictures(coarse(State(std=2.0, steps=30, step=30)), live.Wishes())
        for one, other in zip(live.pictures(numbers, live.Wishes()), others, strict=True):
            assert one.specification() == other.specification()
            assert one.data() != other.data()

    def test_densities_integrate_to_one(self, numbers):
        columns = rows(law(numbers), "laws")
        x = floats(columns["x"])
        for name in ("exact", "sampler"):
            # five digits, five standard deviations: the tails hold 6e-7
            assert np.trapezoid(floats(columns[name]), x) == pytest.approx(1, abs=2e-4)

    def test_the_area_is_the_discretization_error(self, numbers):
        """Against the public reference number of N(0, 0.25), EDM, N = 10: E_D = 2.3076."""
        total = areas_of_steps(numbers.fisher).sum()
        # a trapezoidal rule of 120 points per step
        assert total == pytest.approx(2.3076, rel=1e-3)
        assert "10 steps leave 2.31 nats" in fisher(numbers).title

    def test_the_area_drawn_is_ordered_as_a_chart_needs_it(self, numbers):
        columns = rows(fisher(numbers), "curve")
        sigmas = floats(columns["sigmas"])
        assert np.all(np.diff(sigmas) >= 0)
        gaps = floats(columns["moving"]) - floats(columns["frozen"])
        assert np.all(gaps >= -1e-5)  # rounded to five digits
        assert set(columns["step"]) == {str(step) for step in range(1, 11)}

    def test_the_parts_of_the_budget_add_up(self, numbers):
        path = ds.evaluate(ds.Gaussian.isotropic(1, 0.5), ds.edm(10)).path_kl.value
        for per_step in (False, True):
            columns = rows(budget(numbers, per_step), "bars")
            parts = [name != "marginal KL" for name in columns["series"]]
            total = floats(columns["nats"])[parts].sum()
            assert total == pytest.approx(float(path), rel=1e-4)  # five digits, ten numbers

    def test_steps_are_ordered_as_numbers(self, numbers):
        """CSV has texts only: without its type, step 10 would come before step 2."""
        for picture in (budget(numbers, True), fisher(numbers)):
            data = [picture.chart.get("data", {})]
            data += [layer.get("data", {}) for layer in picture.chart["layer"]]
            named = [each["format"] for each in data if "format" in each]
            assert named
            assert all(each["parse"] == {"step": "number"} for each in named)

    def test_bounds_are_beside_the_path_kl(self, numbers):
        picture = bounds(numbers)
        columns = rows(picture, "bounds")
        grid = ds.edm(10)
        exact = float(ds.evaluate(ds.Gaussian.isotropic(1, 0.5), grid).path_kl.value)
        assert floats(columns["path"]) == pytest.approx(exact, rel=1e-4)
        assert np.all(floats(columns["nats"]) > exact)
        assert bounds(coarse(State(sampler="heun"))).chart is None

    @pytest.mark.parametrize(("std", "wins"), [(0.2, "Song"), (1.0, "EDM"), (90.0, "Song")])
    def test_the_winner_is_that_of_the_library(self, std, wins):
        picture = winner(coarse(State(std=std, steps=50, step=50)))
        target = ds.Gaussian.isotropic(1, std)
        each = {
            name: float(ds.evaluate(target, schedule).marginal_kl.value)
            for name, schedule in (("EDM", ds.edm(50)), ("Song", ds.song(50)))
        }
        assert min(each, key=each.get) == wins
        assert f"of {wins}'s schedule is the smaller one" in picture.title
        (x,), (y,) = floats(rows(picture, "here")["std"]), floats(rows(picture, "here")["steps"])
        assert (x, y) == (std, 50)

    def test_the_map_is_covered_once(self):
        columns = rows(winner(coarse(State())), "regions")
        low, high = floats(columns["low"]), floats(columns["high"])
        bottom, top = floats(columns["from"]), floats(columns["to"])
        area = np.sum(np.log(high / low) * np.log(top / bottom))
        # five digits at 70 borders
        assert area == pytest.approx(np.log(1e5) * np.log(200 / 5), rel=1e-3)

    def test_numbers_that_are_not_finite_are_left_out(self):
        chart = drawn({}, {"a": {"x": [1.0, float("nan")], "y": ["p, q", "r"]}}, shown=3)
        assert chart["datasets"]["a"] == 'x,y\n1,"p, q"\n,r\n'
        assert chart["params"] == [{"name": "shown", "value": 3}]


class TestWords:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0.0, "0"),
            (0.240412, "0.240"),
            (-12.34, "−12.3"),
            (3.8146e-10, "3.81·10⁻¹⁰"),
            (99999.0, "1.00·10⁵"),
            (float("nan"), "–"),
            (float("inf"), "∞"),
        ],
    )
    def test_short_numbers(self, value, text):
        assert short(value) == text

    def test_an_error_is_shown_where_it_can_be_seen(self):
        assert measured(Value(0.25, 0.01, "monte carlo")) == "0.250 ± 0.01"
        assert measured(Value(0.25, 1e-9, "quadrature")) == "0.250"
        assert measured(Value(None, None, None, "a reason")) == "–"
        assert measured(Value(None, None, None, None, pending=True)) == "pending"


class TestReading:
    def test_a_mixture_that_is_none_keeps_the_last_good_one(self):
        memory = Memory("N(0, 1)")
        state, messages = read({"data": "mixture", "mixture": "N(0"}, memory)
        assert state.mixture == "N(0, 1)"
        assert "last good one" in messages["mixture"]
        state, messages = read({"data": "mixture", "mixture": "N(0, 2)"}, memory)
        assert (state.mixture, messages) == ("N(0, 2)", {})

    def test_a_field_that_is_not_shown_has_no_message(self):
        assert read({"data": "gaussian", "mixture": "N(0"}, Memory("N(0, 1)"))[1] == {}

    def test_values_that_do_not_go_together_are_said(self):
        state, messages = read({"sigma_min": 5.0, "sigma_max": 1.0}, Memory("N(0, 1)"))
        assert state.sigma_max == 1.0
        assert "sigma_max = 1" in messages["sigma_min"]

    def test_the_last_step_stays_the_last_one(self):
        memory = Memory("N(0, 1)")
        assert chosen(20, 20, memory) == 20
        assert step_in(50, memory) == 50
        assert chosen(12, 20, memory) == 12
        assert step_in(50, memory) == 12
        assert step_in(5, memory) == 5


class TestStops:
    @pytest.mark.parametrize(
        "control", [c for c in CONTROLS.values() if c.kind in ("number", "whole") and c.default]
    )
    def test_places_are_in_the_domain_and_hold_the_first_value(self, control):
        odd = (control.low + control.high) / 3 if control.kind == "number" else 137
        found = widgets.stops(control, odd)
        assert found == sorted(set(found))
        assert (found[0], found[-1]) == (control.low, control.high)
        assert odd in found
        assert control.default in found
        for value in found:
            assert validated(control.name, value) == value

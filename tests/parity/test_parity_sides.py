"""What a comparison measures, and the run of our side, against loops in NumPy."""

import math
import sys

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from design_space.commands.parity import libraries
from design_space.commands.parity.k_diffusion_rows import first_stage
from design_space.commands.parity.problem import (
    COUNT,
    DIM,
    STEPS,
    descending,
    drive,
    grid,
    problem,
    scores,
    start_at,
)
from design_space.commands.parity.record import Sides, difference
from design_space.commands.parity.show import rounded_up
from design_space.sampling.flows import Churn, FlowHeun
from design_space.sampling.steppers import Ancestral
from design_space.schedules.schedule import Schedule

# 12 steps that round states and scores some ten times each, on both sides
TOLERANCE = 32 * STEPS * 2.0**-53


class TestDifference:
    def test_levels_differ_by_their_worst_entry(self):
        sides = Sides(np.array([1.0, 2e-3 * (1 + 1e-6)]), np.array([1.0, 2e-3]))
        assert difference("noise levels", sides) == pytest.approx(1e-6, rel=1e-6)

    def test_states_differ_by_their_worst_coordinate_over_the_largest(self):
        sides = Sides(np.array([[4.0, 1e-3]]), np.array([[4.0, 0.0]]))
        assert difference("states", sides) == pytest.approx(1e-3 / 4)

    @pytest.mark.parametrize(
        "theirs", [np.ones(3), np.array([1.0, np.nan]), np.array([np.inf, 1.0])]
    )
    def test_sides_that_cannot_agree_are_infinitely_far_apart(self, theirs):
        assert difference("states", Sides(theirs, np.ones(2))) == math.inf

    @given(st.floats(min_value=1e-300, max_value=1e300))
    def test_what_is_shown_is_never_below_what_was_measured(self, value):
        shown = float(rounded_up(value))
        # one digit: at most twice as much, from 1.0...1 to 2
        assert value * (1 - 1e-11) <= shown <= 2 * value * (1 + 1e-11)


class TestDrive:
    def test_an_ancestral_run_is_the_textbook_loop(self):
        sigmas, y = descending(grid()), start_at(grid())
        for j in range(STEPS):
            v, below = sigmas[j] ** 2, sigmas[j + 1] ** 2
            clean = y + v * scores(y, sigmas[j])
            mean = clean + (below / v) * (y - clean)
            y = mean + np.sqrt(below * (1 - below / v)) * problem().noises[j, 0]
        found = drive(Ancestral(1.0).moves(grid()), start_at(grid()))
        assert difference("states", Sides(y, found)) < TOLERANCE

    def test_a_churned_run_is_the_loop_of_edm(self):
        sigmas, y = descending(grid()), start_at(grid())
        for j in range(STEPS):
            top = sigmas[j] * (1 + min(3.0 / STEPS, math.sqrt(2) - 1))
            y = y + np.sqrt(top**2 - sigmas[j] ** 2) * problem().noises[j, 0]
            slope, step = -top * scores(y, top), sigmas[j + 1] - top
            ahead = y + step * slope
            y = y + step * (slope - sigmas[j + 1] * scores(ahead, sigmas[j + 1])) / 2
        found = drive(Churn(3.0, 0.0, math.inf, 1.0).moves(grid()), start_at(grid()))
        assert difference("states", Sides(y, found)) < TOLERANCE

    def test_the_first_stage_of_churn_is_an_euler_step(self):
        sigmas, y = descending(grid()), start_at(grid())
        for j in range(STEPS):
            top = sigmas[j] * (1 + min(3.0 / STEPS, math.sqrt(2) - 1))
            y = y + np.sqrt(top**2 - sigmas[j] ** 2) * problem().noises[j, 0]
            y = y - (sigmas[j + 1] - top) * top * scores(y, top)
        moves = first_stage(Churn(3.0, 0.0, math.inf, 1.0).moves(grid()))
        assert difference("states", Sides(y, drive(moves, start_at(grid())))) < TOLERANCE

    def test_given_noise_is_used_in_order(self):
        noises = np.zeros((STEPS, 1, COUNT, DIM))
        noises[-1] = 1.0
        moves = Ancestral(1.0).moves(grid())
        still = drive(moves, start_at(grid()), np.zeros_like(noises))
        moved = drive(moves, start_at(grid()), noises)
        size = math.sqrt(float(moves[0].variance[-1]))
        np.testing.assert_allclose(moved - still, size, rtol=1e-9)

    def test_the_tolerance_of_a_run_sees_a_grid_that_is_off_by_1e_11(self):
        """What a row can tell: its float64 tolerance is far below any slip of a formula."""
        off = Schedule.from_sigmas(descending(grid()) * (1 + 1e-11 * (np.arange(STEPS + 1) % 2)))
        start = start_at(grid())
        sides = Sides(drive(FlowHeun().moves(off), start), drive(FlowHeun().moves(grid()), start))
        assert difference("states", sides) > TOLERANCE


def test_the_score_of_the_problem_is_the_gradient_of_its_log_density():
    y = start_at(grid())[:1] / 40
    target = problem().score.target
    gradient = jax.jit(jax.grad(lambda x: target.log_density(x, 0.49)))(y[0])
    np.testing.assert_allclose(scores(y, 0.7)[0], gradient, rtol=1e-10)


class TestLoading:
    def test_modules_that_stand_in_are_gone_afterwards(self):
        names = ("no_such_package", "no_such_package.part")
        with libraries._standing_in(*names):
            part = sys.modules["no_such_package.part"]
            assert sys.modules["no_such_package"].part is part
            with pytest.raises(AttributeError, match="not installed and has no thing"):
                part.thing()
        assert not [name for name in names if name in sys.modules]

    def test_a_module_is_imported_without_its_package(self, tmp_path, monkeypatch):
        package = tmp_path / "heavy_package"
        package.mkdir()
        (package / "__init__.py").write_text("raise ImportError('too heavy')\n", encoding="utf-8")
        (package / "light.py").write_text("from . import other\nx = other.x\n", encoding="utf-8")
        (package / "other.py").write_text("x = 3\n", encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        for name in ("heavy_package", "heavy_package.light", "heavy_package.other"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        assert libraries._module_of("heavy_package", "light").x == 3
        with pytest.raises(ModuleNotFoundError, match="no_such_package"):
            libraries._module_of("no_such_package", "light")

    def test_a_name_is_replaced_and_put_back(self):
        before, empty = math.sqrt, {}
        with pytest.raises(KeyError), libraries.replaced(math, "sqrt", abs):
            empty[math.sqrt(-2)]
        assert math.sqrt is before
        with libraries.replaced(math, "sqrt", abs):
            assert math.sqrt(-2) == 2
        assert math.sqrt is before

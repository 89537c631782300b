import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact
from schedule_contracts import ScheduleContract

from design_space.schedules.schedule import Schedule
from design_space.schedules.time import CustomTimes
from design_space.schedules.variance import Power, sqrt

# The paper's table of Align Your Steps (2404.14507) for SD1.5, as an example of a sampler's own.
ALIGN_YOUR_STEPS = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]


class TestFromSigmas(ScheduleContract):
    schedule = Schedule.from_sigmas(ALIGN_YOUR_STEPS)

    def twin_sigma(self, j):
        return exact(ALIGN_YOUR_STEPS[::-1][j])

    def test_levels_are_unchanged(self):
        np.testing.assert_array_equal(self.schedule.backward_sigmas, ALIGN_YOUR_STEPS)
        assert self.schedule.steps == 10


class TestFromSigmasWithSquareRoot(TestFromSigmas):
    schedule = Schedule.from_sigmas(np.array(ALIGN_YOUR_STEPS), sqrt())

    def test_times_are_variances(self):
        # a square and its power function: two roundings
        np.testing.assert_allclose(
            self.schedule.backward_times, np.square(ALIGN_YOUR_STEPS), rtol=1e-15
        )


def test_each_direction_is_obvious_from_a_small_grid():
    schedule = Schedule.from_sigmas([3.0, 2.0, 1.0])
    assert schedule.forward_times.tolist() == [1.0, 2.0, 3.0]
    assert schedule.backward_variances.tolist() == [9.0, 4.0, 1.0]
    assert schedule.backward_variance_steps.tolist() == [5.0, 3.0]  # h_0, h_1
    assert schedule.backward_time_steps.tolist() == [1.0, 1.0]  # gamma_0, gamma_1
    assert schedule.forward_variance_steps.tolist() == [3.0, 5.0]
    assert schedule.forward_diffusions.tolist() == [1.0, 2.0, 3.0]  # sigma_t^2 = t


def test_an_appended_zero_is_refused_with_its_remedy():
    with pytest.raises(ValueError, match=r'sigmas = .*appended 0; pass appended_zero="drop"'):
        Schedule.from_sigmas([*ALIGN_YOUR_STEPS, 0.0])


def test_an_appended_zero_is_dropped_on_request():
    schedule = Schedule.from_sigmas([*ALIGN_YOUR_STEPS, 0.0], appended_zero="drop")
    np.testing.assert_array_equal(schedule.backward_sigmas, ALIGN_YOUR_STEPS)


def test_drop_leaves_a_grid_without_zero_alone():
    schedule = Schedule.from_sigmas(ALIGN_YOUR_STEPS, appended_zero="drop")
    np.testing.assert_array_equal(schedule.backward_sigmas, ALIGN_YOUR_STEPS)


def test_traced_levels_are_accepted():
    def largest_step(sigmas):
        return jnp.max(Schedule.from_sigmas(sigmas).backward_variance_steps)

    batch = jax.vmap(largest_step)(jnp.array([[3.0, 2.0, 1.0], [4.0, 3.5, 1.0]]))
    np.testing.assert_array_equal(batch, [5.0, 11.25])


def test_dropping_from_traced_levels_is_refused():
    with pytest.raises(ValueError, match=r"appended_zero = 'drop': .*traced.*before tracing"):
        jax.jit(lambda s: Schedule.from_sigmas(s, appended_zero="drop"))(jnp.array([2.0, 1.0]))


@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        ([1.0, 2.0, 3.0], r"sigmas = .*strictly decreasing; sort it from large to small"),
        ([3.0, 3.0, 1.0], r"sigmas = .*strictly decreasing"),
        ([1.0], r"sigmas = .*at least two noise levels; take N >= 1"),
        ([], r"sigmas = .*at least two noise levels"),
        ([1.0, -1.0], r"sigmas = .*above 0; remove the levels"),
        ([2.0, 0.0, -1.0], r"sigmas = .*above 0; remove the levels"),
        ([2.0, float("nan")], r"sigmas = .*finite; remove"),
        ([float("inf"), 1.0], r"sigmas = .*finite; remove"),
        ([[2.0, 1.0]], r"sigmas = .*rank 1, not 2; check the brackets"),
        (["a", "b"], r"sigmas = .*an array of numbers; check its entries"),
    ],
)
def test_bad_levels_are_refused(sigmas, message):
    with pytest.raises(ValueError, match=message):
        Schedule.from_sigmas(sigmas)


def test_zero_alone_leaves_too_few_levels():
    with pytest.raises(ValueError, match=r"sigmas = .*at least two noise levels"):
        Schedule.from_sigmas([1.0, 0.0], appended_zero="drop")


def test_the_choice_about_zero_is_checked():
    with pytest.raises(ValueError, match=r"appended_zero = 'keep': must be one of drop, refuse"):
        Schedule.from_sigmas([2.0, 1.0], appended_zero="keep")


def test_a_grid_too_fine_for_float64_is_refused():
    sigmas = jnp.array([1.0, 1.0, 2.0])
    with pytest.raises(ValueError, match=r"forward_sigmas = .*strictly increasing.*; take fewer"):
        Schedule(Power(1.0), sigmas, sigmas)


def test_a_single_level_is_refused():
    with pytest.raises(ValueError, match=r"forward_sigmas = .*at least two noise levels"):
        Schedule(Power(1.0), jnp.ones(1), jnp.ones(1))


def test_custom_times_make_a_schedule_with_their_own_levels():
    times = CustomTimes([1.0, 16.0, 81.0])
    sigmas = jax.vmap(sqrt().sigma)(times(2, 1.0, 81.0))
    np.testing.assert_array_equal(sigmas, [1.0, 4.0, 9.0])

"""Appendix I.1's bounds and step counts, judged on a small share of the designs."""

import jax.numpy as jnp
import numpy as np
import pytest
from few_designs import few_designs

from analyses.judge import judge
from analyses.statements.complexity import STATEMENTS
from analyses.step_counts import COUNT, EDM, MOST, SONG, Kind, drawn, errors, least_steps
from design_space.errors.gaussian import commuting_errors
from design_space.schedules.named import edm, song

pytestmark = pytest.mark.slow  # a table of many designs is computed first

BY_ID = {s.id.removeprefix("appendix-i.1-"): s for s in STATEMENTS}


@pytest.fixture(scope="module")
def judged():
    return {name: judge(s, few_designs()) for name, s in BY_ID.items()}


@pytest.mark.parametrize("name", list(BY_ID))
def test_every_order_is_safe_and_only_an_order(judged, name):
    found = judged[name]
    assert found.verdict == "order only"
    assert found.as_recorded
    assert all(outcome.designs >= 1 for outcome in found.outcomes)
    assert sum(outcome.designs for outcome in found.outcomes) >= 500


@pytest.mark.parametrize(
    ("name", "constant"),
    [
        ("linear-polynomial", 1.5),
        ("linear-exponential", 1.5),
        ("sqrt-polynomial", 0.75),
        ("sqrt-exponential", 0.75),
    ],
)
def test_the_printed_steps_leave_a_known_multiple_of_the_accuracy(judged, name, constant):
    outcomes = {o.claim.name: o for o in judged[name].outcomes}
    assert outcomes["printed"].claim.constant == constant
    assert outcomes["printed"].tightness > 0.97  # on a point mass it is reached
    assert outcomes["steps that suffice"].tightness > 0.999
    assert 0.95 < outcomes["order is sharp"].tightness <= 1


@pytest.mark.parametrize("name", ["linear-polynomial", "sqrt-polynomial"])
def test_the_sharp_sum_is_attained(judged, name):
    outcomes = {o.claim.name: o for o in judged[name].outcomes}
    # on exponential grids and a point mass every step costs as much as the longest
    assert outcomes["sum of a point mass"].tightness > 1 - 1e-9


@pytest.mark.parametrize("name", list(BY_ID))
def test_m2_enters_through_the_horizon_only(judged, name):
    fit = next(o for o in judged[name].outcomes if o.claim.name == "printed exponents").seen
    by_m2 = [i for i, label in enumerate(fit.labels) if label.startswith("m2")]
    # m2^2 + d grows by 2^7 (m2^2 from 1 to 128, d = 4): about 1.3 of the 2 printed
    assert np.all(fit.right[by_m2] - fit.left[by_m2] > 1.2)
    by_dim = [i for i, label in enumerate(fit.labels) if label.startswith("d,")]
    np.testing.assert_allclose(fit.left[by_dim], 1, atol=0.03)


@pytest.mark.parametrize("kind", [EDM, SONG, Kind(1.0, False)])
def test_padded_grids_are_the_named_schedules(kind):
    problems = drawn(kind, point_mass=False, largest=1.0)
    high = kind.horizon(problems.second_moment, problems.accuracy)
    at, steps = 5, 37
    found = errors(kind, problems, high, jnp.full(COUNT, float(steps)))
    low, top = problems.low[at] ** kind.exponent, high[at] ** kind.exponent
    grid = edm(steps, low, top, problems.rho[at]) if kind.polynomial else song(steps, low, top)
    dim = int(problems.dim[at])
    mean = jnp.full(dim, jnp.sqrt(problems.mean_squared[at] / dim))
    spread = jnp.full(dim, problems.variance[at])
    whole = commuting_errors(mean, spread, grid.backward_variances, grid.backward_variance_steps)
    # two routes to the same grid differ by rounding of powers, EPS times logarithms of the range
    np.testing.assert_allclose(found[0][at], whole.initialization, rtol=1e-11)
    np.testing.assert_allclose(found[1][at], whole.discretization, rtol=1e-9)


def test_least_steps_are_enough_and_one_less_is_not():
    problems = drawn(EDM, point_mass=True, largest=1.0)
    high = EDM.horizon(problems.second_moment, problems.accuracy)
    steps = np.asarray(least_steps(EDM, problems, high, problems.accuracy / 2))
    there = steps <= MOST
    assert there.sum() > COUNT / 2
    enough = np.asarray(errors(EDM, problems, high, jnp.asarray(steps * 1.0))[1])
    fewer = np.asarray(errors(EDM, problems, high, jnp.asarray(steps - 1.0))[1])
    asked = np.asarray(problems.accuracy) / 2
    assert np.all(enough[there] <= asked[there])
    assert np.all(fewer > asked)
    none = least_steps(EDM, problems, high, jnp.zeros(COUNT))
    assert np.all(np.asarray(none) == MOST + 1)

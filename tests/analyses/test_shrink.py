"""Shrinking: what comes out still fails, is as small as it can be, and is always the same."""

import jax.numpy as jnp
import numpy as np
import pytest
from claims import gaussian

from analyses.cases import Design
from analyses.families import random_gaussians, random_mixtures
from analyses.judge import sides_of
from analyses.shrink import complexity, shrunk
from analyses.statement import Assumption, Claim, OnDesigns, Sides


def below(value, bound, **options):
    check = OnDesigns(lambda case: Sides(value(case), bound), ("any",), **options)
    return Claim("made up", "", check)


def discretization(case):
    return case.errors.discretization.value


STARTS = random_gaussians(2, 4, 8)


def check_shrunk(claim, designs):
    """Shrinks the designs that fail, and checks what holds of every shrunk one."""
    failing = []
    for design in designs:
        left, right, _ = sides_of(claim, design)
        failing += [design] if left > right else []
    small = shrunk(claim, failing)
    left, right, error = sides_of(claim, small)
    assert left - right > error
    assert complexity(small) <= min(complexity(d) for d in failing)
    return small


def test_the_least_first_variance():
    small = check_shrunk(below(lambda case: case.variances[0], 4.0), STARTS)
    assert small.shape == (1, 1, 1)
    # nothing but the first level matters: round numbers are left, and a point mass at zero
    np.testing.assert_array_equal(small.means, 0)
    np.testing.assert_array_equal(small.variances, 0)
    assert small.exponent == 1
    assert small.factor == 1
    assert small.sigmas[0] > 2
    assert complexity(small)[-1] < complexity(gaussian([2.3, 0.01], variance=0.0))[-1] + 1


def test_a_discretization_error_above_a_tenth():
    small = check_shrunk(below(discretization, 0.1), STARTS)
    assert small.shape == (1, 1, 1)
    again = check_shrunk(below(discretization, 0.1), STARTS)
    assert small.specification() == again.specification()
    # a point mass: (1/2) (r - 1 - ln r), r = v_1/v_0
    assert np.all(small.variances == 0)
    ratio = (small.sigmas[1] / small.sigmas[0]) ** 2
    left, _, _ = sides_of(below(discretization, 0.1), small)
    assert left == pytest.approx(0.5 * (ratio - 1 - np.log(ratio)), rel=1e-12)


def test_a_claim_that_needs_steps_and_dimensions():
    def steps(case):
        return jnp.asarray(case.schedule.steps * 1.0)

    def dimensions(case):
        return jnp.asarray(case.target.dim * 1.0)

    assert check_shrunk(below(steps, 1.5), STARTS[:2]).shape == (1, 1, 2)
    assert check_shrunk(below(dimensions, 1.5), STARTS[:2]).shape == (1, 2, 1)


def test_assumptions_stay_met():
    scaled = Assumption("the score is not exact", lambda case: case.factor != 1)
    claim = below(discretization, 0.1, where=(scaled,))
    small = check_shrunk(claim, [d for d in STARTS if d.factor != 1])
    assert small.factor != 1
    assert small.shape == (1, 1, 1)


@pytest.mark.slow
def test_mixtures_lose_components():
    starts = random_mixtures(3, 2, 3)[2:]
    small = check_shrunk(below(discretization, 0.1), starts)
    assert complexity(small)[0] == 1

    def apart(case):
        return jnp.max(case.target.components().means) - jnp.min(case.target.components().means)

    two = check_shrunk(below(apart, 0.5), starts)
    assert complexity(two)[0] == 2  # one of the three is made equal to another
    np.testing.assert_allclose(two.weights.sum(), 1, rtol=1e-15)
    assert np.ptp(two.means) > 0.5


def test_a_design_that_fails_by_a_hair_is_left_alone():
    design = gaussian([2.0, 1.0])
    left, _, _ = sides_of(below(discretization, 0.0), design)
    hair = below(discretization, left * (1 + 1e-15))
    assert shrunk(hair, [design]) is design


def test_nothing_to_start_from():
    assert shrunk(below(discretization, 0.1), []) is None


def test_complexity_counts_parts_before_digits():
    base = gaussian([2.0, 1.0], variance=1.0)
    order = [
        base,
        base.moved(sigmas=np.array([2.5, 1.0])),
        base.moved(sigmas=np.array([2.5, 1.125])),
        base.moved(sigmas=np.array([3.0, 2.0, 1.0])),
        Design.gaussian([0.0, 0.0], [1.0, 1.0], [2.0, 1.0]),
        Design(np.full(2, 0.5), np.array([[0.0], [1.0]]), np.ones((2, 1)), np.array([2.0, 1.0])),
    ]
    sizes = [complexity(design) for design in order]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == len(sizes)
    copies = Design(np.full(2, 0.5), np.zeros((2, 1)), np.ones((2, 1)), np.array([2.0, 1.0]))
    assert complexity(copies)[0] == 1  # equal components are one
    for changed in (base.moved(factor=2.0), base.moved(exponent=0.5)):
        assert complexity(changed) > complexity(base)

"""Theorem 1 on a small ensemble."""

import numpy as np
import pytest
from few_trainings import few_trainings

from analyses import training_designs as td
from analyses.judge import judge
from analyses.statements import convergence
from analyses.statements.convergence import STATEMENTS, THEOREM_1


@pytest.fixture(scope="module")
def judged():
    with few_trainings():
        yield judge(THEOREM_1, {})


@pytest.fixture(scope="module")
def outcomes(judged):
    return {outcome.claim.name: outcome for outcome in judged.outcomes}


def test_the_printed_step_fails_and_the_bound_holds_at_stable_steps(judged):
    assert STATEMENTS == (THEOREM_1,)
    assert judged.verdict == "fails as printed; corrected form holds"
    assert judged.as_recorded


def test_the_constants_are_the_strongest_form(outcomes):
    assert convergence.CONSTANTS.alpha == 1.0
    assert outcomes["corrected"].tightness < 1


def test_the_excess_is_what_a_run_finds(judged):
    batch = td.ensemble()[0]
    excess = convergence.excess()[0]
    model, data = td.drawn(batch.designs[0])
    scales = np.asarray(data.scales)
    n, levels = data.noise.shape[:2]
    printed = n * levels / (model.width * scales.min())
    np.testing.assert_allclose(excess[0], printed * batch.most[0] / 2, rtol=1e-12)
    assert np.all(excess > 1)


def test_no_design_allows_less_than_the_largest_constant(judged):
    """From prod (1 - C g_s) <= exp(-C sum g_s), with g_s by hand."""
    largest, limits = convergence.largest_constant(), []
    for batch in td.ensemble():
        n, levels, _, m, _ = batch.designs[0].shape
        steps = np.cumsum(batch.run.scales, axis=1) * m / (n**3 * levels**2)
        fall = -np.log(batch.run.losses[:, 1:] / batch.run.losses[:, :1])
        limit = fall / (steps / batch.most[:, None])
        limits.append(np.min(limit[fall < 40]))
    assert 0.5 * min(limits) < largest <= min(limits)
    assert largest > convergence.CONSTANTS.decay


def test_the_printed_step_raises_the_loss(outcomes):
    found = outcomes["printed step"]
    assert found.violations == found.observations
    assert np.all(found.seen.left > 1)


def test_exponents_of_the_printed_step(outcomes):
    n, levels = outcomes["printed"].seen.left
    # n N^2 for equal a_j; other weightings spread with N
    assert 0.2 < n < 1.6
    assert 1.8 < levels < 3.2

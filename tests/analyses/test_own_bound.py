"""A reader's own bound: the example of the how-to, and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from analyses.own_bound import QUANTITIES, check_bound
from analyses.statement import Assumption


def proposed(case):
    x = case.variance_steps / case.variances[:-1]
    return case.target.dim / 4 * jnp.sum(x**2)


def repaired(case):
    v, h = case.variances, case.variance_steps
    return case.target.dim / 4 * jnp.sum(h**2 / (v[:-1] * v[1:]))


def test_a_bound_that_fails_has_a_smallest_counterexample():
    found = check_bound("discretization", proposed, share=0.01, on=("named",))
    assert found.verdict == "fails"
    (outcome,) = found.outcomes
    small = outcome.counterexample
    assert small.shape == (1, 1, 1)
    np.testing.assert_array_equal(small.variances, 0)
    ratio = (small.sigmas[1] / small.sigmas[0]) ** 2
    assert 0.5 * (ratio - 1 - np.log(ratio)) > 0.25 * (1 - ratio) ** 2
    assert "own: fails on" in str(found)
    assert outcome.observations == outcome.designs == 32


def test_a_bound_that_holds_is_nearly_attained():
    found = check_bound("discretization", repaired, share=0.01, on=("named",))
    assert found.verdict == "holds"
    (outcome,) = found.outcomes
    assert outcome.margin > 1
    # r - 1 - ln r <= (1 - r)^2/(2 r): 500 short steps on a point mass come within 3 %
    assert 0.95 < outcome.tightness < 1
    assert outcome.counterexample is None


def test_constants_and_assumptions():
    short = Assumption(
        "no step removes a tenth",
        lambda case: jnp.all(case.variance_steps < 0.1 * case.variances[:-1]),
    )
    # E_D <= (1/4) sum x^2/(1 - x): x < 1/10 costs a factor of 10/9
    options = {"share": 0.01, "on": ("named",), "where": (short,)}
    found = check_bound("discretization", proposed, constant=10 / 9, **options)
    assert found.verdict == "holds with constant C"
    assert found.outcomes[0].designs < 32


def test_measured_quantities():
    assert set(QUANTITIES) == {
        "initialization",
        "discretization",
        "score",
        "path_kl",
        "marginal_kl",
    }


@pytest.mark.parametrize(
    ("quantity", "options", "says"),
    [
        ("w2", {}, "quantity = 'w2': must be one of .*marginal_kl"),
        ("path", {}, "quantity = 'path'"),
        ("path_kl", {"on": ("named", "images")}, "on = 'images'.*mixture"),
    ],
)
def test_refusals(quantity, options, says):
    with pytest.raises(ValueError, match=says):
        check_bound(quantity, proposed, share=0.01, **options)

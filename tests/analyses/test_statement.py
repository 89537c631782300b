"""Claims: which designs count, what is observed, and sides that are arrays."""

import jax.numpy as jnp
import numpy as np
import pytest
from claims import batch_of, gaussian

from analyses.judge import judge_claim, observed
from analyses.statement import (
    Assumption,
    Claim,
    Observations,
    OnDesigns,
    Sides,
    Statement,
    Study,
    observe_together,
    worst_entry,
)

DESIGNS = tuple(
    gaussian([sigma, 0.5], factor=factor) for sigma in (1.0, 2.0, 4.0) for factor in (1.0, 0.5)
)
WIDE = Assumption("v_0 at least 4", lambda case: case.variances[0] >= 4)
EXACT = Assumption("the score is exact", lambda case: case.factor == 1)


def first(case):
    return Sides(case.variances[0], case.factor)


@pytest.fixture(scope="module")
def families():
    return {"some": lambda: (batch_of(DESIGNS[:4]), batch_of(DESIGNS[4:]))}


def test_every_design_of_every_batch_is_observed_in_order(families):
    seen = OnDesigns(first, ("some",)).observe(families)
    np.testing.assert_array_equal(seen.left, [1, 1, 4, 4, 16, 16])
    np.testing.assert_array_equal(seen.right, [1, 0.5] * 3)
    np.testing.assert_array_equal(seen.error, 0)
    assert seen.designs == 6
    assert seen.found == DESIGNS
    assert seen.labels == tuple(d.name for d in DESIGNS)
    assert seen.confidence is None


def test_families_are_taken_in_the_order_they_are_named(families):
    more = families | {"other": lambda: (batch_of(DESIGNS[:1]),)}
    assert OnDesigns(first, ("other", "some")).observe(more).found == DESIGNS[:1] + DESIGNS


@pytest.mark.parametrize(
    ("options", "counted"),
    [
        ({"where": (WIDE,)}, [2, 3, 4, 5]),
        ({"where": (WIDE, EXACT)}, [2, 4]),
        ({"dropped": EXACT}, [1, 3, 5]),
        ({"where": (WIDE,), "dropped": EXACT}, [3, 5]),
    ],
)
def test_assumptions_choose_designs(families, options, counted):
    seen = OnDesigns(first, ("some",), **options).observe(families)
    assert seen.found == tuple(DESIGNS[i] for i in counted)
    np.testing.assert_array_equal(seen.left, [DESIGNS[i].sigmas[0] ** 2 for i in counted])
    assert seen.designs == len(counted)


def test_a_claim_without_designs_says_so(families):
    nowhere = Assumption("v_0 above 100", lambda case: case.variances[0] > 100)
    claim = Claim("empty", "", OnDesigns(first, ("some",), where=(nowhere,)))
    (seen,) = observed([claim], families)
    message = r"designs of claim 'empty' = none: must be at least one; widen the families or drop"
    with pytest.raises(ValueError, match=message):
        judge_claim(claim, True, seen)


def test_together_and_alone_are_the_same(families):
    checks = [OnDesigns(first, ("some",)), OnDesigns(first, ("some",), where=(WIDE,))]
    for check, seen in zip(checks, observe_together(checks, families), strict=True):
        alone = check.observe(families)
        np.testing.assert_array_equal(seen.left, alone.left)
        assert seen.found == alone.found


def test_claims_of_different_families_and_studies_keep_their_order(families):
    more = families | {"other": lambda: (batch_of(DESIGNS[:1]),)}
    study = Study(lambda: Observations(np.ones(1), np.ones(1), np.zeros(1), ("a",), 7))
    claims = [
        Claim("a", "", OnDesigns(first, ("some",))),
        Claim("b", "", study),
        Claim("c", "", OnDesigns(first, ("other",))),
        Claim("d", "", OnDesigns(first, ("some",), where=(WIDE,))),
    ]
    assert [seen.designs for seen in observed(claims, more)] == [6, 7, 1, 4]


def test_sides_may_be_plain_numbers(families):
    seen = OnDesigns(lambda case: Sides(1, 2.0), ("some",)).observe(families)
    np.testing.assert_array_equal(seen.left, np.ones(6))
    assert seen.left.dtype == np.float64


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([1.0, 2.0, 4.0], [1.0, 2.2, 4.1], (2.0, 2.2)),
        ([1.0, -2.0], [1.0, 2.0], (-2.0, 2.0)),
        ([0.0, 1.0], [0.0, 1.0], (0.0, 0.0)),
        ([0.0, 1.0], [1e-9, 1.0], (0.0, 1e-9)),
        ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.5, 4.0]], (3.0, 3.5)),
    ],
)
def test_worst_entry(left, right, expected):
    assert tuple(float(x) for x in worst_entry(jnp.array(left), jnp.array(right))[:2]) == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_entry_that_is_no_number_is_the_worst(bad):
    left, right = jnp.array([1.0, bad, 2.0]), jnp.array([5.0, 1.0, 2.0])
    found = worst_entry(left, right)
    np.testing.assert_array_equal(found.left, bad)
    assert float(found.right) == 1


def test_claims_come_in_order():
    a, b, c, d = (Claim(name, "", Study(lambda: None)) for name in "abcd")
    rest = {"expected": "holds", "supporting": (c,), "broken": (d,)}
    words = ("x", "", "", "", "")
    assert Statement(*words, printed=a, **rest).claims() == (a, c, d)
    assert Statement(*words, printed=a, corrected=b, **rest).claims() == (a, b, c, d)

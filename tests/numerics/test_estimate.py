"""Sums, multiples and the JSON entry of a number with its error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.numerics.estimate import Estimate, weakest


def estimate(value, error, method="closed form", **fields):
    return Estimate(jnp.asarray(value), jnp.asarray(error), method, **fields)


def test_the_weakest_method_wins_in_any_order():
    assert weakest("closed form") == "closed form"
    assert weakest("quadrature", "closed form") == "quadrature"
    assert weakest("quadrature", "monte carlo", "closed form") == "monte carlo"


def test_errors_add():
    total = estimate(1.0, 0.25) + estimate(-3.0, 0.5, "quadrature")
    assert (float(total.value), float(total.error), total.method) == (-2.0, 0.75, "quadrature")


def test_a_negative_factor_keeps_the_error_positive():
    scaled = estimate(2.0, 0.5, "monte carlo", condition=jnp.asarray(7.0)).scaled(-2.0)
    assert (float(scaled.value), float(scaled.error)) == (-4.0, 1.0)
    assert scaled.method == "monte carlo"
    assert float(scaled.condition) == 7.0


def test_total_sums_entries_and_errors():
    total = estimate([1.0, -2.0, 4.0], [0.5, 0.25, 0.25]).total()
    assert (float(total.value), float(total.error)) == (3.0, 1.0)


def test_json_entries():
    assert estimate(1.5, 0.25).to_dict() == {"value": 1.5, "error": 0.25, "method": "closed form"}
    assert estimate(1.0, 0.0, condition=jnp.asarray(3.0)).to_dict()["condition"] == 3.0
    nothing = {"value": None, "error": None, "method": None}
    missing = Estimate.unavailable("no density")
    assert missing.to_dict() == nothing | {"reason": "no density"}
    assert estimate(np.nan, 0.0).to_dict() == nothing | {"reason": "not a number"}


def test_a_missing_part_makes_a_missing_whole():
    for whole in (
        Estimate.unavailable("why") + estimate(1.0, 0.0),
        estimate(1.0, 0.0) + Estimate.unavailable("why"),
        Estimate.unavailable("why").scaled(2.0),
        Estimate.unavailable("why").total(),
    ):
        assert whole.reason == "why"
        assert np.isnan(whole.value)


def test_value_and_error_are_leaves_and_the_method_is_not():
    leaves = jax.tree.leaves(estimate(1.0, 0.5))
    assert [float(x) for x in leaves] == [1.0, 0.5]


def test_value_and_error_share_a_shape():
    with pytest.raises(Exception, match="Type-check error"):
        estimate([1.0, 2.0], 0.5)

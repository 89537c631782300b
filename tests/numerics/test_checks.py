"""Every check: what passes, and the whole message of what does not."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space import checks

NAN = float("nan")


def check_message(call, *parts):
    """The message is `field = value: must be domain; remedy`, on one line."""
    with pytest.raises(ValueError) as caught:
        call()
    field, value, domain, remedy = parts
    assert str(caught.value) == f"{field} = {value}: must be {domain}; {remedy}"


@pytest.mark.parametrize(
    ("value", "rank", "shown", "domain", "remedy"),
    [
        ("x", None, "'x'", "an array of numbers", "check its entries"),
        (["1", "2"], 1, "['1', '2']", "an array of numbers", "check its entries"),
        ([True], 1, "[True]", "an array of numbers", "check its entries"),
        ([1j], 1, "[1j]", "an array of numbers", "check its entries"),
        ([{}], 1, "[{}]", "an array of numbers", "check its entries"),
        ([[1.0], [1.0, 2.0]], 2, "[[1.0], [1.0, 2.0]]", "an array of numbers", "check its entries"),
        (3.0, 1, "3.0", "an array of rank 1, not 0", "check the brackets"),
        ([[1]], (1, 3), "[[1]]", "an array of rank 1 or 3, not 2", "check the brackets"),
        ([1, NAN], 1, "[1, nan]", "finite", "remove the infinite or NaN entries"),
        ([-np.inf], None, "[-inf]", "finite", "remove the infinite or NaN entries"),
    ],
)
def test_numbers_refuses(value, rank, shown, domain, remedy):
    check_message(lambda: checks.numbers("means", value, rank), "means", shown, domain, remedy)


def test_numbers_returns_float64():
    for value in ([1, 2], (1.0, 2.0), np.array([1, 2], np.float32), jnp.array([1, 2])):
        array = checks.numbers("means", value, 1)
        assert isinstance(array, np.ndarray)
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, [1.0, 2.0])


def test_nonempty():
    np.testing.assert_array_equal(checks.nonempty("mean", [3], 1), [3.0])
    check_message(
        lambda: checks.nonempty("mean", [], 1),
        *("mean", "[]", "an array with entries", "give at least one number"),
    )


@pytest.mark.parametrize(
    ("check", "value", "shown", "domain", "remedy"),
    [
        (checks.finite, "1", "'1'", "a number", "give a number, without quotes"),
        (checks.finite, True, "True", "a number", "give a number, without quotes"),
        (checks.finite, np.bool_(1), "True", "an array of numbers", "check its entries"),
        (checks.finite, None, "None", "finite", "remove the infinite or NaN entries"),
        (checks.finite, [1.0], "[1.0]", "an array of rank 0, not 1", "check the brackets"),
        (checks.finite, NAN, "nan", "finite", "remove the infinite or NaN entries"),
        (checks.positive, 0, "0.0", "above 0", "give a positive number"),
        (checks.positive, -2, "-2.0", "above 0", "give a positive number"),
        (
            checks.nonnegative,
            -1e-300,
            "-1e-300",
            "at least 0",
            "give a number that is not negative",
        ),
        (checks.count, 0, "0", "a whole number of at least 1", "give an integer"),
        (checks.count, 2.0, "2.0", "a whole number of at least 1", "give an integer"),
        (checks.count, True, "True", "a whole number of at least 1", "give an integer"),
        (checks.count, "3", "'3'", "a whole number of at least 1", "give an integer"),
        (checks.decreasing, [2, 2], "[2, 2]", "strictly decreasing", "sort it from large to small"),
    ],
)
def test_scalar_checks_refuse(check, value, shown, domain, remedy):
    check_message(lambda: check("steps", value), "steps", shown, domain, remedy)


def test_scalar_checks_pass():
    assert checks.finite("x", -3) == -3.0
    assert checks.positive("x", np.float32(0.5)) == 0.5
    assert checks.nonnegative("x", 0) == 0.0
    assert checks.count("x", np.int64(2), least=2) == 2
    checks.decreasing("x", [3.0, 1.0])
    checks.ordered("low", 1.0, "high", 2.0)
    checks.same_dimension("a", 2, "b", 2)
    assert checks.one_of("kind", "edm", {"song", "edm"}) == "edm"


def test_relations_refuse():
    check_message(
        lambda: checks.count("samples", 1, least=2),
        *("samples", "1", "a whole number of at least 2", "give an integer"),
    )
    check_message(
        lambda: checks.one_of("kind", "edn", {"song", "edm"}),
        *("kind", "'edn'", "one of edm, song", "choose one of these names"),
    )
    check_message(
        lambda: checks.ordered("sigma_min", 3, "sigma_max", 2),
        *("sigma_min", "3.0", "below sigma_max = 2.0", "swap or move them"),
    )
    check_message(
        lambda: checks.same_dimension("len(means)", 3, "weights", 2),
        *("len(means)", "3", "the dimension of weights, 2", "make them agree"),
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], r"w = \[\]: must be non-negative, .*; check the signs"),
        ([1.5, -0.5], r"w = \[1\.5, -0\.5\]: must be non-negative, .*; check the signs"),
        ([0.5, 0.6], r"w = .*: must be a vector that sums to 1, not 1\.1; divide by the sum"),
        ([[1.0]], r"w = \[\[1\.0\]\]: must be an array of rank 1, not 2; check the brackets"),
        ([NAN, 1], r"w = \[nan, 1\]: must be finite; .*"),
    ],
)
def test_probabilities_refuse(value, message):
    with pytest.raises(ValueError, match=message):
        checks.probabilities("w", value)


def test_probabilities_lose_their_rounding():
    weights = checks.probabilities("w", np.full(3, 1 / 3) * (1 + 1e-10))
    assert float(weights.sum()) == 1.0
    np.testing.assert_array_equal(checks.probabilities("w", [0, 1]), [0.0, 1.0])


@pytest.mark.parametrize(
    ("value", "dim", "message"),
    [
        ([[1.0, 0.0]], 2, r"S = \[\[1\.0, 0\.0\]\]: must be a 2 x 2 matrix; match .*mean"),
        ([[1.0]], 2, r"S = .*: must be a 2 x 2 matrix; match the dimension of the mean"),
        ([1.0], 1, r"S = \[1\.0\]: must be an array of rank 2, not 1; check the brackets"),
        ([[1.0, 0.1], [0.2, 1.0]], 2, r"S = .*: must be symmetric; replace it by \(A \+ A\^T\)/2"),
        ([[1.0, 2.0], [2.0, 1.0]], 2, r"positive semidefinite; its least eigenvalue is -1; check"),
        ([[-1e-9]], 1, r"must be positive semidefinite; its least eigenvalue is -1e-09"),
    ],
)
def test_covariance_refuses(value, dim, message):
    with pytest.raises(ValueError, match=message):
        checks.covariance("S", value, dim)


def test_covariance_passes_rounding_and_singular_matrices():
    root = np.random.default_rng(0).normal(size=(4, 2))
    np.testing.assert_array_equal(checks.covariance("S", np.zeros((2, 2)), 2), np.zeros((2, 2)))
    value = checks.covariance("S", root @ root.T, 4)
    np.testing.assert_array_equal(value, value.T)
    near = np.array([[1.0, 0.5], [0.5 + 1e-11, 1.0]])
    np.testing.assert_array_equal(checks.covariance("S", near, 2)[0, 1], 0.5 + 5e-12)


def test_long_values_are_shortened_and_line_breaks_removed():
    message = str(checks.refusal("points", np.arange(900.0).reshape(300, 3), "short", "cut"))
    assert "\n" not in message
    assert re.fullmatch(r"points = \[\[0\.0, .{93}\.\.\..{15}: must be short; cut", message)


def test_traced_values_pass():
    def traced(x):
        checks.numbers("x", x, 3)
        checks.positive("x", x[0])
        checks.nonnegative("x", x[0])
        checks.decreasing("x", x)
        checks.probabilities("x", x)
        checks.covariance("x", x, 7)
        checks.nonempty("x", x, 2)
        checks.ordered("a", x[0], "b", x[1])
        return x

    jax.eval_shape(traced, jnp.array([-1.0, -2.0]))

"""The tangent law's noise levels."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp

from design_space.optimal.tangent import tangent, tangent_sigmas
from design_space.schedules.named import schedule

CASES = [(0.25, 0.002, 80.0), (1.0, 0.1, 3.0), (400.0, 0.5, 80.0)]


def shrinking(c2, sigmas):
    """By what Euler's method multiplies a deviation: prod (c^2 + a b)/(c^2 + a^2)."""
    pairs = itertools.pairwise(sigmas)
    return np.prod([(c2 + a * b) / (c2 + a**2) for a, b in pairs])


@pytest.mark.parametrize(("c2", "low", "high"), CASES)
@pytest.mark.parametrize("steps", [1, 2, 9, 200])
def test_levels(c2, low, high, steps):
    sigmas = np.asarray(tangent_sigmas(c2, steps, low, high))
    assert sigmas.shape == (steps + 1,)
    assert sigmas[0] == high
    assert sigmas[-1] == low
    assert np.all(np.diff(sigmas) < 0)
    angles = np.diff(np.arctan(sigmas / np.sqrt(c2)))
    # the arctangent is known to EPS of a quarter turn
    np.testing.assert_allclose(angles, angles[0], atol=1e-15)


@pytest.mark.parametrize(("c2", "low", "high"), CASES)
def test_levels_in_sixty_digits(c2, low, high):
    c = mp.sqrt(exact(c2))
    start, stop = mp.atan(exact(high) / c), mp.atan(exact(low) / c)
    expected = [float(c * mp.tan(start + (stop - start) * j / 7)) for j in range(8)]
    # near a quarter turn the tangent magnifies rounding by its size, 160 here
    np.testing.assert_allclose(tangent_sigmas(c2, 7, low, high), expected, rtol=1e-13)


@pytest.mark.parametrize(("c2", "low", "high"), CASES)
@pytest.mark.parametrize("steps", [2, 5])
def test_no_other_grid_shrinks_less(c2, low, high, steps):
    best = shrinking(c2, np.asarray(tangent_sigmas(c2, steps, low, high)))
    final = np.sqrt((c2 + low**2) / (c2 + high**2))  # what the exact flow does
    assert best < final
    random = np.random.default_rng(1)
    for kind, _ in itertools.product(("angle", "log"), range(200)):
        share = np.sort(random.random(steps - 1))[::-1]
        if kind == "log":
            inner = low * (high / low) ** share
        else:
            ends = np.arctan(np.array([low, high]) / np.sqrt(c2))
            inner = np.sqrt(c2) * np.tan(ends[0] + share * (ends[1] - ends[0]))
        assert shrinking(c2, [high, *inner, low]) <= best * (1 + 1e-14)


def test_numbers_may_be_traced():
    given = [jnp.asarray(x) for x in zip(*CASES, strict=True)]
    found = jax.jit(jax.vmap(lambda c2, low, high: tangent_sigmas(c2, 6, low, high)))(*given)
    for row, case in zip(found, CASES, strict=True):
        # compiled and uncompiled code round tan and arctan in their own way
        np.testing.assert_allclose(row, tangent_sigmas(case[0], 6, *case[1:]), rtol=1e-12)
    slope = jax.grad(lambda c2: tangent_sigmas(c2, 2, 0.1, 3.0)[1])(1.0)
    step = 1e-6
    near = [float(tangent_sigmas(1 + s * step, 2, 0.1, 3.0)[1]) for s in (-1, 1)]
    np.testing.assert_allclose(slope, (near[1] - near[0]) / (2 * step), rtol=1e-8)


def test_the_schedule_has_these_levels():
    found = tangent(0.5, 12)
    np.testing.assert_array_equal(found.backward_sigmas, tangent_sigmas(0.25, 12, 0.002, 80.0))
    np.testing.assert_array_equal(found.backward_times, found.backward_sigmas)


def test_unit_scale_is_the_cosine_schedule():
    expected = schedule(time="cosine", steps=9).backward_sigmas
    np.testing.assert_allclose(tangent(1.0, 9).backward_sigmas, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 5), "data_std = 0.0: must be above 0"),
        ((1.0, 0), "steps = 0: must be a whole number"),
        ((1.0, 5, 2.0, 1.0), "sigma_min = 2.0: must be below sigma_max"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tangent(*arguments)

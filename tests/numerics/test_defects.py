"""Differences that cancel, against mpmath."""

import jax
import jax.numpy as jnp
import numpy as np
from reference.precision import exact, mp

from design_space.numerics.defects import DefectSum, expm1_defect, log1p_defect

EPS = np.finfo(np.float64).eps
SMALL = np.geomspace(1e-150, 0.9, 150)
LARGE = np.geomspace(1.0, 1e12, 40)
NEAR_SWITCH = np.array([0.02, 0.25, 0.5])[:, None] * (1 + np.array([-1e-12, -EPS, 0, EPS, 1e-12]))


def worst(values, points, truth):
    pairs = zip(np.asarray(values), points, strict=True)
    with mp.workdps(340):  # x^2 of 1e-300 beside x of 1e-150 leaves forty digits at the least
        return max(float(abs(exact(y) / truth(exact(x)) - 1)) for y, x in pairs)


def test_log1p_defect():
    points = np.concatenate([SMALL, -SMALL, LARGE, NEAR_SWITCH.ravel(), -NEAR_SWITCH.ravel()])
    # where the difference is taken as it stands, at |x| >= 1/4, it is at least |x| / 10: ten
    # roundings of x and of the logarithm
    assert worst(log1p_defect(points), points, lambda x: x - mp.log1p(x)) < 12 * EPS


def test_log1p_defect_near_its_pole_and_beyond():
    points = -1 + np.geomspace(1e-15, 0.1, 40)
    assert worst(log1p_defect(points), points, lambda x: x - mp.log1p(x)) < 4 * EPS
    assert np.isposinf(log1p_defect(-1.0))
    assert np.isnan(log1p_defect(-1.5))
    assert float(log1p_defect(0.0)) == 0.0


def test_expm1_defect():
    points = np.concatenate(
        [SMALL, -SMALL, -LARGE, np.geomspace(1.0, 700.0, 40), NEAR_SWITCH.ravel()]
    )
    # exp magnifies the rounding of nothing, since x is exact; at 1/2 the difference is x / 3.4
    assert worst(expm1_defect(points), points, lambda x: mp.expm1(x) - x) < 8 * EPS
    assert float(expm1_defect(0.0)) == 0.0


def test_defects_have_finite_gradients_on_either_side_of_their_switch():
    points = np.array([-0.7, -0.1, 0.0, 1e-9, 0.1, 0.7, 30.0])
    slopes = jax.vmap(jax.grad(lambda x: log1p_defect(x)))(points)
    # d/dx = x / (1 + x) and exp(x) - 1; a gradient of a ten-term series loses a few roundings
    np.testing.assert_allclose(slopes, points / (1 + points), rtol=1e-13, atol=1e-300)
    slopes = jax.vmap(jax.grad(lambda x: expm1_defect(x)))(points)
    np.testing.assert_allclose(slopes, np.expm1(points), rtol=1e-13, atol=1e-300)


def defect_sums(columns):
    """Sums over the rows of an array [terms, sums], as the toolkit adds them."""
    start = DefectSum.zeros((columns.shape[1],))
    total, _ = jax.lax.scan(lambda s, x: (s.add(x), None), start, jnp.asarray(columns))
    return total.total()


def test_defect_sum():
    rng = np.random.default_rng(0)
    columns = np.stack(
        [
            np.full(60, 1e-9),  # small only
            10 ** rng.uniform(-12, -2, 60),
            np.full(60, 0.02),  # the least x that meets the logarithm
            rng.uniform(0.02, 0.6, 60),  # large only
            10 ** rng.uniform(-9, -0.3, 60),  # mixed
            np.r_[0.999999, np.full(59, 1e-6)],
            np.zeros(60),
        ],
        axis=1,
    )
    sums = np.asarray(defect_sums(columns))
    for value, column in zip(sums[:-1], columns.T, strict=False):
        truth = mp.fsum(-exact(x) - mp.log1p(-exact(x)) for x in column)
        # a term of at least 2e-4 beside a logarithm good to EPS per factor: 5e3 EPS = 1.1e-12
        assert abs(value / truth - 1) < 1.2e-12
    assert sums[-1] == 0.0
    np.testing.assert_array_equal(sums, defect_sums(columns))


def test_defect_sum_does_not_depend_on_order():
    column = 10 ** np.random.default_rng(1).uniform(-9, -0.3, 60)
    sums = defect_sums(np.stack([column, column[::-1], np.sort(column)], axis=1))
    np.testing.assert_allclose(sums, sums[0], rtol=1e-12)

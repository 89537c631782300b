"""Gaussian laws of the sampler against sixty-digit recursions of mean and covariance."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import gaussian, grids, matrices
from reference.precision import exact, mp, variances
from scipy import stats

from design_space.sampling.gaussian_law import (
    affine_law,
    exact_score_law,
    probability_flow_law,
)
from design_space.sampling.steppers import Frozen
from design_space.schedules.schedule import Schedule
from design_space.scores.base import Deviation

EIGENVALUES = [0.0, 1e-6, 1e-2, 1.0, 1e3, 1e6]
MEAN = [1.0, -0.5, 2.0, 0.0, 30.0, -1000.0]
GRIDS = {"edm": grids.edm(20), "song": grids.song(20)} | {
    f"random-{seed}": grids.random(20, seed) for seed in range(4)
}
# 20 steps round each part by a few units in the last place, and v_j = sigma_j^2 once more.
UNITS = 20 * 16 * 2.0**-52


def grid_arrays(sigmas):
    s = np.asarray(sigmas)
    return jnp.asarray(s**2), jnp.asarray((s[:-1] - s[1:]) * (s[:-1] + s[1:]))


def frozen_law(mean, eigenvalues, sigmas, slopes, intercepts):
    """The law of the paper's sampler under s_j = L + E_j (x - m) + e_j."""
    found = Deviation(jnp.asarray(slopes), jnp.asarray(intercepts), jnp.zeros_like(intercepts))
    moves = Frozen().moves(Schedule.from_sigmas(np.asarray(sigmas)))
    where = (jnp.asarray(mean), jnp.asarray(eigenvalues))
    return eqx.filter_jit(affine_law)(*where, moves, ((found,),))


def assert_law(law, expected):
    """`expected` holds a twin law per coordinate."""
    for i, end in enumerate(expected):
        tolerance = UNITS * float(end.variance_parts)
        assert abs(float(law.excess[i]) - float(end.variance_error)) <= tolerance
        tolerance = UNITS * float(end.mean_parts)
        assert abs(float(law.shift[i]) - float(end.mean_error)) <= tolerance


@pytest.mark.parametrize("sigmas", GRIDS.values(), ids=GRIDS.keys())
def test_exact_score(sigmas):
    v, h = grid_arrays(sigmas)
    law = jax.jit(exact_score_law)(jnp.asarray(MEAN), jnp.asarray(EIGENVALUES), v, h)
    expected = [
        gaussian.law(exact(lam), exact(m), variances(sigmas), mp.one, mp.zero)
        for lam, m in zip(EIGENVALUES, MEAN, strict=True)
    ]
    assert_law(law, expected)
    parts = [float(end.variance_parts) for end in expected]
    # Sums of positive terms lose nothing to cancellation.
    np.testing.assert_allclose(law.absolute, parts, rtol=UNITS)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.01, 2.0])
def test_scaled_and_shifted_score(factor):
    shift = [0.1, 0.0, -1.0, 2.0, 1e-3, 1e-8]
    for sigmas in (GRIDS["edm"], GRIDS["random-1"]):
        v, _ = grid_arrays(sigmas)
        slopes = -(factor - 1) / (np.asarray(EIGENVALUES)[None, :] + np.asarray(v[:-1])[:, None])
        offsets = np.broadcast_to(np.asarray(shift)[None, :], slopes.shape)
        law = frozen_law(MEAN, EIGENVALUES, sigmas, slopes, offsets)
        expected = [
            gaussian.law(exact(lam), exact(m), variances(sigmas), exact(factor), exact(b))
            for lam, m, b in zip(EIGENVALUES, MEAN, shift, strict=True)
        ]
        assert_law(law, expected)


def full_design(seed, steps=5, dim=3, size=0.3):
    """E_j that do not commute, of the size of the exact slopes."""
    rng = np.random.default_rng(seed)
    sigmas = grids.random(steps, seed, 0.1, 20.0)
    eigenvalues, mean = np.array([0.0, 0.3, 5.0]), rng.normal(size=dim)
    v, _ = grid_arrays(sigmas)
    slopes = rng.normal(size=(steps, dim, dim)) * size / (1 + np.asarray(v[:-1]))[:, None, None]
    return sigmas, mean, eigenvalues, slopes, rng.normal(size=(steps, dim)) * size


def full_twin(sigmas, mean, eigenvalues, slopes, intercepts):
    """The law under s_j(x) = A_j x + b_j, A_j = E_j - (l + v_j)^{-1}, b_j = e_j - A_j m."""
    levels, m = variances(sigmas), matrices.column(mean)
    a, b = [], []
    for v, slope, intercept in zip(levels, slopes, intercepts, strict=False):
        inverse = mp.diag([1 / (exact(lam) + v) for lam in eigenvalues])
        a.append(matrices.matrix(slope) - inverse)
        b.append(matrices.column(intercept) - a[-1] * m)
    end = matrices.sampler_law(levels, a, b)
    exact_end = mp.diag([exact(lam) + levels[-1] for lam in eigenvalues])
    return end.mean - m, end.covariance - exact_end


@pytest.mark.parametrize("seed", range(4))
def test_scores_that_do_not_commute(seed):
    sigmas, mean, eigenvalues, slopes, intercepts = full_design(seed)
    law = frozen_law(mean, eigenvalues, sigmas, slopes, intercepts)
    shift, excess = full_twin(sigmas, mean, eigenvalues, slopes, intercepts)
    scale = float(np.max(np.asarray(law.absolute))) + float(np.max(np.abs(mean)))
    # Five steps of 3 x 3 products, whose parts are of the size of `absolute`.
    found = np.asarray([[float(x) for x in row] for row in excess.tolist()])
    np.testing.assert_allclose(law.excess, found, rtol=0, atol=1e-14 * scale)
    np.testing.assert_allclose(law.shift, [float(x) for x in shift], rtol=0, atol=1e-14 * scale)
    np.testing.assert_array_equal(law.excess, np.asarray(law.excess).T)


def test_diagonal_matrices_give_the_commuting_law():
    sigmas, mean, eigenvalues, slopes, intercepts = full_design(7)
    diagonals = np.diagonal(slopes, axis1=1, axis2=2)
    one = frozen_law(mean, eigenvalues, sigmas, diagonals, intercepts)
    matrices_ = np.stack([np.diag(d) for d in diagonals])
    other = frozen_law(mean, eigenvalues, sigmas, matrices_, intercepts)
    # The same sums in another order.
    np.testing.assert_allclose(other.excess, np.diag(one.excess), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(other.shift, one.shift, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(other.absolute, one.absolute, rtol=1e-13)


@pytest.mark.parametrize("sigmas", GRIDS.values(), ids=GRIDS.keys())
def test_probability_flow(sigmas):
    law = jax.jit(probability_flow_law)(
        jnp.asarray(MEAN), jnp.asarray(EIGENVALUES), jnp.asarray(sigmas)
    )
    for i, (value, m) in enumerate(zip(EIGENVALUES, MEAN, strict=True)):
        # Euler's method for dy/dsigma = sigma (y - m)/(l + sigma^2), from N(0, sigma_0^2)
        center, scale = mp.zero, exact(sigmas[0])
        for high, low in itertools.pairwise(map(exact, sigmas)):
            slope = high / (exact(value) + high**2)
            center += (low - high) * slope * (center - exact(m))
            scale += (low - high) * slope * scale
        final = exact(value) + exact(sigmas[-1]) ** 2
        parts = float(scale**2 + final)
        # a long step's factor is 1 - x with x near 1: EPS/(1 - x), up to 1e3 roundings here
        assert abs(float(law.excess[i]) - float(scale**2 - final)) <= 1e3 * UNITS * parts
        size = max(abs(m), 1e-300)
        assert abs(float(law.shift[i]) - float(center - exact(m))) <= 1e3 * UNITS * size
        np.testing.assert_allclose(law.absolute[i], parts, rtol=1e3 * UNITS)


def test_probability_flow_of_particles():
    sigmas, value, m, count = grids.edm(6, 0.1, 5.0, 3.0), 0.5, 1.5, 20_000
    y = sigmas[0] * np.random.default_rng(0).standard_normal(count)
    for high, low in itertools.pairwise(sigmas):
        score = -(y - m) / (value + high**2)
        y = y + (low - high) * (-high * score)
    law = probability_flow_law(jnp.array([m]), jnp.array([value]), jnp.asarray(sigmas))
    spread = value + sigmas[-1] ** 2 + float(law.excess[0])
    # Both intervals hold with 99.9 %.
    half = stats.norm.ppf(1 - 2.5e-4) * np.sqrt(spread / count)
    assert abs(y.mean() - m - float(law.shift[0])) <= half
    low, high = stats.chi2.ppf([2.5e-4, 1 - 2.5e-4], count - 1) / (count - 1)
    assert low <= y.var(ddof=1) / spread <= high

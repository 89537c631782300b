"""The path KL of samplers of another mean or noise, against chains of Gaussians and Monte Carlo."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.precision import exact, mp

from design_space.errors.budget import error_budget
from design_space.errors.design import SamplerDesign
from design_space.errors.discretization import discretization_errors
from design_space.errors.path import path_terms
from design_space.optimal.step_variance import optimal_variance
from design_space.sampling.steppers import Ancestral, EulerMaruyama, Frozen, OptimalVariance
from design_space.schedules.edm_table import vp
from design_space.schedules.named import edm, song
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

STEPS = 5
KEY = jax.random.key(3)
GRIDS = {
    "edm": edm(STEPS, 0.02, 8.0),
    "song": song(STEPS, 0.05, 6.0),
    "vp": vp(STEPS, t_min=0.01, t_max=0.7),
}
MEAN, SPREAD = 1.25, 0.49
LINE = Gaussian.isotropic(1, 0.7, np.array([MEAN]))
PAIR = GaussianMixture.isotropic([0.3, 0.7], [[-1.0], [1.5]], [0.4, 0.2])


def terms(target, grid, score, stepper, samples=256):
    found = path_terms(SamplerDesign(target, grid, score, stepper), KEY, samples)
    assert not isinstance(found, str), found
    return found


# ---- one dimension: every kernel in closed form, sixty digits -----------------------------------


def levels(grid):
    """Pairs (sigma, sigma', t, t') in mpf, in the order of the sampler."""
    sigmas = [exact(s) for s in np.asarray(grid.backward_sigmas)]
    times = [exact(t) for t in np.asarray(grid.backward_times)]
    return [
        (*s, *t) for s, t in zip(itertools.pairwise(sigmas), itertools.pairwise(times), strict=True)
    ]


def frozen_kernel(high, low, *_):
    """(p, b, C): y' = y + p y + b s(y) + sqrt(C) U."""
    return mp.zero, high**2 - low**2, high**2 - low**2


def maruyama_in_sigma(high, low, *_):
    """dY = 2 sigma s d sigma + sqrt(2 sigma) dW, appendix D of arXiv 2011.13456 with t = sigma."""
    gain = 2 * high * (high - low)
    return mp.zero, gain, gain


def maruyama_of_song(high, low, time, later):
    """sigma_bar = sqrt t has the diffusion coefficient g^2 = 1."""
    return mp.zero, time - later, time - later


def maruyama_of_vp(high, low, time, later):
    """X' = X + (beta X/2 + beta grad log p(X)) dt + sqrt(beta dt) U for X = S Y."""
    beta, dt = exact(19.9) * time + exact(0.1), time - later
    before, after = 1 / mp.sqrt(1 + high**2), 1 / mp.sqrt(1 + low**2)
    grown = before * (1 + beta * dt / 2) / after
    return grown - 1, beta * dt / (before * after), beta * dt / after**2


def ancestral(eta):
    """Eq. (12) and (16) of arXiv 2010.02502 for x = sqrt(abar) y."""

    def kernel(high, low, *_):
        bar, later = 1 / (1 + high**2), 1 / (1 + low**2)
        up = exact(eta) * mp.sqrt((1 - later) / (1 - bar)) * mp.sqrt(1 - bar / later)
        # x' = sqrt(abar') x0 + sqrt(1 - abar' - up^2) eps + up U, x0 = y - sigma eps
        # with eps = -sigma s
        eps = -high  # per unit of s
        gain = -high * eps + mp.sqrt((1 - later - up**2) / later) * eps
        return mp.zero, gain, up**2 / later

    return kernel


def posterior(high, low, *_):
    """The best isotropic noise for N(., SPREAD): the variance of the reverse process itself."""
    h = high**2 - low**2
    return mp.zero, h, h * (exact(SPREAD) + low**2) / (exact(SPREAD) + high**2)


CASES = {
    "edm, Euler in sigma": ("edm", EulerMaruyama("sigma"), maruyama_in_sigma),
    "edm, Euler in time": ("edm", EulerMaruyama(), maruyama_in_sigma),  # its time is sigma
    "song, Euler in sigma": ("song", EulerMaruyama("sigma"), maruyama_in_sigma),
    "song, Euler in time": ("song", EulerMaruyama(), maruyama_of_song),
    "vp, Euler in sigma": ("vp", EulerMaruyama("sigma"), maruyama_in_sigma),
    "vp, Euler in time": ("vp", EulerMaruyama(), maruyama_of_vp),
    "edm, ancestral": ("edm", Ancestral(1.0), ancestral(1.0)),
    "song, half ancestral": ("song", Ancestral(0.5), ancestral(0.5)),
    "vp, half ancestral": ("vp", Ancestral(0.5), ancestral(0.5)),
    "edm, best variance": ("edm", "optimal", posterior),
    "edm, frozen": ("edm", Frozen(), frozen_kernel),
}


def chain_terms(grid, kernel, factor=1.0, shift=0.0):
    """Each step's mean KL of the backward kernel of N(m, l + v) from the sampler's, in mpf."""
    mean, spread = exact(MEAN), exact(SPREAD)
    found = []
    for step in levels(grid):
        high, low = step[:2]
        p, b, noise = kernel(*step)
        total, after = spread + high**2, spread + low**2
        slope, offset = -exact(factor) / total, exact(factor) * mean / total + exact(shift)
        # X_{v'} given X_v = x is N(m + (after/total)(x - m), after (1 - after/total))
        rest = after * (high**2 - low**2) / total / noise
        tilt = after / total - (1 + p + b * slope)
        centre = mean - ((1 + p + b * slope) * mean + b * offset)
        gap = (centre**2 + tilt**2 * total) / noise
        found.append((rest - 1 - mp.log(rest) + gap) / 2)
    return found


# The spread of the target is 0.7 * 0.7 in float64, not SPREAD: 1 EPS, as are the noise levels of a
# step, so that what is a difference of levels, e.g. sigma - sigma' >= sigma'/2, loses a few EPS.
TOLERANCE = 1e-12


@pytest.mark.parametrize("name", CASES)
def test_every_step_on_a_gaussian_is_a_kl_of_kernels(name):
    grid, stepper, kernel = CASES[name]
    grid = GRIDS[grid]
    stepper = optimal_variance(LINE, grid) if stepper == "optimal" else stepper
    own = chain_terms(grid, kernel)
    for factor, shift in ((1.0, 0.0), (1.3, 0.0), (1.0, -0.4)):
        score = exact_score(LINE)
        score = scaled_score(score, factor) if factor != 1 else score
        score = shifted_score(score, [shift]) if shift else score
        found = terms(LINE, grid, score, stepper)
        truth = chain_terms(grid, kernel, factor, shift)
        both = found.discretization + found.score
        for part, each in (
            (found.discretization, own),
            (both, truth),
            (found.score, [whole - e for whole, e in zip(truth, own, strict=True)]),
        ):
            check(part, each, own)


def check(part, each, own):
    """The value is the twin's, and the error that is stated covers the difference."""
    assert part.method == "closed form"
    truths, size = (np.array([float(e) for e in given]) for given in (each, own))
    scale = np.abs(truths) + size
    off = np.abs(np.asarray(part.value) - truths)
    np.testing.assert_array_less(off, TOLERANCE * scale + 1e-15)
    assert np.all(off <= part.error + TOLERANCE / 10 * scale)
    assert np.all(part.error < 1e-10 * scale + 1e-12)


# ---- three dimensions: covariances in NumPy ------------------------------------------------------


def turned():
    """A Gaussian whose covariance is in no special position."""
    basis = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    covariance = basis @ np.diag([0.04, 0.5, 3.0]) @ basis.T
    mean = np.array([0.5, -2.0, 1.0])
    return Gaussian(mean, covariance), mean, covariance


def gaussian_kl(mean_gap, own, other):
    """KL(N(m, own) | N(m', other)) with m - m' given, as a mean square matrix."""
    inverse = np.linalg.inv(other)
    inside = np.trace(inverse @ own) - len(own) + np.sum(inverse * mean_gap)
    return 0.5 * (inside - np.linalg.slogdet(own)[1] + np.linalg.slogdet(other)[1])


def matrix_terms(grid, noises):
    """Each step's mean KL in three dimensions, exact score and the paper's mean."""
    _, _, covariance = turned()
    unit, found = np.eye(3), []
    variances = np.asarray(grid.backward_sigmas) ** 2
    for (v, low), noise in zip(itertools.pairwise(variances), noises, strict=True):
        before, after = covariance + v * unit, covariance + low * unit
        drift = after @ np.linalg.inv(before)
        rest = after - drift @ after
        tilt = drift - (unit - (v - low) * np.linalg.inv(before))
        found.append(gaussian_kl(tilt @ before @ tilt.T, rest, noise))
    return np.array(found)


def test_noise_of_any_covariance_on_a_turned_gaussian():
    target, _, covariance = turned()
    grid = GRIDS["edm"]
    v, h = np.asarray(grid.backward_variances)[:-1], np.asarray(grid.backward_variance_steps)
    root = np.random.default_rng(6).normal(size=(3, 3))
    bent = 0.2 * (root @ root.T - np.eye(3)) / np.linalg.norm(root) ** 2
    defects = h[:, None, None] * bent
    found = terms(target, grid, exact_score(target), OptimalVariance(defects))
    truths = matrix_terms(grid, h[:, None, None] * (np.eye(3) + bent))
    # NumPy's KL is a difference of numbers of size 3 + |log det|, about 10
    np.testing.assert_allclose(found.discretization.value, truths, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(found.score.value, np.zeros(STEPS))

    full = optimal_variance(target, grid, "full")
    unit, whole = np.eye(3), np.array([covariance + each * np.eye(3) for each in v])
    exact_noise = h[:, None, None] * unit - (h**2)[:, None, None] * np.linalg.inv(whole)
    np.testing.assert_allclose(full.moves(grid)[0].variance, exact_noise, rtol=1e-10, atol=1e-13)
    none = terms(target, grid, exact_score(target), full).discretization
    plain = discretization_errors(target, grid.backward_variances, jnp.asarray(h), KEY, 2)
    np.testing.assert_allclose(none.value, 0.0, atol=1e-13)
    assert np.all(np.abs(none.value) <= none.error)
    assert np.min(np.asarray(plain.value)) > 1e-3  # there was something to remove


# ---- the best isotropic noise ------------------------------------------------------------------


def fisher_of_the_pair(v):
    """I(v) of PAIR by the trapezoid rule, which is spectral here."""
    x = np.linspace(-150, 150, 300_001)  # 12 standard deviations at the largest noise of vp
    weights, means, spreads = np.array([0.3, 0.7]), np.array([-1.0, 1.5]), np.array([0.16, 0.04])
    total = spreads + v
    parts = (
        weights * np.exp(-((x[:, None] - means) ** 2) / (2 * total)) / np.sqrt(2 * np.pi * total)
    )
    density = parts.sum(axis=1)
    slope = (-(x[:, None] - means) / total * parts).sum(axis=1)
    inside = density > 0
    return np.sum(slope[inside] ** 2 / density[inside]) * (x[1] - x[0])


@pytest.mark.parametrize("target", [LINE, PAIR], ids=["gaussian", "pair"])
def test_the_best_isotropic_noise_is_a_minimum(target):
    grid = GRIDS["edm"]
    best = optimal_variance(target, grid)
    h = np.asarray(grid.backward_variance_steps)

    def total(defects):
        found = terms(target, grid, exact_score(target), OptimalVariance(defects))
        return np.asarray(found.discretization.value)

    least, noise = total(best.defects), h + np.asarray(best.defects)
    for factor in (0.9, 0.99, 1.01, 1.1):
        # (1/2) [x - 1 - log x] above the least, x = best/other: the noise enters a step's KL so
        rise = 0.5 * (1 / factor - 1 + np.log(factor))
        np.testing.assert_allclose(total(factor * noise - h) - least, rise, rtol=1e-7)


@pytest.mark.parametrize("name", ["edm", "vp"])
def test_the_best_isotropic_noise_gains_what_the_theory_says(name):
    """E_D changes by (1/2) sum d [x + log(1 - x)], x = h I/d."""
    grid = GRIDS[name]
    v, h = np.asarray(grid.backward_variances)[:-1], np.asarray(grid.backward_variance_steps)
    share = h * np.array([fisher_of_the_pair(each) for each in v])
    own = terms(PAIR, grid, exact_score(PAIR), optimal_variance(PAIR, grid)).discretization
    plain = discretization_errors(PAIR, grid.backward_variances, jnp.asarray(h), KEY, 2)
    gain = 0.5 * (share + np.log1p(-share))
    assert own.method == "quadrature"
    np.testing.assert_allclose(own.value - plain.value, gain, rtol=1e-9, atol=1e-12)


# ---- a mixture: log p(path)/q(path) on drawn paths ---------------------------------------------


def log_normal(x, mean, variance):
    return -0.5 * ((x - mean) ** 2 / variance + np.log(2 * np.pi * variance))


def density_and_score(x, v):
    """log p_v and its slope for PAIR, in NumPy."""
    weights, means, spreads = np.array([0.3, 0.7]), np.array([-1.0, 1.5]), np.array([0.16, 0.04])
    each = np.log(weights) + log_normal(x[:, None], means, spreads + v)
    top = each.max(axis=1, keepdims=True)
    log_density = top[:, 0] + np.log(np.exp(each - top).sum(axis=1))
    share = np.exp(each - log_density[:, None])
    return log_density, (share * -(x[:, None] - means) / (spreads + v)).sum(axis=1)


def log_ratios(grid, kernel, factor, paths=200_000):
    """log p(path)/q(path) on paths of the exact process, drawn forwards."""
    rng = np.random.default_rng(11)
    sigmas = np.asarray(grid.backward_sigmas)
    low = rng.random(paths) < 0.3
    x = np.where(low, -1.0, 1.5) + np.where(low, 0.4, 0.2) * rng.normal(size=paths)
    x = x + sigmas[-1] * rng.normal(size=paths)
    ratio = density_and_score(x, sigmas[-1] ** 2)[0]
    for step in reversed(levels(grid)):
        high, below = (float(s) for s in step[:2])
        p, b, noise = (float(number) for number in kernel(*step))
        before = x + np.sqrt(high**2 - below**2) * rng.normal(size=paths)
        mean = (1 + p) * before + b * factor * density_and_score(before, high**2)[1]
        ratio += log_normal(before, x, high**2 - below**2) - log_normal(x, mean, noise)
        x = before
    return ratio - log_normal(x, 0.0, sigmas[0] ** 2)


@pytest.mark.parametrize(
    ("name", "factor"),
    [("song, Euler in sigma", 1.0), ("vp, Euler in time", 1.2), ("song, half ancestral", 0.9)],
)
def test_the_path_kl_of_a_mixture_is_the_mean_log_ratio_of_paths(name, factor):
    grid, stepper, kernel = CASES[name]
    grid = GRIDS[grid]
    score = exact_score(PAIR) if factor == 1 else scaled_score(exact_score(PAIR), factor)
    found = error_budget(PAIR, grid, score, stepper=stepper)
    ratios = log_ratios(grid, kernel, factor)
    middle, spread = ratios.mean(), ratios.std() / np.sqrt(ratios.size)
    assert found.path_kl.method == "quadrature"
    assert float(found.path_kl.error) < 1e-7
    # 4 standard errors, and they say something: below 2% of the value
    assert abs(float(found.path_kl.value) - middle) < 4 * spread
    assert 4 * spread < 0.02 * middle
    assert float(found.marginal_kl.value) <= float(found.path_kl.value)


def test_in_the_plane_the_full_noise_beats_the_isotropic_one_and_is_sampled():
    target = GaussianMixture.isotropic(
        [0.2, 0.3, 0.5], [[-1.0, 0.0], [1.5, 0.3], [0.0, 2.0]], [0.4, 0.2, 0.3]
    )
    grid, score = GRIDS["edm"], exact_score(target)
    sums = {}
    for form in ("isotropic", "full"):
        part = terms(target, grid, score, optimal_variance(target, grid, form), 1024)
        assert part.discretization.method == "monte carlo"
        sums[form] = float(jnp.sum(part.discretization.value))
    plain = terms(target, grid, score, OptimalVariance(jnp.zeros(STEPS)), 1024).discretization
    frozen = discretization_errors(
        target, grid.backward_variances, grid.backward_variance_steps, KEY, 1024
    )
    np.testing.assert_allclose(plain.value, frozen.value, rtol=1e-12)
    # the same draws: the least over more noises is smaller
    assert sums["full"] < sums["isotropic"] < float(jnp.sum(plain.value))


# ---- data processing ---------------------------------------------------------------------------


@settings(max_examples=8)
@given(
    spread=st.floats(0.05, 3.0),
    mean=st.floats(-2.0, 2.0),
    factor=st.floats(0.7, 1.3),
    eta=st.floats(0.1, 1.0),
    low=st.floats(0.01, 0.5),
)
def test_the_marginal_kl_is_at_most_the_path_kl(spread, mean, factor, eta, low):
    target = Gaussian.isotropic(1, spread, np.array([mean]))
    grid = edm(STEPS, low, 6.0)
    score = scaled_score(exact_score(target), factor)
    for stepper in (Ancestral(eta), EulerMaruyama("sigma")):
        found = error_budget(target, grid, score, stepper=stepper)
        slack = found.marginal_kl.error + found.path_kl.error
        assert found.marginal_kl.method == found.path_kl.method == "closed form"
        assert 0 <= float(found.marginal_kl.value) <= float(found.path_kl.value + slack)

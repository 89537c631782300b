"""Gaussian laws of every stepper against sixty-digit recursions, and against particles."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.precision import exact, mp
from scipy import stats

from design_space.errors.gaussian_marginal import gaussian_law
from design_space.sampling.flows import Churn, FlowEuler, FlowHeun, FlowMidpoint
from design_space.sampling.simulate import simulate
from design_space.sampling.steppers import (
    Ancestral,
    EulerMaruyama,
    Frozen,
    OptimalVariance,
    PredictorCorrector,
)
from design_space.schedules.named import edm
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.targets.gaussian import Gaussian

STEPS = 24
GRID = edm(STEPS)
MEAN, EIGENVALUES = [1.0, -0.5, 0.0, 30.0], [1e-6, 0.25, 3.0, 1e4]
TARGET = Gaussian.diagonal(MEAN, EIGENVALUES)
EXACT = exact_score(TARGET)
FACTOR, SHIFT = 0.9, 0.2
WRONG = shifted_score(scaled_score(EXACT, FACTOR), [SHIFT] * 4)
LANGEVIN = np.linspace(0.5, 1e-6, STEPS)


class Twin:
    """Mean and variance of one coordinate through the maps of a sampler, in sixty digits.

    The score is s(y) = FACTOR (m - y)/(l + v) + SHIFT, or the exact one; maps are composed on the
    pair (a, b) of an affine map, as a sampler composes them on numbers.
    """

    def __init__(self, m, value, wrong):
        self.m, self.value = exact(m), exact(value)
        self.factor, self.shift = (exact(FACTOR), exact(SHIFT)) if wrong else (mp.one, mp.zero)
        self.mean, self.variance = mp.zero, mp.zero

    def score(self, y, sigma):
        """Of an affine function y = (slope, intercept) of the state, again one."""
        slope, intercept = y
        rate = -self.factor / (self.value + sigma**2)
        return rate * slope, rate * (intercept - self.m) + self.shift

    def take(self, y, noise):
        slope, intercept = y
        self.mean = slope * self.mean + intercept
        self.variance = slope**2 * self.variance + noise


def plus(*terms):
    """A sum of multiples of affine functions."""
    return tuple(sum((c * f[i] for c, f in terms), mp.zero) for i in range(2))


Y = (mp.one, mp.zero)


def frozen(t, j, high, low):
    h = high**2 - low**2
    t.take(plus((1, Y), (h, t.score(Y, high))), h)


def maruyama(t, j, high, low):
    b = 2 * high * (high - low)
    t.take(plus((1, Y), (b, t.score(Y, high))), b)


def ancestral(eta):
    def step(t, j, high, low):
        up = exact(eta) ** 2 * low**2 * (high**2 - low**2) / high**2
        down = mp.sqrt(low**2 - up)
        t.take(plus((1, Y), (high * (high - down), t.score(Y, high))), up)

    return step


def euler(t, j, high, low):
    t.take(plus((1, Y), (high * (high - low), t.score(Y, high))), 0)


def heun_map(t, high, low):
    first = t.score(Y, high)
    inner = plus((1, Y), (high * (high - low), first))
    half = (high - low) / 2
    return plus((1, Y), (half * high, first), (half * low, t.score(inner, low)))


def heun(t, j, high, low):
    t.take(heun_map(t, high, low), 0)


def midpoint(t, j, high, low):
    middle = mp.sqrt(high * low)
    inner = plus((1, Y), (high * (high - middle), t.score(Y, high)))
    t.take(plus((1, Y), (middle * (high - low), t.score(inner, middle))), 0)


def churn(t, j, high, low):
    gamma = min(exact(5.0) / STEPS, mp.sqrt(2) - 1) if 0.1 <= high <= 60 else mp.zero
    top = high * (1 + gamma)
    t.take(Y, exact(1.01) ** 2 * (top**2 - high**2))
    t.take(heun_map(t, top, low), 0)


def corrected(t, j, high, low):
    frozen(t, j, high, low)
    e = exact(LANGEVIN[j])
    t.take(plus((1, Y), (e, t.score(Y, low))), 2 * e)


CASES = {
    "frozen": (Frozen(), frozen),
    "euler-maruyama": (EulerMaruyama("sigma"), maruyama),
    "ancestral": (Ancestral(), ancestral(1.0)),
    "ancestral 0.3": (Ancestral(0.3), ancestral(0.3)),
    "ddim": (Ancestral(0.0), euler),
    "ode-euler": (FlowEuler(), euler),
    "heun": (FlowHeun(), heun),
    "midpoint": (FlowMidpoint(), midpoint),
    "churn": (Churn(5.0, 0.1, 60.0, 1.01), churn),
    "predictor-corrector": (PredictorCorrector(LANGEVIN), corrected),
}


def twins(step, wrong):
    levels = [exact(s) for s in np.asarray(GRID.backward_sigmas)]
    found = []
    for m, value in zip(MEAN, EIGENVALUES, strict=True):
        twin = Twin(m, value, wrong)
        twin.variance = levels[0] ** 2
        for j, (high, low) in enumerate(itertools.pairwise(levels)):
            step(twin, j, high, low)
        found.append(twin)
    return found


@pytest.mark.parametrize("wrong", [False, True], ids=["exact", "wrong"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_mean_and_variance(case, wrong):
    stepper, step = CASES[case]
    law = gaussian_law(TARGET, GRID, WRONG if wrong else EXACT, stepper)
    low = exact(float(GRID.backward_sigmas[-1]))
    for i, twin in enumerate(twins(step, wrong)):
        final = twin.value + low**2
        excess, variance = twin.variance - final, float(law.excess[i]) + final
        # what is asked for of laws: 1e-12 of the variance; and the small excess itself to
        # a few roundings of each step's parts, which `absolute` counts
        assert abs(variance / twin.variance - 1) < 1e-12
        assert abs(float(law.excess[i]) - float(excess)) <= 64 * 2e-16 * float(law.absolute[i])
        # a score that is shifted carries the mean as far as sigma_0^2 times the shift
        size = float(abs(twin.m)) + float(abs(twin.mean)) + 1e-3
        assert abs(float(law.shift[i]) - float(twin.mean - twin.m)) < 1e-12 * size


@pytest.mark.parametrize("case", ["ode-euler", "heun", "midpoint"])
def test_the_map_of_a_flow(case):
    """A deterministic sampler multiplies y - m by a factor: to 1e-13, also on a narrow law."""
    stepper, step = CASES[case]
    law = gaussian_law(TARGET, GRID, EXACT, stepper)
    for i, twin in enumerate(twins(step, False)[:3]):
        final = twin.value + exact(float(GRID.backward_sigmas[-1])) ** 2
        ratio = (float(law.excess[i]) + final) / twin.variance
        assert abs(mp.sqrt(ratio) - 1) < 1e-13


def test_noise_that_is_not_alike_and_a_basis():
    """Full covariances in a rotated basis, against matrix products."""
    rng = np.random.default_rng(3)
    basis, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    covariance = basis @ np.diag([0.1, 1.0, 4.0]) @ basis.T
    target, grid = Gaussian([1.0, -2.0, 0.5], covariance), edm(8, 0.1, 10.0)
    v = np.asarray(grid.backward_variances)
    h = v[:-1] - v[1:]
    root = rng.normal(size=(8, 3, 3)) / 3
    noises = h[:, None, None] * (root @ np.swapaxes(root, 1, 2) + 0.1 * np.eye(3))
    stepper = OptimalVariance(noises - h[:, None, None] * np.eye(3))
    m, total = np.zeros(3), v[0] * np.eye(3)
    for j in range(8):
        inverse = np.linalg.inv(covariance + v[j] * np.eye(3))
        t = np.eye(3) - h[j] * inverse
        m, total = t @ m + h[j] * inverse @ [1.0, -2.0, 0.5], t @ total @ t.T + noises[j]
    law = gaussian_law(target, grid, exact_score(target), stepper)
    own = np.asarray(target.basis)
    found = own @ (np.diag(target.eigenvalues + v[-1]) + np.asarray(law.excess)) @ own.T
    np.testing.assert_allclose(found, total, rtol=0, atol=1e-12 * np.max(total))
    np.testing.assert_allclose(own @ np.asarray(law.shift), m - [1.0, -2.0, 0.5], atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_million_particles(case):
    stepper, _ = CASES[case]
    count = 1_000_000
    law = gaussian_law(TARGET, GRID, WRONG, stepper)
    y = simulate(WRONG, GRID, jax.random.key(2), count=count, dim=4, stepper=stepper).particles
    variance = np.asarray(TARGET.eigenvalues + GRID.backward_variances[-1] + law.excess)
    # 80 intervals of 99.99 % hold together with 99 %
    half = stats.norm.ppf(1 - 5e-5) * np.sqrt(variance / count)
    assert np.all(np.abs(np.asarray(jnp.mean(y, axis=0)) - MEAN - np.asarray(law.shift)) <= half)
    low, high = stats.chi2.ppf([5e-5, 1 - 5e-5], count - 1) / (count - 1)
    ratio = np.asarray(jnp.var(y, axis=0, ddof=1)) / variance
    assert np.all((low <= ratio) & (ratio <= high))

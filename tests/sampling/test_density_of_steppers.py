"""The density on the line for every stepper: against the Gaussian closed form, brute force in
NumPy, and particles.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from design_space.errors.line import line_errors
from design_space.errors.line_law import line_laws
from design_space.errors.marginal import marginal_errors
from design_space.numerics.grid import interpolate
from design_space.sampling.density_law import density_law
from design_space.sampling.flows import Churn, FlowEuler, FlowHeun, FlowMidpoint
from design_space.sampling.line_density import COARSE, FINE
from design_space.sampling.simulate import simulate
from design_space.sampling.steppers import (
    Ancestral,
    EulerMaruyama,
    Frozen,
    OptimalVariance,
    PredictorCorrector,
    one_stage,
)
from design_space.schedules.named import edm
from design_space.schedules.scale import PreservingScale
from design_space.schedules.schedule import Schedule
from design_space.scores.exact import exact_score
from design_space.scores.function import host_score
from design_space.scores.perturbed import scaled_score
from design_space.targets.gaussian import Gaussian
from design_space.targets.line import Line
from design_space.targets.mixture import GaussianMixture

KEY = jax.random.key(0)
MODES = GaussianMixture.isotropic([0.3, 0.7], [[-1.0], [1.0]], 0.1)


def errors_of(line, score, schedule, stepper):
    laws = line_laws(score, schedule, stepper)
    return line_errors(line, schedule.backward_variances[-1], laws)


def preserving(schedule):
    """The same levels and times, seen in a state that keeps its variance."""
    return Schedule(
        schedule.variance, schedule.forward_sigmas, schedule.forward_times, PreservingScale()
    )


def optimal_variance(schedule):
    """Somewhat less noise than the frozen score has, none in the third step."""
    h, v = schedule.backward_variance_steps, schedule.backward_variances
    defects = -0.1 * h**2 / (v[:-1] + 0.25)
    return OptimalVariance(defects.at[2].set(-h[2]))


STEPPERS = {
    "frozen": lambda _: Frozen(),
    "euler-maruyama in sigma": lambda _: EulerMaruyama("sigma"),
    "euler-maruyama in time": lambda _: EulerMaruyama("time"),
    "ancestral": lambda _: Ancestral(1.0),
    "ancestral .5": lambda _: Ancestral(0.5),
    "ancestral .05": lambda _: Ancestral(0.05),
    "ancestral .001": lambda _: Ancestral(0.001),
    "ddim": lambda _: Ancestral(0.0),
    "euler in sigma": lambda _: FlowEuler("sigma"),
    "euler in time": lambda _: FlowEuler("time"),
    "heun in sigma": lambda _: FlowHeun("sigma"),
    "heun in time": lambda _: FlowHeun("time"),
    "midpoint": lambda _: FlowMidpoint(),
    "churn": lambda _: Churn(),
    "most churn": lambda _: Churn(s_churn=1e3, s_min=0.0),
    "predictor-corrector": lambda s: PredictorCorrector(0.05 * s.backward_variances[1:]),
    "two correctors": lambda s: PredictorCorrector(0.05 * s.backward_variances[1:], 2),
    "optimal variance": optimal_variance,
}


def gaussian_pair(std, change):
    """The Gaussian in closed form, and along the line in disguise."""
    target = Gaussian.isotropic(1, std, [0.3 * std])
    parts = [[0.3 * std], [0.3 * std]]
    disguise = GaussianMixture.isotropic([0.4, 0.6], parts, std)
    return (target, change(exact_score(target))), (disguise, change(exact_score(disguise)))


def assert_same_gaussian(stepper, schedule, std=0.5, change=lambda score: score):
    closed, line = (
        marginal_errors(target, schedule, score, KEY, 64, stepper)
        for target, score in gaussian_pair(std, change)
    )
    for one, other in (
        (closed.marginal_kl, line.marginal_kl),
        (closed.w2_squared, line.w2_squared),
    ):
        assert (one.method, other.method) == ("closed form", "quadrature")
        assert abs(float(one.value - other.value)) <= float(one.error + other.error)
        # Log q and the displacement are a parabola and a line, which interpolation keeps; 60 moves
        # round by 1e-14 each, which sqrt(2/KL) < 1e3 enlarges.
        np.testing.assert_allclose(other.value, one.value, rtol=1e-9)


@pytest.mark.parametrize("name", STEPPERS)
def test_equal_components_are_the_gaussian(name):
    schedule = preserving(edm(20))
    assert_same_gaussian(STEPPERS[name](schedule), schedule)


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPPERS)
@pytest.mark.parametrize(("std", "factor"), [(30.0, 1.0), (0.05, 0.8)])
def test_other_scales_and_a_wrong_score(name, std, factor):
    schedule = preserving(edm(60))
    stepper = STEPPERS[name](schedule)
    assert_same_gaussian(stepper, schedule, std, lambda score: scaled_score(score, factor))


def test_a_map_that_falls_everywhere_turns_the_density_around():
    """Three times the score: Euler's map has the slope 1 - 3 (1 - sigma'/sigma) = -1."""
    schedule = Schedule.from_sigmas([20.0, 6.0, 2.0, 0.6])
    assert_same_gaussian(FlowEuler(), schedule, 0.05, lambda score: scaled_score(score, 3.0))


# Brute force. The law is point masses on a moving lattice, and its density there; every formula
# of the samplers is written out again.

WEIGHTS, MEANS, STDS = [0.3, 0.7], [-0.8, 1.0], [0.3, 0.4]
WIDE = GaussianMixture.isotropic(WEIGHTS, np.array(MEANS)[:, None], STDS)
LEVELS = [2.0, 1.3, 0.8, 0.5]
# With 2.5 times the score Heun's map folds in the second of these steps.
FOLDED, FACTOR = [2.0, 1.3, 0.5, 0.45], 2.5


def bells(x, v):
    """w_k N(x; m_k, s_k^2 + v), analytic in x, shape [2, points]."""
    return np.array(
        [
            w * np.exp(-((x - m) ** 2) / (2 * (s * s + v))) / np.sqrt(2 * np.pi * (s * s + v))
            for w, m, s in zip(WEIGHTS, MEANS, STDS, strict=True)
        ]
    )


def twin_score(x, sigma):
    each = bells(x, sigma**2)
    pulls = [-(x - m) / (s * s + sigma**2) for m, s in zip(MEANS, STDS, strict=True)]
    return (each[0] * pulls[0] + each[1] * pulls[1]) / (each[0] + each[1])


def heun(x, high, low, factor):
    slope = -high * factor * twin_score(x, high)
    ahead = x + (low - high) * slope
    return x + (low - high) * (slope - low * factor * twin_score(ahead, low)) / 2


def twin_moves(name, levels, factor):
    """Mean and variance of every move."""
    for high, low in itertools.pairwise(levels):
        h = high**2 - low**2
        if name == "heun in sigma":
            yield lambda x, a=high, b=low: heun(x, a, b, factor), 0.0
        elif name == "churn":
            top = high * (1 + min(0.9 / 3, np.sqrt(2) - 1))
            yield lambda x: x, 1.003**2 * (top**2 - high**2)
            yield lambda x, a=top, b=low: heun(x, a, b, factor), 0.0
        else:
            e = 0.05 * low**2
            yield lambda x, h=h, a=high: x + h * twin_score(x, a), h
            yield lambda x, e=e, b=low: x + e * twin_score(x, b), 2 * e


def brute_force(name, levels, factor=1.0):
    """Places, masses and densities; cells of .03 against widths above .15 are exact."""
    lattice = np.linspace(-18, 18, 1201)
    dx = lattice[1] - lattice[0]
    x, density = lattice, stats.norm.pdf(lattice, scale=levels[0])
    masses = density * dx
    for mean, variance in twin_moves(name, levels, factor):
        if variance == 0:
            moved = mean(x + 1e-30j)  # the imaginary part is 1e-30 times the derivative
            x, density = moved.real, density / (moved.imag / 1e-30)
            continue
        kernel = stats.norm.pdf(lattice[:, None], mean(x), np.sqrt(variance))
        density = kernel @ masses
        x, masses = lattice, density * dx
    return x, masses, density


@pytest.mark.parametrize("name", ["heun in sigma", "churn", "predictor-corrector"])
def test_against_brute_force(name):
    schedule = Schedule.from_sigmas(LEVELS)
    stepper = Churn(s_churn=0.9) if name == "churn" else STEPPERS[name](schedule)
    x, masses, density = brute_force(name, LEVELS)
    near = density > 1e-30
    x, masses, density = x[near], masses[near], density[near]
    score = exact_score(WIDE)
    found = density_law(score, stepper.moves(schedule))
    log_q = interpolate(found.grid, found.log_values, x)
    # FINE is good to 1e-10 of the maximum per step.
    np.testing.assert_allclose(np.exp(log_q), density, atol=1e-9 * np.max(density))
    ratio = np.sum(bells(x, LEVELS[-1] ** 2), axis=0) / density
    kl = float(np.sum(masses * ratio * np.log(ratio)))
    line = errors_of(Line.of(WIDE.components()), score, schedule, stepper).marginal_kl
    assert abs(float(line.value) - kl) <= float(line.error) + 1e-9 * kl
    assert float(line.error) < 1e-7 * kl


def test_a_fold_that_noise_follows():
    """Churn adds noise between Heun's moves; without it the same map has no density."""
    schedule, score = Schedule.from_sigmas(FOLDED), scaled_score(exact_score(WIDE), FACTOR)
    with pytest.raises(ValueError, match="the map of step 2 folds"):
        density_law(score, FlowHeun().moves(schedule))
    x, _, density = brute_force("churn", FOLDED, FACTOR)
    found = density_law(score, Churn(s_churn=0.9).moves(schedule))
    log_q = interpolate(found.grid, found.log_values, x)
    np.testing.assert_allclose(np.exp(log_q), density, atol=1e-9 * np.max(density))


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPPERS)
def test_a_million_particles(name):
    """Equal bins of the density law, where its quantiles are, and the weights of the modes."""
    count, schedule = 1_000_000, preserving(edm(20))
    if name == "midpoint":  # its map folds with fewer steps
        schedule = preserving(edm(50))
    stepper, score = STEPPERS[name](schedule), exact_score(MODES)
    law = density_law(score, stepper.moves(schedule))
    drawn = simulate(score, schedule, KEY, count=count, dim=1, stepper=stepper).particles[:, 0]
    x = np.linspace(law.grid.origin, law.grid.end, 1_000_001)
    mass = np.cumsum(np.exp(interpolate(law.grid, law.log_values, x))) * (x[1] - x[0])
    assert mass[-1] == pytest.approx(1.0, abs=1e-7)
    inner = np.linspace(0, 1, 51)[1:-1]
    edges = np.interp(inner, mass, x)
    found = np.diff(np.searchsorted(np.sort(np.asarray(drawn)), edges), prepend=0, append=count)
    # by chance once in a million times
    assert stats.chisquare(found).pvalue > 1e-6
    right = 1 - float(np.interp(0.0, x, mass))
    assert abs(np.mean(drawn > 0) - right) < 4.9 * np.sqrt(right * (1 - right) / count)


@pytest.mark.parametrize("name", ["heun in sigma", "ancestral .05", "churn"])
def test_two_resolutions_agree(name):
    schedule, score = edm(20), exact_score(MODES)
    moves = STEPPERS[name](schedule).moves(schedule)
    y = np.linspace(-1.5, 1.5, 301)
    coarse, fine = (
        np.exp(interpolate(law.grid, law.log_values, y))
        for law in (density_law(score, moves, how) for how in (COARSE, FINE))
    )
    # (7/10)^12 = 1/70: coarse is off by 1e-6 where fine is by 1e-8
    np.testing.assert_allclose(coarse, fine, atol=1e-6 * np.max(fine))


def test_a_fold_gives_the_reason():
    score, schedule = scaled_score(exact_score(MODES), 3.0), edm(6, 0.1, 5.0)
    reason = (
        r"the map of step \d folds between x = .* and x = .*: its density is unbounded; "
        "take more steps, or a sampler with noise"
    )
    with pytest.raises(ValueError, match=reason):
        density_law(score, FlowEuler().moves(schedule))
    # particles are left then
    found = marginal_errors(MODES, schedule, score, KEY, 4096, FlowEuler())
    assert found.marginal_kl.method == "monte carlo"
    assert 0.05 < float(found.marginal_kl.value) < np.inf
    # with noise the same map has a density
    assert density_law(score, Ancestral(1.0).moves(schedule)).grid.size > 0


def test_a_variance_below_zero_is_refused():
    schedule = edm(6)
    h = schedule.backward_variance_steps
    with pytest.raises(ValueError, match="of the noise in step 2: must be at least 0"):
        density_law(
            exact_score(MODES),
            (one_stage(schedule, 0.0, 0.0, jnp.zeros(6).at[1].set(-2 * h[1]), True),),
        )


@pytest.mark.parametrize(("stepper", "order"), [(FlowEuler(), 1), (FlowHeun(), 2)])
def test_the_order_of_a_flow(stepper, order):
    """The density errs like N^-order, and so the KL like its square."""
    even = GaussianMixture.isotropic([0.5, 0.5], [[-0.8], [0.8]], 0.3)
    line, score = Line.of(even.components()), exact_score(even)
    steps = [20, 40, 80]
    # the start's KL, which the flow keeps, is (0.73 / 2000^2)^2 / 4 = 1e-14
    found = [
        float(errors_of(line, score, edm(n, 0.1, 2000.0), stepper).marginal_kl.value) for n in steps
    ]
    slope = np.diff(np.log(found)) / np.diff(np.log(steps))
    # the next order is smaller by a factor of 1/N, 8/N measured for Heun's method
    assert np.all(np.abs(slope + 2 * order) < 10 / np.array(steps[:-1]))


def test_a_score_without_derivative_is_carried_by_differences():
    """NumPy on the host: JAX has no derivative of it."""
    schedule = Schedule.from_sigmas(LEVELS)
    host = host_score(lambda x, sigma: twin_score(x[:, 0], sigma)[:, None].real)
    line = Line.of(WIDE.components())
    one, other = (
        errors_of(line, score, schedule, FlowHeun()).marginal_kl.value
        for score in (host, exact_score(WIDE))
    )
    # a quotient of order 8 with steps of 1/40 of the scale
    np.testing.assert_allclose(one, other, rtol=1e-8)

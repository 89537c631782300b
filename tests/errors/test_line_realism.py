"""Realism on the line against closed forms and brute force, from densities that are given."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.special import logsumexp
from scipy.stats import norm

from design_space.errors.line_law import LineLaws, line_laws
from design_space.errors.line_realism import line_realism
from design_space.errors.realism_record import ANGLES, check_alpha, effective_modes
from design_space.numerics.estimate import Estimate
from design_space.sampling.density_law import density_law
from design_space.sampling.flows import FlowHeun
from design_space.sampling.line_density import COARSE, FINE, LineDensity, Resolution
from design_space.sampling.steppers import Ancestral, Frozen
from design_space.schedules.named import edm
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score
from design_space.targets.labeled import LabeledMixture
from design_space.targets.line import Line
from design_space.targets.mixture import GaussianMixture

ALPHA = 1e-3


def line(weights, centers, stds):
    with np.errstate(divide="ignore"):
        logs = jnp.asarray(np.log(weights))
    return Line(logs, jnp.asarray(centers, float), jnp.asarray(stds, float) ** 2)


def log_mixture(x, weights, centers, stds):
    x = np.asarray(x)[..., None]
    with np.errstate(divide="ignore"):
        return logsumexp(norm.logpdf(x, centers, stds) + np.log(weights), axis=-1)


def given(weights, centers, stds):
    """A mixture as the law of a sampler, at both resolutions."""
    low = np.min(np.subtract(centers, 13.5 * np.array(stds)))
    high = np.max(np.add(centers, 13.5 * np.array(stds)))

    def density(how):
        grid = how.grid(low, high, min(stds) / how.cells)
        return LineDensity(grid, log_mixture(grid.points(), weights, centers, stds))

    return LineLaws(density(COARSE), density(FINE), 1e-15)


def measured(p, q, **options):
    """Data of a mixture p at noise variance zero, and a law q."""
    return line_realism(line(*p), jnp.zeros(()), given(*q), **options)


def holds(estimate, truth, useful=1e-9):
    """Right within its error, and the error is of use; 1e-14 is the reference's rounding."""
    gap = np.abs(np.asarray(estimate.value) - truth)
    assert np.all(gap <= np.asarray(estimate.error) + 1e-14), (gap, estimate.error)
    assert np.all(np.asarray(estimate.error) <= useful)
    assert estimate.method in ("quadrature", "closed form")


def gaussian_overlap(slope, b, s):
    """int min(l p, q) for p = N(0, 1), q = N(b, s^2), by the roots of the quadratic log q/p = l."""
    roots = np.sort(np.roots([0.5 - 0.5 / s**2, b / s**2, -0.5 * (b / s) ** 2 - np.log(s * slope)]))
    if np.iscomplex(roots).any():
        return 1.0 if s < 1 and gaussian_ratio(b, s) < np.log(slope) else min(slope, 1.0)
    p, q = np.diff(norm.cdf(roots))[0], np.diff(norm.cdf(roots, b, s))[0]
    return q + slope * (1 - p) if s > 1 else slope * p + 1 - q


def gaussian_ratio(b, s):
    """The largest log q/p, for s < 1."""
    x = -b / s**2 / (1 - 1 / s**2)
    return float(norm.logpdf(x, b, s) - norm.logpdf(x))


@pytest.mark.parametrize(("b", "s"), [(0.3, 1.4), (-0.5, 0.6), (6.0, 0.2)])
def test_two_gaussians_in_closed_form(b, s):
    found, z = measured(([1.0], [0.0], [1.0]), ([1.0], [b], [s])), norm.isf(ALPHA / 2)
    holds(found.valley_mass, norm.sf(z, b, s) + norm.cdf(-z, b, s))
    holds(found.precision, norm.cdf(z, b, s) - norm.cdf(-z, b, s))
    holds(found.recall, norm.cdf(b + s * z) - norm.cdf(b - s * z))
    holds(found.log_threshold, norm.logpdf(z))
    holds(found.between_mass, 0.0)  # the hull of one center is a point
    along = np.array([gaussian_overlap(np.tan(t), b, s) for t in ANGLES])
    holds(found.curve_precision, along)
    holds(found.curve_recall, along / np.tan(ANGLES), 1e-8)
    for square, name in ((64.0, "f_8"), (1 / 64, "f_eighth")):

        def score(t, square=square):
            slope = np.exp(t)
            return -(1 + square) * gaussian_overlap(slope, b, s) / (1 + square * slope)

        starts = np.linspace(-60, 60, 2401)
        start = starts[np.argmin([score(t) for t in starts])]
        best = minimize_scalar(score, bounds=(start - 0.1, start + 0.1), method="bounded")
        assert float(getattr(found, name).value) == pytest.approx(-best.fun, abs=1e-9)
    # far from q its density is not followed, only continued: the error of KL(p | q) says so
    holds(found.kl, np.log(s) + (1 + b * b) / (2 * s * s) - 0.5, np.inf if s < 0.5 else 1e-6)
    holds(found.reverse_kl, -np.log(s) + (s * s + b * b) / 2 - 0.5, 1e-6)
    holds(found.w2, np.hypot(b, s - 1))
    holds(found.mode_means, [[b]], 1e-8)
    holds(found.mode_variances, [[s * s]], 1e-8)
    holds(found.effective_modes, 1.0)


P = ([0.2, 0.5, 0.3], [-2.0, 0.5, 3.0], [0.3, 0.5, 0.2])
Q = ([0.25, 0.35, 0.3, 0.1], [-1.9, 0.5, 3.0, 2.1], [0.35, 0.4, 0.25, 0.08])


@pytest.fixture(scope="module")
def brute():
    """Both densities at the middles of a million cells."""
    edges = np.linspace(-8, 8, 1_000_001)
    x = (edges[1:] + edges[:-1]) / 2
    p, q = (np.exp(log_mixture(x, *law)) for law in (P, Q))
    return x, p, q, edges[1] - edges[0]


def level(density, cell):
    """The level below which the density has mass ALPHA."""
    ranked = np.sort(density)
    return ranked[np.searchsorted(np.cumsum(ranked) * cell, ALPHA)]


def test_mixtures_by_brute_force(brute):
    x, p, q, cell = brute
    found = measured(P, Q)
    low = p <= level(p, cell)
    inside = low & (x >= P[1][0]) & (x <= P[1][-1])
    # Cells are 1.6e-5 wide: each of 8 edges is off by half of one, at densities below 0.1.
    near = {"abs": 6e-6}
    assert float(found.valley_mass.value) == pytest.approx(np.sum(q[low]) * cell, **near)
    assert float(found.between_mass.value) == pytest.approx(np.sum(q[inside]) * cell, **near)
    assert float(found.data_between_mass.value) == pytest.approx(np.sum(p[inside]) * cell, **near)
    assert float(found.between_mass.value) > 0.03
    assert float(found.between_mass.value) < float(found.valley_mass.value)
    high = q > level(q, cell)
    assert float(found.recall.value) == pytest.approx(np.sum(p[high]) * cell, **near)
    # Sums of min(l p, q) have kinks only: the middle rule is off by its squared cell.
    for t, a, b in zip(ANGLES, found.curve_precision.value, found.curve_recall.value, strict=True):
        overlap = np.sum(np.minimum(np.tan(t) * p, q)) * cell if t in ANGLES[::9] else None
        if overlap is not None:
            assert float(a) == pytest.approx(overlap, abs=1e-9)
            assert float(b) == pytest.approx(overlap / np.tan(t), abs=1e-8)
    assert float(found.reverse_kl.value) == pytest.approx(
        np.sum(q * np.log(q / p)) * cell, abs=1e-9
    )
    joint = norm.pdf(x[:, None], P[1], P[2]) * P[0]
    shares = joint / p[:, None] * (q * cell)[:, None]
    weights = np.sum(shares, axis=0)
    means = shares.T @ x / weights
    np.testing.assert_allclose(found.mode_weights.value, weights, atol=1e-9)
    np.testing.assert_allclose(found.mode_means.value[:, 0], means, atol=1e-9)
    spread = np.sum(shares * (x[:, None] - means) ** 2, axis=0) / weights
    np.testing.assert_allclose(found.mode_variances.value[:, 0], spread, atol=1e-9)
    entropy = -np.sum(weights * np.log(weights))
    assert float(found.effective_modes.value) == pytest.approx(np.exp(entropy), abs=1e-8)
    for name in ("valley_mass", "between_mass", "recall", "curve_precision", "f_8", "f_eighth"):
        assert np.all(np.asarray(getattr(found, name).error) < 1e-8), name


def test_a_law_equal_to_the_data_is_perfect():
    found = measured(P, P, alpha=0.02)
    holds(found.valley_mass, 0.02)
    holds(found.precision, 0.98)
    holds(found.recall, 0.98)
    holds(found.between_mass, float(found.data_between_mass.value))
    holds(found.curve_precision, np.minimum(np.tan(ANGLES), 1.0))
    holds(found.curve_recall, np.minimum(1 / np.tan(ANGLES), 1.0), 1e-8)
    for each in (found.f_8, found.f_eighth):
        holds(each, 1.0)
    for name in ("mode_weights", "mode_means", "mode_variances", "effective_modes"):
        holds(getattr(found, name), np.asarray(getattr(found, f"data_{name}").value))
    for each in (found.kl, found.reverse_kl):
        holds(each, 0.0)


@pytest.mark.parametrize("alpha", [1e-9, 1e-5, 0.5])
def test_the_region_has_its_mass(alpha):
    """Edges of {p <= c} by bisection on the density itself, its mass by distribution functions."""
    found = measured(P, Q, alpha=alpha)
    c = float(found.log_threshold.value)
    x = np.linspace(-9, 9, 20001)
    low = log_mixture(x, *P) <= c
    cells = np.flatnonzero(low[1:] != low[:-1])
    edges = [brentq(lambda y: log_mixture(y, *P) - c, x[i], x[i + 1], xtol=1e-14) for i in cells]
    signs = np.where(low[cells], 1.0, -1.0)
    masses = {}
    for name, law in (("p", P), ("q", Q)):
        cdf = np.array([norm.cdf(e, law[1], law[2]) @ law[0] for e in edges])
        masses[name] = float(signs @ cdf) + 1.0
    assert masses["p"] == pytest.approx(alpha, rel=1e-6, abs=1e-14)
    holds(found.valley_mass, masses["q"])


def test_order_and_dead_components_do_not_matter():
    found = measured(P, Q)
    order = [2, 0, 1]
    turned = measured(tuple([part[i] for i in order] for part in P), Q)
    for name in ("valley_mass", "between_mass", "recall", "f_8", "effective_modes"):
        a, b = (float(getattr(each, name).value) for each in (found, turned))
        assert a == pytest.approx(b, abs=1e-13), name
    moved = np.asarray(found.mode_means.value)[order]
    np.testing.assert_allclose(turned.mode_means.value, moved, atol=1e-12)
    dead = ([0.2, 0.5, 0.3, 0.0], [-2.0, 0.5, 3.0, 3.5], [0.3, 0.5, 0.2, 0.3])
    same = measured(dead, Q)
    assert float(same.between_mass.value) == pytest.approx(
        float(found.between_mass.value), abs=1e-13
    )


def test_classes():
    mixture = GaussianMixture.isotropic(P[0], np.array(P[1])[:, None], P[2])
    labeled, v = LabeledMixture(mixture, [0, 1, 0]), 0.01
    shown = line_realism(
        line(*P), jnp.asarray(v), given(*Q), classifier=labeled.log_posterior
    ).class_probabilities
    weights = line_realism(line(*P), jnp.asarray(v), given(*Q)).mode_weights.value
    truth = [float(weights[0] + weights[2]), float(weights[1])]
    holds(shown, truth)

    def sure(x, variance):
        return jnp.log(0.25 + 0.0 * x[0])

    one = line_realism(line(*P), jnp.asarray(v), given(*Q), classifier=sure)
    holds(one.class_probabilities, 0.25)


def test_a_sampler_against_quantiles_of_its_law():
    """A mode in the tail of the other: errors hold what a finer schedule of grids would say."""
    target = GaussianMixture.isotropic([0.9, 0.1], [[-1.0], [1.0]], [0.2, 0.2])
    schedule = edm(10, sigma_min=0.05)
    laws = line_laws(exact_score(target), schedule, FlowHeun())
    v = schedule.backward_variances[-1]
    found = line_realism(Line.of(target.components()), v, laws)
    x = laws.fine.grid.points()
    q, cell = np.exp(laws.fine.log_values), laws.fine.grid.spacing
    std = float(np.sqrt(0.04 + v))
    log_p = log_mixture(x, [0.9, 0.1], [-1.0, 1.0], [std, std])
    low = log_p <= float(found.log_threshold.value)
    # a set's edges are off by half a cell, four of them
    near = 2 * cell * np.max(q[np.flatnonzero(low[1:] != low[:-1])])
    assert float(found.valley_mass.value) == pytest.approx(np.sum(q[low]) * cell, abs=near)
    assert np.all(np.asarray(found.curve_precision.error) < 1e-6)


class Finer(LineLaws):
    """A law at two resolutions beyond those of the library."""

    def each(self):
        return (self.coarse, FINER[0]), (self.fine, FINER[1])


FINER = Resolution(17.0, 3.2, 0.07), Resolution(25.0, 4.0, 0.0)


@pytest.mark.parametrize(
    "sampler", [Frozen(), pytest.param(FlowHeun(), marks=pytest.mark.slow), Ancestral()]
)
def test_stated_errors_hold_what_finer_grids_say(sampler):
    target = GaussianMixture.isotropic([0.4, 0.6], [[-2.0], [1.0]], [0.3, 0.15])
    schedule, score = edm(9, sigma_min=0.02), scaled_score(exact_score(target), 0.9)
    moves = sampler.moves(schedule)
    laws = line_laws(score, schedule, sampler)
    finer = Finer(*(density_law(score, moves, how) for how in FINER), laws.rounding)
    v = schedule.backward_variances[-1]
    here, there = (line_realism(Line.of(target.components()), v, each) for each in (laws, finer))
    for name in NUMBERS:
        one, other = getattr(here, name), getattr(there, name)
        gap = np.abs(np.asarray(one.value) - np.asarray(other.value))
        assert np.all(gap <= np.asarray(one.error) + np.asarray(other.error)), name
        assert np.all(np.asarray(one.error) < 1e-8), name


NUMBERS = (
    *("valley_mass", "between_mass", "data_between_mass", "recall", "f_8", "f_eighth"),
    *("curve_precision", "curve_recall", "mode_weights", "mode_means", "mode_variances"),
    *("effective_modes", "kl", "reverse_kl", "w2", "log_threshold"),
)


def test_effective_modes_holds_what_the_weights_allow():
    weights = np.array([0.5, 0.49, 0.01, 0.0])
    error = np.array([0.01, 0.01, 0.005, 0.001])
    found = effective_modes(Estimate(jnp.asarray(weights), jnp.asarray(error), "monte carlo"))
    random = np.random.default_rng(0)
    near = np.clip(weights + error * random.uniform(-1, 1, (1000, 4)), 1e-300, 1)
    values = np.exp(-np.sum(near * np.log(near), axis=1))
    assert np.all(np.abs(values - float(found.value)) <= float(found.error))
    assert float(found.error) < 0.2


@pytest.mark.parametrize("alpha", [0.0, 0.7, -1.0, float("nan"), True, "much"])
def test_bad_masses_are_refused(alpha):
    with pytest.raises(ValueError, match=r"^alpha = .*; "):
        check_alpha(alpha)


def test_a_bad_mass_does_not_pass():
    with pytest.raises(ValueError, match=r"^alpha = 0\.6"):
        measured(P, Q, alpha=0.6)


def test_the_curve_may_be_left_out():
    p, q = ([0.5, 0.5], [-1.0, 1.0], [0.3, 0.3]), ([1.0], [0.1], [1.0])
    whole, rest = measured(p, q), measured(p, q, curve=False)
    assert rest.f_8.reason == "the curve was not asked for"
    assert np.isnan(rest.curve_precision.value)
    for name in ("valley_mass", "recall", "kl", "w2"):
        assert getattr(rest, name).value == getattr(whole, name).value

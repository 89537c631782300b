"""The density twin against closed forms, nested quadrature and published numbers."""

import itertools

import numpy as np
import pytest

from reference import gaussian, grids
from reference.density import Law, Mixture, marginal_kl, propagate, w2
from reference.precision import mp, variances

BIMODAL = Mixture([0.5, 0.5], [-1.0, 1.0], [0.01, 0.01])


@pytest.mark.parametrize(
    ("mean", "variance", "factor", "shift"),
    [(0.7, 0.25, 1.0, 0.0), (2.0, 4.0, 0.8, 0.3), (1.0, 0.0, 1.0, 0.0), (0.5, 0.25, 3.0, 0.1)],
)
def test_gaussian_data(mean, variance, factor, shift):
    # With factor 3 the step map is decreasing at large steps; nothing in the twin minds.
    data, sigmas = Mixture([1.0], [mean], [variance]), grids.edm(12, 0.05, 20.0)
    law = propagate(lambda x, s: factor * data.score(x, s) + shift, sigmas)
    target = data.noisy(sigmas[-1] ** 2)
    expected = gaussian.errors([variance], [mean], variances(sigmas), factor, [shift])
    # Sums of some thousand rounded terms: 1e-13; the issue asks for 1e-7.
    assert marginal_kl(law, target) == pytest.approx(float(expected.marginal_kl), rel=1e-12)
    assert w2(law, target) == pytest.approx(float(expected.w2), rel=1e-12)


@pytest.mark.parametrize(
    ("sigmas", "printed"), [(grids.edm(20), 0.11174), (grids.song(20), 0.075849)]
)
def test_published_numbers_and_refinement(sigmas, printed):
    target = BIMODAL.noisy(sigmas[-1] ** 2)
    coarse, fine = (marginal_kl(propagate(BIMODAL.score, sigmas, r), target, r) for r in (3.0, 4.0))
    assert coarse == pytest.approx(fine, rel=1e-11)
    assert fine == pytest.approx(printed, rel=5e-5)  # five digits are printed


def test_a_folding_map_by_nested_quadrature():
    # Two steps of s(x) = 3 sin(x)/sigma: x + h s(x) turns back several times.
    sigmas = [2.0, 1.5, 1.0]
    law = propagate(lambda x, sigma: 3 * np.sin(x) / sigma, sigmas)
    h = [s * s - t * t for s, t in itertools.pairwise(sigmas)]
    assert min(np.diff(x := np.linspace(-6, 6, 500)) + h[0] * np.diff(1.5 * np.sin(x))) < 0

    # Composite Gauss-Legendre in both variables: pieces of one noise width, 24 points each.
    node, weight = np.polynomial.legendre.leggauss(24)

    def rule(far):
        starts = np.arange(-far, far)[:, None]
        return (starts + (node + 1) / 2).ravel(), np.tile(weight / 2, 2 * far)

    def normal(x, variance):
        return np.exp(-(x**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)

    def image(x, j):
        return x + h[j] * 3 * np.sin(x) / sigmas[j]

    (a, wa), (b, wb) = rule(18), rule(24)
    first = normal(b[:, None] - image(a, 0)[None, :], h[0]) @ (wa * normal(a, sigmas[0] ** 2))
    y = np.array([0.0, 1.3, -4.0])
    second = normal(y[:, None] - image(b, 1)[None, :], h[1]) @ (wb * first)
    assert law.density(y) == pytest.approx(second, rel=1e-12)


def test_w2_of_given_laws():
    # A shift moves every quantile alike; a Dirac spike has W2^2 = (mean gap)^2 + variance.
    law = Law(np.array([-1.0, 2.0]), np.array([0.3, 0.7]), 0.2)
    moved = Mixture([0.3, 0.7], [-0.75, 2.25], [0.04, 0.04])
    assert w2(law, moved) == pytest.approx(0.25, rel=1e-12)
    # Between modes far apart, moving mass d from one to the other costs about d times distance^2.
    other = Mixture([0.5, 0.5], [-1.0, 2.0], [0.04, 0.04])
    u = (np.arange(400_000) + 0.5) / 400_000
    z = np.linspace(-3.0, 4.0, 200_001)
    gaps = np.interp(u, law.cdf(z), z) - np.interp(u, other.cdf(z), z)
    # The midpoint rule in u, with jumps of the integrand at two places, is good to 1e-4.
    assert w2(law, other) == pytest.approx(np.sqrt(np.mean(gaps**2)), rel=1e-4)


def test_divergence_from_a_given_law_by_quadrature():
    law = Law(np.array([-0.9, 1.05]), np.array([0.4, 0.6]), 0.3)
    target = Mixture([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])

    def mix(x, weights, means, width):
        return sum(w * mp.npdf(x, m, width) for w, m in zip(weights, means, strict=True))

    def integrand(x):
        p = mix(x, [0.5, 0.5], [-1, 1], mp.sqrt(mp.mpf(0.1)))
        q = mix(x, law.masses.tolist(), law.centers.tolist(), mp.mpf(0.3))
        return p * mp.log(p / q)

    with mp.workdps(20):
        expected = mp.quad(integrand, mp.linspace(-6, 6, 25))
    assert marginal_kl(law, target) == pytest.approx(float(expected), rel=1e-12)
    mean, variance = law.moments()
    assert mean == pytest.approx(-0.36 + 0.63)
    assert variance == pytest.approx(0.09 + 0.24 * 1.95**2)


def test_too_wide_a_range_of_scales_is_refused():
    with pytest.raises(ValueError, match="too far apart"):
        propagate(lambda x, sigma: 1e7 * x, [1.0, 0.5])

"""Optimal transport on the line against closed forms and quantiles by root finding."""

import numpy as np
import pytest
from reference import density
from scipy import stats
from scipy.optimize import brentq

from design_space.numerics.grid import Grid
from design_space.numerics.transport import line_w2_squared

GRID = Grid(-16.0, 32.0 / 2047, 2048)
X = GRID.points()


def normal(mean, std):
    return stats.norm.logpdf(X, mean, std)


def mixture_log_density(weights, means, stds):
    parts = [
        np.log(w) + stats.norm.logpdf(X, m, s) for w, m, s in zip(weights, means, stds, strict=True)
    ]
    return np.logaddexp.reduce(parts)


@pytest.mark.parametrize(
    ("mean", "std"), [(0.0, 1.1), (0.3, 1.0), (-1.0, 0.5), (1e-5, 1.0), (0.0, 1.0 + 1e-6)]
)
def test_between_two_normals(mean, std):
    squared = float(line_w2_squared(GRID, normal(0.0, 1.0), normal(mean, std)))
    truth = mean**2 + (std - 1) ** 2
    # quantiles of grid densities are good to about 1e-13, so W2 is so, absolutely
    assert abs(np.sqrt(squared) - np.sqrt(truth)) < 1e-11 + 1e-9 * np.sqrt(truth)


def test_a_law_is_at_distance_zero_from_itself():
    law = mixture_log_density([0.3, 0.7], [-2.0, 2.0], [0.3, 0.5])
    assert float(line_w2_squared(GRID, law, law)) < 1e-24


def test_it_is_symmetric():
    p, q = normal(0.0, 1.0), mixture_log_density([0.4, 0.6], [-1.5, 1.0], [0.6, 0.8])
    forth, back = float(line_w2_squared(GRID, p, q)), float(line_w2_squared(GRID, q, p))
    assert forth == pytest.approx(back, rel=1e-8)  # two different integrals for one number


def quantile(weights, means, stds, z):
    """F^-1(Phi(z)), by the smaller tail."""
    tail = stats.norm.cdf if z < 0 else stats.norm.sf

    def gap(x):
        terms = zip(weights, means, stds, strict=True)
        return sum(w * tail(x, m, s) for w, m, s in terms) / tail(z) - 1

    return brentq(gap, -40.0, 40.0, xtol=1e-14, rtol=1e-15)


def test_a_mixture_against_quantiles_by_root_finding():
    law = ([0.4, 0.6], [-1.5, 1.0], [0.6, 0.8])
    # int (F^-1(Phi(z)) - z)^2 phi(z) dz: the integrand is smooth, the trapezoid rule spectral
    z = np.linspace(-8.5, 8.5, 601)
    gaps = np.array([quantile(*law, point) for point in z]) - z
    weight = stats.norm.pdf(z) * (z[1] - z[0])
    truth = np.sum(weight * gaps**2)
    squared = float(line_w2_squared(GRID, normal(0.0, 1.0), mixture_log_density(*law)))
    # a finer trapezoid rule moves this by 1e-12 of it; the tails left out weigh 1e-15
    assert squared == pytest.approx(truth, rel=1e-11)


def test_mass_that_crosses_a_gap_between_modes():
    p, q = ([0.5, 0.5], [-3.0, 3.0], [0.4, 0.4]), ([0.45, 0.55], [-3.0, 3.0], [0.4, 0.4])
    squared = line_w2_squared(GRID, mixture_log_density(*p), mixture_log_density(*q))
    law = density.Law(np.array(q[1]), np.array(q[0]), 0.4)
    twin = density.w2(law, density.Mixture(p[0], p[1], np.square(p[2]))) ** 2
    assert squared == pytest.approx(twin, rel=1e-8)  # the twin's own spread over resolutions
    # and by the quantile functions at 4e5 midpoints, with a jump of 6: an error below 36 / 4e5
    fine = np.linspace(-8.0, 8.0, 800_001)

    def quantiles(law, u):
        cdf = sum(w * stats.norm.cdf(fine, m, s) for w, m, s in zip(*law, strict=True))
        return np.interp(u, cdf, fine)

    u = (np.arange(400_000) + 0.5) / 400_000
    midpoints = np.mean((quantiles(p, u) - quantiles(q, u)) ** 2)
    assert squared == pytest.approx(midpoints, abs=36 / 4e5)

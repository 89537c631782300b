"""The Gaussian twin against routes that share no formula with it."""

import itertools

import pytest

from reference import gaussian, grids, matrices
from reference.precision import exacts, mp, variances

# Both sides are computed to sixty digits; 1e-40 leaves room for cancellation in small divergences.
TIGHT = mp.mpf(10) ** -40

DESIGNS = [
    ([0.25], [0.0], grids.edm(10), 1.0, [0.0]),
    ([0.0, 1e-6, 4.0], [1.0, 0.0, -3.0], grids.song(6), 1.0, [0.0] * 3),
    ([0.25, 1e6], [0.5, 2.0], grids.random(5, 1), 0.9, [0.1, -0.2]),
    ([1.0], [0.5], grids.edm(4, 0.05, 20.0), 3.0, [0.3]),
]


def close(a, b, tolerance=TIGHT):
    return abs(a - b) <= tolerance * max(abs(a), abs(b))


def as_matrices(eigenvalues, mean, sigmas, factor, shift):
    data = matrices.Law(matrices.column(mean), mp.diag(exacts(eigenvalues)))
    grid = variances(sigmas)
    score = matrices.exact_affine(data, grid, mp.mpf(factor), matrices.column(shift))
    return data, grid, *score


@pytest.mark.parametrize("design", DESIGNS)
def test_path_kl_is_the_divergence_of_joint_laws_and_the_sum_of_three_errors(design):
    lam, m, sigmas, factor, shift = design
    result = gaussian.errors(lam, m, variances(sigmas), factor, shift)
    assert close(result.path_kl, matrices.path_kl(*as_matrices(*design)))
    assert close(result.path_kl, result.initialization + result.score + result.discretization)


@pytest.mark.parametrize("design", DESIGNS)
def test_marginal_errors_are_those_of_the_joint_law(design):
    lam, m, _, factor, shift = design
    data, grid, slopes, intercepts = as_matrices(*design)
    path, d, last = matrices.sampler_path(grid, slopes, intercepts), len(lam), len(grid) - 1
    rows = slice(last * d, (last + 1) * d)
    end = matrices.Law(path.mean[rows, 0], path.covariance[rows, rows])
    target = matrices.Law(data.mean, data.covariance + grid[-1] * mp.eye(d))
    result = gaussian.errors(lam, m, grid, factor, shift)
    assert close(result.marginal_kl, matrices.kl(target, end), mp.mpf(10) ** -30)
    assert close(result.w2, matrices.w2(target, end), mp.mpf(10) ** -20)  # a root of a difference


def test_divergence_and_w2_by_quadrature():
    p, q = (mp.mpf(1) / 3, mp.mpf(2)), (mp.mpf("-.2"), mp.mpf("1.5"))

    def density(x, law):
        return mp.npdf(x, law[0], mp.sqrt(law[1]))

    pieces = mp.linspace(-26, 26, 27)
    kl = mp.quad(lambda x: density(x, p) * mp.log(density(x, p) / density(x, q)), pieces)
    assert close(gaussian.kl(*p, *q), kl)
    # Quantiles of both laws are affine in a normal variable z.
    gap = mp.quad(
        lambda z: mp.npdf(z) * (p[0] - q[0] + (mp.sqrt(p[1]) - mp.sqrt(q[1])) * z) ** 2,
        mp.linspace(-18, 18, 19),
    )
    pairs = [matrices.Law(mp.matrix([m]), mp.matrix([[v]])) for m, v in (p, q)]
    assert close(matrices.w2(*pairs), mp.sqrt(gap))


def test_discretization_by_quadrature_of_the_fisher_information():
    grid, lam = variances([3.0, 1.5, 0.5, 0.1]), mp.mpf(1) / 4
    total = mp.fsum(
        mp.quad(lambda v, high=high: 1 / (lam + v) - 1 / (lam + high), mp.linspace(low, high, 9))
        for high, low in itertools.pairwise(grid)
    )
    assert close(gaussian.errors([lam], [0.0], grid).discretization, total / 2)


def test_the_condition_number_counts_the_parts_of_the_error():
    # One step from N(0, v_0), exact score: D_1 = -lam a^2 + h^2/(lam + v_0), a = (l+v_1)/(l+v_0).
    lam, v0, v1 = mp.mpf(1) / 4, mp.mpf(4), mp.mpf(1)
    first, second = lam * ((lam + v1) / (lam + v0)) ** 2, (v0 - v1) ** 2 / (lam + v0)
    result = gaussian.errors([lam], [0.0], [v0, v1])
    assert close(result.condition, (first + second) / abs(second - first))
    # At score factor 0 the terms 2 h add up to 2 (v_0 - v_1), against the whole 2 h - lam.
    result = gaussian.errors([lam], [0.0], [v0, v1], 0.0)
    assert close(result.conditions[0], (lam + 2 * (v0 - v1)) / (2 * (v0 - v1) - lam))


def test_no_grid_beats_the_optimal_one_and_the_optimal_one_reaches_it():
    lam, v0, vn, steps = mp.mpf(1) / 4, mp.mpf(6400), mp.mpf("4e-6"), 10
    ratio = (lam + vn) / (lam + v0)
    grid = [(lam + v0) * ratio ** (mp.mpf(j) / steps) - lam for j in range(steps + 1)]
    best = gaussian.optimal_path_discretization(0.5, 1, [v0, *grid[1:-1], vn])
    # The floats of v_0 and v_N in the closed form are exact or off by 1e-16.
    assert close(gaussian.errors([lam], [0.0], grid).discretization, best, mp.mpf(10) ** -15)
    for sigmas in (grids.edm(steps), grids.song(steps), grids.random(steps, 3)):
        assert gaussian.errors([lam], [0.0], variances(sigmas)).discretization > best


@pytest.mark.parametrize(
    ("grid", "discretization", "marginal"),
    [
        (grids.edm(10), "2.3076", ".24041"),
        (grids.song(10), "2.7484", ".26505"),
        (grids.edm(50), ".64842", ".010920"),
        (grids.song(50), ".85209", ".011200"),
        (grids.edm(500), ".070656", "1.1123e-4"),
        (grids.song(500), ".095681", "1.1227e-4"),
    ],
)
def test_published_numbers(grid, discretization, marginal):
    result = gaussian.errors([0.25], [0.0], variances(grid))
    # Five digits are printed: half a unit of the fifth is at most 5e-5 relative.
    assert close(result.discretization, mp.mpf(discretization), mp.mpf("5e-5"))
    assert close(result.marginal_kl, mp.mpf(marginal), mp.mpf("5e-5"))
    assert close(result.initialization, mp.mpf("3.8146e-10"), mp.mpf("5e-5"))

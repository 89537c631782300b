"""The matrix twin: joint laws, the path identity, and Bures distances by another road."""

import numpy as np

from reference import gaussian, grids, matrices
from reference.precision import mp, variances

TIGHT = mp.mpf(10) ** -40  # sixty digits on both sides


def close(a, b, tolerance=TIGHT):
    return abs(a - b) <= tolerance * max(abs(a), abs(b))


def design(dim, seed, sigmas, size=0.3):
    """Random data and random affine scores whose matrices do not commute."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(dim, dim))
    slopes = -np.eye(dim) / (1 + np.square(sigmas[:-1])[:, None, None])
    slopes = slopes * (1 + size * rng.normal(size=(len(sigmas) - 1, dim, dim)))
    slopes = slopes + size * rng.normal(size=slopes.shape) / (4 + np.square(sigmas[0]))
    intercepts = rng.normal(size=(len(sigmas) - 1, dim)) * size
    return rng.normal(size=dim), root @ root.T, slopes, intercepts


def test_joint_law_splits_into_three_errors_when_matrices_do_not_commute():
    for dim, seed in ((2, 0), (3, 1)):
        sigmas = grids.edm(4, 0.2, 10.0)
        mean, covariance, slopes, intercepts = design(dim, seed, np.asarray(sigmas))
        e = matrices.errors(mean, covariance, variances(sigmas), slopes, intercepts)
        assert np.linalg.norm(slopes[0] @ slopes[1] - slopes[1] @ slopes[0]) > 1e-6
        assert close(e.path_kl, e.initialization + e.score + e.discretization)
        assert e.marginal_kl < e.path_kl


def test_the_recursion_gives_the_last_marginal_of_the_joint_law():
    sigmas = grids.random(5, 2, 0.3, 5.0)
    _, _, slopes, intercepts = design(3, 4, np.asarray(sigmas))
    a, b = [matrices.matrix(x) for x in slopes], [matrices.column(x) for x in intercepts]
    grid = variances(sigmas)
    end, path = matrices.sampler_law(grid, a, b), matrices.sampler_path(grid, a, b)
    assert mp.mnorm(end.mean - path.mean[15:18, 0]) < TIGHT
    assert mp.mnorm(end.covariance - path.covariance[15:18, 15:18]) < TIGHT


def test_bures_distance_by_the_eigenvalues_of_the_product():
    # tr (P^{1/2} Q P^{1/2})^{1/2} is the sum of the roots of the eigenvalues of P Q.
    rng = np.random.default_rng(5)
    for dim in (2, 3):
        p, q = (matrices.matrix((r @ r.T).tolist()) for r in rng.normal(size=(2, dim, dim)))
        values, _ = mp.eig(p * q)
        cross = mp.fsum(mp.sqrt(mp.re(x)) for x in values)
        expected = mp.sqrt(matrices.trace(p) + matrices.trace(q) - 2 * cross)
        zero = mp.zeros(dim, 1)
        assert close(matrices.w2(matrices.Law(zero, p), matrices.Law(zero, q)), expected)


def test_rotating_a_design_changes_nothing_but_the_mean_and_covariance():
    sigmas, lam, m = grids.song(5, 0.05, 20.0), [0.25, 4.0], [1.0, -2.0]
    grid, angle = variances(sigmas), mp.mpf(1)
    turn = mp.matrix([[mp.cos(angle), -mp.sin(angle)], [mp.sin(angle), mp.cos(angle)]])
    data = matrices.Law(turn * mp.matrix(m), turn * mp.diag(lam) * turn.T)
    slopes, intercepts = matrices.exact_affine(data, grid)
    end = matrices.sampler_law(grid, slopes, intercepts)
    target = matrices.Law(data.mean, data.covariance + grid[-1] * mp.eye(2))
    expected = gaussian.errors(lam, m, grid)
    assert close(matrices.kl(target, end), expected.marginal_kl)
    assert close(matrices.w2(target, end), expected.w2, mp.mpf(10) ** -30)
    assert close(matrices.path_kl(data, grid, slopes, intercepts), expected.path_kl)

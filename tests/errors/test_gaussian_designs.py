"""Random Gaussian designs in one batch: stated errors, bad rows, and batches against loops."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import gaussian, grids, matrices
from reference.precision import exact, variances

from design_space.errors.budget import error_budget
from design_space.errors.gaussian import REASONS, commuting_errors
from design_space.evaluate import evaluate
from design_space.schedules.named import edm
from design_space.schedules.schedule import Schedule
from design_space.scores.affine import AffineScore
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.targets.gaussian import Gaussian

NAMES = ("initialization", "score", "discretization", "path_kl", "marginal_kl", "w2")
STEPS, DIM = 7, 3


def random_design(seed):
    """Eigenvalues over twelve decades and some zero, grids from even to wild, scores right or not.

    Every third design has the exact score.
    """
    rng = np.random.default_rng(seed)
    eigenvalues = 10.0 ** rng.uniform(-6, 6, DIM) * (rng.uniform(size=DIM) < 0.8)
    mean = rng.normal(size=DIM) * 10.0 ** rng.uniform(-3, 3) * (rng.uniform() < 0.7)
    low, high = sorted(10.0 ** rng.uniform(-3, 2.5, 2))
    sigmas = grids.random(STEPS, seed, low, high * 1.01)
    factor = 1.0 if seed % 3 == 0 else float(rng.uniform(0.2, 1.8))
    shift = np.zeros(DIM) if seed % 3 == 0 else rng.normal(size=DIM) * (rng.uniform() < 0.5)
    return mean, eigenvalues, np.array(sigmas), factor, shift


def assert_within(values, errors, truths, label):
    """Every truth within the stated error of its value."""
    off = [float(abs(exact(v) - t)) for v, t in zip(values, truths, strict=True)]
    worst = int(np.argmax(np.asarray(off) - np.asarray(errors)))
    assert off[worst] <= errors[worst], (label, worst, off[worst], errors[worst], values[worst])


@pytest.fixture(scope="module")
def designs():
    return [random_design(seed) for seed in range(200)]


@pytest.mark.parametrize("exact_ones", [True, False])
def test_the_truth_lies_within_the_stated_error(designs, exact_ones):
    """On 200 random designs, always."""
    chosen = [d for seed, d in enumerate(designs) if (seed % 3 == 0) == exact_ones]

    def errors(mean, eigenvalues, sigmas, factor, shift):
        target = Gaussian.diagonal(mean, eigenvalues)
        score = exact_score(target)
        if not exact_ones:
            score = shifted_score(scaled_score(score, factor), shift)
        budget = error_budget(target, Schedule.from_sigmas(sigmas), score)
        return {name: getattr(budget, name) for name in NAMES}

    columns = [jnp.asarray(np.stack(column)) for column in zip(*chosen, strict=True)]
    found = jax.jit(jax.vmap(errors))(*columns)
    truths = [
        gaussian.errors(lam, m, variances(sigmas), factor, shift)
        for m, lam, sigmas, factor, shift in chosen
    ]
    for name in NAMES:
        estimate = found[name]
        assert estimate.method == "closed form"
        values, errors_ = np.asarray(estimate.value), np.asarray(estimate.error)
        assert_within(values.tolist(), errors_.tolist(), [getattr(t, name) for t in truths], name)
        # A bound that is always right could be infinite: most are close to rounding.
        assert np.sum(errors_ <= 1e-11 * values) >= len(values) / 2


def test_the_truth_lies_within_the_stated_error_for_matrices():
    """Affine scores that do not commute with the data, nor with each other."""
    steps, dim = 3, 2

    def design(seed):
        rng = np.random.default_rng(seed)
        root = rng.normal(size=(dim, dim)) * 10.0 ** rng.uniform(-1, 1)
        covariance, mean = root @ root.T, rng.normal(size=dim)
        sigmas = np.array(grids.random(steps, seed, 0.1, 10.0))
        exact_slopes = [-np.linalg.inv(covariance + s**2 * np.eye(dim)) for s in sigmas[:-1]]
        size = 10.0 ** rng.uniform(-3, 0)
        slopes = np.stack(
            [k @ (np.eye(dim) + size * rng.normal(size=(dim, dim))) for k in exact_slopes]
        )
        intercepts = np.stack([-k @ mean for k in slopes]) + size * rng.normal(size=(steps, dim))
        return mean, covariance, sigmas, slopes, intercepts

    def errors(mean, covariance, sigmas, slopes, intercepts):
        target = Gaussian(mean, covariance)
        score = AffineScore(sigmas[:-1], slopes, intercepts)
        budget = error_budget(target, Schedule.from_sigmas(sigmas), score)
        return {name: getattr(budget, name) for name in NAMES}

    chosen = [design(seed) for seed in range(40)]
    columns = [jnp.asarray(np.stack(column)) for column in zip(*chosen, strict=True)]
    found = jax.jit(jax.vmap(errors))(*columns)
    truths = [
        matrices.errors(mean, covariance, variances(sigmas), slopes, intercepts)
        for mean, covariance, sigmas, slopes, intercepts in chosen
    ]
    for name in NAMES:
        values, errors_ = (np.asarray(x).tolist() for x in (found[name].value, found[name].error))
        assert_within(values, errors_, [getattr(t, name) for t in truths], name)


def batch_of(designs):
    rows = [(m, lam, s**2, (s[:-1] - s[1:]) * (s[:-1] + s[1:])) for m, lam, s, *_ in designs[:6]]
    return [np.stack(column) for column in zip(*rows, strict=True)]


def test_bad_rows_become_nan_with_their_reason(designs):
    run = jax.jit(jax.vmap(commuting_errors))
    columns = batch_of(designs)
    good = run(*(jnp.asarray(c) for c in columns))
    assert np.all(np.asarray(good.reason) == 0)
    mean, eigenvalues, v, h = (c.copy() for c in columns)
    v[1], h[1] = v[1][::-1], -h[1][::-1]
    eigenvalues[2, 0] = -1.0
    mean[3, 1] = np.nan
    v[4, 0] = np.inf
    bad = run(*(jnp.asarray(c) for c in (mean, eigenvalues, v, h)))
    reasons = [REASONS[int(code)] for code in bad.reason]
    assert reasons[0] == reasons[5] == ""
    assert reasons[1].startswith("variances: must be positive and strictly decreasing")
    assert reasons[2].startswith("eigenvalues: must be at least 0")
    assert reasons[3] == reasons[4]
    assert reasons[3].endswith("must be finite; remove the infinite or NaN entries")
    for name in ("initialization", "discretization", "marginal_kl", "w2", "condition"):
        value = np.asarray(getattr(bad, name))
        assert np.all(np.isnan(value[1:5])), name
        # the rows around them are untouched, to the last bit
        np.testing.assert_array_equal(value[[0, 5]], np.asarray(getattr(good, name))[[0, 5]])


def test_the_batched_errors_are_those_of_the_budget(designs):
    columns = batch_of(designs[::3])
    found = jax.jit(jax.vmap(commuting_errors))(*(jnp.asarray(c) for c in columns))
    for row, (m, lam, sigmas, *_) in enumerate(designs[::3][:6]):
        truth = gaussian.errors(lam, m, variances(sigmas))
        # E_I and E_D cancel nothing; 1e-11 is what the batched E_D promises.
        for name in ("initialization", "discretization"):
            np.testing.assert_allclose(
                getattr(found, name)[row], float(getattr(truth, name)), rtol=1e-11, atol=0
            )
        condition = float(found.condition[row])
        np.testing.assert_allclose(
            found.marginal_kl[row], float(truth.marginal_kl), rtol=1e-12 * condition
        )
        np.testing.assert_allclose(found.w2[row], float(truth.w2), rtol=1e-12 * condition)


def test_evaluate_may_be_batched_over_rho_and_data_scale():
    def row(rho, std):
        found = evaluate(Gaussian.isotropic(DIM, std), edm(STEPS, rho=rho))
        return {name: getattr(found, name).value for name in NAMES} | found.bounds

    rhos, stds = jnp.array([3.0, 7.0, 12.0]), jnp.array([0.01, 0.5, 20.0])
    table = eqx.filter_jit(jax.vmap(jax.vmap(row, (None, 0)), (0, None)))(rhos, stds)
    for i, j in ((0, 0), (1, 1), (2, 0), (2, 2)):
        alone = row(float(rhos[i]), float(stds[j]))
        assert set(alone) == set(table)
        for name, value in alone.items():
            # Powers and sums may round otherwise once compiled together; the marginal law cancels.
            np.testing.assert_allclose(table[name][i, j], value, rtol=1e-9, err_msg=name)

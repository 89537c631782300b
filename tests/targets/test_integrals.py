"""Entropy, mmse, I and I' of mixtures: stated errors against mpmath, intervals against a grid."""

import json
from collections import Counter

import jax
import jax.numpy as jnp
import make_integrals
import numpy as np
import pytest
from reference.precision import mp

from design_space.targets.empirical import Empirical
from design_space.targets.gaussian import Gaussian
from design_space.targets.integrals import mixture_integrals, sampled_integrals
from design_space.targets.mixture import GaussianMixture

ROWS = json.loads(make_integrals.PATH.read_text(encoding="utf-8"))
INPUTS = ("weights", "means", "stds", "v")


def floats(row):
    return [np.array([float.fromhex(x) for x in row[name]]) for name in INPUTS]


def truths(row):
    return {name: mp.mpf(row[name]) for name in make_integrals.INTEGRALS}


def test_the_table_is_what_the_twin_says_today():
    for seed in (4, 29):
        fresh = make_integrals.row(seed)
        assert all(fresh[name] == ROWS[seed][name] for name in INPUTS)
        for name, truth in truths(ROWS[seed]).items():
            assert abs(mp.mpf(fresh[name]) / truth - 1) < mp.mpf(10) ** -18


def test_the_table_reaches_far():
    assert len(ROWS) >= 60
    _, _, stds, v = zip(*map(floats, ROWS), strict=True)
    ratios = [
        np.sqrt((s.max() ** 2 + w[0]) / (s.min() ** 2 + w[0])) for s, w in zip(stds, v, strict=True)
    ]
    assert max(ratios) > 1e3
    assert min(w[0] for w in v) < 1e-5
    assert max(w[0] for w in v) > 1e3
    assert Counter(map(len, stds)).keys() == {2, 3, 4}


@jax.jit
@jax.vmap
def integrals_of(weights, means, stds, v):
    target = GaussianMixture.isotropic(weights, means[:, None], stds)
    found = mixture_integrals(target, v[None], None, 2)
    estimates = [getattr(found, name) for name in make_integrals.INTEGRALS]
    return jnp.stack([jnp.stack([e.value[0], e.error[0]]) for e in estimates])


def padded(values, weight=False):
    """Four entries: components of weight zero, at the place of the last, change no law."""
    return np.concatenate([values, np.full(4 - len(values), 0.0 if weight else values[-1])])


def test_true_errors_lie_within_stated_errors_always():
    laws = [(padded(w, True), padded(m), padded(s), v[0]) for w, m, s, v in map(floats, ROWS)]
    found = np.asarray(integrals_of(*map(np.stack, zip(*laws, strict=True))))
    for number, row in enumerate(ROWS):
        for (value, error), (name, truth) in zip(found[number], truths(row).items(), strict=True):
            assert abs(mp.mpf(value) - truth) <= error, (number, name)
            assert error < 1e-7 * max(abs(float(truth)), 1e-2), (number, name)  # of use, too


def test_many_levels_at_once_are_the_levels_one_by_one():
    target = GaussianMixture.isotropic([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.4])
    variances = jnp.asarray(np.geomspace(1e-5, 1e3, 5))
    many = mixture_integrals(target, variances, None, 2)
    for i, v in enumerate(variances):
        np.testing.assert_allclose(target.mmse(v).value, many.mmse.value[i], rtol=1e-13)


def test_without_noise_the_posterior_variance_is_zero():
    target = GaussianMixture.isotropic([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.4])
    estimate = target.mmse(0.0)
    assert abs(float(estimate.value)) <= float(estimate.error) < 1e-27  # rounding of 7, squared
    near = target.fisher_information(1e-9)
    assert float(target.fisher_information(0.0).value) == pytest.approx(float(near.value), rel=1e-5)


def test_a_crowd_of_points_needs_few_panels_and_loses_nothing():
    points = np.random.default_rng(0).normal(size=60)
    v = 0.1
    found = mixture_integrals(Empirical(points[:, None]), jnp.asarray([v]), None, 2)
    # the trapezoid rule with 40 points per standard deviation of the noise is exact to rounding
    x = np.arange(-9.0, 9.0, np.sqrt(v) / 40)
    logs = -0.5 * (x[:, None] - points[None, :]) ** 2 / v
    mass = np.exp(logs).sum(axis=1)
    responsibility = np.exp(logs) / np.maximum(mass, 1e-300)[:, None]
    mean = responsibility @ points
    p = mass / (60 * np.sqrt(2 * np.pi * v)) * (x[1] - x[0])
    spread = np.sum(responsibility * (points[None, :] - mean[:, None]) ** 2, axis=1)
    assert abs(float(found.mmse.value[0]) - p @ spread) < 1e-12
    information = p @ ((mean - x) / v) ** 2
    assert float(found.fisher_information.value[0]) == pytest.approx(information, rel=1e-12)


def eigenvalues_of(covariance, digits=50):
    with mp.workdps(digits):
        matrix = mp.matrix([[mp.mpf(float(x)) for x in row] for row in covariance])
        return list(mp.eigsy(matrix, eigvals_only=True))


@pytest.mark.parametrize("condition", [1.0, 1e6, 1e12])
def test_closed_forms_own_up_to_computed_eigenvalues(condition):
    rng = np.random.default_rng(4)
    basis, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    covariance = (basis * np.geomspace(1 / condition, 3.0, 6)) @ basis.T
    covariance = (covariance + covariance.T) / 2
    values = [max(x, mp.zero) for x in eigenvalues_of(covariance)]
    target = Gaussian(np.zeros(6), covariance)
    for v in (10.0, 1e-3, 1e-9):
        w = mp.mpf(v)
        truth = {
            "entropy": mp.fsum(mp.log(2 * mp.pi * mp.e * (x + w)) for x in values) / 2,
            "mmse": mp.fsum(x * w / (x + w) for x in values),
            "fisher_information": mp.fsum(1 / (x + w) for x in values),
            "fisher_information_slope": -mp.fsum(1 / (x + w) ** 2 for x in values),
        }
        for name, exactly in truth.items():
            estimate = getattr(target, name)(v)
            assert estimate.method == "closed form"
            assert abs(mp.mpf(float(estimate.value)) - exactly) <= float(estimate.error), name


PLANE = GaussianMixture(
    [0.5, 0.3, 0.2],
    [[-1.0, 0.0], [1.0, 0.5], [0.0, 2.0]],
    [[[0.2, 0.1], [0.1, 0.3]], [[0.1, 0.0], [0.0, 0.5]], [[0.4, -0.2], [-0.2, 0.2]]],
)


def plane_integrals(v, spacing):
    """The four integrals of PLANE by the trapezoid rule in NumPy, with dense covariances."""
    weights = [0.5, 0.3, 0.2]
    means = np.array([[-1.0, 0.0], [1.0, 0.5], [0.0, 2.0]])
    spreads = np.array(
        [[[0.2, 0.1], [0.1, 0.3]], [[0.1, 0.0], [0.0, 0.5]], [[0.4, -0.2], [-0.2, 0.2]]]
    )
    axis = np.arange(-9.0, 9.0, spacing)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    density, first, second = np.zeros(len(x)), np.zeros((len(x), 2)), np.zeros((len(x), 2, 2))
    for w, m, s in zip(weights, means, spreads, strict=True):
        inverse = np.linalg.inv(s + v * np.eye(2))
        a = -(x - m) @ inverse
        log_part = 0.5 * np.sum(a * (x - m), axis=1)
        part = w * np.exp(log_part) * np.sqrt(np.linalg.det(inverse)) / (2 * np.pi)
        density += part
        first += part[:, None] * a
        second += part[:, None, None] * (a[:, :, None] * a[:, None, :] - inverse)
    kept = density > 1e-25
    p = density[kept]
    score = first[kept] / p[:, None]
    hessian = second[kept] / p[:, None, None] - score[:, :, None] * score[:, None, :]
    trace = np.trace(hessian, axis1=1, axis2=2)
    values = (-np.log(p), 2 * v + v**2 * trace, np.sum(score**2, 1), -np.sum(hessian**2, (1, 2)))
    return np.array([p @ f for f in values]) * spacing**2


def test_intervals_cover_in_two_dimensions():
    v = 0.05
    truth = plane_integrals(v, 0.04)
    np.testing.assert_allclose(truth, plane_integrals(v, 0.05), rtol=1e-10)
    keys = jax.random.split(jax.random.key(0), 200)
    found = jax.vmap(lambda k: sampled_integrals(PLANE, jnp.asarray([v]), k, 1024))(keys)
    for name, number in zip(make_integrals.INTEGRALS, truth, strict=True):
        estimate = getattr(found, name)
        assert estimate.method == "monte carlo"
        covered = np.abs(np.asarray(estimate.value[:, 0]) - number) <= estimate.error[:, 0]
        assert np.mean(covered) >= 0.95, name
        assert np.mean(estimate.error[:, 0]) < 0.3 * abs(number), name  # of use, too


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="samples = 1: must be a whole number of at least 2"):
        PLANE.mmse(0.05, key=jax.random.key(2), samples=1)

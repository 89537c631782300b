"""Path-optimal grids: stationary, not beaten by other searches, exact at their ends."""

import jax.numpy as jnp
import numpy as np
import pytest
from reference import gaussian, grids
from reference.precision import exact, mp, variances
from scipy.optimize import minimize

from design_space.errors.budget import error_budget
from design_space.optimal.path import geometric_sigmas, path_optimal
from design_space.schedules.named import song
from design_space.schedules.schedule import Schedule
from design_space.targets.empirical import Empirical
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

LOW, HIGH = 0.05, 20.0
VARIANCES = [4.0, 0.25, 1e-3]
TARGETS = {
    "anisotropic": Gaussian.diagonal([0.0, 1.0, 0.0], VARIANCES),
    "bimodal": GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], 0.1),
}


def bimodal_information(v):
    """I(v) by the trapezoid rule in NumPy."""
    s2 = np.atleast_1d(0.01 + v)[:, None]
    x = np.linspace(-1, 1, 4001)[None] * (1 + 12 * np.sqrt(s2))
    bells = [np.exp(-((x - m) ** 2) / (2 * s2)) / np.sqrt(8 * np.pi * s2) for m in (-1, 1)]
    score = (bells[0] * (-1 - x) + bells[1] * (1 - x)) / s2 / (bells[0] + bells[1] + 1e-300)
    p = (bells[0] + bells[1]) * score**2
    return np.sum(p, axis=1) * (x[:, 1] - x[:, 0])


def anisotropic_information(v):
    return np.sum(1 / (np.asarray(VARIANCES)[None] + np.atleast_1d(v)[:, None]), axis=1)


INFORMATION = {"anisotropic": anisotropic_information, "bimodal": bimodal_information}


def area(name, v):
    """sum_j h_j I(v_j): the larger, the smaller E_D."""
    return float((v[:-1] - v[1:]) @ INFORMATION[name](v[:-1]))


def residuals(target, schedule):
    """h_j |I'(v_j)| / (I(v_j) - I(v_{j-1})) - 1 at the inner points."""
    v, h = schedule.backward_variances, schedule.backward_variance_steps
    information = np.array([float(target.fisher_information(x).value) for x in v[:-1]])
    slope = np.array([float(target.fisher_information_slope(x).value) for x in v[1:-1]])
    return np.asarray(h)[1:] * -slope / np.diff(information) - 1


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("steps", [3, 8, pytest.param(100, marks=pytest.mark.slow)])
def test_inner_points_are_stationary(name, steps):
    schedule = path_optimal(TARGETS[name], steps, LOW, HIGH)
    # h is a difference of neighbours, so that v to 1e-11 gives 1e-9 at a hundred steps.
    assert np.max(np.abs(residuals(TARGETS[name], schedule))) < 1e-8
    assert np.all(np.diff(schedule.backward_sigmas) < 0)
    assert float(schedule.backward_sigmas[0]) == HIGH
    assert float(schedule.backward_sigmas[-1]) == LOW


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("steps", [3, 5])
def test_no_search_from_random_starts_finds_better(name, steps):
    best = area(name, np.asarray(path_optimal(TARGETS[name], steps, LOW, HIGH).backward_variances))
    rng = np.random.default_rng(steps)

    def loss(y):
        v = np.exp(np.sort(np.clip(y, 2 * np.log(LOW), 2 * np.log(HIGH)))[::-1])
        return -area(name, np.concatenate([[HIGH**2], v, [LOW**2]]))

    found = [
        -minimize(
            loss, rng.uniform(2 * np.log(LOW), 2 * np.log(HIGH), steps - 1), method="Powell"
        ).fun
        for _ in range(12)
    ]
    # The search stops within 1e-4 of the scale of its variables, where the area is flat.
    assert max(found) <= best * (1 + 1e-9)
    assert max(found) >= best * (1 - 1e-4)  # and it is a search worth passing


@pytest.mark.parametrize("name", TARGETS)
def test_dynamic_programming_on_a_fine_grid_finds_no_better(name):
    steps = 8
    table = np.geomspace(HIGH**2, LOW**2, 1200)
    information = INFORMATION[name](table)
    value = np.full(len(table), -np.inf)
    value[0] = 0.0
    gain = (table[:, None] - table[None, :]) * information[:, None]
    gain[np.tril_indices(len(table))] = -np.inf
    for _ in range(steps):
        value = np.max(value[:, None] + gain, axis=0)
    best = area(name, np.asarray(path_optimal(TARGETS[name], steps, LOW, HIGH).backward_variances))
    assert value[-1] <= best * (1 + 1e-9)
    # Cells of 1 % in v around a flat maximum cost their square.
    assert value[-1] >= best * (1 - 1e-3)


@pytest.mark.parametrize("std", [0.0, 0.5, 30.0])
@pytest.mark.parametrize("steps", [1, 10])
def test_isotropic_gaussians_reach_the_closed_form(std, steps):
    """E_D* = (d/2) (N (R^{1/N} - 1) - ln R), R = (s^2 + v_N)/(s^2 + v_0)."""
    target = Gaussian.isotropic(3, std)
    schedule = path_optimal(target, steps)
    levels = variances(np.asarray(schedule.backward_sigmas).tolist())
    expected = gaussian.optimal_path_discretization(std, 3, levels)
    found = float(error_budget(target, schedule).discretization.value)
    np.testing.assert_allclose(found, float(expected), rtol=1e-12)


def test_isotropic_gaussians_are_stationary_and_best():
    target, steps = Gaussian.isotropic(1, 0.5), 10
    schedule = path_optimal(target, steps)
    assert np.max(np.abs(residuals(target, schedule))) < 1e-12
    sigmas = np.asarray(schedule.backward_sigmas)
    lam = exact(0.5) ** 2

    def discretization(levels):
        return gaussian.discretization(lam, variances(levels))

    best, rng = discretization(sigmas.tolist()), np.random.default_rng(0)
    for _ in range(200):
        size = 10 ** rng.uniform(-6, -0.5)
        ends = np.log(sigmas[[0, -1]])
        inner = np.clip(np.log(sigmas[1:-1]) + size * rng.normal(size=steps - 1), *ends[::-1])
        moved = [sigmas[0], *np.sort(np.exp(inner))[::-1], sigmas[-1]]
        assert discretization(moved) > best


def test_near_dirac_data_give_the_grid_of_song():
    for target in (Gaussian.dirac([1.0, 2.0]), Gaussian.isotropic(1, 1e-9)):
        found = path_optimal(target, 20).backward_sigmas
        np.testing.assert_allclose(found, song(20).backward_sigmas, rtol=1e-12)


def test_one_and_two_steps():
    target = TARGETS["bimodal"]
    np.testing.assert_array_equal(path_optimal(target, 1).backward_sigmas, [80.0, 0.002])
    two = path_optimal(target, 2, LOW, HIGH).backward_variances
    table = np.geomspace(LOW**2, HIGH**2, 20001)
    gains = [
        (HIGH**2 - table) * bimodal_information(HIGH**2),
        (table - LOW**2) * bimodal_information_of(table),
    ]
    best = table[np.argmax(sum(gains))]
    # The brute search is as fine as its table: 1e-3 in v.
    np.testing.assert_allclose(two[1], best, rtol=1e-3)


def bimodal_information_of(table):
    return np.concatenate([bimodal_information(part) for part in np.array_split(table, 20)])


def test_random_gaussians_of_four_scales():
    rng = np.random.default_rng(0)
    for _ in range(20):
        target = Gaussian.diagonal(np.zeros(4), 10.0 ** rng.uniform(-6, 4, 4))
        for steps in (2, 10):
            found = np.asarray(path_optimal(target, steps).backward_variances)
            shape = 1 / (np.asarray(target.eigenvalues)[None] + found[:-1, None])
            information, slope = np.sum(shape, axis=1), -np.sum(shape**2, axis=1)
            rises, areas = np.diff(information), (found[1:-1] - found[2:]) * -slope[1:]
            np.testing.assert_allclose(areas, rises, rtol=1e-8)


def test_many_steps_share_the_root_of_the_slope():
    """N E_D -> (1/4) (int sqrt|I'| dv)^2."""
    target = TARGETS["anisotropic"]
    v = np.geomspace(LOW**2, HIGH**2, 20001)
    root = np.sqrt(np.sum(1 / (np.asarray(VARIANCES)[None] + v[:, None]) ** 2, axis=1))
    limit = 0.25 * np.trapezoid(root, v) ** 2
    found = error_budget(target, path_optimal(target, 400, LOW, HIGH)).discretization.value
    np.testing.assert_allclose(400 * float(found), limit, rtol=0.01)


def test_the_optimum_beats_every_named_grid():
    steps = 8
    for target in TARGETS.values():
        best = error_budget_discretization(target, path_optimal(target, steps, LOW, HIGH))
        for other in (grids.edm(steps, LOW, HIGH), grids.song(steps, LOW, HIGH)):
            assert best < error_budget_discretization(target, Schedule.from_sigmas(other))


def error_budget_discretization(target, schedule):
    return float(error_budget(target, schedule).discretization.value)


def test_a_law_that_can_only_be_sampled():
    """Near the optimum of the Gaussian that the law nearly is."""
    rng = np.random.default_rng(0)
    means = 0.01 * rng.normal(size=(3, 2))
    stretched = np.stack([np.diag([1.0, 0.2])] * 3)
    target = GaussianMixture([0.3, 0.3, 0.4], means, stretched)
    found = path_optimal(target, 6, 0.1, 5.0, samples=512)
    near = path_optimal(Gaussian.diagonal([0.0, 0.0], [1.0, 0.2]), 6, 0.1, 5.0)
    # 512 draws leave a few per cent of I'.
    np.testing.assert_allclose(found.backward_sigmas, near.backward_sigmas, rtol=0.05)
    again = path_optimal(target, 6, 0.1, 5.0, samples=512)
    np.testing.assert_array_equal(found.backward_sigmas, again.backward_sigmas)


def test_points_on_a_line():
    schedule = path_optimal(Empirical([[-1.0], [0.0], [2.0]]), 4, LOW, HIGH)
    assert np.max(np.abs(residuals(Empirical([[-1.0], [0.0], [2.0]]), schedule))) < 1e-8


def test_geometric_grid_in_sixty_digits():
    found = np.asarray(geometric_sigmas(jnp.asarray(1e-4), 5, 0.002, 80.0))
    lam, low, high = exact(1e-4), exact(0.002) ** 2, exact(80.0) ** 2
    ratio = (lam + low) / (lam + high)
    expected = [mp.sqrt((lam + high) * ratio ** (mp.mpf(j) / 5) - lam) for j in range(6)]
    np.testing.assert_allclose(found, [float(x) for x in expected], rtol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0.1, 1.0), "steps = 0: must be a whole number of at least 1"),
        ((3, 0.0, 1.0), "sigma_min = 0.0: must be above 0"),
        ((3, 0.1, float("inf")), "sigma_max = inf: must be finite"),
        ((3, 1.0, 1.0), "sigma_min = 1.0: must be below sigma_max = 1.0; swap or move them"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        path_optimal(TARGETS["bimodal"], *arguments)

"""Path-optimal grids under a score error: brute force and perturbations find nothing better."""

import numpy as np
import pytest

from design_space.errors.budget import error_budget
from design_space.optimal.path import path_optimal
from design_space.schedules.named import edm, song
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

LOW, HIGH = 0.05, 20.0
TARGETS = {
    "round": Gaussian.isotropic(1, 0.5),
    "anisotropic": Gaussian.diagonal([0.0, 1.0], [4.0, 1e-2]),
    "bimodal": GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], 0.1),
}
PROFILES = {
    "small": lambda v: 0.05 / (0.3 + v),
    "at low noise": lambda v: 3.0 / (v + 0.01) * np.exp(-v / 0.1),
    "bump": lambda v: 2.0 * np.exp(-0.5 * (np.log(v / 0.5) / 0.3) ** 2),
    "table": ([0.01, 0.1, 1.0], [2.0, 0.1, 0.3]),
}


def error_of(profile):
    if callable(profile):
        return profile
    v, values = np.log(profile[0]), np.log(profile[1])
    return lambda x: np.exp(np.interp(np.log(x), v, values))


def information(target, v):
    if isinstance(target, Gaussian):
        return np.sum(1 / (np.asarray(target.eigenvalues)[:, None] + v[None, :]), axis=0)
    return np.concatenate([bimodal_information(part) for part in np.array_split(v, 20)])


def bimodal_information(v):
    """I(v) by the trapezoid rule in NumPy."""
    s2 = 0.01 + v[:, None]
    x = np.linspace(-1, 1, 2001)[None] * (1 + 12 * np.sqrt(s2))
    bells = [np.exp(-((x - m) ** 2) / (2 * s2)) / np.sqrt(8 * np.pi * s2) for m in (-1, 1)]
    total = bells[0] + bells[1]
    slope = (bells[0] * (-1 - x) + bells[1] * (1 - x)) / s2
    return np.sum(slope**2 / (total + 1e-300), axis=1) * (x[:, 1] - x[:, 0])


def objective(target, profile, schedule):
    """E_D + (1/2) sum h_j eps(v_j)."""
    v, h = np.asarray(schedule.backward_variances), np.asarray(schedule.backward_variance_steps)
    found = float(error_budget(target, schedule).discretization.value)
    return found + 0.5 * h @ error_of(profile)(v[:-1])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("profile", PROFILES)
def test_two_and_three_steps_are_those_of_a_grid_search(target, profile):
    law, error = TARGETS[target], error_of(PROFILES[profile])
    table = np.geomspace(LOW**2, HIGH**2, 400)
    height = information(law, table) - error(table)
    for steps in (2, 3):
        i, j = np.triu_indices(400, 1) if steps == 3 else (np.arange(400), np.arange(400))
        total = (HIGH**2 - table[j]) * height[-1] + (table[j] - table[i]) * height[j]
        best = np.max(total + (table[i] - LOW**2) * height[i])  # v_1 = table[j] >= v_2 = table[i]
        found = path_optimal(law, steps, LOW, HIGH, score_error=PROFILES[profile])
        v = np.asarray(found.backward_variances)
        gained = float((v[:-1] - v[1:]) @ (information(law, v[:-1]) - error(v[:-1])))
        scale = abs(best) + 1
        assert gained >= best - 1e-9 * scale
        # cells of 3 % in v around a maximum, and of a kink's slope where the profile has one
        assert gained <= best + 0.03 * scale


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("steps", [8, pytest.param(80, marks=pytest.mark.slow)])
def test_never_worse_than_plain_grids_and_perturbations(target, profile, steps):
    law, error = TARGETS[target], PROFILES[profile]
    found = path_optimal(law, steps, LOW, HIGH, score_error=error)
    best = objective(law, error, found)
    for other in (
        path_optimal(law, steps, LOW, HIGH),
        edm(steps, LOW, HIGH),
        song(steps, LOW, HIGH),
    ):
        assert best <= objective(law, error, other) * (1 + 1e-12)
    v = np.asarray(found.backward_variances)
    rng = np.random.default_rng(steps)

    def gained(v):
        return float((v[:-1] - v[1:]) @ (information(law, v[:-1]) - error_of(error)(v[:-1])))

    here = gained(v)
    for _ in range(50):
        y = np.log(v)
        gaps = np.minimum(y[:-2] - y[1:-1], y[1:-1] - y[2:])
        y[1:-1] += 10 ** rng.uniform(-4, -0.4) * gaps * rng.uniform(-1, 1, steps - 1)
        assert gained(np.exp(y)) <= here + 1e-9 * (1 + abs(here))


def test_no_error_changes_nothing():
    for law in TARGETS.values():
        found = path_optimal(law, 6, LOW, HIGH, score_error=lambda v: 0.0 * v)
        plain = path_optimal(law, 6, LOW, HIGH)
        # F is flat at its maximum: it is good to rounding where the points are good to its root
        np.testing.assert_allclose(found.backward_sigmas, plain.backward_sigmas, rtol=1e-6)


def test_a_useless_score_leaves_one_step():
    """eps = 3 I makes every step but the first one harmful: J rises, and points crowd."""
    law = Gaussian.isotropic(1, 0.5)
    found = path_optimal(law, 4, LOW, HIGH, score_error=lambda v: 3 / (0.25 + v))
    v = np.asarray(found.backward_variances)
    shares = (v[:-1] - v[1:]) / (v[0] - v[-1])
    assert np.max(shares) > 0.999


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (lambda v: -v, r"score_error\(variances\) = .*: must be at least 0"),
        (lambda v: v[:1], r"score_error\(variances\).shape = \(1,\): must be"),
        (lambda v: v / 0, r"score_error\(variances\) = .* must be finite"),
        (([1.0, 2.0],), "score_error = .*: must be a function, or a pair"),
        (([1.0, 2.0], [1.0]), r"len\(score_error\[1\]\) = 1: must be the dimension"),
        (([2.0, 1.0], [1.0, 1.0]), r"score_error\[0\] = .*: must be strictly increasing"),
        (([1.0, 2.0], [1.0, 0.0]), r"score_error\[1\] = .*: must be above 0; give a function"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_is_refused(profile, message):
    with pytest.raises(ValueError, match=message):
        path_optimal(Gaussian.isotropic(1, 0.5), 3, LOW, HIGH, score_error=profile)

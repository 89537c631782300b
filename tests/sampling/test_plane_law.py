"""The density carried in the plane against brute force, against maps of points and particles."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import grids
from scipy import stats

from design_space.sampling.flows import FlowEuler, FlowHeun
from design_space.sampling.plane_law import plane_law
from design_space.sampling.plane_patches import COARSE, FINE
from design_space.sampling.simulate import simulate
from design_space.sampling.steppers import Frozen
from design_space.schedules.schedule import Schedule
from design_space.scores.exact import exact_score
from design_space.scores.function import function_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.targets.mixture import GaussianMixture

WEIGHTS = [0.3, 0.3, 0.4]
MEANS = [[-1.0, 0.0], [0.7, 0.9], [0.2, -0.8]]
COVARIANCES = [np.diag([0.04, 0.09]), [[0.08, 0.05], [0.05, 0.06]], 0.1 * np.eye(2)]
DATA = GaussianMixture(WEIGHTS, MEANS, COVARIANCES)
FAR = GaussianMixture.isotropic(WEIGHTS, 4 * np.array(MEANS), 0.2)
SCHEDULE = Schedule.from_sigmas([1.0, 0.7, 0.45, 0.3])


def law(score, schedule=SCHEDULE, stepper=None, data=DATA, how=FINE):
    moves = (Frozen() if stepper is None else stepper).moves(schedule)
    parts = None if data is None else data.components()
    return plane_law(score, moves, float(schedule.backward_variances[0]), parts, how)


def mass(density):
    return sum(float(np.sum(patch.values)) * patch.grid.cell for patch in density.patches)


def square(half, spacing):
    axis = np.arange(-half, half + spacing / 2, spacing)
    return axis, np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def brute_force(score, schedule, spacing=0.07, half=7.0):
    """Sums kernels around every point of a dense grid, step by step, in NumPy."""
    sigmas = np.asarray(schedule.backward_sigmas)
    axis, x = square(half, spacing)
    q = stats.multivariate_normal(np.zeros(2), sigmas[0] ** 2 * np.eye(2)).pdf(x)
    for sigma, after in itertools.pairwise(sigmas):
        h, kept = sigma**2 - after**2, q > 1e-16 * np.max(q)
        points = jnp.asarray(x[kept])
        moved = x[kept] + h * np.asarray(jax.vmap(lambda y, s=sigma: score(y, s))(points))
        sides = [np.exp(-((axis[:, None] - moved[:, a]) ** 2) / (2 * h)) for a in (0, 1)]
        q = ((sides[0] * q[kept]) @ sides[1].T).ravel() * spacing**2 / (2 * np.pi * h)
    return x, q


SCORES = {
    "exact": exact_score(DATA),
    "scaled by 3": scaled_score(exact_score(DATA), 3.0),  # its map folds
    "shifted": shifted_score(exact_score(DATA), [0.4, -0.2]),
    "sine": function_score(lambda x, s: -x / (s**2 + 0.3) + 0.5 * jnp.sin(2 * x[::-1]) / (s + 1)),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == "exact" else pytest.mark.slow) for n in SCORES]
)
def test_against_brute_force(name):
    score = SCORES[name]
    x, expected = brute_force(score, SCHEDULE)  # without what is beyond 7 deviations, 2e-11
    for how, tolerance in ((COARSE, 1e-6), (FINE, 1e-8)):  # exp(-16) = 1e-7, exp(-22) = 3e-10
        density = law(score, how=how)
        np.testing.assert_allclose(density(x), expected, atol=tolerance * np.max(expected))
        assert mass(density) == pytest.approx(1.0, abs=tolerance)


@pytest.mark.parametrize("stepper", [FlowEuler(), pytest.param(FlowHeun(), marks=pytest.mark.slow)])
def test_deterministic_maps_move_densities(stepper):
    """q(m(x)) = q(x) / det Dm(x) along the path of a point, which needs no grid and no inverse."""
    score, moves = exact_score(DATA), stepper.moves(SCHEDULE)[0]

    def final(x):
        for j in range(SCHEDULE.steps):
            x = jax.tree.map(lambda a, j=j: a[j], moves).mean(score, x)
        return x

    starts = np.random.default_rng(1).normal(size=(40, 2))
    images = np.asarray(jax.vmap(final)(jnp.asarray(starts)))
    slopes = np.asarray(jax.vmap(jax.jacfwd(final))(jnp.asarray(starts)))
    first = stats.multivariate_normal(np.zeros(2), np.eye(2)).pdf(starts)
    expected = first / np.linalg.det(slopes)
    density = law(score, stepper=stepper)
    np.testing.assert_allclose(density(images), expected, atol=1e-8 * np.max(expected))
    assert mass(density) == pytest.approx(1.0, abs=1e-9)


def test_windows_do_not_change_the_law():
    """Far clusters: one rectangle for all of them, and one for each."""
    schedule = Schedule.from_sigmas([8.0, 3.0, 1.5, 0.8, 0.5, 0.3])
    score = exact_score(FAR)
    whole, parted = (law(score, schedule, data=data) for data in (None, FAR))
    assert len(whole.patches) == 1
    assert len(parted.patches) == 3
    _, x = square(6.0, 0.1)
    expected = whole(x)
    np.testing.assert_allclose(parted(x), expected, atol=1e-8 * np.max(expected))


def test_a_quarter_turn_turns_the_law():
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    turned = GaussianMixture(
        WEIGHTS, np.array(MEANS) @ turn.T, [turn @ np.array(c) @ turn.T for c in COVARIANCES]
    )
    _, x = square(3.0, 0.1)
    expected = law(exact_score(DATA))(x)
    found = law(exact_score(turned), data=turned)(x @ turn.T)
    np.testing.assert_allclose(found, expected, atol=1e-8 * np.max(expected))


def test_folds_without_noise_are_refused():
    with pytest.raises(ValueError, match="its map folds"):
        law(scaled_score(exact_score(DATA), 6.0), stepper=FlowEuler())


def test_a_score_that_is_not_a_number_is_refused():
    score = function_score(lambda x, sigma: jnp.where(sigma < 0.6, jnp.nan, -x / (sigma**2 + 1)))
    with pytest.raises(ValueError, match=r"score\(x, 0.45\) = NaN or infinite: it and its deriv"):
        law(score)


@pytest.mark.slow
@pytest.mark.parametrize(("std", "steps"), [(0.05, 20), (0.002, 50)])
def test_a_million_particles(std, steps):
    """Mode weights and moments within 99.99 % intervals, down to sigma = .002."""
    data = GaussianMixture.isotropic(WEIGHTS, MEANS, std)
    score, schedule = exact_score(data), Schedule.from_sigmas(grids.edm(steps))
    density = law(score, schedule, data=data)
    assert mass(density) == pytest.approx(1.0, abs=1e-7)
    x = np.asarray(simulate(score, schedule, jax.random.key(5), count=1_000_000, dim=2).particles)
    values = {"x": lambda p: p[:, 0], "y": lambda p: p[:, 1], "xy": lambda p: p[:, 0] * p[:, 1]}
    for k, mean in enumerate(np.array(MEANS)):
        # within two deviations of a mode, and its smooth share of the mass
        for width in (2 * std, 0.3):
            values[k, width] = lambda p, m=mean, w=width: np.exp(
                -0.5 * np.sum((p - m) ** 2, axis=1) / w**2
            )
    for value in values.values():
        drawn = value(x)
        expected = sum(
            np.sum(p.values.ravel() * value(p.grid.points())) * p.grid.cell for p in density.patches
        )
        assert abs(np.mean(drawn) - expected) <= 3.9 * np.std(drawn) / 1000

"""The table of the self-perceptual optimum: its error, and a law of a sampler that runs on it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.errors.score import score_errors
from design_space.evaluate import evaluate
from design_space.optimal.perceptual import pointwise_noise
from design_space.optimal.perceptual_loss import Perceptual, TwoLayerFeature
from design_space.optimal.perceptual_score import perceptual_score
from design_space.schedules.schedule import Schedule
from design_space.targets.gaussian import Gaussian
from design_space.targets.line import Line
from design_space.targets.mixture import GaussianMixture

TARGET = GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], 0.3)
LOSS = Perceptual(TwoLayerFeature(1.0, 0.09), [0.15, 0.6, 2.5], [0.5, 0.2, 0.3])
SIGMAS = np.array([3.0, 0.8, 0.1])


@pytest.fixture(scope="module")
def found():
    return perceptual_score(TARGET, LOSS, SIGMAS, rounds=5)


def departures(y, sigma):
    """Optimal noise less its mean, 192 points at a time."""
    line = Line.of(TARGET.components())
    parts = [pointwise_noise(line, LOSS, part, sigma) for part in np.split(y, len(y) // 192)]
    return np.concatenate(parts)


def test_the_table_against_the_optimum_under_the_data(found):
    draws = np.asarray(TARGET.sample(jax.random.key(0), 192, 0.0))[:, 0]
    eps = np.random.default_rng(0).normal(size=192)
    for sigma, error in zip(SIGMAS, found.error, strict=True):
        y = jnp.asarray(draws + sigma * eps)[:, None]
        score = jax.vmap(lambda x, s=sigma: found.score(x, s))(y)
        exact = jax.vmap(lambda x, s=sigma: TARGET.score(x, s * s))(y)
        missed = -sigma * np.asarray(score - exact)[:, 0] - departures(np.asarray(y)[:, 0], sigma)
        assert error < 0.1
        # two of the draws may be in the cells in which the optimum jumps
        assert np.sort(np.abs(missed))[-3] < 1e-4
        assert np.sqrt(np.mean(missed**2)) < 3 * error


def test_more_rounds_leave_less(found):
    more = perceptual_score(TARGET, LOSS, SIGMAS, rounds=7)
    np.testing.assert_array_equal(more.coarse.nodes, found.score.nodes)
    assert more.error[1] < 0.6 * found.error[1]  # where the optimum jumps
    assert np.all(np.delete(more.error, 1) < 1e-5)


def test_the_error_of_the_score_is_that_of_the_optimum(found):
    """E_S of the table against the direct optimum, by a fine trapezoid rule."""
    schedule = Schedule.from_sigmas(np.array([3.0, 0.8, 0.1, 0.05]))
    value = np.asarray(score_errors(TARGET, schedule, found.score, jax.random.key(0), 2).value)
    for j, sigma in enumerate(SIGMAS):
        total = np.sqrt(0.09 + sigma**2)
        y = np.linspace(-1 - 6 * total, 1 + 6 * total, 960)
        p = (
            sum(np.exp(-((y - a) ** 2) / 2 / total**2) / 2 for a in (-1, 1))
            / np.sqrt(2 * np.pi)
            / total
        )
        off = departures(y, sigma) / sigma
        expected = np.trapezoid(p * off**2, y)
        h = SIGMAS[j] ** 2 - np.append(SIGMAS, 0.05)[j + 1] ** 2
        # a jump of the square by up to 1 lies between two of 960 points
        assert value[j] == pytest.approx(0.5 * h * expected, rel=0.02)


def test_a_design_is_evaluated_with_it(found):
    schedule = Schedule.from_sigmas(np.array([3.0, 0.8, 0.1, 0.05]))
    with_table = evaluate(TARGET, schedule, found.score)
    exact = evaluate(TARGET, schedule)
    assert float(with_table.score.value) > 10 * float(with_table.score.error)
    assert float(with_table.marginal_kl.error) < 1e-3
    assert float(with_table.path_kl.value) > float(exact.path_kl.value)


@pytest.mark.parametrize(
    ("target", "sigmas", "rounds", "field"),
    [
        (Gaussian.isotropic(2, 1.0), SIGMAS, 5, "target.dim"),
        (TARGET, [1.0, 0.0], 5, "sigmas"),
        (TARGET, SIGMAS, 1, "rounds"),
    ],
)
def test_tables_that_are_none_are_refused(target, sigmas, rounds, field):
    with pytest.raises(ValueError, match=field):
        perceptual_score(target, LOSS, sigmas, rounds)

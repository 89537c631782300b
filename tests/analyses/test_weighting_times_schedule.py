"""Weightings times schedules: cells against least squares in NumPy, ties, shares of variance."""

import jax
import numpy as np
import pytest

import design_space as ds
from analyses import weighting_times_schedule as analysis
from design_space.arrays import named_key

PER_LEVEL = {
    "learner": analysis.PER_LEVEL,
    "scales": None,
    "sigma_data": 0.5,
    "std": 0.5,
    "seed": 1,
    "seeds": 3,
    "points": 30,
    "steps": 4,
    "iterations": {"few": 10.0, "converged": 1e12},
}
SHARED = PER_LEVEL | {"learner": analysis.SHARED, "scales": [0.3, 1.0], "sigma_data": 0.6}


@pytest.fixture(scope="module")
def levels():
    return analysis.compute(PER_LEVEL)


@pytest.fixture(scope="module")
def features():
    return analysis.compute(SHARED)


def converged(table, part):
    rows = table[(table["part"] == part) & (table["criterion"] == "score")]
    return rows[rows["level"] == "converged"]


def drawn(seed):
    """Data and noise of one seed, levels ascending."""
    first, key = jax.random.split(jax.random.key(PER_LEVEL["seed"]))
    shape = (PER_LEVEL["seeds"], PER_LEVEL["points"], 1)
    points = PER_LEVEL["std"] * np.asarray(jax.random.normal(first, shape))[seed, :, 0]
    own = named_key(jax.random.split(key, PER_LEVEL["seeds"])[seed], "noise")
    return points, np.asarray(jax.random.normal(own, (len(points), 4, 1)))[:, :, 0]


def score_error(slopes, intercepts, sigmas):
    """E_S over N(0, s^2); sigmas ascend from sigma_0."""
    v, s2 = sigmas**2, PER_LEVEL["std"] ** 2
    total = s2 + v[1:]
    return 0.5 * np.sum(np.diff(v) * ((slopes + 1 / total) ** 2 * total + intercepts**2))


def per_level(sigmas, seed, _):
    points, noise = drawn(seed)
    found = []
    for j, sigma in enumerate(sigmas[1:]):
        x = points + sigma * noise[:, j]
        design = np.stack([x, np.ones_like(x)], axis=1)
        found.append(np.linalg.lstsq(design, -noise[:, j] / sigma, rcond=None)[0])
    return score_error(*np.array(found).T, sigmas)


def shared(sigmas, seed, beta):
    """Weighted least squares of all levels at once, inside EDM's preconditioning."""
    points, noise = drawn(seed)
    total = SHARED["sigma_data"] ** 2 + sigmas[1:] ** 2
    gain = SHARED["sigma_data"] / (np.sqrt(total) * sigmas[1:])
    falls = 1 / (np.square(SHARED["scales"])[None, :] + (np.log(sigmas[1:, None]) / 4) ** 2)
    x = points[:, None] + sigmas[None, 1:] * noise
    inputs = np.stack([x / np.sqrt(total), np.ones_like(x)], axis=-1)
    design = gain[None, :, None, None] * falls[None, :, :, None] * inputs[:, :, None, :]
    root = np.sqrt(beta) * sigmas[1:]
    rows = (root[None, :, None] * design.reshape(*x.shape, -1)).reshape(x.size, -1)
    right = (root[None, :] * (x / total - noise / sigmas[1:])).ravel()
    theta = np.linalg.lstsq(rows, right, rcond=None)[0].reshape(-1, 2)
    slopes = -1 / total + gain * (falls @ theta[:, 0]) / np.sqrt(total)
    return score_error(slopes, gain * (falls @ theta[:, 1]), sigmas)


def check_cells(table, fit):
    cells = converged(table, "cell").set_index(["schedule", "weighting"])
    for name, grid in (("edm", ds.edm(4)), ("song", ds.song(4))):
        sigmas = np.asarray(grid.forward_sigmas)
        for weighting, beta in zip(analysis.WEIGHTINGS, analysis.totals(grid), strict=True):
            expected = np.mean([fit(sigmas, seed, beta) for seed in range(3)])
            # Rounding times the square of the condition, below 1e5, of the shared features.
            assert cells.loc[(name, weighting), "value"] == pytest.approx(expected, rel=1e-5)


def test_converged_levels_of_their_own_are_least_squares_whatever_the_weighting(levels):
    check_cells(levels, per_level)
    assert converged(levels, "spread")["most"].item() == pytest.approx(1, abs=1e-8)
    assert converged(levels, "cell")["tie"].all()


@pytest.mark.slow
def test_converged_shared_features_are_weighted_least_squares(features):
    check_cells(features, shared)
    assert converged(features, "spread")["most"].item() > 1.01


def test_of_the_samplers_own_weighting_the_loss_is_the_score_error():
    found = analysis.measured(PER_LEVEL)
    own = analysis.WEIGHTINGS.index(analysis.OWN)
    np.testing.assert_allclose(found.excess[:, own], found.score[:, own], rtol=1e-8)


def test_ties_are_decided_by_paired_differences():
    random = np.random.default_rng(0)
    common = random.normal(size=(1, 40))
    errors = 10 + common + 0.01 * random.normal(size=(3, 40)) + np.array([[0.0], [0.0], [1.0]])
    assert analysis.apart(errors, 0).tolist() == [False, False, True]
    close = np.array([1.0, 1 + 1e-12])[:, None] * np.ones((1, 5))
    assert not analysis.apart(close, 0).any()


def test_shares_of_variance():
    rows, columns = np.array([0.0, 1.0]), np.array([0.0, 2.0, 4.0])
    errors = np.exp(rows[:, None] + columns[None, :])[:, :, None]
    shares = analysis.variance_shares(errors)
    whole = np.var(rows) + np.var(columns)
    assert shares["schedule"][0] == pytest.approx(np.var(rows) / whole)
    assert shares["weighting"][0] == pytest.approx(np.var(columns) / whole)
    assert shares["interaction"][0] == pytest.approx(0, abs=1e-12)


def test_table_finding_and_presets(levels):
    cells = levels[levels["part"] == "cell"]
    count = len(analysis.SCHEDULES) * len(analysis.WEIGHTINGS)
    blocks = cells.groupby(["learner", "criterion", "level"])
    assert set(blocks.size()) == {count}
    assert set(blocks["best_of_all"].sum()) == {1}
    assert set(blocks["best"].sum()) == {len(analysis.SCHEDULES)}
    assert (blocks["ratio"].min() == 1).all()
    assert analysis.regret(cells[cells["criterion"] == "score"]).min() >= 1
    words = analysis.finding(levels)
    assert "Of 8 cases" in words
    assert "(all tied)" in words
    for preset in analysis.EXPERIMENT.presets.values():
        assert {piece["learner"] for piece in analysis.pieces(preset)} == {
            analysis.PER_LEVEL,
            analysis.SHARED,
            analysis.MISFIT,
        }

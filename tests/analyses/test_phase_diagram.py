"""Who wins: the cells against least squares in NumPy, and the decision by paired intervals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import design_space as ds
from analyses import phase_diagram
from design_space.arrays import named_key

SETTINGS = {
    "seed": 1,
    "seeds": 3,
    "points": 30,
    "steps": 4,
    "std": 0.5,
    "stds": [0.002],
    "iterations": [0.0, 10.0, 1e12],
    "little": 10.0,
    "well": 1e12,
}


@pytest.fixture(scope="module")
def table():
    return phase_diagram.compute(SETTINGS)


def _fitted(std, sigmas, seed):
    """Least-squares affine scores of one seed, and the exact errors of sampling with them."""
    drawn, key = jax.random.split(jax.random.key(SETTINGS["seed"]))
    shape = (SETTINGS["seeds"], SETTINGS["points"], 1)
    points = std * np.asarray(jax.random.normal(drawn, shape))[seed, :, 0]
    own = named_key(jax.random.split(key, SETTINGS["seeds"])[seed], "noise")
    noise = np.asarray(jax.random.normal(own, (SETTINGS["points"], 4, 1)))[:, :, 0]
    v = sigmas**2
    mean, variance, path = 0.0, v[0], 0.5 * (std**2 / v[0] - np.log1p(std**2 / v[0]))
    for j in range(4):
        xi = noise[:, 3 - j]
        x = points + sigmas[j] * xi
        design = np.stack([x, np.ones_like(x)], axis=1)
        slope, intercept = np.linalg.lstsq(design, -xi / sigmas[j], rcond=None)[0]
        h, total = v[j] - v[j + 1], std**2 + v[j]
        path += 0.5 * h * ((slope + 1 / total) ** 2 * total + intercept**2)
        path += 0.5 * (np.log(total / (total - h)) - h / total)
        mean = mean + h * (slope * mean + intercept)
        variance = (1 + h * slope) ** 2 * variance + h
    final = std**2 + v[4]
    ratio = final / variance
    return path, 0.5 * (ratio - 1 - np.log(ratio) + mean**2 / variance)


def test_converged_cells_are_least_squares(table):
    rows = table[(table["part"] == "design") & (table["iteration"] == 1e12)]
    for std, schedule, name in ((0.5, ds.edm(4), "edm"), (0.002, ds.song(4), "song")):
        sigmas = np.asarray(schedule.backward_sigmas)
        expected = np.mean([_fitted(std, sigmas, k) for k in range(3)], axis=0)
        own = rows[(rows["std"] == std) & (rows["design"] == name)]
        for criterion, value in zip(("path_kl", "marginal_kl"), expected, strict=True):
            found = own[own["criterion"] == criterion]["value"]
            # Slopes lose up to v / s^2 = 1e9 units of rounding to the cancellation S - L.
            np.testing.assert_allclose(found, value, rtol=1e-6)


def test_every_plane_and_criterion_has_its_cells(table):
    cells = table[table["part"] == "cell"]
    counts = cells.groupby("plane").size()
    assert counts[phase_diagram.TRAINING] == 3 * 4
    assert counts[phase_diagram.LITTLE] == counts[phase_diagram.WELL] == 4
    assert set(cells["criterion"]) == set(phase_diagram.CRITERIA)
    assert "EDM" in phase_diagram.finding(table)


def test_optimal_grids_are_not_beaten_by_what_they_optimize(table):
    """Of the exact score they are optimal; a converged fit to 30 points is near enough."""
    rows = table[(table["part"] == "design") & (table["iteration"] == 1e12)]
    for criterion, name in (("path_kl", "path-optimal"), ("marginal_kl", "marginal-optimal")):
        values = rows[(rows["criterion"] == criterion) & (rows["plane"] == "training")]
        values = values.set_index("design")["value"]
        assert values[name] < 1.1 * values.drop(name).min()


def test_winners_are_decided_by_paired_differences():
    random = np.random.default_rng(0)
    common, apart = random.normal(size=40), 0.01 * random.normal(size=(6, 40))
    errors = 10 + common[None, :] + apart + np.array([0.0, 1.0, 1.0, 1.0, 1.0, 1.0])[:, None]
    assert phase_diagram.winner(errors)["pair"] == "edm"  # unpaired, the spread would hide it
    assert phase_diagram.winner(errors[[1, 0, 2, 3, 4, 5]])["pair"] == "song"
    found = phase_diagram.winner(errors[[1, 2, 0, 3, 4, 5]])
    assert (found["pair"], found["best"], found["ahead"]) == ("tie", "linear-exponential", True)
    assert found["ratio"] == pytest.approx(1, rel=1e-2)
    same = np.broadcast_to(errors[:1], errors.shape)
    assert phase_diagram.winner(np.asarray(jnp.asarray(same)))["pair"] == "tie"

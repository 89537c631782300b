"""Numbers of laws in the plane against products of lines, other code for errors, and particles."""

import jax
import numpy as np
import pandas as pd
import pytest

from analyses import guidance_free_2d as gallery
from analyses.plane_numbers import Field, data_field, data_moments, divergences, outside
from analyses.plane_targets import TARGETS, PlaneTarget
from design_space.errors.marginal import marginal_errors
from design_space.errors.plane import plane_marginals
from design_space.sampling.plane_patches import COARSE
from design_space.sampling.simulate import simulate
from design_space.scores.exact import exact_score
from design_space.targets.mixture import GaussianMixture

MADE = {"design": "few", "sampler": "frozen", "steps": 5, "sigma_max": 3.0}
WEIGHTS = (0.3, 0.6)


@pytest.fixture(scope="module")
def product():
    """Two lines with modes at -1 and 1, and the four modes in the plane that they make."""
    sides = [GaussianMixture.isotropic([w, 1 - w], [[-1.0], [1.0]], 0.4) for w in WEIGHTS]
    w, u = WEIGHTS
    weights = [w * u, w * (1 - u), (1 - w) * u, (1 - w) * (1 - u)]
    means = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    both = PlaneTarget(GaussianMixture.isotropic(weights, means, 0.4), np.arange(4), 2.0)
    return sides, both


@pytest.fixture(scope="module")
def found(product):
    target = product[1]
    data = data_field(target, gallery.VARIANCE, 192)
    return data, *gallery.seen(target, gallery.design(target, MADE), data, COARSE)


def test_kl_of_a_product_is_the_sum_over_its_sides(product, found):
    sides, target = product
    run = gallery.design(target, MADE)
    truth = sum(
        float(
            marginal_errors(
                s, run.schedule, exact_score(s), jax.random.key(0), 64, stepper=run.stepper
            ).marginal_kl.value
        )
        for s in sides
    )
    # COARSE leaves out exp(-16) of the frequencies: 1e-7 of the density.
    assert found[1]["marginal_kl"] == pytest.approx(truth, abs=1e-6)


def test_numbers_are_those_of_the_errors_in_the_plane(product, found):
    target, (_, numbers, own, _) = product[1], found
    errors = plane_marginals(target.law, *gallery.design(target, MADE))
    for name in ("marginal_kl", "total_variation"):
        expected = getattr(errors, name)
        assert numbers[name] == pytest.approx(
            float(expected.value), abs=float(expected.error) + 1e-4 * numbers[name]
        )
    assert own.mass == pytest.approx(1.0, abs=1e-6)
    assert own.variance == pytest.approx(float(np.trace(errors.covariance.value)), rel=1e-5)


def test_particles_fall_where_the_numbers_say(product, found):
    target, (data, numbers, own, _) = product[1], found
    run = gallery.design(target, MADE)
    count = 100_000
    drawn = simulate(
        run.score, run.schedule, jax.random.key(3), count=count, dim=2, stepper=run.stepper
    ).particles
    posterior = jax.jit(jax.vmap(lambda y: target.law.posterior(y, gallery.VARIANCE)))(drawn)
    shares = np.asarray(posterior.weights)
    # 4 standard errors, five numbers: a false alarm once in 3000 seeds, and the seed is fixed.
    allowed = 4 * np.std(shares, axis=0) / count**0.5
    assert np.all(np.abs(shares.mean(axis=0) - own.weights) <= allowed)
    level = np.sort(data.values, axis=None)[::-1]
    level = level[np.searchsorted(np.cumsum(level) * data.cell, 0.99)]
    beyond = float(np.mean(np.exp(np.asarray(posterior.log_density)) < level))
    # A cell is in or out as a whole: 2e-4 of the mass for cells of 1/24 along the border.
    assert numbers["outside"] == pytest.approx(beyond, abs=4 * (beyond / count) ** 0.5 + 1e-3)


@pytest.mark.parametrize("name", TARGETS)
def test_data_lie_in_the_square(name):
    target = TARGETS[name]()
    field = data_field(target, gallery.VARIANCE, 256)
    mass = float(np.sum(field.values)) * field.cell
    assert mass == pytest.approx(1.0, abs=1e-8)
    assert outside(field, field) == pytest.approx(0.01, abs=1e-3)
    assert np.sum(data_moments(target, 0.0).weights) == pytest.approx(1.0)


def test_divergences_of_normals():
    """N(0, 1) from N(0, 4): KL = log 4 + 1/4 - 1; their densities cross at |x|^2 = (16/3) log 2."""
    half, points = 8.0, 320

    def normal(variance):
        return Field.of(
            lambda x: np.exp(-np.sum(x * x, axis=1) / (2 * variance)) / (2 * np.pi * variance),
            half,
            points,
        )

    kl, variation = divergences(normal(1.0), normal(4.0), 1.0, 1e-300)
    assert kl == pytest.approx(np.log(4) + 0.25 - 1, abs=1e-9)
    crossing = 8 / 3 * np.log(4)
    expected = np.exp(-crossing / 8) - np.exp(-crossing / 2)
    assert variation == pytest.approx(expected, abs=1e-4)


@pytest.fixture(scope="module")
def table():
    pieces = [
        {"target": "four modes", "made": made, "points": 48} for made in ({"design": "data"}, MADE)
    ]
    return pd.concat([gallery.compute(p) for p in pieces], ignore_index=True)


def test_pictures_integrate_to_one(table):
    for name, rows in table[table["part"] == "density"].groupby("design"):
        values = np.stack(rows.sort_values("y")["density"].to_numpy())
        cell = (2 * 2.1 / 48) ** 2
        assert values.shape == (48, 48)
        mass = np.sum(values) * cell
        # the square that is drawn ends 4.4 standard deviations from the modes
        assert mass <= 1 + 1e-5
        assert mass >= (1 - 3e-5 if name == "data" else 0.9)


def test_weights_and_finding(table):
    modes = table[table["part"] == "mode"]
    for _, rows in modes.groupby("design"):
        assert rows["weight"].sum() == pytest.approx(1.0, abs=1e-5)
    data = modes[modes["design"] == "data"]
    np.testing.assert_allclose(data["weight"], [0.4, 0.3, 0.2, 0.1])
    np.testing.assert_allclose(data[["x", "y"]], [[-1, 1], [1, 1], [-1, -1], [1, -1]])
    row = table[table["part"] == "design"].iloc[0]
    assert f"KL {row['marginal_kl']:.3g}" in gallery.finding(table)
    assert row["marginal_kl_error"] < 1e-3

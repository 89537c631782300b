"""Data, levels and width: the closed forms against the chain and quadrature, and the finding."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from reference.level_chains import excesses, level_problem, marginal_kl, weights_at

import design_space as ds
from analyses import sample_size
from analyses.chain import Learner, chain_errors
from analyses.feature_chains import (
    _model,
    decomposed,
    exact_weighting,
    feature_parts,
    population_of,
)
from analyses.network_chains import two_modes
from analyses.residuals import mismatch
from design_space.arrays import named_key
from design_space.training.objective import DenoisingData, empirical_loss
from design_space.weightings.named import edm_weighting

GRID = ds.edm(4)
SETTINGS = {"points": [4, 8, 16], "sigma_data": 1.0}


def test_levels_against_gradient_descent_step_by_step():
    std, random = 0.5, np.random.default_rng(0)
    sigmas, beta = np.array([0.1, 0.7, 4.0]), np.array([2.0, 1.0, 0.3])
    points, noise = std * random.standard_normal(9), random.standard_normal((9, 3))
    start = random.standard_normal((3, 2))
    problem = level_problem(std, sigmas, beta, points[None], noise[None], start[None])
    root, x = np.sqrt(std**2 + sigmas**2), points[:, None] + sigmas * noise

    def score(w):  # through the denoiser of EDM's Table 1
        inner = w[:, 0] * x / root + w[:, 1]
        denoised = std**2 / root**2 * x + sigmas * std / root * inner
        return (denoised - x) / sigmas**2

    def gradient(w):
        residual = beta * (sigmas * score(w) + noise)
        inner = np.stack([x / root, np.ones_like(x)], axis=-1) * (std / root)[:, None]
        return np.mean(residual[..., None] * inner, axis=0)

    units = np.eye(6).reshape(6, 3, 2)
    curvature = [[np.sum(u * (gradient(w) - gradient(0 * w))) for w in units] for u in units]
    rate = 1 / np.linalg.eigvalsh(np.array(curvature))[-1]  # half of 2/lambda_max
    w = start
    for _ in range(25):
        w = w - rate * gradient(w)
    np.testing.assert_allclose(weights_at(problem, 25)[0], w, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient(problem.optimum[0]), 0, atol=1e-12)
    draws = np.sqrt(std**2 + sigmas**2) * np.linspace(-9, 9, 2001)[:, None]
    mass = np.exp(-0.5 * np.linspace(-9, 9, 2001) ** 2)[:, None]
    x, noise = draws, 0 * draws
    off = np.sum(mass * (score(w) + draws / root**2) ** 2, axis=0) / mass.sum()
    np.testing.assert_allclose(excesses(problem, w[None])[0], beta * sigmas**2 * off / 2, rtol=1e-9)


@pytest.mark.slow
def test_levels_without_compilation_against_the_chain():
    std, key, steps = 0.5, jax.random.key(3), jnp.array([0.0, 3.0, 1e3, 1e300])
    target, weighting = ds.Gaussian.isotropic(1, std), edm_weighting(sigma_data=std)
    points = target.sample(jax.random.key(4), 12)
    given = (Learner(sigma_data=std), target, GRID, weighting, points, key, steps)
    expected = eqx.filter_jit(chain_errors)(*given)
    noise = np.asarray(jax.random.normal(named_key(key, "noise"), (12, 4, 1)))[None, :, :, 0]
    start = np.asarray(jax.random.normal(named_key(key, "weights"), (4, 1, 2)))[None, :, 0]
    sigmas, beta = np.asarray(GRID.forward_sigmas[1:]), np.asarray(weighting.total(GRID))
    problem = level_problem(std, sigmas, beta, np.asarray(points).T, noise, start)
    paid = np.asarray(GRID.forward_variance_steps) / (beta * sigmas**2)
    for k, step in enumerate(steps.tolist()):
        weights = weights_at(problem, step)
        found = excesses(problem, weights)[0]
        # Both are closed forms of the same numbers, by other decompositions.
        assert found.sum() == pytest.approx(float(expected.excess[k]), rel=1e-9)
        assert found @ paid == pytest.approx(float(expected.score[k]), rel=1e-9)
        kl = marginal_kl(problem, weights, std, np.asarray(GRID.forward_variances))[0]
        assert kl == pytest.approx(float(expected.marginal_kl[k]), rel=1e-8)
    least = excesses(problem, problem.optimum).sum()
    assert least == pytest.approx(float(expected.estimation[-1]), rel=1e-9)


def test_converged_statistics_are_the_sum_over_the_levels():
    """E of (1/n) sum_j h_j mmse_j/v_j^2 for large n: two parameters for each level."""
    piece = {"steps": 6, "std": 0.5, "points": [512], "iterations": [1e300]}
    table = sample_size.plane(piece | {"seeds": 150, "seed": 2})
    rows = table[(table["part"] == "value") & (table["quantity"] == "statistics")]
    row = rows[rows["design"] == "edm"].iloc[0]
    grid = ds.edm(6)
    h, v = np.asarray(grid.forward_variance_steps), np.asarray(grid.forward_variances[1:])
    expected = np.sum(h * 0.25 / (v * (v + 0.25))) / 512
    half = row["high"] - row["value"]  # of the 99 % interval; fixed seeds
    assert abs(row["value"] - expected) < 1.2 * half + 0.02 * expected


@pytest.fixture(scope="module")
def solved():
    key = jax.random.key(8)
    population = population_of(key, GRID, SETTINGS, 5)
    return {n: decomposed(key, GRID, SETTINGS, population, n) for n in (4, 16)}


def test_random_features_against_quadrature_and_the_loss(solved):
    found, step = solved[16], 40
    parts = feature_parts(found, [step])
    model = found.solution.at(step, 0.5 * found.solution.stability_limit)
    levels = [float(mismatch(two_modes(), model, s)) for s in GRID.forward_sigmas[1:]]
    score = 0.5 * float(jnp.asarray(levels) @ GRID.forward_variance_steps)
    assert parts.excess[0] == pytest.approx(score, rel=1e-4)  # kinks between the nodes
    assert parts.excess[0] >= parts.approximation


def test_repeated_points_are_the_loss_of_few(solved):
    key, n = jax.random.key(8), 4
    points = two_modes().sample(named_key(key, "points"), 16)[:n]
    noise = jax.random.normal(named_key(key, "noise"), (16, 4, 1))[:n]
    beta = exact_weighting(GRID).total(GRID)
    data = DenoisingData(points, noise, GRID.forward_sigmas[1:], beta)
    few = ds.solvable(_model(key, SETTINGS, 5), data)
    rate = 0.5 * few.stability_limit
    assert float(solved[n].solution.stability_limit) == pytest.approx(2 * float(rate), rel=1e-9)
    own = solved[n].solution.at(30, rate)
    assert float(empirical_loss(own, data)) == pytest.approx(float(few.loss(30, rate)), rel=1e-9)


def test_the_dominating_part_and_whether_it_is_sure():
    noise = np.linspace(-1, 1, 9)
    parts = {"a": 10 + noise, "b": 5 - noise, "c": 0 * noise}
    assert sample_size.dominating(parts) == {
        "dominant": "a",
        "share": pytest.approx(2 / 3),
        "sure": True,
    }
    unsure = sample_size.dominating({"a": 1 + 5 * noise, "b": 0.9 - 5 * noise})
    assert (unsure["dominant"], unsure["sure"]) == ("a", False)


def test_exponents_of_power_laws():
    rows = [
        {"seed": i, "points": n, "value": (1 + i) * n ** -(1 + 0.1 * i)}
        for i in range(3)
        for n in (2, 8, 64)
    ]
    found = sample_size.exponent(pd.DataFrame(rows), "points")
    assert found["value"] == pytest.approx(-1.1, rel=1e-9)
    assert found["low"] < -1.2 < -1.0 < found["high"]


@pytest.fixture(scope="module")
def table():
    levels = {"std": 0.5, "seeds": 3, "points": [4, 8, 32], "iterations": [10.0, 1e300]}
    width = {"steps": 4, "seeds": 2, "widths": [5], "iterations": [1e2, 1e300]}
    width |= SETTINGS | {"marginal_widths": [], "marginal_points": []}
    width |= {"marginal_iteration": 1e2, "marginal_seeds": 0}
    settings = {"seed": 0, "levels": levels | {"steps": [3, 6, 12]}, "width": width}
    parts = [sample_size.compute(piece) for piece in sample_size.pieces(settings)]
    own = parts[-1].assign(value=lambda t: t["value"].abs())
    parts += [own.assign(width=5 * k, value=own["value"] / k) for k in (2, 4)]  # 1/m, by hand
    return pd.concat(parts, ignore_index=True)


def test_parts_add_up_to_the_path(table):
    values = table[table["part"] == "value"]
    values = values[~values["width"].isin([10, 20])].fillna({"width": 0})
    keys = ["plane", "design", "steps", "width", "points", "iteration"]
    wide = values.pivot(index=keys, columns="quantity", values="value")
    total = wide[list(sample_size.PARTS)].sum(axis=1)
    np.testing.assert_allclose(total, wide["path KL"], rtol=1e-9)
    four = wide["four terms"].dropna()
    assert np.all(four >= wide.loc[four.index, "E_S"] * (1 - 1e-9))


def test_the_finding_tells_exponents_and_widths(table):
    words = sample_size.finding(table)
    for word in ("edm, converged: E_S ~ n^(", "eps_approx ~ m^(-1.00 ± 0.00)", "four terms are"):
        assert word in words


def test_presets_are_whole():
    for preset in sample_size.EXPERIMENT.presets.values():
        for piece in sample_size.pieces(preset):
            if piece["plane"] == "width":
                most = piece["points"][-1]
                assert all(most % n == 0 for n in piece["points"])
                assert piece["marginal_iteration"] in piece["iterations"]

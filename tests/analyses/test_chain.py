"""The chain in bulk against the same chain made by hand from one problem with all levels."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import design_space as ds
from analyses.chain import Learner, chain_errors, chain_table
from design_space.arrays import named_key
from design_space.errors.budget import error_budget
from design_space.errors.decomposition import loss_terms
from design_space.scores.preconditioned import noise_coordinate
from design_space.training.objective import DenoisingData
from design_space.weightings.named import edm_weighting

STEPS = jnp.array([0.0, 3.0, 1e3, 1e7])
SCALES = (0.3, 1.0)


def _by_hand(learner, target, schedule, weighting, points, key):
    """One model of all levels, trained at once; budgets at the chosen steps."""
    dim, levels = target.dim, schedule.forward_sigmas[1:]
    blocks = len(levels) if learner.scales is None else len(learner.scales)
    drawn = jax.random.normal(named_key(key, "weights"), (blocks, dim, dim + 1))
    weights = jnp.concatenate(list(learner.spread * drawn), axis=1)
    if learner.scales is None:
        inner = ds.per_level_affine(dim, noise_coordinate(levels), weights=weights)
    else:
        inner = ds.shared_affine(dim, learner.scales, weights=weights)
    model = ds.preconditioned(inner, learner.sigma_data)
    noise = jax.random.normal(named_key(key, "noise"), (len(points), schedule.steps, dim))
    data = DenoisingData(points, noise, levels, weighting.total(schedule))
    solution = ds.solvable(model, data)
    rate = 0.5 * solution.stability_limit
    population = ds.population_solvable(model, target, schedule, weighting)
    terms = loss_terms(solution, population, STEPS, rate)
    budgets = jax.lax.map(lambda k: error_budget(target, schedule, solution.at(k, rate)), STEPS)
    return budgets, terms


by_hand = eqx.filter_jit(_by_hand)


def stacked(*trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@pytest.mark.parametrize(
    ("dim", "scales"),
    [
        pytest.param(1, None, id="per level"),
        pytest.param(1, SCALES, id="shared"),
        pytest.param(2, None, id="per level, d = 2", marks=pytest.mark.slow),
        pytest.param(2, SCALES, id="shared, d = 2", marks=pytest.mark.slow),
    ],
)
def test_agrees_with_one_problem_of_all_levels(dim, scales):
    """Two grids and two trainings at once, each with a law of its own; every row by hand."""
    learner, keys = Learner(scales), jax.random.split(jax.random.key(3), 2)
    targets = [ds.Gaussian.diagonal([m] * dim, np.linspace(0.2, 0.5, dim)) for m in (0.3, -0.1)]
    schedules = [ds.edm(steps=5, sigma_min=0.05, sigma_max=10.0), ds.song(steps=5)]
    points = jnp.stack([targets[0].sample(key, 12) for key in keys])
    given = (stacked(*schedules), edm_weighting(), points, keys, STEPS)
    table = chain_table(learner, stacked(*targets), *given)
    assert table.path_kl.shape == (2, 2, len(STEPS))
    for i, j in [(0, 0), (1, 1)]:
        where = (learner, targets[i], schedules[i], edm_weighting(), points[j], keys[j])
        budgets, terms = by_hand(*where)
        found = jax.tree.map(lambda leaf, i=i, j=j: leaf[i, j], table)
        # Both are closed forms of the same numbers; decompositions differ by some units of rounding
        # times the condition of the problem, which is below 1e4 for shared features.
        for name in ("initialization", "discretization", "score", "path_kl", "marginal_kl", "w2"):
            expected = np.asarray(getattr(budgets, name).value)
            np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-8, atol=1e-13)
        for name in ("train", "generalization", "estimation", "approximation", "excess"):
            expected = np.asarray(getattr(terms, name).value)
            np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-7, atol=1e-12)
    assert np.all(table.path_kl >= table.marginal_kl)
    assert np.all(table.bound >= table.path_kl)


@pytest.mark.slow  # compiles three chains
def test_tables_are_rows_of_the_single_chain():
    learner = Learner()
    schedules = [ds.edm(steps=4), ds.song(steps=4)]
    keys = jax.random.split(jax.random.key(0), 3)
    target = ds.Gaussian.isotropic(1, 0.5)
    points = jnp.stack([target.sample(key, 8) for key in keys])
    given = (edm_weighting(), points, keys, STEPS)
    table = chain_table(learner, target, stacked(*schedules), *given)
    assert table.path_kl.shape == (2, 3, len(STEPS))
    one = eqx.filter_jit(chain_errors)(
        learner, target, schedules[1], edm_weighting(), points[2], keys[2], STEPS
    )
    np.testing.assert_allclose(table.path_kl[1, 2], one.path_kl, rtol=1e-12)
    np.testing.assert_allclose(table.bound[1, 2], one.bound, rtol=1e-9)
    own = stacked(target, ds.Gaussian.isotropic(1, 2.0))
    wide = chain_table(learner, own, stacked(*schedules), *given)
    np.testing.assert_allclose(wide.path_kl[0], table.path_kl[0], rtol=1e-12)

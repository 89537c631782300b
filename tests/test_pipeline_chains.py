"""The whole chain in closed form: against gradient descent itself, and many designs at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import design_space as ds
from design_space.pipeline import evaluate_training, training_data
from design_space.scores.preconditioned import noise_coordinate

QUANTITIES = ("initialization", "discretization", "score", "path_kl", "marginal_kl", "w2")
BELL = ds.weightings.edm_weighting(sigma_data=1.0)
LINE = ds.Gaussian([0.3], [[0.49]])
SPACE = ds.Gaussian([0.3, -1.0, 0.2], [[1.0, 0.3, 0.0], [0.3, 0.5, 0.1], [0.0, 0.1, 0.25]])
GRID = ds.edm(6, sigma_min=0.1, sigma_max=4.0)
STEPS = (0, 40, 400)


def model_of(kind, dim, grid=GRID):
    levels = grid.forward_sigmas[1:]
    if kind == "per level":
        return ds.per_level_affine(dim, grid)
    if kind == "shared":
        return ds.shared_affine(dim, [0.3, 1.0])
    if kind == "preconditioned per level":
        return ds.preconditioned(ds.per_level_affine(dim, noise_coordinate(levels)), 0.7)
    return ds.preconditioned(ds.shared_affine(dim, [0.3, 1.0]), 0.7)


KINDS = ["per level", "shared", "preconditioned per level", "preconditioned shared"]
QUICK = {("per level", 1)}


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        pytest.param(
            kind,
            target,
            marks=[] if (kind, target.dim) in QUICK else pytest.mark.slow,
            id=f"{kind}, d = {target.dim}",
        )
        for kind in KINDS
        for target in (LINE, SPACE)
    ],
)
def test_the_simulated_chain_is_the_closed_form(kind, target):
    model = model_of(kind, target.dim)
    data = training_data(target, GRID, BELL, 12, seed=3)
    found = evaluate_training(target, GRID, BELL, model, data=data, steps=STEPS)
    rate = float(found.learning_rate)
    words = {"steps": STEPS, "learning_rate": rate, "method": "simulated"}
    walked = evaluate_training(target, GRID, BELL, model, data=data, **words)
    assert (found.method, walked.method) == ("closed form", "simulated")
    # Each of 400 steps rounds the weights by 1e-16 of their size, stable steps do not let that
    # grow, and the budget is smooth in the weights: 1e-12 would do here. 1e-8 is the house's word.
    np.testing.assert_allclose(walked.losses, found.losses, rtol=1e-8)
    for one, two in zip(walked.budgets, found.budgets, strict=True):
        for name in QUANTITIES:
            a, b = getattr(one, name), getattr(two, name)
            assert a.method == b.method == "closed form"
            np.testing.assert_allclose(a.value, b.value, rtol=1e-8)
    for one, two in zip(walked.excesses, found.excesses, strict=True):
        np.testing.assert_allclose(one.value, two.value, rtol=1e-8)
    # the terms of Theorem 3 know the same excess by another way
    assert found.terms is not None
    for terms, excess in zip(found.terms, found.excesses, strict=True):
        np.testing.assert_allclose(terms.excess.value, excess.value, rtol=1e-8)


def by_hand(target, grid, beta, slopes):
    """E_S and marginal KL on N(0, s^2) of s_j(x) = a_j x, levels ascending: a plain loop."""
    s2 = float(target.covariance()[0, 0])
    sigmas = np.asarray(grid.forward_sigmas)
    variance, score = sigmas[-1] ** 2, 0.0
    for j in range(len(sigmas) - 1, 0, -1):
        v, h = sigmas[j] ** 2, sigmas[j] ** 2 - sigmas[j - 1] ** 2
        score += 0.5 * h * (slopes[j - 1] + 1 / (s2 + v)) ** 2 * (s2 + v)
        variance = (1 + h * slopes[j - 1]) ** 2 * variance + h
    ratio = (s2 + sigmas[0] ** 2) / variance
    return score, 0.5 * (ratio - 1 - np.log(ratio))


def test_population_descent_against_the_theory():
    """a_j(k) - a_j* = (1 - h beta_j v_j (s^2 + v_j))^k (0 - a_j*): theory, section 3."""
    target, model = ds.Gaussian.isotropic(1, 0.5), ds.per_level_affine(1, GRID, intercept=False)
    beta, v = np.asarray(BELL.total(GRID)), np.asarray(GRID.forward_variances)[1:]
    curvature = beta * v * (0.25 + v)
    rate = 0.5 / curvature.max()
    words = {"steps": [0, 5, 50], "samples": "population", "learning_rate": rate}
    found = evaluate_training(target, GRID, BELL, model, **words)
    assert found.samples == "population"
    np.testing.assert_allclose(found.stability_limit, 2 / curvature.max(), rtol=1e-12)
    for k, budget, excess in zip([0, 5, 50], found.budgets, found.excesses, strict=True):
        best = -1 / (0.25 + v)
        slopes = best - (1 - rate * curvature) ** k * best
        score, kl = by_hand(target, GRID, beta, slopes)
        # sums of a dozen numbers of the same sign; the KL is of order one here
        np.testing.assert_allclose(budget.score.value, score, rtol=1e-11)
        np.testing.assert_allclose(budget.marginal_kl.value, kl, rtol=1e-10)
        expected = 0.5 * np.sum(curvature * (slopes - best) ** 2)
        np.testing.assert_allclose(excess.value, expected, rtol=1e-11)


class TestManyDesigns:
    """One traced program against the loop: keys and learning rates; 5 exponents x 4 weightings x 6
    steps.
    """

    RHOS, MEANS = np.linspace(3.0, 11.0, 5), np.linspace(-1.0, 0.5, 4)
    AT = np.array([0, 1, 10, 100, 1000, 100000])

    @staticmethod
    def chain(rho, p_mean, step, key, rate="auto"):
        grid = ds.edm(8, sigma_min=0.1, sigma_max=4.0, rho=rho)
        weighting = ds.weightings.edm_weighting(p_mean=p_mean)
        data = ds.denoising_data(LINE.sample(key, 9), grid, weighting, key)
        model = ds.per_level_affine(1, grid)
        words = {"data": data, "steps": step, "learning_rate": rate}
        found = evaluate_training(LINE, grid, weighting, model, **words)
        row = [getattr(found.last, name).value for name in QUANTITIES]
        return jnp.stack([*row, found.losses[0], found.excesses[0].value, found.learning_rate])

    @pytest.mark.slow
    def test_vmap_is_the_loop(self):
        key = jax.random.key(5)
        over_steps = jax.vmap(self.chain, (None, None, 0, None))
        over_means = jax.vmap(over_steps, (None, 0, None, None))
        every = jax.jit(jax.vmap(over_means, (0, None, None, None)))
        found = every(self.RHOS, self.MEANS, self.AT, key)
        assert found.shape == (5, 4, 6, 9)
        for i, j, k in [(0, 0, 0), (2, 1, 5), (4, 3, 2)]:
            alone = self.chain(self.RHOS[i], self.MEANS[j], int(self.AT[k]), key)
            # the same formulas in another order of summation
            np.testing.assert_allclose(found[i, j, k], alone, rtol=1e-9, atol=1e-15)

    @pytest.mark.slow
    def test_every_one_of_them(self):
        key = jax.random.key(5)
        flat = jnp.stack(jnp.meshgrid(self.RHOS, self.MEANS, indexing="ij"), -1).reshape(-1, 2)
        chain = jax.jit(lambda pair, k: self.chain(pair[0], pair[1], k, key))
        together = jax.jit(jax.vmap(jax.vmap(chain, (None, 0)), (0, None)))(flat, self.AT)
        assert together[:, :, 0].size == 120
        for i, pair in enumerate(flat):
            for k, step in enumerate(self.AT):
                alone = chain(pair, step)
                np.testing.assert_allclose(together[i, k], alone, rtol=1e-9, atol=1e-15)

    def test_keys_and_learning_rates_too_and_a_diverged_row_is_nan(self):
        keys, rates = jax.random.split(jax.random.key(6), 3), jnp.array([1e-4, 1e-3, 1e9])
        chains = jax.jit(jax.vmap(lambda k, h: self.chain(7.0, -0.5, 50, k, h)))
        found = chains(keys, rates)
        assert np.all(np.isfinite(found[:2]))
        assert np.all(np.isnan(found[2, :6]))
        assert np.isinf(found[2, 6])
        alone = jax.jit(self.chain)(7.0, -0.5, 50, keys[1], 1e-3)
        np.testing.assert_allclose(found[1], alone, rtol=1e-9)


class TestRefusals:
    DATA = training_data(LINE, GRID, BELL, 5)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ({"weighting": 3}, r"weighting = 3: must be a weighting; .*uniform"),
            ({"model": 3}, "model = 3: must be a trained model"),
            ({"target": 3}, "target = 3: must be a target"),
            ({"schedule": 3}, "schedule = 3: must be a schedule"),
            ({"steps": 2.5}, r"steps = 2\.5: must be whole numbers"),
            ({"steps": [3, 2]}, r"steps = \[3, 2\]: must be whole numbers.*ascending"),
            ({"steps": [-1, 2]}, "steps = .*at least 0"),
            ({"samples": 0}, "samples = 0: must be a whole number of at least 1"),
            ({"samples": "all"}, "samples = 'all': must be a whole number or"),
            ({"seed": -1}, "seed = -1"),
            ({"method": "adam"}, "method = 'adam': must be one of auto"),
            ({"learning_rate": -1.0}, r"learning_rate = -1\.0: must be above 0"),
            ({"learning_rate": "printed"}, "learning_rate = 'printed'.*without a width"),
            ({"learning_rate": "big"}, "learning_rate = 'big'"),
            ({"checkpoint": "run.npz"}, r"checkpoint = 'run\.npz'.*closed form"),
            ({"samples": "population", "method": "simulated"}, "samples = 'population'.*data"),
            ({"samples": "population", "data": DATA}, "samples = 'population'.*beside data"),
            ({"data": training_data(SPACE, GRID, BELL, 5)}, r"data\.points\.shape\[1\] = 3"),
            ({"data": training_data(LINE, ds.edm(6), BELL, 5)}, r"data\.sigmas.*levels"),
            ({"data": training_data(LINE, GRID, ds.weightings.song(), 5)}, r"data\.beta"),
            (
                {"model": ds.two_layer(jax.random.key(0), 1, 4), "method": "closed form"},
                "method = 'closed form'.*affine in their weights",
            ),
            (
                {"model": ds.two_layer(jax.random.key(0), 1, 4), "samples": "population"},
                "samples = 'population'.*simulated run needs data",
            ),
        ],
    )
    def test_what_does_not_go_together(self, words, message):
        design = {"target": LINE, "schedule": GRID, "weighting": BELL}
        with pytest.raises(ValueError, match=message):
            evaluate_training(**(design | {"model": model_of("per level", 1)} | words))

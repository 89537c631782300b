"""What holds for every design. Sizes are fixed, so that every example runs what the first compiled.

Gaussian designs have seven steps and three dimensions, mixtures three components.
"""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import matrices
from reference.precision import mp, variances

from design_space.errors.budget import error_budget
from design_space.errors.discretization import discretization_errors
from design_space.schedules.schedule import Schedule
from design_space.schedules.variance import Power
from design_space.scores.affine import AffineScore
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

KLS = ("initialization", "score", "discretization", "path_kl", "marginal_kl")
NAMES = (*KLS, "w2")

ratios = st.lists(st.floats(1.01, 6.0), min_size=7, max_size=7)
levels = ratios.map(lambda found: (0.01 * np.cumprod([1.0, *found]))[::-1])
high_levels = levels.map(lambda sigmas: 20 * sigmas)  # where densities need few points
numbers = st.floats(-3.0, 3.0)
vectors = st.lists(numbers, min_size=3, max_size=3)
eigenvalues = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e4)), min_size=3, max_size=3)
factors = st.floats(0.1, 2.0)
seeds = st.integers(0, 2**31)


def rotation(seed):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


def wrong(score, factor, shift):
    return shifted_score(scaled_score(score, factor), shift)


def assert_same(one, other, names=NAMES):
    """Two budgets of one design, each within its stated error of the truth."""
    for name in names:
        a, b = getattr(one, name), getattr(other, name)
        gap = abs(float(a.value - b.value))
        assert gap <= float(a.error + b.error) + 1e-13 * abs(float(a.value)), name


@given(levels, vectors, eigenvalues, factors, vectors)
def test_divergences_are_positive_and_the_path_dominates(sigmas, mean, lam, factor, shift):
    target = Gaussian.diagonal(mean, lam)
    score = wrong(exact_score(target), factor, shift)
    budget = error_budget(target, Schedule.from_sigmas(sigmas), score)
    values = {name: float(getattr(budget, name).value) for name in NAMES}
    assert all(value >= 0 for value in values.values())
    parts = values["initialization"] + values["score"] + values["discretization"]
    np.testing.assert_allclose(values["path_kl"], parts, rtol=1e-15)
    slack = float(budget.marginal_kl.error + budget.path_kl.error)
    assert values["marginal_kl"] <= values["path_kl"] + slack


@settings(max_examples=6)
@given(seeds)
def test_three_errors_add_up_to_the_divergence_of_the_joint_laws(seed):
    """KL between the normal laws of (X_0, ..., X_N) and (Y_0, ..., Y_N), by linear algebra."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(2, 2))
    covariance, mean = root @ root.T, rng.normal(size=2)
    sigmas = 0.3 * np.cumprod([1.0, *rng.uniform(1.1, 3.0, 3)])[::-1]
    slopes = -rng.uniform(0.0, 0.3, (3, 2, 2)) - np.eye(2)[None] / (
        1 + sigmas[:-1, None, None] ** 2
    )
    intercepts = rng.normal(size=(3, 2)) * 0.3
    score = AffineScore(sigmas[:-1], slopes, intercepts)
    budget = error_budget(Gaussian(mean, covariance), Schedule.from_sigmas(sigmas), score)
    data = matrices.Law(matrices.column(mean), matrices.matrix(covariance))
    truth = matrices.path_kl(
        data,
        variances(sigmas),
        [matrices.matrix(a) for a in slopes],
        [matrices.column(b) for b in intercepts],
    )
    assert abs(mp.mpf(float(budget.path_kl.value)) - truth) <= float(budget.path_kl.error)


@given(levels, vectors, eigenvalues, st.floats(0.25, 3.0), factors)
def test_time_is_a_matter_of_taste(sigmas, mean, lam, exponent, factor):
    """The variance schedule gives the times; errors depend on the noise levels alone."""
    target = Gaussian.diagonal(mean, lam)
    score = scaled_score(exact_score(target), factor)
    one = error_budget(target, Schedule.from_sigmas(sigmas), score)
    other = error_budget(target, Schedule.from_sigmas(sigmas, Power(exponent)), score)
    for name in NAMES:
        assert float(getattr(one, name).value) == float(getattr(other, name).value), name


@given(levels, vectors, eigenvalues, seeds, factors, vectors)
def test_rotating_the_data_changes_nothing(sigmas, mean, lam, seed, factor, shift):
    turn, schedule = rotation(seed), Schedule.from_sigmas(sigmas)
    flat, turned = Gaussian.diagonal(mean, lam), Gaussian(turn @ mean, turn * lam @ turn.T)
    one = error_budget(flat, schedule, wrong(exact_score(flat), factor, shift))
    other = error_budget(turned, schedule, wrong(exact_score(turned), factor, turn @ shift))
    # Rounding the turned covariance moves every eigenvalue by EPS times the largest one.
    moved = 64 * 2.0**-52 * (max(lam) + 1) / sigmas[-1] ** 2
    for name in NAMES:
        a, b = float(getattr(one, name).value), float(getattr(other, name).value)
        condition = max(1.0, float(one.marginal_kl.condition))
        assert abs(a - b) <= (1e-10 * condition + moved) * abs(a) + 4 * moved**2 + 1e-15, name


@given(levels, vectors, eigenvalues, st.integers(0, 6), st.floats(0.05, 0.95))
def test_refining_a_grid_never_raises_the_discretization_error(sigmas, mean, lam, place, share):
    target = Gaussian.diagonal(mean, lam)
    between = sigmas[place + 1] + share * (sigmas[place] - sigmas[place + 1])
    finer = np.insert(sigmas, place + 1, between)
    coarse, fine = (
        error_budget(target, Schedule.from_sigmas(s)).discretization for s in (sigmas, finer)
    )
    assert float(fine.value) <= float(coarse.value + coarse.error + fine.error)
    # the path of the finer grid is a longer one, with a smaller divergence


mixtures = st.tuples(
    st.lists(st.floats(0.1, 1.0), min_size=3, max_size=3),
    vectors,
    st.lists(st.floats(0.05, 2.0), min_size=3, max_size=3),
)


def on_line(weights, means, variances_):
    weights = np.asarray(weights) / np.sum(weights)
    return GaussianMixture.diagonal(
        weights, np.asarray(means)[:, None], np.asarray(variances_)[:, None]
    )


@settings(max_examples=4)
@given(high_levels, mixtures, st.permutations(range(3)))
def test_the_order_of_components_does_not_matter(sigmas, parts, order):
    schedule = Schedule.from_sigmas(sigmas)
    one = on_line(*parts)
    other = on_line(*(np.asarray(part)[list(order)] for part in parts))
    a, b = (error_budget(m, schedule, scaled_score(exact_score(m), 0.9)) for m in (one, other))
    assert_same(a, b)
    for name in NAMES:
        assert float(getattr(a, name).value) >= -float(getattr(a, name).error)
    slack = float(a.marginal_kl.error + a.path_kl.error)
    assert float(a.marginal_kl.value) <= float(a.path_kl.value) + slack


@settings(max_examples=4)
@given(high_levels, mixtures, st.integers(0, 6), st.floats(0.05, 0.95))
def test_refining_a_grid_of_a_mixture(sigmas, parts, place, share):
    target = on_line(*parts)
    between = sigmas[place + 1] + share * (sigmas[place] - sigmas[place + 1])

    def total(levels_):
        s = jnp.asarray(levels_)
        steps = (s[:-1] - s[1:]) * (s[:-1] + s[1:])
        return discretization_errors(target, s**2, steps, jax.random.key(0), 64).total()

    coarse, fine = total(sigmas), total(np.insert(sigmas, place + 1, between))
    assert float(fine.value) <= float(coarse.value + coarse.error + fine.error)


@settings(max_examples=4)
@given(high_levels, vectors, st.floats(0.01, 10.0), st.floats(0.1, 0.9), factors, vectors)
def test_equal_components_in_three_dimensions_are_the_gaussian(
    sigmas, mean, std, weight, factor, shift
):
    schedule = Schedule.from_sigmas(sigmas)
    gaussian = Gaussian.isotropic(3, std, mean)
    mixture = GaussianMixture.isotropic([weight, 1 - weight], [mean, mean], std)
    one, other = (
        error_budget(t, schedule, wrong(exact_score(t), factor, shift)) for t in (gaussian, mixture)
    )
    assert other.marginal_kl.method == "quadrature"
    assert_same(one, other)


@settings(max_examples=4)
@given(high_levels, mixtures, seeds)
def test_a_mixture_on_a_line_in_space_splits_off_its_gaussian_complement(sigmas, parts, seed):
    """Along the line the mixture, across it a Gaussian, whose errors add."""
    schedule, (weights, means, stds) = Schedule.from_sigmas(sigmas), parts
    weights, std = np.asarray(weights) / np.sum(weights), stds[0]
    turn = rotation(seed)
    places = np.asarray(means)[:, None] * turn[:, 0][None] + 0.7 * turn[:, 1][None]
    space = GaussianMixture.isotropic(weights, places, std)
    line = on_line(weights, means, np.full(3, std**2))
    rest = Gaussian.isotropic(2, std, [0.7, 0.0])
    whole, along, across = (error_budget(t, schedule) for t in (space, line, rest))
    for name in KLS:
        a, b, c = (getattr(x, name) for x in (whole, along, across))
        gap = abs(float(a.value - b.value - c.value))
        # turning the means rounds them
        assert gap <= float(a.error + b.error + c.error) + 1e-12 * float(a.value) + 1e-18, name

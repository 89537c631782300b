"""The error budget against the table of thirty-digit results, tests/reference/numbers.json."""

import numpy as np
import pytest
from reference.precision import exact
from reference.table import load

from design_space.errors.budget import error_budget
from design_space.schedules.schedule import Schedule
from design_space.scores.affine import AffineScore
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

TABLE = load()
PARTS = ("initialization", "score", "discretization", "path_kl")
# Rows of other sizes cost a compilation each; they come with the slow tests.
QUICK = {
    "gaussian": {"edm-5", "edm-10", "song-10", "edm-20", "song-20", "song-100"},
    "affine": {"edm-10"},
    "mixture": {"edm-20", "song-10"},
}


def rows(kind):
    return [
        pytest.param(
            row, id=row["name"], marks=() if row["grid"] in QUICK[kind] else pytest.mark.slow
        )
        for row in TABLE[kind]
    ]


def changed(score, factor, shift):
    score = score if factor == 1 else scaled_score(score, factor)
    return score if not np.any(shift) else shifted_score(score, np.atleast_1d(shift))


def distance(estimate, truth):
    """|value - truth| of sixty-digit truth, without rounding the truth first."""
    return float(abs(exact(float(estimate.value)) - truth))


def assert_estimate(estimate, truth, relative):
    """Close to the truth, and the truth within the stated error, which is not much larger."""
    off, size = distance(estimate, truth), abs(float(truth))
    assert off <= relative * size
    assert off <= float(estimate.error)
    assert float(estimate.error) <= 2 * relative * size + 1e-300


@pytest.mark.parametrize("row", rows("gaussian"))
def test_gaussian(row):
    target = Gaussian.diagonal(row["mean"], row["eigenvalues"])
    score = changed(exact_score(target), row["factor"], row["shift"])
    budget = error_budget(target, Schedule.from_sigmas(row["sigmas"]), score)
    for name in PARTS:
        assert getattr(budget, name).method == "closed form"
        assert_estimate(getattr(budget, name), row[name], 1e-10)
    # The issue: 1e-10 relative times the condition number.
    condition = float(budget.marginal_kl.condition)
    assert condition >= 1 - 1e-12
    assert_estimate(budget.marginal_kl, row["marginal_kl"], 1e-10 * condition)
    assert_estimate(budget.w2, row["w2"], 1e-10 * condition)


def has_one_part(row):
    """One eigenvalue that the first noise covers, no mean, the exact score."""
    alone = len(row["mean"]) == 1 and row["eigenvalues"][0] < row["sigmas"][0] ** 2
    return alone and row["factor"] == 1 and not np.any([row["mean"], row["shift"]])


@pytest.mark.parametrize("row", [p for p in rows("gaussian") if has_one_part(p.values[0])])
def test_the_condition_number_is_that_of_the_difference_of_variances(row):
    """To rounding times itself; means and laws too narrow for the data have parts of their own."""
    target = Gaussian.diagonal(row["mean"], row["eigenvalues"])
    budget = error_budget(target, Schedule.from_sigmas(row["sigmas"]))
    condition = float(row["condition"])
    np.testing.assert_allclose(
        budget.marginal_kl.condition, condition, rtol=1e-13 * row["steps"] * condition
    )


@pytest.mark.parametrize("row", rows("affine"))
def test_affine_scores_that_do_not_commute(row):
    target = Gaussian(row["mean"], np.array(row["covariance"]))
    score = AffineScore(row["sigmas"][:-1], np.array(row["slopes"]), np.array(row["intercepts"]))
    budget = error_budget(target, Schedule.from_sigmas(row["sigmas"]), score)
    for name in PARTS:
        # The eigendecomposition of the covariance rounds like EPS times its condition.
        assert_estimate(getattr(budget, name), row[name], 1e-10)
    condition = float(budget.marginal_kl.condition)
    assert_estimate(budget.marginal_kl, row["marginal_kl"], 1e-10 * condition)
    assert_estimate(budget.w2, row["w2"], 1e-10 * condition)


@pytest.mark.parametrize("row", rows("mixture"))
def test_mixture(row):
    parts = (row["weights"], np.array(row["means"])[:, None], np.array(row["variances"])[:, None])
    target = GaussianMixture.diagonal(*parts)
    score = changed(exact_score(target), row["factor"], row["shift"])
    budget = error_budget(target, Schedule.from_sigmas(row["sigmas"]), score)
    for name in PARTS:
        # The stated error is a difference of two rules, and may be far above the true one.
        estimate = getattr(budget, name)
        assert distance(estimate, row[name]) <= min(1e-10 * float(row[name]), float(estimate.error))
        assert float(estimate.error) <= 1e-7 * float(row[name])
    if row["marginal_kl_float"] is None:
        return
    for estimate, value, spread in (
        (budget.marginal_kl, row["marginal_kl_float"], row["marginal_kl_spread"]),
        (budget.w2, row["w2_float"], row["w2_spread"]),
    ):
        # The twin is good to the difference of its two resolutions and its rounding.
        twin = 2 * spread + 1e-11 * value
        assert abs(float(estimate.value) - value) <= float(estimate.error) + twin
        assert float(estimate.error) <= 1e-7 * value

"""Public reference numbers to their printed digits: tables, crossings, optima."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from design_space.errors.budget import error_budget
from design_space.errors.gaussian import commuting_errors
from design_space.optimal.path import path_optimal
from design_space.schedules.named import edm, song
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture

# d = 1, sigma from 80 to .002, exact score: E_D and marginal KL of EDM, Song, Fisher-optimal.
GAUSSIAN = {
    10: [("2.3076", ".24041"), ("2.7484", ".26505"), ("1.8871", ".18871")],
    50: [(".64842", ".010920"), (".85209", ".011200"), (".48199", ".0096391")],
    500: [(".070656", "1.1123e-4"), (".095681", "1.1227e-4"), (".051168", "1.0233e-4")],
}
BIMODAL = [("1.8443", ".11174"), ("2.1335", ".075849"), ("1.5971", ".083889")]


def assert_digits(estimate, printed):
    """The printed digits are those of the value, rounded."""
    digits = len(printed.split("e")[0].replace(".", "").lstrip("0"))
    assert float(f"{float(estimate.value):.{digits - 1}e}") == float(printed)


def three(target, steps):
    return edm(steps), song(steps), path_optimal(target, steps)


@pytest.mark.parametrize("steps", [10, 50, pytest.param(500, marks=pytest.mark.slow)])
def test_reference_table_of_the_gaussian(steps):
    target = Gaussian.isotropic(1, 0.5)
    for schedule, (discretization, marginal) in zip(
        three(target, steps), GAUSSIAN[steps], strict=True
    ):
        budget = error_budget(target, schedule)
        assert_digits(budget.initialization, "3.8146e-10")
        assert_digits(budget.discretization, discretization)
        assert_digits(budget.marginal_kl, marginal)


def test_reference_table_of_the_mixture():
    target = GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], 0.1)
    for schedule, (discretization, marginal) in zip(three(target, 20), BIMODAL, strict=True):
        budget = error_budget(target, schedule)
        assert_digits(budget.discretization, discretization)
        assert_digits(budget.marginal_kl, marginal)


@eqx.filter_jit
def gaussian_errors(std, variances, steps):
    return commuting_errors(jnp.zeros(1), jnp.asarray([std**2]), variances, steps)


def lead(std, steps, name):
    """EDM's error less Song's, on N(0, std^2)."""
    found = [
        getattr(
            gaussian_errors(jnp.asarray(std), s.backward_variances, s.backward_variance_steps), name
        )
        for s in (edm(steps), song(steps))
    ]
    return float(found[0] - found[1])


@pytest.mark.parametrize(
    ("steps", "std", "unit"),
    [
        (10, 0.0059936, 1e-7),
        (100, 0.010832, 1e-6),
        pytest.param(5000, 0.01147, 2e-5, marks=pytest.mark.slow),
    ],
)
def test_from_where_on_edm_has_the_smaller_discretization_error(steps, std, unit):
    """The limit of many steps, .01147, is approached like 1/N."""
    assert lead(std - unit, steps, "discretization") > 0 > lead(std + unit, steps, "discretization")


@pytest.mark.parametrize(
    ("steps", "low", "high"),
    [
        (10, 0.351, 79.3),
        (50, 0.457, 52.0),
        (100, 0.472, 43.4),
        pytest.param(500, 0.484, 28.8, marks=pytest.mark.slow),
    ],
)
def test_the_window_in_which_edm_has_the_smaller_marginal_kl(steps, low, high):
    for edge, unit, sign in ((low, 1e-3, 1), (high, 0.1, -1)):
        assert sign * lead(edge - unit, steps, "marginal_kl") > 0
        assert sign * lead(edge + unit, steps, "marginal_kl") < 0


@pytest.mark.parametrize(
    ("steps", "best"), [(10, 3.14), pytest.param(500, 3.45, marks=pytest.mark.slow)]
)
def test_the_best_rho_of_the_path(steps, best):
    """On N(0, .25)."""
    errors = [
        float(error_budget(Gaussian.isotropic(1, 0.5), edm(steps, rho=rho)).discretization.value)
        for rho in (best - 0.02, best, best + 0.02)
    ]
    assert np.argmin(errors) == 1

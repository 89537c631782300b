"""ds.evaluate: the row, its JSON contract, its refusals. The numbers are tested in tests/errors."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import gaussian
from reference.precision import exact, mp, variances

import design_space as ds

QUANTITIES = ("initialization", "discretization", "score", "path_kl", "marginal_kl", "w2")
BOUNDS = {"theorem-2", "theorem-2-corrected", "discretization-scale-aware"}


@pytest.fixture(scope="module")
def target():
    return ds.Gaussian(mean=[0.5, 0.0], covariance=[[0.25, 0.1], [0.1, 0.5]])


@pytest.fixture(scope="module")
def schedule():
    return ds.edm(steps=4, sigma_min=0.3, sigma_max=5.0)


@pytest.fixture(scope="module")
def sampled_target():
    """Two components of different shape in space: nothing reduces."""
    shapes = [np.diag([0.1, 0.5, 0.3]), np.diag([0.3, 0.2, 0.4])]
    return ds.GaussianMixture([0.5, 0.5], [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], shapes)


@pytest.fixture(scope="module")
def sampled(sampled_target, schedule):
    return ds.evaluate(sampled_target, schedule, seed=3, samples=128)


def test_the_row_of_the_contract(target, schedule):
    """As design.md shows it: value, error, method of six quantities; the exact score by default."""
    budget = ds.evaluate(target, schedule)
    eigenvalues, basis = np.linalg.eigh([[0.25, 0.1], [0.1, 0.5]])
    levels = variances(np.asarray(schedule.backward_sigmas).tolist())
    truth = gaussian.errors(eigenvalues, basis.T @ [0.5, 0.0], levels)
    for name in QUANTITIES:
        found = getattr(budget, name)
        assert found.method == "closed form"
        # NumPy's eigenvalues are other roundings of the same.
        np.testing.assert_allclose(found.value, float(getattr(truth, name)), rtol=1e-12, atol=0)
    assert float(budget.score.value) == float(budget.score.error) == 0.0
    np.testing.assert_allclose(
        np.sum(budget.discretization_steps.value), budget.discretization.value, rtol=1e-14
    )
    assert budget.discretization_steps.value.shape == budget.score_steps.value.shape == (4,)


def test_the_default_score_is_the_exact_one(target, schedule):
    given = ds.evaluate(target, schedule, ds.exact_score(target))
    default = ds.evaluate(target, schedule)
    assert json.dumps(given.to_dict()) == json.dumps(default.to_dict())
    wrong = ds.evaluate(target, schedule, score=ds.scaled_score(ds.exact_score(target), 0.9))
    assert float(wrong.score.value) > 0


def test_json_of_a_closed_form(target, schedule):
    row = ds.evaluate(target, schedule).to_dict()
    assert list(row) == [*QUANTITIES, "bounds", "provenance"]
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    for name in QUANTITIES:
        condition = {"condition"} if name in ("marginal_kl", "w2") else set()
        assert set(row[name]) == {"value", "error", "method"} | condition
        assert row[name]["method"] == "closed form"
        assert row[name]["error"] >= 0
    assert set(row["bounds"]) == BOUNDS


def test_json_gives_nulls_with_a_reason(sampled):
    row = sampled.to_dict()
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    w2 = row["w2"]
    assert (w2["value"], w2["error"], w2["method"]) == (None, None, None)
    assert "at least 512 samples" in w2["reason"]
    for name in ("initialization", "discretization", "path_kl", "marginal_kl"):
        assert row[name]["method"] == "monte carlo"
        assert row[name]["error"] > 0


def test_bounds_are_listed_by_statement_and_hold(target, schedule):
    budget = ds.evaluate(target, schedule)
    assert set(budget.bounds) == BOUNDS
    for name in ("theorem-2-corrected", "discretization-scale-aware"):
        assert float(budget.bounds[name]) >= float(budget.path_kl.value), name
    sharp = float(budget.bounds["discretization-scale-aware"])
    assert sharp <= float(budget.bounds["theorem-2-corrected"])


def test_score_mismatches_enter_the_bounds(target, schedule):
    """The sharper bound holds E_S itself, so that a wrong score moves it by just that."""
    right = ds.evaluate(target, schedule)
    wrong = ds.evaluate(target, schedule, ds.shifted_score(ds.exact_score(target), [0.3, 0.4]))
    added = wrong.bounds["discretization-scale-aware"] - right.bounds["discretization-scale-aware"]
    # E_S = (1/2) (v_0 - v_N) |shift|^2 = (25 - .09) / 2 * .25
    np.testing.assert_allclose(wrong.score.value, 24.91 / 8, rtol=1e-13)
    np.testing.assert_allclose(added, 24.91 / 8, rtol=1e-12)


def test_provenance(sampled, target, schedule):
    found = sampled.provenance
    assert (found["seed"], found["samples"], found["dtype"]) == (3, 128, "float64")
    assert {"python", "design-space", "jax", "numpy"} <= set(found["versions"])
    assert found["versions"]["jax"] == jax.__version__
    assert found["device"].split(":")[0] == jax.devices()[0].platform
    assert sampled.to_dict()["provenance"] == found


def test_seeds_determine_what_is_sampled(sampled, sampled_target, schedule):
    again = ds.evaluate(sampled_target, schedule, seed=3, samples=128)
    assert again.to_dict() == sampled.to_dict()
    other = ds.evaluate(sampled_target, schedule, seed=4, samples=128)
    for name in ("initialization", "discretization", "marginal_kl"):
        assert getattr(other, name).value != getattr(sampled, name).value
        gap = abs(float(getattr(other, name).value - getattr(sampled, name).value))
        # two 99 % intervals of one truth
        assert gap <= float(getattr(other, name).error + getattr(sampled, name).error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 63}, "samples = 63: must be a whole number of at least 64"),
        ({"seed": -1}, "seed = -1: must be a whole number of at least 0"),
    ],
)
def test_bad_options_are_refused(target, schedule, options, message):
    with pytest.raises(ValueError, match=message):
        ds.evaluate(target, schedule, **options)


def in_a_fresh_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )


def test_a_float32_caller_is_told():
    found = in_a_fresh_python(
        "import design_space as ds\n"
        "try:\n"
        "    ds.evaluate(ds.Gaussian(mean=[0.0], covariance=[[0.25]]), ds.edm(steps=5))\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    assert found.returncode == 0, found.stderr
    assert "jax_enable_x64 = False: exact quantities need 64-bit floats" in found.stdout
    assert 'jax.config.update("jax_enable_x64", True)' in found.stdout


def test_a_float32_caller_of_evaluate_itself_is_told():
    found = in_a_fresh_python(
        "import jax; jax.config.update('jax_enable_x64', True)\n"
        "import design_space as ds\n"
        "target, schedule = ds.Gaussian(mean=[0.0], covariance=[[0.25]]), ds.edm(steps=5)\n"
        "jax.config.update('jax_enable_x64', False)\n"
        "try:\n"
        "    ds.evaluate(target, schedule)\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    assert found.returncode == 0, found.stderr
    assert "exact quantities need 64-bit floats" in found.stdout


def test_the_name_stays_a_function_beside_its_module():
    """Importing the submodule binds it to the package; the function keeps the name."""
    found = in_a_fresh_python(
        "import design_space as ds\n"
        "import design_space.evaluate\n"
        "from design_space.evaluate import evaluate\n"
        "import design_space.cli\n"
        "assert ds.evaluate is evaluate and callable(ds.evaluate)\n"
        "from design_space import evaluate as again\n"
        "assert again is evaluate\n"
        "print('fine')\n"
    )
    assert found.stdout == "fine\n", found.stderr
    import design_space.evaluate

    assert callable(design_space.evaluate)
    assert callable(ds.evaluate)


SHORT = ds.edm(10)
PLANE = ds.Gaussian([0.0, 0.0], [[1.0, 0.5], [0.5, 2.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PLANE, "edm"), r"schedule = 'edm': must be a schedule; .*ds\.edm"),
        ((np.ones(3), SHORT), r"target = \[1\.0, 1\.0, 1\.0\]: must be a target; .*Empirical"),
        ((PLANE, SHORT, lambda x, s: x), r"must be a score; wrap .*function_score.*host_score"),
        ((PLANE, SHORT, ds.AffineScore([1.0, 2.0], [-1.0, -1.0])), r"score\(x, 80\) = NaN"),
        (
            (PLANE, SHORT, ds.AffineScore(SHORT.backward_sigmas[:-1], -np.ones((10, 1)))),
            r"slopes\.shape\[1\] = 1: must be the dimension of the data, 2",
        ),
        ((PLANE, SHORT, ds.host_score(lambda x, s: x[:, 0])), r"score\(x, sigma\)\.shape = \(1,\)"),
        ((PLANE, SHORT, ds.exact_score(ds.Empirical([[0.0], [1.0]]))), r"x\.shape = \(2,\)"),
    ],
)
def test_wrong_kinds_dimensions_and_levels_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ds.evaluate(*arguments)


def test_a_bad_row_of_a_batch_is_nan_and_leaves_the_others():
    matrices = jnp.array([[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.3, 1.0]], np.eye(2)])
    found = jax.vmap(lambda c: ds.evaluate(ds.Gaussian([0.0, 0.0], c), SHORT).marginal_kl.value)
    values = found(matrices)  # not positive semidefinite, not symmetric, fine
    assert np.all(np.isnan(values[:2]))
    alone = ds.evaluate(ds.Gaussian.isotropic(2, 1.0), SHORT).marginal_kl.value
    assert values[2] == pytest.approx(float(alone), rel=1e-12)
    grids = jax.vmap(
        lambda low: ds.evaluate(PLANE, ds.edm(10, sigma_min=low)).discretization.value
    )(jnp.array([100.0, 0.002]))  # above sigma_max, fine
    assert np.isnan(grids[0])
    assert np.isfinite(grids[1])


def test_the_mean_of_an_affine_score_rounds_within_the_stated_error():
    """A x + b on data far from zero: A m + b is a difference of numbers of size 1e6 / P."""
    schedule = ds.edm(50)
    levels = np.asarray(schedule.backward_sigmas[:-1])
    slopes = -1 / (1e-4 + levels**2)
    mean, spread = 1e6, 1e-2
    score = ds.AffineScore(levels, slopes, (-slopes * mean)[:, None])
    found = ds.evaluate(ds.Gaussian.isotropic(1, spread, mean=[mean]), schedule, score)
    truth = gaussian_affine_kl(mean, spread, schedule, slopes)
    assert abs(float(found.marginal_kl.value) - truth) <= float(found.marginal_kl.error)


def gaussian_affine_kl(mean, spread, schedule, slopes):
    """KL in 60 digits, with the score's numbers as they are in float64."""
    grid = [exact(s) ** 2 for s in np.asarray(schedule.backward_sigmas)]
    data, m = exact(spread**2), exact(mean)
    center, variance = mp.mpf(0), grid[0]
    for j, slope in enumerate(slopes):
        h, a, b = grid[j] - grid[j + 1], exact(slope), exact(-slope * mean)
        center = center + h * (a * center + b)
        variance = (1 + h * a) ** 2 * variance + h
    ratio = (data + grid[-1]) / variance
    return float((ratio - 1 - mp.log(ratio) + (center - m) ** 2 / variance) / 2)


def test_components_of_weight_zero_do_not_matter():
    live = ds.GaussianMixture.isotropic([0.5, 0.5], [[-1, 0], [1, 0]], 0.1)
    dead = ds.GaussianMixture.isotropic([0.5, 0.5, 0.0], [[-1, 0], [1, 0], [0, 1]], 0.1)
    for name in ("initialization", "discretization", "marginal_kl", "w2"):
        one, other = (getattr(ds.evaluate(t, ds.edm(5)), name) for t in (live, dead))
        assert one.method == other.method == "quadrature"
        assert float(one.value) == pytest.approx(float(other.value), rel=1e-12)


@pytest.mark.slow
def test_a_sampled_interval_wider_than_the_path_kl_is_withdrawn():
    """A far wrong score makes the weights of the particle filters useless; the path KL is not."""
    target = ds.GaussianMixture.isotropic([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], [0.1, 0.3])
    wrong = ds.function_score(lambda x, sigma: 40 * jnp.abs(x[::-1]) / sigma)
    budget = ds.evaluate(target, ds.edm(6, 0.05, 10.0), wrong, samples=256)
    assert budget.path_kl.value > 10
    assert np.isnan(budget.marginal_kl.value)
    assert "wider than what the path KL allows" in budget.marginal_kl.reason
    entry = budget.to_dict()["marginal_kl"]
    assert entry["value"] is None
    assert entry["reason"] == budget.marginal_kl.reason

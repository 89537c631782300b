"""numbers.json: complete, consistent, and what the twins say today."""

import pytest

from reference import gaussian, grids, make_numbers, matrices
from reference.precision import mp, variances
from reference.table import load

TABLE = load()
TIGHT = mp.mpf(10) ** -28  # thirty digits are stored


def close(a, b, tolerance=TIGHT):
    return abs(a - b) <= tolerance * max(abs(a), abs(b))


def test_grids_are_the_recipes():
    # Powers differ in the last place between mathematical libraries.
    for name, grid in grids.named().items():
        assert TABLE["grids"][name] == pytest.approx(grid, rel=1e-13)


def test_the_table_is_large_and_reaches_far():
    rows = TABLE["gaussian"]
    assert len(rows) >= 40
    assert len(TABLE["mixture"]) >= 12
    assert min(row["initialization"] for row in rows if row["initialization"] > 0) < 1e-19
    assert {row["steps"] for row in rows} >= {1, 500}
    assert len({row["name"] for row in rows}) == len(rows)


@pytest.mark.parametrize("kind", ["gaussian", "affine", "mixture"])
def test_every_path_splits_and_dominates_its_end(kind):
    for row in TABLE[kind]:
        parts = row["initialization"] + row["score"] + row["discretization"]
        assert close(row["path_kl"], parts), row["name"]
        marginal = row["marginal_kl"] if kind != "mixture" else row["marginal_kl_float"]
        assert marginal is None or 0 < marginal <= row["path_kl"], row["name"]


@pytest.mark.parametrize("row", TABLE["gaussian"][::6], ids=lambda row: row["name"])
def test_gaussian_rows_are_reproduced(row):
    inputs = (row["eigenvalues"], row["mean"], variances(row["sigmas"]))
    result = gaussian.errors(*inputs, row["factor"], row["shift"])
    for key, value in result._asdict().items():
        if key != "conditions":
            assert close(value, row[key]), key


def test_affine_rows_are_reproduced():
    row = next(row for row in TABLE["affine"] if row["steps"] == 3)
    inputs = (row["mean"], row["covariance"], variances(row["sigmas"]))
    result = matrices.errors(*inputs, row["slopes"], row["intercepts"])
    for key in ("initialization", "score", "discretization", "path_kl", "marginal_kl", "w2"):
        assert close(getattr(result, key), row[key]), key
    assert all(close(a, b) for a, b in zip(result.mean, row["law_mean"], strict=True))


def test_density_numbers_agree_between_two_resolutions():
    for row in TABLE["mixture"]:
        if row["marginal_kl_float"] is not None:
            assert row["marginal_kl_spread"] <= 1e-10 * row["marginal_kl_float"], row["name"]
            assert row["w2_spread"] <= 1e-10 * row["w2_float"], row["name"]


@pytest.mark.slow
def test_a_level_and_a_mixture_row_are_reproduced():
    fresh = make_numbers.level_row("bimodal", 1.0)
    stored = next(row for row in TABLE["levels"] if row["name"] == fresh["name"])
    for key in ("fisher_information", "fisher_information_slope", "mmse", "entropy"):
        assert close(mp.mpf(fresh[key]), stored[key])
    fresh = make_numbers.mixture_row("bimodal", "edm-1", 1.0, 0.0)
    stored = next(row for row in TABLE["mixture"] if row["name"] == fresh["name"])
    assert close(mp.mpf(fresh["discretization"]), stored["discretization"])
    value = float.fromhex(fresh["marginal_kl_float"])
    assert value == pytest.approx(stored["marginal_kl_float"], rel=1e-10)

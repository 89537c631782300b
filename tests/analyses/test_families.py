"""The designs of the ledger: counted, always the same, measurable, and writable as files."""

import collections

import jax
import numpy as np
import pytest

from analyses.cases import Design, measured, toml
from analyses.families import (
    MIXTURES,
    SHAPES,
    families,
    named_designs,
    random_gaussians,
    random_mixtures,
    two_modes,
)
from design_space.errors.budget import error_budget
from design_space.specification import Specification

GAUSSIANS = {f"{d} dimensions, {n} steps": random_gaussians(d, n, k) for d, n, k in SHAPES}
MIXED = random_mixtures(*MIXTURES) + two_modes(*MIXTURES[:2])
EVERY = [d for batch in GAUSSIANS.values() for d in batch] + list(MIXED) + list(named_designs(10))


def numbers(design):
    arrays = (design.weights, design.means, design.variances, design.sigmas)
    return [*np.concatenate([a.ravel() for a in arrays]), design.exponent, design.factor]


def test_the_ledger_has_enough_designs():
    assert sum(count for *_, count in SHAPES) >= 500
    assert MIXTURES[2] >= 40
    for (dim, steps, count), batch in zip(SHAPES, GAUSSIANS.values(), strict=True):
        assert len(batch) == count
        assert {d.shape for d in batch} == {(1, dim, steps)}
    dims = [d for d, *_ in SHAPES]
    assert (min(dims), max(dims)) == (1, 50)


@pytest.mark.parametrize("draw", [random_gaussians, random_mixtures])
def test_the_same_seed_draws_the_same(draw):
    first, again, other = draw(3, 4, 6), draw(3, 4, 6), draw(3, 4, 6, seed=99)
    for a, b, c in zip(first, again, other, strict=True):
        assert numbers(a) == numbers(b)
        assert numbers(a) != numbers(c)
    # fewer designs are the first of more
    assert [numbers(d) for d in draw(3, 4, 3)] == [numbers(d) for d in first[:3]]


def test_drawn_numbers_have_not_moved():
    """The record rests on these: they come from uniform numbers only, on every machine the same."""
    design = random_gaussians(1, 2, 1)[0]
    expected = np.random.default_rng([0, 1, 2]).random(2)
    low, high = 1e-3 * 100 ** expected[0], 2 * 50 ** expected[1]
    # two powers, and in the named grids two more
    np.testing.assert_allclose(design.sigmas[[-1, 0]], [low, high], rtol=1e-13)


@pytest.mark.parametrize("design", EVERY[::7], ids=lambda d: d.name)
def test_grids_fall_and_laws_are_laws(design):
    assert np.all(np.diff(design.sigmas) < 0)
    assert design.sigmas[-1] > 0
    assert np.all(design.variances >= 0)
    assert np.all(np.isfinite(numbers(design)))
    assert design.weights.sum() == pytest.approx(1, abs=1e-15)
    assert 0.1 <= design.exponent <= 2
    assert design.factor == 1 or 0.5 <= design.factor <= 1.5


def test_all_grids_fall():
    for design in EVERY:
        assert np.all(np.diff(design.sigmas) < 0), design.name


def share(batch, holds):
    return np.mean([holds(design) for design in batch])


@pytest.mark.parametrize("batch", GAUSSIANS.values(), ids=GAUSSIANS.keys())
def test_every_kind_has_its_share(batch):
    # half-widths of 99.9 % for 144 designs: 3.3 sqrt(p (1 - p)/144) is 0.14 at p = 1/2
    kinds = collections.Counter(d.name for d in batch)
    assert set(kinds) == {"edm", "song", "random"}
    assert kinds["edm"] / len(batch) == pytest.approx(0.25, abs=0.12)
    assert kinds["song"] / len(batch) == pytest.approx(0.25, abs=0.12)
    assert share(batch, lambda d: d.factor == 1) == pytest.approx(0.5, abs=0.14)
    assert share(batch, lambda d: d.exponent < 0.5) == pytest.approx(0.2, abs=0.12)
    for exponent in (0.5, 1.0):
        assert share(batch, lambda d, e=exponent: d.exponent == e) == pytest.approx(0.2, abs=0.12)
    assert share(batch, lambda d: np.all(d.means == 0)) == pytest.approx(0.25, abs=0.12)
    assert share(batch, lambda d: np.all(d.variances == 0)) == pytest.approx(1 / 8, abs=0.1)
    near = share(batch, lambda d: 0 < np.max(d.variances) <= 1e-8)
    assert near == pytest.approx(1 / 8, abs=0.1)


def test_mixtures_have_one_to_five_components():
    kinds = collections.Counter(
        len(np.unique(np.hstack([d.means, d.variances]), axis=0))
        for d in random_mixtures(*MIXTURES)
    )
    assert set(kinds) == {1, 2, 3, 4, 5}
    assert {d.shape for d in MIXED} == {(5, 1, 5)}


def test_named_designs():
    designs = named_designs(10)
    assert len({d.name for d in designs}) == len(designs) == 16
    for design in designs:
        assert design.sigmas[0] == pytest.approx(80, rel=1e-14)
        assert design.sigmas[-1] == pytest.approx(0.002, rel=1e-14)
        assert design.exponent == (0.5 if "song" in design.name or "sqrt" in design.name else 1)
        # a point mass lies away from zero
        assert (design.means[0, 0] == 1) == ("Dirac" in design.name)
    by_name = {d.name: d for d in designs}
    # with exponential times sigma_bar = t has Song's grid, polynomial ones with sqrt t half of rho
    song, other = (by_name[f"{n}, Dirac"].sigmas for n in ("song", "linear-exponential"))
    np.testing.assert_allclose(song, other, rtol=1e-13)
    rho = 3.5
    share = np.arange(11) / 10
    low, high = 0.002 ** (1 / rho), 80 ** (1 / rho)
    np.testing.assert_allclose(
        by_name["sqrt-polynomial, Dirac"].sigmas, (high + share * (low - high)) ** rho, rtol=1e-11
    )


def check_cases(designs, cases=None):
    cases = measured(designs) if cases is None else cases
    errors = cases.errors
    path, marginal = errors.path_kl, errors.marginal_kl
    for estimate in (path, marginal, errors.initialization, errors.discretization, errors.score):
        assert estimate.value.shape[0] == len(designs)
        assert np.all(np.isfinite(estimate.value))
        assert np.all(np.isfinite(estimate.error))
    over = np.asarray(marginal.value - path.value - marginal.error - path.error)
    assert np.all(over <= 0)
    exact = np.array([d.factor == 1 for d in designs])
    # a factor of one is not known to be one in a batch: its score error is rounding on mixtures
    assert np.all(np.asarray(errors.score.value)[exact] <= np.asarray(errors.score.error)[exact])
    assert np.all(np.asarray(errors.score.value)[~exact] > 0)
    return cases


SOME = [name for name in GAUSSIANS if name.startswith(("1 dimensions, 2", "50"))]
REST = [pytest.param(name, marks=pytest.mark.slow) for name in GAUSSIANS if name not in SOME]


@pytest.mark.parametrize("name", SOME + REST)
def test_gaussian_designs_have_finite_errors(name):
    designs = GAUSSIANS[name]
    cases = check_cases(designs)
    v = np.stack([d.sigmas for d in designs]) ** 2
    np.testing.assert_allclose(jax.vmap(lambda case: case.variances)(cases), v, rtol=1e-15)
    total = np.stack([d.variances[0] for d in designs])[:, None, :] + v[:, :, None]
    np.testing.assert_allclose(cases.information, np.sum(1 / total, axis=2), rtol=1e-13)
    mmse = np.sum((total - v[:, :, None]) * v[:, :, None] / total, axis=2)
    # here l is had as a difference of l + v and v
    np.testing.assert_allclose(cases.mmse, mmse, rtol=1e-9, atol=1e-14 * v.max())
    factor = np.array([d.factor for d in designs])
    mismatch = (factor[:, None] - 1) ** 2 * np.sum(1 / total, axis=2)[:, :-1]
    np.testing.assert_allclose(cases.mismatches, mismatch, rtol=1e-12)


@pytest.mark.slow
def test_all_mixtures_have_finite_errors():
    check_cases(MIXED)


def test_families_measure_when_asked_and_once():
    small = families(0.01)
    assert families(0.01) is small
    assert set(small) == {"named", "gaussian", "mixture"}
    first = small["named"]()
    assert small["named"]() is first
    assert [batch.designs[0].shape for batch in first] == [(1, 1, 10), (1, 1, 500)]
    for batch in first:
        assert len(batch.designs) == 16
        check_cases(*batch)


def test_every_design_reads_back_from_its_specification():
    for design in EVERY[::3]:
        Specification.parse(design.specification())


ONE, SIX, FIFTY = GAUSSIANS["1 dimensions, 2 steps"], *list(GAUSSIANS.values())[2:]


@pytest.mark.slow
@pytest.mark.parametrize(
    "design",
    [*ONE[:4], SIX[5], FIFTY[0], two_modes(3, 4)[0], MIXED[3]],
    ids=lambda d: f"{d.shape}",
)
def test_the_specification_is_the_design(design, tmp_path):
    path = tmp_path / "design.toml"
    path.write_text(toml(design.specification()))
    read = Specification.load(path)
    found = error_budget(read.target(), read.schedule(), read.score())
    expected = jax.tree.map(lambda leaf: leaf[0], measured([design]).errors)
    for name in ("initialization", "discretization", "score", "path_kl", "marginal_kl"):
        one, other = getattr(found, name), getattr(expected, name)
        # the same numbers by code compiled alone and in a batch; copies of a component are added up
        error = float(one.error) + float(other.error)
        np.testing.assert_allclose(one.value, other.value, rtol=1e-10, atol=error, err_msg=name)


def test_equal_components_are_one_in_the_specification():
    design = Design(
        np.array([0.2, 0.3, 0.5]),
        np.array([[1.0], [-1.0], [1.0]]),
        np.array([[0.1], [0.1], [0.1]]),
        np.array([2.0, 1.0]),
        exponent=0.5,
        factor=0.9,
    )
    found = design.specification()
    assert found["target"]["means"] == [[-1.0], [1.0]]
    np.testing.assert_allclose(found["target"]["weights"], [0.3, 0.7])
    assert found["schedule"] == {"kind": "custom", "sigmas": [2.0, 1.0], "exponent": 0.5}
    assert found["score"] == {"kind": "scaled", "factor": 0.9}
    plain = Design.gaussian(1.0, 0.25, [2.0, 1.0]).specification()
    assert plain["target"] == {"kind": "gaussian", "mean": [1.0], "variances": [0.25]}
    assert set(plain) == {"target", "schedule"}

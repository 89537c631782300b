"""The comparison of schedules against the reference table of the theory notes and closed forms."""

import numpy as np
import pytest

from analyses import schedule_comparison
from design_space.schedules.named import edm, song

# E_D and marginal KL, public reference numbers for d = 1 and the standard range (five digits).
GAUSSIAN = {
    10: {"edm": (2.3076, 0.24041), "song": (2.7484, 0.26505), "path-optimal": (1.8871, 0.18871)},
}
MIXTURE = {
    20: {"edm": (1.8443, 0.11174), "song": (2.1335, 0.075849), "path-optimal": (1.5971, 0.083889)},
}


@pytest.fixture(scope="module")
def gaussians():
    piece = {"part": "gaussians", "stds": [0.5], "steps": 10}
    return schedule_comparison.compute(piece).set_index("design")


@pytest.fixture(scope="module")
def scales():
    return schedule_comparison.compute(
        {"part": "scale", "steps": 10, "low": 1e-3, "high": 1e3, "points": 121}
    )


def check_reference(row, expected):
    # Five digits: half a unit in the last is 5e-5 of a number that begins with 1.
    assert row["discretization"] == pytest.approx(expected[0], rel=5e-5)
    assert row["marginal_kl"] == pytest.approx(expected[1], rel=5e-5)


@pytest.mark.parametrize("design", ["edm", "song", "path-optimal"])
def test_gaussian_reference(gaussians, design):
    check_reference(gaussians.loc[design], GAUSSIAN[10][design])


@pytest.mark.slow
@pytest.mark.parametrize("design", ["edm", "song", "path-optimal"])
def test_mixture_reference(design):
    mixture = schedule_comparison.EXPERIMENT.presets["quick"]["mixtures"][0]
    table = schedule_comparison.compute({"part": "mixture", "steps": 20} | mixture)
    check_reference(table.set_index("design").loc[design], MIXTURE[20][design])


def test_mixed_choices_collapse(gaussians):
    # Equal noise levels up to rounding of pow and exp, 1e-15 relative, times N.
    for quantity in ("discretization", "marginal_kl"):
        pair = gaussians.loc[["linear-exponential", "song"], quantity]
        assert pair.iloc[0] == pytest.approx(pair.iloc[1], rel=1e-12)


def closed_form(design, std):
    """E_D and marginal KL of N(0, std^2) in NumPy's long double, by the naive formulas."""
    v = np.asarray(design(10).backward_variances, dtype=np.longdouble)
    total = np.longdouble(std) ** 2 + v
    ratio = total[1:] / total[:-1]
    discretization = np.sum(-np.log(ratio) - (1 - ratio)) / 2
    variance = v[0]
    for j in range(10):
        variance = ratio[j] ** 2 * variance + v[j] - v[j + 1]
    r = total[-1] / variance
    return float(discretization), float((r - 1 - np.log(r)) / 2)


@pytest.mark.parametrize("criterion", schedule_comparison.CRITERIA)
def test_the_errors_are_equal_at_a_crossover(scales, criterion):
    rows = scales[(scales["part"] == "crossover") & (scales["criterion"] == criterion)]
    assert len(rows) == {"discretization": 1, "marginal_kl": 2}[criterion]
    for std in rows["std"]:
        index = schedule_comparison.CRITERIA.index(criterion)
        a, b = closed_form(edm, std)[index], closed_form(song, std)[index]
        # 121^-6 of a decade away from the root, times a slope of the log ratio below 100 there.
        assert a == pytest.approx(b, rel=1e-8)


def test_published_crossovers(scales):
    found = scales[scales["part"] == "crossover"].groupby("criterion")["std"].apply(sorted)
    assert found["discretization"] == pytest.approx([0.0059936], rel=1e-5)
    assert found["marginal_kl"] == pytest.approx([0.351, 79.3], rel=2e-3)  # three digits given

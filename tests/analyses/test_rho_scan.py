"""The scan of EDM's exponent against published optima and an independent minimizer."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from analyses import rho_scan


@pytest.fixture(scope="module")
def table():
    piece = {"part": "gaussian", "std": 0.5, "steps": 10, "low": 1.0, "high": 25.0, "points": 97}
    return rho_scan.compute(piece)


def discretization(rho):
    """E_D of N(0, 0.25) at N = 10 by the naive formula in NumPy."""
    share = np.arange(11) / 10
    sigma = (80 ** (1 / rho) * (1 - share) + 0.002 ** (1 / rho) * share) ** rho
    ratio = (0.25 + sigma[1:] ** 2) / (0.25 + sigma[:-1] ** 2)
    return 0.5 * np.sum(ratio - 1 - np.log(ratio))


def optimum(table, criterion):
    rows = table[(table["part"] == "optimum") & (table["criterion"] == criterion)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_scan_is_the_naive_formula(table):
    scan = table[table["part"] == "scan"]
    expected = [discretization(rho) for rho in scan["rho"]]
    np.testing.assert_allclose(scan["discretization"], expected, rtol=1e-11)


def test_optimum_is_that_of_another_minimizer(table):
    other = minimize_scalar(
        discretization, bounds=(1, 25), method="bounded", options={"xatol": 1e-9}
    )
    found = optimum(table, "discretization")
    # A minimum is known to the root of the rounding: values to 1e-13, places to 1e-5.
    assert found["rho"] == pytest.approx(other.x, rel=1e-5)
    assert found["value"] == pytest.approx(other.fun, rel=1e-11)


def test_published_optima(table):
    assert optimum(table, "discretization")["rho"] == pytest.approx(3.14, abs=0.005)
    assert optimum(table, "marginal_kl")["rho"] == pytest.approx(8.5, abs=0.05)
    assert pytest.approx(5.298, abs=5e-4) == rho_scan.PRINTED


@pytest.mark.parametrize("criterion", ["theorem-2-corrected", "discretization-scale-aware"])
def test_bounds_have_no_interior_optimum(table, criterion):
    found = optimum(table, criterion)
    assert not found["interior"]
    assert found["rho"] == 25.0


def test_bounds_are_above_the_error(table):
    scan = table[table["part"] == "scan"]
    for criterion in ("theorem-2-corrected", "discretization-scale-aware"):
        assert np.all(scan[criterion] > scan["discretization"])


def test_finding_reads_the_table(table):
    text = rho_scan.finding(table)
    assert "3.142 (N = 10)" in text
    assert "in 0 of 1 cases" in text

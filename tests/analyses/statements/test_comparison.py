"""EDM against Song in the data scale: the crossovers, found by the code."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from analyses.judge import judge
from analyses.statements.comparison import EDM_AGAINST_SONG, crossover, limit_crossover


@pytest.mark.parametrize(("steps", "scale"), [(10, 0.0059936), (100, 0.010832)])
def test_crossovers_are_those_of_the_theory_page(steps, scale):
    # five digits are given: half a unit of the last is 1e-4 of it at most
    assert crossover(steps) == pytest.approx(scale, rel=5e-5)


def test_limit_against_adaptive_quadrature():
    """The same integrals in ln v, where grids have densities, by scipy."""
    low, high, rho = 0.002, 80.0, 7.0

    def integral(std, speed):  # int |I'| v'^2 du = int |I'| v' dv
        def f(y):
            v = np.exp(y)
            return speed(v) * v / (std**2 + v) ** 2

        ends = 2 * np.log(low), 2 * np.log(high)
        return quad(f, *ends, epsabs=0, epsrel=1e-11, limit=400, points=[2 * np.log(std)])[0]

    span = high ** (1 / rho) - low ** (1 / rho)

    def edm(v):
        return 2 * rho * span * v ** (1 - 1 / (2 * rho))

    def song(v):
        return 2 * np.log(high / low) * v

    root = brentq(lambda s: integral(s, edm) - integral(s, song), 1e-3, 0.1, xtol=1e-13)
    assert limit_crossover() == pytest.approx(root, rel=1e-8)
    assert root == pytest.approx(0.01147, rel=5e-4)  # the digits of the theory page


def test_statement():
    judgement = judge(EDM_AGAINST_SONG, {})
    assert judgement.verdict == "holds"
    assert judgement.as_recorded
    assert judgement.outcomes[0].designs == 600

"""Mixtures of normals on the line, by mpmath quadrature.

p_v = sum_k w_k N(m_k, s_k^2 + v). Integrals run over pieces that end at the means plus and minus
several widths and, graded, where neighbouring components cross (there the score turns within a
length far below a width); pieces on which the density is below any use are left out.

Sources: theory.md sections 1 and 2.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .precision import exact, exacts, mp


def reach() -> Any:
    """Widths after which a normal density is below the working precision."""
    return mp.sqrt(2 * mp.dps * mp.log(10)) + 1


class Point(NamedTuple):
    """What is known at one x: p_v(x), its score L, L' and the posterior variance of X_0."""

    density: Any
    score: Any
    slope: Any
    posterior_variance: Any


class Mixture:
    """A mixture with `weights`, `means` and component `variances` (zero for a point mass)."""

    def __init__(self, weights: Sequence[Any], means: Sequence[Any], variances: Sequence[Any]):
        self.weights, self.means, self.variances = exacts(weights), exacts(means), exacts(variances)
        self.weights = tuple(w / mp.fsum(self.weights) for w in self.weights)

    def at(self, x: Any, v: Any) -> Point:
        """Density, score, slope of the score and posterior variance at x, by sums over components.

        With responsibilities r_k and a_k = (m_k - x)/(s_k^2 + v): L = sum r_k a_k and
        L' = sum r_k (a_k^2 - 1/(s_k^2 + v)) - L^2. The posterior variance comes from the
        components' own posteriors, N(m_k + s_k^2 (x - m_k)/(s_k^2 + v), s_k^2 v/(s_k^2 + v)).
        """
        p = first = second = posterior_first = posterior_second = mp.zero
        for w, m, s2 in zip(self.weights, self.means, self.variances, strict=True):
            spread = s2 + v
            mass = w * mp.exp(-((x - m) ** 2) / (2 * spread)) / mp.sqrt(2 * mp.pi * spread)
            a, center = (m - x) / spread, m + s2 * (x - m) / spread
            p += mass
            first += mass * a
            second += mass * (a * a - 1 / spread)
            posterior_first += mass * center
            posterior_second += mass * (center**2 + s2 * v / spread)
        score, center = first / p, posterior_first / p
        return Point(p, score, second / p - score**2, posterior_second / p - center**2)

    def pieces(self, v: Any) -> list[tuple[Any, Any]]:
        """Intervals of integration, ascending."""
        widths = [mp.sqrt(s2 + v) for s2 in self.variances]
        far = reach()
        steps = [*(k for k in (0, 1, 2, 3, 5, 7, 10, 13) if k < far), far]
        points = {
            m + sign * k * width
            for m, width in zip(self.means, widths, strict=True)
            for k in steps
            for sign in (-1, 1)
        }
        order = sorted(range(len(widths)), key=lambda k: self.means[k])
        for i, j in itertools.pairwise(order):
            points |= self.crossing(i, j, widths[i], widths[j])
        ends = sorted(points)
        return [
            (a, b)
            for a, b in itertools.pairwise(ends)
            if any(
                abs((a + b) / 2 - m) < far * width
                for m, width in zip(self.means, widths, strict=True)
            )
        ]

    def crossing(self, i: int, j: int, width: Any, other: Any) -> set[Any]:
        """Graded points around the place where components i and j weigh the same."""
        distance = self.means[j] - self.means[i]
        if distance <= 0:
            return set()
        place = self.means[i] + distance * width / (width + other)
        length = width * other / distance
        grades = [length * 2**k for k in range(8) if length * 2**k < distance / 2]
        return {place, *(place + sign * g for g in grades for sign in (-1, 1))}

    def expectation(self, v: Any, f: Callable[[Any, Point], Any]) -> Any:
        """E f(X, point at X) under p_v, by Gauss-Legendre quadrature on each piece."""

        def integrand(x: Any) -> Any:
            point = self.at(x, v)
            return point.density * f(x, point)

        v = exact(v)
        return mp.fsum(mp.quad(integrand, ab, method="gauss-legendre") for ab in self.pieces(v))

    def fisher_information(self, v: Any) -> Any:
        """I(v) = E L_v^2."""
        return self.expectation(v, lambda _, point: point.score**2)

    def fisher_information_slope(self, v: Any) -> Any:
        """I'(v) = -E (L_v')^2."""
        return -self.expectation(v, lambda _, point: point.slope**2)

    def mmse(self, v: Any) -> Any:
        """mmse(v) = E Var(X_0 | X_v), from posterior variances, not from I."""
        return self.expectation(v, lambda _, point: point.posterior_variance)

    def entropy(self, v: Any) -> Any:
        """H(v) = -E log p_v, in nats."""
        return -self.expectation(v, lambda _, point: mp.log(point.density))

    def initialization(self, grid: Sequence[Any]) -> Any:
        """E_I = KL(p_{v_0} | N(0, v_0)), in the form p log(p/g)."""
        v = exact(grid[0])
        constant = mp.log(2 * mp.pi * v) / 2
        return self.expectation(
            v, lambda x, point: mp.log(point.density) + constant + x**2 / (2 * v)
        )

    def score_error(self, grid: Sequence[Any], factor: Any, shift: Any) -> Any:
        """E_S of factor * L + shift: (1/2) sum_j h_j E((factor - 1) L_j + shift)^2."""
        grid, gain, shift = exacts(grid), exact(factor) - 1, exact(shift)
        if gain == 0:
            return (grid[0] - grid[-1]) * shift**2 / 2
        terms = (
            (high - low)
            * self.expectation(high, lambda _, point: (gain * point.score + shift) ** 2)
            for high, low in itertools.pairwise(grid)
        )
        return mp.fsum(terms) / 2

    def discretization(self, grid: Sequence[Any]) -> Any:
        """E_D = H(v_0) - H(v_N) - (1/2) sum_j h_j I(v_j), which cancels, at sixty digits."""
        grid = exacts(grid)
        terms = [
            (high - low) * self.fisher_information(high) for high, low in itertools.pairwise(grid)
        ]
        return self.entropy(grid[0]) - self.entropy(grid[-1]) - mp.fsum(terms) / 2

    def discretization_nested(self, grid: Sequence[Any], digits: int = 16) -> Any:
        """E_D = (1/2) sum_j int (I(v) - I(v_j)) dv by nested quadrature, for a few steps.

        The outer integral runs over log v, in pieces of at most a factor 2, to `digits` digits.
        """
        total, grid = mp.zero, exacts(grid)
        with mp.workdps(digits):
            for high, low in itertools.pairwise(grid):
                start = self.fisher_information(high)
                count = int(mp.ceil(mp.log(high / low, 2)))
                ends = mp.linspace(mp.log(low), mp.log(high), count + 1)
                total += mp.quad(
                    lambda u, start=start: mp.exp(u) * (self.fisher_information(mp.exp(u)) - start),
                    ends,
                    method="gauss-legendre",
                )
        return total / 2

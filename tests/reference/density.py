"""The sampler's law on the line for any smooth score, by brute force in NumPy.

q_{j+1}(y) = int q_j(x) N(y; x + h_j s_j(x), h_j) dx is a sum over the nodes of a uniform lattice:
the trapezoid rule, which converges spectrally. A law is therefore a finite mixture of normals of
one width, centred at the images of the nodes. No inverse of the step map is taken, so maps that
fold are as good as any. Lattices are uniform, fine enough that neighbouring images lie within
1/resolution noise widths of each other (and nodes within 1/resolution smoothing widths); nodes
where the law is below 1e-60 of its maximum are left out. Meant for N <= 20 and moderate scales.

Sources: theory.md section 8.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[Any]
Score = Callable[[Array, float], Array]

REACH = 20.0  # noise widths of the kernel; exp(-200) = 1e-87
NEGLIGIBLE = 1e-60  # relative to the largest density
MOST_NODES = 5_000_000


def _bell(z: Array) -> Array:
    return np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)


class Law(NamedTuple):
    """sum_k masses_k N(centers_k, width^2), centres ascending."""

    centers: Array
    masses: Array
    width: float

    def _sum(self, y: Array, kernel: Callable[[Array], Array], full: int = 0) -> Array:
        """sum_k masses_k kernel((y - c_k)/width); kernel is 1 beyond reach on the side `full`."""
        below = np.concatenate([[0.0], np.cumsum(self.masses)])
        above = np.concatenate([np.cumsum(self.masses[::-1])[::-1], [0.0]])
        out = np.empty_like(y)
        for start in range(0, y.size, 128):
            block = y[start : start + 128]
            low = np.searchsorted(self.centers, block.min() - REACH * self.width)
            high = np.searchsorted(self.centers, block.max() + REACH * self.width)
            z = (block[:, None] - self.centers[None, low:high]) / self.width
            value = kernel(z) @ self.masses[low:high]
            value += below[low] if full < 0 else above[high] if full > 0 else 0.0
            out[start : start + 128] = value
        return out

    def density(self, y: Array) -> Array:
        """q(y)."""
        return self._sum(y, _bell) / self.width

    def cdf(self, y: Array) -> Array:
        """P(Y <= y)."""
        return self._sum(y, ndtr, full=-1)

    def survival(self, y: Array) -> Array:
        """P(Y > y), without cancellation on the right."""
        return self._sum(y, lambda z: ndtr(-z), full=1)

    def moments(self) -> tuple[float, float]:
        """Mean and variance."""
        mean = float(self.masses @ self.centers)
        return mean, float(self.masses @ (self.centers - mean) ** 2) + self.width**2


class Mixture(NamedTuple):
    """sum_k weights_k N(means_k, variances_k) in NumPy: the law to compare with, and its score."""

    weights: Sequence[float]
    means: Sequence[float]
    variances: Sequence[float]

    def noisy(self, v: float) -> "Mixture":
        """The law of X + sqrt(v) xi."""
        return Mixture(self.weights, self.means, [s2 + v for s2 in self.variances])

    def _terms(self, x: Array) -> tuple[Array, Array, Array]:
        w, m, s2 = (np.asarray(a, dtype=np.float64)[None, :] for a in self)
        z = (x[:, None] - m) / np.sqrt(s2)
        return z, w, np.sqrt(s2)

    def density(self, x: Array) -> Array:
        """p(x)."""
        z, w, s = self._terms(x)
        return np.sum(w * _bell(z) / s, axis=1)

    def cdf(self, x: Array) -> Array:
        """P(X <= x)."""
        z, w, _ = self._terms(x)
        return np.sum(w * ndtr(z), axis=1)

    def survival(self, x: Array) -> Array:
        """P(X > x)."""
        z, w, _ = self._terms(x)
        return np.sum(w * ndtr(-z), axis=1)

    def score(self, x: Array, sigma: float) -> Array:
        """grad log p_v(x) at v = sigma^2, by log-sum-exp; works anywhere on the line."""
        z, w, s = self.noisy(float(sigma) ** 2)._terms(x)
        logs = np.log(w) - 0.5 * z * z - np.log(s)
        r = np.exp(logs - logs.max(axis=1, keepdims=True))
        return np.sum(r * (-z / s), axis=1) / np.sum(r, axis=1)


class Lattice(NamedTuple):
    """Nodes origin + spacing * index, cut to where the law is not negligible."""

    nodes: Array
    spacing: float


def _lattice(low: float, cell: float, keep: NDArray[np.bool_], spacing: float) -> Lattice:
    """Nodes of the given spacing inside the kept cells [low + i cell, low + (i+1) cell)."""
    parts = max(int(np.ceil(cell / spacing)), 1)
    if keep.sum() * parts > MOST_NODES:
        raise ValueError(f"{keep.sum() * parts} nodes: scales too far apart for the dense twin")
    starts = low + cell * np.flatnonzero(keep)
    return Lattice(
        (starts[:, None] + cell / parts * np.arange(parts)[None, :]).ravel(), cell / parts
    )


def _lay(law: Law, step: Callable[[Array], Array], noise: float, resolution: float) -> Lattice:
    """A lattice that resolves both `law` and, through `step`, the noise of the next step."""
    low = law.centers[0] - REACH * law.width
    cell = law.width
    count = int(np.ceil((law.centers[-1] + REACH * law.width - low) / cell)) + 1
    q = law.density(low + cell * np.arange(count + 1))
    big = q > NEGLIGIBLE * q.max()
    keep = big[:-1] | big[1:]
    spacing = min(cell, noise) / resolution
    for _ in range(30):
        nodes, spacing = _lattice(low, cell, keep, spacing)
        near = np.diff(nodes) < 1.5 * spacing
        stride = np.max(np.abs(np.diff(step(nodes)))[near], initial=0.0)
        if stride <= 1.001 * noise / resolution:
            return Lattice(nodes, spacing)
        spacing = spacing * min(noise / (resolution * stride), 0.9)
    raise ValueError("the step map is too rough for the dense twin")


def propagate(score: Score, sigmas: Sequence[float], resolution: float = 4.0) -> Law:
    """Law of Y_N for Y_{j+1} = Y_j + h_j s(Y_j, sigma_j) + sqrt(h_j) U_j, Y_0 ~ N(0, sigma_0^2).

    Args:
      score: smooth map of an array of points and a number sigma to an array.
      sigmas: sigma_0 > ... > sigma_N > 0.
      resolution: nodes per width; compare 4 with 6 to see the error.
    """
    law = Law(np.zeros(1), np.ones(1), float(sigmas[0]))
    for sigma, below in itertools.pairwise(sigmas):
        h = (float(sigma) - float(below)) * (float(sigma) + float(below))

        def step(x: Array, h: float = h, sigma: float = float(sigma)) -> Array:
            return x + h * np.asarray(score(x, sigma), dtype=np.float64)

        nodes, spacing = _lay(law, step, np.sqrt(h), resolution)
        masses, centers = law.density(nodes) * spacing, step(nodes)
        order = np.argsort(centers)
        law = Law(centers[order], masses[order], float(np.sqrt(h)))
    return law


def _excess(p: Array, q: Array) -> Array:
    """r - 1 - log r with r = q/p, by its series where |r - 1| < 0.02."""
    x = (q - p) / p
    t = np.where(np.abs(x) < 0.02, x, 0.0)
    series = sum((-1) ** k * t**k / k for k in range(14, 1, -1))
    return np.where(np.abs(x) < 0.02, series, x - np.log(q / p))


def _comparison(law: Law, target: Mixture, resolution: float) -> Lattice:
    """A lattice on which both laws are resolved, over all that matters of either."""
    widths = np.sqrt(np.asarray(target.variances))
    means = np.asarray(target.means)
    low = min(float((means - 14 * widths).min()), law.centers[0] - 14 * law.width)
    high = max(float((means + 14 * widths).max()), law.centers[-1] + 14 * law.width)
    cell = min(float(widths.min()), law.width)
    ends = low + cell * np.arange(int(np.ceil((high - low) / cell)) + 2)
    p, q = target.density(ends), law.density(ends)
    big = (p > 1e-30 * p.max()) | (q > 1e-30 * q.max())
    return _lattice(low, cell, big[:-1] | big[1:], cell / resolution)


def marginal_kl(law: Law, target: Mixture, resolution: float = 16.0) -> float:
    """KL(target | law) = int p (r - 1 - log r), r = q/p; `target` is p_{v_N}, noise included.

    log r is singular where p or q vanishes off the line, nearer than a width between two modes;
    hence nodes closer than smoothness alone asks for.
    """
    nodes, spacing = _comparison(law, target, resolution)
    p, q = target.density(nodes), law.density(nodes)
    there = p > 1e-30 * p.max()
    if np.any(q[there] == 0):
        raise ValueError("the sampler's density vanishes where the target's does not")
    terms = p[there] * _excess(p[there], q[there])
    return float((np.sum(terms) + np.sum(q[~there])) * spacing)


def _pairs(law: Law, target: Mixture, z: Array) -> tuple[Array, Array]:
    """Rough quantile pairs (x + y, x), ascending, by linear interpolation of both laws at z."""
    f, g = target.cdf(z), law.cdf(z)
    f_right, g_right = target.survival(z), law.survival(z)
    y = np.where(f < 0.5, np.interp(f, g, z), np.interp(-f_right, -g_right, z))
    x = np.where(g < 0.5, np.interp(g, f, z), np.interp(-g_right, -f_right, z))
    s, x = np.concatenate([z + y, x + z]), np.concatenate([z, x])
    order = np.argsort(s)
    return s[order], x[order]


def _match(law: Law, target: Mixture, s: Array, start: Array) -> Array:
    """x(s) with F_p(x) = F_q(s - x), by safeguarded Newton on the smaller of the two tails.

    Points whose two probabilities agree to rounding, or are both below 1e-25, are done.
    """
    x, low, high = start.copy(), s - np.max(s), s - np.min(s)
    low, high = np.minimum(low, np.min(s)), np.maximum(high, np.max(s))
    active = np.arange(s.size)
    for _ in range(200):
        here, y = x[active], s[active] - x[active]
        f = target.cdf(here)
        left, right = f - law.cdf(y), law.survival(y) - target.survival(here)
        gap = np.where(f < 0.5, left, right)
        tail = np.minimum(f, target.survival(here))
        low[active] = np.where(gap <= 0, here, low[active])
        high[active] = np.where(gap >= 0, here, high[active])
        slope = target.density(here) + law.density(y)
        new = here - gap / np.maximum(slope, 1e-300)
        inside = (new > low[active]) & (new < high[active])
        new = np.where(inside, new, (low[active] + high[active]) / 2)
        moving = np.abs(gap) > 2e-15 * tail + 1e-25
        moving &= high[active] - low[active] > 4e-16 * (np.abs(here) + law.width)
        x[active], active = np.where(moving, new, here), active[moving]
        if active.size == 0:
            break
    return x


def w2(law: Law, target: Mixture, resolution: float = 8.0) -> float:
    """W2 by quantiles: int_0^1 (F_p^-1 - F_q^-1)^2 du, with x + y as the variable.

    The quantile pairs (x, y) move monotonely with s = x + y, and du = p q/(p + q) ds, so the
    integrand is smooth even where a gap between modes makes either quantile function jump.
    """
    nodes, spacing = _comparison(law, target, resolution)
    rough, guess = _pairs(law, target, nodes)
    s = np.arange(2 * nodes[0], 2 * nodes[-1] + spacing, spacing)
    x = np.interp(s, rough, guess)
    rate = np.minimum(target.density(x), law.density(s - x))  # p q/(p+q) is at most this
    there = rate > 1e-25 * rate.max()
    s, x = s[there], _match(law, target, s[there], x[there])
    y = s - x
    p, q = target.density(x), law.density(y)
    rate = p * q / np.maximum(p + q, 1e-300)
    return float(np.sqrt(np.sum((x - y) ** 2 * rate) * spacing))

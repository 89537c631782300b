"""Lemmas 2 and 3 and Proposition 2: directions of random vectors."""

import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from scipy import special

from analyses import sphere
from analyses.columns import each, labels
from analyses.statement import Claim, Observations, Relation, Statement, Study
from design_space.bounds import orthant

_COUNT = 520  # designs of each quadrature
_DRAWS, _DIMS, _EVENTS = 1 << 14, (2, 5, 24), 180
_LEAST = 1e-280  # probabilities below it are not compared
LIMIT_TO = 1e-4
"""What is left of a rate at d = 1024 once its orders 1/d and 1/d^2 are extrapolated away."""


def _claim(name: str, says: str, run: Callable[[], Observations], relation: Relation, **options):
    return Claim(name, says, Study(run), relation, **options)


def _seen(left: np.ndarray, right: np.ndarray, **columns: np.ndarray) -> Observations:
    return Observations(left, right, np.zeros(len(left)), labels(**columns), len(left))


def _dims(random: np.random.Generator, low: int, high: int) -> np.ndarray:
    return np.floor(low * (high / low) ** random.random(_COUNT))


# Lemma 2


def _orthants() -> Observations:
    random = np.random.default_rng(2)
    angle, dim = np.pi * (0.001 + 0.998 * random.random(_COUNT)), _dims(random, 3, 1000)
    left, right = sphere.orthant(angle, dim), each(orthant.lemma_2, angle)
    return _seen(left, right, d=dim, angle=angle)


def _pairs(random: np.random.Generator, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of random unit vectors, [events, dim] each, and their angles."""
    u, z = (sphere.normal(random, _EVENTS, dim) for _ in range(2))
    u, z = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (u, z))
    return u, z, np.arccos(np.clip(np.sum(u * z, axis=1), -1, 1))


@functools.cache
def _drawn_orthants(law: sphere.Law) -> Observations:
    """How often both products are positive, for random pairs u, z."""
    random, counts, claimed, names = np.random.default_rng(22), [], [], []
    for dim in _DIMS:
        u, z, angles = _pairs(random, dim)
        w = law(random, _DRAWS, dim)
        counts.append(np.sum((w @ u.T >= 0) & (w @ z.T >= 0), axis=0))
        claimed.append(each(orthant.lemma_2, angles))
        names += [f"d {dim}, angle {x:.4g}" for x in angles]
    sides = np.concatenate(counts), _DRAWS, np.concatenate(claimed)
    return sphere.counted(*sides, tuple(names), len(names))


LEMMA_2 = Statement(
    id="lemma-2",
    title="Two products with a uniform direction",
    source="Lemma 2 of arXiv 2406.12839",
    says="Of w uniform on the sphere, w'u and w'z are both non-negative with probability "
    "(π - angle(u, z))/(2π).",
    latex=r"\mathbb P(w^\top u \ge 0,\ w^\top z \ge 0) = "
    r"\frac{\pi - \angle(u, z)}{2 \pi}",
    printed=_claim("printed", "the probability, integrated over the sphere", _orthants, "="),
    derivation="Only the part of w in the plane of u and z counts, and its direction is uniform "
    "there: the half planes of u and z share a sector of π - angle. The check integrates over the "
    "sphere in d dimensions, d from 3 to 1000, over the coordinate along u, and never meets that "
    "sector. It needs nothing of w but that its law is invariant under rotations.",
    supporting=(
        _claim(
            "drawn",
            "how often it happens among drawn directions, also for d = 2",
            lambda: _drawn_orthants(sphere.normal),
            "=",
        ),
    ),
    broken=(
        _claim(
            "stretched",
            "the same for a normal w whose entries differ in variance",
            lambda: _drawn_orthants(sphere.stretched),
            "=",
        ),
        _claim(
            "corners",
            "the same for w uniform on the corners of a cube",
            lambda: _drawn_orthants(sphere.corners),
            "=",
        ),
    ),
    expected="holds",
)


# Lemma 3


@functools.cache
def _caps(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half angles, dimensions and probabilities of caps: sharp ones, blunt ones, of pi/4."""
    random = np.random.default_rng(3)
    share, dim = random.random(_COUNT), _dims(random, 2, 1200)
    q = {
        "sharp": 0.02 + (np.pi / 2 - 0.021) * share,
        "blunt": np.pi / 2 + 0.01 + (np.pi / 2 - 0.02) * share,
        "quarter": np.full(_COUNT, np.pi / 4),
        "half": np.full(_COUNT, np.pi / 2),
    }[kind]
    low = np.log(np.sin(np.minimum(q, np.pi / 2)))  # probabilities are about sin(q)^d
    dim = np.maximum(2.0, np.minimum(dim, np.floor(np.log(_LEAST) / np.minimum(low, -1e-9)) - 10))
    return q, dim, sphere.cap(q, dim)


def _cap_claim(formula: Callable, kind: str) -> Callable[[], Observations]:
    def run() -> Observations:
        q, dim, measured = _caps(kind)
        return _seen(measured, each(formula, q, dim), d=dim, q=q)

    return run


def _faster(q, dim):
    """Two times e^{-c d} with a rate of 1.04 times the one that is possible."""
    return 2 * jnp.exp(-1.04 * orthant.cap_rate(q) * dim)


def _rates() -> Observations:
    """Rates from dimensions up to 1024, extrapolated."""
    q = np.pi / 2 - np.linspace(0.4, 0.9, 24)
    dims = np.array([256.0, 512.0, 1024.0])

    def log_cap(dim: float) -> np.ndarray:
        return np.log(sphere.cap(q, np.full(len(q), dim)))

    # Between d and d + 2 the logarithm falls by 2 c + O(1/d).
    found = [0.5 * (log_cap(d - 1) - log_cap(d + 1)) for d in dims]
    rate = (4 * (2 * found[2] - found[1]) - (2 * found[1] - found[0])) / 3
    return _seen(rate, each(orthant.cap_rate, q), q=q)


LEMMA_3 = Statement(
    id="lemma-3",
    title="Two directions are seldom almost opposite",
    source="Lemma 3 of arXiv 2406.12839",
    says="The angle of a fixed u and a uniform z is at least π - q with probability "
    "(1/2) I_{sin² q}((d - 1)/2, 1/2); hence it is at most 3π/4 with probability "
    "1 - exp(-Ω(d)).",
    latex=r"\mathbb P(\angle(u, z) \ge \pi - q) = \tfrac12 I_{\sin^2 q}"
    r"\big(\tfrac{d-1}2, \tfrac12\big)",
    printed=_claim(
        "printed", "the density of the angle, integrated", _cap_claim(orthant.lemma_3, "sharp"), "="
    ),
    derivation="The angle t has a density like sin(t)^(d-2). The order exp(-Ω(d)) has an explicit "
    "form: (1/2) sin(q)^(d-1) for each d, since I_x(a, 1/2)/x^a does not fall with x; for the "
    "printed 3π/4 that is 2^(-(d+1)/2). The rate -ln sin q, there (ln 2)/2 = .3466, is the best "
    "one. The formula is meant for q up to π/2: beyond it the probability is 1 minus it.",
    supporting=(
        _claim(
            "exponential",
            "an angle above 3π/4 has probability at most 2^(-(d+1)/2)",
            _cap_claim(orthant.cap_bound, "quarter"),
            "<=",
        ),
        _claim(
            "every cap",
            "the probability is at most sin(q)^(d-1)/2",
            _cap_claim(orthant.cap_bound, "sharp"),
            "<=",
        ),
        _claim(
            "sharp",
            "it is at most sin(q)^(d-1)/((d - 1) B((d - 1)/2, 1/2) cos q)",
            _cap_claim(orthant.cap_bound_sharp, "sharp"),
            "<=",
        ),
        _claim("rate", "the rate in d tends to -ln sin q", _rates, "=", to=LIMIT_TO),
    ),
    broken=(
        _claim(
            "beyond π/2",
            "the formula for q above π/2",
            _cap_claim(orthant.lemma_3, "blunt"),
            "=",
        ),
        _claim(
            "faster",
            "an angle above 3π/4 has probability at most 2 exp(-1.04 (ln 2)/2 d)",
            _cap_claim(_faster, "quarter"),
            "<=",
        ),
        _claim(
            "right angle",
            "an angle above π/2 is as rare",
            lambda: _seen(
                _caps("half")[2],
                _cap_claim(orthant.cap_bound, "quarter")().right,
                d=_caps("half")[1],
            ),
            "<=",
        ),
    ),
    expected="holds",
)


# Proposition 2


@functools.cache
def _balls() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radii, half angles and dimensions."""
    random = np.random.default_rng(12)
    dim, share = _dims(random, 2, 120), random.random(_COUNT)
    q = 0.05 + 1.5 * random.random(_COUNT)
    return np.sqrt(dim) * (0.6 + 0.8 * share), q, dim


def _joint() -> Observations:
    radius, q, dim = _balls()
    left = sphere.ball_and_cap(radius, q, dim, np.ones(_COUNT))
    right = each(orthant.proposition_2, radius, q, dim)
    return _seen(left, right, d=dim, r=radius, q=q)


_WIDE, _HALF = 12.0, np.pi / 2 - 1e-9  # a radius that holds all, and the half space


def _stretched(uniform: bool) -> Callable[[], Observations]:
    """One entry of deviation 2: the direction alone, or whether norm and direction depend."""

    def run() -> Observations:
        radius, q, dim = _balls()
        spread = np.full(_COUNT, 2.0)
        whole = sphere.ball_and_cap(2 * _WIDE + np.sqrt(dim), q, dim, spread)
        if uniform:
            return _seen(whole, each(orthant.lemma_3, q, dim), d=dim, q=q)
        left = sphere.ball_and_cap(radius, q, dim, spread)
        norm = 2 * sphere.ball_and_cap(radius, np.full(_COUNT, _HALF), dim, spread)
        return _seen(left, whole * norm, d=dim, r=radius, q=q)

    return run


@functools.cache
def _drawn_balls(law: sphere.Law) -> Observations:
    """How often a vector is short and has positive products with both of a random pair."""
    random, counts, claimed, names = np.random.default_rng(23), [], [], []
    for dim in _DIMS:
        u, z, angles = _pairs(random, dim)
        x = law(random, _DRAWS, dim)
        squared = dim * (0.6 + 0.8 * random.random(_EVENTS))
        short = np.sum(x**2, axis=1)[:, None] <= squared[None, :]
        counts.append(np.sum((x @ u.T >= 0) & (x @ z.T >= 0) & short, axis=0))
        claimed.append(special.gammainc(dim / 2, squared / 2) * (np.pi - angles) / (2 * np.pi))
        names += [
            f"d {dim}, r² {r:.3g}, angle {x:.3g}" for r, x in zip(squared, angles, strict=True)
        ]
    sides = np.concatenate(counts), _DRAWS, np.concatenate(claimed)
    return sphere.counted(*sides, tuple(names), len(names))


def _largest_entry() -> Observations:
    """The norm max |x_i| in place of |x|, with the event that |x_1| is at least .7 |x|."""
    random, counts, claimed, names = np.random.default_rng(24), [], [], []
    for dim in _DIMS:
        x = sphere.normal(random, _DRAWS, dim)
        most, q = np.max(np.abs(x), axis=1), np.arccos(0.7)
        near = np.abs(x[:, 0]) >= 0.7 * np.linalg.norm(x, axis=1)
        axis = 2 * sphere.cap(np.array([q]), np.array([float(dim)]))[0]
        for share in (0.3, 0.5, 0.7):
            radius = np.sqrt(2) * special.erfinv(share ** (1 / dim))
            counts.append(np.sum((most <= radius) & near))
            claimed.append(share * axis)
            names.append(f"d {dim}, max |x_i| below its quantile {share}")
    return sphere.counted(np.array(counts), _DRAWS, np.array(claimed), tuple(names), len(names))


PROPOSITION_2 = Statement(
    id="proposition-2",
    title="Norm and direction of a Gaussian vector",
    source="Proposition 2 of arXiv 2406.12839",
    says="Norm and direction of a standard Gaussian vector are independent, and the direction is "
    "uniform on the sphere.",
    latex=r"x \sim \mathcal N(0, I_d):\quad |x| \perp x/|x|, \quad "
    r"x/|x| \sim \mathrm{Unif}(\mathbb S^{d-1})",
    printed=_claim(
        "printed",
        "the probability of a short vector near an axis, integrated over one entry, is the "
        "product of both",
        _joint,
        "=",
    ),
    derivation="The density depends on |x| only, so the law is invariant under rotations. The "
    "check integrates over the entry along the axis and knows of no polar coordinates; by "
    "invariance under rotations balls and caps determine the joint law. A stretched Gaussian "
    "loses both properties, other laws of independent entries as well.",
    supporting=(
        _claim(
            "drawn",
            "how often drawn vectors are short and on the positive side of two others",
            lambda: _drawn_balls(sphere.normal),
            "=",
        ),
    ),
    broken=(
        _claim(
            "stretched, direction",
            "the direction is uniform when one entry has twice the deviation",
            _stretched(True),
            "=",
        ),
        _claim(
            "stretched, independent",
            "norm and direction are independent then",
            _stretched(False),
            "=",
        ),
        _claim(
            "Laplace",
            "the same for independent Laplace entries of variance 1",
            lambda: _drawn_balls(sphere.laplace),
            "=",
        ),
        _claim(
            "largest entry",
            "the largest entry is independent of the direction, too",
            _largest_entry,
            "=",
        ),
    ),
    expected="holds",
)

STATEMENTS = (LEMMA_2, LEMMA_3, PROPOSITION_2)

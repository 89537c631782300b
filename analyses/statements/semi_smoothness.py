"""Lemma 8: semi-smoothness of the denoising loss, at initialization and near interpolation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from analyses import training_designs as td
from analyses.perturbed import Remainder, remainders
from analyses.statement import Claim, Observations, Relation, Statement, Study
from design_space.bounds.semi_smoothness import (
    SemiSmoothnessConstants,
    lemma_8,
    lemma_8_corrected,
)

CONSTANTS = SemiSmoothnessConstants(linear=1.0, quadratic=2.0)

SHARES = (1.0, 1e-2, 1e-4, 1e-6)
"""Residuals, of those at initialization: the loss goes with the square."""

DISTANCES = (1e-3, 3e-2, 0.3)

_SHAPES = (
    {"points": 3, "levels": 3, "dim": 8, "width": 128},
    {"points": 2, "levels": 4, "dim": 4, "width": 256},
    {"points": 3, "levels": 2, "dim": 4, "width": 128, "depth": 2},
)
_SEEDS = 7  # at each of the shares and distances

REFERENCE = {"points": 3, "levels": 3, "dim": 16, "width": 512}
"""The sizes at which the growth of the constant is measured."""

_WIDTHS, _NARROW = (128, 512), {"points": 2, "levels": 2, "dim": 4}
_COPIES = 16


def _claim(name: str, says: str, run, relation: Relation = "<=", **options) -> Claim:
    return Claim(name, says, Study(run), relation, **options)


def _measured(shares, distances, seeds: int, **sizes) -> tuple:
    """Designs at every share and distance, their remainders [designs, directions], sum_j a_j."""
    designs, share, distance = [], [], []
    for a in shares:
        for b in distances:
            designs += td.of_seeds(seeds, **sizes)
            share += [a] * seeds
            distance += [b] * seeds
    first = designs[0]
    rows = np.random.default_rng(8).standard_normal(
        (seeds, first.points * first.levels * first.dim)
    )
    rows = np.tile(rows, (len(shares) * len(distances), 1))
    found = td.measured(remainders, designs, np.array(share), np.array(distance), rows)
    scales = np.asarray(jnp.sum(jax.vmap(lambda d: d.scales)(td.stacked(designs)[1]), axis=1))
    return tuple(designs), found, scales


@functools.cache
def _ensemble() -> tuple:
    return tuple(_measured(SHARES, DISTANCES, _SEEDS, **sizes) for sizes in _SHAPES)


_REFERENCES = 8


@functools.cache
def _reference() -> tuple:
    return _measured(SHARES, DISTANCES[:1], _REFERENCES, **REFERENCE)


@functools.cache
def _near(width: int) -> tuple:
    """At the least of the losses."""
    return _measured(SHARES[-1:], DISTANCES[:1], _COPIES, **_NARROW, width=width)


def _bound(formula, designs, found: Remainder, scales: np.ndarray, constants) -> np.ndarray:
    """A right-hand side, [designs, directions]."""
    sizes = (designs[0].dim, designs[0].width, designs[0].depth)

    def one(loss, scale, radius, distance):
        return formula(loss, scale, radius, distance, sizes, constants)

    two = jax.vmap(jax.vmap(one, (0, None, 0, 0)))
    values = (found.loss, scales, found.radius, found.distance)
    return np.asarray(two(*(jnp.asarray(x) for x in values)))


def _corrected(constants: SemiSmoothnessConstants = CONSTANTS) -> Observations:
    parts = []
    for designs, found, scales in _ensemble():
        right = _bound(lemma_8_corrected, designs, found, scales, constants)
        parts.append((found.value, right, [d for d in designs for _ in range(2)]))
    return td.seen(parts)


def needed(formula) -> tuple[np.ndarray, np.ndarray]:
    """The constant that both terms of a bound need, at every loss; the mean loss of each share.

    Args:
      formula: `lemma_8` or `lemma_8_corrected`.

    Returns:
      Losses [shares], and constants [shares, seeds] of random directions in the row space of the
      Jacobian, |theta' - theta| = 0.001.
    """
    designs, found, scales = _reference()
    one = SemiSmoothnessConstants()
    ratio = (found.value / _bound(formula, designs, found, scales, one))[:, 0]
    loss = np.mean(found.loss[:, 0].reshape(len(SHARES), -1), axis=1)
    return loss, ratio.reshape(len(SHARES), -1)


def loss_exponents(formula) -> dict[str, tuple[float, float]]:
    """Exponent in the loss of the constant that a bound needs, near interpolation."""
    loss, constants = needed(formula)
    return {"in the loss": td.exponent(loss[1:], constants[1:])}


_COUNT = _REFERENCES * len(SHARES)


def _universal() -> Observations:
    value, error = loss_exponents(lemma_8)["in the loss"]
    return td.fitted({"in 1/loss": (-value, error)}, [0.0], _COUNT, left=True)


def _half() -> Observations:
    return td.fitted(loss_exponents(lemma_8), [-0.5], _COUNT, left=True)


def width_exponent() -> dict[str, tuple[float, float]]:
    """Exponent in m of the remainder over |theta' - theta|^2 at the least of the losses."""
    values = []
    for m in _WIDTHS:
        found = _near(m)[1]
        values.append((found.value / found.distance**2)[:, 1])
    return {"in m": td.exponent(_WIDTHS, np.stack(values))}


def _width(claimed: float) -> Observations:
    return td.fitted(width_exponent(), [claimed], _COPIES * len(_WIDTHS), left=True)


def _curved() -> Observations:
    """At the least of the losses the remainder along the steepest direction is the curvature's."""
    parts = []
    for m in _WIDTHS:
        designs, found, _ = _near(m)
        right = 0.5 * found.curvature * found.distance**2
        parts.append((found.value[:, 1], right[:, 1], designs))
    return td.seen(parts)


LEMMA_8 = Statement(
    id="lemma-8",
    title="Semi-smoothness of the loss",
    source="Lemma 8 of arXiv 2406.12839",
    says="Within a small radius of initialization the loss exceeds its linearization by at most "
    "the square root of the loss times a term in |θ' - θ| and one in its square.",
    latex=r"\mathcal L(\theta') \le \mathcal L(\theta) + \langle \nabla \mathcal L(\theta), \Delta"
    r"\rangle + \sqrt{\mathcal L(\theta) \textstyle\sum_j a_j} \Big(O(\omega^{1/3} L^2 "
    r"\sqrt{m \ln m}\, d^{1/4}) \|\Delta\| + O(L^2 \sqrt m \sqrt d) \|\Delta\|^2\Big)",
    printed=_claim(
        "printed",
        "the constants need not grow as the loss goes to 0",
        _universal,
    ),
    corrected=_claim(
        "corrected",
        "the bound with m Σ a_j in the quadratic term in place of √(loss Σ a_j m d), constants 1 "
        "and 2",
        _corrected,
    ),
    corrected_latex=r"\dots + O(\omega^{1/3} L^2 \sqrt{m \ln m}\, d^{1/4}) \sqrt{\mathcal L(\theta)"
    r" \textstyle\sum_j a_j}\, \|\Delta\| + O(L^2 m \textstyle\sum_j a_j) \|\Delta\|^2",
    derivation="The loss is |ρ|²/(2n): with ρ' = ρ + J Δ + r the remainder is |J Δ + r|²/(2n) + "
    "ρ'r/n. Only the second part has the factor √loss. The first is there at interpolation, too: "
    "along the row space of J it is up to λ_max(K)|Δ|²/2, of order m Σ a_j |Δ|², while the printed "
    "right side is 0. The constant it needs grows like loss^(-1/2): with d = 16, n = N = 3, "
    "m = 512, L = 1 and |Δ| = 0.001, ω being the distance from initialization, from 0.002 at a "
    "loss of 59 to about 1.5 at 6e-7 and 150 at 6e-11. The quadratic term of Theorem 4 of "
    "Allen-Zhu, Li and Song (2019) has neither the factor √loss nor √m but m; with it the bound "
    "holds. For Theorem 1 it does as well: at steps of order 1/(m Σ a_j) it is below the gain. It "
    "is what rules out the printed step, which the printed form would let pass near "
    "interpolation.",
    supporting=(
        _claim("growth", "the constant needed grows like loss^(-1/2)", _half, "=", to=0.02),
        _claim(
            "curvature",
            "near interpolation the remainder along the steepest direction is λ_max(K)|Δ|²/2",
            _curved,
            "=",
            to=0.02,
        ),
        _claim("width", "and grows like m", lambda: _width(1.0), "=", to=0.1),
    ),
    broken=(
        _claim("√m", "it grows like √m, as printed", lambda: _width(0.5), "=", to=0.1),
        _claim(
            "no quadratic term",
            "the bound with a quadratic term 20 times smaller",
            lambda: _corrected(
                SemiSmoothnessConstants(CONSTANTS.linear, 0.05 * CONSTANTS.quadratic)
            ),
        ),
    ),
    expected="fails as printed; corrected form holds",
)

STATEMENTS = (LEMMA_8,)

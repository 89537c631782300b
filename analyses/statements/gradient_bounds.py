"""Lemmas 1 and 5: the gradient of the denoising loss between two multiples of the loss."""

import functools
from typing import NamedTuple

import numpy as np

from analyses import training_designs as td
from analyses.gradient_sides import CONSTANTS, WHY, between, lower_side, upper_side
from analyses.perturbed import Gradient, initial_gradient, worst_residual
from analyses.statement import Claim, Observations, Relation, Statement, Study
from design_space.bounds.convergence import ConvergenceConstants


def _claim(name: str, says: str, run, relation: Relation = "<=", **options) -> Claim:
    return Claim(name, says, Study(run), relation, **options)


class _Initial(NamedTuple):
    """Designs of one shape at initialization, [designs]; squares by layer."""

    designs: tuple[td.TrainingDesign, ...]
    loss: np.ndarray
    squares: np.ndarray
    scale: np.ndarray
    least: np.ndarray
    most: np.ndarray

    @property
    def square(self) -> np.ndarray:
        """|grad loss|^2 over all layers."""
        return np.sum(self.squares, axis=-1)


def _initial(b: td.Batch) -> _Initial:
    run = b.run
    start = (run.losses[:, 0], run.gradients[:, 0], run.scales[:, 0])
    return _Initial(b.designs, *start, b.least, b.most)


def _all() -> list[_Initial]:
    return [_initial(b) for b in td.ensemble()]


@functools.cache
def _off(law: str) -> _Initial:
    """Data of another length than A1 has; the short ones with little noise."""
    sizes = {"short": {"levels": 1, "grid": (0.005, 0.01)}, "long": {}}[law]
    return _initial(td.batch(td.of_seeds(64, law=law, **sizes)))


def _lower(batches: list[_Initial], constants: ConvergenceConstants = CONSTANTS) -> Observations:
    return td.seen(
        [
            (lower_side(b.loss, b.scale, b.designs[0].sizes, constants), b.square, b.designs)
            for b in batches
        ]
    )


def _upper(batches: list[_Initial]) -> Observations:
    return td.seen(
        [
            (np.max(b.squares, axis=1), upper_side(b.loss, b.designs[0].sizes), b.designs)
            for b in batches
        ]
    )


def _sandwich(upper: bool) -> Observations:
    parts = []
    for b in _all():
        below, above = between(b.loss, b.least, b.most)
        sides = (b.square, above) if upper else (below, b.square)
        parts.append((*sides, b.designs))
    return td.seen(parts)


def largest_constants() -> dict[str, float]:
    """C6 up to which Lemma 1 holds on the ensemble, and C from which Lemma 5 does."""
    one = ConvergenceConstants(lower=1.0, upper=1.0)
    lower, upper = [], []
    for b in _all():
        sizes = b.designs[0].sizes
        lower.append(np.min(b.square / lower_side(b.loss, b.scale, sizes, one)))
        upper.append(np.max(np.max(b.squares, axis=1) / upper_side(b.loss, sizes, one)))
    return {"lower": float(min(lower)), "upper": float(max(upper))}


WIDE = {"width": (128, 512), "dim": (4, 16)}
"""Where orders in m and d are fitted: in narrower networks they still depend on d/m."""

_WIDE_SEEDS = 48


@functools.cache
def _wide(dim: int, width: int) -> _Initial:
    designs = td.of_seeds(_WIDE_SEEDS, levels=3, points=3, dim=dim, width=width)
    g = td.measured(initial_gradient, designs)
    return _Initial(designs, g.loss, g.squares, g.scale, *td.spectrum_ends(g.kernel))


def exponents(of) -> dict[str, tuple[float, float]]:
    """Exponents in n, N, d and m of a number of each design, with their intervals.

    Args:
      of: takes an `_Initial`, gives a number for each design.
    """
    values = [of(b) for b in _all()]
    found = {
        x: td.exponent(*td.along(y, values)) for x, y in {"n": "points", "N": "levels"}.items()
    }
    most = WIDE["width"][-1]
    found["d"] = td.exponent(WIDE["dim"], np.stack([of(_wide(d, most)) for d in WIDE["dim"]]))
    found["m"] = td.exponent(
        WIDE["width"], np.stack([of(_wide(WIDE["dim"][0], m)) for m in WIDE["width"]])
    )
    return found


def share(b: _Initial) -> np.ndarray:
    """|grad|^2/(a_{j*} loss)."""
    return b.square / (b.loss * b.scale)


def most(b: _Initial) -> np.ndarray:
    """lambda_max(K)."""
    return b.most


def _fits(of, claimed: dict[str, float], left: bool) -> Observations:
    """Exponents of a number against those claimed, in n, N, d, m."""
    found = exponents(of)
    count = 5 * td.SEEDS + 3 * _WIDE_SEEDS
    fits = {f"in {x}": found[x] for x in claimed}
    return td.fitted(fits, list(claimed.values()), count, left)


_WORST = {"points": 1, "grid": (0.1, 0.2, 0.4, 1.5), "width": 128}


@functools.cache
def _worst() -> tuple[tuple[td.TrainingDesign, ...], Gradient]:
    designs = td.of_seeds(64, **_WORST)
    return designs, td.measured(worst_residual, designs)


def _away() -> Observations:
    designs, g = _worst()
    left = lower_side(g.loss, g.scale, designs[0].sizes, CONSTANTS)
    return td.seen([(left, np.sum(g.squares, axis=-1), designs)])


LEMMA_1 = Statement(
    id="lemma-1",
    title="The gradient at initialization, from below",
    source="Lemma 1 of arXiv 2406.12839",
    says="At initialization the squared gradient is at least a_{j*} m d^((a₀-1)/2)/(n³N²) times "
    "the loss, up to a constant, with high probability.",
    latex=r"\|\nabla \mathcal L(\theta_0)\|^2 \ge C_6 \frac{m\, d^{(a_0-1)/2}}{n^3 N^2}"
    r" a_{j^*} \mathcal L(\theta_0)",
    printed=_claim("printed", "the bound with C₆ = 0.5 and a₀ → 1", lambda: _lower(_all())),
    derivation=WHY + "At initialization the noise in ρ has nothing to do with the "
    "eigenvectors of K, so that ρ'Kρ/|ρ|² is of the order of tr K over the number of rows, m a/n "
    "or more: no power n⁻³ N⁻² is lost, the exponents found are about -1/2 in n and 0 in N, and "
    "the bound is the looser the more data there are (at n = N = 1 C₆ = 1.2 is the most, at "
    "n = N = 4 some hundreds are). The power of d drops out as a₀ → 1, the strongest form. Away "
    "from initialization residuals are not random, they can be along the eigenvector of λ_min(K), "
    "and then C₆ = 0.5 does not do: see Lemma 7.",
    constant=True,
    supporting=(
        _claim("kernel", "2 λ_min(K) L is below the squared gradient", lambda: _sandwich(False)),
        _claim(
            "exponents",
            "relative to a_{j*} L it falls no faster than n⁻³, N⁻² and d^(-1/4)",
            lambda: _fits(share, {"n": -3.0, "N": -2.0, "d": -0.25}, False),
        ),
        _claim(
            "exponent of m",
            "it grows like m",
            lambda: _fits(share, {"m": 1.0}, True),
            "=",
            to=0.1,
        ),
    ),
    broken=(
        _claim("away", "the bound where the residuals are along the worst eigenvector", _away),
        _claim(
            "short data",
            "the bound for |x| = 0.01 √d and noise as small (without A1 and A2)",
            lambda: _lower([_off("short")]),
        ),
        _claim(
            "exponents as printed",
            "relative to a_{j*} L it falls as fast as n⁻³ and N⁻²",
            lambda: _fits(share, {"n": -3.0, "N": -2.0}, True),
            "=",
            to=0.1,
        ),
        _claim(
            "larger constant",
            "the bound with C₆ ten times as large",
            lambda: _lower(_all(), ConvergenceConstants(lower=10 * CONSTANTS.lower)),
        ),
    ),
    expected="holds with constant C",
)

LEMMA_5 = Statement(
    id="lemma-5",
    title="The gradient at initialization, from above",
    source="Lemma 5 of arXiv 2406.12839, with b' = 1/2",
    says="The squared gradient in each layer is at most m N max a_j times the loss, up to a "
    "constant.",
    latex=r"\|\nabla_{W_\ell} \mathcal L(\theta_0)\|^2 = O\big(m\, d^{2b'-1} N \max_j a_j\big) "
    r"\mathcal L(\theta_0)",
    printed=_claim("printed", "the bound with the constant 25", lambda: _upper(_all())),
    derivation=WHY + "λ_max(K) is at most the largest sum of a row: (1/n) · n Σ a_j times "
    "the largest entry of Θ, which is of order m (1 + σ_N²) for data of length √d. So the lemma "
    "holds at every θ where Θ is of that size, with Σ a_j in place of N max a_j as well, and its "
    "order in m is attained, that in N with equal a_j by residuals that all levels share. The "
    "constant depends on σ_N, which A2 keeps bounded.",
    constant=True,
    supporting=(
        _claim("kernel", "the squared gradient is below 2 λ_max(K) L", lambda: _sandwich(True)),
        _claim(
            "exponents",
            "λ_max(K) grows no faster than n⁰, N and d⁰",
            lambda: _fits(most, {"n": 0.0, "N": 1.0, "d": 0.0}, True),
        ),
    ),
    broken=(
        _claim(
            "long data", "the bound for |x| = 100 √d (without A1)", lambda: _upper([_off("long")])
        ),
        _claim(
            "slower in m",
            "λ_max(K) grows no faster than √m",
            lambda: _fits(most, {"m": 0.5}, True),
        ),
    ),
    expected="holds with constant C",
)

STATEMENTS = (LEMMA_1, LEMMA_5)

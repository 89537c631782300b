"""Lemmas 4 and 6: norms of noisy data and of layers, and what a perturbation does to the layers."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from analyses import initial_networks, sphere
from analyses.columns import each, labels
from analyses.statement import Claim, Observations, Relation, Statement, Study
from design_space.bounds import concentration, perturbation
from design_space.bounds.concentration import Lemma4Constants

GENEROUS = Lemma4Constants(100.0, 1e-3)
"""Constants that favor the printed Lemma 4: none would do."""

_COUNT = 640  # designs of the first part of Lemma 4
_TO = 1e-10  # relative error of the noncentral chi-square distribution
_LEAST = 1e-280  # probabilities below it count as 0


def _claim(name: str, says: str, run: Callable[[], Observations], relation: Relation, **options):
    return Claim(name, says, Study(run), relation, **options)


# Lemma 4, norms of noisy data


@functools.cache
def _data() -> dict[str, np.ndarray]:
    """Designs: eps, d, |x|^2 between d/4 and 4 d, v; half of them with v d at least |x|^2."""
    random = np.random.default_rng(4)
    dim = np.floor(4 * 25000 ** random.random(_COUNT))
    squared = dim * (0.25 + 3.75 * random.random(_COUNT))
    wide = 10 ** (-4 + 4 * random.random(_COUNT))
    high = squared / dim * 100 ** random.random(_COUNT)
    v = np.where(np.arange(_COUNT) % 2 == 0, wide, high)
    return {"eps": 0.05 + 0.94 * random.random(_COUNT), "d": dim, "|x|²": squared, "v": v}


def outside(dim: np.ndarray, squared: np.ndarray, v: np.ndarray, excess: np.ndarray) -> np.ndarray:
    """P(| |X|^2 - |x|^2 - v d | > excess), |X|^2/v being a noncentral chi-square variable.

    Args:
      dim: d.
      squared: |x|^2.
      v: noise variance.
      excess: the tolerance, above 0.
    """
    middle, law = squared + v * dim, (dim, squared / v)
    above = stats.ncx2.sf((middle + excess) / v, *law)
    low = np.maximum(middle - excess, 0.0) / v
    return above + np.where(low > 0, stats.ncx2.cdf(low, *law), 0.0)


def _narrow(eps: np.ndarray, dim: np.ndarray, squared: np.ndarray, v: np.ndarray) -> np.ndarray:
    return eps * v * dim


def _relative(eps: np.ndarray, dim: np.ndarray, squared: np.ndarray, v: np.ndarray) -> np.ndarray:
    return eps * (squared + v * dim)


def _one_way(dim: np.ndarray, squared: np.ndarray, v: np.ndarray, excess: np.ndarray) -> np.ndarray:
    """The same for noise of norm sqrt(d) |g| along one direction orthogonal to x."""
    share = excess / (v * dim)
    inside = stats.norm.sf(np.sqrt(1 + share)) * 2
    return inside + np.where(share < 1, 1 - 2 * stats.norm.sf(np.sqrt(np.maximum(1 - share, 0))), 0)


def _data_claim(
    formula: Callable, tolerance=_narrow, law=outside, loud: bool = False
) -> Callable[[], Observations]:
    """Probabilities against formula(eps, d, |x|^2, v)."""

    def run() -> Observations:
        given = _data()
        if loud:
            kept = given["v"] * given["d"] >= given["|x|²"]
            given = {key: value[kept] for key, value in given.items()}
        columns = tuple(given.values())
        left = law(*columns[1:], tolerance(*columns))
        left = np.where(left < _LEAST, 0.0, left)
        right, count = each(formula, *columns), len(left)
        return Observations(left, right, _TO * left, labels(**given), count)

    return run


def _inside(dim, squared, v, excess):
    return 1 - outside(dim, squared, v, excess)


def _exponent(tolerance: Callable) -> Callable:
    def bound(*given):
        return 2 * jnp.exp(-concentration.noncentral_exponent(tolerance(*given), *given[1:]))

    return bound


# Lemma 4, norms of layers

WIDTHS, LAYERS = (16, 64, 256), (2, 3, 4, 5)
_EPSILONS = np.linspace(0.1, 0.95, 43)
_NETWORKS = 2048


def _layers_claim(formula: Callable) -> Callable[[], Observations]:
    """Sums over the layers of P(|q_l| outside), which are at least P(any), against a bound."""

    def run() -> Observations:
        left, right, names = [], [], []
        for width in WIDTHS:
            chances = [
                initial_networks.leaving(width, n, _EPSILONS)[1] for n in range(1, LAYERS[-1] + 1)
            ]
            for n in LAYERS:
                left.append(np.sum(chances[:n], axis=0))
                right.append(each(lambda e, m=width, n=n: formula(e, m, n), _EPSILONS))
                names += [f"m {width}, L {n - 1}, eps {e:.3g}" for e in _EPSILONS]
        sides = np.concatenate(left), np.concatenate(right)
        return Observations(*sides, np.zeros(len(names)), tuple(names), len(names))

    return run


def _drawn_layers() -> Observations:
    """How often drawn networks have |q_l| outside, against the law that is used."""
    width, depth, epsilons = 32, 3, np.array([0.1, 0.2, 0.3, 0.5, 0.7])
    norms = initial_networks.drawn_norms(jax.random.key(4), _NETWORKS, width, depth)
    off = np.abs(np.asarray(norms) - 1)
    counts, claimed, width_of, names = [], [], [], []
    for layer in range(depth + 1):
        low, high = initial_networks.leaving(width, layer + 1, epsilons)
        counts += [np.sum(off[:, layer] > e) for e in epsilons]
        claimed.append((low + high) / 2)
        width_of.append((high - low) / 2)
        names += [f"l {layer}, eps {e}" for e in epsilons]
    sides = np.array(counts), _NETWORKS, np.concatenate(claimed)
    seen = sphere.counted(*sides, tuple(names), _NETWORKS)
    error = seen.error + np.concatenate(width_of)
    return Observations(
        seen.left, seen.right, error, seen.labels, _NETWORKS, confidence=seen.confidence
    )


_LEVELS = "with 2 exp(-ε² d min(1, v d/|x|²)/20)"

LEMMA_4 = Statement(
    id="lemma-4",
    title="Norms of noisy data and of layers",
    source="Lemma 4 of arXiv 2406.12839",
    says="With b = 1/2, | |X_ij|² - |x_i|² - v_j d | ≤ ε v_j d with probability "
    "1 - O(nN) exp(-Ω(ε² d)) for all i, j; all layers have |q_l| in [1 - ε, 1 + ε] |X_ij| with "
    "probability 1 - O(L) exp(-Ω(m ε²/L)).",
    latex=r"\big| |X_{ij}|^2 - |x_i|^2 - v_j d \big| \le \varepsilon v_j d, \qquad "
    r"\mathbb P \ge 1 - O(nN)\, e^{-\Omega(\varepsilon^2 d)}",
    printed=_claim(
        "printed",
        "the probability to be outside is at most 100 exp(-ε² d/1000) for each datum and level",
        _data_claim(lambda e, d, s, v: concentration.lemma_4(e, d, GENEROUS)),
        "<=",
    ),
    corrected=_claim(
        "corrected",
        "outside ε (|x|² + v d) with probability at most 2 exp(-ε² (d + |x|²/v)/16)",
        _data_claim(concentration.lemma_4_corrected, _relative),
        "<=",
    ),
    corrected_latex=r"\big| |X_{ij}|^2 - |x_i|^2 - v_j d \big| \le "
    r"\varepsilon\, (|x_i|^2 + v_j d), \qquad \mathbb P \ge 1 - 2 nN\, e^{-\varepsilon^2 d/16}",
    derivation="|X|² - |x|² - v d = v (|ξ|² - d) + 2 σ̄ x'ξ. The second part is of the order "
    "σ̄ |x| = σ̄ √d and does not fit into ε v d where σ̄ is below 1/(ε √d): there the printed event "
    "has a probability of at most ε √(d² v/(2π |x|²)), whatever the constants are. Constants that "
    "depend on the least noise level would save it: the exponent is ε² d min(1, v d/|x|²)/20, and "
    "where v d ≥ |x|² it is as printed. With a tolerance relative to the whole norm it holds at "
    "every level with universal constants, and |X| = Θ(√d), which is what the paper uses, follows. "
    "|X|²/v is exactly a noncentral chi-square variable; Birgé's bounds of its tails give all "
    "forms. The part on layers holds as printed, |X| being the norm of the network's input with "
    "its noise level, with constants 1 and 1/6: |q_l|²/|q_{l-1}|² are independent, each (2/m) "
    "times a chi-square variable with a binomial number of degrees of freedom.",
    supporting=(
        _claim(
            "ceiling",
            "the printed event has probability at most ε √(d² v/(2π |x|²))",
            _data_claim(concentration.lemma_4_ceiling, law=_inside),
            "<=",
        ),
        _claim(
            "by level",
            f"the printed tolerance {_LEVELS}",
            _data_claim(concentration.lemma_4_by_level),
            "<=",
        ),
        _claim(
            "loud",
            "as printed with 2 exp(-ε² d/20) where v d is at least |x|²",
            _data_claim(
                lambda e, d, s, v: concentration.lemma_4(e, d, Lemma4Constants(2.0, 1 / 20)),
                loud=True,
            ),
            "<=",
        ),
        _claim(
            "exponent",
            "the exponent of Birgé's bounds, for the printed tolerance",
            _data_claim(_exponent(_narrow)),
            "<=",
        ),
        _claim(
            "layers",
            "some |q_l| is outside with probability at most (L + 1) exp(-m ε²/(6 (L + 1)))",
            _layers_claim(concentration.lemma_4_layers),
            "<=",
        ),
        _claim("drawn layers", "drawn networks follow the law of the layers", _drawn_layers, "="),
    ),
    broken=(
        _claim(
            "one direction",
            "the corrected form for noise of the same size along one direction",
            _data_claim(concentration.lemma_4_corrected, _relative, _one_way),
            "<=",
        ),
        _claim(
            "faster",
            "the corrected form with 3/20 in place of 1/16",
            _data_claim(
                lambda *given: concentration.lemma_4_corrected(*given, Lemma4Constants(2.0, 0.15)),
                _relative,
            ),
            "<=",
        ),
        _claim(
            "no depth",
            "layers with an exponent that does not fall with depth",
            _layers_claim(lambda e, m, n: concentration.lemma_4_layers(e, m * n, n)),
            "<=",
        ),
    ),
    expected="fails as printed; corrected form holds",
)


# Lemma 6

NETWORKS = ((8, 48, 1), (4, 32, 2), (16, 128, 2), (8, 64, 4))
"""Dimension, width and depth of the networks that are perturbed."""

_EACH = 128  # networks of each


@functools.cache
def _shifted(times: float, gain: float = 1.0) -> dict[str, np.ndarray]:
    """Moves of networks drawn with a gain, for omega of so many times the admitted radius."""
    parts = []
    for dim, width, depth in NETWORKS:
        given = initial_networks.drawn(6, _EACH, dim, width, depth, gain)
        radius = float(perturbation.lemma_6_radius(depth, width, dim))
        omega = times * radius * np.geomspace(0.01, 1.0, _EACH)
        along, worst = initial_networks.shifts(given, omega)
        sizes = (np.full(_EACH, float(x)) for x in (dim, width, depth))
        parts.append((*sizes, omega, given.sizes, along, worst))
    names = ("d", "m", "L", "ω", "size", "along", "worst")
    columns = zip(*parts, strict=True)
    return {name: np.concatenate(c) for name, c in zip(names, columns, strict=True)}


def _moves(
    formula: Callable, which: str = "worst", times: float = 1.0, gain: float = 1.0
) -> Callable[[], Observations]:
    """Moves of the layers against formula(omega, L, m, d, |[x, sigma]|)."""

    def run() -> Observations:
        found = _shifted(times, gain)
        right = each(formula, *(found[key] for key in ("ω", "L", "m", "d", "size")))
        names = labels(**{key: found[key] for key in ("d", "m", "L", "ω")})
        # A move is a difference of outputs of the size of the input.
        error = 1e-14 * found["size"]
        return Observations(found[which], right, error, names, len(names))

    return run


def _lemma_6(omega, depth, width, dim, size):
    return perturbation.lemma_6(omega, depth, width, dim)


def _sharper(omega, depth, width, dim, size):
    return perturbation.lemma_6_sharper(omega, depth, size)


LEMMA_6 = Statement(
    id="lemma-6",
    title="Perturbed layers",
    source="Lemma 6 of arXiv 2406.12839",
    says="If every trained matrix moves by at most ω ≤ 1/(C L^(9/2) (log m)³ √d) in norm, the "
    "outputs of the layers move by O(ω L^(5/2) √(log m) √d), with high probability over the "
    "drawing.",
    latex=r"|q_l' - q_l| = O\big(\omega L^{5/2} \sqrt{\log m}\, \sqrt d\big)",
    printed=_claim("printed", "worst directions, with constant 1", _moves(_lemma_6), "<="),
    derivation="Worst directions are found by ascent on the move of the last output; the gradient "
    "in each matrix is of rank one, and its direction is the steepest. To first order the move is "
    "Σ_l J_l (W_l' - W_l) q_{l-1}, |q_{l-1}| is about the norm of the input and J_l, a product of "
    "L - l random matrices, of the order √(L - l + 1): the sum is of the order L^(3/2), without a "
    "power of log m. The printed bound is safe by a factor that grows like L √(log m).",
    supporting=(
        _claim("permutations", "the same along permutations", _moves(_lemma_6, "along"), "<="),
        _claim("sharper", "the move is at most 2 ω L^(3/2) |[x, σ̄]|", _moves(_sharper), "<="),
        _claim(
            "hundred times",
            "the same for ω up to a hundred times the radius",
            _moves(_sharper, times=100.0),
            "<=",
        ),
    ),
    broken=(
        _claim("large", "ω far beyond the radius", _moves(_lemma_6, times=1e6), "<="),
        _claim(
            "large weights",
            "entries of W_0, ..., W_L of variance 32/m in place of 2/m",
            _moves(_lemma_6, gain=4.0),
            "<=",
        ),
    ),
    constant=True,
    expected="holds with constant C",
)

STATEMENTS = (LEMMA_4, LEMMA_6)

"""The order of every sampler in W2 and in the marginal KL, its constant, and what stays."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from analyses.own_grids import CHURN, ONE_SIGNED, ORDERS
from analyses.sampler_rates import (
    BIASED,
    LAWS,
    MANY,
    STEPS,
    limit_of,
    measured,
    on_own_grid,
    order_of,
)
from analyses.statement import Claim, Observations, Statement, Study
from design_space.arrays import Array
from design_space.bounds.sampler_orders import (
    churn_bias,
    forgetting,
    langevin_bias,
    leading_excess,
    least_leading_excess,
)

_LOW, _HIGH, _RHO = 0.002, 80.0, 7.0
_ROUNDING = 1e-5  # of orders and constants, where the steps leave an excess of 1e-9 of the variance


def _edm(u: Array) -> Array:
    high, low = _HIGH ** (1 / _RHO), _LOW ** (1 / _RHO)
    return (high + (low - high) * u) ** _RHO


def _song(u: Array) -> Array:
    return _HIGH * (_LOW / _HIGH) ** u


_LEVELS: dict[str, Callable[[Array], Array]] = {"edm": _edm, "song": _song}


def _names(start: str, laws: np.ndarray = LAWS) -> tuple[str, ...]:
    return tuple(f"{start}, s = {np.sqrt(law[0]):.3g}" for law in laws)


def _joined(
    parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]], designs: int
) -> Observations:
    """Observations from left sides, right sides, errors and labels."""
    left, right, error = (np.concatenate([np.ravel(p[i]) for p in parts]) for i in range(3))
    labels = tuple(name for part in parts for name in part[3])
    return Observations(left, right, error, labels, designs)


def _exponents(sampler: str, order: int, grids: Sequence[str] = tuple(_LEVELS)) -> Observations:
    """Exponents of W2 and of the marginal KL against -p and -2 p."""
    parts = []
    for grid in grids:
        found = measured(sampler, grid)
        for what, values, p in (
            ("W2", found.w2, order),
            ("marginal KL", found.marginal_kl, 2 * order),
        ):
            value, error = order_of(values)
            right = np.full(len(value), -float(p))
            parts.append((value, right, error, _names(f"{what}, {sampler}, {grid}")))
    return _joined(parts, len(grids) * len(STEPS) * len(LAWS))


def _scaled(sampler: str, grid: str) -> tuple[np.ndarray, np.ndarray]:
    """The limit of N^p D_N, [laws, dim], and its error."""
    order = ORDERS[sampler].order
    return limit_of(measured(sampler, grid).excess * np.array(STEPS)[:, None, None] ** order)


def _constants() -> Observations:
    """Limits of N^p D_N in every direction against the integral."""
    parts, designs = [], 0
    for sampler, of in ORDERS.items():
        for grid, levels in _LEVELS.items():
            given = functools.partial(leading_excess, of.local, of.order, levels)
            right = jax.vmap(lambda law, g=given, o=of: g(law, o.noise, o.churn))(jnp.asarray(LAWS))
            left, error = _scaled(sampler, grid)
            names = tuple(f"{sampler}, {grid}, l = {value:.3g}" for law in LAWS for value in law)
            parts.append((left, np.asarray(right), error, names))
            designs += len(STEPS) * len(LAWS)
    return _joined(parts, designs)


def _least(sampler: str, values: np.ndarray) -> np.ndarray:
    of = ORDERS[sampler]
    least = functools.partial(least_leading_excess, of.local, of.order, _HIGH, _LOW)
    each = jax.vmap(lambda value: least(value, of.noise))(jnp.asarray(np.ravel(values)))
    return np.asarray(each).reshape(values.shape)


def _no_less() -> Observations:
    """The least constant against those of EDM's and Song's grids."""
    parts, designs = [], 0
    for sampler in ONE_SIGNED:
        least = _least(sampler, LAWS)
        for grid in _LEVELS:
            right, error = _scaled(sampler, grid)
            names = tuple(f"{sampler}, {grid}, l = {v:.3g}" for law in LAWS for v in law)
            parts.append((least, np.abs(right), error, names))
            designs += len(STEPS) * len(LAWS)
    return _joined(parts, designs)


def _attained() -> Observations:
    """The constant of each sampler on the grid that suits it against the least one."""
    parts = []
    for sampler in ONE_SIGNED:
        scaled = on_own_grid(sampler) * np.array(STEPS)[:, None] ** ORDERS[sampler].order
        left, error = limit_of(np.abs(scaled))
        parts.append((left, _least(sampler, LAWS[:, 0]), error, _names(f"{sampler}, own grid")))
    return _joined(parts, len(ONE_SIGNED) * len(STEPS) * len(LAWS))


_FEW = (5, 20, 100)


def _without_error(cases: Sequence[tuple[str, str]]) -> Observations:
    """Largest excess over the variance for variances that leave none: sampler and laws."""
    parts = []
    for sampler, laws in cases:
        values = LAWS[:, :1] if laws == "round" else LAWS
        left = np.max(np.abs(measured(sampler, "edm", _FEW, laws).excess) / values, axis=(0, 2))
        zero = np.zeros(len(left))
        parts.append((left, zero, zero + 1e-12, _names(f"{sampler}, {laws}")))
    return _joined(parts, len(cases) * len(_FEW) * len(LAWS))


def _exponent_claim(name: str, order: int, says: str) -> Claim:
    return Claim(name, says, Study(lambda: _exponents(name, order)), "=", to=_ROUNDING)


_FIRST, _SECOND = "exponents -1 in W2 and -2 in KL", "exponents -2 in W2 and -4 in KL"

SAMPLER_ORDERS = Statement(
    id="sampler-orders",
    title="The order of every sampler",
    source="design_space, docs/theory/sampler_orders.md",
    says="With the exact score on Gaussian data and from the exact law at v₀, W2 is of order p in "
    "1/N and the marginal KL of order 2p: p = 1 for the frozen-score step, Euler and Maruyama, "
    "ancestral sampling, the optimal isotropic variance on unequal eigenvalues and Euler's method "
    "on the flow; p = 2 for Heun, the midpoint method, and Heun with churn at s_noise = 1.",
    latex=r"N^p D_N \to P_N \int_0^1 c(\sigma) (S\sigma - \sigma')^{p+1} (P_N/P)^\eta "
    r"e^{-2S\int_u^1 v/P} \frac{du}{P}, \qquad W_2 \simeq \frac{|D_N|}{2\sqrt{P_N}}, \quad "
    r"\mathrm{KL} \simeq \frac{D_N^2}{4 P_N^2}",
    printed=_exponent_claim("frozen", 1, _FIRST),
    supporting=(
        _exponent_claim("euler-maruyama", 1, f"{_FIRST}, with σ as the time"),
        _exponent_claim("ancestral", 1, _FIRST),
        _exponent_claim("half-ancestral", 1, f"{_FIRST}, η = 1/2"),
        _exponent_claim("optimal-variance", 1, f"{_FIRST}, unequal eigenvalues"),
        _exponent_claim("ode-euler", 1, _FIRST),
        _exponent_claim("heun", 2, _SECOND),
        _exponent_claim("midpoint", 2, _SECOND),
        _exponent_claim("churn", 2, f"{_SECOND}, s_churn = {CHURN:g}, s_noise = 1"),
        Claim(
            "euler, VP",
            f"{_FIRST}, in the time and scale of the variance-preserving design",
            Study(lambda: _exponents("euler-in-time", 1, ("vp",))),
            "=",
            to=_ROUNDING,
        ),
        Claim(
            "heun, VP",
            f"{_SECOND}, in the time and scale of the variance-preserving design",
            Study(lambda: _exponents("heun-in-time", 2, ("vp",))),
            "=",
            to=_ROUNDING,
        ),
        Claim("constants", "N^p D_N tends to the integral", Study(_constants), "=", to=_ROUNDING),
        Claim("least", "no grid has a constant below Hölder's", Study(_no_less)),
        Claim(
            "own grid",
            "the grid that spends equal shares has that constant",
            Study(_attained),
            "=",
            to=_ROUNDING,
        ),
        Claim(
            "no error",
            "none with the optimal isotropic variance on equal eigenvalues, nor with the optimal "
            "covariance on any",
            Study(
                lambda: _without_error(
                    [("optimal-variance", "round"), ("optimal-covariance", "LAWS")]
                )
            ),
            "=",
        ),
    ),
    broken=(
        Claim(
            "one order for all",
            "Heun's method is of Euler's order",
            Study(lambda: _exponents("heun", 1)),
            "=",
            to=_ROUNDING,
        ),
        Claim(
            "no error on any data",
            "no error with the optimal isotropic variance on unequal eigenvalues",
            Study(lambda: _without_error([("optimal-variance", "LAWS")])),
            "=",
        ),
    ),
    derivation="A step takes D to its factor squared times D plus the defect "
    "(1 + G)² P + C - P', which is c(σ) δ^{p+1} to leading order; the factors multiply to "
    "(P_N/P)^{1+η}, and churn forgets as it adds noise. The sum is a Riemann sum.",
    expected="holds",
)


def _bias(sampler: str, levels: Callable[[Array], Array], laws: Array) -> Array:
    """The limit of D_N for the samplers of BIASED, [laws, dim]."""
    _, _, value = sampler.rpartition("= ")

    def one(law: Array) -> Array:
        if sampler.startswith("churn"):
            return churn_bias(law, _LOW, float(value), forgetting(levels, law, CHURN))
        return langevin_bias(law, _LOW, float(value))

    return jax.vmap(one)(laws)


_SOME = STEPS[1:]


def _limits() -> Observations:
    """Limits of D_N over the variance against what theory says."""
    parts, total = [], MANY + _LOW**2
    for sampler in BIASED:
        for grid, levels in _LEVELS.items():
            left, error = limit_of(measured(sampler, grid, _SOME, "MANY").excess / total)
            right = np.asarray(_bias(sampler, levels, jnp.asarray(MANY))) / total
            names = tuple(f"{sampler}, {grid}, l = {v:.3g}" for law in MANY for v in law)
            parts.append((left, right, error, names))
    return _joined(parts, len(BIASED) * len(_LEVELS) * len(_SOME) * len(MANY))


def _vanishing() -> Observations:
    """The least W2 over N^-1 at the first N, were it of first order."""
    parts = []
    for sampler in BIASED:
        w2 = measured(sampler, "edm", _SOME, "MANY").w2
        names = _names(f"{sampler}, edm", MANY)
        parts.append((w2[-1] * _SOME[-1], w2[0] * _SOME[0], 0 * w2[0], names))
    return _joined(parts, len(BIASED) * len(_SOME) * len(MANY))


SAMPLER_BIAS = Statement(
    id="sampler-bias",
    title="What more steps do not take away",
    source="design_space, docs/theory/sampler_orders.md; arXiv 2011.13456, 2206.00364",
    says="Song's predictor-corrector at a fixed signal-to-noise ratio r and EDM's churn with "
    "s_noise other than 1 have a wrong variance however many steps they take: by "
    "x/(2 - x), x = 2 r² d/(I P), and by (s_noise² - 1)(1 - exp(-2 S ∫ v/P)).",
    latex=r"\frac{D_N}{P_N} \to \frac{x}{2 - x} \Big(= \frac{r^2}{1 - r^2} \text{ for } S = s^2 I"
    r"\Big), \qquad \frac{D_N}{P_N} \to (s_\mathrm{noise}^2 - 1)(1 - e^{-2S\int_0^1 v/P\, du})",
    printed=Claim("limits", "limits of D_N/P_N", Study(_limits), "=", to=_ROUNDING),
    broken=(
        Claim(
            "first order",
            "N W2 grows no more: the error is of first order",
            Study(_vanishing),
        ),
    ),
    derivation="A Langevin step of e takes D/P to (1 - x)² D/P + x², x = e/P, with the fixed point "
    "x/(2 - x); the predictor moves it by O(1/N) between two of them. Churn adds 2 v S s_noise²/N "
    "where the level rises by 2 v S/N, and what it adds is forgotten at the same rate.",
    expected="holds",
)

STATEMENTS = (SAMPLER_ORDERS, SAMPLER_BIAS)

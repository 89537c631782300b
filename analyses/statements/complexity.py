"""Appendix I.1, Table 2 and Corollary 1: bounds on E_I + E_D and the number of steps they ask for.

Every measurement is exact: Gaussian data and point masses by closed forms, mixtures by quadrature.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from analyses.cases import Case
from analyses.statement import (
    Assumption,
    Check,
    Claim,
    Observations,
    OnDesigns,
    Sides,
    Statement,
    Study,
)
from analyses.step_counts import (
    COUNT,
    GROWTH,
    Kind,
    Problems,
    along_axes,
    drawn,
    errors,
    least_steps,
    printed_steps,
)
from design_space.arrays import Array
from design_space.bounds import complexity, schedule_choice
from design_space.bounds.complexity import ComplexityConstants
from design_space.numerics.rates import log_log_slope

_SOURCE = "arXiv 2406.12839"
_ROUNDING = 1e-10

LONGEST = {1.0: 4 * np.log(2) - 1.5, 0.5: 0.5}
"""Constants of the sums on Gaussian data if no step more than halves the time, by exponent."""

SUFFICIENT = {1.0: 1.5, 0.5: 0.75}
"""What the printed number of steps leaves of E_I + E_D over the accuracy, by exponent."""


def _total(case: Case) -> tuple[Array, Array]:
    """E_I + E_D, and its error."""
    parts = (case.errors.initialization, case.errors.discretization)
    return parts[0].value + parts[1].value, parts[0].error + parts[1].error


def _times(case: Case, kind: Kind) -> Array:
    """The times that the grid of a case has under a variance schedule."""
    sigmas = case.schedule.backward_sigmas
    return sigmas if kind.exponent == 1 else sigmas**2


def _longest(case: Case, kind: Kind) -> Array:
    """The largest ln(u_j/u_{j+1})."""
    return jnp.max(-jnp.diff(jnp.log(_times(case, kind))))


def _short(kind: Kind) -> Assumption:
    return Assumption(
        "no step more than halves the time",
        lambda case: _longest(case, kind) <= np.log(2) * (1 + 1e-9),
    )


def _is_exponential(case: Case) -> Array:
    falls = -jnp.diff(jnp.log(case.schedule.backward_sigmas))
    return jnp.max(falls) - jnp.min(falls) <= 1e-9 * jnp.max(falls)


_EXPONENTIAL = Assumption("the times are exponential", _is_exponential)


def _sum(kind: Kind, sharp: bool):
    """E_I + E_D against the sum over steps, as printed or with the constants of a point mass."""
    sums = complexity.linear_sums if kind.exponent == 1 else complexity.sqrt_sums

    def sides(case: Case) -> Sides:
        constants = None
        if sharp:
            cost = schedule_choice.step_constant(_longest(case, kind), 2 * kind.exponent)
            constants = ComplexityConstants(0.5, cost, 0.0)
        moment = case.target.second_moment()
        found, error = _total(case)
        bound = sums(case.target.dim, moment, _times(case, kind), constants).total
        return Sides(found, bound, error + _ROUNDING * bound)

    return sides


def _closed(kind: Kind):
    """E_I + E_D against the closed form for exponential times."""
    linear = kind.exponent == 1
    form = complexity.linear_exponential if linear else complexity.sqrt_exponential

    def sides(case: Case) -> Sides:
        times = _times(case, kind)
        found, error = _total(case)
        moment, steps = case.target.second_moment(), case.schedule.steps
        return Sides(found, form(case.target.dim, moment, times[-1], times[0], steps).total, error)

    return sides


def _uniform(kind: Kind) -> Check:
    """E_I + E_D of uniform times against the closed form for exponential ones."""
    linear = kind.exponent == 1
    form = complexity.linear_exponential if linear else complexity.sqrt_exponential

    def run() -> Observations:
        problems = drawn(kind, point_mass=True, largest=1.0)
        problems = eqx.tree_at(lambda p: p.rho, problems, jnp.ones(COUNT))
        moment, steps = problems.second_moment, jnp.full(COUNT, 64.0)
        high = kind.horizon(moment, problems.accuracy)
        found = errors(Kind(kind.exponent, True), problems, high, steps)
        given = (problems.dim, moment, problems.low, high, steps)
        bound = jax.vmap(lambda *numbers: form(*numbers).total)(*given)
        return _observed(problems, found[0] + found[1], bound, 0.0)

    return Study(run)


def _long_steps(kind: Kind) -> Check:
    """E_I + E_D of a point mass at 0 with one step from T to delta = 1, against the sum."""

    def run() -> Observations:
        ratios = np.geomspace(2.001, 1e4, COUNT)
        high, ones = jnp.asarray(ratios), jnp.ones(COUNT)
        problems = Problems(ones, 0 * ones, 0 * ones, ones, ones, ones)
        found = errors(Kind(kind.exponent, False), problems, high, ones)
        sums = complexity.linear_sums if kind.exponent == 1 else complexity.sqrt_sums
        bound = jax.vmap(lambda t: sums(1.0, 0.0, jnp.stack([t, jnp.ones(())])).total)(high)
        return _observed(problems, found[0] + found[1], bound, 0.0)

    return Study(run)


def _observed(problems: Problems, left: Array, right: Array, error: Array | float) -> Observations:
    left, right = np.asarray(left), np.asarray(right)
    labels = problems.labels()
    return Observations(left, right, np.broadcast_to(error, left.shape), labels, len(labels))


def _accuracy_reached(kind: Kind, sharper: bool) -> Check:
    """E_I + E_D at the printed (or sufficient) number of steps against the accuracy."""

    def run() -> Observations:
        problems = drawn(kind, point_mass=False, largest=100.0)
        high = kind.horizon(problems.second_moment, problems.accuracy)
        steps = _sufficient(kind, problems) if sharper else printed_steps(kind, problems)
        found = errors(kind, problems, high, jnp.ceil(steps))
        return _observed(problems, found[0] + found[1], problems.accuracy, _ROUNDING * found[1])

    return Study(run)


def _sufficient(kind: Kind, problems: Problems) -> np.ndarray:
    """Steps that suffice on Gaussian data, not rounded."""
    ratio = kind.horizon(problems.second_moment, problems.accuracy) / problems.low
    given = (problems.dim, ratio**kind.exponent, problems.accuracy)
    if kind.polynomial:
        rho = kind.exponent * problems.rho
        return np.asarray(jax.vmap(schedule_choice.sufficient_steps)(*given, rho))
    return np.asarray(jax.vmap(schedule_choice.sufficient_steps)(*given))


def _needed(kind: Kind, point_mass: bool, largest: float) -> Check:
    """The printed number of steps against those needed.

    On a point mass E_I <= eps asks for m2^2/(2 sigma_max^2) <= eps, and E_D grows with T: no choice
    of T gets along with fewer. Other data are given the printed T and E_D <= eps/2, which suffices.
    """

    def run() -> Observations:
        problems = drawn(kind, point_mass=point_mass, largest=largest, seed=1)
        some = point_mass and largest == 1
        share = 1.0 if some else 0.5
        # eps twice as large in m2^2/eps: the least T at which E_I <= eps
        relaxed = problems.accuracy * (2.0 if some else 1.0)
        high = kind.horizon(problems.second_moment, relaxed)
        found = least_steps(kind, problems, high, share * problems.accuracy)
        return _observed(problems, printed_steps(kind, problems), found, 0.0)

    return Study(run)


@functools.cache
def _exactly_needed(kind: Kind) -> np.ndarray:
    """The N needed at the printed T along the axes: a point mass has E_I = eps/2 there."""
    problems, _ = along_axes(kind)
    high = kind.horizon(problems.second_moment, problems.accuracy)
    return np.asarray(least_steps(kind, problems, high, problems.accuracy / 2))


def _exponents(kind: Kind, printed: bool) -> Check:
    """Fitted exponents of the steps needed on a point mass against those of a formula."""

    def run() -> Observations:
        problems, names = along_axes(kind)
        found = _exactly_needed(kind)
        formula = printed_steps(kind, problems) if printed else _sufficient(kind, problems)
        across = np.tile(GROWTH, (len(names), 1))
        fit = jax.vmap(log_log_slope)
        measured = fit(jnp.asarray(across), jnp.asarray(found * 1.0).reshape(len(names), 8))
        given = fit(jnp.asarray(across), jnp.asarray(formula).reshape(len(names), 8))
        left, right, error = (np.asarray(x) for x in (measured.value, given.value, measured.error))
        return Observations(left, right, error, names, len(found), confidence=0.99)

    return Study(run)


_NEEDED = {
    (1.0, True): 3.0,
    (1.0, False): 2.75,
    (0.5, True): 24.0,
    (0.5, False): 17.0,
}
"""Printed steps over those that a point mass with m2^2 <= d needs at least, by kind."""


def _order_claims(kind: Kind) -> tuple[Claim, ...]:
    return (
        Claim(
            "steps that suffice",
            "E_I + E_D is at most eps with N = (2 d/eps) 4 rho² sinh²(L/(2 rho)), rho the exponent "
            "of the times as powers of sigma; L² in place of 4 rho² sinh² for exponential times",
            _accuracy_reached(kind, True),
        ),
        Claim(
            "order is sharp",
            "on a point mass with m2² at most d, accuracy eps needs at least a fixed share of the "
            "printed N, whatever T",
            _needed(kind, True, 1.0),
            constant=_NEEDED[kind],
        ),
        Claim(
            "exponents",
            "on a point mass the fitted exponents of the N needed are those of the N that suffices",
            _exponents(kind, False),
            "=",
            to=0.02,
        ),
    )


def _broken_order(kind: Kind) -> tuple[Claim, ...]:
    return (
        Claim(
            "needed, wide point mass",
            "the same share of the printed N is needed without m2² at most d",
            _needed(kind, True, 1e4),
            constant=_NEEDED[kind],
        ),
        Claim(
            "needed, Gaussian data",
            "the same share of the printed N is needed by half of the data being Gaussian",
            _needed(kind, False, 1.0),
            constant=_NEEDED[kind],
        ),
        Claim(
            "printed exponents",
            "the fitted exponents of the N needed on a point mass are the printed ones, that of m2 "
            "included",
            _exponents(kind, True),
            "=",
            to=0.05,
        ),
    )


def _sum_claims(kind: Kind) -> tuple[tuple[Claim, ...], tuple[Claim, ...]]:
    """Claims on the sums, for any times: those that hold, and the one without short steps."""
    says = "E_I + E_D is at most a constant times the printed sum"
    constant = LONGEST[kind.exponent]
    holds = (
        Claim(
            "sum",
            f"{says}, {constant:.4g}, if no step more than halves the time",
            OnDesigns(_sum(kind, False), where=(_short(kind),)),
            constant=constant,
        ),
        Claim(
            "sum of a point mass",
            "E_I + E_D is at most m2²/(2 v_0) + C d sum gamma²/(T - s)² on any grid, C the cost of "
            "its longest step on a point mass over the summand",
            OnDesigns(_sum(kind, True)),
        ),
    )
    long = Claim(
        "sum, long steps",
        f"{says}, {constant:.4g}, also for long steps",
        _long_steps(kind),
        constant=constant,
    )
    return holds, (long,)


def _closed_claims(kind: Kind) -> tuple[tuple[Claim, ...], tuple[Claim, ...]]:
    """Claims on the closed form for exponential times."""
    says = "E_I + E_D is at most the closed form for exponential times"
    where = (_EXPONENTIAL,)
    holds = (
        Claim(
            "closed form",
            f"{says}, with the constant 1/2, on Gaussian data",
            OnDesigns(_closed(kind), where=where),
            constant=0.5,
        ),
        Claim(
            "closed form, any data",
            f"{says}, with the constant 1, on mixtures",
            OnDesigns(_closed(kind), on=("mixture",), where=where),
        ),
    )
    uniform = Claim(
        "closed form, uniform times",
        f"{says}, with the constant 1/2, for uniform times",
        _uniform(kind),
        constant=0.5,
    )
    return holds, (uniform,)


_NAMES = {1.0: "linear", 0.5: "sqrt"}
_BOUNDS = {
    (1.0, True): r"\frac{m_2^2}{T^2} + d \sum \frac{\gamma^2}{(T-s)^2} + (m_2^2+d) \Big("
    r"\sum_{T-s \ge 1} \Big[\frac{\gamma^2}{(T-s)^4} + \frac{\gamma^3}{(T-s)^5}\Big] + "
    r"\sum_{T-s<1} \Big[\frac{\gamma^2}{(T-s)^2} + \frac{\gamma^3}{(T-s)^3}\Big]\Big), \quad "
    r"N = \Omega\Big(a^2 \Big(\frac{m_2}{\delta \varepsilon^{1/2}}\Big)^{1/a} "
    r"\frac{m_2^2+d}{\varepsilon}\Big)",
    (1.0, False): r"\frac{m_2^2}{T^2} + \frac{d \ln(T/\delta)^2}{N} + (m_2^2+d) \Big("
    r"\frac{\ln(T/\delta)^2}{N} + \frac{\ln(T/\delta)^3}{N^2}\Big), \quad "
    r"N = \Omega\Big(\frac{m_2^2+d}{\varepsilon} \ln(m_2/(\delta \varepsilon^{1/2}))^2\Big)",
    (0.5, True): r"\frac{m_2^2}{T} + d \sum \frac{\gamma^2}{(T-s)^2} + (m_2^2+d) \Big("
    r"\sum_{T-s \ge 1} \frac{\gamma^2}{(T-s)^3} + \sum_{T-s<1} \frac{\gamma^2}{(T-s)^2}\Big), "
    r"\quad N = \Omega\Big(a^2 \Big(\frac{m_2^2}{\delta \varepsilon}\Big)^{1/a} "
    r"\frac{m_2^2+d}{\varepsilon}\Big)",
    (0.5, False): r"\frac{m_2^2}{T} + d \sum \frac{\gamma^2}{(T-s)^2} + (m_2^2+d) \Big("
    r"\sum_{T-s \ge 1} \frac{\gamma^2}{(T-s)^3} + \sum_{T-s<1} \frac{\gamma^2}{(T-s)^2}\Big), "
    r"\quad N = \Omega\Big(\frac{m_2^2+d}{\varepsilon} \ln(m_2^2/(\delta \varepsilon))^2\Big)",
}

_WHY = (
    "On Gaussian data E_I <= m2²/(2 v_0), and a step that lowers ln sigma by x costs at most "
    "(d/2)(2x - 1 + exp(-2x)) <= d x², with equality on a point mass. For polynomial times, whose "
    "sigma^(1/rho) falls in equal steps, x² <= rho² (q - 1)²/q with q = exp(x/rho), which sums to "
    "E_D <= (d/N) 4 rho² sinh²(L/(2 rho)) at every N; for exponential times it is d L²/N. "
    "(rho = a for sigma_bar = t; for sqrt t it is a/2, and L is half of ln(T/delta).) So the "
    "printed N, with the constant 1, leaves at most {left} eps. In eps, delta, d and a the order "
    "is that of a point mass. The factor m2² in m2² + d is not needed: it enters through T only. "
    "Data that are smooth on the scale of sigma_min need no more steps as delta falls (for "
    "exponential times: one factor ln in place of two)."
)
_LONG_STEPS = (
    " The summand gamma²/(T - s)² is at most 1, while a step costs as much as it is long on a "
    "logarithmic scale: the sum bounds E_I + E_D up to a constant if no step is long, as is so "
    "once N is of the printed order."
)


def _statement(kind: Kind) -> Statement:
    name = f"{_NAMES[kind.exponent]}-{'polynomial' if kind.polynomial else 'exponential'}"
    sigma = "t" if kind.exponent == 1 else "√t"
    time = "polynomial" if kind.polynomial else "exponential"
    holds, fails = _sum_claims(kind) if kind.polynomial else _closed_claims(kind)
    left = SUFFICIENT[kind.exponent]
    return Statement(
        id=f"appendix-i.1-{name}",
        title=f"Steps needed with sigma_bar = {sigma} and {time} times",
        source=f"Appendix I.1 of {_SOURCE}",
        says=f"For sigma_bar = {sigma} and {time} times, E_I + E_D is bounded by a sum over the "
        "steps, so that N of the printed order reaches the accuracy eps.",
        latex=r"E_I + E_D \lesssim " + _BOUNDS[kind],
        printed=Claim(
            "printed",
            f"E_I + E_D is at most {left} eps at the printed T and N, taken with the constant 1",
            _accuracy_reached(kind, False),
            constant=left,
        ),
        derivation=_WHY.format(left=left) + (_LONG_STEPS if kind.polynomial else ""),
        supporting=(*holds, *_order_claims(kind)),
        broken=(*fails, *_broken_order(kind)),
        order=True,
        expected="order only",
    )


STATEMENTS = tuple(_statement(Kind(e, p)) for e in (1.0, 0.5) for p in (True, False))

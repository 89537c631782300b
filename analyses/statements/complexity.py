"""Appendix I.1: bounds on E_I + E_D and the number of steps they ask for.

Every measurement is exact: Gaussian data and point masses by closed forms, mixtures by quadrature.
"""

import numpy as np

from analyses.complexity_sides import (
    EXPONENTIAL,
    accuracy_reached,
    against_closed_form,
    against_sum,
    enough,
    exponents,
    needed_at_least,
    no_long_step,
    one_step,
    uniform_times,
)
from analyses.statement import Claim, OnDesigns, Statement
from analyses.step_counts import Kind

_SOURCE = "arXiv 2406.12839"

LONGEST = {1.0: 4 * np.log(2) - 1.5, 0.5: 0.5}
"""Constants of the sums on Gaussian data if no step more than halves the time, by exponent."""

SUFFICIENT = {1.0: 1.5, 0.5: 0.75}
"""What the printed number of steps leaves of E_I + E_D over the accuracy, by exponent."""

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
            accuracy_reached(kind, True),
        ),
        Claim(
            "order is sharp",
            "on a point mass with m2² at most d, accuracy eps needs at least a fixed share of the "
            "printed N, whatever T",
            needed_at_least(kind),
            constant=_NEEDED[kind],
        ),
        Claim(
            "exponents",
            "on a point mass the fitted exponents of the N needed are those of the N that suffices",
            exponents(kind, False),
            "=",
            to=0.02,
        ),
    )


def _broken_order(kind: Kind) -> tuple[Claim, ...]:
    return (
        Claim(
            "needed, wide point mass",
            "the same share of the printed N is needed without m2² at most d",
            enough(kind, point_mass=True, largest=1e4),
            constant=_NEEDED[kind],
        ),
        Claim(
            "needed, Gaussian data",
            "the same share of the printed N is needed by half of the data being Gaussian",
            enough(kind, point_mass=False, largest=1.0),
            constant=_NEEDED[kind],
        ),
        Claim(
            "printed exponents",
            "the fitted exponents of the N needed on a point mass are the printed ones, that of m2 "
            "included",
            exponents(kind, True),
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
            OnDesigns(against_sum(kind, False), where=(no_long_step(kind),)),
            constant=constant,
        ),
        Claim(
            "sum of a point mass",
            "E_I + E_D is at most m2²/(2 v_0) + C d sum gamma²/(T - s)² on any grid, C the cost of "
            "its longest step on a point mass over the summand",
            OnDesigns(against_sum(kind, True)),
        ),
    )
    long = Claim(
        "sum, long steps",
        f"{says}, {constant:.4g}, also for long steps",
        one_step(kind),
        constant=constant,
    )
    return holds, (long,)


def _closed_claims(kind: Kind) -> tuple[tuple[Claim, ...], tuple[Claim, ...]]:
    """Claims on the closed form for exponential times."""
    says = "E_I + E_D is at most the closed form for exponential times"
    where = (EXPONENTIAL,)
    holds = (
        Claim(
            "closed form",
            f"{says}, with the constant 1/2, on Gaussian data",
            OnDesigns(against_closed_form(kind), where=where),
            constant=0.5,
        ),
        Claim(
            "closed form, any data",
            f"{says}, with the constant 1, on mixtures",
            OnDesigns(against_closed_form(kind), on=("mixture",), where=where),
        ),
    )
    uniform = Claim(
        "closed form, uniform times",
        f"{says}, with the constant 1/2, for uniform times",
        uniform_times(kind),
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
            accuracy_reached(kind, False),
            constant=left,
        ),
        derivation=_WHY.format(left=left) + (_LONG_STEPS if kind.polynomial else ""),
        supporting=(*holds, *_order_claims(kind)),
        broken=(*fails, *_broken_order(kind)),
        order=True,
        expected="order only",
    )


STATEMENTS = tuple(_statement(Kind(e, p)) for e in (1.0, 0.5) for p in (True, False))

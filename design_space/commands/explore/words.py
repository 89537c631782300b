"""Numbers in the words of the page."""

import math

from design_space.explorer.numbers import Value

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

NAMES = {
    "initialization": "E_I, initialization",
    "discretization": "E_D, discretization",
    "score": "E_S, score",
    "path_kl": "path KL",
    "marginal_kl": "marginal KL",
    "w2": "W₂",
}
"""Quantity -> its name on the page."""

UNITS = dict.fromkeys(NAMES, "nats") | {"w2": "data units"}
"""Quantity -> its unit."""


def short(value: float, digits: int = 3) -> str:
    """A number with a few digits: plain if that is short, else times a power of ten.

    Args:
      value: any number.
      digits: significant digits, 1 or more.
    """
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "–")
    if value == 0:
        return "0"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    exponent = int(power)
    if -4 <= exponent < 5:
        text = f"{float(f'{mantissa}e{exponent}'):.{max(digits - 1 - exponent, 0)}f}"
    else:
        text = f"{mantissa}·10{str(exponent).translate(_RAISED)}"
    return text.replace("-", "−")


def measured(value: Value | None) -> str:
    """A quantity with its error, or that there is none.

    Args:
      value: of `Numbers.values`; None counts as one that cannot be had.
    """
    if value is None or value.value is None:
        return "pending" if value is not None and value.pending else "–"
    if value.error is None or not (value.error > 1e-3 * abs(value.value)):
        return short(value.value)
    return f"{short(value.value)} ± {short(value.error, 1)}"


def whole(count: int, noun: str) -> str:
    """A count with its noun: "1 step", "20 steps".

    Args:
      count: 0 or more.
      noun: in the singular.
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

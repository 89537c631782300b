"""Mixtures typed as text: `0.3 N(-1, 0.2) + 0.7 N(2, 0.5)`, weight N(mean, standard deviation)."""

import math
import re
from typing import NamedTuple

MOST_COMPONENTS = 6
LARGEST_MEAN = 100.0
STDS = (0.001, 100.0)
EXAMPLE = "0.3 N(-1, 0.2) + 0.7 N(2, 0.5)"

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TERM = re.compile(
    rf"\s*(?P<weight>{_NUMBER})?\s*\*?\s*N\s*\(\s*(?P<mean>{_NUMBER})\s*,\s*(?P<std>{_NUMBER})\s*\)\s*"
)
_SUM = 1e-6  # how far from 1 typed weights may add up


class TypedMixture(NamedTuple):
    """A mixture on the line, sum_k w_k N(m_k, s_k^2).

    Attributes:
      weights: w_k, above 0, adding up to 1.
      means: m_k, in data units.
      stds: s_k, above 0, in data units.
    """

    weights: tuple[float, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]

    def __str__(self) -> str:
        """The text that is read as this mixture."""
        parts = zip(self.weights, self.means, self.stds, strict=True)
        return " + ".join(f"{w!r} N({m!r}, {s!r})" for w, m, s in parts)


def _refused(text: str, problem: str, remedy: str) -> ValueError:
    shown = text if len(text) <= 120 else text[:100] + "..."
    return ValueError(f"mixture = {shown!r}: {problem}; {remedy}")


def _check(text: str, name: str, at: int, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        problem = f"the {name} {value:g} at character {at + 1} must be from {low:g} to {high:g}"
        raise _refused(text, problem, "change that number")


def _terms(text: str) -> list[re.Match[str]]:
    """The terms of the sum, in order."""
    found, at = [], 0
    while True:
        term = _TERM.match(text, at)
        if term is None:
            rest = text[at:].lstrip()
            what = f"is {rest[:20]!r}" if rest else "is missing"
            problem = f"a term must be at character {len(text) - len(rest) + 1}, which {what}"
            raise _refused(text, problem, f"write weight N(mean, std), as in {EXAMPLE}")
        found.append(term)
        at = term.end()
        if at == len(text):
            return found
        if text[at] != "+":
            problem = f"character {at + 1} is {text[at]!r}, where + must be"
            raise _refused(text, problem, "join the terms by +")
        at += 1


def read_mixture(text: str) -> TypedMixture:
    """Reads a mixture.

    Args:
      text: terms `weight N(mean, std)` joined by +; the weight of a single term may be left out.

    Raises:
      ValueError: with the place of what cannot be read, the number that is out of its domain, or
        the sum of weights that do not add up to 1.
    """
    terms = _terms(text)
    if len(terms) > MOST_COMPONENTS:
        problem = f"{len(terms)} components, where at most {MOST_COMPONENTS} are allowed"
        raise _refused(text, problem, "leave some out")
    weights, means, stds = [], [], []
    for term in terms:
        if term["weight"] is None and len(terms) > 1:
            problem = f"the term at character {term.start() + 1} has no weight"
            raise _refused(text, problem, "write a number from 0 to 1 before N")
        weights.append(1.0 if term["weight"] is None else float(term["weight"]))
        means.append(float(term["mean"]))
        stds.append(float(term["std"]))
        where = term.start("weight") if term["weight"] is not None else term.start()
        _check(text, "weight", where, weights[-1], 1e-6, 1.0 + _SUM)
        _check(text, "mean", term.start("mean"), means[-1], -LARGEST_MEAN, LARGEST_MEAN)
        _check(text, "standard deviation", term.start("std"), stds[-1], *STDS)
    total = math.fsum(weights)
    if abs(total - 1) > _SUM:
        problem = f"the weights add up to {total:.8g}, where 1 is needed"
        raise _refused(text, problem, f"divide each of them by {total:.8g}")
    return TypedMixture(tuple(w / total for w in weights), tuple(means), tuple(stds))

"""What a statement of the theory is to the ledger: words, assumptions, and executable claims.

A claim compares a left side with a right side, on every design of a family or in a study of its
own. A statement holds the printed claim, the corrected one where the printed one fails, supporting
claims, and broken ones: the same bound with an assumption dropped, which must fail.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from analyses.cases import Case, Design
from analyses.families import Families
from design_space.arrays import Array, Float, float64

Relation = Literal["<=", "="]

Verdict = Literal[
    "holds",
    "holds with constant C",
    "order only",
    "fails as printed; corrected form holds",
    "not shown as registered; weaker form holds",
    "fails",
]
"""What the ledger can say of a statement."""


def fell(verdict: Verdict) -> bool:
    """Whether the printed form did not hold, or the registered one was not shown.

    Args:
      verdict: of the ledger.
    """
    return verdict.startswith(("fails", "not shown"))


EQUAL = 1e-8
"""Relative difference up to which two sides are equal."""


class Sides(NamedTuple):
    """The two sides of a claim.

    Attributes:
      left: what is measured.
      right: what the theory says of it.
      error: half-width of the interval of left minus right: rounding, quadrature, sampling.
    """

    left: Any
    right: Any
    error: Any = 0.0


@dataclass(frozen=True)
class Assumption:
    """An assumption of a statement.

    Attributes:
      says: in words.
      holds: of one case, whether it is met; batched by vmap.
    """

    says: str
    holds: Callable[[Case], Any]


@dataclass(frozen=True)
class Observations:
    """Both sides of a claim, observed many times.

    Attributes:
      left, right, error: shape [observations].
      labels: what each observation is, shape [observations].
      designs: how many designs were computed for them.
      found: the design behind each observation, or None where several stand behind it.
      confidence: of the intervals taken together, where sampling is in them; else None.
    """

    left: np.ndarray
    right: np.ndarray
    error: np.ndarray
    labels: tuple[str, ...]
    designs: int
    found: tuple[Design | None, ...] = ()
    confidence: float | None = None


class Check(Protocol):
    """How both sides of a claim are had."""

    def observe(self, families: Families) -> Observations:
        """Observes both sides on the given families, or in a study of its own."""
        ...


def worst_entry(left: Float[Array, "..."], right: Float[Array, "..."]) -> Sides:
    """Both sides of an equality of arrays, as the entry that is farthest off, relative to its size.

    Args:
      left: an array.
      right: an array of the same shape.
    """
    left, right = jnp.ravel(left), jnp.ravel(right)
    off = jnp.abs(left - right) / jnp.maximum(jnp.maximum(jnp.abs(left), jnp.abs(right)), 1e-300)
    index = jnp.argmax(jnp.where(jnp.isnan(off), jnp.inf, off))
    return Sides(left[index], right[index])


@dataclass(frozen=True)
class OnDesigns:
    """A claim about one design, checked on every design of the named families.

    Attributes:
      sides: both sides for one case; batched by vmap over cases of one shape.
      on: names of families.
      where: assumptions that a design must meet to be counted.
      dropped: an assumption that a design must break to be counted.
    """

    sides: Callable[[Case], Sides]
    on: tuple[str, ...] = ("named", "gaussian")
    where: tuple[Assumption, ...] = ()
    dropped: Assumption | None = None

    def one(self, case: Case) -> tuple[Sides, Array]:
        """Both sides for one case, and whether it counts."""
        counts = jnp.asarray(True)
        for assumption in self.where:
            counts &= assumption.holds(case)
        if self.dropped is not None:
            counts &= ~self.dropped.holds(case)
        return Sides(*(float64(x) for x in self.sides(case))), counts

    def observe(self, families: Families) -> Observations:
        """See Check."""
        return observe_together([self], families)[0]


def observe_together(checks: Sequence[OnDesigns], families: Families) -> list[Observations]:
    """Observes several claims on the same designs: one compilation for each shape of designs.

    Args:
      checks: claims with the same `on`.
      families: the designs.
    """
    function = eqx.filter_jit(jax.vmap(lambda case: [check.one(case) for check in checks]))
    batches = [batch for name in checks[0].on for batch in families[name]()]
    designs = [design for batch in batches for design in batch.designs]
    parts = [function(batch.cases) for batch in batches]
    return [_joined([part[i] for part in parts], designs) for i in range(len(checks))]


def _joined(parts: Sequence[tuple[Sides, Array]], designs: Sequence[Design]) -> Observations:
    """The observations of all batches, of the designs that count."""
    keep = np.concatenate([np.asarray(counts) for _, counts in parts])
    left, right, error = (
        np.concatenate([np.asarray(sides[i]) for sides, _ in parts])[keep] for i in range(3)
    )
    found = tuple(design for design, kept in zip(designs, keep, strict=True) if kept)
    return Observations(left, right, error, tuple(d.name for d in found), len(found), found)


@dataclass(frozen=True)
class Study:
    """A claim whose observations are made from many designs each: fits, limits, optima.

    Attributes:
      run: makes the observations; it does not look at the families.
    """

    run: Callable[[], Observations]

    def observe(self, families: Families) -> Observations:
        """See Check."""
        return self.run()


@dataclass(frozen=True)
class Claim:
    """A left side that is at most, or equal to, a constant times a right side.

    Attributes:
      name: within its statement.
      says: in words, for the tables.
      check: how both sides are had.
      relation: "<=" or "=".
      constant: of the right side.
      to: relative difference up to which the sides of an equality are equal.
    """

    name: str
    says: str
    check: OnDesigns | Study
    relation: Relation = "<="
    constant: float = 1.0
    to: float = EQUAL


@dataclass(frozen=True)
class Statement:
    """A statement of the theory.

    Attributes:
      id: lower case, for instance "lemma-9".
      title: a short heading.
      source: the citation, with number.
      says: what it says, in words.
      latex: the same as a formula.
      printed: the claim as printed.
      expected: the verdict that the ledger records.
      corrected: the claim that holds where the printed one fails.
      corrected_latex: the corrected formula.
      derivation: why, in a few sentences.
      supporting: further claims that hold.
      broken: claims with an assumption dropped, each of which must fail.
      constant: whether the statement is printed up to a constant.
      order: whether it is a statement about orders only.
      registered: whether the source says it in words: the printed claim is then the form, with
        settings, effect size and test, that was written down before the runs, and it counts as
        shown where intervals exclude the contrary, else as not shown.
    """

    id: str
    title: str
    source: str
    says: str
    latex: str
    printed: Claim
    expected: Verdict
    corrected: Claim | None = None
    corrected_latex: str = ""
    derivation: str = ""
    supporting: tuple[Claim, ...] = ()
    broken: tuple[Claim, ...] = ()
    constant: bool = False
    order: bool = False
    registered: bool = False

    def claims(self) -> tuple[Claim, ...]:
        """Every claim, the printed one first."""
        corrected = () if self.corrected is None else (self.corrected,)
        return (self.printed, *corrected, *self.supporting, *self.broken)

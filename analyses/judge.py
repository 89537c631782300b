"""Judges claims and statements: margins, tightness, counterexamples, verdicts."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from analyses.cases import Design, measured, toml
from analyses.families import Families
from analyses.shrink import shrunk
from analyses.statement import (
    Claim,
    Observations,
    OnDesigns,
    Statement,
    Verdict,
    fell,
    observe_together,
)


@dataclass(frozen=True)
class Outcome:
    """What became of one claim.

    Attributes:
      claim: the claim.
      expected: whether it should hold; broken claims should not.
      violations: observations in which it fails by more than their error.
      observations: how many there are.
      designs: how many designs stand behind them.
      margin: the smallest right side over left side; of an equality, the smaller over the larger.
      tightness: how close the best case comes: the largest left side over right side among the
        observations that do not fail, 1 if equality is attained.
      deviation: the largest relative difference of the two sides.
      worst: index of the observation with the smallest margin.
      seen: the observations.
      counterexample: the smallest design found on which the claim fails, or None.
    """

    claim: Claim
    expected: bool
    violations: int
    observations: int
    designs: int
    margin: float
    tightness: float
    deviation: float
    worst: int
    seen: Observations
    counterexample: Design | None

    @property
    def holds(self) -> bool:
        """Whether no observation fails."""
        return self.violations == 0

    @property
    def as_expected(self) -> bool:
        """Whether it holds where it should and fails where it should."""
        return self.holds == self.expected


@dataclass(frozen=True)
class Judgement:
    """What the ledger says of a statement.

    Attributes:
      statement: the statement.
      verdict: what was found.
      outcomes: of its claims, the printed one first.
      seconds: how long it took.
    """

    statement: Statement
    verdict: Verdict
    outcomes: tuple[Outcome, ...]
    seconds: float

    def __str__(self) -> str:
        """The verdict with its numbers, and the smallest counterexample if there is one."""
        lines = [f"{self.statement.id}: {self.verdict}"]
        for o in self.outcomes:
            lines.append(
                f"  {o.claim.name}: fails on {o.violations} of {o.observations}; "
                f"margin {o.margin:.4g}, tightness {o.tightness:.4g} ({o.designs} designs)"
            )
            if o.counterexample is not None:
                text = toml(o.counterexample.specification()).strip()
                lines += ["  smallest counterexample:", *(f"    {x}" for x in text.split("\n"))]
        return "\n".join(lines)

    @property
    def as_recorded(self) -> bool:
        """Whether verdict and claims came out as recorded in the statement."""
        fine = all(outcome.as_expected for outcome in self.outcomes[1:])
        return fine and self.verdict == self.statement.expected


def failing(claim: Claim, left: np.ndarray, right: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Which observations fail by more than their error.

    NaN on either side fails, an error that is not finite, and infinity in an equality.

    Args:
      claim: what should hold.
      left: shape [observations].
      right: same shape.
      error: same shape.
    """
    bound = claim.constant * right
    with np.errstate(invalid="ignore"):
        if claim.relation == "<=":
            return ~((left - bound <= error) & (error < np.inf))
        size, off = np.maximum(np.abs(left), np.abs(bound)), np.abs(left - bound)
        return ~((off <= claim.to * size + error) & (off < np.inf) & (error < np.inf))


def ratios(claim: Claim, seen: Observations) -> np.ndarray:
    """Right side over left side; of an equality the smaller over the larger, for each observation.

    A left side that its error does not tell from zero or less is below every right side that is
    not below it: infinity then. Sides that their error does not tell apart have the ratio 1.
    """
    left, right, error = seen.left, claim.constant * seen.right, seen.error
    with np.errstate(divide="ignore", invalid="ignore"):
        if claim.relation == "<=":
            nothing, below = left <= error, right >= left - error
            return np.where(nothing, np.where(below, np.inf, -np.inf), right / left)
        ratio = np.where(np.abs(left - right) <= error, 1.0, right / left)
        return np.where(np.abs(ratio) > 1, 1 / ratio, ratio)


def deviations(claim: Claim, seen: Observations) -> np.ndarray:
    """Relative differences of the two sides, beyond their error."""
    right = claim.constant * seen.right
    size = np.maximum(np.maximum(np.abs(seen.left), np.abs(right)), 1e-300)
    with np.errstate(invalid="ignore"):
        return np.maximum(np.abs(seen.left - right) - seen.error, 0.0) / size


def judge_claim(claim: Claim, expected: bool, seen: Observations) -> Outcome:
    """Says how a claim came out.

    Args:
      claim: the claim.
      expected: whether it should hold.
      seen: its observations.

    Raises:
      ValueError: if there is no observation.
    """
    if len(seen.left) == 0:
        raise ValueError(
            f"designs of claim {claim.name!r} = none: must be at least one; "
            "widen the families or drop an assumption"
        )
    fails = failing(claim, seen.left, seen.right, seen.error)
    ratio = ratios(claim, seen)
    worst = int(np.argmin(np.where(np.isnan(ratio), -np.inf, ratio)))
    kept = ratio[~fails & np.isfinite(ratio)]
    found = None
    if fails.any() and isinstance(claim.check, OnDesigns):
        found = shrunk(claim, [d for d, bad in zip(seen.found, fails, strict=True) if bad and d])
    return Outcome(
        claim,
        expected,
        int(fails.sum()),
        len(seen.left),
        seen.designs,
        float(ratio[worst]),
        float(1 / kept.min()) if len(kept) and kept.min() > 0 else float("nan"),
        float(np.max(deviations(claim, seen))),
        worst,
        seen,
        found,
    )


def sides_of(claim: Claim, design: Design) -> tuple[float, float, float]:
    """Left side, right side and error of a claim on one design.

    Args:
      claim: one that is checked on designs.
      design: the design.
    """
    assert isinstance(claim.check, OnDesigns)
    case = jax.tree.map(lambda leaf: leaf[0], measured([design]))
    left, right, error = claim.check.one(case)[0]
    return float(left), claim.constant * float(right), float(error)


def _verdict(statement: Statement, outcomes: tuple[Outcome, ...]) -> Verdict:
    printed = outcomes[0]
    if printed.holds:
        if statement.order:
            return "order only"
        return "holds with constant C" if statement.constant else "holds"
    if statement.corrected is None or not outcomes[1].holds:
        return "fails"
    if statement.registered:
        return "not shown as registered; weaker form holds"
    return "fails as printed; corrected form holds"


def observed(claims: Sequence[Claim], families: Families) -> list[Observations]:
    """The observations of each claim; those on the same designs are made together."""
    found: dict[int, Observations] = {}
    groups: dict[tuple[str, ...], list[tuple[int, OnDesigns]]] = {}
    for index, claim in enumerate(claims):
        if isinstance(claim.check, OnDesigns):
            groups.setdefault(claim.check.on, []).append((index, claim.check))
        else:
            found[index] = claim.check.observe(families)
    for group in groups.values():
        seen = observe_together([check for _, check in group], families)
        found |= {index: each for (index, _), each in zip(group, seen, strict=True)}
    return [found[index] for index in range(len(claims))]


def judge(statement: Statement, families: Families) -> Judgement:
    """Checks every claim of a statement and gives the verdict.

    Args:
      statement: the statement.
      families: the designs.
    """
    start = time.perf_counter()
    claims = statement.claims()
    first_broken = len(claims) - len(statement.broken)
    outcomes = []
    for index, (claim, seen) in enumerate(zip(claims, observed(claims, families), strict=True)):
        fails = index >= first_broken
        if index == 0:
            fails = fell(statement.expected)
        outcomes.append(judge_claim(claim, not fails, seen))
    found = tuple(outcomes)
    seconds = time.perf_counter() - start
    return Judgement(statement, _verdict(statement, found), found, seconds)

"""Judges claims and statements: margins, tightness, counterexamples, verdicts."""

import time
from dataclasses import dataclass

import numpy as np

from analyses.cases import Design
from analyses.families import Families
from analyses.shrink import shrunk
from analyses.statement import Claim, Observations, OnDesigns, Statement, Verdict


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

    @property
    def as_recorded(self) -> bool:
        """Whether verdict and claims came out as recorded in the statement."""
        fine = all(outcome.as_expected for outcome in self.outcomes[1:])
        return fine and self.verdict == self.statement.expected

    @property
    def counterexample(self) -> Design | None:
        """The smallest counterexample to a claim that should hold, or to the printed form."""
        wrong = [o for o in self.outcomes if not o.holds and o.expected and o.counterexample]
        return wrong[-1].counterexample if wrong else None


def failing(claim: Claim, left: np.ndarray, right: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Which observations fail by more than their error; NaN on either side fails.

    Args:
      claim: what should hold.
      left, right, error: shape [observations].
    """
    bound = claim.constant * right
    if claim.relation == "<=":
        return ~(left - bound <= error)
    size = np.maximum(np.abs(left), np.abs(bound))
    return ~(np.abs(left - bound) <= claim.to * size + error)


def ratios(claim: Claim, seen: Observations) -> np.ndarray:
    """Right side over left side; of an equality the smaller over the larger, for each observation.

    A left side of zero or less is below every right side that is not: infinity then.
    """
    left, right = seen.left, claim.constant * seen.right
    with np.errstate(divide="ignore", invalid="ignore"):
        if claim.relation == "<=":
            below = (left <= 0) & (right >= left)
            return np.where(below, np.inf, np.where(left <= 0, -np.inf, right / left))
        ratio = np.where(left == right, 1.0, right / left)
        return np.where(np.abs(ratio) > 1, 1 / ratio, ratio)


def judge_claim(claim: Claim, expected: bool, families: Families) -> Outcome:
    """Observes a claim and says how it came out.

    Args:
      claim: the claim.
      expected: whether it should hold.
      families: the designs.

    Raises:
      ValueError: if no design meets the claim's assumptions.
    """
    seen = claim.check.observe(families)
    if len(seen.left) == 0:
        raise ValueError(
            f"designs of claim {claim.name!r} = none: must be at least one; "
            "widen the families or drop an assumption"
        )
    fails = failing(claim, seen.left, seen.right, seen.error)
    ratio = ratios(claim, seen)
    size = np.maximum(np.maximum(np.abs(seen.left), np.abs(claim.constant * seen.right)), 1e-300)
    off = np.abs(seen.left - claim.constant * seen.right) / size
    worst = int(np.argmin(np.where(np.isnan(ratio), -np.inf, ratio)))
    kept = ratio[~fails]
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
        float(1 / kept.min()) if len(kept) else float("nan"),
        float(np.max(off)),
        worst,
        seen,
        found,
    )


def _verdict(statement: Statement, outcomes: tuple[Outcome, ...]) -> Verdict:
    printed = outcomes[0]
    if printed.holds:
        if statement.order:
            return "order only"
        return "holds with constant C" if statement.constant else "holds"
    corrected = statement.corrected is not None and outcomes[1].holds
    return "fails as printed; corrected form holds" if corrected else "fails"


def judge(statement: Statement, families: Families) -> Judgement:
    """Checks every claim of a statement and gives the verdict.

    Args:
      statement: the statement.
      families: the designs.
    """
    start = time.perf_counter()
    broken = {id(claim) for claim in statement.broken}
    outcomes = []
    for claim in statement.claims():
        fails = id(claim) in broken
        if claim is statement.printed:
            fails = statement.expected.startswith("fails")
        outcomes.append(judge_claim(claim, not fails, families))
    found = tuple(outcomes)
    seconds = time.perf_counter() - start
    return Judgement(statement, _verdict(statement, found), found, seconds)

"""What the ledger records of every statement, and how a new judgement differs from it."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analyses.cases import Design
from analyses.judge import Judgement, Outcome, ratios, sides_of

PATH = Path(__file__).parent / "recorded.json"
"""The record: verdicts, numbers and counterexamples by statement id."""

TOLERANCE = 1e-5
"""Relative change of a recorded number that counts as a difference: rounding moves it by 1e-9."""

_NUMBERS = ("margin", "tightness", "typical")


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _numbers(outcome: Outcome) -> dict[str, float | None]:
    """What is compared of a claim: nothing of one that is sampled or fitted to an interval.

    An equality that holds is compared by its tolerance, not by its rounding.
    """
    claim, seen = outcome.claim, outcome.seen
    if seen.confidence is not None or (claim.relation == "=" and outcome.holds):
        return dict.fromkeys(_NUMBERS)
    ratio = ratios(claim, seen)
    finite = ratio[np.isfinite(ratio)]
    found = {"typical": float(np.median(finite)) if len(finite) else math.nan}
    if claim.relation == "<=":
        found |= {"margin": outcome.margin, "tightness": outcome.tightness}
    return {name: _finite(found.get(name, math.nan)) for name in _NUMBERS}


def counterexample(judgement: Judgement) -> tuple[Outcome, Design] | None:
    """The claim that should hold and does not, or the printed one that fails, with its design."""
    for wanted in (lambda o: not o.as_expected, lambda o: True):
        for outcome in judgement.outcomes[:1] + judgement.outcomes[1:]:
            if wanted(outcome) and not outcome.holds and outcome.counterexample is not None:
                return outcome, outcome.counterexample
    return None


def plain(judgement: Judgement) -> dict[str, Any]:
    """A judgement as plain data: the record of a statement.

    Args:
      judgement: what was found.
    """
    entry: dict[str, Any] = {"verdict": judgement.verdict, "claims": {}}
    for outcome in judgement.outcomes:
        claim, worst = outcome.claim, outcome.worst
        facts = {
            "holds": outcome.holds,
            "violations": outcome.violations,
            "observations": outcome.observations,
            "designs": outcome.designs,
            "deviation": _finite(outcome.deviation),
            "worst": {
                "what": outcome.seen.labels[worst],
                "left": _finite(outcome.seen.left[worst]),
                "right": _finite(outcome.seen.right[worst]),
            },
            "confidence": outcome.seen.confidence,
        }
        if outcome.counterexample is not None:
            left, right, _ = sides_of(claim, outcome.counterexample)
            facts["counterexample"] = {
                "design": outcome.counterexample.specification(),
                "left": left,
                "right": right,
            }
        entry["claims"][claim.name] = facts | _numbers(outcome)
    return entry


def recorded() -> dict[str, Any]:
    """The record, by statement id."""
    return json.loads(PATH.read_text(encoding="utf-8"))


def differences(judgement: Judgement, record: Mapping[str, Any]) -> list[str]:
    """What of a judgement differs from the record, in words; empty if nothing does.

    Args:
      judgement: what was found.
      record: the whole record, by statement id.
    """
    statement, found = judgement.statement, []
    if judgement.verdict != statement.expected:
        found.append(f"verdict {judgement.verdict!r}, recorded {statement.expected!r}")
    for outcome in judgement.outcomes[1:]:
        if not outcome.as_expected:
            what = "holds" if outcome.holds else f"fails on {outcome.violations} observations"
            found.append(f"claim {outcome.claim.name!r} {what}")
    known = record.get(statement.id, {"claims": {}})["claims"]
    for outcome in judgement.outcomes:
        old = known.get(outcome.claim.name)
        if old is None:
            found.append(f"claim {outcome.claim.name!r} is not in the record")
            continue
        for name, new in _numbers(outcome).items():
            if not _same(old[name], new):
                found.append(f"{name} of {outcome.claim.name!r} {new!r}, recorded {old[name]!r}")
    return found


def _same(old: float | None, new: float | None) -> bool:
    if old is None or new is None:
        return old is new
    return abs(old - new) <= TOLERANCE * max(abs(old), abs(new))

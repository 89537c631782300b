"""The statement ledger as an experiment: every statement judged, with the distribution of right
side over left side for each of its claims.

Source: WHT (arXiv 2406.12839) for the statements by its numbers; design_space for the others.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analyses.catalogue import STATEMENTS, WORKERS
from analyses.experiment import Experiment, Settings
from analyses.families import families
from analyses.judge import Judgement, Outcome, judge, ratios
from analyses.recorded import counterexample, plain

_QUANTILES = np.linspace(0.0, 1.0, 41)


def _claim_rows(judgement: Judgement) -> list[dict[str, Any]]:
    entry = plain(judgement)
    return [
        {
            "part": "claim",
            "claim": outcome.claim.name,
            "says": outcome.claim.says,
            "relation": outcome.claim.relation,
            "expected": outcome.expected,
            "holds": outcome.holds,
            "violations": outcome.violations,
            "observations": outcome.observations,
            "designs": outcome.designs,
            "margin": outcome.margin,
            "tightness": outcome.tightness,
            "deviation": outcome.deviation,
            "confidence": outcome.seen.confidence,
            "worst": entry["claims"][outcome.claim.name]["worst"]["what"],
        }
        for outcome in judgement.outcomes
    ]


def _ratio_rows(outcome: Outcome) -> list[dict[str, Any]]:
    """Quantiles of right side over left side, where both are positive."""
    ratio = ratios(outcome.claim, outcome.seen)
    good = ratio[np.isfinite(ratio) & (ratio > 0)]
    if len(good) == 0:
        return []
    share = len(good) / len(ratio)
    return [
        {"part": "ratio", "claim": outcome.claim.name, "quantile": q, "ratio": r, "share": share}
        for q, r in zip(_QUANTILES, np.quantile(good, _QUANTILES), strict=True)
    ]


def headline(judgement: Judgement) -> dict[str, Any]:
    """The row of a statement in every table: margin of the printed claim, tightness of the form
    that holds, and the designs of the printed claim.

    Args:
      judgement: what was found.
    """
    printed = judgement.outcomes[0]
    good = printed if printed.holds else judgement.outcomes[min(1, len(judgement.outcomes) - 1)]
    return {
        "verdict": judgement.verdict,
        "margin": printed.margin,
        "tightness": good.tightness,
        "deviation": good.deviation if good.claim.relation == "=" else float("nan"),
        "designs": max(outcome.designs for outcome in judgement.outcomes),
    }


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one statement; part is "statement", "claim" or "ratio"."""
    statement = STATEMENTS[piece["statement"]]
    judgement = judge(statement, families(piece["share"]))
    row: dict[str, Any] = {"part": "statement", "statement": statement.id}
    row |= {"title": statement.title}
    row |= headline(judgement) | {"expected_verdict": statement.expected}
    found = counterexample(judgement)
    if found is not None:
        row["counterexample"] = found[1].summary()
    rows = [row, *_claim_rows(judgement)]
    rows += [r for outcome in judgement.outcomes for r in _ratio_rows(outcome)]
    return pd.DataFrame(rows).assign(statement=statement.id)


def pieces(settings: Settings) -> Sequence[dict[str, Any]]:
    """One piece per statement."""
    return [{"statement": name, "share": settings["share"]} for name in STATEMENTS]


def finding(table: pd.DataFrame) -> str:
    """How many statements came out how, and whether any differs from what is recorded."""
    rows = table[table["part"] == "statement"]
    counts = rows["verdict"].value_counts()
    parts = ", ".join(f"{count} {verdict!r}" for verdict, count in counts.items())
    failing = rows[rows["verdict"].str.startswith("fails")]["statement"].tolist()
    short = rows[rows["verdict"].str.startswith("not shown")]["statement"].tolist()
    claims = table[table["part"] == "claim"]
    holds, expected = (claims[name].astype(bool) for name in ("holds", "expected"))
    differ = set(rows[rows["verdict"] != rows["expected_verdict"]]["statement"])
    differ |= set(claims[holds != expected]["statement"])
    broken = claims[~expected]
    text = (
        f"{len(rows)} statements, {len(claims)} claims, "
        f"{int(claims['observations'].sum()):,} comparisons: {parts}. As printed fail "
        f"{', '.join(failing)}. Of {len(broken)} claims that must fail (a wrong form, or an "
        f"assumption dropped) {int((~broken['holds'].astype(bool)).sum())} do."
    )
    text += f" Not shown as registered: {', '.join(short)}." if short else ""
    return text + (f" Different from the record: {', '.join(sorted(differ))}." if differ else "")


EXPERIMENT = Experiment(
    name="ledger",
    title="The statement ledger",
    file=Path(__file__),
    presets={"quick": {"share": 1.0}, "full": {"share": 4.0}},
    pieces=pieces,
    compute=compute,
    finding=finding,
    whole_parts=("statement",),
    workers=WORKERS,
)

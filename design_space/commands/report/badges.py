"""Badges of verdicts: a symbol and the words, so that they read in grey and aloud, and a color."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Badge(NamedTuple):
    """How a verdict looks.

    Attributes:
      verdict: its words.
      symbol: before the words.
      style: the class in the style sheet that gives the color.
    """

    verdict: str
    symbol: str
    style: str


BADGES: Mapping[str, Badge] = {
    badge.verdict: badge
    for badge in (
        Badge("holds", "✓", "holds"),
        Badge("holds with constant C", "✓ C", "constant"),
        Badge("order only", "∼", "order"),
        Badge("fails as printed; corrected form holds", "✗ → ✓", "corrected"),
        Badge("not shown as registered; weaker form holds", "? → ✓", "short"),
        Badge("fails", "✗", "fails"),
    )
}
"""From the words of a verdict (analyses/statement.py) to its badge, best first."""


class Count(NamedTuple):
    """How many statements have a verdict, and which.

    Attributes:
      badge: of the verdict.
      statements: their ids, in the order of the table.
    """

    badge: Badge
    statements: Sequence[str]


def counts(sections: Sequence[Mapping[str, Any]]) -> list[Count]:
    """The statements of the ledger by verdict, best verdict first; none without a ledger.

    Args:
      sections: what the report says of each analysis.
    """
    verdicts: dict[str, str] = {}
    for part in (part for section in sections for part in section["parts"]):
        if is_of_statements(part):
            statement, verdict = (part["columns"].index(c) for c in ("statement", "verdict"))
            verdicts |= {row[statement]: row[verdict] for row in part["rows"]}
    known = [verdict for verdict in BADGES if verdict in verdicts.values()]
    known += [verdict for verdict in Counter(verdicts.values()) if verdict not in BADGES]
    return [
        Count(badge_of(verdict), [name for name, found in verdicts.items() if found == verdict])
        for verdict in known
    ]


def is_of_statements(part: Mapping[str, Any]) -> bool:
    """Whether a part of a table has a row for each statement, with its verdict."""
    return {"statement", "verdict"} <= set(part["columns"])


def badge_of(verdict: str) -> Badge:
    """The badge of a verdict; one without a look of its own is shown as words."""
    return BADGES.get(verdict, Badge(verdict, "", "other"))

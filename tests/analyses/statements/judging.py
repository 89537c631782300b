"""Judging the claims of one statement on few designs, without shrinking."""

import functools

import pytest

from analyses.cases import measured
from analyses.families import Batch, named_designs, random_gaussians
from analyses.judge import judge_claim, observed
from analyses.statement import fell


def _batch(designs):
    return functools.cache(lambda: (Batch(designs, measured(designs)),))


GAUSSIANS = {
    "named": _batch(named_designs(10)),
    "gaussian": _batch(random_gaussians(3, 12, 48)),
    "mixture": tuple,
}
"""Two shapes; claims on every family are checked on these two only."""


def on_mixtures_only(claim):
    return getattr(claim.check, "on", ()) == ("mixture",)


def outcomes(statement, families=None, only=lambda claim: True):
    """Outcomes by name of the claims that `only` chooses; all but those on mixtures by default."""
    given = GAUSSIANS if families is None else families
    claims = [c for c in statement.claims() if only(c)]
    if families is None:
        claims = [c for c in claims if not on_mixtures_only(c)]
    first_fails = fell(statement.expected)
    found = {}
    with pytest.MonkeyPatch.context() as patch:  # shrinking compiles much and has its own tests
        patch.setattr("analyses.judge.shrunk", lambda claim, failing: failing[0])
        for claim, seen in zip(claims, observed(claims, given), strict=True):
            fails = claim in statement.broken or (claim is statement.printed and first_fails)
            found[claim.name] = judge_claim(claim, not fails, seen)
    return found


def assert_as_expected(found):
    for name, outcome in found.items():
        assert outcome.as_expected, (name, outcome.violations, outcome.margin)

"""A small result folder with a ledger, for tests of the report."""

import json
import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent / "analyses"))
from tiny_experiment import tiny
from tiny_figure import tiny_figure

from analyses.statement import Verdict
from design_space.commands.reproduce import reproduce_one
from design_space.commands.screen import Screen

VERDICTS = Verdict.__args__
"""Every verdict that the ledger knows, one statement each."""


def make(out, name="tiny"):
    """A tiny experiment as `reproduce` leaves it."""
    return reproduce_one(tiny(name=name), tiny_figure([]), "quick", out, Screen(quiet=True))


def statements():
    """The part of the ledger's table with a row for each statement."""
    return pd.DataFrame(
        {
            "part": "statement",
            "statement": [f"lemma-{i}" for i in range(1, len(VERDICTS) + 1)],
            "title": [f"On <{i}> & more" for i in range(1, len(VERDICTS) + 1)],
            "verdict": VERDICTS,
            "margin": [20.0, -3.0, -1.0, float("nan"), 0.5, 5e-30],
        }
    )


def make_ledger(out, parts):
    """A section named ledger: that of a tiny experiment, with other parts of its table."""
    make(out, "ledger")
    path = out / "ledger" / "section.json"
    entry = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(entry | {"title": "The ledger", "parts": parts}), encoding="utf-8")

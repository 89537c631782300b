"""Writes the ledger's record anew: python -m analyses.record [ID ...]."""

import json
import sys

import jax

from analyses.catalogue import STATEMENTS, judge_all, select
from analyses.families import families
from analyses.recorded import PATH, plain, recorded


def main(patterns: list[str]) -> None:
    """Judges the statements and writes what was found; the others keep their record."""
    jax.config.update("jax_enable_x64", True)
    found = {j.statement.id: j for j in judge_all(select(patterns), families())}
    known = recorded() if PATH.exists() else {}
    known |= {name: plain(judgement) for name, judgement in found.items()}
    kept = {name: known[name] for name in STATEMENTS if name in known}
    PATH.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, judgement in found.items():
        if not judgement.as_recorded:
            print(f"{name}: {judgement.verdict}, expected {judgement.statement.expected}")


if __name__ == "__main__":
    main(sys.argv[1:])

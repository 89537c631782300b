"""What the report says of one analysis, as plain data."""

from collections.abc import Mapping, Sequence
from typing import Any

from analyses.experiment import Experiment
from analyses.store import Result
from design_space.commands.report.tables import parts_of
from design_space.files import canonical


def section(experiment: Experiment, preset: str, caption: str, result: Result) -> dict[str, Any]:
    """Everything that the report says of one analysis, as plain data.

    Args:
      experiment: the analysis; its files lie in the folder of its name.
      preset: the preset that it was computed with.
      caption: what the figure draws.
      result: its table, its finding in words, and where they come from.
    """
    return {
        "name": experiment.name,
        "title": experiment.title,
        "caption": caption,
        "finding": result.finding,
        "rows": len(result.table),
        "parts": parts_of(result.table, experiment.whole_parts),
        "facts": _facts(experiment.presets[preset], preset, result),
    }


def _facts(settings: Mapping[str, Any], preset: str, result: Result) -> dict[str, str]:
    """The provenance; pieces computed at different times or places are all told."""
    pieces = result.pieces
    last = max(piece["time"] for piece in pieces)
    seeds = {piece["seed"] for piece in pieces} - {None}
    return {
        "preset": preset,
        "settings": ", ".join(f"{name} {canonical(value)}" for name, value in settings.items())
        or "none",
        "computed": f"{last}, {len(pieces)} pieces, "
        f"{sum(piece['seconds'] for piece in pieces):.1f} s in all",
        "device": _distinct([piece["device"] for piece in pieces]),
        "precision": _distinct([piece["dtype"] for piece in pieces]),
        "seed": _distinct([str(seed) for seed in sorted(seeds)]) or "none in the settings",
        "versions": _distinct(
            [", ".join(f"{k} {v}" for k, v in piece["versions"].items()) for piece in pieces]
        ),
        "code": f"sha256 {_distinct([piece['source'] for piece in pieces])}",
        "table": f"sha256 {result.sha256}",
    }


def _distinct(words: Sequence[str]) -> str:
    """What occurs, once each, in the order of the pieces."""
    return "; ".join(dict.fromkeys(words))

"""The tables of a benchmark on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from design_space.commands.bench.rates import Rate
from design_space.commands.bench.record import BETTER, OTHER, WORSE, Comparison
from design_space.commands.bench.timing import Row, Target

_LABELS = {"ratio": "ratio", "seconds": "seconds", "first_seconds": "first"}


def _time(seconds: float | None) -> str:
    """A time in a unit that suits it."""
    if seconds is None:
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def _target(target: Target | None) -> str:
    return "" if target is None else f"{_LABELS[target.of]} < {target.most:.3g}"


def rows(out: Console, found: Sequence[Row]) -> None:
    """Prints the table.

    Args:
      out: where it goes.
      found: the rows.
    """
    title = "Medians, task and floor taking turns; first: the first call, with compilation"
    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column("row")
    table.add_column("task, and what it is measured by", ratio=1)
    for name in ("seconds", "first", "ratio", "target"):
        table.add_column(name, justify="right")
    for row in found:
        rate = "" if row.rate is None else f" ({row.rate:,.0f} {row.unit}/s)"
        rate += "" if row.size is None else f" ({row.size / 1e6:.4g} MB)"
        table.add_row(
            row.name,
            f"{row.task}{rate}\nbeside {row.floor}",
            f"{_time(row.seconds)}\n{_time(row.floor_seconds)}",
            _time(row.first_seconds),
            f"{row.ratio:.3g}",
            _target(row.target) + ("\nmissed" if row.missed else ""),
        )
    out.print(table)


def rates(out: Console, found: Sequence[Rate]) -> None:
    """Prints the rates of the machine.

    Args:
      out: where they go.
      found: the rates.
    """
    for rate in found:
        out.print(f"{rate.what}: {rate.value:.3g} {rate.unit}", markup=False, highlight=False)


def machine(out: Console, about: Mapping[str, Any]) -> None:
    """Prints what the seconds depend on.

    Args:
      out: where it goes.
      about: the machine.
    """
    load = "" if about["load"] is None else f", load {about['load']:.1f}"
    line = f"{about['platform']}, {about['cores']} cores{load}, {about['device']}"
    numbers = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    for text in (line, numbers):
        out.print(text, markup=False, highlight=False, soft_wrap=True)


def left_out(out: Console, names: Sequence[str]) -> None:
    """Names the rows that this machine could not do.

    Args:
      out: where it goes.
      names: of the rows.
    """
    if names:
        text = f"not measured here, for want of a GPU or of PyTorch: {', '.join(names)}"
        out.print(text, markup=False)


def comparison(out: Console, found: Comparison) -> None:
    """Prints what became of each row.

    Args:
      out: where it goes.
      found: the comparison.
    """
    title = f"Ratios to the floor, then and now; drift is a change by more than {found.factor:g}"
    table = Table(title=title, title_justify="left")
    table.add_column("row")
    for name in ("then", "now", "now / then"):
        table.add_column(name, justify="right")
    table.add_column("drift")
    for row in found.changes:
        drift = row.verdict if row.verdict in (WORSE, BETTER, OTHER) else ""
        numbers = (f"{value:.3g}" for value in (row.then, row.now, row.factor))
        table.add_row(row.name, *numbers, drift)
    out.print(table)
    for names, where in ((found.only_then, "then"), (found.only_now, "now")):
        if names:
            out.print(f"only {where}: {', '.join(names)}", markup=False, soft_wrap=True)

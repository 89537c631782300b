"""`design-space check`: the statement ledger, judged against its record."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from analyses.cases import toml
from analyses.catalogue import judge_all, select
from analyses.families import families
from analyses.judge import Judgement
from analyses.ledger import headline
from analyses.recorded import counterexample, differences, plain, recorded
from design_space.commands.screen import Screen
from design_space.files import check_writable, write_atomically
from design_space.provenance import device, dtype, versions

_WIDTH = 124  # of the table, so that it is whole where it is written to a file


def check(
    patterns: Sequence[str] = (), as_json: bool = False, counterexamples: Path | None = None
) -> int:
    """Judges statements and prints the ledger.

    Args:
      patterns: ids or patterns of ids; all statements if there is none.
      as_json: print one JSON object and nothing else.
      counterexamples: a folder for the smallest counterexample to each statement that fails, as
        the specification file ID.toml.

    Returns:
      The exit status: 1 if a verdict, or a recorded number, differs from the record.

    Raises:
      ValueError: if a pattern matches nothing, or the folder cannot be written; nothing has been
        judged then.
    """
    statements = select(patterns)
    if counterexamples is not None:
        check_writable("counterexamples", counterexamples)
    screen = Screen(quiet=as_json)
    with screen.progress("statements") as advance:
        found = judge_all(statements, families(), advance)
    record = recorded()
    wrong = {j.statement.id: differences(j, record) for j in found}
    if counterexamples is not None:
        _write(found, counterexamples)
    if as_json:
        print(json.dumps(_as_json(found, wrong), indent=2, allow_nan=False))
    else:
        wide = Console()
        Console(width=max(wide.width, _WIDTH)).print(_table(found, wrong))
        for judgement in found:
            _explain(judgement, wrong[judgement.statement.id], screen)
        screen.say(_summary(found, wrong))
    return int(any(wrong.values()))


def _write(found: Sequence[Judgement], folder: Path) -> None:
    for judgement in found:
        smallest = counterexample(judgement)
        if smallest is not None:
            text = toml(smallest[1].specification())
            write_atomically(folder / f"{judgement.statement.id}.toml", text.encode())


def _as_json(found: Sequence[Judgement], wrong: dict[str, list[str]]) -> dict[str, Any]:
    statements = {}
    for judgement in found:
        name, row = judgement.statement.id, headline(judgement)
        numbers = {k: _or_none(v) for k, v in row.items()}
        statements[name] = {"expected": judgement.statement.expected} | numbers
        statements[name] |= {"seconds": round(judgement.seconds, 3)}
        statements[name] |= {"differences": wrong[name], "claims": plain(judgement)["claims"]}
    about = {"versions": versions(), "device": device(), "dtype": dtype()}
    return {"statements": statements, "provenance": about}


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return "" if math.isnan(value) else f"{value:.4g}"


def _table(found: Sequence[Judgement], wrong: dict[str, list[str]]) -> Table:
    table = Table(
        title="Statements: smallest right side over left side as printed (margin), and how close "
        "the best case of the form that holds comes (tightness; for equalities, ± the deviation)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for name in ("statement", "verdict"):
        table.add_column(name, no_wrap=True)
    for name in ("margin", "tightness", "designs", "seconds"):
        table.add_column(name, justify="right")
    for judgement in found:
        row, name = headline(judgement), judgement.statement.id
        close = _number(row["tightness"])
        if not math.isnan(row["deviation"]):
            close = f"± {row['deviation']:.0e}" if row["deviation"] else "equal"
        style = "bold red" if wrong[name] else None
        table.add_row(
            name,
            row["verdict"],
            _number(row["margin"]),
            close,
            str(row["designs"]),
            f"{judgement.seconds:.1f}",
            style=style,
        )
    return table


def _explain(judgement: Judgement, wrong: Sequence[str], screen: Screen) -> None:
    """What differs from the record, and the counterexample or the design that comes closest."""
    for difference in wrong:
        screen.warn(f"{judgement.statement.id}: {difference}")
    if not wrong:
        return
    smallest = counterexample(judgement)
    if smallest is not None:
        outcome, design = smallest
        screen.warn(f"counterexample to the claim {outcome.claim.name!r} ({outcome.claim.says}):")
        screen.warn("\n" + toml(design.specification()))
        return
    printed = judgement.outcomes[0]
    worst = printed.seen.found[printed.worst] if printed.seen.found else None
    if worst is not None:
        screen.warn("no claim fails; the design that comes closest:")
        screen.warn("\n" + toml(worst.specification()))


def _summary(found: Sequence[Judgement], wrong: dict[str, list[str]]) -> str:
    differ = [name for name, each in wrong.items() if each]
    claims = sum(len(j.outcomes) for j in found)
    text = f"{len(found)} statements, {claims} claims; "
    return text + (
        f"different from the record: {', '.join(differ)}" if differ else "all as recorded"
    )

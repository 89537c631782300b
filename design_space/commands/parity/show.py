"""The table of comparisons, on a terminal and on a page."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from design_space.checks import refusal
from design_space.commands.parity.record import Comparison

BEGIN, END = "<!-- parity -->", "<!-- /parity -->"
"""What stands before and after the table on a page."""


def rounded_up(value: float) -> str:
    """A number above 0 with one digit, never smaller than it is."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    power = math.floor(math.log10(value))
    digit = math.ceil(value / 10.0**power * (1 - 1e-12))
    return f"{digit}e{power}" if digit < 10 else f"1e{power + 1}"


def _difference(found: Comparison) -> str:
    return found.trouble if found.difference is None else rounded_up(found.difference)


def _verdict(found: Comparison) -> str:
    return {None: "not compared", True: "agrees", False: "DIFFERS"}[found.agrees]


def table(out: Console, found: Sequence[Comparison]) -> None:
    """Prints the table.

    Args:
      out: where it goes.
      found: the comparisons.
    """
    title = "Same score, same noise, same grid: largest relative difference"
    drawn = Table(title=title, title_justify="left")
    drawn.add_column("row", no_wrap=True)
    wide = out.width >= 120
    if wide:
        drawn.add_column("what is the same here", overflow="fold")
    for name in ("difference", "rounding"):
        drawn.add_column(name, justify="right")
    drawn.add_column("")
    measured = [each for each in found if each.difference is not None]
    for each in measured:
        row = each.row
        numbers = (_difference(each), rounded_up(row.tolerance))
        ours = (row.ours,) if wide else ()
        drawn.add_row(row.name, *ours, *numbers, _verdict(each))
    if measured:
        out.print(drawn, markup=False)
    versions = {each.library: each.version for each in measured}
    if versions:
        out.print(", ".join(f"{name} {version}" for name, version in versions.items()))
    others = Counter((e.library, e.trouble) for e in found if e.difference is None)
    for (library, trouble), count in others.items():
        rows = "1 row" if count == 1 else f"{count} rows"
        out.print(f"{library}, {rows} not compared: {trouble}", markup=False, soft_wrap=True)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def markdown(found: Sequence[Comparison]) -> str:
    """The table of a page.

    Args:
      found: the comparisons.
    """
    lines = []
    for library in dict.fromkeys(each.library for each in found):
        own = [each for each in found if each.library == library]
        lines += [f"**{library} {own[0].version}**", ""]
        lines += ["| row | theirs | ours | difference | rounding | known difference |"]
        lines += ["|---|---|---|---:|---:|---|"]
        for each in own:
            row = each.row
            numbers = f"{_difference(each)} | {rounded_up(row.tolerance)}"
            code = f"`{_cell(row.theirs)}` | {_cell(row.ours)}"
            lines.append(f"| {row.name} | {code} | {numbers} | {_cell(row.note)} |")
        lines.append("")
    return "\n".join(lines).strip()


def write(page: Path, found: Sequence[Comparison]) -> None:
    """Puts the table between the marks of a page.

    Args:
      page: a Markdown file with the two marks.
      found: the comparisons, all of them measured.

    Raises:
      ValueError: if one was not measured, or the marks are not there.
      OSError: if the page cannot be read or written.
    """
    missing = sorted({each.library for each in found if each.difference is None})
    if missing:
        domain = "a table of all libraries"
        raise refusal("markdown", str(page), domain, f"install {', '.join(missing)} first")
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        domain = "a page with the lines <!-- parity --> and <!-- /parity -->"
        raise refusal("markdown", str(page), domain, "add these two lines")
    before, rest = text.split(BEGIN)
    block = f"{BEGIN}\n{markdown(found)}\n{END}"
    page.write_text(before + block + rest.split(END)[1], encoding="utf-8")

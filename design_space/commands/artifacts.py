"""Files made from a table: its figure as PDF, SVG and PNG, and its exports as CSV and LaTeX."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

import figures
from analyses.closure import source_hash
from design_space.files import Tell, canonical, digest_of, write_atomically
from figures.style import render

FIGURE_KINDS = ("pdf", "svg", "png")


def keep(
    record: Path, key: str, make: Callable[[], Mapping[str, bytes]], tell: Tell
) -> tuple[dict[str, bytes], bool]:
    """Reads files back if they were made under the same key and are whole, else makes them anew.

    Args:
      record: a JSON file that holds the key and the checksum of each file; the files lie beside it.
      key: stands for everything that the files depend on.
      make: makes the files' contents, by file name.
      tell: told of damaged files.

    Returns:
      The contents by file name, and whether they were made now.
    """
    found = _read_kept(record, key, tell)
    if found is not None:
        return found, False
    contents = dict(make())
    record.unlink(missing_ok=True)
    for name, content in contents.items():
        write_atomically(record.parent / name, content)
    sums = {name: digest_of(content) for name, content in contents.items()}
    write_atomically(record, (canonical({"key": key, "files": sums}) + "\n").encode())
    return contents, True


def _read_kept(record: Path, key: str, tell: Tell) -> dict[str, bytes] | None:
    """The contents of the files under `record`, or None if they are missing, old or damaged."""
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["key"] != key:
            return None
        contents = {name: (record.parent / name).read_bytes() for name in known["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    damaged = [name for name, c in contents.items() if digest_of(c) != known["files"][name]]
    for name in damaged:
        path = record.parent / name
        path.replace(path.with_name(path.name + ".damaged"))
        tell(f"{path} is damaged: set aside as {path.name}.damaged, making it again")
    return None if damaged else contents


def figure_files(
    name: str, draw: Any, table: pd.DataFrame, table_hash: str, folder: Path, tell: Tell
) -> tuple[dict[str, bytes], bool]:
    """Draws the figure of a table, if the table or the figure's source changed since last time.

    Args:
      name: stem of the files.
      draw: the figure module, with `draw(table)` and `__file__`.
      table: what to draw.
      table_hash: stands for the table.
      folder: where the files go.
      tell: told of damaged files.

    Returns:
      Contents by file name (NAME.pdf, NAME.svg, NAME.png), and whether they were drawn now.
    """
    source = source_hash(Path(draw.__file__), {"figures": Path(figures.__path__[0])})
    key = hashlib.sha256(f"{table_hash} {source} {matplotlib.__version__}".encode()).hexdigest()

    def make() -> dict[str, bytes]:
        figure = draw.draw(table)
        return {f"{name}.{kind}": render(figure, kind) for kind in FIGURE_KINDS}

    return keep(folder / "figure.json", key, make, tell)


def to_csv(table: pd.DataFrame) -> bytes:
    """A table as CSV, numbers with all their digits."""
    return table.to_csv(index=False, lineterminator="\n").encode()


def to_latex(table: pd.DataFrame, caption: str, label: str) -> bytes:
    r"""A table as a LaTeX longtable with booktabs rules, numbers to five digits.

    It needs `\usepackage{booktabs,longtable}`.
    """
    styler = table.style
    styler.hide(axis="index")
    styler.format(_latex_cell, na_rep="--")
    styler.format_index(escape="latex", axis=1)
    text = styler.to_latex(
        hrules=True, environment="longtable", caption=caption, label=f"tab:{label}"
    )
    return str(text).encode()


def _latex_cell(value: Any) -> str:
    """One cell: numbers to five digits in math mode, words with LaTeX's characters escaped."""
    if isinstance(value, float):
        mantissa, _, exponent = f"{value:.5g}".partition("e")
        power = rf" \cdot 10^{{{int(exponent)}}}" if exponent else ""
        return f"${mantissa}{power}$"
    text = str(value)
    for character in "&%$#_{}":
        text = text.replace(character, "\\" + character)
    return text


def table_files(
    name: str, title: str, table: pd.DataFrame, table_hash: str, folder: Path, tell: Tell
) -> tuple[dict[str, bytes], bool]:
    """Exports a table as NAME.csv and NAME.tex, if it changed since last time.

    Returns:
      Contents by file name, and whether they were made now.
    """
    source = digest_of(Path(__file__).read_bytes())
    key = hashlib.sha256(f"{table_hash} {source} {pd.__version__}".encode()).hexdigest()

    def make() -> dict[str, bytes]:
        return {f"{name}.csv": to_csv(table), f"{name}.tex": to_latex(table, title, name)}

    return keep(folder / "exports.json", key, make, tell)

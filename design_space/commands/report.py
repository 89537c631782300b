"""The report: one self-contained page from what lies in a result folder."""

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from design_space.files import write_atomically

_ROWS = 5  # shown of each part of a table; the files hold the rest


def section(
    name: str,
    title: str,
    caption: str,
    finding: str,
    table: pd.DataFrame,
    table_hash: str,
    preset: str,
    pieces: Sequence[dict[str, Any]],
    whole_parts: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything that the report says of one analysis, as plain data.

    Args:
      name: of the analysis; its files lie in the folder of this name.
      title: heading.
      caption: what the figure draws.
      finding: what it shows, in words.
      table: the whole table.
      table_hash: SHA-256 of its Parquet file.
      preset: the preset that it was computed with.
      pieces: provenance of the table's pieces.
      whole_parts: parts of the table that are shown whole.
    """
    last = max(pieces, key=lambda piece: piece["time"])
    return {
        "name": name,
        "title": title,
        "caption": caption,
        "finding": finding,
        "rows": len(table),
        "parts": _parts(table, whole_parts),
        "facts": {
            "preset": preset,
            "computed": f"{last['time']}, {len(pieces)} pieces, "
            f"{sum(piece['seconds'] for piece in pieces):.1f} s in all",
            "device": last["device"],
            "precision": last["dtype"],
            "seed": "none: nothing random" if last["seed"] is None else str(last["seed"]),
            "versions": ", ".join(f"{k} {v}" for k, v in last["versions"].items()),
            "source": f"sha256 {last['source']}",
            "table": f"sha256 {table_hash}",
        },
    }


def _parts(table: pd.DataFrame, whole: Sequence[str]) -> list[dict[str, Any]]:
    """The first rows of each part of a table, as text; columns empty in a part are left out."""
    groups: Iterable[tuple[Any, pd.DataFrame]] = [("", table)]
    if "part" in table.columns:
        groups = table.groupby("part", sort=False)
    parts = []
    for label, group in groups:
        shown = group.drop(columns="part", errors="ignore").dropna(axis=1, how="all")
        some = shown if label in whole else shown.head(_ROWS)
        rows = [[_cell(value) for value in row] for row in some.to_numpy(dtype=object)]
        parts.append(
            {"label": label, "columns": list(shown.columns), "rows": rows, "total": len(group)}
        )
    return parts


def _cell(value: Any) -> str:
    """One cell as text: five digits, an en dash for nothing."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value)


def build(out: Path, order: Sequence[str]) -> Path:
    """Writes `out/report.html` from every section that the folder holds.

    Args:
      out: the result folder, with NAME/section.json and NAME/NAME.svg.
      order: names in the order of the page; others follow, sorted.

    Returns:
      The page's path.
    """
    found = {path.parent.name: path for path in sorted(out.glob("*/section.json"))}
    names = [name for name in order if name in found]
    names += [name for name in found if name not in names]
    sections = []
    for name in names:
        entry = json.loads(found[name].read_text(encoding="utf-8"))
        picture = (out / name / f"{name}.svg").read_bytes()
        sections.append(entry | {"picture": base64.b64encode(picture).decode()})
    template = Path(__file__).parent / "templates" / "report.html"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(template.read_text(encoding="utf-8")).render(sections=sections)
    path = out / "report.html"
    if not path.is_file() or path.read_text(encoding="utf-8") != page:
        write_atomically(path, page.encode())
    return path

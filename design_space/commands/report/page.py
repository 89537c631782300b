"""Writes the report from what lies in a result folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from design_space.commands.report.badges import counts
from design_space.commands.report.downloads import data_link, links_beside, picture
from design_space.commands.report.tables import anchor, dressed
from design_space.files import write_atomically

_TEMPLATES = Path(__file__).parent / "templates"


def build(out: Path, order: Sequence[str]) -> Path:
    """Writes `out/report.html` from every section that the folder holds.

    The page asks for no other file: style, script, figures and all but the largest tables are in
    it, and its own policy forbids every request.

    Args:
      out: the result folder, with NAME/section.json and NAME/NAME.svg.
      order: names in the order of the page; others follow, sorted.

    Returns:
      The page's path.
    """
    found = {path.parent.name: path for path in sorted(out.glob("*/section.json"))}
    names = [name for name in order if name in found]
    names += [name for name in found if name not in names]
    entries = [json.loads(found[name].read_text(encoding="utf-8")) for name in names]
    page = (
        _environment()
        .get_template("page.html")
        .render(
            sections=[_with_files(out, entry) for entry in entries],
            verdicts=counts(entries),
            said={key: _said(entries, key) for key in ("device", "precision", "preset")},
            days=sorted({entry["facts"]["computed"][: len("2026-01-01")] for entry in entries}),
            missing=[name for name in order if name not in found],
        )
    )
    path = out / "report.html"
    if not path.is_file() or path.read_text(encoding="utf-8") != page:
        write_atomically(path, page.encode())
    return path


def _environment() -> jinja2.Environment:
    """How templates are read: everything put into them is escaped, nothing may be undefined."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["anchor"] = anchor
    return environment


def _with_files(out: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A section with its figure, its links and its tables as the page shows them."""
    name = entry["name"]
    return {
        **entry,
        "parts": [dressed(part) for part in entry["parts"]],
        "picture": picture(out, name),
        "data": data_link(out, name),
        "beside": links_beside(out, name),
    }


def _said(entries: Sequence[Mapping[str, Any]], key: str) -> str:
    """What the sections say of a fact, once each."""
    return ", ".join(dict.fromkeys(entry["facts"][key] for entry in entries))

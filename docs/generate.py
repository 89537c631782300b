"""Writes the generated parts of the pages: floors, index, errata, the paper's map, the reference.

`python docs/generate.py` writes them; `--check` writes nothing and fails if a page is out of date.
"""

import ast
import os
import re
import sys
import tomllib
from functools import partial
from pathlib import Path

import yaml

from analyses.errata import errata, statements

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "extensions"))
import names  # noqa: E402 (it lies beside the extensions of the site, which read what it writes)

FOLDERS = {
    "tutorials": "Lessons",
    "howto": "How-to guides",
    "theory": "Theory and findings",
    "api": "Reference",
    "": "The house",
}

FIRST = ("index", "start", "overview")
"""Pages that lead their folder; all others follow by name."""


def first_line(module: str) -> str:
    """First sentence of the docstring of a module of the project, given by its dotted name."""
    base = ROOT.joinpath(*module.split("."))
    file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def place(module: str) -> str:
    """Where a module lies: a folder or a file."""
    path = Path(*module.split("."))
    return f"{path}/" if (ROOT / path).is_dir() else f"{path}.py"


def floors() -> str:
    """The table of floors, top first, from the layers contract in pyproject.toml."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["id"] == "floors")
    rows = ["| floor | place | purpose |", "|---|---|---|"]
    for depth, layer in enumerate(layers):
        for module in re.split(r"\s*[|:]\s*", layer):
            floor = len(layers) - 1 - depth
            rows.append(f"| {floor} | `{place(module)}` | {first_line(module)} |")
    return "\n".join(rows)


def index() -> str:
    """The list of pages, folder by folder, with their titles."""
    lines = []
    for folder, heading in FOLDERS.items():
        found = (p for p in (DOCS / folder).glob("*.md") if p != DOCS / "index.md")
        pages = sorted(found, key=lambda page: (page.stem not in FIRST, page.name))
        if folder == "api":
            pages = [DOCS / folder / f"{group}.md" for group in names.GROUPS]
        if not folder:
            pages += [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
        if pages:
            lines += [f"**{heading}**", ""]
        for page in pages:
            title = page.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
            lines.append(f"- [{title}]({Path(os.path.relpath(page, DOCS)).as_posix()})")
        if pages:
            lines.append("")
    return "\n".join(lines).strip()


def citation() -> str:
    """How to cite the project and the papers whose statements it checks, from CITATION.cff."""
    entry = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    authors = " and ".join(author["name"] for author in entry["authors"])
    lines = ["```bibtex", "@software{design_space,", f"  title = {{{entry['title']}}},"]
    lines += [f"  author = {{{{{authors}}}}},", f"  version = {{{entry['version']}}},"]
    lines += [f"  license = {{{entry['license']}}},", "}"]
    for paper in entry["references"]:
        names_of = " and ".join(
            f"{a['family-names']}, {a['given-names']}" for a in paper["authors"]
        )
        kind = "inproceedings" if paper["type"] == "conference-paper" else "article"
        where = "booktitle" if kind == "inproceedings" else "journal"
        number = paper["identifiers"][0]["value"]
        key = paper["authors"][0]["family-names"].lower() + str(paper["year"])
        lines += ["", f"@{kind}{{{key},", f"  title = {{{paper['title']}}},"]
        lines += [f"  author = {{{names_of}}},", f"  year = {{{paper['year']}}},"]
        lines.append(f"  {where} = {{{paper.get('collection-title', number)}}},")
        lines += [f"  note = {{{number}}},"] * ("collection-title" in paper) + ["}"]
    return "\n".join([*lines, "```"])


PARTS = {
    "architecture.md": ("floors", floors),
    "index.md": ("pages", index),
    "errata.md": ("errata", errata),
    "paper_map.md": ("statements", statements),
    "citing.md": ("citation", citation),
} | {f"api/{group}.md": ("names", partial(names.table, group)) for group in names.GROUPS}
"""Page -> the name of its generated part, and what makes it."""


def rendered(page: str) -> str:
    """The text of a page with its generated part made anew."""
    name, make = PARTS[page]
    text = (DOCS / page).read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    before, rest = text.split(begin)
    return before + begin + make() + end + rest.split(end)[1]


def main(arguments: list[str]) -> int:
    """Writes the pages, or with `--check` only compares them; returns the exit status."""
    status = 0
    for page in PARTS:
        old, new = (DOCS / page).read_text(encoding="utf-8"), rendered(page)
        if old != new and "--check" in arguments:
            print(f"docs/{page} is out of date: run python docs/generate.py")
            status = 1
        elif old != new:
            (DOCS / page).write_text(new, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Writes the generated parts of the pages: floors, index, errata, the map of the paper.

`python docs/generate.py` writes them; `--check` writes nothing and fails if a page is out of date.
"""

import ast
import re
import sys
import tomllib
from pathlib import Path

from analyses.errata import errata, statements

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
FOLDERS = {
    "": "The house",
    "tutorials": "Lessons",
    "howto": "How to",
    "theory": "Findings",
}


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
        pages = sorted(p for p in (DOCS / folder).glob("*.md") if p != DOCS / "index.md")
        if pages:
            lines += [f"**{heading}**", ""]
        for page in pages:
            title = page.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
            lines.append(f"- [{title}]({page.relative_to(DOCS).as_posix()})")
        if pages:
            lines.append("")
    return "\n".join(lines).strip()


PARTS = {
    "architecture.md": ("floors", floors),
    "index.md": ("pages", index),
    "errata.md": ("errata", errata),
    "paper_map.md": ("statements", statements),
}
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

"""Fenced blocks of the Markdown pages, for the tests that run them."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```[ ]*$", re.MULTILINE | re.DOTALL)
_OUTPUT = "<!-- output -->"
_NAMED = re.compile(r"# ([\w.-]+)\n")


class Block(NamedTuple):
    """One fenced block: its language, its text, and the line of the page where its text begins.

    The language of a block below the comment `<!-- output -->` is "output".
    """

    language: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page's text, in order, without their indentation."""
    found = []
    for match in _FENCE.finditer(page):
        indent, language, text = match.groups()
        text = "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
        if page[: match.start()].rstrip().endswith(_OUTPUT):
            language = "output"
        found.append(Block(language, text, page.count("\n", 0, match.start()) + 2))
    return found


def file_name(block: Block) -> str | None:
    """The name in a leading comment `# name.toml`: the file that the reader is to make of it."""
    match = _NAMED.match(block.text)
    return match.group(1) if match and "." in match.group(1) else None


def commands(block: Block) -> list[str]:
    """The commands of a shell block, with continued lines joined."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def pages() -> list[Path]:
    """README.md and every page of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

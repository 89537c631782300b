"""What the pages are to the site: the list of docs/index.md as its table of contents.

The list is written by `python docs/generate.py` and is read here, so that there is one of it.
"""

import re
from typing import Any

_PART = re.compile(r"<!-- pages -->\n(.*?)<!-- /pages -->", re.DOTALL)
_ITEM = re.compile(r"^- \[.*\]\((.*)\.md\)$")
_HEADING = re.compile(r"^(?:\*\*|#+ )(.*?)(?:\*\*)?$")


def toctrees(part: str) -> str:
    """Tables of contents, hidden in the page itself, of a list of pages under bold headings.

    Args:
      part: lines `**Heading**` and `- [Title](page.md)`.
    """
    lines: list[str] = []
    for line in part.splitlines():
        if item := _ITEM.match(line):
            lines.append(item.group(1))
        elif heading := _HEADING.match(line):
            lines += ["```", "", "```{toctree}", ":hidden:", f":caption: {heading.group(1)}", ""]
    return "\n".join([*lines[1:], "```", ""])


def read(app: Any, docname: str, content: list[str]) -> None:
    """Adds the tables of contents to the landing page, of which README.md is the short form."""
    if docname == "README":
        content[0] = "---\norphan: true\n---\n\n" + content[0]
    found = _PART.search(content[0])
    if docname == app.config.root_doc and found:
        content[0] += "\n" + toctrees(found.group(1))


def setup(app: Any) -> dict[str, bool]:
    """Connects to the reading of pages."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The page of a lesson as a plain Python script, its text as comments."""

import re

from design_space.lessons.parts import Part, parts

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def script(page: str, title: str) -> str:
    """Writes a lesson as a Python script that runs by itself.

    The script is in the percent format: `# %%` begins a cell, so that editors that know it (VS
    Code, Spyder, PyCharm) show the lesson as a notebook; Python sees comments.

    Args:
      page: the Markdown text of the lesson.
      title: a first line, which says where the script comes from.

    Returns:
      The text of the script: the Python blocks of the page, unchanged and in order, with all
      other text as comments between them.
    """
    cells = [_commented(title)]
    previous = "code"
    for part in parts(page):
        if part.kind == "code":
            cells.append(f"# %%\n{part.text}")
        elif part.kind != "end":
            mark = "# %% [markdown]\n" if previous in ("code", "output") else "#\n"
            cells.append(("" if part.kind == "output" else mark) + _commented(_shown(part)))
        previous = part.kind if part.kind != "end" else previous
    text = "\n".join(cell + ("\n" if _ends(cell) else "") for cell in cells)
    return text.rstrip("\n") + "\n"


def _ends(cell: str) -> bool:
    """Whether a blank line follows: after code."""
    return not cell.rsplit("\n", 1)[-1].startswith("#")


def _shown(part: Part) -> str:
    if part.kind == "output":
        return f"prints\n{part.text}"
    if part.kind == "answer":
        return f"### {part.text}"
    return _COMMENT.sub("", part.text).strip("\n")


def _commented(text: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in text.splitlines())

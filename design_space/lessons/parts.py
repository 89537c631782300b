"""What the page of a lesson consists of: headings, prose, code, its output, and answers."""

import re
from typing import Literal, NamedTuple

Kind = Literal["heading", "prose", "code", "output", "block", "answer", "end"]
"""`code` is Python to run, `output` what the code before it prints, `block` any other fenced text;
`answer` opens a worked answer, and `end` closes it."""

_FENCE = re.compile(r"(`{3,}|~{3,})\s*(\w*)")
_HEADING = re.compile(r"#{1,6} .*")
_ANSWER = re.compile(r"\s*<details>\s*<summary>(.*?)</summary>\s*")
_MARK = "<!-- output -->"


class Part(NamedTuple):
    """A piece of a page: its kind, its text, and the line of the page where that text begins."""

    kind: Kind
    text: str
    line: int


def parts(page: str) -> list[Part]:
    """Cuts the Markdown text of a lesson into its parts.

    Args:
      page: the text. A fenced block of language `text` whose last line before it that is not
        blank is the comment `<!-- output -->` is the output of the Python block before it.

    Returns:
      The parts in order, blank prose and comments left out; headings with their signs `#`.
    """
    found: list[Part] = []
    prose: list[str] = []
    lines = page.splitlines()
    marked, at = False, 0

    def close() -> None:
        blank = next((k for k, each in enumerate(prose) if each.strip()), len(prose))
        if blank < len(prose):
            text = "\n".join(prose[blank:]).rstrip()
            found.append(Part("prose", text, at - len(prose) + blank + 1))
        prose.clear()

    while at < len(lines):
        line = lines[at]
        fence = _FENCE.match(line)
        single = _single(line, at + 1)
        if fence or single or line.strip() == _MARK:
            close()
        if fence:
            end = _end_of_block(lines, at, fence.group(1))
            kind = _kind_of_block(fence.group(2), marked)
            found.append(Part(kind, "\n".join(lines[at + 1 : end]), at + 2))
            at = end
        elif single:
            found.append(single)
        elif line.strip() != _MARK:
            prose.append(line)
        if line.strip():
            marked = line.strip() == _MARK
        at += 1
    close()
    return found


def _single(line: str, number: int) -> Part | None:
    """The part that one line is, if it is one: a heading, or the begin or end of an answer."""
    if _HEADING.fullmatch(line):
        return Part("heading", line.strip(), number)
    answer = _ANSWER.fullmatch(line)
    if answer:
        return Part("answer", answer.group(1).strip(), number)
    return Part("end", "", number) if line.strip() == "</details>" else None


def _end_of_block(lines: list[str], begin: int, fence: str) -> int:
    """Index of the line that closes the fenced block, or of the line past the last."""
    for index in range(begin + 1, len(lines)):
        if lines[index].strip() == fence:
            return index
    return len(lines)


def _kind_of_block(language: str, marked: bool) -> Kind:
    if language == "python":
        return "code"
    return "output" if marked else "block"

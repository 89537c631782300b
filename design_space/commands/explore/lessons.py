"""The lessons beside the pictures: a page of docs/tutorials as HTML of the explorer."""

import base64
import html
import re
from typing import Any

import marimo as mo

from design_space.lessons.pages import lesson_page, lessons, lessons_folder
from design_space.lessons.parts import Part, parts

_TOKEN = re.compile(
    r"(?P<kept>\$\$.*?\$\$|\$[^$]+\$|`[^`]*`)"  # formulas and code hold no links
    r"|(?P<image>!?)\[(?P<words>[^\]]*)\]\((?P<target>[^)\s]+)\)",
    re.DOTALL,
)
_HERE = re.compile(r"http://127\.0\.0\.1:2718/?(\?.*)?")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
LARGEST_IMAGE = 400_000
"""Bytes up to which a picture of a lesson is put into the page."""


def titles() -> dict[int, str]:
    """The lessons that are there: number -> title. None where the pages cannot be found."""
    try:
        return {each.number: each.title for each in lessons()}
    except ValueError:
        return {}


def shown(number: int | None) -> Any:
    """A lesson as the page shows it, or nothing.

    Args:
      number: of the lesson; None for free exploration.
    """
    if number is None:
        return None
    text = lesson_page(number).read_text(encoding="utf-8")
    body = "".join(_piece(part) for part in parts(text))
    about = f'class="ds-lesson" tabindex="0" aria-label="Lesson {number}"'
    return mo.Html(f"<article {about}>{body}</article>")


def _piece(part: Part) -> str:
    """One part of a lesson as HTML; answers are folded."""
    match part.kind:
        case "answer":
            return f"<details><summary>{html.escape(part.text)}</summary>"
        case "end":
            return "</details>"
        case "code":
            return _fenced("python", part.text)
        case "output":
            return f'<p class="ds-prints">prints</p>{_fenced("text", part.text)}'
        case "block":
            return _fenced("text", part.text)
    return mo.md(adapted(part.text)).text


def _fenced(language: str, text: str) -> str:
    return mo.md(f"```{language}\n{text}\n```").text


def adapted(text: str) -> str:
    """Prose whose pictures and links work inside the explorer.

    Pictures of the gallery are put into the page, links to the explorer's own address become
    relative to wherever it runs, and links to other pages of the documentation become words.

    Args:
      text: Markdown of a page in the folder of the lessons.
    """
    text = _COMMENT.sub("", text)
    return _TOKEN.sub(_token, text)


def _token(match: re.Match[str]) -> str:
    """A formula as it is; a picture or a link as the explorer shows it."""
    if match["kept"]:
        return match["kept"]
    return (_image if match["image"] else _link)(match["words"], match["target"])


def _image(words: str, target: str) -> str:
    """A picture inside the page, or what it shows in words."""
    words = " ".join(words.split())
    try:
        content = lessons_folder().joinpath(*target.split("/")).read_bytes()
    except (OSError, ValueError):
        return f"*({words})*"
    if len(content) > LARGEST_IMAGE or not target.endswith(".png"):
        return f"*({words})*"
    return f"![{words}](data:image/png;base64,{base64.b64encode(content).decode()})"


def _link(words: str, target: str) -> str:
    here = _HERE.fullmatch(target)
    if here:
        return f"[{words}]({here[1] or '?'})"
    if target.startswith(("https://", "#")):
        return f"[{words}]({target})"
    return words

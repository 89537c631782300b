"""Where the pages of the lessons lie, and what they say about themselves."""

import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from design_space import checks

_CHECKOUT = Path(__file__).resolve().parents[2]
_PAGE = re.compile(r"lesson_(\d+)_\w+\.md")
_TITLE = re.compile(r"# Lesson \d+: (.+)")
_TIME = re.compile(r"\*\*Time:\*\* ([^.]+)\.")


class Lesson(NamedTuple):
    """What a page says about itself: its number, its title, and the time that it takes."""

    number: int
    title: str
    time: str


def lessons_folder() -> Traversable:
    """Returns the folder of the pages: `docs/tutorials` of a checkout, else the one in the wheel.

    Raises:
      ValueError: if this installation has neither.
    """
    checkout = _CHECKOUT / "docs" / "tutorials"
    if (_CHECKOUT / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    packed = resources.files("design_space") / "tutorials"
    if not packed.is_dir():
        domain, remedy = "a folder with the lessons", "install the package from its wheel"
        raise checks.refusal("tutorials", str(packed), domain, remedy)
    return packed


def lesson_pages() -> list[Traversable]:
    """Returns the pages `lesson_N_NAME.md`, in the order of N."""
    found = [(_PAGE.fullmatch(page.name), page) for page in lessons_folder().iterdir()]
    numbered = [(int(match.group(1)), page) for match, page in found if match]
    return [page for _, page in sorted(numbered, key=lambda each: each[0])]


def lesson_page(number: int) -> Traversable:
    """Returns the page of a lesson.

    Args:
      number: N of `lesson_N_NAME.md`.

    Raises:
      ValueError: if there is no such lesson.
    """
    pages = {int(page.name.split("_")[1]): page for page in lesson_pages()}
    if number not in pages:
        known = ", ".join(map(str, pages))
        remedy = "`design-space lesson` lists them with their titles"
        raise checks.refusal("lesson", number, f"the number of a lesson ({known})", remedy)
    return pages[number]


def lesson_text(number: int) -> str:
    """Returns the Markdown text of a lesson.

    Args:
      number: N of `lesson_N_NAME.md`.

    Raises:
      ValueError: if there is no such lesson.
    """
    return lesson_page(number).read_text(encoding="utf-8")


def lesson(number: int) -> Lesson:
    """Returns what the page of a lesson says about itself.

    Args:
      number: N of `lesson_N_NAME.md`.

    Raises:
      ValueError: if there is no such lesson, or its page has no title or time.
    """
    text = lesson_text(number)
    title, time = _TITLE.match(text), _TIME.search(text)
    if title is None or time is None:
        domain = "a page that begins with `# Lesson N: TITLE` and has a line `**Time:** ... .`"
        name = lesson_page(number).name
        raise checks.refusal("lesson", name, domain, "write them as the other lessons do")
    return Lesson(number, title.group(1).strip(), " ".join(time.group(1).split()))


def lessons() -> list[Lesson]:
    """Returns all lessons, in order."""
    return [lesson(int(page.name.split("_")[1])) for page in lesson_pages()]

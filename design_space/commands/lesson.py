"""`design-space lesson`: a lesson as a plain script, run or written."""

import linecache
from pathlib import Path

from design_space import checks
from design_space.files import write_atomically
from design_space.lessons.pages import lesson, lesson_page, lesson_text, lessons
from design_space.lessons.parts import Part, parts
from design_space.lessons.script import script

_LINES = {1: "=", 2: "-"}


def show_lessons() -> None:
    """Prints the lessons: number, title, time."""
    known = lessons()
    width = max((len(each.title) for each in known), default=0)
    for each in known:
        print(f"{each.number}  {each.title:<{width}}  {each.time}")
    print("\n`design-space lesson N` runs a lesson, `--script FILE` writes it as a script.")


def write_script(number: int | None, path: Path, force: bool = False) -> None:
    """Writes a lesson as a plain Python script.

    Args:
      number: of the lesson; None is refused, for there is no script of all lessons.
      path: the file to write.
      force: replace the file if it exists.

    Raises:
      ValueError: if there is no such lesson, or the file exists and is not to be replaced.
    """
    if number is None:
        remedy = "write `design-space lesson N --script FILE`"
        raise checks.refusal("lesson", number, "the number of a lesson", remedy)
    about = lesson(number)
    if path.exists() and not force:
        remedy = "name another file, or replace this one with --force"
        raise checks.refusal("script", str(path), "a file that does not exist yet", remedy)
    title = f"Lesson {number}: {about.title}. Written by `design-space lesson {number}`."
    write_atomically(path, script(lesson_text(number), title).encode())
    print(f"wrote {path}: run it with `python {path}`, or open it as a notebook (cells: # %%)")


def run_lesson(number: int) -> None:
    """Runs the Python blocks of a lesson in one namespace.

    Prints headings, what the blocks print, and the text of the exercises before their answers.

    Args:
      number: of the lesson.

    Raises:
      ValueError: if there is no such lesson.
    """
    page, text = lesson_page(number), lesson_text(number)
    name = str(page)
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace: dict[str, object] = {"__name__": "lesson"}
    exercises = answer = False
    for part in parts(text):
        if part.kind == "heading":
            exercises = exercises or part.text == "## Exercises"
            _print_heading(part.text)
        elif part.kind in ("answer", "end"):
            answer = part.kind == "answer"
            print(f"\n{part.text}:" if answer else "", flush=True)
        elif part.kind == "code":
            _execute(part, name, namespace)
        elif part.kind == "prose" and exercises and not answer:
            print(part.text, flush=True)
    print(f"The whole text: {name}")


def _print_heading(heading: str) -> None:
    level, title = len(heading) - len(heading.lstrip("#")), heading.lstrip("# ")
    print(f"\n{title}\n{_LINES.get(level, '.') * len(title)}", flush=True)


def _execute(part: Part, name: str, namespace: dict[str, object]) -> None:
    """Runs one block, so that a traceback shows the lines of the page."""
    padded = "\n" * (part.line - 1) + part.text + "\n"
    exec(compile(padded, name, "exec"), namespace)

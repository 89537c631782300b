"""`design-space lesson`: lists, runs and writes lessons, and refuses."""

import subprocess
import sys

import pytest
from markdown_pages import ROOT
from typer.testing import CliRunner

from design_space.cli import app
from design_space.lessons import pages

PAGE = """# Lesson 1: Sums

**Time:** 10 minutes. Nothing is needed.

## Adding

Prose is not printed.

```python
total = 1 + 1
print("total", total)
```

## Exercises

**Exercise 1** (warm-up). Add three.

<details><summary>Answer 1</summary>

It is five.

```python
print("answer", total + 3)
```

</details>
"""
RUN = """
Lesson 1: Sums
==============

Adding
------
total 2

Exercises
---------
**Exercise 1** (warm-up). Add three.

Answer 1:
answer 5

"""


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """One short lesson in the place of all."""
    (tmp_path / "lesson_1_sums.md").write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(pages, "lessons_folder", lambda: tmp_path)
    return tmp_path


def invoke(*words):
    return CliRunner().invoke(app, ["lesson", *map(str, words)])


def check_refusal(result, *fragments):
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    for fragment in ("design-space: ", "must be", *fragments):
        assert fragment in line


def test_without_a_number_the_lessons_are_listed(folder):
    result = invoke()
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("1  Sums  10 minutes\n\n")


def test_a_lesson_runs_in_order_with_its_exercises(folder):
    result = invoke(1)
    assert result.exit_code == 0, result.output
    assert result.stdout == RUN + f"The whole text: {folder / 'lesson_1_sums.md'}\n"


def test_a_block_that_fails_is_shown_by_its_line_of_the_page(folder):
    (folder / "lesson_1_sums.md").write_text(PAGE.replace("1 + 1", "1 / 0"), encoding="utf-8")
    result = invoke(1)
    assert isinstance(result.exception, ZeroDivisionError)
    trace = result.exception.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    assert trace.tb_lineno == 1 + PAGE[: PAGE.index("total =")].count("\n")
    assert trace.tb_frame.f_code.co_filename == str(folder / "lesson_1_sums.md")


def test_a_script_is_written_once_and_runs(folder, tmp_path):
    path = tmp_path / "scripts" / "sums.py"
    assert invoke(1, "--script", path).exit_code == 0
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    assert done.stdout == "total 2\nanswer 5\n"
    path.write_text("mine")
    check_refusal(invoke(1, "--script", path), "script = ", "does not exist", "--force")
    assert path.read_text() == "mine"
    assert invoke(1, "--script", path, "--force").exit_code == 0
    assert "total = 1 + 1" in path.read_text()


def test_refusals(tmp_path):
    check_refusal(invoke(99), "lesson = 99", "`design-space lesson`")
    check_refusal(invoke("--script", tmp_path / "x.py"), "lesson = None", "--script FILE")
    assert not (tmp_path / "x.py").exists()


@pytest.mark.slow
def test_the_script_of_a_real_lesson_prints_what_the_command_prints(tmp_path):
    path = tmp_path / "lesson.py"
    assert invoke(1, "--script", path).exit_code == 0
    command = [sys.executable, "-m", "design_space.cli", "lesson", "1"]
    run = [
        subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        for words in ([sys.executable, path], command)
    ]
    lines = run[0].splitlines()
    assert lines
    assert [line for line in run[1].splitlines() if line in set(lines)] == lines

"""The lessons: found, cut into parts, and written as scripts."""

import ast
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from markdown_pages import ROOT, blocks

from design_space.explorer.state import State
from design_space.lessons import pages as pages_of_lessons
from design_space.lessons.pages import lesson, lesson_pages, lesson_text, lessons
from design_space.lessons.parts import Part, parts
from design_space.lessons.script import script

FILES = sorted((ROOT / "docs" / "tutorials").glob("lesson_*.md"))
PAGE = """# Lesson 1: A title

**Time:** 50
minutes. More.

## One

Text $x$.
<!-- a remark -->

```python
x = 1
print(x)
```

<!-- output -->
```text
1
```

```toml
# not a heading
```

## Exercises

**Exercise 1** (warm-up). Why?

<details><summary>Answer 1</summary>

Because.

```python
assert x == 1
```

</details>
"""


def test_a_page_is_cut_where_a_person_would_cut_it():
    assert parts(PAGE) == [
        Part("heading", "# Lesson 1: A title", 1),
        Part("prose", "**Time:** 50\nminutes. More.", 3),
        Part("heading", "## One", 6),
        Part("prose", "Text $x$.\n<!-- a remark -->", 8),
        Part("code", "x = 1\nprint(x)", 12),
        Part("output", "1", 18),
        Part("block", "# not a heading", 22),
        Part("heading", "## Exercises", 25),
        Part("prose", "**Exercise 1** (warm-up). Why?", 27),
        Part("answer", "Answer 1", 29),
        Part("prose", "Because.", 31),
        Part("code", "assert x == 1", 34),
        Part("end", "", 37),
    ]


def test_a_script_is_the_code_with_the_rest_as_comments(capsys):
    text = script(PAGE, "from a test")
    exec(compile(text, "script", "exec"), {})
    assert capsys.readouterr().out == "1\n"
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == [
        "x = 1",
        "print(x)",
        "assert x == 1",
    ]
    assert text.startswith("# from a test\n")
    for shown in ("# Text $x$.", "# 1", "# ### Answer 1", "# Because.", "# # not a heading"):
        assert f"{shown}\n" in text
    assert "a remark" not in text
    assert "details" not in text


def test_lessons_are_in_order_and_say_title_and_time():
    assert [page.name for page in lesson_pages()] == [file.name for file in FILES]
    numbers = [each.number for each in lessons()]
    assert numbers == sorted(set(numbers))
    assert all(re.search(r"\d+ minutes", each.time) for each in lessons())


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_the_parts_are_the_blocks_that_the_tests_of_the_pages_run(file):
    text = file.read_text(encoding="utf-8")
    ours = [(p.text + "\n", p.line) for p in parts(text) if p.kind in ("code", "output")]
    theirs = [(b.text, b.line) for b in blocks(text) if b.language in ("python", "output")]
    assert ours == theirs


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_every_exercise_has_an_answer_that_asserts(file):
    text = file.read_text(encoding="utf-8")
    assert len(re.findall(r"^## ", text, re.MULTILINE)) in range(4, 8)
    before, exercises = text.split("\n## Exercises\n")
    asked = re.findall(r"^\*\*Exercise (\d+)\*\*", exercises, re.MULTILINE)
    answers = re.findall(
        r"\n\n<details><summary>Answer (\d+)</summary>\n\n(.*?)\n\n</details>\n",
        exercises,
        re.DOTALL,
    )
    assert asked == [number for number, _ in answers] == [str(n + 1) for n in range(len(asked))]
    assert 4 <= len(asked) <= 6
    for number, answer in answers:
        code = "\n".join(block.text for block in blocks(answer) if block.language == "python")
        assert any(isinstance(n, ast.Assert) for n in ast.walk(ast.parse(code))), number
    assert not before.count("<details>")


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_links_into_the_explorer_set_its_controls(file):
    """Every name and value is one that the explorer takes."""
    links = re.findall(r"\]\((http://127\.0\.0\.1:2718/[^)]*)\)", file.read_text(encoding="utf-8"))
    assert len(links) >= 3
    for link in links:
        query = parse_qs(urlsplit(link).query, strict_parsing=True)
        state, notes = State.from_query(query)
        assert notes == (), link
        assert state.lesson == int(file.stem.split("_")[1]), link


def test_the_index_lists_every_lesson_as_its_page_says():
    text = (ROOT / "docs" / "tutorials" / "index.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \[(.+?)\]\((\S+)\) \|.*?\| (\d+ minutes) \|", text, re.MULTILINE)
    told = [(each.number, each.title, each.time) for each in lessons()]
    assert [(int(number), title, time) for number, title, _, time in rows] == told
    assert [name for *_, name, _ in rows] == [file.name for file in FILES]


def test_an_unknown_lesson_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"lesson = 99: must be .* \(1, .*`design-space lesson`"):
        lesson_text(99)


def test_a_page_without_a_title_is_refused(monkeypatch, tmp_path):
    (tmp_path / "lesson_1_x.md").write_text("# A page\n", encoding="utf-8")
    monkeypatch.setattr(pages_of_lessons, "lessons_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"lesson_1_x\.md.* must be a page that begins with"):
        lesson(1)


def test_without_a_checkout_the_pages_of_the_package_are_read(monkeypatch, tmp_path):
    (tmp_path / "tutorials").mkdir()
    (tmp_path / "tutorials" / "lesson_10_b.md").write_text("# Lesson 10: B\n**Time:** 1 minute.")
    (tmp_path / "tutorials" / "lesson_2_a.md").write_text("# Lesson 2: A\n**Time:** 2 minutes.")
    (tmp_path / "tutorials" / "index.md").write_text("# Lessons\n")
    monkeypatch.setattr(pages_of_lessons, "_CHECKOUT", tmp_path / "nowhere")
    monkeypatch.setattr(pages_of_lessons.resources, "files", lambda name: tmp_path)
    assert lessons() == [(2, "A", "2 minutes"), (10, "B", "1 minute")]
    (tmp_path / "tutorials").rename(tmp_path / "gone")
    with pytest.raises(ValueError, match="install the package"):
        lesson_pages()


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_formulas_survive_markdown(file):
    """GitHub reads a page as Markdown first, which drops a backslash before punctuation."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    formulas = re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text, flags=re.DOTALL)
    assert len(formulas) > 50
    assert [each for each in formulas if re.search(r"\\[!-/:-@\[-`{-~]", each)] == []
    marked = re.sub(r"\$[^$]+\$", "@", re.sub(r"\$\$.+?\$\$", "", text, flags=re.DOTALL))
    assert re.findall(r"[\w/]@|@\w", marked) == []  # there a dollar opens or closes no formula

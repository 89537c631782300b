"""What the pages show runs: every Python block, and every `design-space evaluate`."""

import contextlib
import importlib.util
import io
import os
import re
import shlex
import subprocess
import tomllib

import pytest
from markdown_pages import ROOT, Block, blocks, commands, file_name, pages
from printed_output import differences
from typer.testing import CliRunner

from design_space.cli import app

PAGES = pages()
RUNNING = [  # lessons take ten to twenty seconds each
    pytest.param(page, marks=pytest.mark.slow) if page.parent.name == "tutorials" else page
    for page in PAGES
]
EXPLORER = "http://127.0.0.1:2718/?"
RUN_IN_TESTS = ("design-space evaluate ", "design-space sweep sweep.toml ", "design-space --")


def load_generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_command(command: str) -> None:
    words = shlex.split(command)
    assert words[0] == "design-space"
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, f"{command}\n{result.output}"


def run_block(block: Block, page, namespace: dict) -> str:
    """Runs a Python block of a page, and returns what it prints."""
    padded = "\n" * (block.line - 1) + block.text  # a traceback shows the page's own line
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(padded, str(page), "exec"), namespace)
    return printed.getvalue()


def test_the_reader_of_blocks_sees_what_a_person_sees():
    python = "a\n```python\nx = 1\n```\n"
    shell = "1. b\n   ```sh\n   one \\\n     two\n   # no\n   ```\n"
    page = python + shell + "```\nplain\n```\n"
    python, shell, plain = blocks(page)
    assert python == Block("python", "x = 1\n", 3)
    assert plain == Block("", "plain\n", 12)
    assert commands(shell) == ["one    two"]
    assert file_name(Block("toml", "# design.toml\n[a]\n", 1)) == "design.toml"
    assert file_name(Block("toml", "# a comment\n[a]\n", 1)) is None
    shown = "```python\nprint(1)\n```\n\n<!-- output -->\n\n```text\n1\n```\nb\n```text\n2\n```\n"
    assert [b.language for b in blocks(shown)] == ["python", "output", "text"]


@pytest.mark.parametrize("page", RUNNING, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace, printed = {"__name__": "page"}, None
    for block in blocks(page.read_text(encoding="utf-8")):
        name = file_name(block)
        if name is not None and block.language != "python":
            (tmp_path / name).write_text(block.text, encoding="utf-8")
        if block.language == "output":
            assert printed is not None, f"line {block.line}: output of no block"
            assert differences(printed, block.text) == [], f"line {block.line}"
        printed = run_block(block, page, namespace) if block.language == "python" else None
        if block.language == "sh":
            for command in commands(block):
                if command.startswith(RUN_IN_TESTS):
                    check_command(command)


def test_generated_parts_are_up_to_date():
    assert load_generator().main(["--check"]) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        assert "://" not in link or link.startswith(("https://", EXPLORER)), link
        if "://" not in link and not link.startswith("#"):
            assert (page.parent / link.split("#")[0]).exists(), f"{page.name}: {link}"


def test_every_dependency_is_justified():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for requirement in project["dependencies"] + extras["test"] + extras["dev"] + extras["docs"]:
        name = re.match(r"[\w-]+", requirement).group()
        assert f"`{name}`" in text, f"docs/architecture.md does not justify {name}"


def test_constraints_are_exact_pins_and_cover_the_dependencies():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [re.fullmatch(r"([\w.-]+)==[\w.+!]+", line) for line in lines]
    assert all(pins)
    pinned = {pin.group(1).lower().replace("_", "-") for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirement in project["dependencies"] + [x for e in extras.values() for x in e]:
        name = re.match(r"[\w-]+", requirement).group().lower()
        if name == project["name"]:
            continue  # one of its own extras, which is in the list
        assert name in pinned, f"constraints.txt does not pin {name}"


@pytest.mark.parametrize("name", ["reproduce", "test", "site"])
def test_continuous_integration_finds_the_commands_of_the_readme(name):
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^readme_command\(\) \{.*?^\}", script, re.MULTILINE | re.DOTALL)
    found = subprocess.run(
        ["bash", "-c", f"{function.group()}\nreadme_command {name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = blocks(readme.split(f"<!-- ci:{name} -->\n")[1])[0]
    assert found == block.text
    assert name in found
    assert os.access(ROOT / ".ci" / "run", os.X_OK)

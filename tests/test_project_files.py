"""Counts and versions that the project's own files name are those of the code."""

import re
import tomllib

import pytest
from markdown_pages import ROOT

from analyses.catalogue import STATEMENTS
from analyses.registry import EXPERIMENTS


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_statements_are_counted(name):
    assert re.findall(r"(\d+) statements", text(name)) == [str(len(STATEMENTS))]


def test_analyses_are_counted():
    assert re.findall(r"(\d+) analyses", text("CHANGELOG.md")) == [str(len(EXPERIMENTS))]


def test_one_version():
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    assert re.search(r"^version: (\S+)$", text("CITATION.cff"), re.MULTILINE).group(1) == version
    assert f"## {version}" in text("CHANGELOG.md")


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"])
def test_links_of_the_front_pages_lead_somewhere(name):
    links = re.findall(r"\]\(([^)]+)\)", text(name))
    inside = [
        link.split("#")[0] for link in links if "://" not in link and not link.startswith("#")
    ]
    assert inside or name == "CHANGELOG.md"
    for link in inside:
        assert (ROOT / link).exists(), link

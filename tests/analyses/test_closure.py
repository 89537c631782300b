"""The import closure: which sources decide a result."""

from pathlib import Path

import pytest

from analyses.closure import own_packages, source_files, source_hash


@pytest.fixture
def tree(tmp_path):
    """Package p: a imports p.b inside a function and p.sub.c; d is imported for types only."""
    root = tmp_path / "p"
    (root / "sub").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "a.py": "from typing import TYPE_CHECKING\nfrom p.sub import c\nimport numpy\n"
        "if TYPE_CHECKING:\n    import p.d\n\ndef f():\n    from p.b import g\n    return g\n",
        "b.py": "import p.a\n\ndef g():\n    return 1\n",
        "d.py": "",
        "e.py": "",
        "sub/__init__.py": "",
        "sub/c.py": "VALUE = 1\n",
    }
    for name, text in files.items():
        (root / name).write_text(text)
    return root


def test_closure_follows_imports_wherever_they_stand(tree):
    found = {path.relative_to(tree).as_posix() for path in source_files(tree / "a.py", {"p": tree})}
    assert found == {"__init__.py", "a.py", "b.py", "sub/__init__.py", "sub/c.py"}


@pytest.mark.parametrize("name", ["a.py", "b.py", "sub/c.py", "sub/__init__.py"])
def test_hash_changes_with_any_source_in_the_closure(tree, name):
    before = source_hash(tree / "a.py", {"p": tree})
    (tree / name).write_text((tree / name).read_text() + "# changed\n")
    assert source_hash(tree / "a.py", {"p": tree}) != before


@pytest.mark.parametrize("name", ["d.py", "e.py"])
def test_hash_ignores_sources_outside_the_closure(tree, name):
    before = source_hash(tree / "a.py", {"p": tree})
    (tree / name).write_text("x = 1\n")
    assert source_hash(tree / "a.py", {"p": tree}) == before


def test_hash_does_not_depend_on_where_the_tree_lies(tree, tmp_path):
    before = source_hash(tree / "a.py", {"p": tree})
    moved = tree.rename(tmp_path / "elsewhere")
    assert source_hash(moved / "a.py", {"p": moved}) == before


def test_own_closure_holds_the_modules_that_an_analysis_uses():
    packages = own_packages()
    file = Path(packages["analyses"]) / "store.py"
    found = {path.name for path in source_files(file)}
    assert {"store.py", "experiment.py", "files.py", "closure.py", "provenance.py"} <= found

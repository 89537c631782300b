"""Rules of the house that no linter knows."""

import ast
import importlib
import pkgutil
import subprocess
import sys

import equinox as eqx
import pytest
from markdown_pages import ROOT

PACKAGES = ("design_space", "analyses", "figures")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
ALL_FILES = [
    *FILES,
    *(file for place in ("tests", "docs") for file in sorted((ROOT / place).rglob("*.py"))),
]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def all_modules():
    for package in PACKAGES:
        root = importlib.import_module(package)
        yield root
        for info in pkgutil.walk_packages(root.__path__, f"{package}."):
            yield importlib.import_module(info.name)


def all_classes():
    """Classes that the project defines, each where it is defined."""
    for module in all_modules():
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield value


def is_abstract(cls):
    return cls.__name__.lstrip("_").startswith("Abstract")


def test_objects_are_frozen_and_abstract_or_final():
    classes = set(all_classes())
    objects = {cls for cls in classes if issubclass(cls, eqx.Module)}
    assert len(objects) > 10
    for cls in objects:
        bases = [base for base in cls.__mro__[1:] if base in objects]
        for base in bases:
            assert is_abstract(base), f"{cls.__name__} inherits from {base.__name__}, not abstract"


def test_abstract_objects_have_something_to_implement():
    for cls in all_classes():
        if issubclass(cls, eqx.Module):
            assert is_abstract(cls) == bool(getattr(cls, "__abstractmethods__", ())), cls


def names_asked_of_the_root(path):
    """What a file takes from `design_space` itself: "" for the package, else the name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ("" for alias in node.names if alias.name == "design_space")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            if node.module == "design_space":
                yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nobody_imports_the_package_root(path):
    """`from design_space import checks` asks for a module; anything else asks the root."""
    for name in names_asked_of_the_root(path):
        base = ROOT / "design_space" / name
        is_module = name and (base.is_dir() or base.with_suffix(".py").is_file())
        assert is_module, f"import {name or 'what you need'} from the module that defines it"
        assert name != "evaluate", "the root's `evaluate` is the function: name its module"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_stand_at_the_top(path):
    """Only the command line imports inside functions, for its start-up time."""
    if name_of(path) == "design_space/cli.py":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    inner = [
        n for f in functions for n in ast.walk(f) if isinstance(n, ast.Import | ast.ImportFrom)
    ]
    assert not inner, f"line {inner[0].lineno}"
    assert not any(
        isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in ast.walk(tree)
    )


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_files_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 400


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_functions_are_short(path):
    """At most 40 lines of code: a docstring may be as long as the formula needs."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            text = ast.get_docstring(node, clean=False) or ""
            length = node.end_lineno - node.lineno + 1 - text.count("\n")
            assert length <= 42, f"{node.name}: {length} lines"


@pytest.mark.parametrize("statement", ["import design_space", "import design_space.cli"])
def test_import_leaves_jax_alone(statement):
    heavy = ("jax", "numpy", "equinox", "pandas", "matplotlib")
    code = f"{statement}\nimport sys\nprint([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_everything_changes_no_global_state():
    modules = "design_space.specification, design_space.evaluate"
    code = (
        "import jax, warnings\n"
        "before = dict(jax.config.values)\n"
        f"import {modules}\n"
        "assert dict(jax.config.values) == before\n"
        "assert not jax._src.xla_bridge.backends_are_initialized()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_root_hands_on_every_name_twice():
    """The second time too: importing a submodule must not hide the function of the same name."""
    root = importlib.import_module("design_space")
    for name in root.__all__:
        first, second = getattr(root, name), getattr(root, name)
        assert first is second
        assert name == "weightings" or callable(first), name
    assert sorted(dir(root)) == sorted(root.__all__) == sorted(root._HOMES)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = root.nothing

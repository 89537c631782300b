"""The code version of a module: a hash of every source file that it imports, directly or not."""

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

from design_space.files import digest_of_files


def own_packages() -> dict[str, Path]:
    """The packages whose sources decide a result, by name, with their folders."""
    found = {}
    for name in ("design_space", "analyses"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        found[name] = Path(spec.submodule_search_locations[0])
    return found


def _is_type_checking(node: ast.AST) -> bool:
    """Whether a node is `if TYPE_CHECKING:`, which never runs."""
    if not isinstance(node, ast.If):
        return False
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _imports(node: ast.AST) -> Iterator[str]:
    """Yields each absolute dotted name that the source imports; for `from a import b` both `a` and
    `a.b`, since b may be a module. House style has no relative imports.
    """
    for child in ast.iter_child_nodes(node):
        if _is_type_checking(child):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and child.level == 0:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from _imports(child)


def _files_of(name: str, packages: Mapping[str, Path]) -> Iterator[Path]:
    """Yields the files that Python runs to import the dotted `name`: each package's __init__.py on
    the way, and the module itself. Names outside `packages` yield nothing.
    """
    head, *rest = name.split(".")
    if head not in packages:
        return
    folder = packages[head]
    yield folder / "__init__.py"
    for part in rest:
        if (folder / f"{part}.py").is_file():
            yield folder / f"{part}.py"
            return
        folder = folder / part
        if (folder / "__init__.py").is_file():
            yield folder / "__init__.py"
        else:
            return


def source_files(file: Path, packages: Mapping[str, Path] | None = None) -> list[Path]:
    """Lists the sources in the import closure of `file`.

    The imports are read from the syntax tree, wherever they stand (also inside functions), except
    under `if TYPE_CHECKING:`. Names handed on lazily by a package's `__getattr__` are not seen.

    Args:
      file: a Python source file.
      packages: folders by package name; imports from elsewhere are left out. Default: this
        project's design_space and analyses.

    Returns:
      The files, `file` among them, sorted.
    """
    packages = own_packages() if packages is None else packages
    seen = {file}
    queue = [file]
    while queue:
        tree = ast.parse(queue.pop().read_text(encoding="utf-8"))
        for name in set(_imports(tree)):
            for found in _files_of(name, packages):
                if found not in seen and found.is_file():
                    seen.add(found)
                    queue.append(found)
    return sorted(seen)


def source_hash(file: Path, packages: Mapping[str, Path] | None = None) -> str:
    """Hashes the contents of the sources in the import closure of `file`.

    The hash depends on each file's place inside its package, not on where the package lies, so
    that a moved or reinstalled tree keeps its results.

    Returns:
      A SHA-256 digest in hexadecimal.
    """
    packages = own_packages() if packages is None else packages
    files = {}
    for path in source_files(file, packages):
        place = path.name
        for name, folder in packages.items():
            if path.is_relative_to(folder):
                place = f"{name}/{path.relative_to(folder).as_posix()}"
        files[place] = path
    return digest_of_files(files)

"""The reference of the names in the tables of docs/api/, from their docstrings.

Signatures are those of the source, so that shapes read as they were written
(`Float[Array, "points dim"]`), and types in them are links where the reference has them.
"""

import ast
import importlib
import inspect
import re
import textwrap
from typing import Any

from docutils import nodes
from sphinx.domains.python import PythonDomain
from sphinx.domains.python._object import PyObject
from sphinx.ext.napoleon import Config, GoogleDocstring

_ROW = re.compile(r"^\| \[`([\w.]+)`\]\([^)]*\) \| (.*) \|$")
_TABLE = re.compile(r"(?:^\| .*\n|^\|-.*\n)+", re.MULTILINE)
_SECTION = re.compile(r"(\w+):$")
_CODE = re.compile(r"`([^`]+)`")
_NAPOLEON = Config(napoleon_use_ivar=True, napoleon_attr_annotations=False)
_KNOWN: dict[str, str] = {}
"""Short name -> the name under which the reference has it."""


def full_name(shown: str) -> str:
    """`ds.edm` -> `design_space.edm`."""
    return re.sub(r"^ds\.", "design_space.", shown)


def found(name: str) -> Any:
    """The object of a dotted name."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def rst(text: str) -> str:
    """A line of a docstring as reStructuredText: code in backticks, all else as it is written."""
    pieces = _CODE.split(text)
    for k, piece in enumerate(pieces):
        if k % 2:
            known = _KNOWN.get(piece.removeprefix("ds."))
            pieces[k] = f":py:obj:`{piece} <{known}>`" if known else f"``{piece}``"
            if re.match(r"\w", pieces[k + 1]):
                pieces[k] += "\\"  # what follows is escaped, which ends the code
        else:
            piece = re.sub(r"([\\*|])", r"\\\1", piece)
            pieces[k] = re.sub(r"_(?=\W|$)", r"\\_", piece)
    return "".join(pieces)


def _entry(name: str) -> list[str]:
    thing = found(name)
    if inspect.ismodule(thing):
        return [f".. automodule:: {name}", ""]
    kind = "class" if inspect.isclass(thing) else "function"
    lines = [f".. auto{kind}:: {name}"]
    if kind == "class":
        lines.append("   :members:")
        if any(base.__module__.startswith("design_space") for base in thing.__bases__):
            lines.append("   :show-inheritance:")
    return [*lines, ""]


def _described(match: re.Match[str]) -> str:
    """A table of names with links, and below it the reference of each."""
    rows = [row.groups() for line in match.group().splitlines() if (row := _ROW.match(line))]
    if not rows:
        return match.group()
    lines = [".. list-table::", "   :widths: auto", "   :class: names", ""]
    for shown, text in rows:
        short = shown.rpartition(".")[2]
        lines.append(f"   * - :py:obj:`{short} <{full_name(shown)}>`")
        lines.append("     - " + rst(text.replace(r"\|", "|")))
    lines.append("")
    for shown, _ in rows:
        lines += _entry(full_name(shown))
    return "```{eval-rst}\n" + "\n".join(lines) + "```\n"


def read(app: Any, docname: str, content: list[str]) -> None:
    """Puts the reference into the pages of docs/api/."""
    if docname.startswith("docs/api/"):
        content[0] = _TABLE.sub(_described, content[0])


def learn(app: Any) -> None:
    """Learns all names of the reference before any page is read."""
    for page in sorted((app.srcdir / "docs" / "api").glob("*.md")):
        for line in page.read_text(encoding="utf-8").splitlines():
            if row := _ROW.match(line):
                name = full_name(row.group(1))
                _KNOWN[name.removeprefix("design_space.")] = name
                _KNOWN.setdefault(name.rpartition(".")[2], name)


def docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Turns a docstring of the house into reStructuredText; indented formulas stay as they are.

    "Returns:" becomes a field here, since napoleon takes what stands before a colon for a type.
    """
    result: list[str] = []
    section, formula = "", False
    for line in lines:
        if line and not line.startswith(" "):
            header = _SECTION.match(line)
            section, formula = header.group(1) if header else "", False
            if section == "Returns":
                result.append(":returns:")
                continue
        elif line and not section and not formula and not (result and result[-1].strip()):
            formula = True
            result += ["::", ""]
        result.append(line if formula else rst(line))
    kind = "method" if what == "property" else what  # napoleon finds types in properties, too
    lines[:] = GoogleDocstring(result, _NAPOLEON, what=kind, name=name, obj=thing).lines()


def _definition(thing: Any) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None


def _fields(body: list[ast.stmt]) -> str:
    """The signature of a class whose fields are its arguments."""
    shown = []
    for line in body:
        if not isinstance(line, ast.AnnAssign) or "ClassVar" in ast.unparse(line.annotation):
            continue
        default = ""
        if line.value is not None:
            value = ast.unparse(line.value)
            given = re.search(r"default=([^,)]+)", value)
            if value.startswith("eqx.field"):
                value = given.group(1) if given else ""
            default = f" = {value}" if value else ""
        shown.append(f"{ast.unparse(line.target)}: {ast.unparse(line.annotation)}{default}")
    return f"({', '.join(shown)})"


def signature(
    app: Any, what: str, name: str, thing: Any, options: Any, given: str | None, returns: str | None
) -> tuple[str | None, str | None] | None:
    """The signature as it stands in the source, without `self`."""
    node = _definition(inspect.unwrap(thing) if callable(thing) else thing)
    if isinstance(node, ast.ClassDef):
        inits = [x for x in node.body if getattr(x, "name", "") == "__init__"]
        if not inits:
            return _fields(node.body), None
        node = inits[0]
    if not isinstance(node, ast.FunctionDef):
        return None
    arguments = node.args
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        arguments.args = arguments.args[1:]
    returned = ast.unparse(node.returns) if node.returns and node.name != "__init__" else None
    return f"({ast.unparse(arguments)})", returned.strip("'") if returned else None


def bases(app: Any, name: str, thing: Any, options: Any, classes: list[Any]) -> None:
    """Names the bases of ours only: that objects are Equinox modules is said once, in the text."""
    classes[:] = [base for base in classes if base.__module__.startswith("design_space")]


def skip(app: Any, what: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:
    """Leaves out methods that only refer to the class that they implement."""
    text = getattr(thing, "__doc__", None) or ""
    return True if text.startswith("See Abstract") else None


def resolve(app: Any, env: Any, node: nodes.Element, content: nodes.Element) -> Any:
    """Finds a type by its short name, or by the module where it is defined."""
    if node.get("refdomain") != "py":
        return None
    known = _KNOWN.get(node["reftarget"].rpartition(".")[2])
    if known is None:
        return None
    domain: PythonDomain = env.domains.python_domain
    return domain.resolve_xref(
        env, node.get("refdoc", ""), app.builder, "obj", known, node, content
    )


def setup(app: Any) -> dict[str, bool]:
    """Connects to the building of the site."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    app.connect("builder-inited", learn)
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", docstring, priority=400)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-bases", bases)
    app.connect("autodoc-skip-member", skip)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Mutants of a function: one sign flipped or one constant halved, put in place of the original."""

import ast
import contextlib
import copy
import inspect
import sys
import textwrap

import jax

from design_space import checks

FLIPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add}


def plain(function):
    """The Python function below jit and other wrappers."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


SETTINGS = (
    "axis",
    "in_axes",
    "dtype",
    "ddof",
    "num",
    "size",
    "length",
    "initial",
    "order",
    "unroll",
)
"""Keyword arguments that shape a computation and are no constants of a formula."""


CHECKS = {name for name, _ in inspect.getmembers(checks, inspect.isfunction)}
"""Functions that refuse bad input; their arguments are no part of a formula."""


def _is_check(node):
    return isinstance(node, ast.Call) and getattr(node.func, "id", None) in CHECKS


def _children(node):
    """What a formula is made of: no subscripts, annotations, defaults, settings or checks."""
    for name, value in ast.iter_fields(node):
        if name in ("slice", "annotation", "returns", "keywords", "test") or _is_check(node):
            continue
        if name == "args" and not isinstance(node, ast.Call):
            continue
        yield from (v for v in (value if isinstance(value, list) else [value]))
    for keyword in () if _is_check(node) else getattr(node, "keywords", ()):
        if keyword.arg not in SETTINGS:
            yield keyword.value


def _in_scope(tree):
    """Every node of the body of a function that counts."""
    queue = list(tree.body[1:] if ast.get_docstring(tree) else tree.body)
    while queue:
        node = queue.pop(0)
        if isinstance(node, ast.AST):
            yield node
            queue += list(_children(node))


def _sites(tree):
    """Indices, among the nodes in scope, of what can be mutated."""
    for index, node in enumerate(_in_scope(tree)):
        if isinstance(node, ast.BinOp) and type(node.op) in FLIPPED:
            yield index, "sign"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield index, "minus"
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value:
            yield index, "constant"


def _mutated(tree, index, kind):
    tree = copy.deepcopy(tree)
    node = list(_in_scope(tree))[index]
    line = node.lineno
    if kind == "sign":
        node.op = FLIPPED[type(node.op)]()
    elif kind == "minus":
        node.op = ast.UAdd()
    else:
        node.value = node.value / 2
    return tree, f"{kind} in line {line}: {ast.unparse(node)}"


def mutants(function):
    """Every mutant of a module-level function, as pairs of a description and a code object."""
    function = plain(function)
    source = textwrap.dedent(inspect.getsource(function))
    tree = ast.parse(source).body[0]
    tree.decorator_list = []
    for index, kind in _sites(tree):
        changed, what = _mutated(tree, index, kind)
        module = ast.Module([changed], [])
        space = dict(function.__globals__)
        exec(compile(ast.fix_missing_locations(module), "<mutant>", "exec"), space)
        yield f"{function.__name__}, {what}", space[function.__name__].__code__


def _forget_module(module):
    """Drops what was compiled or cached by functions of one module."""
    for value in list(vars(module).values()):
        if hasattr(value, "cache_clear"):
            value.cache_clear()
        compiled = getattr(value, "_cached", value)
        if hasattr(compiled, "clear_cache"):
            compiled.clear_cache()


MEASURING = {
    f"analyses.{name}"
    for name in (
        "columns",
        "gaussian_samplers",
        "initial_networks",
        "interpolation",
        "perturbed",
        "sampler_rates",
        "sphere",
        "steering",
        "training_designs",
    )
}
"""Modules that measure designs and call no bound: what they keep is no mutant's."""


def forget(everything):
    """Drops what was compiled of the analyses' functions, of those that measure only if all
    functions are to be forgotten.
    """
    for name, module in list(sys.modules.items()):
        kept = name == "analyses.families" or (name in MEASURING and not everything)
        if name.startswith("analyses.") and not kept:
            _forget_module(module)
    if everything:
        jax.clear_caches()


@contextlib.contextmanager
def in_place(function, code, everything=False):
    """Runs the block with the code of a mutant in the function, wherever it is imported.

    `everything` is needed where compiled code below the analyses calls the function.
    """
    function = plain(function)
    original = function.__code__
    function.__code__ = code
    forget(everything)
    try:
        yield
    finally:
        function.__code__ = original
        forget(everything)

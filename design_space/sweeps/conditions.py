"""Conditions on designs: comparisons and arithmetic of fields by dotted name, and nothing else."""

import ast
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from design_space import checks

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Mod: operator.mod,
}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_DOMAIN = "a comparison of numbers, texts and fields like schedule.steps, with and, or, not"
_NUMBERS = "compute with numbers only"
_TRUTH = "join comparisons, or fields that are true or false"
_ALIKE = "compare numbers with numbers, texts with texts"


class Condition:
    """One condition of a sweep, such as "schedule.sigma_min * 10 < schedule.sigma_max".

    Arithmetic is that of double precision: 1/0 is infinite, and 0/0 compares as false.

    Args:
      text: the condition, in Python's notation for comparisons, `and`, `or`, `not`, + - * / ** %.

    Attributes:
      names: the fields that it looks at, by dotted name.

    Raises:
      ValueError: if it is anything else; it is never run as code.
    """

    def __init__(self, text: str):
        self._text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self._refused("correct it") from error
        try:
            self.names = tuple(sorted(self._names(self._tree)))
        except RecursionError as error:
            raise self._refused("shorten it") from error

    def _refused(self, remedy: str) -> ValueError:
        return checks.refusal("sweep.where", self._text, _DOMAIN, remedy)

    def _names(self, node: ast.expr) -> set[str]:
        """The fields below a node; refuses what is not part of a condition."""
        match node:
            case ast.Constant(value=int() | float() | str()):
                return set()
            case ast.Attribute() | ast.Name():
                return {self._dotted(node)}
            case ast.BinOp(left, op, right) if type(op) in _BINARY:
                return self._names(left) | self._names(right)
            case ast.UnaryOp(ast.Not() | ast.USub(), inner):
                return self._names(inner)
            case ast.BoolOp(_, values):
                return set().union(*(self._names(value) for value in values))
            case ast.Compare(left, ops, rest) if all(type(op) in _COMPARE for op in ops):
                return self._names(left).union(*(self._names(each) for each in rest))
        raise self._refused(f"remove {ast.unparse(node)!r}")

    def _dotted(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute):
            return f"{self._dotted(node.value)}.{node.attr}"
        raise self._refused(f"remove {ast.unparse(node)!r}")

    def holds(self, fields: Mapping[str, Any]) -> np.ndarray:
        """Where the condition holds.

        Args:
          fields: an array for each of `names`, or one value.

        Returns:
          Truth values, of the arrays' shape.

        Raises:
          ValueError: if texts are compared with numbers, computed with or taken as truth values.
        """
        with np.errstate(all="ignore"):
            return self._truth(self._tree, fields)

    def _truth(self, node: ast.expr, fields: Mapping[str, Any]) -> np.ndarray:
        found = np.asarray(self._value(node, fields))
        if found.dtype.kind != "b":
            raise self._refused(_TRUTH)
        return found

    def _number(self, node: ast.expr, fields: Mapping[str, Any]) -> np.ndarray:
        found = np.asarray(self._value(node, fields))
        if found.dtype.kind not in "iuf":
            raise self._refused(_NUMBERS)
        return found.astype(np.float64)

    def _value(self, node: ast.expr, fields: Mapping[str, Any]) -> Any:
        match node:
            case ast.Constant(value):
                return self._constant(value)
            case ast.BinOp(left, op, right):
                return _BINARY[type(op)](self._number(left, fields), self._number(right, fields))
            case ast.UnaryOp(ast.Not(), inner):
                return ~self._truth(inner, fields)
            case ast.UnaryOp(_, inner):
                return -self._number(inner, fields)
            case ast.BoolOp(op, values):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return functools.reduce(join, (self._truth(value, fields) for value in values))
            case ast.Compare(left, ops, rest):
                terms = [np.asarray(self._value(each, fields)) for each in (left, *rest)]
                pairs = zip(ops, terms[:-1], terms[1:], strict=True)
                return functools.reduce(
                    np.logical_and, (self._compared(op, a, b) for op, a, b in pairs)
                )
        return fields[self._dotted(node)]

    def _constant(self, value: Any) -> Any:
        """A number or text; whole numbers beyond 64 bits count as floats."""
        if not isinstance(value, int) or abs(value) < 1 << 63:
            return value
        try:
            return float(value)
        except OverflowError as error:
            raise self._refused("write a smaller number") from error

    def _compared(self, op: ast.cmpop, a: np.ndarray, b: np.ndarray) -> Any:
        """Compares numbers with numbers, texts with texts, truth values with truth values."""
        kinds = {"number" if x.dtype.kind in "iuf" else x.dtype.kind for x in (a, b)}
        if len(kinds) > 1:
            raise self._refused(_ALIKE)
        return _COMPARE[type(op)](a, b)

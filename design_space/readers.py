"""Readers of values in a specification: each takes a dotted field and a value, or refuses it."""

import itertools
from collections.abc import Callable
from numbers import Real as RealNumber
from typing import Any, NamedTuple

import numpy as np

from design_space import checks
from design_space.training.learning_rate import RULES


class Key(NamedTuple):
    """One key of a section: how its value is read, what it may be, and what stands in for it."""

    read: Callable[[str, Any], Any]
    domain: str
    required: bool = True
    default: Any = None


def missing(field: str, domain: str, remedy: str) -> ValueError:
    """Builds the message for a field that is not there.

    Args:
      field: dotted path of the field.
      domain: what it must be.
      remedy: what to do, as an instruction.
    """
    return ValueError(f"{field} is missing: must be {domain}; {remedy}")


def quoted(names: Any) -> str:
    """Lists names as TOML strings: `"a", "b"`."""
    return ", ".join(f'"{name}"' for name in sorted(names))


def read_number(field: str, value: Any) -> float:
    """Reads one finite number; whole numbers count, truth values and strings do not.

    Raises:
      ValueError: if `value` is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, RealNumber):
        raise checks.refusal(field, value, "a number", "give one number, without quotes")
    return float(checks.finite(field, value))


def read_positive(field: str, value: Any) -> float:
    """Reads one finite number above zero."""
    return float(checks.positive(field, read_number(field, value)))


def read_nonnegative(field: str, value: Any) -> float:
    """Reads one finite number of at least zero."""
    return float(checks.nonnegative(field, read_number(field, value)))


def read_limit(field: str, value: Any) -> float:
    """Reads one number of at least zero, or infinity."""
    if isinstance(value, float) and value == float("inf"):
        return value
    return read_nonnegative(field, value)


def read_share(field: str, value: Any) -> float:
    """Reads one number from 0 to 1."""
    share = read_nonnegative(field, value)
    if share > 1:
        raise checks.refusal(field, share, "from 0 to 1", "take a share")
    return share


def read_count(field: str, value: Any) -> int:
    """Reads one whole number of at least 1."""
    return checks.count(field, value)


def read_flag(field: str, value: Any) -> bool:
    """Reads true or false.

    Raises:
      ValueError: if `value` is anything else.
    """
    if not isinstance(value, bool):
        raise checks.refusal(field, value, "true or false", "write one of them, without quotes")
    return value


def read_text(field: str, value: Any) -> str:
    """Reads one string.

    Raises:
      ValueError: if `value` is anything else.
    """
    if not isinstance(value, str):
        raise checks.refusal(field, value, "a string", "put it in quotes")
    return value


def read_name(*allowed: str) -> Callable[[str, Any], str]:
    """Makes a reader of one string out of `allowed`."""

    def read(field: str, value: Any) -> str:
        return checks.one_of(field, read_text(field, value), allowed)

    return read


_SHAPES = {1: "a list of numbers", 2: "a list of lists of numbers", 3: "a list of matrices"}


def read_array(*ranks: int) -> Callable[[str, Any], np.ndarray]:
    """Makes a reader of nested lists (or an array) of finite numbers, of one of the given ranks."""
    shapes = " or ".join(_SHAPES[rank] for rank in ranks)

    def read(field: str, value: Any) -> np.ndarray:
        if not isinstance(value, list | tuple | np.ndarray):
            raise checks.refusal(field, value, shapes, "put it in brackets")
        _refuse_odd_entries(field, value)
        try:
            array = np.asarray(value, dtype=np.float64)
        except ValueError as error:
            remedy = "make its rows equally long"
            raise checks.refusal(field, value, shapes, remedy) from error
        if array.size == 0:
            raise checks.refusal(field, value, shapes + ", not empty", "give at least one entry")
        if array.ndim not in ranks:
            raise checks.refusal(field, value, shapes, "check the brackets")
        return checks.numbers(field, array)

    return read


def _refuse_odd_entries(field: str, value: Any) -> None:
    """Refuses strings, truth values and tables anywhere inside nested lists."""
    if isinstance(value, list | tuple):
        for position, entry in enumerate(value):
            _refuse_odd_entries(f"{field}[{position}]", entry)
    elif not isinstance(value, np.ndarray):
        read_number(field, value)


def read_points(field: str, value: Any) -> Any:
    """Reads the points of an empirical target: lists of numbers, or the name of a file."""
    if isinstance(value, str):
        if not value.endswith((".npy", ".csv")):
            domain = "a list of points or the name of a .npy or .csv file"
            raise checks.refusal(field, value, domain, "save the points as .npy or .csv")
        return value
    return read_array(2)(field, value)


def read_label(field: str, value: Any) -> int:
    """Reads one class label: a whole number of at least 0."""
    return checks.count(field, value, least=0)


def read_labels(field: str, value: Any) -> tuple[int, ...]:
    """Reads a list of class labels.

    Raises:
      ValueError: if `value` is anything else.
    """
    if not isinstance(value, list | tuple | np.ndarray) or len(value) == 0:
        domain = "a list of whole numbers of at least 0"
        raise checks.refusal(field, value, domain, "give one for each component, in brackets")
    return tuple(read_label(f"{field}[{i}]", label) for i, label in enumerate(value))


def read_levels(field: str, value: Any) -> np.ndarray:
    """Reads two noise levels of at least 0, the upper one perhaps infinite; shape [2].

    Raises:
      ValueError: if `value` is anything else.
    """
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != 2:
        domain = "two noise levels, [low, high]"
        raise checks.refusal(field, value, domain, "put both in brackets; high may be inf")
    low, high = value
    return np.array([read_nonnegative(f"{field}[0]", low), read_limit(f"{field}[1]", high)])


def read_seed(field: str, value: Any) -> int:
    """Reads one whole number of at least 0."""
    return checks.count(field, value, least=0)


def read_samples(field: str, value: Any) -> int | str:
    """Reads a number of samples, or "population"."""
    if isinstance(value, str) and value != "population":
        domain = 'a whole number of at least 1, or "population"'
        raise checks.refusal(field, value, domain, "choose one of these")
    return value if isinstance(value, str) else read_count(field, value)


def read_rate(field: str, value: Any) -> float | str:
    """Reads a learning rate: a number above zero, or the name of a rule."""
    if isinstance(value, str) and value not in RULES:
        domain = "a number above 0, or one of " + quoted(RULES)
        raise checks.refusal(field, value, domain, "choose one of these")
    return value if isinstance(value, str) else read_positive(field, value)


def read_steps(field: str, value: Any) -> tuple[int, ...]:
    """Reads ascending steps of gradient descent.

    Raises:
      ValueError: if `value` is anything else.
    """
    if not isinstance(value, list | tuple) or not value:
        raise checks.refusal(field, value, "a list of whole numbers", "put them in brackets")
    steps = tuple(checks.count(f"{field}[{i}]", step, least=0) for i, step in enumerate(value))
    if any(later <= step for step, later in itertools.pairwise(steps)):
        raise checks.refusal(field, value, "ascending", "sort them, each once")
    return steps

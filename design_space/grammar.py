"""The keys that each kind of section of a specification takes, and how each is read."""

import difflib
from collections.abc import Callable, Mapping
from numbers import Real as RealNumber
from typing import Any, NamedTuple

import numpy as np

from design_space import checks
from design_space.schedules.named import TIMES, VARIANCES
from design_space.schedules.published import MAPS, TABLES

LATER_SECTIONS = ("guidance", "model", "sweep", "training", "weighting")
"""Sections of the contract that belong to releases after this one."""

LATER_KINDS = {
    "schedule": ("marginal-optimal",),
    "score": ("trained",),
    "sampler": ("euler-maruyama", "ode-euler", "heun", "churn"),
}
"""Kinds of the contract that belong to releases after this one."""


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


def read_count(field: str, value: Any) -> int:
    """Reads one whole number of at least 1."""
    return checks.count(field, value)


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


_RANGE = {
    "steps": Key(read_count, "a whole number of at least 1"),
    "sigma_min": Key(read_positive, "above 0", False, 0.002),
    "sigma_max": Key(read_positive, "above 0", False, 80.0),
    "rho": Key(read_positive, "above 0", False, 7.0),
}

_ENDS = {name: key for name, key in _RANGE.items() if name != "rho"}

PAIR = "variance and time"
"""The form of [schedule] that has no kind, but names a variance and a time schedule."""

GRAMMAR: dict[str, dict[str, dict[str, Key]]] = {
    "target": {
        "gaussian": {
            "mean": Key(read_array(1), "a list of numbers", False),
            "dim": Key(read_count, "a whole number of at least 1", False),
            "std": Key(read_nonnegative, "at least 0", False),
            "variances": Key(read_array(1), "a list of numbers", False),
            "covariance": Key(read_array(2), "a matrix", False),
        },
        "mixture": {
            "weights": Key(read_array(1), "a list of numbers that sum to 1"),
            "means": Key(read_array(2), "a list of points, one per component"),
            "stds": Key(read_array(1), "a list of numbers, one per component", False),
            "covariances": Key(read_array(3), "a list of matrices, one per component", False),
        },
        "empirical": {
            "points": Key(read_points, "a list of points or the name of a .npy or .csv file"),
        },
    },
    "schedule": {
        "edm": _RANGE,
        "song": _RANGE,
        "path-optimal": _RANGE,
        "score-optimal": {**_ENDS, "velocity": Key(read_number, "a number", False, 1.0)},
        "tangent": {"data_std": Key(read_positive, "above 0"), **_ENDS},
        "beta": {
            "alpha": Key(read_positive, "above 0", False, 0.6),
            "beta": Key(read_positive, "above 0", False, 0.6),
            "map": Key(read_name(*MAPS), "one of " + quoted(MAPS), False, "vp"),
            **_ENDS,
        },
        "align-your-steps": {
            "table": Key(read_name(*TABLES), "one of " + quoted(TABLES), False, "sd15"),
            "steps": _RANGE["steps"],
            "sigma_min": Key(read_positive, "above 0", False),
            "sigma_max": Key(read_positive, "above 0", False),
        },
        "custom": {
            "sigmas": Key(read_array(1), "a list of numbers, from large to small"),
            "exponent": Key(read_positive, "above 0", False, 1.0),
        },
        PAIR: {
            "variance": Key(read_name(*VARIANCES), "one of " + quoted(VARIANCES)),
            "time": Key(read_name(*TIMES), "one of " + quoted(TIMES)),
            **_RANGE,
        },
    },
    "score": {
        "exact": {},
        "scaled": {"factor": Key(read_number, "a number")},
        "shifted": {"shift": Key(read_array(1), "a list of numbers, one per dimension")},
        "affine": {
            "slopes": Key(read_array(1, 2, 3), "a list with one slope per step of the sampler"),
            "intercepts": Key(read_array(2), "a list with one vector per step", False),
        },
    },
    "sampler": {"frozen": {}},
}

DEFAULT_KINDS = {"score": "exact", "sampler": "frozen"}
"""The kind of a section that may be left out."""


def read_sections(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Reads every section of a specification against the grammar.

    Args:
      given: section name -> table, as TOML gives it.

    Returns:
      Section name -> its keys, `kind` first, with the values read and the defaults filled in.

    Raises:
      ValueError: names the dotted field, its value, its domain and a remedy.
    """
    for name, value in given.items():
        if name not in GRAMMAR:
            raise _unknown_section(name, value)
    return {name: _read_section(name, given) for name in GRAMMAR}


def _unknown_section(name: str, value: Any) -> ValueError:
    domain = "one of the sections " + ", ".join(sorted(GRAMMAR))
    if name in LATER_SECTIONS:
        domain += f" (this version does not read [{name}])"
        return checks.refusal(name, value, domain, f"remove [{name}]")
    return checks.refusal(name, value, domain, _spelling(name, GRAMMAR, "remove it"))


def _spelling(name: str, known: Any, otherwise: str) -> str:
    """A remedy for an unknown name: the known one that looks most like it."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"write {close[0]} if that is meant" if close else otherwise


def _read_section(section: str, given: Mapping[str, Any]) -> dict[str, Any]:
    table = given.get(section)
    if table is None and section in DEFAULT_KINDS:
        table = {"kind": DEFAULT_KINDS[section]}
    if table is None:
        kinds = quoted(set(GRAMMAR[section]) - {PAIR})
        raise missing(section, f"a section with kind = one of {kinds}", f"add [{section}]")
    if not isinstance(table, Mapping):
        raise checks.refusal(section, table, "a table", f"write [{section}] and its keys below it")
    kind = _kind(section, table)
    keys = GRAMMAR[section][kind]
    _refuse_unknown_keys(section, kind, table, keys)
    read = {name: _read_key(section, name, key, table) for name, key in keys.items()}
    return {"kind": kind, **{name: value for name, value in read.items() if value is not None}}


def _kind(section: str, table: Mapping[str, Any]) -> str:
    """The kind of a section; for a schedule without one, the pair of variance and time."""
    kinds = sorted(set(GRAMMAR[section]) - {PAIR})
    field, domain = f"{section}.kind", f"one of {quoted(kinds)}"
    if section == "schedule":
        domain += ", or absent with variance and time given"
    if "kind" not in table:
        if section == "schedule" and ("variance" in table or "time" in table):
            return PAIR
        raise missing(field, domain, "add it")
    kind = read_text(field, table["kind"])
    if kind in LATER_KINDS.get(section, ()):
        remedy = "choose one of these names"
        raise checks.refusal(field, kind, domain + " (this version has no other)", remedy)
    if kind not in kinds:
        raise checks.refusal(field, kind, domain, _spelling(kind, kinds, "choose one of these"))
    return kind


def _refuse_unknown_keys(
    section: str, kind: str, table: Mapping[str, Any], keys: Mapping[str, Key]
) -> None:
    for name, value in table.items():
        if name != "kind" and name not in keys:
            takes = ", ".join(keys) or "nothing else"
            form = "given by variance and time" if kind == PAIR else f'of kind "{kind}"'
            domain = f"one of the keys of a {section} {form} ({takes})"
            remedy = _spelling(name, keys, "remove it")
            raise checks.refusal(f"{section}.{name}", value, domain, remedy)


def _read_key(section: str, name: str, key: Key, table: Mapping[str, Any]) -> Any:
    if name in table:
        return key.read(f"{section}.{name}", table[name])
    if key.required:
        raise missing(f"{section}.{name}", key.domain, f"add `{name} = ...` to [{section}]")
    return key.default

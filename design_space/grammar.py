"""The keys that each kind of section of a specification takes, and how each is read."""

import difflib
from collections.abc import Mapping
from typing import Any

from design_space import checks
from design_space.optimal.step_variance import FORMS
from design_space.readers import (
    Key,
    missing,
    quoted,
    read_array,
    read_count,
    read_flag,
    read_label,
    read_labels,
    read_levels,
    read_limit,
    read_name,
    read_nonnegative,
    read_number,
    read_points,
    read_positive,
    read_rate,
    read_samples,
    read_seed,
    read_share,
    read_steps,
    read_text,
)
from design_space.sampling.clock import VARIABLES
from design_space.schedules.edm_table import IDDPM_FIRST
from design_space.schedules.named import TIMES, VARIANCES
from design_space.schedules.published import MAPS, TABLES
from design_space.scores.model import DTYPES
from design_space.scores.perceptron import ACTIVATIONS
from design_space.training.runs import METHODS

SWEEP = "sweep"
"""The section that makes many designs of one specification."""

_RANGE = {
    "steps": Key(read_count, "a whole number of at least 1"),
    "sigma_min": Key(read_positive, "above 0", False, 0.002),
    "sigma_max": Key(read_positive, "above 0", False, 80.0),
    "rho": Key(read_positive, "above 0", False, 7.0),
}

_ENDS = {name: key for name, key in _RANGE.items() if name != "rho"}

PAIR = "variance and time"
"""The form of [schedule] that has no kind, but names a variance and a time schedule."""

SETTINGS = "settings"
"""The form of [training] and [guidance], which have no kinds."""

OPTIONAL_SECTIONS = ("guidance",)
"""Sections that stand for nothing where they are left out."""

TRAINED_SECTIONS = ("weighting", "model", "training")
"""Sections that a score of kind "trained" asks for, and no other."""

_FLAG = "true or false"
_POINTWISE = {"pointwise": Key(read_flag, _FLAG, False, False)}
_MODEL = {
    "preconditioned": Key(read_flag, _FLAG, False, False),
    "sigma_data": Key(read_positive, "above 0", False),
    "dtype": Key(read_name(*DTYPES), "one of " + quoted(DTYPES), False, "float64"),
}
_WIDTH = {"width": Key(read_count, "a whole number of at least 1", False, 64)}

_NONNEGATIVE = "at least 0"


def _variable(default: str) -> Key:
    """What the steps of a sampler are uniform in."""
    return Key(read_name(*VARIABLES), "one of " + quoted(VARIABLES), False, default)


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
            "labels": Key(read_labels, "a list of whole numbers, one per component", False),
        },
        "empirical": {
            "points": Key(read_points, "a list of points or the name of a .npy or .csv file"),
        },
    },
    "schedule": {
        "edm": _RANGE,
        "song": _RANGE,
        "path-optimal": _RANGE,
        "marginal-optimal": _ENDS,
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
        "vp": {
            "steps": _RANGE["steps"],
            "beta_d": Key(read_positive, "above 0", False, 19.9),
            "beta_min": Key(read_positive, "above 0", False, 0.1),
            "t_min": Key(read_positive, "above 0", False, 1e-3),
            "t_max": Key(read_positive, "above 0", False, 1.0),
        },
        "iddpm": {
            "steps": _RANGE["steps"],
            "first": Key(read_seed, "a whole number of at least 0", False, IDDPM_FIRST),
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
        "trained": {},
    },
    "guidance": {
        SETTINGS: {
            "strength": Key(read_number, "a number; 1 is the score of the class"),
            "label": Key(read_label, "a whole number of at least 0, one of target.labels"),
            "rescale": Key(read_share, "from 0 to 1", False, 0.0),
            "interval": Key(read_levels, "two noise levels, [low, high]", False),
        },
    },
    "sampler": {
        "frozen": {},
        "euler-maruyama": {"variable": _variable("time")},
        "ancestral": {"eta": Key(read_share, "from 0 to 1", False, 1.0)},
        "optimal-variance": {
            "form": Key(read_name(*FORMS), "one of " + quoted(FORMS), False, "isotropic")
        },
        "ode-euler": {"variable": _variable("sigma")},
        "heun": {"variable": _variable("sigma")},
        "midpoint": {},
        "churn": {
            "s_churn": Key(read_nonnegative, _NONNEGATIVE, False, 40.0),
            "s_min": Key(read_nonnegative, _NONNEGATIVE, False, 0.05),
            "s_max": Key(read_limit, "at least 0, or inf", False, 50.0),
            "s_noise": Key(read_nonnegative, _NONNEGATIVE, False, 1.003),
        },
        "predictor-corrector": {
            "snr": Key(read_positive, "above 0", False, 0.16),
            "corrections": Key(read_count, "a whole number of at least 1", False, 1),
        },
    },
    "weighting": {
        "edm": {
            "p_mean": Key(read_number, "a number", False, -1.2),
            "p_std": Key(read_positive, "above 0", False, 1.2),
            "sigma_data": Key(read_positive, "above 0", False, 0.5),
            **_POINTWISE,
        },
        "song": _POINTWISE,
        "uniform": {},
        "min-snr": {"gamma": Key(read_positive, "above 0", False, 5.0)},
        "p2": {
            "gamma": Key(read_nonnegative, "at least 0", False, 1.0),
            "k": Key(read_positive, "above 0", False, 1.0),
        },
        "custom": {
            "values": Key(read_array(1), "a list with one number per level, noise ascending"),
        },
    },
    "model": {
        "affine": {
            "scales": Key(read_array(1), "a list of numbers of at least 0", False),
            "intercept": Key(read_flag, _FLAG, False, True),
            **_MODEL,
        },
        "features": {**_WIDTH, "bias": Key(read_flag, _FLAG, False, False), **_MODEL},
        "two-layer": {**_WIDTH, "both": Key(read_flag, _FLAG, False, False), **_MODEL},
        "relu": {
            **_WIDTH,
            "depth": Key(read_count, "a whole number of at least 1", False, 1),
            **_MODEL,
        },
        "perceptron": {
            **_WIDTH,
            "depth": Key(read_count, "a whole number of at least 1", False, 2),
            "activation": Key(
                read_name(*ACTIVATIONS), "one of " + quoted(ACTIVATIONS), False, "silu"
            ),
            **_MODEL,
        },
    },
    "training": {
        SETTINGS: {
            "samples": Key(read_samples, 'a whole number or "population"', False, 100),
            "steps": Key(read_count, "a whole number of at least 1", False, 1000),
            "learning_rate": Key(read_rate, "a number or a rule", False, "auto"),
            "seed": Key(read_seed, "a whole number of at least 0", False, 0),
            "budgets": Key(read_steps, "a list of whole numbers", False),
            "method": Key(read_name(*METHODS), "one of " + quoted(METHODS), False, "auto"),
        },
    },
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
    absent = TRAINED_SECTIONS + tuple(name for name in OPTIONAL_SECTIONS if name not in given)
    read = {name: _read_section(name, given) for name in GRAMMAR if name not in absent}
    if read["score"]["kind"] == "trained":
        return read | {name: _read_section(name, given) for name in TRAINED_SECTIONS}
    for name in TRAINED_SECTIONS:
        if name in given:
            domain = 'absent unless score.kind = "trained"'
            raise checks.refusal(name, given[name], domain, f"set that, or remove [{name}]")
    return read


def _unknown_section(name: str, value: Any) -> ValueError:
    domain = "one of the sections " + ", ".join(sorted(GRAMMAR))
    if name == SWEEP:
        domain = "absent where one design is evaluated: it makes many of them"
        remedy = "run `design-space sweep`, or remove [sweep]"
        return checks.refusal(name, value, domain, remedy)
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
        kinds = quoted(set(GRAMMAR[section]) - {PAIR, SETTINGS})
        form = f"a section with kind = one of {kinds}" if kinds else "a section"
        if section in TRAINED_SECTIONS:
            form += ', since score.kind = "trained"'
        raise missing(section, form, f"add [{section}]")
    if not isinstance(table, Mapping):
        raise checks.refusal(section, table, "a table", f"write [{section}] and its keys below it")
    kind = _kind(section, table)
    keys = GRAMMAR[section][kind]
    _refuse_unknown_keys(section, kind, table, keys)
    read = {name: _read_key(section, name, key, table) for name, key in keys.items()}
    return {"kind": kind, **{name: value for name, value in read.items() if value is not None}}


def _kind(section: str, table: Mapping[str, Any]) -> str:
    """The kind of a section; for a schedule without one, the pair of variance and time."""
    kinds = sorted(set(GRAMMAR[section]) - {PAIR, SETTINGS})
    if not kinds:
        return SETTINGS
    field, domain = f"{section}.kind", f"one of {quoted(kinds)}"
    if section == "schedule":
        domain += ", or absent with variance and time given"
    if "kind" not in table:
        if section == "schedule" and ("variance" in table or "time" in table):
            return PAIR
        raise missing(field, domain, "add it")
    kind = read_text(field, table["kind"])
    if kind not in kinds:
        raise checks.refusal(field, kind, domain, _spelling(kind, kinds, "choose one of these"))
    return kind


def _refuse_unknown_keys(
    section: str, kind: str, table: Mapping[str, Any], keys: Mapping[str, Key]
) -> None:
    for name, value in table.items():
        if (name != "kind" or kind == SETTINGS) and name not in keys:
            takes = ", ".join(keys) or "nothing else"
            forms = {PAIR: "given by variance and time", SETTINGS: "section"}
            form = forms.get(kind, f'of kind "{kind}"')
            domain = f"one of the keys of a {section} {form} ({takes})"
            remedy = _spelling(name, keys, "remove it")
            raise checks.refusal(f"{section}.{name}", value, domain, remedy)


def _read_key(section: str, name: str, key: Key, table: Mapping[str, Any]) -> Any:
    if name in table:
        return key.read(f"{section}.{name}", table[name])
    if key.required:
        raise missing(f"{section}.{name}", key.domain, f"add `{name} = ...` to [{section}]")
    return key.default

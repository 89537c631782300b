"""Realism and diversity of a sampler's law, for a terminal."""

from typing import Any

from rich.table import Table

from design_space.commands.metric_tables import number

_ROWS = 12  # modes that are shown; JSON has all

_NUMBERS = {
    "valley_mass": "mass off the data",
    "between_mass": "of it, between modes",
    "precision": "precision",
    "recall": "recall",
    "f_eighth": "F_1/8 (precision)",
    "f_8": "F_8 (recall)",
    "effective_modes": "effective modes",
    "kl": "KL(p | q), nats",
    "reverse_kl": "KL(q | p), nats",
    "w2": "W2 (data units)",
}
"""Key of the JSON contract -> what a reader sees."""


def realism_tables(found: dict[str, Any] | None) -> list[Table]:
    """Realism and diversity of a sampler's law q beside the data law p, and its modes.

    Args:
      found: plain data of `ds.realism`, or None if there are none.
    """
    if found is None:
        return []
    title = f"Realism and diversity (off the data: where they have {found['alpha']:g})"
    table = Table(title=title, title_justify="left")
    table.add_column("quantity")
    for name in ("data", "sampler", "error"):
        table.add_column(name, justify="right")
    table.add_column("method")
    said: set[str] = set()
    for name, label in _NUMBERS.items():
        entry, data = found[name], number(_of_the_data(found, name), 6)
        if entry["value"] is None:
            reason = entry["reason"]
            table.add_row(label, data, "none", "", "the same" if reason in said else reason)
            said.add(reason)
        else:
            numbers = number(entry["value"], 8), number(entry["error"], 2)
            table.add_row(label, data, *numbers, entry["method"])
    _classes(table, found.get("class_probabilities"))
    return [table, *([_modes(found)] if len(found["mode_weights"]["value"]) > 1 else [])]


def _of_the_data(found: dict[str, Any], name: str) -> float | None:
    """The number that q = p would have."""
    alpha, other = found["alpha"], {"kl": 0.0, "reverse_kl": 0.0, "w2": 0.0}
    whole = {"valley_mass": alpha, "precision": 1 - alpha, "recall": 1 - alpha}
    known = whole | other | {"f_8": 1.0, "f_eighth": 1.0}
    return known[name] if name in known else found[f"data_{name}"]["value"]


def _classes(table: Table, entry: dict[str, Any] | None) -> None:
    """One row for each class, where there are some."""
    if entry is None:
        return
    for c, (value, error) in enumerate(zip(entry["value"], entry["error"], strict=True)):
        label = f"mean p(c = {c} | x)"
        table.add_row(label, "", number(value, 8), number(error, 2), entry["method"])


def _modes(found: dict[str, Any]) -> Table:
    """Weight and variance of each mode, in the data and in the samples."""
    weights, data = found["mode_weights"], found["data_mode_weights"]["value"]
    spread, of_data = found["mode_variances"], found["data_mode_variances"]["value"]
    shown = "" if len(data) <= _ROWS else f", the first {_ROWS} of {len(data)}"
    title = f"Modes (weight: {weights['method']}; variance, mean over axes: {spread['method']}"
    table = Table(title=f"{title}{shown})", title_justify="left")
    for name in ("mode", "weight of p", "weight of q", "error"):
        table.add_column(name, justify="right")
    for name in ("variance of p", "variance of q", "error"):
        table.add_column(name, justify="right")
    for k in range(min(len(data), _ROWS)):
        table.add_row(
            str(k),
            number(data[k], 6),
            number(weights["value"][k], 6),
            number(weights["error"][k], 2),
            number(_mean(of_data[k]), 6),
            number(_mean(spread["value"][k]), 6),
            number(_mean(spread["error"][k]), 2),
        )
    return table


def _mean(numbers: list[float | None]) -> float | None:
    """The mean over axes, None for a mode that has no variance."""
    known = [x for x in numbers if x is not None]
    return sum(known) / len(known) if known else None

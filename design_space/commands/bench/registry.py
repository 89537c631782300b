"""Every family of the benchmark, in the order of the table."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from design_space.checks import refusal
from design_space.commands.bench import (
    gaussian,
    line,
    processes,
    samplers,
    tables,
    trained_designs,
    training,
)
from design_space.commands.bench.timing import Family

FAMILIES: dict[str, Family] = {
    "gaussian": gaussian.FAMILY,
    "density": line.DENSITY,
    "density-500": line.LONG_DENSITY,
    "particles": line.PARTICLES,
    "samplers": samplers.PARTICLES,
    "design-3": samplers.SMALL,
    "design-64": samplers.MIDDLE,
    "design-3072": samplers.LARGE,
    "step": training.STEP,
    "step-large": training.LARGE_STEP,
    "ensemble": training.ENSEMBLE,
    "trained-designs": trained_designs.FAMILY,
    "table": tables.FAMILY,
    "reproduce": processes.REPRODUCE,
    "help": processes.HELP,
}
"""The families by name."""

NAMES = tuple(each.name for family in FAMILIES.values() for each in family.lines)
"""The names of all rows."""


def chosen(patterns: Sequence[str]) -> set[str]:
    """The names of the rows that are asked for.

    Args:
      patterns: names, or patterns with * and ?; none means all.

    Raises:
      ValueError: if one fits no row.
    """
    found: set[str] = set()
    for pattern in patterns:
        fitting = {name for name in NAMES if fnmatchcase(name, pattern)}
        if not fitting:
            domain = "a row, or a pattern that fits one, of " + ", ".join(NAMES)
            raise refusal("only", pattern, domain, "choose one of these names")
        found |= fitting
    return found or set(NAMES)

"""Whole processes: the command line's help, and an analysis from nothing and from what is there."""

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from design_space.commands.bench.timing import Family, Line, Target, Work

LIBRARIES = "jax, equinox, pandas, pyarrow.parquet, matplotlib.pyplot"
"""What an analysis cannot do without; their import is the floor of its process."""


class Size(NamedTuple):
    """What is reproduced.

    Attributes:
      analysis: its name.
    """

    analysis: str


def _run(*words: str) -> None:
    """Runs Python as a process of its own, which finds nothing compiled before.

    Raises:
      RuntimeError: with its last words, if it fails.
    """
    environment = os.environ | {"DESIGN_SPACE_CACHE": "off", "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        tail = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {tail[0]}")


def prepare_help(size: tuple[()], folder: Path) -> dict[str, Work]:
    """The works: the help of the command line, and Python alone.

    Args:
      size: there is one size only.
      folder: not used; nothing is written.
    """
    return {
        "help": Work(
            "design-space --help, whole process", lambda: _run("-m", "design_space.cli", "--help")
        ),
        "python": Work("Python alone", lambda: _run("-c", "pass")),
    }


def prepare_reproduce(size: Size, folder: Path) -> dict[str, Work]:
    """The works: an analysis from nothing, the same again, and the import of libraries.

    Args:
      size: which analysis.
      folder: where results go, each time from nothing into a new folder.
    """
    numbers = itertools.count()
    made: list[Path] = []

    def reproduce(out: Path) -> None:
        _run("-m", "design_space.cli", "reproduce", size.analysis, "--quiet", "--out", str(out))

    def from_nothing() -> None:
        made.append(folder / f"results-{next(numbers)}")
        reproduce(made[-1])

    def unless_there() -> None:
        if not made:
            from_nothing()

    what = f"design-space reproduce {size.analysis}, whole process"
    return {
        "new": Work(f"{what}, nothing there", from_nothing),
        "again": Work(
            f"{what}, everything up to date", lambda: reproduce(made[-1]), before=unless_there
        ),
        "libraries": Work(
            f"Python with import {LIBRARIES}", lambda: _run("-c", f"import {LIBRARIES}")
        ),
    }


HELP = Family(
    prepare_help,
    lambda platform: (),
    (),
    (Line("help", "help", "python", Target("seconds", 0.7)),),
)

REPRODUCE = Family(
    prepare_reproduce,
    lambda platform: Size("error_budget"),
    Size("bell_weighting"),
    (
        Line("reproduce", "new", "again"),
        Line("reproduce-again", "again", "libraries"),
    ),
    rounds=2,
    warm=False,
)

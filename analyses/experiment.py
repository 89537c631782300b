"""What an experiment is: settings, independent pieces, one table, and its finding in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

Settings = Mapping[str, Any]
"""Plain data that JSON can hold: strings, numbers, lists and mappings of them."""


@dataclass(frozen=True)
class Experiment:
    """One analysis: how settings become pieces, a piece a table, and the whole table a sentence.

    Attributes:
      name: the name shared by the module, the figure, the result folder and the theory page.
      title: the heading in the report.
      file: the Python file that defines it; the code version of its results is the hash of all
        source files that this one imports, directly or not.
      presets: settings by preset name; every experiment has "quick" and "full".
      pieces: splits settings into independent piece settings, in the order of the table's rows.
      compute: turns one piece's settings into a tidy table (one row per observation, no index).
      finding: says in words what the whole table shows, with numbers taken from the table.
      whole_parts: values of the column `part` whose rows the report shows all.
      workers: pieces computed at a time, in threads; more than one helps where most of the time
        goes into compilation.
      alone: whether it measures times, which other analyses must not disturb.
    """

    name: str
    title: str
    file: Path
    presets: Mapping[str, Settings]
    pieces: Callable[[Settings], Sequence[Settings]]
    compute: Callable[[Settings], pd.DataFrame]
    finding: Callable[[pd.DataFrame], str]
    whole_parts: tuple[str, ...] = ()
    workers: int = 1
    alone: bool = False

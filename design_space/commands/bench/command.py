"""`design-space bench`: times every task beside its floor, keeps the table, compares it."""

import json
import os
import platform
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from design_space.checks import refusal
from design_space.commands.bench import rates, show
from design_space.commands.bench.record import FACTOR, check_factor, compared, encoded, read
from design_space.commands.bench.registry import FAMILIES, chosen
from design_space.commands.bench.timing import Row, measure
from design_space.provenance import device, versions

_ERR = Console(stderr=True, highlight=False, soft_wrap=True)


def machine() -> dict[str, Any]:
    """What seconds depend on: platform, processors, their load, device and versions."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "load": load,
        "device": device(),
        "versions": versions(),
    }


@contextmanager
def _nothing_compiled_before() -> Iterator[None]:
    """A first call is to show compilation, not what an earlier process left in a folder.

    JAX looks at this setting once, when it compiles for the first time.
    """
    before = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)


def measured(wanted: Collection[str]) -> list[Row]:
    """Times the families that have a wanted row.

    Args:
      wanted: names of rows. One that this machine cannot do is left out.
    """
    found: list[Row] = []
    with _ERR.status("timing") as status:
        for name, family in FAMILIES.items():
            own = {line.name for line in family.lines} & set(wanted)
            size = family.sizes(jax.default_backend())
            if not own or size is None:
                continue
            status.update(f"timing {name}")
            with tempfile.TemporaryDirectory(prefix="design-space-bench-") as folder:
                found += measure(family, Path(folder), size, own)
    return found


def bench(
    as_json: bool = False,
    compare: Path | None = None,
    factor: float = FACTOR,
    only: Sequence[str] = (),
) -> int:
    """Times every task and its floor, and prints the table.

    Args:
      as_json: print one JSON object and nothing else.
      compare: a file that `--json` wrote, whose ratios are set beside those of now.
      factor: above 1; a ratio that changed by more has drifted.
      only: names or patterns of the rows that are measured; all of them if none is given.

    Returns:
      The exit status: 1 if a row drifted for the worse, else 0.

    Raises:
      ValueError: if a name is unknown, no row can be measured here, or the file is no record;
        nothing was timed then.
      OSError: if the file cannot be read.
    """
    wanted = chosen(only)
    check_factor(factor)
    then = None if compare is None else read(compare)
    with _nothing_compiled_before():
        speeds = rates.rates(rates.sizes(jax.default_backend()))
        rows = measured(wanted)
    if not rows:
        domain = "a row that this machine can measure"
        raise refusal("only", list(only), domain, "choose another, or install what it needs")
    record = encoded(rows, speeds, machine())
    if as_json:
        record_then = None if then is None else compared(then, record, factor, wanted)
        comparison = {} if record_then is None else {"comparison": record_then.to_dict()}
        print(json.dumps(record | comparison, indent=2))
        return int(record_then is not None and record_then.worse)
    out = Console()
    show.rows(out, rows)
    show.rates(out, speeds)
    show.left_out(_ERR, sorted(wanted - {row.name for row in rows}))
    show.machine(out, record["machine"])
    if then is None:
        return 0
    change = compared(then, record, factor, wanted)
    show.comparison(out, change)
    return int(change.worse)

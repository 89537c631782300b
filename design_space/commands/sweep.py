"""`design-space sweep`: a product of designs -> a table in a directory, resumed after anything."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import rich.progress
from rich.console import Console
from rich.progress import (
    BarColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from design_space.sweeps.content import TOGETHER
from design_space.sweeps.estimate import Cost, cost
from design_space.sweeps.plan import PIECE
from design_space.sweeps.reading import read_sweep, table_digest
from design_space.sweeps.run import Planned, Progress, free_bytes, planned, run
from design_space.sweeps.store import PIECES, pieces_in
from design_space.tables import overridden, read_toml

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

_ERR = Console(stderr=True, highlight=False, soft_wrap=True)


def sweep(
    spec: Path,
    out: Path,
    overrides: Sequence[str] = (),
    *,
    resume: bool = False,
    cluster: str | None = None,
    dry_run: bool = False,
    as_json: bool = False,
    seed: int = 0,
    samples: int = 4096,
    piece: int = PIECE,
) -> None:
    """Plans a sweep, says what it will cost, computes it and says what came out.

    Args:
      spec: the specification file.
      out: the directory of the table.
      overrides: fields to replace, each `section.key=value`.
      resume: go on with what is in the directory.
      cluster: "local:N" or the address of a Dask scheduler.
      dry_run: stop after the plan; nothing is written.
      as_json: print one JSON object on standard output and nothing else there.
      seed: seed of what is sampled.
      samples: draws where Monte Carlo is the only way.
      piece: designs of a piece that are evaluated together.

    Raises:
      ValueError: if anything is wrong with the sweep, the directory or the cluster.
      OSError: if a file cannot be read or written, or the cluster cannot be reached.
    """
    words = {"resume": resume, "cluster": cluster, "dry_run": dry_run, "as_json": as_json}
    try:
        _sweep(spec, out, overrides, **words, seed=seed, samples=samples, piece=piece)
    except KeyboardInterrupt:
        _leave(out)


@contextmanager
def _interruptible(show: Progress) -> Iterator[Progress]:
    """Lets Ctrl-C raise at once, or at the next piece where a callback has swallowed it.

    Args:
      show: told of every piece.

    Yields:
      What to tell of every piece instead.
    """
    asked = threading.Event()

    def interrupt(number: int, frame: object) -> None:
        asked.set()
        raise KeyboardInterrupt

    def told(done: int, total: int) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        show(done, total)

    if threading.current_thread() is not threading.main_thread():  # signals are the main one's
        yield told
        return
    usual = signal.signal(signal.SIGINT, interrupt)
    try:
        yield told
    finally:
        signal.signal(signal.SIGINT, usual)


def _leave(out: Path) -> NoReturn:
    """Ends the process after Ctrl-C, at once: pieces that are under way in threads are let go."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kept = len({number for number, _ in pieces_in(out / PIECES)})
    _ERR.print(
        f"interrupted: {_count(kept, 'piece')} kept in {out}; run the same command with --resume "
        "to go on",
        markup=False,
    )
    sys.stdout.flush()
    os._exit(INTERRUPTED)


def _sweep(
    spec: Path,
    out: Path,
    overrides: Sequence[str],
    *,
    resume: bool,
    cluster: str | None,
    dry_run: bool,
    as_json: bool,
    seed: int,
    samples: int,
    piece: int,
) -> None:
    """The command without its end by Ctrl-C."""
    start = time.perf_counter()
    settings = {"seed": seed, "draws": samples, "piece": piece}
    made = planned(overridden(read_toml(spec), overrides), spec.parent, out, **settings)
    say = _say(as_json)
    for line in described(made):
        say(line)
    about: dict[str, Any] = _outline(made)

    def before(missing: Sequence[int]) -> None:
        if missing:
            expected = cost(made.manifest, missing)
            about["estimate"] = expected._asdict()
            for line in _costs(expected, cluster, free_bytes(out)):
                say(line)

    if dry_run:
        before(range(len(made.manifest["pieces"])))
    else:
        with _bar(as_json) as show, _interruptible(show) as progress:
            options = {"resume": resume, "cluster": cluster}
            computed = run(made, _warn, **options, before=before, progress=progress)
        about |= _outcome(out) | {"computed": computed}
        about["seconds"] = round(time.perf_counter() - start, 3)
        for line in _summary(about, made):
            say(line)
    if as_json:
        print(json.dumps(about, indent=2))


def _say(as_json: bool) -> Callable[[str], None]:
    """Where lines go: standard output, or standard error beside JSON."""
    console = _ERR if as_json else Console(highlight=False, soft_wrap=True)
    return lambda line: console.print(line, markup=False)


def _warn(message: str) -> None:
    _ERR.print(f"warning: {message}", markup=False)


@contextmanager
def _bar(as_json: bool) -> Iterator[Progress]:
    """A bar of the rows on a terminal; nothing elsewhere."""
    console = _ERR if as_json else Console(highlight=False)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("sweep", total=None, visible=False)

        def told(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        yield told


def described(sweep: Planned) -> list[str]:
    """What a sweep holds, in lines.

    Args:
      sweep: the plan.
    """
    manifest = sweep.manifest
    groups, pieces = manifest["groups"], manifest["pieces"]
    lines = [f"{manifest['designs']:,} designs of {manifest['combinations']:,} combinations"]
    if manifest["rows"] != manifest["designs"]:
        lines[0] += f", {manifest['rows']:,} rows"
    lines[0] += f"; {_count(len(groups), 'program')}, {_count(len(pieces), 'piece')}"
    single = sum(group["designs"] for group in groups if group["how"] != TOGETHER)
    if single:
        lines.append(
            f"{single:,} of them are evaluated one at a time: their laws are planned from their "
            "numbers, or their training is simulated"
        )
    return lines


def _costs(expected: Cost, cluster: str | None, free: int) -> list[str]:
    where = "" if cluster is None else " on this machine alone"
    return [
        f"about {_time(expected.seconds)}{where}, {_time(expected.compilation)} of it compilation; "
        f"programs take {expected.device_bytes / 1e6:,.1f} MB",
        f"table of at most {expected.disk_bytes / 1e6:,.1f} MB, {free / 1e9:,.1f} GB are free",
    ]


def _count(number: int, what: str) -> str:
    """A number of things."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _outline(sweep: Planned) -> dict[str, Any]:
    """The plan as JSON."""
    names = ("combinations", "designs", "rows", "axes")
    found = {name: sweep.manifest[name] for name in names}
    return found | {
        "programs": len(sweep.manifest["groups"]),
        "pieces": len(sweep.manifest["pieces"]),
        "out": str(sweep.out),
    }


def _outcome(out: Path) -> dict[str, Any]:
    """What came out: rows without a number and the first reason, and the table's digest."""
    reasons = read_sweep(out, columns=["design", "reason"]).dropna(subset="reason")
    first = None
    if len(reasons):
        row = reasons.iloc[0]
        first = {"design": int(row["design"]), "reason": str(row["reason"])}
    return {"incomplete": len(reasons), "first": first, "sha256": table_digest(out)}


def _summary(about: dict[str, Any], sweep: Planned) -> list[str]:
    pieces = len(sweep.manifest["pieces"])
    whole = f"{about['computed']:,} of {_count(pieces, 'piece')} computed"
    lines = [f"{whole}, {_time(about['seconds'])}"]
    if about["incomplete"]:
        first = about["first"]
        lines.append(
            f"{_count(about['incomplete'], 'row')} without a number; the reason of design "
            f"{first['design']}: " + first["reason"]
        )
    lines.append(f"{sweep.out}: {about['rows']:,} rows, sha256 {about['sha256'][:16]}")
    return lines

"""A sweep from its specification to its table: planned, computed piece by piece, stored."""

import contextlib
import shutil
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from design_space.files import Tell
from design_space.sweeps.cluster import clustered
from design_space.sweeps.content import compute
from design_space.sweeps.local import local
from design_space.sweeps.plan import PIECE, check_room, plan, row_bytes
from design_space.sweeps.reading import read_sweep
from design_space.sweeps.store import Store
from design_space.tables import read_toml

Progress = Callable[[int, int], None]
"""Is told how many rows are there, and of how many."""


class Planned(NamedTuple):
    """A sweep that has been checked.

    Attributes:
      manifest: what will be computed.
      out: the directory of its table.
    """

    manifest: dict[str, Any]
    out: Path


def _existing(folder: Path) -> Path:
    """The folder, or the closest one above it that exists."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _held(folder: Path) -> int:
    """Bytes of the files in a folder."""
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process may be writing there
            size += path.stat().st_size if path.is_file() else 0
    return size


def free_bytes(folder: Path) -> int:
    """Bytes that are free on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(_existing(folder)).free


def planned(
    given: Mapping[str, Any],
    folder: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    draws: int = 4096,
    piece: int = PIECE,
) -> Planned:
    """Checks a sweep as a whole; nothing is written.

    Args:
      given: the sections of a specification, `sweep` among them.
      folder: where relative file names start.
      out: the directory of the table.
      seed: seed of what can only be sampled.
      draws: Monte-Carlo draws per noise level then, at least 64.
      piece: designs of a piece that are evaluated together.

    Raises:
      ValueError: if the sweep is not legal, or its table does not fit on the disk.
      OSError: if a file that it names cannot be read.
    """
    out = Path(out)
    room = free_bytes(out) + (_held(out) if out.is_dir() else 0)
    return Planned(plan(given, folder, seed=seed, draws=draws, piece=piece, room=room), out)


def run(
    sweep: Planned,
    tell: Tell,
    *,
    resume: bool = False,
    cluster: str | None = None,
    before: Callable[[Sequence[int]], None] | None = None,
    progress: Progress | None = None,
) -> int:
    """Computes what is missing of a sweep, and stores it piece by piece.

    Killed at any moment, it has lost the pieces in flight and nothing else.

    Args:
      sweep: the sweep.
      tell: receives messages for the user.
      resume: go on with the pieces that are there.
      cluster: "local:N" or the address of a Dask scheduler; on this machine's devices unless given.
      before: told the numbers of the missing pieces before the first is computed.
      progress: told how many rows are there, and of how many.

    Returns:
      Number of pieces that were computed now.

    Raises:
      ValueError: if the directory holds something else, or the cluster is not usable.
      OSError: if a piece cannot be written, or the cluster cannot be reached.
      RuntimeError: if a piece cannot be computed.
    """
    manifest = sweep.manifest
    with Store(sweep.out, manifest, tell, resume=resume) as store:
        missing = store.missing()
        rows = [entry["rows"] for entry in manifest["pieces"]]
        needed = sum(rows[piece] for piece in missing) * row_bytes(manifest)
        check_room(needed, free_bytes(sweep.out), "what is missing of the table")
        if before is not None:
            before(missing)
        there = manifest["rows"] - sum(rows[piece] for piece in missing)
        with contextlib.closing(_results(manifest, missing, cluster, tell)) as results:
            for piece, content in results:
                store.put(piece, content)
                there += rows[piece]
                if progress is not None:
                    progress(there, manifest["rows"])
    return len(missing)


def _results(
    manifest: dict[str, Any], missing: list[int], cluster: str | None, tell: Tell
) -> Generator[tuple[int, bytes], None, None]:
    """The missing pieces, from where they are computed."""
    if cluster is None or not missing:
        return local(compute, manifest, missing)
    return clustered(compute, manifest, missing, cluster, tell)


def sweep(
    given: Mapping[str, Any] | str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    cluster: str | None = None,
    seed: int = 0,
    samples: int = 4096,
    piece: int = PIECE,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Evaluates a product of designs and keeps the table in a directory.

    Args:
      given: the sections of a specification, `sweep` among them, or the name of such a file.
      out: the directory of the table.
      resume: go on with the pieces that are there.
      cluster: "local:N" or the address of a Dask scheduler; on this machine's devices unless given.
      seed: seed of what can only be sampled.
      samples: Monte-Carlo draws per noise level then, at least 64.
      piece: designs of a piece that are evaluated together.
      progress: told how many rows are there, and of how many.

    Returns:
      The table, as `read_sweep` gives it.

    Raises:
      ValueError: if the sweep is not legal, its table does not fit on the disk, the directory holds
        something else, or the cluster is not usable.
      OSError: if a file cannot be read or written, or the cluster cannot be reached.
      RuntimeError: if a piece cannot be computed.

    Warns:
      UserWarning: of damaged pieces, which are computed again.
    """
    tables, folder = given, Path(".")
    if not isinstance(tables, Mapping):
        tables, folder = read_toml(tables), Path(tables).parent
    made = planned(tables, folder, out, seed=seed, draws=samples, piece=piece)
    run(made, warnings.warn, resume=resume, cluster=cluster, progress=progress)
    return read_sweep(out)

"""Runs an experiment piece by piece, keeping every finished piece on disk."""

import io
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analyses.closure import source_hash
from analyses.experiment import Experiment, Settings
from analyses.provenance import provenance
from design_space.files import (
    Tell,
    canonical,
    digest_of,
    read_described,
    set_aside,
    write_described,
)

Advance = Callable[[int, int], None]
"""Told how many pieces are done, and of how many."""


_Found = tuple[bytes, dict[str, Any], bool]


@dataclass(frozen=True)
class Result:
    """An experiment's table as it lies on disk.

    Attributes:
      table: the whole table.
      path: its Parquet file.
      sha256: of that file.
      finding: what the table shows, in words.
      computed: how many pieces were computed now; the others were read back.
      pieces: provenance of each piece, in the order of the rows.
    """

    table: pd.DataFrame
    path: Path
    sha256: str
    finding: str
    computed: int
    pieces: Sequence[dict[str, Any]]


def to_parquet(table: pd.DataFrame) -> bytes:
    """Writes a table as Parquet, the same bytes for the same table: no index, no metadata."""
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer)
    return buffer.getvalue()


def from_parquet(content: bytes) -> pd.DataFrame:
    """Reads a table back."""
    return pq.read_table(io.BytesIO(content)).to_pandas()


def piece_key(settings: Settings, source: str) -> str:
    """The name of a piece on disk: a hash of its settings and of the code that computes it."""
    return digest_of(canonical({"settings": settings, "source": source}).encode())[:24]


def _read(path: Path, tell: Tell) -> tuple[bytes, dict[str, Any]] | None:
    """Reads a described Parquet file; one that is no Parquet in spite of its checksum is damaged
    too.
    """
    found = read_described(path, tell)
    if found is None:
        return None
    try:
        from_parquet(found[0])
    except (pa.ArrowException, OSError) as error:
        set_aside(path)
        tell(f"{path} is damaged ({error}): set aside as {path.name}.damaged, computing it again")
        return None
    return found


def _piece(
    experiment: Experiment, settings: Settings, source: str, folder: Path, tell: Tell
) -> _Found:
    """Reads one piece back, or computes and keeps it; the last entry says whether it computed."""
    path = folder / "pieces" / f"{piece_key(settings, source)}.parquet"
    found = _read(path, tell)
    if found is not None:
        return *found, False
    start = time.perf_counter()
    content = to_parquet(experiment.compute(settings))
    write_described(path, content, provenance(settings, source, time.perf_counter() - start))
    return content, json.loads(path.with_name(path.name + ".json").read_text("utf-8")), True


def _all_pieces(
    workers: int, pieces: Sequence[Settings], get: Callable[[Settings], _Found], advance: Advance
) -> list[_Found]:
    """Every piece in order; what one of them raises ends the others that have not begun."""
    advance(0, len(pieces))
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(get, settings) for settings in pieces]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                advance(done, len(pieces))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def run(
    experiment: Experiment,
    preset: str,
    out: Path,
    tell: Tell = lambda message: None,
    advance: Advance = lambda done, total: None,
) -> Result:
    """Computes what is missing of an experiment, and returns its whole table.

    Each piece is kept as `out/NAME/pieces/KEY.parquet`, where KEY hashes the piece's settings and
    the source files in the experiment's import closure, with a JSON file beside it that holds the
    checksum and the provenance; the whole is `out/NAME/table.parquet`. Tables hold no times or
    versions, so that they are the same bytes whenever they are computed on one machine. Killed
    anywhere, the next run computes only the piece that was in flight and those after it.

    Args:
      experiment: what to run.
      preset: "quick" or "full".
      out: the result folder, which must be writable.
      tell: told of damaged files.
      advance: told of progress.
    """
    source = source_hash(experiment.file)
    folder = out / experiment.name
    pieces = experiment.pieces(experiment.presets[preset])

    def get(settings: Settings) -> _Found:
        return _piece(experiment, settings, source, folder, tell)

    found = _all_pieces(experiment.workers, pieces, get, advance)
    key = digest_of(canonical([preset, source, *(r["sha256"] for _, r, _ in found)]).encode())
    path = folder / "table.parquet"
    old = _read(path, tell)
    if old is not None and old[1].get("key") == key:
        content = old[0]
    else:
        whole = pd.concat([from_parquet(part) for part, _, _ in found], ignore_index=True)
        content = to_parquet(whole)
        records = [record for _, record, _ in found]
        write_described(path, content, {"key": key, "preset": preset, "pieces": records})
    table = from_parquet(content)
    return Result(
        table,
        path,
        digest_of(content),
        experiment.finding(table),
        sum(computed for *_, computed in found),
        [record for _, record, _ in found],
    )

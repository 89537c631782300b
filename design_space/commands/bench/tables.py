"""The table of a sweep, stored and read back, beside its compression alone."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from design_space.commands.bench.timing import Family, Line, Target, Work
from design_space.sweeps.pieces import COMPRESSION_LEVEL, encode
from design_space.sweeps.reading import read_sweep
from design_space.sweeps.store import Store


class Size(NamedTuple):
    """A table: column "design", three axes and measured numbers.

    Attributes:
      rows: of the table.
      piece: rows of a piece.
      measured: columns of numbers that all differ.
    """

    rows: int = 1_000_000
    piece: int = 1 << 16
    measured: int = 16

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return self.measured + 4


def pieces(size: Size) -> Iterator[pa.Table]:
    """The pieces of the table, the same in every run."""
    rng = np.random.default_rng(0)
    for start in range(0, size.rows, size.piece):
        design = np.arange(start, min(start + size.piece, size.rows))
        columns: dict[str, Any] = {
            "design": design,
            "schedule.kind": pa.array(np.array(["edm", "song"])[design % 2]),
            "schedule.steps": 10 + design // 2 % 100,
            "schedule.rho": 3.0 + design // 200 % 100 / 10,
        }
        for number in range(size.measured):
            columns[f"measured_{number}"] = np.exp(rng.standard_normal(len(design)))
        yield pa.table(columns)


def _streams(table: pa.Table) -> bytes:
    """The measured numbers with their bytes split into streams, as they are compressed."""
    names = [name for name in table.column_names if name.startswith("measured")]
    return b"".join(
        table[name].to_numpy().view(np.uint8).reshape(-1, 8).T.tobytes() for name in names
    )


def _warn(message: str) -> None:
    raise RuntimeError(message)


def _store(out: Path, cuts: Sequence[pa.Table]) -> None:
    """Encodes and stores pieces as a sweep does."""
    rows = [cut.num_rows for cut in cuts]
    manifest = {
        "format": 1,
        "package": "bench",
        "source": "bench",
        "specification": {"rows": sum(rows)},
        "rows": sum(rows),
        "pieces": [{"rows": count} for count in rows],
    }
    with Store(out, manifest, _warn) as store:
        for number, cut in enumerate(cuts):
            store.put(number, encode(cut, {"piece": number}))


def prepare(size: Size, folder: Path) -> dict[str, Work]:
    """The works: a table stored, and read; its bytes compressed alone, and unpacked.

    Args:
      size: the table.
      folder: where it is stored.
    """
    cuts = list(pieces(size))
    codec = pa.Codec("zstd", compression_level=COMPRESSION_LEVEL)
    raw = [_streams(cut) for cut in cuts]
    packed = [(codec.compress(part), len(part)) for part in raw]
    new, kept = folder / "stored", folder / "read"
    _store(kept, cuts)
    table = f"table of {size.rows:,} rows and {size.columns} columns"
    amount = (size.rows, "rows")
    return {
        "store": Work(
            f"{table}: encoded and stored",
            lambda: _store(new, cuts),
            before=lambda: shutil.rmtree(new, ignore_errors=True),
            amount=amount,
            size=sum(path.stat().st_size for path in kept.rglob("*.parquet")),
        ),
        "zstd": Work(
            f"zstd of its {sum(map(len, raw)) / 1e6:.3g} MB of numbers alone",
            lambda: [codec.compress(part) for part in raw],
        ),
        "read": Work(f"{table}: read back", lambda: read_sweep(kept), amount=amount),
        "unpack": Work(
            "its numbers unpacked by zstd alone, on one core",
            lambda: [codec.decompress(part, length) for part, length in packed],
        ),
    }


FAMILY = Family(
    prepare,
    lambda platform: Size(),
    Size(rows=50, piece=20, measured=2),
    (
        Line("table-store", "store", "zstd"),
        Line("table-read", "read", "unpack", Target("seconds", 1.0)),
    ),
    rounds=3,
)

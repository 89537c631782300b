"""A sweep on a file system of its own, which fills up or becomes read-only.

`unshare --mount python small_disk.py full|read-only DIR` mounts it on DIR, where no other process
sees it; it is gone when the process ends, however it ends.
"""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from sweep_tables import manifest_of, silent, stored, table

from design_space.sweeps.pieces import encode
from design_space.sweeps.reading import table_digest
from design_space.sweeps.store import Store, StoreError

CUTS = [table(400, start=400 * number) for number in range(4)]
MANIFEST = manifest_of([400] * 4)
CONTENTS = [encode(cut, {"piece": number}) for number, cut in enumerate(CUTS)]


def fill(path, but):
    """Fills the file system with a file, and leaves so many bytes free."""
    with path.open("wb", buffering=0) as stream:
        with contextlib.suppress(OSError):
            while stream.write(bytes(4096)):
                pass
        stream.truncate(stream.tell() - but)


def full(disk):
    """A full disk is told, and the sweep goes on when there is room again."""
    ballast, folder = disk / "ballast", disk / "sweep"
    with Store(folder, MANIFEST, silent) as store:
        store.put(0, CONTENTS[0])
        store.put(2, CONTENTS[2])
        for free in (0, 4096):  # bytes; the second time a part of the piece can be written
            fill(ballast, free)
            with pytest.raises(StoreError, match="No space left on device") as raised:
                store.put(1, CONTENTS[1])
            sizes = f"({len(CONTENTS[1]):,} bytes needed, {free:,} bytes free)"
            assert sizes in str(raised.value)
            assert "2 pieces are kept" in str(raised.value)
            assert sorted(store.done()) == [0, 2]
            assert len(list((folder / "pieces").iterdir())) == 2
    ballast.unlink()
    with Store(folder, MANIFEST, silent, resume=True) as store:
        assert store.missing() == [1, 3]
        for number in store.missing():
            store.put(number, CONTENTS[number])
    assert table_digest(folder) == table_digest(stored(disk / "whole", CUTS))


def read_only(disk):
    """What cannot be written is refused, and can be read."""
    folder = stored(disk / "sweep", CUTS)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for place in (folder, disk / "new"):
        with pytest.raises(ValueError, match=r"folder that can be written \(Read-only file syst"):
            Store(place, MANIFEST, silent, resume=True).__enter__()
    assert len(table_digest(folder)) == 64


if __name__ == "__main__":
    place = Path(sys.argv[2])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], check=True)
    {"full": full, "read-only": read_only}[sys.argv[1]](place)
    print("as it should be")

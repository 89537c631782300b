"""The directory of a sweep: one process at a time writes it, and every file is whole or not there.

- `DIR/sweep.json`: the manifest, written once.
- `DIR/pieces/000012-0123456789abcdef.parquet`: a piece, the hash of its content in its name.
- `DIR/damaged/`: what was set aside.
- `DIR/.lock` and `DIR/.holder`: the lock of the process that writes, and which process it is.
"""

import errno
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatch
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from design_space.checks import refusal
from design_space.files import Tell, check_writable, write_atomically
from design_space.sweeps import manifest as manifests
from design_space.sweeps.pieces import damage, name_of, number_in, rows_in

PIECES = "pieces"
DAMAGED = "damaged"
_LOCK = ".lock"
_HOLDER = ".holder"
_TEMPORARY = ".*.tmp"
_BEFORE_THE_MANIFEST = {_LOCK, _HOLDER, ".writable"}


class StoreError(OSError):
    """A file of a sweep could not be written; the message says why and what to do."""


def pieces_in(folder: Path) -> list[tuple[int, Path]]:
    """The files in `folder` that have the name of a piece, with its number, in one order always."""
    found = [(number_in(path.name), path) for path in folder.glob("*") if path.is_file()]
    return sorted((number, path) for number, path in found if number is not None)


class Store:
    """The directory of one sweep, locked from `with` to the end of its block.

    The lock belongs to the process and ends with it, however it ends.

    Args:
      folder: the directory; made if it is not there.
      manifest: plain data from which the whole sweep follows. "pieces" holds one entry per piece,
        with its number of rows under "rows".
      tell: told of what was found damaged or foreign.
      resume: whether to go on with pieces that are already there.
    """

    def __init__(
        self, folder: Path, manifest: Mapping[str, Any], tell: Tell, resume: bool = False
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self._tell = tell
        self._resume = resume
        self._kept: dict[int, Path] | None = None
        self._open = ExitStack()

    def __enter__(self) -> "Store":
        """Takes the lock, clears what a killed process left, and writes or compares the manifest.

        Raises:
          ValueError: if the directory cannot be written, is in use, belongs to something else,
            holds another sweep or a damaged manifest, or holds pieces and `resume` is False.
          StoreError: if there is no room for the manifest.
        """
        _refuse_foreign(self.folder)
        with ExitStack() as stack:
            _lock(self.folder, stack)
            check_writable("out", self.folder)
            self._identify(stack)
            for place in (self.folder, self.folder / PIECES):
                for left in place.glob(_TEMPORARY):
                    left.unlink()
            if (self.folder / manifests.FILE).exists():
                self._compare()
            else:
                self._write(self.folder / manifests.FILE, manifests.encoded(self.manifest))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives the lock back."""
        self._open.close()

    def done(self) -> dict[int, Path]:
        """Checks every piece that is there, and sets the damaged ones aside.

        A piece counts if its content fits the hash in its name, its number is one of the manifest's
        and it has as many rows as the manifest says. Of two files of one piece, which can differ in
        provenance only, the first by name is kept.

        Returns:
          Number of a piece -> its file, for every piece that is whole.
        """
        kept: dict[int, Path] = {}
        entries = self.manifest["pieces"]
        self._name_foreign()
        for number, path in pieces_in(self.folder / PIECES):
            if number >= len(entries):
                self._set_aside(
                    path, f"none of the {len(entries)} pieces of this sweep", "not used"
                )
            elif why := damage(path, entries[number]["rows"]):
                self._set_aside(path, f"damaged: {why}", "the piece will be computed again")
            elif number in kept:
                self._set_aside(path, f"piece {number} once more", "the other file is kept")
            else:
                kept[number] = path
        self._kept = kept
        return dict(kept)

    def missing(self) -> list[int]:
        """The numbers of the pieces that are still to compute, in order."""
        kept = self._known()
        return [number for number in range(len(self.manifest["pieces"])) if number not in kept]

    def put(self, number: int, content: bytes) -> Path:
        """Keeps one piece: whole or not at all, whatever ends the process or the machine.

        Args:
          number: of the piece, one of the manifest's.
          content: its Parquet file. A piece that is there already stays as it is.

        Returns:
          The file of the piece.

        Raises:
          ValueError: if there is no such piece, or `content` has not its number of rows.
          StoreError: if it cannot be written; nothing of it stays behind.
        """
        kept, entries = self._known(), self.manifest["pieces"]
        if not 0 <= number < len(entries):
            raise refusal("piece", number, f"0 to {len(entries) - 1}", "take one of `missing()`")
        if number in kept:
            return kept[number]
        rows = entries[number]["rows"]
        if (there := rows_in(content)) != rows:
            raise refusal(f"rows of piece {number}", there, str(rows), "compute all of its designs")
        path = self.folder / PIECES / name_of(number, content)
        self._write(path, content)
        kept[number] = path
        return path

    def _known(self) -> dict[int, Path]:
        """The whole pieces, checked once."""
        if self._kept is None:
            self.done()
        assert self._kept is not None
        return self._kept

    def _identify(self, stack: ExitStack) -> None:
        """Leaves word of who holds the lock, as long as it is held."""
        holder = self.folder / _HOLDER
        who = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
        self._write(holder, who.encode())
        stack.callback(holder.unlink, missing_ok=True)

    def _compare(self) -> None:
        """Refuses the directory of another sweep, and of one that was not meant to go on."""
        there = manifests.read_manifest(self.folder)
        difference = manifests.first_difference(there, self.manifest)
        if difference is not None:
            path, theirs, ours = difference
            raise ValueError(
                f"{self.folder} holds another sweep: {path} = {theirs} there, {ours} here; "
                "choose another folder, or run with what that sweep was run with"
            )
        begun = len({number for number, _ in pieces_in(self.folder / PIECES)})
        if begun and not self._resume:
            raise ValueError(
                f"{self.folder} holds {begun} of the {len(self.manifest['pieces'])} pieces of this "
                "sweep; go on with --resume, or choose another folder"
            )

    def _name_foreign(self) -> None:
        """Tells of the files among the pieces that are none."""
        for path in sorted((self.folder / PIECES).glob("*")):
            hidden = path.name.startswith(".")  # a file that is being written
            if not hidden and (number_in(path.name) is None or not path.is_file()):
                self._tell(f"{path} is no piece of a sweep: left where it is, and not read")

    def _set_aside(self, path: Path, why: str, then: str) -> None:
        """Moves a file among the damaged ones, over none that is there already."""
        place = self.folder / DAMAGED / path.name
        copies = 0
        while place.exists():
            copies += 1
            place = place.with_name(f"{path.name}.{copies}")
        with self._writing(place, 0):
            place.parent.mkdir(exist_ok=True)
            os.replace(path, place)
        self._tell(f"{path} is {why}; set aside as {place.relative_to(self.folder)}, {then}")

    def _write(self, path: Path, content: bytes) -> None:
        """Writes a file, whole or not at all."""
        with self._writing(path, len(content)):
            write_atomically(path, content)

    @contextmanager
    def _writing(self, path: Path, size: int) -> Iterator[None]:
        """Turns what the system says about a failed write into one message with a remedy."""
        try:
            yield
        except OSError as error:
            kept = len(self._kept or pieces_in(self.folder / PIECES))
            raise StoreError(
                f"{path} cannot be written: {error.strerror or error} ({size:,} bytes needed, "
                f"{shutil.disk_usage(self.folder).free:,} bytes free); {_remedy(error)}, then run "
                f"the same command with --resume: {kept} pieces are kept"
            ) from error


def _remedy(error: OSError) -> str:
    """What the user can do about a write that failed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return {
            errno.ENOSPC: "make room on that disk",
            errno.EDQUOT: "make room in your quota, or have it raised",
            errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
        }[error.errno]
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "make the folder writable"
    return "check that disk"


def _refuse_foreign(folder: Path) -> None:
    """Refuses, before anything is written, what is no folder or holds something else."""
    if folder.exists() and not folder.is_dir():
        raise refusal("out", str(folder), "a folder", "choose another name")
    if not folder.is_dir() or (folder / manifests.FILE).exists():
        return
    others = {path.name for path in folder.iterdir()} - _BEFORE_THE_MANIFEST
    foreign = sorted(name for name in others if not fnmatch(name, _TEMPORARY))
    if foreign:
        raise refusal(
            "out",
            str(folder),
            f"empty or the directory of a sweep, but it holds {foreign[0]} and no {manifests.FILE}",
            "choose another folder",
        )


def _lock(folder: Path, stack: ExitStack) -> None:
    """Takes the lock of a directory, or refuses at once.

    Raises:
      ValueError: if another process holds it, or the directory cannot be written.
    """
    lock = FileLock(folder / _LOCK, blocking=False, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise refusal(
            "out",
            str(folder),
            f"a folder that no other sweep is writing, but {_holder(folder)} is",
            "wait until it ends, stop it, or choose another folder",
        ) from None
    except OSError as error:
        raise refusal(
            "out",
            str(folder),
            f"a folder that can be written ({error.strerror or error})",
            "choose another folder or change its permissions",
        ) from error
    stack.callback(lock.release)


def _holder(folder: Path) -> str:
    """Who holds the lock, as far as is known."""
    try:
        who = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"

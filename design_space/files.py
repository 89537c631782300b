"""Files that are whole or not there: atomic writes, checksums beside them, damage set aside."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Tell = Callable[[str], None]
"""Receives a message for the user."""


def canonical(value: Any) -> str:
    """Writes plain data as JSON in one way only: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(content: bytes) -> str:
    """SHA-256 of the content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def digest_of_files(files: Mapping[str, Path]) -> str:
    """SHA-256 over the contents of files and their places, in the order given.

    Args:
      files: from the place of a file, as it is to count, to where it lies.

    Returns:
      The digest in hexadecimal: the same wherever the files lie.
    """
    lines = (f"{place} {digest_of(path.read_bytes())}\n" for place, path in files.items())
    return digest_of("".join(lines).encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that a reader, or a kill at any moment, finds the old one or the new one.

    The content goes to a temporary file in the same folder, is flushed to disk, and is then moved
    over `path` in one step.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide the results from colleagues
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_writable(field: str, folder: Path) -> None:
    """Checks that `folder` exists or can be made, and that a file can be written in it.

    Raises:
      ValueError: naming the folder, the reason and the remedy.
    """
    try:
        write_atomically(folder / ".writable", b"")
        (folder / ".writable").unlink()
    except OSError as error:
        raise ValueError(
            f"{field} = {str(folder)!r}: must be a folder that can be written "
            f"({error.strerror or error}); choose another folder or change its permissions"
        ) from error


def sidecar(path: Path) -> Path:
    """The place of the JSON file that describes `path`: results.parquet -> results.parquet.json."""
    return path.with_name(path.name + ".json")


def write_described(path: Path, content: bytes, description: Mapping[str, Any]) -> None:
    """Writes `content` to `path`, and beside it its SHA-256 with a description.

    The description goes first to be removed and last to be written: a file without one was not
    finished, and counts as absent.
    """
    sidecar(path).unlink(missing_ok=True)
    write_atomically(path, content)
    record = {"sha256": digest_of(content), **description}
    write_atomically(sidecar(path), (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())


def read_described(path: Path, tell: Tell) -> tuple[bytes, dict[str, Any]] | None:
    """Reads back what `write_described` wrote.

    Args:
      path: the file.
      tell: told of damage.

    Returns:
      The content and its description, or None if there is no finished file. A file whose content
      does not fit its checksum, or whose description cannot be read, is set aside under the name
      `*.damaged` and counts as absent.
    """
    if not path.is_file() or not sidecar(path).is_file():
        return None
    content = path.read_bytes()
    try:
        record = json.loads(sidecar(path).read_text(encoding="utf-8"))
        if record["sha256"] == digest_of(content):
            return content, record
        why = "its content does not fit its checksum"
    except (ValueError, KeyError, TypeError):
        why = "its description cannot be read"
    set_aside(path)
    tell(f"{path} is damaged ({why}): set aside as {path.name}.damaged, computing it again")
    return None


def set_aside(path: Path) -> None:
    """Renames a file to `*.damaged` and its description to `*.json.damaged`."""
    for each in (path, sidecar(path)):
        if each.exists():
            os.replace(each, each.with_name(each.name + ".damaged"))

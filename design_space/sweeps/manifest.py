"""The manifest of a sweep on disk: read back whole or refused, compared entry by entry."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from design_space.files import canonical, digest_of

FILE = "sweep.json"
"""The name of the manifest in the directory of a sweep."""

_CHECKSUM = "sha256"
_FIRST = ("specification", "package", "source")
_LAST = ("rows", "pieces")
_ABSENT = object()


def encoded(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as its file holds it, with its SHA-256: damage is told from another sweep."""
    record = {_CHECKSUM: digest_of(canonical(dict(manifest)).encode()), **manifest}
    return (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads the manifest of the sweep in `folder`.

    Raises:
      ValueError: if there is none, or it is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        raise ValueError(
            f"{folder}: must be the directory of a sweep, with a {FILE} in it; "
            "check the path, or run `design-space sweep SPEC.toml --out DIR` to make one"
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop(_CHECKSUM) == digest_of(canonical(record).encode()):
            return record
        why = "its content does not fit its checksum"
    except (ValueError, KeyError, TypeError, AttributeError):
        why = "it cannot be read"
    raise ValueError(
        f"{path}: must be the manifest as it was written, but is damaged or edited ({why}), and "
        "nothing else says what the pieces are; restore the file, or sweep into another folder"
    )


def first_difference(
    there: Mapping[str, Any], here: Mapping[str, Any]
) -> tuple[str, str, str] | None:
    """The first entry in which two manifests differ: specification first, then code, then the rest.

    Args:
      there: one manifest.
      here: another.

    Returns:
      The dotted path of the entry, and its two values as text; None if there is none.
    """
    names = list(dict.fromkeys((*here, *there)))
    middle = [name for name in names if name not in (*_FIRST, *_LAST)]
    for name in (*_FIRST, *middle, *_LAST):
        one, other = there.get(name, _ABSENT), here.get(name, _ABSENT)
        for found in _differences(name, one, other):
            return found
    return None


def _differences(path: str, there: Any, here: Any) -> Iterator[tuple[str, str, str]]:
    """Every entry below `path` in which two values differ."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in dict.fromkeys((*here, *there)):
            part = f'"{key}"' if "." in key else key
            yield from _differences(
                f"{path}.{part}", there.get(key, _ABSENT), here.get(key, _ABSENT)
            )
    elif isinstance(there, list | tuple) and isinstance(here, list | tuple):
        for index in range(max(len(there), len(here))):
            pair = [side[index] if index < len(side) else _ABSENT for side in (there, here)]
            yield from _differences(f"{path}[{index}]", *pair)
    elif _text(there) != _text(here):
        yield path, _shown(there), _shown(here)


def _text(value: Any) -> str:
    """The value in the one form in which values are compared: 1 is not 1.0, nor true."""
    return "absent" if value is _ABSENT else canonical(value)


def _shown(value: Any) -> str:
    """A value on one line that a terminal can hold."""
    text = _text(value)
    return text if len(text) <= 80 else f"{text[:60]}...{text[-17:]}"

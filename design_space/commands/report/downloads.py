"""The files of an analysis as links: its data in the page itself, the others beside it."""

import base64
import gzip
from pathlib import Path
from typing import NamedTuple

EMBEDDED = 200_000
"""Largest file, in bytes, that the page holds as a link's own content (a third more, encoded).

At the quick preset the data of nine analyses in ten are below, plain or compressed, and add a third
to the page of figures, which stays a size for mail. What is larger is linked where it lies.
"""

_BESIDE = {"pdf": "PDF", "svg": "SVG", "png": "PNG", "tex": "LaTeX"}


class Link(NamedTuple):
    """A link to a file.

    Attributes:
      label: its words.
      href: a data: address if the page holds the content, else the place beside the page.
      file: the name under which it is saved.
      embedded: whether the page holds the content.
      size: of what is saved, in words.
    """

    label: str
    href: str
    file: str
    embedded: bool
    size: str


def data_link(out: Path, name: str) -> Link | None:
    """The table of an analysis as CSV: in the page, compressed in the page, or beside it, by size.

    Args:
      out: the result folder, in which the page lies.
      name: of the analysis.

    Returns:
      The link, or None if there is no such file.
    """
    file = f"{name}.csv"
    try:
        plain = (out / name / file).read_bytes()
    except FileNotFoundError:
        return None
    if len(plain) <= EMBEDDED:
        return Link("CSV", _data("text/csv", plain), file, True, _size(plain))
    small = gzip.compress(plain, mtime=0)  # no time in it: the same data give the same page
    if len(small) <= EMBEDDED:
        href = _data("application/gzip", small)
        return Link("CSV, gzip", href, f"{file}.gz", True, _size(small))
    return Link("CSV", f"{name}/{file}", file, False, _size(plain))


def links_beside(out: Path, name: str) -> list[Link]:
    """The other files of an analysis, of those that are there."""
    places = {label: f"{name}/{name}.{kind}" for kind, label in _BESIDE.items()}
    places["Parquet"] = f"{name}/table.parquet"
    return [
        Link(label, place, Path(place).name, False, "")
        for label, place in places.items()
        if (out / place).is_file()
    ]


def picture(out: Path, name: str) -> str | None:
    """The figure of an analysis as the address of an image, or None if there is none.

    An image is a document of its own: the ids that matplotlib uses again in every figure (of
    glyphs, markers and clip paths), and its rules for every element (`*`), stay inside. Written
    into the page itself, one figure would draw the glyphs of another. Nothing is lost, for the
    figures' letters are paths in either case.
    """
    try:
        return _data("image/svg+xml", (out / name / f"{name}.svg").read_bytes())
    except FileNotFoundError:
        return None


def _data(kind: str, content: bytes) -> str:
    """The content as an address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _size(content: bytes) -> str:
    """Bytes in words: kilobytes, or megabytes."""
    count = len(content)
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(round(count / 1e3), 1)} kB"

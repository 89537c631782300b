"""What runs on a worker of a cluster, and what a worker must be to take part in a sweep."""

import functools
import importlib
import importlib.metadata
import json
import signal
import traceback
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from design_space.numerics.startup import prepare_jax
from design_space.provenance import dtype, source_hash, versions

Compute = Callable[[dict, int], bytes]
"""The content of a piece: a pure function of the manifest and the piece's number."""

Fingerprint = Callable[[], dict[str, str]]
"""What decides the numbers of a process, by name."""

_LIBRARIES = ("design-space", "jax", "jaxlib", "equinox", "numpy", "scipy", "pyarrow")
_FEW = 5
_DIGITS = 16


class About(NamedTuple):
    """A worker: its address, its name, its threads, and what decides its numbers."""

    address: str
    name: str
    threads: int
    has: dict[str, str]


class Outcome(NamedTuple):
    """What comes back for a piece: the worker, and the content or the text of the failure."""

    worker: About
    content: bytes
    failure: str


@functools.cache
def _fingerprint() -> dict[str, str]:
    found = versions()
    same_dask = {"distributed": importlib.metadata.version("distributed")}
    return {**{name: found[name] for name in _LIBRARIES}, **same_dask, "sources": source_hash()}


@functools.cache
def _prepare() -> None:
    """Prepares JAX once per process."""
    prepare_jax()


def fingerprint() -> dict[str, str]:
    """What decides the numbers of this process: versions of libraries, and a hash of our sources.

    It is read once per process, since code is loaded once per process.

    Returns:
      Versions by the name of the library, and under "sources" a SHA-256 in hexadecimal.
    """
    return dict(_fingerprint())


def expected(fingerprint: Fingerprint) -> dict[str, str]:
    """What every worker must have: what this process has, and 64-bit floats."""
    return {**fingerprint(), "floats": "float64"}


def packed(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as it travels: JSON, compressed."""
    return zlib.compress(json.dumps(manifest).encode(), level=1)


def unpacked(content: bytes) -> dict[str, Any]:
    """The manifest from what `packed` made of it."""
    return json.loads(zlib.decompress(content))


def about(fingerprint: Fingerprint, dask_worker: Any) -> About:
    """Prepares this process for the sweep, and says what it is.

    Args:
      fingerprint: what to compare.
      dask_worker: Dask's worker in this process; Dask passes it by this name.

    Returns:
      The worker with what it has.
    """
    _prepare()
    has = {**fingerprint(), "floats": dtype()}
    return About(dask_worker.address, str(dask_worker.name), dask_worker.state.nthreads, has)


def dask_setup(worker: Any) -> None:
    """Leaves Ctrl-C to the process of the sweep; Dask calls this in each worker started here.

    Args:
      worker: Dask's worker in this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def work(compute: Compute, fingerprint: Fingerprint, manifest: dict, piece: int) -> Outcome:
    """Computes one piece on a worker.

    Args:
      compute: the content of a piece.
      fingerprint: what to compare between workers.
      manifest: the manifest of the sweep.
      piece: the number of the piece.

    Returns:
      The content, or the traceback of what `compute` raised, with the worker that did it.
    """
    distributed = importlib.import_module("distributed")  # an optional dependency
    worker = about(fingerprint, distributed.get_worker())
    try:
        return Outcome(worker, compute(manifest, piece), "")
    except Exception:
        return Outcome(worker, b"", traceback.format_exc())


def _shown(value: str | None) -> str:
    """A version, or the first digits of a hash."""
    return "missing" if value is None else value[:_DIGITS]


def _differences(has: Mapping[str, str], here: Mapping[str, str]) -> str:
    """In which entries a worker differs from this process, as text; empty if in none."""
    names = sorted(name for name in {*has, *here} if has.get(name) != here.get(name))
    return ", ".join(
        f"{name} is {_shown(has.get(name))} there and {_shown(here.get(name))} here"
        for name in names
    )


def objection(worker: About, here: Mapping[str, str]) -> str:
    """Says why a worker must not take part, naming it; an empty text if it may."""
    who = f"worker {worker.address} (named {worker.name!r})"
    different = _differences(worker.has, here)
    if different:
        return f"{who}: {different}"
    if worker.threads > 1:
        return f"{who}: it has {worker.threads} threads"
    return ""


def refuse(objections: Iterable[str]) -> None:
    """Refuses the workers that there are objections to.

    Raises:
      ValueError: naming each worker, what differs, and the remedy.
    """
    found = [text for text in objections if text]
    if found:
        more = f" | and {len(found) - _FEW} more" if len(found) > _FEW else ""
        raise ValueError(
            f"{' | '.join(found[:_FEW])}{more}: every worker must have the code and versions of "
            "this process and one thread; stop these workers, install the same versions there, "
            "and start them with `dask worker ADDRESS --nthreads 1`"
        )

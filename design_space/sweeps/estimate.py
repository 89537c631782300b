"""What a sweep will cost: time and memory, measured on a few of its designs."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from design_space.pipeline import evaluate_specification
from design_space.sweeps.content import REFUSALS, TOGETHER, Opened, opened
from design_space.sweeps.local import threads
from design_space.sweeps.plan import row_bytes
from design_space.sweeps.program import first_design

MEASURED = 3
"""Groups that are timed; the others are taken to cost as much on average."""

_BATCHES = 4
_LONG = 10.0  # seconds


class Cost(NamedTuple):
    """What a sweep is expected to cost on this machine.

    Attributes:
      seconds: of wall-clock time, compilation included.
      compilation: seconds of them.
      device_bytes: memory that the programs under way take.
      disk_bytes: the table before compression.
    """

    seconds: float
    compilation: float
    device_bytes: int
    disk_bytes: int


class _Timed(NamedTuple):
    compilation: float
    each: float
    memory: int


def cost(manifest: Mapping[str, Any], pieces: Sequence[int]) -> Cost:
    """Times a few designs and extrapolates.

    Args:
      manifest: of the sweep.
      pieces: numbers of the pieces that are to be computed.
    """
    designs: dict[int, int] = {}
    for piece in pieces:
        entry = manifest["pieces"][piece]
        designs[entry["group"]] = designs.get(entry["group"], 0) + entry["designs"]
    seconds = compilation = 0.0
    memory = 0
    for together in (True, False):
        own = {g: n for g, n in designs.items() if _together(manifest, g) == together}
        timed = {g: _timed(manifest, g) for g in _spread(list(own))}
        timed = {g: found for g, found in timed.items() if found is not None}
        if not timed:
            continue
        each = np.interp(list(own), list(timed), [found.each for found in timed.values()])
        seconds += float(np.dot(each, list(own.values()))) / threads()
        compilation += float(np.mean([found.compilation for found in timed.values()])) * len(own)
        memory = max([memory, *(found.memory for found in timed.values())])
    rows = sum(manifest["pieces"][piece]["rows"] for piece in pieces)
    disk = rows * row_bytes(manifest)
    return Cost(seconds + compilation, compilation, memory * threads(), disk)


def _together(manifest: Mapping[str, Any], group: int) -> bool:
    return manifest["groups"][group]["how"] == TOGETHER


def _spread(groups: list[int]) -> list[int]:
    """A few of the groups: the first, the last, and some between them."""
    if len(groups) <= MEASURED:
        return groups
    places = np.linspace(0, len(groups) - 1, MEASURED).round().astype(int)
    return [groups[place] for place in places]


def _timed(manifest: Mapping[str, Any], number: int) -> _Timed | None:
    """Times one group: its compilation, and one design."""
    found = opened(manifest)
    if _together(manifest, number):
        return _program(found, number)
    return _single(manifest, found, number)


def _program(found: Opened, number: int) -> _Timed:
    """Times the program of a group, the one that the sweep will run, on a few batches."""
    designs, group = found.designs, found.designs.groups[number]
    start = time.perf_counter()
    program = found.batches.program(number)
    compilation = time.perf_counter() - start
    devices = len(jax.local_devices())
    few = min(_BATCHES * program.batch, program.size // devices)  # on each device
    values = designs.values(group, np.arange(program.size) % group.size)
    given = {name: values[name] for name in designs.moving}
    jax.block_until_ready(program.run(given, few))
    start = time.perf_counter()
    jax.block_until_ready(program.run(given, few))
    each = (time.perf_counter() - start) / (few * devices)
    kept = program.each * program.size / devices
    return _Timed(compilation, each, program.temporaries + round(kept))


def _single(manifest: Mapping[str, Any], found: Opened, number: int) -> _Timed | None:
    """Times one design of a group: the first time compiles, the second shows the cost.

    A design that takes long is timed once.
    """
    first = first_design(found.designs, found.designs.groups[number])
    if first is None:
        return None
    times: list[float] = []
    while len(times) < 2 and sum(times) < _LONG:
        start = time.perf_counter()
        with contextlib.suppress(*REFUSALS):  # its row will say why
            evaluate_specification(first, seed=manifest["seed"], draws=manifest["draws"])
        times.append(time.perf_counter() - start)
    return _Timed(max(0.0, times[0] - times[-1]), times[-1], 0)

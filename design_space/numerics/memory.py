"""How much memory there is, asked before a computation rather than told by a killed process."""

import gc
import os
from pathlib import Path

import jax

GIB = 2**30
"""Bytes in a gibibyte."""


def available_bytes() -> int | None:
    """Bytes free on the first device; None if they are not known."""
    stats = jax.devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
    try:
        lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def memory_maps() -> int:
    """Number of memory maps of this process; 0 where the system does not tell.

    Every compiled program holds some, and Linux allows a process 65,530 of them unless told
    otherwise: beyond, compilation fails for want of memory however much of it is free.
    """
    try:
        with open("/proc/self/maps", encoding="utf-8") as lines:
            return sum(1 for _ in lines)
    except OSError:
        return 0


def release_programs(above: int = 0) -> None:
    """Lets go of compiled programs, which JAX keeps for as long as a process lives.

    What is still needed is compiled again, or read from the compilation cache.

    Args:
      above: do nothing while the process has at most so many memory maps.
    """
    if memory_maps() > above or not above:
        jax.clear_caches()
        gc.collect()

"""The pieces of a sweep on the devices of this machine."""

import itertools
import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import jax


def threads() -> int:
    """Pieces that are under way at a time.

    The next piece is prepared, and the last one encoded, while one is computed. On a CPU there are
    as many as cores, which a single program does not fill.
    """
    devices = jax.local_devices()
    if devices[0].platform == "cpu" and len(devices) == 1:
        return max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    return 2


def local(
    compute: Callable[[dict, int], bytes], manifest: dict, pieces: Iterable[int]
) -> Generator[tuple[int, bytes], None, None]:
    """Computes pieces here, a few at a time.

    Args:
      compute: the content of a piece.
      manifest: the manifest of the sweep.
      pieces: the numbers of the pieces.

    Yields:
      Pieces with their bytes, each piece once, in the order of completion.

    Raises:
      RuntimeError: if `compute` raised, naming the piece; its own error is the cause.
    """
    pool = ThreadPoolExecutor(threads(), thread_name_prefix="piece")
    under_way: dict[Future[bytes], int] = {}
    waiting = iter(pieces)
    try:
        while True:
            for piece in itertools.islice(waiting, threads() - len(under_way)):
                under_way[pool.submit(compute, manifest, piece)] = piece
            if not under_way:
                return
            for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                piece = under_way.pop(done)
                try:
                    content = done.result()
                except Exception as error:
                    text = f"piece {piece} could not be computed: {type(error).__name__}: {error}"
                    raise RuntimeError(text) from error
                yield piece, content
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # what failed is told at once

"""The pieces of a sweep on a Dask cluster: the same bytes as here, in the order of completion."""

import math
import queue
import time
import uuid
from collections import Counter, deque
from collections.abc import Generator, Iterable
from concurrent.futures import CancelledError
from typing import Any

from design_space.checks import count
from design_space.files import Tell
from design_space.sweeps.connection import (
    await_workers,
    connected,
    dask_distributed,
    parsed,
    threads_of_workers,
)
from design_space.sweeps.workers import (
    About,
    Compute,
    Fingerprint,
    about,
    expected,
    fingerprint,
    objection,
    packed,
    refuse,
    unpacked,
    work,
)

PATIENCE = 60.0
"""Seconds that a sweep waits for a first worker, and again when all workers are lost."""

_TICK = 1.0
_FETCHING = 60.0


def clustered(
    compute: Compute,
    manifest: dict,
    pieces: Iterable[int],
    address: str,
    tell: Tell,
    retries: int = 3,
    ahead: int = 2,
    patience: float = PATIENCE,
    fingerprint: Fingerprint = fingerprint,
) -> Generator[tuple[int, bytes], None, None]:
    """Computes pieces on a cluster, each on one worker at a time.

    Workers may come and go: Dask gives the pieces of a lost worker to others. Closing the generator
    cancels what is outstanding, and stops the processes that it started.

    Args:
      compute: the content of a piece, a function that workers can import.
      manifest: the manifest of the sweep, plain data.
      pieces: the numbers of the pieces.
      address: "local:N" for N worker processes here, or "HOST:PORT" of a Dask scheduler.
      tell: receives messages for the user.
      retries: how often a piece may lose its worker before it is tried alone; at least 0.
      ahead: how many pieces per worker are under way; at least 1.
      patience: seconds to wait while there are no workers.
      fingerprint: what must be the same on every worker.

    Returns:
      A generator of pieces with their bytes, each piece once, in the order of completion.

    Raises:
      ValueError: for a malformed address, if Dask is not installed, or for workers with other
        versions or several threads, named one by one.
      ConnectionError: if the scheduler does not answer, or there are no workers.
      ChildProcessError: if a piece lost its worker more than `retries` times, and again alone.
      RuntimeError: if `compute` raised, with the traceback of the worker.
    """
    count("retries", retries, 0)
    count("ahead", ahead)
    parsed(address)
    dask_distributed()

    def results() -> Generator[tuple[int, bytes], None, None]:
        with connected(address, retries) as client:
            await_workers(client, tell, patience)
            here = expected(fingerprint)
            _check_workers(client, fingerprint, here)
            under_way = _UnderWay(client, compute, fingerprint, manifest, retries)
            try:
                yield from _stream(under_way, iter(pieces), here, ahead, tell, patience)
            finally:
                under_way.close()

    return results()


def _check_workers(client: Any, fingerprint: Fingerprint, here: dict[str, str]) -> None:
    """Asks every worker what it has, and refuses those that may not take part."""
    answers = client.run(about, fingerprint, on_error="return")
    present = threads_of_workers(client)
    objections = []
    for address, answer in answers.items():
        if isinstance(answer, About):
            objections.append(objection(answer, here))
        elif address in present:  # else it left while it was asked
            objections.append(f"worker {address}: it cannot load this package ({answer!r})")
    refuse(objections)


class _UnderWay:
    """The pieces that the cluster has: submitted, and not yet taken."""

    def __init__(
        self,
        client: Any,
        compute: Compute,
        fingerprint: Fingerprint,
        manifest: dict,
        retries: int,
    ):
        self.client = client
        self._functions = (compute, fingerprint)
        self._fingerprint = fingerprint
        self._retries = retries
        self._name = f"piece-{uuid.uuid4().hex}"
        self._futures: dict[int, Any] = {}
        self._lost: Counter[int] = Counter()
        self._attempts: Counter[int] = Counter()
        self._done: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._suspects: deque[int] = deque()
        self._alone: int | None = None
        self._packed = packed(manifest)
        self._manifest = self._unpacked()

    def __len__(self) -> int:
        return len(self._futures) + len(self._suspects)

    def _unpacked(self) -> Any:
        """The manifest on the cluster, which every piece asks for.

        It is a task, and no scattered data: those would be lost with the workers that hold them.
        """
        key = f"manifest-{uuid.uuid4().hex}"
        return self.client.submit(unpacked, self._packed, key=key)

    def submit(self, piece: int) -> None:
        """Hands a piece to the cluster."""
        attempt = self._attempts[piece]
        self._attempts[piece] += 1
        key = (self._name, piece, attempt)
        future = self.client.submit(work, *self._functions, self._manifest, piece, key=key)
        self._futures[piece] = future
        future.add_done_callback(lambda _: self._done.put((piece, attempt)))

    def next_done(self, seconds: float) -> int | None:
        """A piece that is done or failed; None if there is none for some seconds."""
        try:
            piece, attempt = self._done.get(timeout=seconds)
        except queue.Empty:
            return None
        return piece if attempt == self._attempts[piece] - 1 else None

    def take(self, piece: int, here: dict[str, str]) -> bytes | None:
        """Takes the content of a piece from the cluster, which then forgets it.

        Returns:
          The content, or None if the piece was lost and handed over again.
        """
        killed = dask_distributed().scheduler.KilledWorker
        future = self._futures.pop(piece)
        try:
            outcome = future.result(timeout=_FETCHING)
        except killed as error:
            self._again(piece, error.allowed_failures + 1)
            return None
        except TimeoutError:  # its worker left with it: it will be done again
            self._futures[piece] = future
            self._done.put((piece, self._attempts[piece] - 1))
            return None
        except CancelledError:
            threads_of_workers(self.client)  # is the scheduler gone?
            self._again(piece, 1)
            return None
        except Exception as error:
            _check_workers(self.client, self._fingerprint, here)
            raise RuntimeError(f"piece {piece} could not be run by a worker: {error!r}") from error
        future.release()
        refuse([objection(outcome.worker, here)])
        if outcome.failure:
            who = f"{outcome.worker.address} (named {outcome.worker.name!r})"
            raise RuntimeError(f"piece {piece} failed on worker {who}:\n{outcome.failure}")
        return outcome.content

    def _again(self, piece: int, losses: int) -> None:
        """Hands a lost piece to the cluster again, or gives it up."""
        if self._manifest.status != "finished":  # it may have been given up as well
            self._manifest = self._unpacked()
        self._lost[piece] += losses
        if piece == self._alone:
            raise ChildProcessError(
                f"piece {piece}: must not end the worker that computes it, but was lost "
                f"{self._lost[piece]} times, at last with no other piece on the cluster; see the "
                "logs of the workers (the system kills processes that need too much memory), then "
                "run the sweep again with --resume"
            )
        if self._lost[piece] > self._retries:
            self._suspects.append(piece)
        else:
            self.submit(piece)

    def accepts_more(self) -> bool:
        """Whether new pieces may be submitted; suspects go first, each alone on the cluster.

        Dask counts a loss against every piece that the worker had, the waiting ones too. So a piece
        lost too often is guilty only if it is lost again when nothing waits behind it.
        """
        if self._alone is not None and self._alone not in self._futures:
            self._alone = None
        if self._suspects and not self._futures:
            self._alone = self._suspects.popleft()
            self.submit(self._alone)
        return self._alone is None and not self._suspects

    def close(self) -> None:
        """Cancels what is outstanding."""
        futures = [self._manifest, *self._futures.values()]
        if self.client.status == "running":
            self.client.cancel(futures, force=True)
        for future in futures:
            future.release()
        self._futures.clear()


def _stream(
    under_way: _UnderWay,
    pieces: Iterable[int],
    here: dict[str, str],
    ahead: int,
    tell: Tell,
    patience: float,
) -> Generator[tuple[int, bytes], None, None]:
    """Hands pieces over as workers become free, and yields what comes back."""
    waiting = iter(pieces)
    more, workers, asked = True, 0, -math.inf
    while more or under_way:
        if time.monotonic() > asked + _TICK:
            workers = await_workers(under_way.client, tell, patience)
            asked = time.monotonic()
        while under_way.accepts_more() and more and len(under_way) < ahead * workers:
            piece = next(waiting, None)
            if piece is None:
                more = False
            else:
                under_way.submit(piece)
        done = under_way.next_done(_TICK) if under_way else None
        content = None if done is None else under_way.take(done, here)
        if done is not None and content is not None:
            yield done, content
            del content

"""Several tasks of a command at a time, each process taking one after another."""

import functools
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue
from typing import Any

import jax

from design_space.commands.refusals import raised_by_us
from design_space.commands.screen import Screen
from design_space.numerics.memory import GIB, available_bytes
from design_space.numerics.startup import prepare_jax

MEMORY = 4 * GIB
"""Bytes that a process is given room for."""

_TICK = 0.1  # seconds between looks at what the processes say


def processes(tasks: int) -> int:
    """Processes that this machine has cores and memory for; one where there is a GPU, which a
    process takes for itself.

    Args:
      tasks: more processes than tasks are of no use.
    """
    if jax.default_backend() != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    free = available_bytes()
    room = 2 if free is None else free // MEMORY
    return max(1, min(tasks, cores or 1, room))


class Relay(Screen):
    """The screen of a process that has none: what is said is shown by the process that started it.

    Args:
      messages: where to.
    """

    def __init__(self, messages: "SimpleQueue[tuple]"):
        super().__init__(quiet=True)
        self._messages = messages

    def say(self, message: str) -> None:
        """Passes a line on."""
        self._messages.put(("say", message))

    def warn(self, message: str) -> None:
        """Passes a warning on."""
        self._messages.put(("warn", message))

    @contextmanager
    def bars(self) -> Iterator[Callable[[str, int, int], None]]:
        """Passes progress on."""
        yield lambda label, done, total: self._messages.put(("advance", label, done, total))


_screen: list[Screen] = []  # of a process that `_begin` prepared


def _begin(messages: "SimpleQueue[tuple]") -> None:
    """Prepares a process: it goes when the one that started it does, however that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started it stops it
    starter = multiprocessing.parent_process()

    def follow() -> None:
        if starter is not None:
            starter.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    # of a program that another process is just writing: it is compiled here, too
    warnings.filterwarnings("ignore", "Error reading persistent compilation cache entry")
    prepare_jax()
    _screen.append(Relay(messages))


def _run(work: Callable[[str, Screen], None], name: str) -> ValueError | None:
    """Does a task.

    Returns:
      The error, if it is a refused input: on its way to another process it loses the places that it
      passed, by which a refused input is told from a defect.
    """
    try:
        work(name, _screen[0])
    except ValueError as error:
        if raised_by_us(error):
            return error
        raise
    return None


def _show(messages: "SimpleQueue[tuple]", screen: Screen, advance: Callable[..., None]) -> None:
    """Shows what the processes have said."""
    shown = {"say": screen.say, "warn": screen.warn, "advance": advance}
    while not messages.empty():
        kind, *what = messages.get()
        shown[kind](*what)


def _killed(jobs: int) -> ChildProcessError:
    why = f"one of {jobs} processes was killed, as happens where memory runs out"
    return ChildProcessError(f"{why}; take fewer at a time: --jobs 1")


def side_by_side(
    work: Callable[[str, Screen], None], names: Sequence[str], jobs: int, screen: Screen
) -> None:
    """Does tasks in processes of their own, in the order given, and shows what they say.

    Args:
      work: does the task of a name, a function that a new process can import; it may say things on
        the screen that it is given.
      names: of the tasks.
      jobs: number of processes.
      screen: of this process.

    Raises:
      ChildProcessError: if a process was killed; the others have been stopped.
      BaseException: what a task raised, once the other processes have been stopped.
    """
    spawn = multiprocessing.get_context("spawn")  # JAX has threads, which a fork would not copy
    messages = spawn.SimpleQueue()
    options: dict[str, Any] = {"initializer": _begin, "initargs": (messages,)}
    others, ours = set(multiprocessing.active_children()), set()
    with ProcessPoolExecutor(jobs, mp_context=spawn, **options) as pool, screen.bars() as advance:
        task = functools.partial(_run, work)
        try:
            left: set[Future[ValueError | None]] = {pool.submit(task, name) for name in names}
            while left:
                done, left = wait(left, timeout=_TICK, return_when=FIRST_COMPLETED)
                _show(messages, screen, advance)
                for future in done:
                    refused = future.result()
                    if refused is not None:
                        raise refused
                # the pool does not look at a process that it started while it was waiting
                ours |= set(multiprocessing.active_children()) - others
                if left and any(process.exitcode is not None for process in ours):
                    raise BrokenProcessPool
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in ours | (set(multiprocessing.active_children()) - others):
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                raise _killed(jobs) from None
            raise

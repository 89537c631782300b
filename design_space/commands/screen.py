"""What a command shows while it works: a bar on a terminal, a line elsewhere, warnings always."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


class Screen:
    """Messages and progress of one command.

    Args:
      quiet: show warnings only.
    """

    def __init__(self, quiet: bool = False):
        self._quiet = quiet
        self._out = Console(highlight=False, soft_wrap=True)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, message: str) -> None:
        """Shows a line, unless quiet."""
        if not self._quiet:
            self._out.print(message, markup=False)

    def warn(self, message: str) -> None:
        """Shows a line on standard error, quiet or not."""
        self._err.print(f"warning: {message}", markup=False)

    @contextmanager
    def bars(self) -> Iterator[Callable[[str, int, int], None]]:
        """Shows bars on a terminal while the block runs, and nothing elsewhere.

        Yields:
          The function to call with a label, how much of it is done, and of how much: one bar for
          each label that has something left.
        """
        if self._quiet or not self._out.is_terminal:
            yield lambda label, done, total: None
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._out, transient=True) as shown:
            tasks: dict[str, TaskID] = {}

            def advance(label: str, done: int, total: int) -> None:
                if label not in tasks:
                    tasks[label] = shown.add_task(label, total=total)
                shown.update(tasks[label], completed=done, total=total, visible=done < total)

            yield advance

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Shows one bar while the block runs.

        Yields:
          The function to call with how much is done, and of how much.
        """
        with self.bars() as advance:
            yield functools.partial(advance, label)

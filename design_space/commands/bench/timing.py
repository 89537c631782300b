"""What is timed, and how: works that take turns, and lines that set one beside another."""

import statistics
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from design_space.provenance import device


class Work(NamedTuple):
    """Something that can be run again and again.

    Attributes:
      what: what one whole of it is, in words.
      run: does `share` of it.
      share: how much of the whole one run does: 50 where 50 steps are run and a step is the whole,
        1/8 where the time of the whole is extrapolated from an eighth.
      before: what must be done before each run, not timed.
      amount: how many the whole makes, and of what, for a rate.
      size: bytes of what it makes, where they count as its time does.
    """

    what: str
    run: Callable[[], Any]
    share: float = 1.0
    before: Callable[[], Any] | None = None
    amount: tuple[float, str] | None = None
    size: int | None = None


class Target(NamedTuple):
    """What a line should stay under.

    Attributes:
      of: "ratio", "seconds" or "first_seconds".
      most: the largest value allowed.
    """

    of: str
    most: float


class Line(NamedTuple):
    """One work beside another.

    Attributes:
      name: of the row.
      task: key of the work that is ours.
      floor: key of the work that it is measured by.
      target: what is asked of it, if anything.
    """

    name: str
    task: str
    floor: str
    target: Target | None = None


class Family(NamedTuple):
    """Works that are timed in turn, and the lines that compare them.

    Attributes:
      prepare: (size, an empty folder) -> the works by key, in the order of their turns. One that
        this machine cannot do is left out, and its lines with it.
      sizes: name of JAX's platform -> size; None where the family is not worth running there.
      tiny: a size at which everything runs in a moment.
      lines: the rows.
      rounds: how often each work is timed.
      warm: whether each work runs once before the rounds.
    """

    prepare: Callable[[Any, Path], dict[str, Work]]
    sizes: Callable[[str], Any]
    tiny: Any
    lines: tuple[Line, ...]
    rounds: int = 5
    warm: bool = True


class Times(NamedTuple):
    """How long a work took.

    Attributes:
      rounds: seconds of the whole in each round.
      first: seconds of the first call as it stands, compilation included; None if all count alike.
    """

    rounds: tuple[float, ...]
    first: float | None

    @property
    def seconds(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.rounds)

    def ratio(self, floor: "Times") -> float:
        """The median over the rounds of this work's time over another's in the same round.

        Args:
          floor: times of a work that took turns with this one.
        """
        pairs = zip(self.rounds, floor.rounds, strict=True)
        return statistics.median(own / bare for own, bare in pairs)


class Row(NamedTuple):
    """One row of the table.

    Attributes:
      name: of the row.
      task: what was done, in words.
      seconds: median time of it.
      first_seconds: time of its first call, compilation included, or None.
      floor: what it is measured by, in words.
      floor_seconds: median time of that.
      ratio: of the two times in one round; the median over the rounds, which a load that comes and
        goes between rounds leaves as it is.
      target: what is asked of it, or None.
      repeats: how often each was timed.
      rate: how many a second, or None.
      unit: of what, or None.
      size: bytes of what was made, or None.
      device: what JAX computes on.
    """

    name: str
    task: str
    seconds: float
    first_seconds: float | None
    floor: str
    floor_seconds: float
    ratio: float
    target: Target | None
    repeats: int
    rate: float | None
    unit: str | None
    size: int | None
    device: str

    @property
    def missed(self) -> bool:
        """Whether there is a target, and it was missed."""
        if self.target is None:
            return False
        value = getattr(self, self.target.of)
        return value is not None and not value < self.target.most


def _once(work: Work) -> float:
    """Wall-clock seconds of one run, to the end of its computation."""
    if work.before is not None:
        work.before()
    start = time.perf_counter()
    jax.block_until_ready(work.run())
    return time.perf_counter() - start


def in_turn(works: Mapping[str, Work], rounds: int, warm: bool = True) -> dict[str, Times]:
    """Times works, which take turns: what else the machine does falls on all of them.

    Args:
      works: by key.
      rounds: how often each is timed, at least 1.
      warm: whether each runs once before the rounds, on its own clock.

    Returns:
      The times by key.
    """
    first = {key: _once(work) if warm else None for key, work in works.items()}
    times: dict[str, list[float]] = {key: [] for key in works}
    for _ in range(rounds):
        for key, work in works.items():
            times[key].append(_once(work) / work.share)
    return {key: Times(tuple(found), first[key]) for key, found in times.items()}


def measure(
    family: Family, folder: Path, size: Any, wanted: Collection[str] | None = None
) -> list[Row]:
    """Times a family and compares its works.

    Args:
      family: the works and their lines.
      folder: an empty folder for files.
      size: one of the family's sizes.
      wanted: names of the rows to measure; all of them by default. No other work is run.

    Returns:
      The rows, in the order of the lines.
    """
    works = family.prepare(size, folder)
    lines = [
        line
        for line in family.lines
        if (wanted is None or line.name in wanted) and {line.task, line.floor} <= set(works)
    ]
    needed = {key for line in lines for key in (line.task, line.floor)}
    chosen = {key: work for key, work in works.items() if key in needed}
    times = in_turn(chosen, family.rounds, family.warm)
    return [row(line, works, times) for line in lines]


def row(line: Line, works: Mapping[str, Work], times: Mapping[str, Times]) -> Row:
    """The row of a line.

    Args:
      line: which work beside which.
      works: by key.
      times: by key.
    """
    task, floor = works[line.task], works[line.floor]
    ours, bare = times[line.task], times[line.floor]
    rate, unit = (None, None)
    if task.amount is not None:
        rate, unit = task.amount[0] / ours.seconds, task.amount[1]
    return Row(
        line.name,
        task.what,
        ours.seconds,
        ours.first,
        floor.what,
        bare.seconds,
        ours.ratio(bare),
        line.target,
        len(ours.rounds),
        rate,
        unit,
        task.size,
        device(),
    )

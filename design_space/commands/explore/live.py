"""What runs when a control has moved: numbers at once, then better ones until another move."""

from collections.abc import Callable
from dataclasses import dataclass

import marimo as mo

from design_space.commands.explore import layout
from design_space.commands.explore.bounds import bounds
from design_space.commands.explore.budget import budget
from design_space.commands.explore.fisher import fisher
from design_space.commands.explore.law import law
from design_space.commands.explore.picture import Picture
from design_space.commands.explore.reading import Memory
from design_space.commands.explore.winner import winner
from design_space.explorer.compute import coarse, refined
from design_space.explorer.numbers import Numbers
from design_space.explorer.state import State


@dataclass(frozen=True)
class Wishes:
    """How the pictures are to be drawn.

    Attributes:
      per_step: the error budget by steps instead of in total.
      criterion: of the winner map, one of `winner.CRITERIA`.
    """

    per_step: bool = False
    criterion: str = "marginal_kl"


def pictures(numbers: Numbers, wishes: Wishes) -> list[Picture]:
    """All pictures of a state, in the order of the page.

    Args:
      numbers: of the state.
      wishes: how they are to be drawn.
    """
    return [
        law(numbers),
        fisher(numbers),
        budget(numbers, wishes.per_step),
        bounds(numbers),
        winner(numbers, wishes.criterion),
    ]


def show(state: State, wishes: Wishes, memory: Memory) -> None:
    """Shows the pictures of a state in its cell, and goes on refining them.

    Args:
      state: the state.
      wishes: how they are to be drawn.
      memory: takes the newest numbers.
    """
    with memory.lock:  # from here on, what is still being refined shows nothing any more
        memory.turn += 1
    turn = memory.turn
    try:
        numbers = coarse(state)
    except ValueError as error:
        mo.output.replace(layout.refused(error))
        return
    memory.numbers = numbers
    mo.output.replace(layout.gallery(pictures(numbers, wishes), numbers))
    if not numbers.final:  # last, for what it shows must come after what is shown here
        mo.Thread(target=_refine, args=(state, wishes, memory, turn), daemon=True).start()


def _refine(state: State, wishes: Wishes, memory: Memory, turn: int) -> None:
    """Replaces the pictures by better ones; another move of a control ends it."""
    thread = mo.current_thread()

    def stop() -> bool:
        return thread.should_exit or memory.turn != turn

    for numbers in refined(state, stop):
        new = layout.gallery(pictures(numbers, wishes), numbers)
        with memory.lock:
            if stop():
                return
            memory.numbers = numbers
            mo.output.replace(new)


def file_of(memory: Memory, make: Callable[[Numbers], str]) -> Callable[[], bytes]:
    """The content of a download, made when it is asked for.

    Args:
      memory: holds the newest numbers.
      make: numbers -> text.
    """

    def content() -> bytes:
        assert memory.numbers is not None
        return make(memory.numbers).encode()

    return content

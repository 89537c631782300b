"""From what the elements of the page hold to a state, and to messages beside the fields."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from design_space.explorer.controls import CONTROLS
from design_space.explorer.numbers import Numbers
from design_space.explorer.state import State, validated


@dataclass(frozen=True)
class View:
    """What the panel of controls depends on beside the elements.

    Attributes:
      applies: the names of the controls that have an effect.
      messages: field -> message.
    """

    applies: frozenset[str] = frozenset()
    messages: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Memory:
    """What one visitor's page keeps between its runs.

    Attributes:
      mixture: the last typed mixture that is one.
      step: the step that was chosen last, or None for the last one.
      view: what the panel shows.
      numbers: the newest numbers.
      turn: counts the states that were shown.
      lock: is held while a turn begins, and while something is shown beside the page's runs.
    """

    mixture: str
    step: int | None = None
    view: View | None = None
    numbers: Numbers | None = None
    turn: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def read(values: Mapping[str, Any], memory: Memory) -> tuple[State, dict[str, str]]:
    """The state that the elements describe. Never raises.

    A typed mixture that is not one leaves the last good one in place; a value that does not go
    with the others gives way to its default. Either has a message.

    Args:
      values: name of a control -> what its element holds.
      memory: gives the last good mixture, and takes a new one.

    Returns:
      The state, and field -> message.
    """
    values, messages = dict(values), {}
    try:
        memory.mixture = validated("mixture", values.get("mixture", memory.mixture))
    except ValueError as error:
        if values.get("data") == "mixture":
            messages["mixture"] = f"{error}. The pictures show the last good one."
        values["mixture"] = memory.mixture
    state, notes = State.from_query({k: v for k, v in values.items() if v is not None})
    for note in notes:
        messages[note.partition(" = ")[0]] = f"{note}. The default is used."
    return state, messages


def step_in(steps: int, memory: Memory) -> int:
    """The step that a new slider along the path begins with: the last one, unless another was set.

    Args:
      steps: the number N of steps.
      memory: what was chosen.
    """
    return steps if memory.step is None else min(memory.step, steps)


def chosen(step: int, steps: int, memory: Memory) -> int:
    """Remembers a step that was chosen; the last one stays the last one when N changes.

    Args:
      step: 0 to `steps`.
      steps: the number N of steps.
      memory: takes it.

    Returns:
      The step.
    """
    memory.step = None if step == steps else step
    return step


def view(state: State, messages: Mapping[str, str]) -> View:
    """What the panel shows for a state.

    Args:
      state: the state.
      messages: field -> message.
    """
    return View(frozenset(name for name in CONTROLS if state.applies(name)), dict(messages))

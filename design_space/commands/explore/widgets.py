"""The controls of the page as marimo elements, made from the table of `explorer.controls`."""

import math
from collections.abc import Mapping
from typing import Any

import marimo as mo
import numpy as np

from design_space.commands.explore.winner import CRITERIA
from design_space.explorer.controls import CONTROLS, Control
from design_space.explorer.state import State

STOPS = 121
"""About how many places a slider of real numbers has."""

APART = ("steps", "step", "lesson")
"""Controls that the page places, or must hear of, apart from the others."""


def elements(state: State) -> dict[str, Any]:
    """An element for each control that has no place of its own, by name.

    Args:
      state: what the elements show first.
    """
    found = {}
    for name, control in CONTROLS.items():
        if name not in APART:
            found[name] = element(control, getattr(state, name))
    return found


def element(control: Control, value: Any) -> Any:
    """One control: a slider, a choice or a text field.

    Args:
      control: its entry in the table.
      value: what it shows first, in its domain.
    """
    label = f"{control.label} ({control.unit})" if control.unit else control.label
    match control.kind:
        case "choice":
            return mo.ui.dropdown(
                list(control.choices),
                value=value,
                label=label,
                full_width=True,
                allow_select_none=False,
            )
        case "text":
            return mo.ui.text(str(value), label=label, full_width=True, debounce=500)
    return mo.ui.slider(
        steps=stops(control, value), value=value, label=label, show_value=True, full_width=True
    )


def stops(control: Control, value: float | int) -> list[float | int]:
    """The places of a slider, in its domain: round numbers, its default, and the first value.

    Args:
      control: of kind "number" or "whole".
      value: the first value.

    Returns:
      Ascending numbers from the least to the largest value of the domain.
    """
    assert control.low is not None
    assert control.high is not None
    low, high = control.low, control.high
    if control.scale == "log":
        count = math.log10(high / low)
        raw = low * 10 ** np.linspace(0, count, STOPS)
    else:
        raw = np.linspace(low, high, STOPS)
    rounded = {low, high, value, control.default}
    if control.kind == "whole":
        rounded |= {round(number) for number in raw} | set(range(int(low), min(20, int(high)) + 1))
    else:
        rounded |= {_two_digits(number, control) for number in raw}
    return sorted(number for number in rounded if number is not None and low <= number <= high)


def _two_digits(number: float, control: Control) -> float:
    """A number as a person would set it: two digits on a log scale, else the width of a stop."""
    if control.scale == "log":
        return float(f"{number:.1e}")
    assert control.low is not None
    assert control.high is not None
    width = (control.high - control.low) / (STOPS - 1)
    return round(float(number), max(0, 1 - math.floor(math.log10(width))))


def steps_slider(value: int) -> Any:
    """The slider of the number of steps, which the slider along the path must hear of.

    Args:
      value: what it shows first.
    """
    return element(CONTROLS["steps"], value)


def budget_choice() -> Any:
    """The choice between the error budget in total and step by step."""
    options = {"in total": False, "step by step": True}
    return mo.ui.dropdown(options, value="in total", label="Error budget", allow_select_none=False)


def criterion_choice() -> Any:
    """The choice of what the winner map compares."""
    options = {name: key for key, name in CRITERIA.items()}
    return mo.ui.dropdown(
        options, value=next(iter(options)), label="Winner by", allow_select_none=False
    )


def step_slider(steps: int, value: int) -> Any:
    """The slider along the path: how many steps have been taken.

    Args:
      steps: the number N of steps.
      value: 0 to N.
    """
    label = f"{CONTROLS['step'].label}, of {steps}"
    return mo.ui.slider(0, steps, value=value, label=label, show_value=True, full_width=True)


def lesson_choice(titles: Mapping[int, str], value: int | None) -> Any:
    """The choice between free exploration and the lessons.

    Args:
      titles: number -> title, of the lessons that are there.
      value: the lesson that is open, or None.
    """
    options: dict[str, int | None] = {"Free exploration": None}
    options |= {f"Lesson {number}: {title}": number for number, title in titles.items()}
    shown = next((name for name, number in options.items() if number == value), "Free exploration")
    return mo.ui.dropdown(
        options, value=shown, label="Page", full_width=True, allow_select_none=False
    )

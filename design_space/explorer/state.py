"""The state of the explorer: one value per control, from and to the query string of the page."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from design_space.checks import refusal
from design_space.explorer.controls import CONTROLS, Control
from design_space.explorer.typed_mixture import EXAMPLE, TypedMixture, read_mixture

_CLOSEST = 0.9  # largest sigma_min / sigma_max: nearer levels leave nothing to sample


def _default(name: str) -> Any:
    return CONTROLS[name].default


@dataclasses.dataclass(frozen=True)
class State:
    """One value per control; see `controls.CONTROLS` for units and domains.

    Values are checked by `validated`, `changed` and `from_query`, not by the constructor.

    Attributes:
      data: "gaussian", "bimodal" or "mixture".
      mean, std: of Gaussian data.
      separation, width: of 1/2 N(-separation, width^2) + 1/2 N(separation, width^2).
      mixture: the typed mixture.
      sigma_min, sigma_max: least and largest noise level.
      variance, time, rho: the schedule.
      steps: the number N of steps.
      sampler: kind of the sampler.
      score: "exact", "scaled" or "trained".
      factor: of a scaled score.
      training: steps of gradient descent of a trained score.
      weighting: of its loss.
      step: after how many steps the law is shown, 0 to N.
      lesson: 1 to 8, or None.
    """

    data: str = _default("data")
    mean: float = _default("mean")
    std: float = _default("std")
    separation: float = _default("separation")
    width: float = _default("width")
    mixture: str = _default("mixture")
    sigma_min: float = _default("sigma_min")
    sigma_max: float = _default("sigma_max")
    variance: str = _default("variance")
    time: str = _default("time")
    rho: float = _default("rho")
    steps: int = _default("steps")
    sampler: str = _default("sampler")
    score: str = _default("score")
    factor: float = _default("factor")
    training: int = _default("training")
    weighting: str = _default("weighting")
    step: int = _default("steps")
    lesson: int | None = None

    @staticmethod
    def from_query(query: Mapping[str, Any]) -> "tuple[State, tuple[str, ...]]":
        """Reads a query string. Never raises.

        Args:
          query: name -> text, or a list of texts, of which the last counts.

        Returns:
          The state, and a note for each name or value that could not be taken, which names the
          field, the value and the domain; such a field has its default.
        """
        values, notes = {}, []
        for name, given in query.items():
            last = given[-1] if isinstance(given, list | tuple) and given else given
            try:
                values[str(name)] = validated(str(name), last)
            except ValueError as error:
                notes.append(str(error))
        state = State(**{name: value for name, value in values.items() if name != "step"})
        state = dataclasses.replace(state, step=values.get("step", state.steps))
        return _consistent(state, notes), tuple(notes)

    def to_query(self) -> dict[str, str]:
        """What differs from the defaults, name -> text; `from_query` gives the same state back."""
        found = {}
        for name, control in CONTROLS.items():
            value = getattr(self, name)
            if value != (self.steps if name == "step" else control.default):
                found[name] = value if isinstance(value, str) else repr(value)
        return found

    def changed(self, **values: Any) -> "State":
        """The state with other values, each checked.

        The step that is shown stays the last one if it was, and is at most the last one.

        Args:
          values: field -> value, or the text of it.

        Raises:
          ValueError: names the field, the value, the domain and a remedy.
        """
        read = {name: validated(name, value) for name, value in values.items()}
        new = dataclasses.replace(self, **read)
        if "step" not in read:
            last = self.step == self.steps or self.step > new.steps
            new = dataclasses.replace(new, step=new.steps if last else self.step)
        problems = _conflicts(new)
        if problems:
            raise next(iter(problems.values()))
        return new

    def applies(self, name: str) -> bool:
        """Whether a control has an effect in this state.

        Args:
          name: of the control.
        """
        return CONTROLS[name].applies(dataclasses.asdict(self))

    def components(self) -> TypedMixture:
        """The data law as a mixture on the line; a Gaussian has one component."""
        match self.data:
            case "gaussian":
                return TypedMixture((1.0,), (self.mean,), (self.std,))
            case "bimodal":
                means = (-self.separation, self.separation)
                return TypedMixture((0.5, 0.5), means, (self.width, self.width))
        return read_mixture(self.mixture)


def validated(name: str, value: Any) -> Any:
    """The value of one control, read from a text or a number.

    Args:
      name: of the control.
      value: a text as it stands in a text field or a query string, or the value itself.

    Raises:
      ValueError: names the field, the value, the domain and a remedy.
    """
    control = CONTROLS.get(name)
    if control is None:
        domain = "absent, or one of the names " + ", ".join(CONTROLS)
        raise refusal(name, value, domain, "check the spelling")
    match control.kind:
        case "choice":
            if not (isinstance(value, str) and value in control.choices):
                raise refusal(name, value, control.domain, "choose one of these names")
            return value
        case "text":
            if not isinstance(value, str):
                raise refusal(name, value, control.domain, f"write a text such as {EXAMPLE}")
            read_mixture(value)
            return value
    return _number(control, value)


def _number(control: Control, value: Any) -> float | int | None:
    """A number inside the domain of its control."""
    remedy = f"take {control.default}" if control.default is not None else "choose one of these"
    wrong = refusal(control.name, value, control.domain, remedy)
    if value is None and control.name == "lesson":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise wrong from error
    assert control.low is not None
    assert control.high is not None
    if not (math.isfinite(number) and control.low <= number <= control.high):
        raise wrong
    if control.kind == "whole":
        if number != int(number):
            raise wrong
        return int(number)
    return number + 0.0  # -0.0 becomes 0.0


def _conflicts(state: State) -> dict[str, ValueError]:
    """Fields whose values do not go with those of others, and why."""
    found = {}
    if state.sigma_min > _CLOSEST * state.sigma_max:
        domain = f"at most {_CLOSEST} times sigma_max = {state.sigma_max:g}"
        remedy = "lower sigma_min or raise sigma_max"
        found["sigma_min"] = refusal("sigma_min", state.sigma_min, domain, remedy)
    if state.score == "trained" and state.data != "gaussian":
        domain = f"exact or scaled where data = {state.data}"
        remedy = "take Gaussian data, for which training is solved in closed form"
        found["score"] = refusal("score", state.score, domain, remedy)
    if state.step > state.steps:
        domain = f"at most steps = {state.steps}"
        found["step"] = refusal("step", state.step, domain, "show an earlier step")
    return found


def _consistent(state: State, notes: list[str]) -> State:
    """The state with defaults for fields that conflict with others, and the notes of these."""
    for name, error in _conflicts(state).items():
        default = state.steps if name == "step" else CONTROLS[name].default
        state = dataclasses.replace(state, **{name: default})
        notes.append(str(error))
    return state

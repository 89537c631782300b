"""The controls of the explorer: one table of names, domains and defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from design_space.explorer.typed_mixture import EXAMPLE

Kind = Literal["number", "whole", "choice", "text"]
Scale = Literal["linear", "log"]

DATA = ("gaussian", "bimodal", "mixture")
SAMPLERS = (
    "frozen",
    "euler-maruyama",
    "ancestral",
    "optimal-variance",
    "ode-euler",
    "heun",
    "midpoint",
    "churn",
    "predictor-corrector",
)
WEIGHTINGS = ("edm", "song", "uniform", "min-snr", "p2")
MOST_STEPS = 200


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
      name: its field in the state and in the query string.
      label: what stands beside it.
      help: one sentence.
      kind: "number", "whole", "choice" or "text".
      default: the value where nothing is given.
      unit: of the value; empty if it has none.
      low: least value of a number.
      high: largest value of a number.
      scale: "log" where a slider moves by factors.
      choices: the names of a choice.
      when: field -> values; the control applies where every one of these fields has such a value.
    """

    name: str
    label: str
    help: str
    kind: Kind
    default: float | int | str | None
    unit: str = ""
    low: float | int | None = None
    high: float | int | None = None
    scale: Scale = "linear"
    choices: tuple[str, ...] = ()
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def domain(self) -> str:
        """What is allowed, as it follows "must be"."""
        match self.kind:
            case "choice":
                return "one of " + ", ".join(self.choices)
            case "text":
                return f"a sum of terms such as {EXAMPLE}"
            case "whole":
                return f"a whole number from {self.low:g} to {self.high:g}"
        return f"a number from {self.low:g} to {self.high:g}"

    def applies(self, values: Mapping[str, object]) -> bool:
        """Whether the control has an effect where the other fields have these values.

        Args:
          values: field -> value.
        """
        return all(values[name] in allowed for name, allowed in self.when.items())


def _number(
    name: str, label: str, sentence: str, value: float, low: float, high: float, **more: object
) -> Control:
    return Control(name, label, sentence, "number", value, low=low, high=high, **more)  # type: ignore[arg-type]


_GAUSSIAN = {"data": ("gaussian",)}
_BIMODAL = {"data": ("bimodal",)}
_DATA_UNIT = {"unit": "data units"}
_LOG = {"scale": "log"}

_TARGETS = (
    Control(
        "data",
        "Data",
        "The law of the data: a Gaussian, two equal modes, or a mixture that you type.",
        "choice",
        "gaussian",
        choices=DATA,
    ),
    _number(
        "mean", "Mean", "Mean of the Gaussian data.", 0.0, -10.0, 10.0, when=_GAUSSIAN, **_DATA_UNIT
    ),
    _number(
        "std",
        "Standard deviation",
        "Standard deviation of the Gaussian data, the scale against which noise is measured.",
        0.5,
        0.01,
        100.0,
        when=_GAUSSIAN,
        **_DATA_UNIT,
        **_LOG,
    ),
    _number(
        "separation",
        "Modes at ±",
        "The two modes lie at minus and plus this number.",
        1.0,
        0.01,
        20.0,
        when=_BIMODAL,
        **_DATA_UNIT,
        **_LOG,
    ),
    _number(
        "width",
        "Width of a mode",
        "Standard deviation of each mode.",
        0.1,
        0.01,
        5.0,
        when=_BIMODAL,
        **_DATA_UNIT,
        **_LOG,
    ),
    Control(
        "mixture",
        "Mixture",
        "Weights, means and standard deviations of up to six Gaussian components.",
        "text",
        EXAMPLE,
        when={"data": ("mixture",)},
    ),
)

_SCHEDULES = (
    _number(
        "sigma_min",
        "σ min",
        "The noise level at which the sampler stops.",
        0.002,
        1e-4,
        10.0,
        **_DATA_UNIT,
        **_LOG,
    ),
    _number(
        "sigma_max",
        "σ max",
        "The noise level at which the sampler starts.",
        80.0,
        0.1,
        1000.0,
        **_DATA_UNIT,
        **_LOG,
    ),
    Control(
        "variance",
        "Variance schedule",
        "The noise level as a function of time: σ = t (EDM) or σ = √t (Song).",
        "choice",
        "linear",
        choices=("linear", "sqrt"),
    ),
    Control(
        "time",
        "Time schedule",
        "How the times are spaced: polynomial (EDM), exponential (Song) or uniform.",
        "choice",
        "polynomial",
        choices=("polynomial", "exponential", "uniform"),
    ),
    _number(
        "rho",
        "ρ",
        "Exponent of the polynomial times; larger values put more steps at small noise.",
        7.0,
        1.0,
        50.0,
        scale="log",
        when={"time": ("polynomial",)},
    ),
    Control(
        "steps",
        "Steps N",
        "How many steps the sampler takes.",
        "whole",
        20,
        low=1,
        high=MOST_STEPS,
        scale="log",
    ),
)

_SCORES = (
    Control(
        "sampler",
        "Sampler",
        "How a step is taken; frozen is the sampler of the paper.",
        "choice",
        "frozen",
        choices=SAMPLERS,
    ),
    Control(
        "score",
        "Score",
        "The exact score, the exact score times a factor, or a trained one (Gaussian data only).",
        "choice",
        "exact",
        choices=("exact", "scaled", "trained"),
    ),
    _number(
        "factor",
        "Factor",
        "What the exact score is multiplied by.",
        1.3,
        0.0,
        3.0,
        when={"score": ("scaled",)},
    ),
    Control(
        "training",
        "Gradient-descent steps",
        "For how many steps one affine score per noise level has been trained.",
        "whole",
        1000,
        low=1,
        high=1_000_000,
        scale="log",
        when={"score": ("trained",)},
    ),
    Control(
        "weighting",
        "Weighting",
        "How much each noise level counts in the training loss.",
        "choice",
        "edm",
        choices=WEIGHTINGS,
        when={"score": ("trained",)},
    ),
)

_VIEW = (
    Control(
        "step",
        "Step shown",
        "After how many steps the law of the sampler is shown; the last unless given.",
        "whole",
        None,
        low=0,
        high=MOST_STEPS,
    ),
    Control(
        "lesson", "Lesson", "The lesson that is open beside the page.", "whole", None, low=1, high=8
    ),
)

CONTROLS: dict[str, Control] = {
    control.name: control for control in (*_TARGETS, *_SCHEDULES, *_SCORES, *_VIEW)
}
"""Every control by name, in the order in which a page shows them."""

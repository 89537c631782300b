"""The design of a state as a specification, and as the text of a specification file."""

from typing import Any

from design_space.explorer.state import State

_TRAINED_SEED = 0


def sections(state: State) -> dict[str, dict[str, Any]]:
    """The sections of the specification of a state, as `Specification.parse` takes them.

    Args:
      state: the state.
    """
    found = {"target": _target(state), "schedule": _schedule(state), "score": _score(state)}
    found["sampler"] = {"kind": state.sampler}
    if state.score == "trained":
        found["weighting"] = {"kind": state.weighting}
        found["model"] = {"kind": "affine"}
        found["training"] = {
            "samples": "population",
            "steps": state.training,
            "learning_rate": "auto",
            "seed": _TRAINED_SEED,
        }
    return found


def specification(state: State) -> str:
    """The text of a specification file (TOML) of the state's design.

    `design-space evaluate` of that file gives the budget that the page shows.

    Args:
      state: the state.
    """
    parts = []
    for name, fields in sections(state).items():
        lines = [f"{key} = {_toml(value)}" for key, value in fields.items()]
        parts.append("\n".join([f"[{name}]", *lines]))
    return "\n\n".join(parts) + "\n"


def _target(state: State) -> dict[str, Any]:
    if state.data == "gaussian":
        return {"kind": "gaussian", "mean": [state.mean], "std": state.std}
    law = state.components()
    return {
        "kind": "mixture",
        "weights": list(law.weights),
        "means": [[mean] for mean in law.means],
        "stds": list(law.stds),
    }


def _schedule(state: State) -> dict[str, Any]:
    found = {"variance": state.variance, "time": state.time, "steps": state.steps}
    found |= {"sigma_min": state.sigma_min, "sigma_max": state.sigma_max}
    return found | ({"rho": state.rho} if state.time == "polynomial" else {})


def _score(state: State) -> dict[str, Any]:
    extra = {"factor": state.factor} if state.score == "scaled" else {}
    return {"kind": state.score} | extra


def _toml(value: Any) -> str:
    """A value in TOML; Python writes its numbers and lists of them in the same way."""
    return f'"{value}"' if isinstance(value, str) else repr(value)

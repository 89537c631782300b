"""The weighting, the model and the training of a specification, built from its sections."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from design_space import checks
from design_space.arrays import Key
from design_space.schedules.schedule import Schedule
from design_space.scores.linear import per_level_affine, random_features, shared_affine
from design_space.scores.model import AbstractModel
from design_space.scores.perceptron import perceptron
from design_space.scores.preconditioned import noise_coordinate, preconditioned
from design_space.scores.relu_network import relu_network
from design_space.scores.two_layer import two_layer
from design_space.weightings.base import AbstractWeighting, CustomWeighting, DensityWeighting
from design_space.weightings.named import edm_weighting, min_snr, p2, song, uniform

LINEAR_KINDS = ("affine", "features")
"""Kinds of models that are affine in their trained weights."""

_SIGMA_DATA = 0.5


def build_weighting(fields: Mapping[str, Any]) -> AbstractWeighting:
    """The weighting of a [weighting] section.

    Args:
      fields: the section as it was read.
    """
    given = {k: v for k, v in fields.items() if k not in ("kind", "pointwise")}
    makers = {
        "edm": edm_weighting,
        "song": song,
        "uniform": uniform,
        "min-snr": min_snr,
        "p2": p2,
        "custom": CustomWeighting,
    }
    weighting = makers[fields["kind"]](**given)
    if fields.get("pointwise", False):
        assert isinstance(weighting, DensityWeighting)  # the grammar has it for these only
        return weighting.pointwise()
    return weighting


def build_model(fields: Mapping[str, Any], dim: int, schedule: Schedule, key: Key) -> AbstractModel:
    """The untrained model of a [model] section.

    Args:
      fields: the section as it was read.
      dim: dimension of the data.
      schedule: gives the levels of a per-level model.
      key: random key of what is drawn.
    """
    inside, dtype = fields["preconditioned"], fields["dtype"]
    match fields["kind"]:
        case "affine" if "scales" in fields:
            model = shared_affine(dim, fields["scales"], fields["intercept"], dtype)
        case "affine":
            levels = schedule.forward_sigmas[1:]
            levels = noise_coordinate(levels) if inside else levels
            model = per_level_affine(dim, levels, fields["intercept"], dtype)
        case "features":
            model = random_features(key, dim, fields["width"], dtype, fields["bias"])
        case "two-layer":
            model = two_layer(key, dim, fields["width"], fields["both"], dtype)
        case "perceptron":
            sizes = {name: fields[name] for name in ("width", "depth", "activation")}
            model = perceptron(key, dim, dtype=dtype, **sizes)
        case _:
            model = relu_network(key, dim, fields["width"], fields["depth"], dtype)
    return preconditioned(model, fields.get("sigma_data", _SIGMA_DATA)) if inside else model


def check_trained(sections: Mapping[str, Mapping[str, Any]], levels: int, dim: int) -> None:
    """Checks what the grammar cannot: settings of different keys and sections.

    Args:
      sections: `weighting`, `model` and `training` as they were read.
      levels: number N of noise levels.
      dim: dimension of the data.

    Raises:
      ValueError: names the dotted field, its value, its domain and a remedy.
    """
    model, training = sections["model"], sections["training"]
    _check_weighting(sections["weighting"], levels)
    if "sigma_data" in model and not model["preconditioned"]:
        domain, remedy = "absent unless model.preconditioned = true", "remove it or set that"
        raise checks.refusal("model.sigma_data", model["sigma_data"], domain, remedy)
    if np.any(np.asarray(model.get("scales", 0.0)) < 0):
        scales = model["scales"].tolist()
        raise checks.refusal("model.scales", scales, "at least 0", "check the signs")
    steps, budgets = training["steps"], training.get("budgets", (training["steps"],))
    if budgets[-1] > steps:
        domain = f"at most training.steps = {steps} in every entry"
        raise checks.refusal("training.budgets", list(budgets), domain, "train longer, or drop it")
    _check_method(model, training)
    _check_population(model, training, dim)
    if training["learning_rate"] == "printed" and model["kind"] == "affine":
        domain = 'a number or "auto" for a model of kind "affine", which has no width'
        raise checks.refusal("training.learning_rate", "printed", domain, "choose one of these")


def _check_weighting(weighting: Mapping[str, Any], levels: int) -> None:
    """Checks that given values are one for each level, and that each level is trained."""
    values = weighting.get("values")
    if values is None:
        return
    checks.same_dimension("len(weighting.values)", len(values), "the schedule's levels", levels)
    if np.any(values <= 0):
        domain = "above 0 in every entry: every level is trained"
        raise checks.refusal("weighting.values", values.tolist(), domain, "check the signs")


def _check_method(model: Mapping[str, Any], training: Mapping[str, Any]) -> None:
    """Refuses a closed form for a network."""
    if training["method"] == "closed form" and model["kind"] not in LINEAR_KINDS:
        domain = f'"auto" or "simulated" for a model of kind "{model["kind"]}"'
        remedy = "only models affine in their weights have a closed form: change one of the two"
        raise checks.refusal("training.method", "closed form", domain, remedy)


def _check_population(model: Mapping[str, Any], training: Mapping[str, Any], dim: int) -> None:
    """Refuses descent on the population loss where it is not solvable."""
    if training["samples"] != "population":
        return
    field, kind = "training.samples", model["kind"]
    remedy = "give a number of samples"
    if kind not in LINEAR_KINDS:
        domain = f'a whole number for a model of kind "{kind}", whose training is simulated'
        raise checks.refusal(field, "population", domain, remedy)
    if kind == "features" and dim > 1:
        domain = f"a whole number for random features in dimension {dim}"
        raise checks.refusal(field, "population", domain, remedy)
    if training["method"] == "simulated":
        domain = 'a whole number beside training.method = "simulated"'
        raise checks.refusal(field, "population", domain, remedy)
    if training["learning_rate"] == "printed":
        domain = 'a number or "auto": the printed one is made from the number of samples'
        raise checks.refusal("training.learning_rate", "printed", domain, "choose one of these")

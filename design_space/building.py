"""The parts of a design, built from the sections of a specification that have been read."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from design_space import checks, readers
from design_space.arrays import is_concrete
from design_space.grammar import PAIR
from design_space.optimal.langevin import predictor_corrector
from design_space.optimal.marginal import marginal_optimal
from design_space.optimal.path import path_optimal
from design_space.optimal.score_optimal import score_optimal
from design_space.optimal.step_variance import optimal_variance
from design_space.optimal.tangent import tangent
from design_space.sampling.kinds import STEPPERS
from design_space.sampling.steppers import AbstractStepper
from design_space.schedules.edm_table import iddpm, vp
from design_space.schedules.named import edm, schedule, song
from design_space.schedules.published import align_your_steps, beta_quantiles
from design_space.schedules.schedule import Schedule
from design_space.schedules.variance import Power
from design_space.targets.base import AbstractTarget
from design_space.targets.empirical import Empirical
from design_space.targets.gaussian import Gaussian
from design_space.targets.labeled import LabeledMixture, read_labels
from design_space.targets.mixture import GaussianMixture


def _schedules(target: AbstractTarget) -> dict[str, Callable[..., Schedule]]:
    """What makes the schedule of each kind from the keys of its section."""

    def ends(make: Callable[..., Schedule], *first: AbstractTarget) -> Callable[..., Schedule]:
        names = ("steps", "sigma_min", "sigma_max")
        return lambda **given: make(*first, **{k: given[k] for k in names if k in given})

    return {
        PAIR: schedule,
        "edm": edm,
        "song": ends(song),
        "tangent": tangent,
        "beta": beta_quantiles,
        "align-your-steps": align_your_steps,
        "vp": vp,
        "iddpm": iddpm,
        "path-optimal": ends(path_optimal, target),
        "marginal-optimal": ends(marginal_optimal, target),
        "score-optimal": lambda **given: score_optimal(target, **given),
        "custom": lambda sigmas, exponent: Schedule.from_sigmas(sigmas, Power(exponent)),
    }


def build_schedule(fields: Mapping[str, Any], target: AbstractTarget) -> Schedule:
    """The schedule of a section [schedule] that has been read.

    Args:
      fields: `kind` and its keys.
      target: the data law, for kinds that are computed from it.
    """
    given = {key: value for key, value in fields.items() if key != "kind"}
    return _schedules(target)[fields["kind"]](**given)


def build_sampler(
    fields: Mapping[str, Any], target: AbstractTarget, grid: Callable[[], Schedule]
) -> AbstractStepper:
    """The sampler of a section [sampler] that has been read.

    Args:
      fields: `kind` and its keys.
      target: the data law, for kinds whose noise is computed from it.
      grid: gives the noise schedule, for the same kinds.
    """
    given = {key: value for key, value in fields.items() if key != "kind"}
    match fields["kind"]:
        case "optimal-variance":
            return optimal_variance(target, grid(), **given)
        case "predictor-corrector":
            return predictor_corrector(target, grid(), **given)
        case kind:
            return STEPPERS[kind](**given)


def build_target(fields: Mapping[str, Any], folder: Path) -> AbstractTarget:
    """The data law of a section [target] that has been read.

    Args:
      fields: `kind` and its keys.
      folder: where relative file names start.

    Raises:
      ValueError: names the dotted field, its value, its domain and a remedy.
    """
    match fields["kind"]:
        case "gaussian":
            return _build_gaussian(fields)
        case "mixture":
            return _build_mixture(fields)
        case _:
            return _build_empirical(fields["points"], folder)


def build_labeled(fields: Mapping[str, Any], whole: AbstractTarget) -> LabeledMixture | None:
    """The classes of a section [target] that has been read; None if it names none.

    Args:
      fields: `kind` and its keys.
      whole: the law of all classes together.

    Raises:
      ValueError: names the dotted field, its value, its domain and a remedy.
    """
    if "labels" not in fields:
        return None
    assert isinstance(whole, GaussianMixture)  # the grammar has labels for mixtures only
    size = whole.parts.log_weights.shape[0]
    return LabeledMixture(whole, read_labels("target.labels", fields["labels"], size))


def _exactly_one(fields: Mapping[str, Any], names: Sequence[str]) -> str:
    """The one of the keys `names` of [target] that is given."""
    given = [name for name in names if name in fields]
    domain = "given by exactly one of " + ", ".join(names)
    if not given:
        raise readers.missing("target." + names[0], domain, "add one of them to [target]")
    if len(given) > 1:
        raise checks.refusal("keys of target", given, domain, "keep one of them")
    return given[0]


def _nonnegative_entries(field: str, values: Any) -> None:
    if is_concrete(values) and np.any(values < 0):
        raise checks.refusal(field, values.tolist(), "at least 0 in every entry", "check the signs")


def _build_gaussian(fields: Mapping[str, Any]) -> Gaussian:
    """Builds a Gaussian from mean (or dim), and one of std, variances, covariance."""
    form = _exactly_one(fields, ("std", "variances", "covariance"))
    if "mean" not in fields and not (form == "std" and "dim" in fields):
        domain = "a list of numbers"
        remedy = "add `mean = [...]` to [target]; std with dim may leave it out and means zero"
        raise readers.missing("target.mean", domain, remedy)
    dim = len(fields["mean"]) if "mean" in fields else fields["dim"]
    mean = fields.get("mean", np.zeros(dim))
    if "dim" in fields:
        checks.same_dimension("target.dim", fields["dim"], "target.mean", dim)
    if form == "std":
        return Gaussian.isotropic(dim, fields["std"], mean)
    if form == "variances":
        variances = fields["variances"]
        checks.same_dimension("len(target.variances)", len(variances), "target.mean", dim)
        _nonnegative_entries("target.variances", variances)
        return Gaussian.diagonal(mean, variances)
    return Gaussian(mean, checks.covariance("target.covariance", fields["covariance"], dim))


def _build_mixture(fields: Mapping[str, Any]) -> GaussianMixture:
    """Builds a mixture from weights, means, and one of stds, covariances."""
    form = _exactly_one(fields, ("stds", "covariances"))
    weights, means = checks.probabilities("target.weights", fields["weights"]), fields["means"]
    for name in ("means", form):
        size = len(fields[name])
        if size != len(weights):
            domain = f"{len(weights)}, one entry for each of target.weights"
            raise checks.refusal(f"len(target.{name})", size, domain, "make them agree")
    if form == "stds":
        _nonnegative_entries("target.stds", fields["stds"])
        return GaussianMixture.isotropic(weights, means, fields["stds"])
    dim = means.shape[1]
    covariances = [
        checks.covariance(f"target.covariances[{k}]", matrix, dim)
        for k, matrix in enumerate(fields["covariances"])
    ]
    return GaussianMixture(weights, means, np.stack(covariances))


def _build_empirical(points: Any, folder: Path) -> Empirical:
    """Builds an empirical law from an array, or from a file beside the specification."""
    if not isinstance(points, str):
        return Empirical(points)
    try:
        return Empirical.from_file(folder / points)
    except ValueError as error:
        raise ValueError(f"target.{error}") from error

"""A design read from a specification file: checked as a whole, then built piece by piece."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from design_space import checks, grammar, readers
from design_space.arrays import is_concrete, named_key
from design_space.optimal.marginal import marginal_optimal
from design_space.optimal.path import path_optimal
from design_space.optimal.score_optimal import score_optimal
from design_space.optimal.tangent import tangent
from design_space.schedules.named import edm, schedule, song
from design_space.schedules.published import align_your_steps, beta_quantiles
from design_space.schedules.schedule import Schedule
from design_space.schedules.variance import Power
from design_space.scores.affine import AffineScore
from design_space.scores.base import AbstractScore
from design_space.scores.exact import exact_score
from design_space.scores.model import AbstractModel
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.tables import overridden, read_toml
from design_space.targets.base import AbstractTarget
from design_space.targets.empirical import Empirical
from design_space.targets.gaussian import Gaussian
from design_space.targets.mixture import GaussianMixture
from design_space.trained_design import build_model, build_weighting, check_trained
from design_space.weightings.base import AbstractWeighting


class Specification(eqx.Module):
    """A design as data. Every value has been checked when the object exists.

    Attributes:
      given: the sections as they were given, before defaults.
      sections: the sections as they were read: `target`, `schedule`, `score`, `sampler`, and for
        a trained score `weighting`, `model`, `training`, each a dict with `kind` and its keys,
        defaults filled in.
      folder: where relative file names start.
    """

    given: dict[str, Any]
    sections: dict[str, dict[str, Any]]
    folder: Path
    _target: AbstractTarget

    @staticmethod
    def load(path: str | Path) -> "Specification":
        """Reads a specification file (TOML).

        Args:
          path: the file; files that it names are looked up beside it.

        Raises:
          ValueError: if the file is not TOML (with line and column), or names a design that does
            not exist.
          OSError: if the file cannot be read.
        """
        return Specification.parse(read_toml(path), Path(path).parent)

    @staticmethod
    def parse(given: Mapping[str, Any], folder: str | Path = ".") -> "Specification":
        """Reads a specification from a mapping, section name -> table.

        Args:
          given: what a TOML reader makes of a specification file; arrays may also be NumPy's.
          folder: where relative file names start.

        Raises:
          ValueError: names the dotted field, its value, its domain and a remedy.
        """
        folder = Path(folder)
        sections = grammar.read_sections(given)
        target = _build_target(sections["target"], folder)
        _check_schedule(sections["schedule"])
        levels = _count_steps(sections["schedule"])
        _check_score(sections["score"], levels, target.dim)
        if sections["score"]["kind"] == "trained":
            check_trained(sections, levels, target.dim)
        return Specification(copy.deepcopy(dict(given)), sections, folder, target)

    def with_overrides(self, overrides: Sequence[str]) -> "Specification":
        """The same design with some fields replaced.

        Args:
          overrides: each `section.key=value`, the value in TOML; a bare word is a string.

        Raises:
          ValueError: if an override cannot be read, or the design it makes does not exist.
        """
        return Specification.parse(overridden(self.given, overrides), self.folder)

    def with_values(self, values: Mapping[str, Any]) -> "Specification":
        """The same design with other numbers, which may be traced; they are not checked.

        Args:
          values: dotted field -> number or array, of the shape that the field has.
        """
        sections = {name: dict(fields) for name, fields in self.sections.items()}
        for field, value in values.items():
            section, _, key = field.partition(".")
            sections[section][key] = value
        moved = any(field.startswith("target.") for field in values)
        target = _build_target(sections["target"], self.folder) if moved else self._target
        return Specification(self.given, sections, self.folder, target)

    def target(self) -> AbstractTarget:
        """The data law."""
        return self._target

    def schedule(self) -> Schedule:
        """The noise schedule; kinds that end in "-optimal" compute it from the target."""
        return _build_schedule(self.sections["schedule"], self._target)

    def score(self, grid: Schedule | None = None) -> AbstractScore:
        """The score that the sampler uses.

        Args:
          grid: the noise schedule, if it has been built already; only kind "affine" looks at it.

        Raises:
          ValueError: if the score is to be trained: that is more than building it.
        """
        fields = self.sections["score"]
        exact = exact_score(self._target)
        match fields["kind"]:
            case "scaled":
                return scaled_score(exact, fields["factor"])
            case "shifted":
                return shifted_score(exact, fields["shift"])
            case "trained":
                remedy = "train it: design_space.pipeline.evaluate_specification"
                raise checks.refusal("score.kind", "trained", "a score that is at hand", remedy)
            case "affine":
                grid = self.schedule() if grid is None else grid
                levels = grid.backward_sigmas[:-1]
                return AffineScore(levels, fields["slopes"], fields.get("intercepts"))
            case _:
                return exact

    @property
    def trains(self) -> bool:
        """Whether the score is trained: then there are `weighting`, `model` and `training`."""
        return self.sections["score"]["kind"] == "trained"

    def weighting(self) -> AbstractWeighting:
        """The weighting of the training loss, where the score is trained."""
        return build_weighting(self.sections["weighting"])

    def model(self, grid: Schedule | None = None) -> AbstractModel:
        """The untrained model, where the score is trained.

        Args:
          grid: the noise schedule, if it has been built already.
        """
        grid = self.schedule() if grid is None else grid
        key = named_key(jax.random.key(self.training["seed"]), "model")
        return build_model(self.sections["model"], self._target.dim, grid, key)

    @property
    def training(self) -> dict[str, Any]:
        """The settings of training, where the score is trained; `budgets` ends with `steps`."""
        fields = {k: v for k, v in self.sections["training"].items() if k != "kind"}
        budgets, steps = fields.get("budgets", ()), fields["steps"]
        return fields | {"budgets": budgets if steps in budgets else (*budgets, steps)}

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The sections as plain lists, numbers and strings, with defaults filled in."""

        def plain(value: Any) -> Any:
            if isinstance(value, np.ndarray | tuple):
                return np.asarray(value).tolist()
            return value

        return {
            name: {
                key: plain(value)
                for key, value in fields.items()
                if not (key == "kind" and value in (grammar.PAIR, grammar.SETTINGS))
            }
            for name, fields in self.sections.items()
        }


def _count_steps(fields: Mapping[str, Any]) -> int:
    return len(fields["sigmas"]) - 1 if fields["kind"] == "custom" else fields["steps"]


def _check_schedule(fields: Mapping[str, Any]) -> None:
    """Checks what the grammar cannot: the order of the noise levels."""
    if fields["kind"] != "custom":
        ends = ("sigma_min", "sigma_max")
        missing = [name for name in ends if name not in fields]
        if not missing:
            low, high = (fields[name] for name in ends)
            checks.ordered("schedule.sigma_min", low, "schedule.sigma_max", high)
        elif len(missing) == 1:  # a table keeps its own ends, or is stretched to both others
            domain = "given together with the other end"
            remedy = "give both, or neither to keep the ends of the table"
            raise readers.missing(f"schedule.{missing[0]}", domain, remedy)
        return
    field, sigmas = "schedule.sigmas", fields["sigmas"]
    if len(sigmas) < 2:
        raise checks.refusal(field, sigmas.tolist(), "two levels or more", "add levels")
    if sigmas[-1] == 0:
        remedy = "drop the appended 0: the law at sigma = 0 has no finite KL"
        raise checks.refusal(field, sigmas.tolist(), "above 0", remedy)
    if np.any(sigmas <= 0):
        raise checks.refusal(field, sigmas.tolist(), "above 0", "remove the other levels")
    checks.decreasing(field, sigmas)


def _check_score(fields: Mapping[str, Any], steps: int, dim: int) -> None:
    """Checks the sizes of a score against the schedule's steps and the target's dimension."""
    if fields["kind"] == "shifted":
        checks.same_dimension("len(score.shift)", len(fields["shift"]), "target", dim)
    if fields["kind"] != "affine":
        return
    for name in ("slopes", "intercepts"):
        array = fields.get(name)
        if array is None:
            continue
        if len(array) != steps:
            domain = f"{steps}, one entry per step of the sampler, from the largest noise down"
            raise checks.refusal(f"len(score.{name})", len(array), domain, "match the schedule")
        if array.shape[1:] not in {(), (dim,), (dim, dim)}:
            domain = f"made of entries of the target's dimension, {dim}"
            raise checks.refusal(f"shape of score.{name}", array.shape, domain, "match the target")


def _build_schedule(fields: Mapping[str, Any], target: AbstractTarget) -> Schedule:
    given = {key: value for key, value in fields.items() if key != "kind"}
    ends = {key: given[key] for key in ("steps", "sigma_min", "sigma_max") if key in given}
    match fields["kind"]:
        case "edm":
            return edm(**given)
        case "song":
            return song(**ends)
        case "tangent":
            return tangent(**given)
        case "beta":
            return beta_quantiles(**given)
        case "align-your-steps":
            return align_your_steps(**given)
        case "path-optimal":
            return path_optimal(target, **ends)
        case "marginal-optimal":
            return marginal_optimal(target, **ends)
        case "score-optimal":
            return score_optimal(target, **given)
        case "custom":
            return Schedule.from_sigmas(given["sigmas"], Power(given["exponent"]))
        case _:
            return schedule(**given)


def _build_target(fields: Mapping[str, Any], folder: Path) -> AbstractTarget:
    match fields["kind"]:
        case "gaussian":
            return _build_gaussian(fields)
        case "mixture":
            return _build_mixture(fields)
        case _:
            return _build_empirical(fields["points"], folder)


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

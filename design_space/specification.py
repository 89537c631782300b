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
from design_space.building import build_labeled, build_sampler, build_schedule, build_target
from design_space.sampling.steppers import AbstractStepper
from design_space.schedules.edm_table import iddpm
from design_space.schedules.schedule import Schedule
from design_space.scores.affine import AffineScore
from design_space.scores.base import AbstractScore
from design_space.scores.exact import exact_score
from design_space.scores.guided import GuidedScore, read_interval
from design_space.scores.model import AbstractModel
from design_space.scores.perturbed import scaled_score, shifted_score
from design_space.tables import overridden, read_toml
from design_space.targets.base import AbstractTarget
from design_space.targets.labeled import LabeledMixture, check_label
from design_space.trained_design import build_model, build_weighting, check_trained
from design_space.weightings.base import AbstractWeighting


class Specification(eqx.Module):
    """A design as data. Every value has been checked when the object exists.

    Attributes:
      given: the sections as they were given, before defaults.
      sections: the sections as they were read: `target`, `schedule`, `score`, `sampler`, `guidance`
        where it is given, and for a trained score `weighting`, `model`, `training`, each a dict
        with `kind` and its keys, defaults filled in.
      folder: where relative file names start.
    """

    given: dict[str, Any]
    sections: dict[str, dict[str, Any]]
    folder: Path
    _target: AbstractTarget
    _labeled: LabeledMixture | None

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
        target, labeled = _laws(sections, folder)
        _check_schedule(sections["schedule"])
        levels = _count_steps(sections["schedule"])
        _check_sampler(sections["sampler"])
        _check_score(sections["score"], levels, target.dim)
        if sections["score"]["kind"] == "trained":
            check_trained(sections, levels, target.dim)
        return Specification(copy.deepcopy(dict(given)), sections, folder, target, labeled)

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
        laws = _laws(sections, self.folder) if moved else (self._target, self._labeled)
        return Specification(self.given, sections, self.folder, *laws)

    def target(self) -> AbstractTarget:
        """The data law: under guidance, that of its class."""
        return self._target

    def labeled(self) -> LabeledMixture | None:
        """The law of all classes together, where the target has labels."""
        return self._labeled

    def schedule(self) -> Schedule:
        """The noise schedule; kinds that end in "-optimal" compute it from the target."""
        return build_schedule(self.sections["schedule"], self._target)

    def score(self, grid: Schedule | None = None) -> AbstractScore:
        """The score that the sampler uses.

        Args:
          grid: the noise schedule, if it has been built already; only kind "affine" looks at it.

        Raises:
          ValueError: if the score is to be trained: that is more than building it.
        """
        fields = self.sections["score"]
        match fields["kind"]:
            case "trained":
                remedy = "train it: design_space.pipeline.evaluate_specification"
                raise checks.refusal("score.kind", "trained", "a score that is at hand", remedy)
            case "affine":
                grid = self.schedule() if grid is None else grid
                levels = grid.backward_sigmas[:-1]
                return AffineScore(levels, fields["slopes"], fields.get("intercepts"))
        own, guidance = _known_score(self._target, fields), self.sections.get("guidance")
        if guidance is None:
            return own
        assert self._labeled is not None  # there is no guidance without classes
        other = _known_score(self._labeled.mixture, fields)
        rescale, interval = guidance["rescale"], guidance.get("interval")
        return GuidedScore(own, other, guidance["strength"], rescale, interval)

    def sampler(self, grid: Schedule | None = None) -> AbstractStepper:
        """The sampler.

        Args:
          grid: the noise schedule, if it has been built already; only kinds whose noise is computed
            from the target look at it.
        """

        def levels() -> Schedule:
            return self.schedule() if grid is None else grid

        return build_sampler(self.sections["sampler"], self._target, levels)

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


def _known_score(law: AbstractTarget, fields: Mapping[str, Any]) -> AbstractScore:
    """The exact score of a law, with the error that a section [score] gives it."""
    match fields["kind"]:
        case "scaled":
            return scaled_score(exact_score(law), fields["factor"])
        case "shifted":
            return shifted_score(exact_score(law), fields["shift"])
        case _:
            return exact_score(law)


_GUIDED = ("exact", "scaled", "shifted")  # kinds of scores that are there for every law


def _laws(
    sections: Mapping[str, Mapping[str, Any]], folder: Path
) -> tuple[AbstractTarget, LabeledMixture | None]:
    """The data law, under guidance that of its class, and the law of all classes if there are some.

    Raises:
      ValueError: if [guidance] asks for what [target] or [score] has not.
    """
    target = build_target(sections["target"], folder)
    labeled, guidance = build_labeled(sections["target"], target), sections.get("guidance")
    if guidance is None:
        return target, labeled
    if labeled is None:
        domain = "given beside [guidance]: the class of each component of a mixture"
        raise readers.missing("target.labels", domain, "add it, or remove [guidance]")
    kind = sections["score"]["kind"]
    if kind not in _GUIDED:
        domain = f"one of {readers.quoted(_GUIDED)} beside [guidance], which needs two scores"
        raise checks.refusal("score.kind", kind, domain, "take one of these, or remove [guidance]")
    if is_concrete(guidance.get("interval")):
        read_interval("guidance.interval", guidance.get("interval"))
    return labeled.given(check_label("guidance.label", guidance["label"], labeled.classes)), labeled


def _count_steps(fields: Mapping[str, Any]) -> int:
    return len(fields["sigmas"]) - 1 if fields["kind"] == "custom" else fields["steps"]


def _check_schedule(fields: Mapping[str, Any]) -> None:
    """Checks what the grammar cannot: the order of the noise levels."""
    if fields["kind"] == "iddpm":
        iddpm(fields["steps"], fields["first"])
        return
    if fields["kind"] == "vp":
        ends = (fields["t_min"], fields["t_max"])
        checks.ordered("schedule.t_min", ends[0], "schedule.t_max", ends[1])
        return
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


def _check_sampler(fields: Mapping[str, Any]) -> None:
    """Checks what the grammar cannot: the order of the levels of churn."""
    if fields["kind"] == "churn" and fields["s_min"] > fields["s_max"]:
        domain = f"at most sampler.s_max = {fields['s_max']!r}"
        raise checks.refusal("sampler.s_min", fields["s_min"], domain, "swap or move them")


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

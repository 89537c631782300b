"""The tables of the reference pages: every public name, by group, with the first sentence on it.

`python docs/generate.py` writes them into `docs/api/`; the site puts the whole reference of each
name below its table (`reference.py`).
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

GROUPS = (
    "targets",
    "schedules",
    "weightings",
    "scores",
    "training",
    "sampling",
    "errors",
    "bounds",
    "optimal",
    "evaluate",
    "sweeps",
)
"""Pages of the reference, in the order in which a design is put together."""

ELSEWHERE = {
    "numerics": "errors",
    "specification": "evaluate",
    "pipeline": "evaluate",
    "trained_evaluation": "evaluate",
}
"""The group of the names whose home is no group itself."""

ALSO: dict[str, tuple[str, ...]] = {
    "targets": (
        "base.AbstractTarget",
        "base.Posterior",
        "mixture.AbstractMixture",
        "components.Components",
        "reduction.Reduction",
    ),
    "schedules": (
        "variance.AbstractVarianceSchedule",
        "variance.Power",
        "variance.Preserving",
        "time.AbstractTimeSchedule",
        "time.Polynomial",
        "time.Exponential",
        "time.Uniform",
        "time.Cosine",
        "time.CustomTimes",
        "scale.AbstractScale",
        "scale.PreservingScale",
    ),
    "scores": (
        "base.AbstractScore",
        "base.Deviation",
        "base.SplitScore",
        "model.AbstractModel",
        "features.AbstractFeatures",
        "linear.LinearModel",
        "two_layer.TwoLayer",
        "relu_network.ReluNetwork",
        "perceptron.Perceptron",
        "preconditioned.Preconditioned",
    ),
    "training": (
        "train.Training",
        "train.Progress",
        "runs.Run",
        "objective.DenoisingData",
        "losses.AbstractLoss",
        "losses.Batches",
        "perceptual.SelfPerceptualLoss",
        "solvable.Solvable",
        "population.PopulationSolvable",
    ),
    "sampling": ("moves.AbstractMove", "simulate.ParticleLaw"),
    "errors": ("training.PopulationLoss", "decomposition.LossTerms"),
}
"""What signatures of public names speak of, and what one subclasses, by group."""


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def source(module: str) -> Path:
    """The file of a module, given by its dotted name."""
    base = ROOT.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def homes() -> dict[str, str]:
    """Public name of `design_space` -> the module where it is defined, from the lazy table."""
    for node in _tree(source("design_space")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES":
            return ast.literal_eval(node.value)
    raise LookupError("design_space/__init__.py has no table _HOMES")


def handed_on(package: str) -> dict[str, str]:
    """Name -> home, of what a package imports from its modules."""
    return {
        alias.name: str(node.module)
        for node in _tree(source(package)).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def public(module: str) -> list[str]:
    """Names of the functions and classes of a module, in order, without private ones."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    found = [node.name for node in _tree(source(module)).body if isinstance(node, kinds)]
    return [name for name in found if not name.startswith("_")]


def sentence(module: str, name: str | None = None) -> str:
    """The first sentence of the docstring of a module, or of a name in it."""
    nodes = [_tree(source(module))]
    if name is not None:
        nodes = [node for node in nodes[0].body if getattr(node, "name", None) == name]
    text = ast.get_docstring(nodes[0]) or ""  # type: ignore[arg-type]
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[^.]\.) ", first)[0]


def _row(shown: str, module: str, name: str | None) -> str:
    file = source(module).relative_to(ROOT).as_posix()
    text = sentence(module, name).replace("|", r"\|")
    return f"| [`{shown}`](../../{file}) | {text} |"


def _rows(group: str) -> Iterator[str]:
    if group == "weightings":
        yield _row("ds.weightings", "design_space.weightings", None)
        for name, module in sorted(handed_on("design_space.weightings").items()):
            yield _row(f"ds.weightings.{name}", module, name)
        return
    for name, home in homes().items():
        folder = home.split(".")[1]
        if ELSEWHERE.get(folder, folder) == group:
            yield _row(f"ds.{name}", home, name)
    for dotted in ALSO.get(group, ()):
        module, name = f"design_space.{group}.{dotted}".rsplit(".", 1)
        yield _row(f"{module}.{name}", module, name)


def table(group: str) -> str:
    """The tables of a group, in Markdown.

    Args:
      group: one of GROUPS; "bounds" has a table for each of its modules, all others one.
    """
    head = ["| name | what it is |", "|---|---|"]
    if group != "bounds":
        return "\n".join([*head, *_rows(group)])
    lines = []
    for file in sorted((ROOT / "design_space" / "bounds").glob("[a-z]*.py")):
        module = f"design_space.bounds.{file.stem}"
        title = file.stem.replace("_", " ").capitalize()
        rows = [_row(f"{module}.{name}", module, name) for name in public(module)]
        lines += [f"## {title}", "", sentence(module), "", *head, *rows, ""]
    return "\n".join(lines).strip()

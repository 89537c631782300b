"""`design-space evaluate`: one design -> its error budget, as a table, JSON, CSV or LaTeX."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from design_space import checks
from design_space.commands.metric_tables import metric_tables, number
from design_space.commands.realism_tables import realism_tables
from design_space.errors.metrics import DRAWS, FEWEST, sampler_metrics
from design_space.errors.realism import realism as measured_realism
from design_space.evaluate import Evaluation
from design_space.pipeline import evaluate_specification
from design_space.scores.base import AbstractScore
from design_space.specification import Specification
from design_space.trained_budgets import Told
from design_space.trained_evaluation import TrainedEvaluation

QUANTITIES = {
    "initialization": "E_I, initialization",
    "discretization": "E_D, discretization",
    "score": "E_S, score",
    "path_kl": "path KL, their sum",
    "marginal_kl": "marginal KL",
    "w2": "W2 (data units)",
}
"""Key of the JSON contract -> what a reader sees."""


def run(
    spec: Path,
    overrides: list[str],
    *,
    as_json: bool = False,
    seed: int = 0,
    samples: int | None = None,
    csv: Path | None = None,
    latex: Path | None = None,
    checkpoint: Path | None = None,
    metrics: bool = False,
    realism: bool = False,
) -> None:
    """Evaluates the design in a specification file and prints its budget.

    Args:
      spec: the specification file.
      overrides: fields to replace, each `section.key=value`.
      as_json: print one JSON object and nothing else.
      seed: seed of what is sampled.
      samples: draws where Monte Carlo is the only way; the library's default if None.
      csv: file to write the budget to as CSV.
      latex: file to write the budget to as a LaTeX table.
      checkpoint: file to keep a simulated training in, and to resume it from.
      metrics: also measure the law of the sampler in other distances (`sampler_metrics`).
      realism: also measure how realistic and how diverse it is (`ds.realism`).

    Raises:
      ValueError: if the design, or a file name, is not legal; nothing has been computed then.
      OSError: if a file cannot be read or written.
    """
    for option, path in (("--csv", csv), ("--latex", latex)):
        _check_output(option, path)
    design = Specification.load(spec).with_overrides(overrides)
    options = {} if samples is None else {"draws": samples}
    if (metrics or realism) and samples is not None:
        checks.count("--samples", samples, least=FEWEST)
    with _showing() as show:
        budget = evaluate_specification(
            design, seed=seed, checkpoint=checkpoint, progress=show, **options
        )
    report = _without_nan(budget.to_dict())
    report["provenance"]["specification"] = _with_words(design.to_dict())
    if metrics or realism:
        sampled = _Sampled.of(design, budget, seed, DRAWS if samples is None else samples)
        own = {"metrics": sampled.metrics} if metrics else {}
        own |= {"realism": sampled.realism} if realism else {}
        report |= {name: _without_nan(measure()) for name, measure in own.items()}
    if csv is not None:
        tidy(report).to_csv(csv, index=False)
    if latex is not None:
        latex.write_text(as_latex(report), encoding="utf-8")
    if as_json:
        print(json.dumps(report, indent=2, allow_nan=False))
    else:
        Console().print(*_tables(report))


class _Sampled(NamedTuple):
    """A sampler whose law is measured.

    Attributes:
      design: the specification.
      score: at the last chosen step if it was trained; None if the run diverged.
      seed: of what is sampled.
      samples: draws where Monte Carlo is the only way.
    """

    design: Specification
    score: AbstractScore | None
    seed: int
    samples: int

    @staticmethod
    def of(
        design: Specification,
        budget: Evaluation | TrainedEvaluation,
        seed: int,
        samples: int,
    ) -> "_Sampled":
        """The sampler of a design that has been evaluated."""
        if not isinstance(budget, TrainedEvaluation):
            score = design.score(design.schedule())
        else:
            score = budget.score if budget.last.score.reason is None else None
        return _Sampled(design, score, seed, samples)

    def _parts(self, score: AbstractScore) -> tuple[Any, ...]:
        grid = self.design.schedule()
        return self.design.target(), grid, score, self.design.sampler(grid)

    def metrics(self) -> dict[str, object] | None:
        """Its law in other distances, None if there is no score to sample with."""
        if self.score is None:
            return None
        how = {"seed": self.seed, "samples": self.samples}
        return sampler_metrics(*self._parts(self.score), **how).to_dict()

    def realism(self) -> dict[str, object] | None:
        """How realistic and diverse its law is, None if there is no score to sample with."""
        if self.score is None:
            return None
        labeled = self.design.labeled()
        classifier = None if labeled is None else labeled.log_posterior
        how = {"seed": self.seed, "samples": self.samples, "classifier": classifier}
        return measured_realism(*self._parts(self.score), **how).to_dict()


@contextmanager
def _showing() -> Iterator[Told]:
    """A line on the terminal while the design is evaluated, with a bar for what can be counted."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda label, done, total: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as screen:
        task = screen.add_task("evaluating the design", total=None)
        yield lambda label, done, total: screen.update(
            task, description=f"{label}: {done} of {total}", completed=done, total=total
        )


def _check_output(option: str, path: Path | None) -> None:
    """Refuses a file that cannot be written before anything is computed."""
    if path is None:
        return
    if path.is_dir() or not path.resolve().parent.is_dir():
        domain = "a file in a directory that exists"
        raise checks.refusal(option, str(path), domain, "create the directory or choose another")


def _without_nan(value: Any) -> Any:
    """The same data with null for numbers that JSON has not: NaN and infinities."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _with_words(value: Any) -> Any:
    """The same specification with TOML's word for infinities, which JSON has not."""
    if isinstance(value, dict):
        return {key: _with_words(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_words(entry) for entry in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def tidy(report: dict[str, Any]) -> pd.DataFrame:
    """The budget as a table with one row per quantity and per bound.

    Args:
      report: the JSON contract of `evaluate`.

    Returns:
      Columns `kind` ("error" or "bound"), `quantity`, `value`, `error`, `method`, `condition`,
      `reason`; empty where a column says nothing. For a trained score the budget at every chosen
      step of gradient descent, and a first column `step`.
    """
    columns = ["kind", "quantity", "value", "error", "method", "condition", "reason"]
    if "training" not in report:
        return pd.DataFrame(_rows(report), columns=columns)
    budgets = report["training"]["budgets"]
    rows = [{"step": budget["step"], **row} for budget in budgets for row in _rows(budget)]
    return pd.DataFrame(rows, columns=["step", *columns])


def _rows(budget: dict[str, Any]) -> list[dict[str, Any]]:
    """One budget, quantity by quantity and bound by bound."""
    rows = [{"kind": "error", "quantity": name, **budget[name]} for name in QUANTITIES]
    return rows + [
        {"kind": "bound", "quantity": statement, "value": value}
        for statement, value in budget["bounds"].items()
    ]


def as_latex(report: dict[str, Any]) -> str:
    """The budget as a LaTeX table (booktabs), with ten significant digits.

    Args:
      report: the JSON contract of `evaluate`.
    """
    table = tidy(report).drop(columns="reason")
    for name, digits in (("value", 10), ("error", 2), ("condition", 3)):
        table[name] = [number(x, digits) for x in table[name]]
    table["quantity"] = [QUANTITIES.get(name, name) for name in table["quantity"]]
    return table.to_latex(index=False, escape=True, na_rep="")


def _tables(report: dict[str, Any]) -> list[Table]:
    """The budget and, beside it, the bounds, for a terminal."""
    budget = Table(title="Error budget (KL in nats)", title_justify="left")
    budget.add_column("quantity")
    for name in ("value", "error", "condition"):
        budget.add_column(name, justify="right")
    budget.add_column("method")
    said: set[str] = set()
    for name, label in QUANTITIES.items():
        entry = report[name]
        if entry["value"] is None:
            reason = entry["reason"]
            budget.add_row(label, "none", "", "", "the same" if reason in said else reason)
            said.add(reason)
        else:
            condition = number(entry.get("condition"), 3)
            numbers = number(entry["value"], 10), number(entry["error"], 2), condition
            budget.add_row(label, *numbers, entry["method"])
    bounds = Table(title="Bounds (nats)", title_justify="left")
    bounds.add_column("statement")
    bounds.add_column("value", justify="right")
    for statement, value in report["bounds"].items():
        bounds.add_row(statement, "none" if value is None else number(value, 10))
    beside = [bounds] if report["bounds"] else []  # they are of the paper's sampler only
    law = [*metric_tables(report.get("metrics")), *realism_tables(report.get("realism"))]
    return [*_along(report), budget, *beside, *law]


def _along(report: dict[str, Any]) -> list[Table]:
    """The budgets along the training, if the score was trained."""
    if "training" not in report:
        return []
    training = report["training"]
    said = f"learning rate {training['learning_rate']:.4g}"
    if training["stability_limit"] is not None:
        said += f", stable below {training['stability_limit']:.4g}"
    table = Table(title=f"Along the training ({said})", title_justify="left")
    columns = {"score": "E_S", "path_kl": "path KL", "marginal_kl": "marginal KL", "w2": "W2"}
    for name in ("step", "loss", "excess", *columns.values()):
        table.add_column(name, justify="right")
    table.add_column("method")
    for row in training["budgets"]:
        entries = [row["excess"], *(row[name] for name in columns)]
        numbers = [number(entry["value"], 6) or "none" for entry in entries]
        how = row["marginal_kl"]["method"] or "none: see below"
        table.add_row(str(row["step"]), number(row["loss"], 6) or "inf", *numbers, how)
    return [table]

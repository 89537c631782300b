"""The console script `design-space`. Commands import what they need when they run."""

import functools
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from design_space.commands.refusals import raised_by_us

app = typer.Typer(
    name="design-space",
    help="Error budgets of diffusion-model designs, exact or with a stated error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Preset(StrEnum):
    """How much of every analysis to compute."""

    quick = "quick"
    full = "full"


def _readable(error: ValueError | OSError) -> str:
    """One line about a refused input."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; check the path and its permissions"
    return " ".join(str(error).split())


def refuses_bad_input(command: Callable[..., None]) -> Callable[..., None]:
    """Turns a refused input into exit status 2 and one message on stderr.

    A `ValueError` that a library raised is a defect of ours, and keeps its traceback.
    """

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (ValueError, OSError) as error:
            if isinstance(error, ValueError) and not raised_by_us(error):
                raise
            typer.echo(f"design-space: {_readable(error)}", err=True)
            raise typer.Exit(2) from None

    return guarded


def prepare_jax() -> None:
    """Switches JAX to 64-bit floats, and keeps what it compiles for the next start."""
    from design_space.numerics import startup

    startup.prepare_jax()


def _show_version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"design-space {version('design-space')}")
        raise typer.Exit
    return wanted


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version."),
    ] = False,
) -> None:
    """Error budgets of diffusion-model designs, exact or with a stated error."""


@app.command()
@refuses_bad_input
def evaluate(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="The specification file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=VALUE", help="Replace a field: schedule.steps=100. Repeatable."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of what is sampled.")] = 0,
    samples: Annotated[
        int | None, typer.Option(help="Samples where Monte Carlo is the only way.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write CSV.")] = None,
    latex: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write LaTeX.")] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Keep a simulated training here, and resume it."),
    ] = None,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Also total variation, sliced W2, modes, moments.")
    ] = False,
    realism: Annotated[
        bool, typer.Option("--realism", help="Also mass off the data, precision, recall, modes.")
    ] = False,
) -> None:
    """One design -> its error budget, and the bounds beside it."""
    prepare_jax()
    from design_space.commands.evaluate import run

    wanted: dict[str, Any] = {"csv": csv, "latex": latex, "checkpoint": checkpoint}
    how: dict[str, Any] = {"as_json": as_json, "seed": seed, "samples": samples}
    run(spec, overrides or [], metrics=metrics, realism=realism, **how, **wanted)


@app.command()
@refuses_bad_input
def check(
    statements: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help='Ids or patterns ("lemma-*"); all if none given.'),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
    counterexamples: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write the counterexamples, as specification files."),
    ] = None,
) -> None:
    """The statements of the theory, judged; exit status 1 if a verdict differs from the record."""
    prepare_jax()
    from design_space.commands.check import check as run

    status = run(statements or [], as_json, counterexamples)
    if status:
        raise typer.Exit(status)


@app.command()
@refuses_bad_input
def reproduce(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Analyses; all if none named.")
    ] = None,
    preset: Annotated[Preset, typer.Option(help="How much to compute.")] = Preset.quick,
    out: Annotated[Path, typer.Option(help="Where tables, figures and report go.")] = Path(
        "results"
    ),
    quiet: Annotated[bool, typer.Option("--quiet", help="Show warnings only.")] = False,
    gallery: Annotated[
        Path | None, typer.Option(help="Also put small PNG pictures of the figures here.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Analyses at a time; by default as many as there is room for."),
    ] = None,
) -> None:
    """Analyses -> tables, figures and a report; what is up to date is not computed again."""
    prepare_jax()
    from design_space.commands.reproduce import reproduce as run

    status = run(names or [], preset.value, out, quiet, gallery, jobs)
    if status:
        raise typer.Exit(status)


@app.command()
@refuses_bad_input
def sweep(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="A file with [sweep].")],
    out: Annotated[Path, typer.Option(help="The directory of the table.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Replace a field. Repeatable."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is there.")] = False,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Dask scheduler, or local:4 for four processes."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be computed, and what it costs.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of what is sampled.")] = 0,
    samples: Annotated[int, typer.Option(help="Samples where Monte Carlo is the only way.")] = 4096,
    piece: Annotated[
        int, typer.Option(help="Designs of a piece that are evaluated together.")
    ] = 65_536,
) -> None:
    """A product of designs -> a Parquet table, resumed after anything."""
    prepare_jax()
    from design_space.commands.sweep import sweep as run

    options = {"resume": resume, "cluster": cluster, "dry_run": dry_run, "as_json": as_json}
    run(spec, out, overrides or [], **options, seed=seed, samples=samples, piece=piece)


@app.command()
@refuses_bad_input
def explore(
    port: Annotated[int, typer.Option(help="The next free one is taken if it is busy.")] = 2718,
    host: Annotated[
        str, typer.Option(help="The address to listen on; only this machine reaches the default.")
    ] = "127.0.0.1",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
) -> None:
    """The interactive page: a design and its error budget, live; Ctrl-C ends it."""
    prepare_jax()
    from design_space.commands.explore.command import explore as run

    run(port, host, browser)


@app.command()
@refuses_bad_input
def bench(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What --json wrote: show drift; exit status 1 if worse."),
    ] = None,
    factor: Annotated[float, typer.Option(help="A ratio that changed by more has drifted.")] = 1.3,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help='A row, or a pattern ("gaussian-*"). Repeatable.'),
    ] = None,
) -> None:
    """The benchmark table of this machine: every task beside its floor."""
    prepare_jax()
    from design_space.commands.bench.command import bench as run

    status = run(as_json, compare, factor, only or ())
    if status:
        raise typer.Exit(status)


@app.command()
@refuses_bad_input
def parity(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
    markdown: Annotated[
        Path | None,
        typer.Option(metavar="PAGE.md", help="Also put the table between the marks of a page."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help='A row, or a pattern ("azula-*"). Repeatable.'),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A library that is not installed is a failure.")
    ] = False,
) -> None:
    """Grids and samplers beside public implementations; exit status 1 if one differs."""
    prepare_jax()
    from design_space.commands.parity.command import parity as run

    status = run(as_json, markdown, only or (), strict)
    if status:
        raise typer.Exit(status)


@app.command()
@refuses_bad_input
def lesson(
    number: Annotated[
        int | None, typer.Argument(metavar="[N]", help="The lesson to run; without it, a list.")
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the lesson as a plain Python script instead."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
) -> None:
    """The lessons: run one as a plain script, or write it as a file."""
    prepare_jax()
    from design_space.commands.lesson import run_lesson, show_lessons, write_script

    if script is not None:
        write_script(number, script, force)
    elif number is None:
        show_lessons()
    else:
        run_lesson(number)


if __name__ == "__main__":
    sys.exit(app())

"""`design-space reproduce`: analyses, tables, figures and the report."""

import functools
import importlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analyses.experiment import Experiment
from analyses.registry import EXPERIMENTS
from analyses.store import Result, run
from design_space.checks import count, one_of
from design_space.commands.artifacts import figure_files, table_files
from design_space.commands.report.page import build
from design_space.commands.report.section import section
from design_space.commands.screen import Screen
from design_space.commands.side_by_side import processes, side_by_side
from design_space.files import canonical, check_writable, write_atomically
from design_space.numerics.memory import release_programs
from figures.style import render

GALLERY_DPI = 110
"""Dots per inch of the gallery's pictures: small files, sharp enough for a page of text."""


def reproduce(
    names: Sequence[str] = (),
    preset: str = "quick",
    out: Path = Path("results"),
    quiet: bool = False,
    gallery: Path | None = None,
    jobs: int | None = None,
) -> int:
    """Computes the named analyses, draws their figures and writes the report.

    What lies finished in `out` is read back: a second run computes and draws nothing, and a killed
    one resumes at the pieces that were in flight. Analyses that measure times come last and alone;
    the others are the same bytes with any number of processes.

    Args:
      names: of analyses; none means all.
      preset: "quick" (all analyses in a few minutes) or "full" (finer grids, more targets).
      out: the result folder.
      quiet: show warnings only.
      gallery: a folder for small PNG pictures of the figures, such as the documentation's
        figures/gallery; by default none are written.
      jobs: analyses at a time, in processes of their own if there are several; by default what the
        machine has cores and memory for, one on a GPU.

    Returns:
      The exit status, 0.

    Raises:
      ValueError: if a name, the preset or the number of jobs is unknown, or a folder cannot be
        written; nothing was computed then.
    """
    chosen = [EXPERIMENTS[one_of("analysis", name, EXPERIMENTS)] for name in names]
    one_of("preset", preset, ("quick", "full"))
    if jobs is not None:
        count("jobs", jobs)
    check_writable("out", out)
    if gallery is not None:
        check_writable("gallery", gallery)
    screen = Screen(quiet)
    everything = {e.name: e for e in chosen or EXPERIMENTS.values()}
    together = [name for name, experiment in everything.items() if not experiment.alone]
    jobs = processes(len(together)) if jobs is None else jobs
    work = functools.partial(_reproduce_named, preset=preset, out=out, gallery=gallery)
    if min(jobs, len(together)) > 1:
        side_by_side(work, together, jobs, screen)
    else:
        for name in together:
            work(name, screen)
    for name in everything:
        if name not in together:
            work(name, screen)
    screen.say(f"report: {build(out, list(EXPERIMENTS))}")
    return 0


def _reproduce_named(
    name: str, screen: Screen, preset: str, out: Path, gallery: Path | None
) -> None:
    """Computes one analysis by name, and draws its picture for the gallery if there is one."""
    figure = importlib.import_module(f"figures.{name}")
    result = reproduce_one(EXPERIMENTS[name], figure, preset, out, screen)
    if gallery is not None:
        picture = render(figure.draw(result.table), "png", GALLERY_DPI)
        write_atomically(gallery / f"{name}.png", picture)
    release_programs()  # the next analysis compiles its own; together there may be too many


def reproduce_one(
    experiment: Experiment, figure: Any, preset: str, out: Path, screen: Screen
) -> Result:
    """Computes one analysis, draws its figure, exports its table and records its section.

    Args:
      experiment: the analysis.
      figure: the module that draws it: `draw(table)`, `CAPTION`, `__file__`.
      preset: "quick" or "full".
      out: the result folder, which must be writable.
      screen: where progress and warnings go.

    Returns:
      The analysis' result.
    """
    start = time.perf_counter()
    name, folder = experiment.name, out / experiment.name
    with screen.progress(name) as advance:
        result = run(experiment, preset, out, screen.warn, advance)
        _, drawn = figure_files(name, figure, result.table, result.sha256, folder, screen.warn)
        table_files(name, experiment.title, result.table, result.sha256, folder, screen.warn)
    entry = section(experiment, preset, figure.CAPTION, result)
    write_atomically(folder / "section.json", (canonical(entry) + "\n").encode())
    made = f"{result.computed} of {len(result.pieces)} pieces computed"
    seconds = time.perf_counter() - start
    screen.say(f"{name}: {made}, figure {'drawn' if drawn else 'kept'}, {seconds:.1f} s")
    return result

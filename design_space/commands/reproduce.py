"""`design-space reproduce`: analyses, tables, figures and the report."""

import importlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analyses.experiment import Experiment
from analyses.registry import EXPERIMENTS
from analyses.store import Result, run
from design_space.checks import one_of
from design_space.commands.artifacts import figure_files, table_files
from design_space.commands.report import build, section
from design_space.commands.screen import Screen
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
) -> int:
    """Computes the named analyses, draws their figures and writes the report.

    What lies finished in `out` is read back: a second run computes and draws nothing, and a killed
    one resumes at the piece that was in flight.

    Args:
      names: of analyses; none means all.
      preset: "quick" (all analyses in a few minutes) or "full" (finer grids, more targets).
      out: the result folder.
      quiet: show warnings only.
      gallery: a folder for small PNG pictures of the figures, such as the documentation's
        figures/gallery; by default none are written.

    Returns:
      The exit status, 0.

    Raises:
      ValueError: if a name or the preset is unknown, or a folder cannot be written; nothing was
        computed then.
    """
    chosen = [EXPERIMENTS[one_of("analysis", name, EXPERIMENTS)] for name in names]
    one_of("preset", preset, ("quick", "full"))
    check_writable("out", out)
    if gallery is not None:
        check_writable("gallery", gallery)
    screen = Screen(quiet)
    for experiment in chosen or EXPERIMENTS.values():
        figure = importlib.import_module(f"figures.{experiment.name}")
        result = reproduce_one(experiment, figure, preset, out, screen)
        if gallery is not None:
            picture = render(figure.draw(result.table), "png", GALLERY_DPI)
            write_atomically(gallery / f"{experiment.name}.png", picture)
        release_programs()  # the next analysis compiles its own; together there may be too many
    screen.say(f"report: {build(out, list(EXPERIMENTS))}")
    return 0


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
    entry = section(
        name,
        experiment.title,
        figure.CAPTION,
        result.finding,
        result.table,
        result.sha256,
        preset,
        result.pieces,
        experiment.whole_parts,
    )
    write_atomically(folder / "section.json", (canonical(entry) + "\n").encode())
    made = f"{result.computed} of {len(result.pieces)} pieces computed"
    seconds = time.perf_counter() - start
    screen.say(f"{name}: {made}, figure {'drawn' if drawn else 'kept'}, {seconds:.1f} s")
    return result

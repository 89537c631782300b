"""What a sampler without guidance makes of laws in the plane: densities, errors and their traces.

Source: section 4 of arXiv 2406.12839 compares designs by bounds; here are the laws themselves. The
samplers are those of arXiv 2206.00364 (Heun, churn), 2011.13456 and 2406.12839.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from analyses.plane_numbers import (
    Field,
    Moments,
    by_mode,
    data_field,
    data_moments,
    divergences,
    moments,
    outside,
)
from analyses.plane_targets import TARGETS, PlaneTarget
from design_space.optimal.langevin import predictor_corrector
from design_space.sampling.flows import Churn, FlowHeun
from design_space.sampling.plane_law import plane_law
from design_space.sampling.plane_patches import COARSE, PlaneResolution
from design_space.sampling.steppers import AbstractStepper, Frozen
from design_space.schedules.named import schedule
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score

DATA = "data"
"""The name under which the data law stands among the designs."""

ROUGH = PlaneResolution(11.0, 1.3, 20.0)
"""A lower resolution than COARSE: how much the numbers differ is their error."""

SIGMA_MIN = 0.02
VARIANCE = SIGMA_MIN**2
"""The noise variance at which every design ends."""

_FINER = 3  # cells of the grid of the numbers for each one that is drawn, along an axis


class Design(NamedTuple):
    """A sampler ready to run.

    Attributes:
      schedule: its noise levels.
      score: its score.
      stepper: its steps.
    """

    schedule: Schedule
    score: AbstractScore
    stepper: AbstractStepper


def design(target: PlaneTarget, made: Settings) -> Design:
    """Builds a design for a law from its settings.

    Args:
      target: the law.
      made: "sampler" and "steps", and where they are not the usual ones "sigma_max", "time", the
        score's "factor", churn's share "churn" of the noise level, and "snr".
    """
    levels = schedule(
        "linear",
        made.get("time", "polynomial"),
        steps=made["steps"],
        sigma_min=SIGMA_MIN,
        sigma_max=made.get("sigma_max", 80.0),
    )
    score = exact_score(target.law)
    if "factor" in made:
        score = scaled_score(score, made["factor"])
    return Design(levels, score, _stepper(target, made, levels))


def _stepper(target: PlaneTarget, made: Settings, levels: Schedule) -> AbstractStepper:
    if made["sampler"] == "churn":
        return Churn(made["churn"] * levels.steps, 0.0, np.inf, 1.0)
    if made["sampler"] == "predictor-corrector":
        return predictor_corrector(target.law, levels, made["snr"])
    return {"heun": FlowHeun, "frozen": Frozen}[made["sampler"]]()


def seen(
    target: PlaneTarget, run: Design, data: Field, how: PlaneResolution
) -> tuple[dict[str, float], Moments, Field]:
    """Everything that is measured of a sampler's law, at one resolution.

    Args:
      target: the data law.
      run: the design.
      data: its density on the square.
      how: the resolution.

    Returns:
      Numbers by name (outside: mass where the data have 1 %; peak: largest density over the data's;
      spread: root of the total variance over the data's; weights_off: half the sum of the
      differences of the weights of the modes), the moments, and the density on the square.
    """
    start = float(run.schedule.backward_variances[0])
    moves = run.stepper.moves(run.schedule)
    density = plane_law(run.score, moves, start, target.law.components(), how)
    field = Field.of(density, 2 * target.half, len(data.axis))
    own, truth = moments(target, VARIANCE, density, field), data_moments(target, VARIANCE)
    top = max(float(np.max(patch.values)) for patch in density.patches)
    kl, variation = divergences(data, field, own.mass, np.exp(-how.depth) * top)
    numbers = {
        "marginal_kl": kl,
        "total_variation": variation,
        "mass_defect": own.mass - 1,
        "outside": outside(data, field),
        "peak": float(np.max(field.values) / np.max(data.values)),
        "spread": (own.variance / truth.variance) ** 0.5,
        "weights_off": float(np.sum(np.abs(own.weights - truth.weights)) / 2),
    }
    return numbers, own, field


def _lines(field: Field) -> pd.DataFrame:
    """A row for each line of the picture, its densities in one cell."""
    lines = [list(line) for line in field.values.astype(np.float32)]
    return pd.DataFrame({"part": "density", "y": field.axis, "density": lines})


def _modes(target: PlaneTarget, weights: np.ndarray, errors: np.ndarray) -> pd.DataFrame:
    """A row for each mode: where its middle is, and its weight."""
    own = np.exp(np.asarray(target.law.parts.log_weights))
    sums = own @ np.eye(len(weights))[target.modes]
    x, y = (by_mode(target, own * m) / sums for m in np.asarray(target.law.parts.means).T)
    table = {"part": "mode", "x": x, "y": y, "weight": weights, "weight_error": errors}
    return pd.DataFrame(table)


def _sampled(piece: Settings, target: PlaneTarget) -> list[pd.DataFrame]:
    """The parts of the table of one design, measured twice."""
    made, points = piece["made"], 2 * _FINER * piece["points"]
    run = design(target, made)
    rough, before, _ = seen(target, run, data_field(target, VARIANCE, points // 2), ROUGH)
    numbers, own, field = seen(target, run, data_field(target, VARIANCE, points), COARSE)
    row: dict[str, object] = {"part": "design", "steps": made["steps"]}
    row["evaluations"] = run.stepper.evaluations(run.schedule)
    for name, value in numbers.items():
        row |= {name: value, f"{name}_error": abs(value - rough[name])}
    modes = _modes(target, own.weights, np.abs(own.weights - before.weights))
    return [pd.DataFrame([row]), modes, _lines(field.shown(_FINER))]


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one law and one design; part is "design", "mode" or "density"."""
    target = TARGETS[piece["target"]]()
    name = piece["made"]["design"]
    if name == DATA:
        weights = data_moments(target, VARIANCE).weights
        field = data_field(target, VARIANCE, 2 * _FINER * piece["points"])
        parts = [_modes(target, weights, 0 * weights), _lines(field.shown(_FINER))]
    else:
        parts = _sampled(piece, target)
    return pd.concat(parts, ignore_index=True).assign(target=piece["target"], design=name)


def pieces(settings: Settings) -> list[dict]:
    """One piece per law and design, the data law first."""
    return [
        {"target": target, "made": made, "points": settings["points"]}
        for target in settings["targets"]
        for made in ({"design": DATA}, *settings["designs"])
    ]


def finding(table: pd.DataFrame) -> str:
    """The errors and traces of each design, over all laws."""
    rows = table[table["part"] == "design"]
    sentences = []
    for name, of in rows.groupby("design", sort=False):
        outer = 100 * of["outside"]
        sentences.append(
            f"{name}: KL {_range(of['marginal_kl'])}, TV {_range(of['total_variation'])}, "
            f"{_range(outer)} % of the mass where the data have 1 %, peak {_range(of['peak'])} and "
            f"spread {_range(of['spread'])} times the data's, {_range(100 * of['weights_off'])} % "
            "of the mass in a wrong mode."
        )
    laws = ", ".join(rows["target"].unique())
    worst = rows["marginal_kl_error"].max()
    return f"Over {laws}. " + " ".join(sentences) + f" No KL has an error above {worst:.1g}."


def _range(values: pd.Series) -> str:
    low, high = (f"{v:.3g}" if v > 1e-9 else "0" for v in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


_DESIGNS = [
    {"design": "Heun, N = 18", "sampler": "heun", "steps": 18},
    {"design": "frozen, N = 36", "sampler": "frozen", "steps": 36},
    {"design": "frozen, N = 8", "sampler": "frozen", "steps": 8},
    {"design": "small sigma_max", "sampler": "heun", "steps": 18, "sigma_max": 1.0},
    {"design": "scaled score", "sampler": "heun", "steps": 18, "factor": 0.9},
    {"design": "uniform times", "sampler": "frozen", "steps": 36, "time": "uniform"},
]
_MORE = [
    {"design": "Heun, N = 10", "sampler": "heun", "steps": 10},
    {"design": "much churn", "sampler": "churn", "steps": 18, "churn": 0.4},
    {"design": "large snr", "sampler": "predictor-corrector", "steps": 18, "snr": 0.7},
]

EXPERIMENT = Experiment(
    name="guidance_free_2d",
    title="Samplers in the plane",
    file=Path(__file__),
    presets={
        "quick": {
            "targets": ["four modes", "ring", "crossed pair"],
            "designs": _DESIGNS,
            "points": 96,
        },
        "full": {
            "targets": ["four modes", "ring", "crossed pair", "two moons"],
            "designs": [*_DESIGNS, *_MORE],
            "points": 128,
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    whole_parts=("design",),
    workers=2,
)

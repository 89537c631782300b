"""EDM or Song? Who wins, by training level, number of steps, scale of the data, and criterion.

Scores are affine in x, one coefficient for each noise level, inside EDM's preconditioning; they are
trained from random weights on data drawn from N(0, s^2), with EDM's weighting, and the whole chain
is in closed form. Seeds draw data, noise and weights, the same for all designs.

Source: section 4.2 of arXiv 2406.12839.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.chain import ChainErrors, Learner, chain_table
from analyses.experiment import Experiment, Settings
from design_space.numerics.statistics import interval_factor
from design_space.optimal.marginal_gaussian import gaussian_descent, leading_order_sigmas
from design_space.optimal.path import path_optimal
from design_space.schedules.named import edm, schedule, song
from design_space.schedules.schedule import Schedule
from design_space.targets.gaussian import Gaussian
from design_space.weightings.named import edm_weighting

CRITERIA = {
    "bound": "Theorem 3's bound",
    "path_kl": "path KL",
    "marginal_kl": "marginal KL",
    "w2": "W2",
}
"""What is to be small, by the field of ChainErrors."""

LITTLE, WELL, TRAINING = "little trained", "well trained", "training"
"""Planes: scale of the data against N at a small and at a large number of iterations; iterations
against N at one scale."""

LOW, HIGH = 0.002, 80.0
"""The standard range of noise levels."""

DESIGNS = (
    "edm",
    "song",
    "linear-exponential",
    "sqrt-polynomial",
    "path-optimal",
    "marginal-optimal",
)
"""EDM's and Song's, their mixtures (Song's grid with EDM's times; EDM's grid with half its
exponent), and the optima of the exact score."""


def _marginal_optimal(std: float, steps: int) -> Schedule:
    """The grid of least marginal KL; with one eigenvalue there is one minimum only."""
    start = leading_order_sigmas(std**2, steps, LOW, HIGH)
    found = gaussian_descent(np.zeros(1), np.array([std**2]), np.asarray(start) ** 2)
    sigmas = np.sqrt(found.variances)
    return Schedule.from_sigmas(np.array([HIGH, *sigmas[1:-1], LOW]))


def _designs(std: float, steps: int) -> Schedule:
    """All designs over the standard range, stacked in the order of DESIGNS."""
    target = Gaussian.isotropic(1, std)
    found = [
        edm(steps),
        song(steps),
        schedule("linear", "exponential", steps=steps),
        schedule("sqrt", "polynomial", steps=steps),
        path_optimal(target, steps, LOW, HIGH),
        _marginal_optimal(std, steps),
    ]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


def measured(std: float, steps: int, settings: Settings) -> ChainErrors:
    """Errors of all designs at all iterations, [designs, seeds, iterations].

    Args:
      std: s, of the data, of the preconditioning and of EDM's weighting.
      steps: N.
      settings: `seed`, `seeds`, `points`, `iterations`.
    """
    drawn, key = jax.random.split(jax.random.key(settings["seed"]))
    normal = jax.random.normal(drawn, (settings["seeds"], settings["points"], 1))
    scale = jnp.asarray(std)
    return jax.tree.map(
        np.asarray,
        chain_table(
            Learner(sigma_data=scale),
            Gaussian.isotropic(1, scale),
            _designs(std, steps),
            edm_weighting(sigma_data=scale),
            std * normal,
            jax.random.split(key, settings["seeds"]),
            jnp.asarray(settings["iterations"], jnp.float64),
        ),
    )


def winner(errors: np.ndarray) -> dict[str, object]:
    """Who wins one cell, from paired differences over the seeds.

    Args:
      errors: [designs, seeds], in the order of DESIGNS.

    Returns:
      `pair`: "edm", "song" or "tie" where the 99 % interval of the difference holds 0; `ratio`: the
      mean error of Song over EDM's; `best`: the design of least mean; `ahead`: whether it beats EDM
      and Song by more than the intervals.
    """

    def below(first: int, second: int) -> bool:
        """Says whether the first error is smaller, with confidence."""
        apart = errors[first] - errors[second]
        half = interval_factor(len(apart)) * np.std(apart, ddof=1) / np.sqrt(len(apart))
        return bool(np.mean(apart) + half < 0)

    pair = "edm" if below(0, 1) else "song" if below(1, 0) else "tie"
    best = int(np.argmin(np.mean(errors, axis=1)))
    ahead = best > 1 and below(best, 0) and below(best, 1)
    ratio = float(np.mean(errors[1]) / np.mean(errors[0]))
    return {"pair": pair, "ratio": ratio, "best": DESIGNS[best], "ahead": ahead}


def compute(piece: Settings) -> pd.DataFrame:
    """Cells and means for one number of steps.

    Args:
      piece: settings with one number `steps`.
    """
    iterations, rows = piece["iterations"], []
    planes = [(TRAINING, piece["std"], range(len(iterations)))]
    little, well = (iterations.index(piece[name]) for name in ("little", "well"))
    for std in piece["stds"]:
        planes += [(LITTLE, std, [little]), (WELL, std, [well])]
    found = {std: measured(std, piece["steps"], piece) for std in {p[1] for p in planes}}
    for plane, std, kept in planes:
        for k in kept:
            where = {
                "plane": plane,
                "steps": piece["steps"],
                "std": std,
                "iteration": iterations[k],
            }
            rows += _cell(found[std], k, where)
    return pd.DataFrame(rows)


def _cell(found: ChainErrors, k: int, where: dict[str, object]) -> list[dict[str, object]]:
    """The rows of one cell: who wins by each criterion, and what every design costs."""
    rows: list[dict[str, object]] = []
    relative = float(np.mean(found.excess[0, :, k] / found.excess[0, :, 0]))
    for name in CRITERIA:
        errors = getattr(found, name)[:, :, k]
        about = where | {"criterion": name, "relative_excess": relative}
        rows.append(about | {"part": "cell"} | winner(errors))
        half = interval_factor(errors.shape[1]) * errors.std(axis=1, ddof=1)
        for design, mean, error in zip(
            DESIGNS, errors.mean(axis=1), half / np.sqrt(errors.shape[1]), strict=True
        ):
            rows.append(about | {"part": "design", "design": design, "value": mean, "error": error})
    return rows


def pieces(settings: Settings) -> list[dict]:
    """One piece for each number of steps: programs are compiled for one."""
    return [{**settings, "steps": steps} for steps in settings["steps"]]


def _share(rows: pd.DataFrame) -> str:
    counts = rows["pair"].value_counts(normalize=True)
    return ", ".join(
        f"{word} {counts.get(name, 0.0):.0%}"
        for name, word in (("edm", "EDM"), ("song", "Song"), ("tie", "ties"))
    )


def _ranges(rows: pd.DataFrame) -> str:
    """Where along s each of the two wins, at the largest number of steps."""
    last = rows[rows["steps"] == rows["steps"].max()].sort_values("std")
    words = []
    for name, word in (("edm", "EDM"), ("song", "Song")):
        own = last.loc[last["pair"] == name, "std"]
        if len(own):
            words.append(
                f"{word} for {len(own)} of {len(last)} s in [{own.min():.3g}, {own.max():.3g}]"
            )
    return "; ".join(words) or "nobody"


def finding(table: pd.DataFrame) -> str:
    """Who wins where, in numbers."""
    cells = table[table["part"] == "cell"]
    words = []
    for plane in (TRAINING, LITTLE, WELL):
        for name, title in CRITERIA.items():
            rows = cells[(cells["plane"] == plane) & (cells["criterion"] == name)]
            words.append(f"{plane}, {title}: {_share(rows)}")
            if plane != TRAINING:
                words[-1] += f" (N = {rows['steps'].max()}: {_ranges(rows)})"
    ahead = cells.groupby("criterion")["ahead"].mean()
    beaten = ", ".join(f"{CRITERIA[str(c)]} {share:.0%}" for c, share in ahead.items())
    return "; ".join(words) + f". Another design beats both in: {beaten} of the cells."


_COMMON = {"seed": 0, "std": 0.5, "little": 10.0, "well": 1e9}

EXPERIMENT = Experiment(
    name="phase_diagram",
    title="EDM or Song?",
    file=Path(__file__),
    presets={
        "quick": _COMMON
        | {
            "seeds": 20,
            "points": 200,
            "steps": [5, 8, 14, 25, 45, 80, 150],
            "stds": [0.002 * 10 ** (k / 2) for k in range(11)],
            "iterations": [0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 1e5, 1e9],
        },
        "full": _COMMON
        | {
            "seeds": 64,
            "points": 2000,
            "steps": [5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 500],
            "stds": [0.002 * 10 ** (k / 4) for k in range(21)],
            "iterations": [0.0, *(10 ** (k / 4) for k in range(21)), 1e6, 1e7, 1e9],
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    workers=2,
)

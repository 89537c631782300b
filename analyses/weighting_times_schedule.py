"""Weighting of the training loss times noise schedule times length of training: what each costs.

Affine scores inside EDM's preconditioning are trained on data drawn from N(0, s^2) with each
weighting on each schedule, then sampled with; the whole chain is in closed form. Three learners:
coefficients of their own at each noise level; features that the levels share; the same features
inside a preconditioning that takes the data for wider than they are, so that no weights are right
at all levels. Seeds draw data, noise and weights, the same for all designs.

Source: section 4 and Theorem 3 of arXiv 2406.12839.
"""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.chain import ChainErrors, Learner, chain_errors
from analyses.experiment import Experiment, Settings
from design_space.arrays import Array, Float
from design_space.numerics.statistics import interval_factor
from design_space.optimal.path import path_optimal
from design_space.schedules.named import edm, schedule, song
from design_space.schedules.schedule import Schedule
from design_space.targets.gaussian import Gaussian
from design_space.weightings import named
from design_space.weightings.base import CustomWeighting

CRITERIA = {
    "score": "E_S",
    "path_kl": "path KL",
    "marginal_kl": "marginal KL",
    "bound": "Theorem 3's bound",
}
"""What is to be small, by the field of ChainErrors."""

SCHEDULES = ("edm", "song", "sqrt-polynomial", "path-optimal")
OWN = "sampler's own"
WEIGHTINGS = ("EDM", "EDM pointwise", "Song", "uniform", "Min-SNR", "P2", OWN)
"""As published, and beta_j = h_j/v_j, for which the loss above its floor is E_S."""

PER_LEVEL, SHARED, MISFIT = "per level", "shared", "shared, misfit"
FACTORS = ("weighting", "schedule", "interaction")
DIFFERENCE = "weighting - schedule"
_ROUNDING = 1e-8  # relative; closer errors tie, as the least squares of different weightings do


def totals(grid: Schedule) -> Float[np.ndarray, "weightings levels"]:
    """beta_j of every weighting on a schedule, in the order of WEIGHTINGS."""
    bell = named.edm_weighting()
    published = (bell, bell.pointwise(), named.song(), named.uniform(), named.min_snr(), named.p2())
    own = grid.forward_variance_steps / grid.forward_variances[1:]
    return np.stack([*(np.asarray(w.total(grid)) for w in published), np.asarray(own)])


def _schedules(std: float, steps: int) -> Schedule:
    """The schedules over the standard range, stacked in the order of SCHEDULES."""
    found = [
        edm(steps),
        song(steps),
        schedule("sqrt", "polynomial", steps=steps),
        path_optimal(Gaussian.isotropic(1, std), steps, 0.002, 80.0),
    ]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


@eqx.filter_jit
def _chains(
    learner: Learner,
    target: Gaussian,
    schedules: Schedule,
    betas: Array,
    points: Array,
    keys: Array,
    iterations: Array,
) -> ChainErrors:
    """Errors of every weighting on every schedule, [schedules, weightings, seeds, iterations]."""

    def one(grid: Schedule, beta: Array, own: Array, key: Array) -> ChainErrors:
        return chain_errors(learner, target, grid, CustomWeighting(beta), own, key, iterations)

    by_seed = eqx.filter_vmap(one, in_axes=(None, None, 0, 0))
    by_weighting = eqx.filter_vmap(by_seed, in_axes=(None, 0, None, None))
    by_schedule = eqx.filter_vmap(by_weighting, in_axes=(eqx.if_array(0), 0, None, None))
    return by_schedule(schedules, betas, points, keys)


def measured(piece: Settings) -> ChainErrors:
    """Errors of one learner, [schedules, weightings, seeds, iterations].

    Args:
      piece: `std` of the data; `sigma_data` of the preconditioning; `scales` of shared features, or
        None; `steps`, `seed`, `seeds`, `points`, `iterations`.
    """
    drawn, key = jax.random.split(jax.random.key(piece["seed"]))
    normal = jax.random.normal(drawn, (piece["seeds"], piece["points"], 1))
    scales = piece["scales"] if piece["scales"] is None else tuple(piece["scales"])
    schedules = _schedules(piece["std"], piece["steps"])
    each = [jax.tree.map(lambda leaf, k=k: leaf[k], schedules) for k in range(len(SCHEDULES))]
    found = _chains(
        Learner(scales, sigma_data=jnp.asarray(piece["sigma_data"])),
        Gaussian.isotropic(1, piece["std"]),
        schedules,
        jnp.asarray(np.stack([totals(grid) for grid in each])),
        piece["std"] * normal,
        jax.random.split(key, piece["seeds"]),
        jnp.asarray(list(piece["iterations"].values())),
    )
    return jax.tree.map(np.asarray, found)


def apart(errors: Float[np.ndarray, "designs seeds"], best: int) -> Float[np.ndarray, " designs"]:
    """Whether each design is worse than the best one beyond the 99 % interval of the difference,
    and beyond rounding.

    Args:
      errors: paired over the seeds.
      best: index of the design to compare with.
    """
    gaps = errors - errors[best]
    half = interval_factor(gaps.shape[1]) * np.std(gaps, axis=1, ddof=1) / np.sqrt(gaps.shape[1])
    return np.mean(gaps, axis=1) > half + _ROUNDING * np.mean(errors[best])


def variance_shares(
    errors: Float[np.ndarray, "schedules weightings seeds"],
) -> dict[str, Float[np.ndarray, " seeds"]]:
    """Shares of the variance of the log error, seed by seed: an analysis of variance in two ways.

    Returns:
      By factor of FACTORS, three shares that add up to 1; and the DIFFERENCE of the first two.
    """
    logs = np.log(errors)
    whole = np.mean(logs, axis=(0, 1))
    rows, columns = np.mean(logs, axis=1) - whole, np.mean(logs, axis=0) - whole
    total = np.mean((logs - whole) ** 2, axis=(0, 1))
    found = {
        "weighting": np.mean(columns**2, axis=0) / total,
        "schedule": np.mean(rows**2, axis=0) / total,
    }
    first, second = found["weighting"], found["schedule"]
    return found | {"interaction": 1 - first - second, DIFFERENCE: first - second}


def _cells(errors: np.ndarray, where: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each schedule and weighting at one length of training, by one criterion.

    `best` marks the best weighting of a schedule, `tie` those that are not worse beyond the
    interval; `best_of_all` and `tie_of_all` do so over all schedules.
    """
    means = np.mean(errors, axis=2)
    half = interval_factor(errors.shape[2]) * np.std(errors, axis=2, ddof=1)
    flat = errors.reshape(-1, errors.shape[2])
    leader = int(np.argmin(means))
    beyond = apart(flat, leader).reshape(means.shape)
    rows = []
    for i, name in enumerate(SCHEDULES):
        best = int(np.argmin(means[i]))
        worse = apart(errors[i], best)
        for j, weighting in enumerate(WEIGHTINGS):
            cell = {"schedule": name, "weighting": weighting, "value": means[i, j]}
            cell["error"] = half[i, j] / np.sqrt(errors.shape[2])
            cell |= {"best": j == best, "tie": not worse[j]}
            cell |= {"best_of_all": i * len(WEIGHTINGS) + j == leader}
            cell |= {"tie_of_all": not beyond[i, j], "ratio": means[i, j] / means.min()}
            rows.append(where | {"part": "cell"} | cell)
    return rows


def compute(piece: Settings) -> pd.DataFrame:
    """Rows of the parts "cell", "share" (of the variance) and "spread" for one learner.

    "spread" is the largest E_S over the least one, weighting against weighting, at its mean over
    seeds and schedules: 1 where the weighting does not matter.
    """
    found, rows = measured(piece), []
    for k, (level, count) in enumerate(piece["iterations"].items()):
        excess = float(np.mean(found.score[..., k] / found.score[..., 0]))
        about = {"level": level, "iterations": count, "relative_score": excess}
        for name in CRITERIA:
            errors = getattr(found, name)[..., k]
            where = about | {"criterion": name}
            rows += _cells(errors, where)
            for factor, shares in variance_shares(errors).items():
                half = interval_factor(len(shares)) * np.std(shares, ddof=1) / np.sqrt(len(shares))
                share = {"factor": factor, "value": np.mean(shares), "error": half}
                rows.append(where | {"part": "share"} | share)
            ratios = np.max(errors, axis=1) / np.min(errors, axis=1)
            rows.append(where | {"part": "spread", "value": np.mean(ratios), "most": ratios.max()})
    return pd.DataFrame(rows).assign(learner=piece["learner"], steps=piece["steps"])


def pieces(settings: Settings) -> list[dict]:
    """One piece for each learner."""
    common = {name: value for name, value in settings.items() if name != "learners"}
    return [{**common, **learner} for learner in settings["learners"]]


def _winners(cells: pd.DataFrame) -> str:
    """Per level: the best pair, and which weightings tie with it on its schedule."""
    words = []
    for level, rows in cells.groupby("level", sort=False):
        best = rows[rows["best_of_all"].astype(bool)].iloc[0]
        own = rows[(rows["schedule"] == best["schedule"]) & rows["tie"].astype(bool)]
        ties = [name for name in own["weighting"] if name != best["weighting"]]
        also = f" (tied: {', '.join(ties)})" if ties else ""
        if len(ties) == len(WEIGHTINGS) - 1:
            also = " (all tied)"
        words.append(f"{level} {best['weighting']} on {best['schedule']}{also}")
    return ", ".join(words)


def _shares(shares: pd.DataFrame) -> str:
    """Per level: the weighting's and the schedule's share of the variance, in per cent."""
    words = []
    for level, rows in shares.groupby("level", sort=False):
        at = 100 * rows.set_index("factor")[["value", "error"]]
        both = (f"{at.loc[f, 'value']:.0f} ± {at.loc[f, 'error']:.0f}" for f in FACTORS[:2])
        words.append(f"{level} {' and '.join(both)}")
    return ", ".join(words)


def _decided(shares: pd.DataFrame) -> str:
    """In how many cases the weighting or the schedule explains more, beyond the interval."""
    rows = shares[shares["factor"] == DIFFERENCE]
    up = int((rows["value"] > rows["error"]).sum())
    down = int((rows["value"] < -rows["error"]).sum())
    return (
        f"Of {len(rows)} cases (learner, criterion, level) the schedule explains more of the "
        f"variance of the log error in {down}, the weighting in {up}; {len(rows) - up - down} are "
        f"undecided."
    )


def regret(cells: pd.DataFrame) -> pd.Series:
    """By weighting: at worst, its error over that of the best weighting on the same schedule.

    Args:
      cells: rows of the part "cell" of one criterion.
    """
    key = ["learner", "level", "schedule"]
    least = cells.groupby(key)["value"].transform("min")
    return (cells["value"] / least).groupby(cells["weighting"], sort=False).max()


def finding(table: pd.DataFrame) -> str:
    """Which weighting wins at which level, and whether it or the schedule matters more."""
    cells, shares, spread = (table[table["part"] == p] for p in ("cell", "share", "spread"))
    words = [_decided(shares)]
    for learner, rows in table.groupby("learner", sort=False):
        for name in ("score", "marginal_kl", "bound"):
            own = rows["criterion"] == name
            words.append(
                f"{learner}, {CRITERIA[name]}: least with "
                f"{_winners(rows[own & (rows['part'] == 'cell')])}; weighting and schedule explain "
                f"{_shares(rows[own & (rows['part'] == 'share')])} %."
            )
    worst = regret(cells[cells["criterion"] == "score"])
    listed = ", ".join(f"{name} {value:.3g}" for name, value in worst.items())
    words.append(f"At worst, E_S over that of the best weighting on the same schedule: {listed}.")
    last = spread[(spread["criterion"] == "score")]
    last = last[last["iterations"] == last["iterations"].max()].set_index("learner")["most"]
    ends = ", ".join(f"{learner} 1 + {most - 1:.2g}" for learner, most in last.items())
    words.append(f"Converged, the largest E_S over the least one among the weightings: {ends}.")
    return " ".join(words)


_COMMON = {
    "seed": 0,
    "std": 0.5,
    "iterations": {"few": 10.0, "some": 1e3, "converged": 1e12},
    "learners": [
        {"learner": PER_LEVEL, "scales": None, "sigma_data": 0.5},
        {"learner": SHARED, "scales": [0.1, 0.3, 1.0], "sigma_data": 0.5},
        {"learner": MISFIT, "scales": [0.1, 0.3, 1.0], "sigma_data": 1.0},
    ],
}

EXPERIMENT = Experiment(
    name="weighting_times_schedule",
    title="Weightings times schedules",
    file=Path(__file__),
    presets={
        "quick": _COMMON | {"seeds": 20, "points": 200, "steps": 20},
        "full": _COMMON | {"seeds": 64, "points": 2000, "steps": 100},
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    whole_parts=("share", "spread"),
    workers=2,
)

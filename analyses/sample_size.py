"""Data, noise levels and width against the full error: which of its parts dominates where.

The path KL is, exactly, with theta_K, theta_* and theta_F as in Theorem 3,

  [E_S(K) - E_S(*)] + [E_S(*) - E_S(F)] + E_S(F) + [E_I + E_D]:

optimization, statistics, approximation and sampling. On N(0, s^2) with a score of its own at each
level, number n of data against number N of levels, trained with EDM's weighting; there E_S is
sum_j (h_j/(beta_j v_j)) excess_j. On two modes with random features, width m against n, with
beta_j = h_j/v_j, so that E_S is the excess itself.

Source: Theorem 3 of arXiv 2406.12839.
"""

from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.chain import Learner, errors_of, training
from analyses.experiment import Experiment, Settings
from analyses.feature_chains import (
    decomposed,
    feature_marginal,
    feature_parts,
    population_of,
)
from analyses.network_chains import two_modes
from design_space.arrays import Array, Float
from design_space.errors.discretization import discretization_errors
from design_space.errors.initialization import initialization_error
from design_space.numerics.rates import log_log_slope
from design_space.numerics.statistics import interval_factor
from design_space.schedules.named import edm, song
from design_space.schedules.schedule import Schedule
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.weightings.named import edm_weighting

PARTS = ("optimization", "statistics", "approximation", "sampling")
GRIDS = {"edm": edm, "song": song}
LIMIT = 1e300
"""An iteration at which training has converged, as far as numbers go."""


def sampling_error(target: AbstractTarget, grid: Schedule) -> float:
    """E_I + E_D, in nats.

    Args:
      target: the data law.
      grid: of N steps.
    """
    variances, key = grid.backward_variances, jax.random.key(0)
    steps = discretization_errors(target, variances, grid.backward_variance_steps, key, 64)
    return float(initialization_error(target, variances[0], key, 64).value + jnp.sum(steps.value))


def mean_row(values: np.ndarray) -> dict[str, float]:
    """The mean over seeds with its 99 % interval.

    Args:
      values: one for each seed.
    """
    half = interval_factor(len(values)) * values.std(ddof=1) / np.sqrt(len(values))
    mean = float(values.mean())
    return {"value": mean, "low": mean - float(half), "high": mean + float(half)}


def dominating(parts: dict[str, np.ndarray]) -> dict[str, object]:
    """The part of largest mean over the seeds, its share of all, and whether it is sure.

    Args:
      parts: of the path KL, [seeds] each.

    Returns:
      `dominant`, `share`, and `sure`: the 99 % intervals of the paired differences exclude 0.
    """
    first, *others = sorted(parts, key=lambda name: -parts[name].mean())
    sure = all(mean_row(parts[first] - parts[other])["low"] > 0 for other in others)
    total = sum(values.mean() for values in parts.values())
    return {"dominant": first, "share": float(parts[first].mean() / total), "sure": sure}


class _Draws(NamedTuple):
    """Data, noise and initial weights of every seed, for the largest number of points."""

    points: Float[Array, "seeds most 1"]
    noise: Float[Array, "seeds most levels 1"]
    weights: Float[Array, "seeds levels 1 2"]


def _drawn(piece: Settings) -> _Draws:
    random = np.random.default_rng([piece["seed"], piece["steps"]])
    most, levels, draws = max(piece["points"]), piece["steps"], []
    for _ in range(piece["seeds"]):
        points = piece["std"] * random.standard_normal((most, 1))
        noise = random.standard_normal((most, levels, 1))
        draws.append(_Draws(points, noise, random.standard_normal((levels, 1, 2))))
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *draws)


@eqx.filter_jit
def _trained(
    std: Array, grid: Schedule, counts: Array, draws: _Draws, iterations: Array
) -> tuple[Array, Array]:
    """E_S and the marginal KL, each [counts, seeds, iterations].

    All numbers of points have one shape: the first n points and their noise are repeated, which
    changes no mean.
    """
    target, weighting = Gaussian.isotropic(1, std), edm_weighting(sigma_data=std)
    most, learner = draws.points.shape[1], Learner(sigma_data=std)

    def chain(count: Array, own: _Draws) -> tuple[Array, Array]:
        kept = jnp.arange(most) % count
        given = (own.points[kept], own.noise[kept], own.weights)
        trained = training(learner, target, grid, weighting, *given)

        def at(step: Array) -> tuple[Array, Array]:
            found = errors_of(target, grid, weighting, trained.score(step), trained.terms(step))
            return found.score, found.marginal_kl

        return jax.lax.map(at, iterations)

    return jax.lax.map(lambda count: jax.vmap(lambda own: chain(count, own))(draws), counts)


def plane(piece: Settings) -> pd.DataFrame:
    """All designs, n and iterations at one N.

    Args:
      piece: `steps`, `std`, `points` (powers of two), `iterations`, `seeds`, `seed`.
    """
    draws, std = _drawn(piece), jnp.asarray(piece["std"])
    steps = jnp.asarray([*piece["iterations"], LIMIT], jnp.float64)
    tables = []
    for name, design in GRIDS.items():
        grid, rows = design(piece["steps"]), []
        sampling = sampling_error(Gaussian.isotropic(1, std), grid)
        found = _trained(std, grid, jnp.asarray(piece["points"]), draws, steps)
        scores, marginals = (np.asarray(x) for x in found)
        for i, n in enumerate(piece["points"]):
            last = scores[i, :, -1]
            for j, k in enumerate(piece["iterations"]):
                moved = scores[i, :, j] - last
                parts = {"optimization": moved, "statistics": last, "approximation": 0 * last}
                about = {"points": n, "iteration": k}
                rows += _cell(parts | {"sampling": np.full(len(last), sampling)}, about)
                marginal = about | {"part": "value", "quantity": "marginal KL"}
                rows.append(marginal | mean_row(marginals[i, :, j]))
        tables.append(pd.DataFrame(rows).assign(design=name))
    return pd.concat(tables, ignore_index=True).assign(steps=piece["steps"], plane="levels")


def _cell(parts: dict[str, np.ndarray], about: dict) -> list[dict[str, object]]:
    """What dominates one cell, and all parts of it, with E_S and the path KL."""
    rows: list[dict[str, object]] = [about | {"part": "cell"} | dominating(parts)]
    score = parts["optimization"] + parts["statistics"] + parts["approximation"]
    shown = parts | {"E_S": score, "path KL": score + parts["sampling"]}
    rows += [
        about | {"part": "value", "quantity": name} | mean_row(each) for name, each in shown.items()
    ]
    rows += [
        about | {"part": "seed", "quantity": name, "seed": i, "value": value}
        for name in ("E_S", "statistics", "approximation")
        for i, value in enumerate(shown[name].tolist())
    ]
    return rows


def width(piece: Settings) -> pd.DataFrame:
    """All n and iterations at one width.

    Args:
      piece: `width`, `steps`, `points`, `iterations`, `seeds`, `seed`, `sigma_data`; marginal KL at
        `marginal_iteration` for the n in `marginal_points` if the width is in `marginal_widths`,
        for so many seeds as `marginal_seeds`.
    """
    grid, rows = edm(piece["steps"]), []
    keys = jax.random.split(jax.random.key(piece["seed"]), piece["seeds"])
    sampling = np.full(piece["seeds"], sampling_error(two_modes(), grid))
    found = {n: [] for n in piece["points"]}
    for i, key in enumerate(keys):
        population = population_of(key, grid, piece, piece["width"])
        for n in piece["points"]:
            solved = decomposed(key, grid, piece, population, n)
            found[n].append(feature_parts(solved, piece["iterations"]))
            wanted = piece["width"] in piece["marginal_widths"] and n in piece["marginal_points"]
            if wanted and i < piece["marginal_seeds"]:
                value, error = feature_marginal(solved, grid, piece["marginal_iteration"])
                about = {"part": "seed", "quantity": "marginal KL", "seed": i, "points": n}
                about |= {"iteration": piece["marginal_iteration"]}
                rows.append(about | {"value": value, "low": value - error, "high": value + error})
    for n, each in found.items():
        statistics = np.array([x.estimation for x in each])
        least = np.array([x.approximation for x in each])
        for k, step in enumerate(piece["iterations"]):
            moved = np.array([x.excess[k] for x in each]) - statistics - least
            parts = {"optimization": moved, "statistics": statistics, "approximation": least}
            about = {"points": n, "iteration": step}
            rows += _cell(parts | {"sampling": sampling}, about)
            train = np.array([x.train[k] for x in each])
            gap = np.abs(moved - train)  # eps_n = |L(K) - L(*) - (Lem(K) - Lem(*))|
            named = {"eps_train": train, "four terms": train + gap + statistics + least}
            rows += [
                about | {"part": "value", "quantity": name} | mean_row(own)
                for name, own in named.items()
            ]
    table = pd.DataFrame(rows)
    return table.assign(design="edm", steps=piece["steps"], width=piece["width"], plane="width")


def compute(piece: Settings) -> pd.DataFrame:
    """All rows of one piece.

    Args:
      piece: settings of `plane` or of `width`.
    """
    return {"levels": plane, "width": width}[piece["plane"]](piece)


def pieces(settings: Settings) -> list[dict]:
    """One for each number of levels, and for each width."""
    common = {"seed": settings["seed"]}
    levels, widths = settings["levels"], settings["width"]
    found = [{**common, **levels, "plane": "levels", "steps": steps} for steps in levels["steps"]]
    return found + [
        {**common, **widths, "plane": "width", "width": width} for width in widths["widths"]
    ]


def exponent(rows: pd.DataFrame, along: str) -> dict[str, float]:
    """The mean of the seeds' own log-log slopes with its 99 % interval.

    Args:
      rows: of part "seed", one quantity.
      along: the column of sizes.
    """
    slopes = [
        float(log_log_slope(own[along].to_numpy(float), own["value"].to_numpy()).value)
        for _, own in rows.groupby("seed")
    ]
    return mean_row(np.array(slopes))


def _told(found: dict[str, float]) -> str:
    return f"{found['value']:.2f} ± {found['high'] - found['value']:.2f}"


def _exponents(table: pd.DataFrame) -> list[str]:
    """Exponents of E_S in n and N when converged, and of the random features' parts in m and n."""
    seeds = table[table["part"] == "seed"]
    last = seeds[(seeds["plane"] == "levels") & (seeds["iteration"] == LIMIT)]
    words = []
    for design, own in last[last["quantity"] == "E_S"].groupby("design", sort=False):
        steps, most = own["steps"].max(), own["points"].max()
        in_n = exponent(own[(own["steps"] == steps) & (own["points"] >= most / 32)], "points")
        several = sorted(own["steps"].unique())[-3:]
        rows = own[(own["points"] == most) & own["steps"].isin(several)]
        words.append(
            f"{design}, converged: E_S ~ n^({_told(in_n)}) at N = {steps} and n >= {most // 32}, "
            f"N^({_told(exponent(rows, 'steps'))}) at n = {most} and N >= {several[0]}"
        )
    wide = seeds[(seeds["plane"] == "width") & (seeds["iteration"] == LIMIT)]
    most, least = wide["points"].max(), wide["width"].min()
    in_m = wide[(wide["points"] == most) & (wide["quantity"] == "approximation")]
    in_n = wide[(wide["width"] == least) & (wide["quantity"] == "statistics")]
    words.append(f"eps_approx ~ m^({_told(exponent(in_m, 'width'))})")
    words.append(f"eps_est ~ n^({_told(exponent(in_n, 'points'))}) at m = {least:.0f}")
    return words


def _dominant(cells: pd.DataFrame) -> str:
    counts = cells["dominant"].value_counts(normalize=True)
    sure = cells["sure"].mean()
    shares = ", ".join(f"{name} {share:.0%}" for name, share in counts.items())
    return f"{shares} of the cells (sure in {sure:.0%})"


def _widths(table: pd.DataFrame) -> list[str]:
    """The best width of each n and iteration, and how far the four terms are above E_S."""
    wide = table[(table["plane"] == "width") & (table["part"] == "value")]
    words = []
    for (k, n), own in wide.groupby(["iteration", "points"]):
        values = own.pivot_table(index="width", columns="quantity", values="value")
        best, above = values["E_S"].idxmin(), (values["four terms"] / values["E_S"]).iloc[-1]
        words.append(
            f"n = {n}, {_when(float(k))}: least E_S {values['E_S'].min():.3g} at m = {best:.0f}; "
            f"the four terms are {above:.3g} times E_S at m = {values.index[-1]:.0f}"
        )
    return words


def _when(iteration: float) -> str:
    return "converged" if iteration == LIMIT else f"iteration {iteration:g}"


def finding(table: pd.DataFrame) -> str:
    """What dominates how often, the exponents, and the best width."""
    cells, words = table[(table["part"] == "cell") & (table["plane"] == "levels")], []
    for (design, k), own in cells.groupby(["design", "iteration"], sort=False):
        words.append(f"{design}, {_when(float(k))}: {_dominant(own)}")
    return "; ".join(words + _exponents(table) + _widths(table)) + "."


EXPERIMENT = Experiment(
    name="sample_size",
    title="Data, noise levels and width against the full error",
    file=Path(__file__),
    presets={
        "quick": {
            "seed": 0,
            "levels": {
                "std": 0.5,
                "seeds": 20,
                "points": [4, 8, 16, 32, 64, 128, 256, 512, 1024],
                "steps": [5, 10, 20, 40, 80, 160, 320],
                "iterations": [10.0, 300.0, LIMIT],
            },
            "width": {
                "steps": 10,
                "sigma_data": 1.0,
                "seeds": 6,
                "points": [16, 64, 256, 1024],
                "widths": [8, 16, 32, 64],
                "iterations": [1e2, 1e4, LIMIT],
                "marginal_widths": [8, 64],
                "marginal_points": [16, 1024],
                "marginal_iteration": 1e4,
                "marginal_seeds": 2,
            },
        },
        "full": {
            "seed": 0,
            "levels": {
                "std": 0.5,
                "seeds": 64,
                "points": [2**k for k in range(2, 14)],
                "steps": [5, 10, 20, 40, 80, 160, 320, 640],
                "iterations": [10.0, 300.0, LIMIT],
            },
            "width": {
                "steps": 20,
                "sigma_data": 1.0,
                "seeds": 24,
                "points": [16, 64, 256, 1024, 4096],
                "widths": [8, 16, 32, 64, 128, 256],
                "iterations": [1e2, 1e4, 1e6, LIMIT],
                "marginal_widths": [8, 32, 128],
                "marginal_points": [16, 256, 4096],
                "marginal_iteration": 1e4,
                "marginal_seeds": 12,
            },
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    workers=2,
)

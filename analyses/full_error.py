"""Theorem 3 beside the errors it bounds, as training proceeds: EDM's design and Song's.

Gaussian data and affine scores, where the whole chain is in closed form; and two modes on the line
and networks, where E_S comes by quadrature and the marginal KL by the density law.

Source: Theorem 3, section 4.2 and appendix H.3 of arXiv 2406.12839.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.chain import Learner, chain_table
from analyses.experiment import Experiment, Settings
from analyses.network_chains import network_errors, two_modes
from design_space.bounds import full
from design_space.errors.budget import error_budget
from design_space.errors.discretization import discretization_errors
from design_space.errors.initialization import initialization_error
from design_space.numerics.statistics import geometric_mean, interval_factor
from design_space.schedules.named import edm, song
from design_space.schedules.schedule import Schedule
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.training.population import mmse_levels
from design_space.weightings.base import AbstractWeighting
from design_space.weightings.named import edm_weighting

DESIGNS = {"edm": "EDM", "song": "Song"}
BOUNDS = {"bound": "corrected", "printed": "printed", "by_steps": "by steps"}
CRITERIA = {
    "bound": "Theorem 3's bound",
    "printed": "the bound as printed",
    "path_kl": "path KL",
    "marginal_kl": "marginal KL",
}
"""By which the two designs are compared."""

Found = dict[str, np.ndarray]
"""Quantities of shape [designs, seeds, iterations]."""


def _grids(steps: int) -> tuple[Schedule, Schedule]:
    """EDM's and Song's over the standard range, in the order of DESIGNS."""
    return edm(steps), song(steps)


def _sides(
    target: AbstractTarget, grid: Schedule, weighting: AbstractWeighting
) -> dict[str, tuple[float, float]]:
    """Each form of Theorem 3 as E_I + E_D and the coefficient of the loss."""
    mmse = mmse_levels(target, grid.backward_variances[:-1], None, 2).value
    given = (target.dim, target.second_moment(), grid, weighting, 0.0)
    return {
        "bound": (
            float(full.theorem_3_corrected(*given).total),
            2 * float(full.score_coefficient(grid, weighting)),
        ),
        "printed": (
            float(full.theorem_3(*given).total),
            2 * float(full.score_coefficient_printed(grid, weighting)),
        ),
        "by_steps": (
            float(full.theorem_3_by_steps(*given, mmse=mmse).total),
            float(jnp.max(full.step_coefficients(grid, weighting))),
        ),
    }


def _bounded(
    found: Found, target: AbstractTarget, grids: tuple[Schedule, ...], weighting: AbstractWeighting
) -> Found:
    """Adds the three right sides, and the coefficients that belong to them."""
    sides = [_sides(target, grid, weighting) for grid in grids]
    for name in BOUNDS:
        fixed, factor = (
            np.array([side[name][k] for side in sides])[:, None, None] for k in range(2)
        )
        found[name] = fixed + factor * found["loss"]
        found[f"coefficient {name}"] = np.broadcast_to(factor, found["loss"].shape)
    return found


def _exact_marginals(
    target: AbstractTarget, grids: tuple[Schedule, ...], shape: tuple[int, ...]
) -> np.ndarray:
    """KL(p_{v_N} | q_N) of the exact score: what sampling alone costs."""
    found = [float(error_budget(target, grid).marginal_kl.value) for grid in grids]
    return np.broadcast_to(np.array(found)[:, None, None], shape)


def gaussian(piece: Settings) -> Found:
    """Affine scores on N(0, s^2), in closed form.

    Args:
      piece: `steps`, `sigma_data` = s, `points`, `seed`, `seeds`, `iterations`.
    """
    std, grids = jnp.asarray(piece["sigma_data"]), _grids(piece["steps"])
    target, weighting = Gaussian.isotropic(1, std), edm_weighting(sigma_data=std)
    drawn, key = jax.random.split(jax.random.key(piece["seed"]))
    normal = jax.random.normal(drawn, (piece["seeds"], piece["points"], 1))
    errors = chain_table(
        Learner(sigma_data=std),
        target,
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *grids),
        weighting,
        std * normal,
        jax.random.split(key, piece["seeds"]),
        jnp.asarray(piece["iterations"], jnp.float64),
    )
    terms = ("train", "generalization", "estimation", "approximation")
    kept = ("initialization", "discretization", "score", "path_kl", "marginal_kl", "excess")
    found = {name: np.asarray(getattr(errors, name)) for name in (*kept, *terms)}
    found["loss"] = sum(found[name] for name in terms)
    found["marginal exact"] = _exact_marginals(target, grids, found["loss"].shape)
    return _bounded(found, target, grids, weighting)


def network(piece: Settings) -> Found:
    """Networks on two modes; the four terms together are at least the excess, which is taken.

    Args:
      piece: `steps` and the settings of `network_errors`.
    """
    grids, target = _grids(piece["steps"]), two_modes()
    weighting = edm_weighting(sigma_data=piece["sigma_data"])
    errors = network_errors(grids, weighting, piece)
    parts = []
    for grid in grids:
        variances, steps = grid.backward_variances, grid.backward_variance_steps
        key = jax.random.key(0)
        first = initialization_error(target, variances[0], key, 64).value
        second = discretization_errors(target, variances, steps, key, 64).value
        parts.append((float(first), float(jnp.sum(second))))
    shape = errors.score.shape
    first, second = (
        np.broadcast_to(np.array(x)[:, None, None], shape) for x in zip(*parts, strict=True)
    )
    found = {
        "initialization": first,
        "discretization": second,
        "score": errors.score,
        "path_kl": first + second + errors.score,
        "marginal_kl": errors.marginal_kl,
        "marginal exact": _exact_marginals(target, grids, shape),
        "excess": errors.excess,
        "loss": errors.excess,
        "train": errors.empirical,
        "generalization": np.abs(errors.floor + errors.excess - errors.empirical),
    }
    return _bounded(found, target, grids, weighting)


def _means(found: Found, piece: Settings) -> list[dict[str, object]]:
    """Means over the seeds with 99 % intervals."""
    rows: list[dict[str, object]] = []
    for name, values in found.items():
        for (i, design), (k, step) in (
            (a, b) for a in enumerate(DESIGNS) for b in enumerate(piece["iterations"])
        ):
            own = values[i, :, k][np.isfinite(values[i, :, k])]
            if len(own) < 2:
                continue
            error = interval_factor(len(own)) * own.std(ddof=1) / np.sqrt(len(own))
            rows.append(
                {
                    "part": "mean",
                    "design": design,
                    "quantity": name,
                    "iteration": step,
                    "value": own.mean(),
                    "low": own.mean() - error,
                    "high": own.mean() + error,
                    "seeds": len(own),
                }
            )
    return rows


def _pairs(found: Found, piece: Settings) -> list[dict[str, object]]:
    """Song's error over EDM's, as the geometric mean over the seeds with its 99 % interval."""
    rows: list[dict[str, object]] = []
    for name in (*CRITERIA, "score"):
        for k, step in enumerate(piece["iterations"]):
            ratio = found[name][1, :, k] / found[name][0, :, k]
            ratio = ratio[np.isfinite(ratio)]
            if len(ratio) < 2:
                continue
            value, low, high = (float(x) for x in geometric_mean(ratio))
            winner = "edm" if low > 1 else "song" if high < 1 else "tie"
            place = {"part": "pair", "quantity": name, "iteration": step, "winner": winner}
            rows.append(place | {"value": value, "low": low, "high": high, "seeds": len(ratio)})
    return rows


def falls_below_one(iterations: np.ndarray, values: np.ndarray) -> float:
    """The iteration at which a sequence has come below 1 for good, by log-log interpolation.

    Args:
      iterations: ascending; 0 is read as 1/2.
      values: above 0, same length.

    Returns:
      The iteration; 0 if it is below 1 from the first, infinite if it does not end below 1.
    """
    above = np.flatnonzero(values >= 1)
    if not len(above):
        return 0.0
    k = int(above[-1])
    if k == len(values) - 1:
        return float("inf")
    at, logs = np.log(np.maximum(iterations[k : k + 2], 0.5)), np.log(values[k : k + 2])
    return float(np.exp(at[0] + (at[1] - at[0]) * logs[0] / (logs[0] - logs[1])))


def _turns(found: Found, piece: Settings) -> list[dict[str, object]]:
    """When E_S falls below E_I + E_D, over the seeds: the geometric mean with its 99 % interval;
    where some seed has no such iteration, or is below from the first, the median and the extremes.
    """
    rows: list[dict[str, object]] = []
    at = np.asarray(piece["iterations"], float)
    for i, design in enumerate(DESIGNS):
        share = found["score"][i] / (found["initialization"][i] + found["discretization"][i])
        turns = np.array([falls_below_one(at, own) for own in share])
        plain = np.all(np.isfinite(turns) & (turns > 0))
        value, low, high = geometric_mean(turns) if plain else (np.median(turns),) * 3
        row = {"part": "turn", "design": design, "quantity": "score below sampling"}
        low, high = (low, high) if plain else (turns.min(), turns.max())
        rows.append(row | {"value": float(value), "low": float(low), "high": float(high)})
    return rows


def _slacks(found: Found) -> list[dict[str, object]]:
    """The least and largest quotients along the chain, over all seeds and iterations."""
    rows: list[dict[str, object]] = []
    chain = [(name, "path_kl") for name in BOUNDS] + [("path_kl", "marginal_kl")]
    for (i, design), (above, below) in ((a, b) for a in enumerate(DESIGNS) for b in chain):
        ratio = found[above][i] / found[below][i]
        start, end = np.nanmean(ratio[:, [0, -1]], axis=0) if above in BOUNDS else (np.nan,) * 2
        row = {"part": "slack", "design": design, "quantity": f"{above} / {below}"}
        ends = {"low": np.nanmin(ratio), "high": np.nanmax(ratio)}
        rows.append(row | ends | {"value": np.nanmedian(ratio), "start": start, "end": end})
    return rows


def _coefficients(piece: Settings) -> list[dict[str, object]]:
    """2 max sigma^2/w by both readings of EDM's weighting, before it is multiplied by a loss."""
    rows: list[dict[str, object]] = []
    density = edm_weighting(sigma_data=piece["sigma_data"])
    for reading, weighting in (("density", density), ("pointwise", density.pointwise())):
        for design, grid in zip(DESIGNS, _grids(piece["steps"]), strict=True):
            row = {"part": "coefficient", "design": design, "reading": reading}
            for form, of in (
                ("printed", full.score_coefficient_printed),
                ("corrected", full.score_coefficient),
            ):
                rows.append(row | {"quantity": form, "value": 2 * float(of(grid, weighting))})
    return rows


def compute(piece: Settings) -> pd.DataFrame:
    """All rows of one data law and one number of steps.

    Args:
      piece: settings of one chain.
    """
    found = {"gaussian": gaussian, "network": network}[piece["data"]](piece)
    rows = _means(found, piece) + _pairs(found, piece) + _turns(found, piece) + _slacks(found)
    rows += _coefficients(piece)
    return pd.DataFrame(rows).assign(
        data=piece["data"], steps=piece["steps"], points=piece["points"]
    )


def pieces(settings: Settings) -> list[dict]:
    """One piece for each data law and number of steps."""
    common = {"seed": settings["seed"]}
    return [
        {**common, **settings[data], "data": data, "steps": steps}
        for data in ("gaussian", "network")
        for steps in settings[data]["steps"]
    ]


def who_wins(rows: pd.DataFrame) -> str:
    """The winner along training, run by run.

    Args:
      rows: of part "pair", one criterion, ascending in the iteration.
    """
    words: list[str] = []
    last = None
    for row in rows.itertuples():
        if row.winner != last:
            name = {"edm": "EDM", "song": "Song", "tie": "a tie"}[str(row.winner)]
            words.append(f"{name} from {row.iteration:g}")
            last = row.winner
    end = rows.iloc[-1]
    ratio = f"{end['value']:.3g} [{end['low']:.3g}, {end['high']:.3g}]"
    return f"{', '.join(words)} (Song/EDM at the end {ratio})"


def _coefficients_told(rows: pd.DataFrame) -> str:
    """The coefficient of the loss, Song's over EDM's."""
    values = rows.set_index(["reading", "quantity", "design"])["value"]
    told = [
        f"{reading} {form} {values[reading, form, 'song'] / values[reading, form, 'edm']:.3g}"
        for reading in ("density", "pointwise")
        for form in ("printed", "corrected")
    ]
    return "coefficient of the loss, Song/EDM: " + ", ".join(told)


def finding(table: pd.DataFrame) -> str:
    """When the score term stops to dominate, who wins when, and how loose the chain is."""
    words = []
    for (data, steps), rows in table.groupby(["data", "steps"], sort=False):
        where = f"{'N(0, s²)' if data == 'gaussian' else 'networks on two modes'}, N = {steps}"
        turns = rows[rows["part"] == "turn"]
        told = [
            f"{DESIGNS[t.design]} {t.value:.3g} [{t.low:.3g}, {t.high:.3g}]"
            for t in turns.itertuples()
        ]
        words.append(f"{where}: E_S falls below E_I + E_D at step {', '.join(told)}")
        pairs = rows[rows["part"] == "pair"]
        for name, title in CRITERIA.items():
            words.append(f"{title}: {who_wins(pairs[pairs['quantity'] == name])}")
        slacks = rows[rows["part"] == "slack"]
        for name, own in slacks.groupby("quantity", sort=False):
            words.append(f"{name} between {own['low'].min():.3g} and {own['high'].max():.3g}")
        words.append(_coefficients_told(rows[rows["part"] == "coefficient"]))
    return "; ".join(words) + "."


_HALF_DECADES = [round(10 ** (k / 2)) for k in range(13)]

EXPERIMENT = Experiment(
    name="full_error",
    title="Theorem 3 and the errors it bounds, along training",
    file=Path(__file__),
    presets={
        "quick": {
            "seed": 0,
            "gaussian": {
                "steps": [20, 100],
                "sigma_data": 0.5,
                "points": 200,
                "seeds": 96,
                "iterations": [0, *_HALF_DECADES],
            },
            "network": {
                "steps": [10],
                "points": 100,
                "seeds": 8,
                "width": 64,
                "sigma_data": 1.0,
                "iterations": [1, 3, 10, 30, 100, 300, 1000, 3000],
                "marginal_at": [10, 3000],
                "marginal_seeds": 4,
            },
        },
        "full": {
            "seed": 0,
            "gaussian": {
                "steps": [10, 20, 50, 100, 200, 500],
                "sigma_data": 0.5,
                "points": 200,
                "seeds": 256,
                "iterations": [0, *_HALF_DECADES, 10**7, 10**8],
            },
            "network": {
                "steps": [12, 20, 50],
                "points": 1000,
                "seeds": 24,
                "width": 256,
                "sigma_data": 1.0,
                "iterations": [*_HALF_DECADES[:10], 100000],
                "marginal_at": [10, 100, 1000, 100000],
                "marginal_seeds": 16,
            },
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    workers=2,
)

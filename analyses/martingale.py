"""The score along the exact reverse process, from draws: a martingale, whose growth is E_D.

Paths of the exact reverse process are drawn step by step, from the posterior of the data and a
Brownian bridge. Along them L_v = grad log p_v has increments of mean 0 given the present, which
are therefore orthogonal, and E|L_v|^2 = I(v); each is held against quadrature.

Source: the exact path identity (docs/theory/exact_errors.md); Lemma 12 of arXiv 2406.12839 is the
mean square of one increment.
"""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from design_space.arrays import Array, Float, Key, Scalar, named_key
from design_space.errors.discretization import discretization_errors
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import mean_estimate
from design_space.schedules.named import edm
from design_space.schedules.schedule import Schedule
from design_space.targets.base import AbstractTarget
from design_space.targets.integrals import mixture_integrals
from design_space.targets.mixture import GaussianMixture

BINS = 24
"""Cells of equal probability in which the martingale property is looked at."""


def target_of(data: Settings) -> GaussianMixture:
    """The data law of a piece, a mixture on the line."""
    return GaussianMixture.isotropic(data["weights"], [[m] for m in data["means"]], data["stds"])


def reverse_step(
    target: AbstractTarget,
    key: Key,
    points: Float[Array, "count dim"],
    before: Scalar,
    after: Float[Array, " #count"],
) -> Float[Array, "count dim"]:
    """Draws of X_after given X_before, for noise variances before > after: exact, however far.

    X_0 given x is a mixture of the components' posteriors; between X_0 and x the noised point is a
    Brownian bridge, X_u = X_0 + (u/v)(x - X_0) + sqrt(u (v - u)/v) xi. For components with diagonal
    covariances.

    Args:
      target: the data law.
      key: random key.
      points: X_before, shape [count, dim].
      before: noise variance v of the points.
      after: noise variance u of the draws, shape [count], or [1] if it is the same for all.
    """
    parts = target.components()
    found = jax.vmap(lambda x: target.posterior(x, before))(points)
    pick = jax.random.categorical(named_key(key, "component"), jnp.log(found.weights))
    spread = jnp.sqrt(parts.variances[pick] * before / (parts.variances[pick] + before))
    noise = jax.random.normal(named_key(key, "noise"), (2, *points.shape), dtype=jnp.float64)
    means = jnp.take_along_axis(found.means, pick[:, None, None], axis=1)[:, 0]
    data = means + spread * noise[0]
    share = (after / before)[:, None]
    bridge = jnp.sqrt(share * (1 - share) * before)
    return data + share * (points - data) + bridge * noise[1]


def _scores(target: AbstractTarget, points: Array, variances: Array) -> Array:
    """Exact scores at points [count, dim], each with its own noise variance."""
    each = jnp.broadcast_to(variances, points.shape[:1])
    return jax.vmap(target.score)(points, each)


@eqx.filter_jit
def reverse_paths(
    target: AbstractTarget, key: Key, variances: Float[Array, " levels"], count: int
) -> tuple[Float[Array, "levels count dim"], Float[Array, "levels count dim"]]:
    """Draws of the exact reverse process at falling noise variances, and their exact scores."""
    start = target.sample(named_key(key, "start"), count, variances[0])

    def step(x: Array, given: tuple[Key, Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        drawn, before, after = given
        moved = reverse_step(target, drawn, x, before, after[None])
        return moved, (moved, _scores(target, moved, after))

    keys = jax.random.split(named_key(key, "steps"), len(variances) - 1)
    _, (points, scores) = jax.lax.scan(step, start, (keys, variances[:-1], variances[1:]))
    first = _scores(target, start, variances[0])
    return jnp.concatenate([start[None], points]), jnp.concatenate([first[None], scores])


@eqx.filter_jit
def sampled_discretization(
    target: AbstractTarget,
    key: Key,
    before: Float[Array, " steps"],
    after: Float[Array, " steps"],
    count: int,
) -> Estimate:
    """E_D of each step from draws alone: (1/2) h E|L_v - L_before|^2, v uniform in the step."""

    def step(given: tuple[Key, Array, Array]) -> tuple[Array, Array]:
        drawn, high, low = given
        x = target.sample(named_key(drawn, "start"), count, high)
        share = jax.random.uniform(named_key(drawn, "level"), (count,), dtype=jnp.float64)
        v = low + share * (high - low)
        moved = reverse_step(target, named_key(drawn, "step"), x, high, v)
        change = _scores(target, moved, v) - _scores(target, x, high)
        found = mean_estimate(0.5 * (high - low) * jnp.sum(change**2, axis=1))
        return found.value, found.error

    keys = jax.random.split(key, len(before))
    return Estimate(*jax.lax.map(step, (keys, before, after)), "monte carlo")


def correlations(
    increments: Float[np.ndarray, "parts count"], sizes: Float[np.ndarray, " parts"]
) -> pd.DataFrame:
    """E[a_j a_k]/(sizes_j sizes_k) for all pairs j < k, with its interval.

    Args:
      increments: draws of the a_j, shape [parts, count].
      sizes: the roots of the exact E[a_j^2], shape [parts].
    """
    first, second = np.triu_indices(len(increments), 1)
    scaled = increments / sizes[:, None]
    found = mean_estimate(jnp.asarray((scaled[first] * scaled[second]).T))
    columns = {"first": first, "second": second, "value": np.asarray(found.value)}
    return pd.DataFrame(columns | {"half_width": np.asarray(found.error), "part": "correlation"})


def conditional_means(
    points: Float[np.ndarray, " count"],
    present: Float[np.ndarray, " count"],
    other: Float[np.ndarray, " count"],
) -> pd.DataFrame:
    """Mean of another score in cells of the present point, beside the present score's own mean."""
    cells = np.array_split(np.argsort(points, kind="stable"), BINS)
    rows = []
    for cell in cells:
        change = mean_estimate(jnp.asarray(other[cell] - present[cell]))
        means = {"x": points[cell].mean(), "present": present[cell].mean()}
        means |= {"other": other[cell].mean(), "change": float(change.value)}
        rows.append(means | {"half_width": float(change.error), "part": "conditional"})
    return pd.DataFrame(rows)


def _paths(target: AbstractTarget, piece: Settings, key: Key) -> pd.DataFrame:
    """A few paths of the score on a fine grid, for the eye."""
    sigmas = np.geomspace(piece["sigma_max"], piece["sigma_min"], piece["levels"])
    points, scores = reverse_paths(target, key, jnp.asarray(sigmas**2), piece["drawn"])
    count = piece["drawn"]
    columns = {
        "path": np.tile(np.arange(count), len(sigmas)),
        "sigma": np.repeat(sigmas, count),
        "score": np.asarray(scores[:, :, 0]).ravel(),
        "end": np.tile(np.asarray(points[-1, :, 0]), len(sigmas)),
    }
    return pd.DataFrame(columns).assign(part="path")


def _information(
    target: AbstractTarget, sigmas: np.ndarray, scores: Float[Array, "levels count dim"]
) -> pd.DataFrame:
    """E|L_v|^2 from draws and I(v) by quadrature."""
    found = mean_estimate(jnp.sum(scores**2, axis=-1).T)
    exact = mixture_integrals(target, jnp.asarray(sigmas**2), None, 2).fisher_information
    columns = {"sigma": sigmas, "value": np.asarray(found.value)}
    columns |= {"half_width": np.asarray(found.error), "exact": np.asarray(exact.value)}
    return pd.DataFrame(columns).assign(part="information")


def _steps(target: AbstractTarget, grid: Schedule, particles: int, key: Key) -> pd.DataFrame:
    """What each step adds to E_D, from draws and by quadrature."""
    v, h, sigmas = (
        grid.backward_variances,
        grid.backward_variance_steps,
        np.asarray(grid.backward_sigmas),
    )
    drawn = sampled_discretization(target, key, v[:-1], v[1:], particles)
    exact = discretization_errors(target, v, h, key, particles)  # quadrature: draws nothing
    columns = {
        "step": np.arange(grid.steps),
        "sigma": sigmas[:-1],
        "sigma_after": sigmas[1:],
        "value": np.asarray(drawn.value),
        "half_width": np.asarray(drawn.error),
        "exact": np.asarray(exact.value),
    }
    return pd.DataFrame(columns).assign(part="step")


def _both_ways(target: AbstractTarget, piece: Settings, key: Key) -> pd.DataFrame:
    """Conditional means of the score between two levels, down in noise and back up."""
    high, low = (np.square(level) for level in piece["pair"])
    points, scores = reverse_paths(target, key, jnp.asarray([high, low]), piece["particles"])
    x, score = (np.asarray(a[:, :, 0]) for a in (points, scores))
    tables = []
    for direction, now, then in (("reverse", 0, 1), ("forward", 1, 0)):
        rows = conditional_means(x[now], score[now], score[then])
        tables.append(rows.assign(direction=direction))
    return pd.concat(tables, ignore_index=True)


def compute(piece: Settings) -> pd.DataFrame:
    """One data law; part is "path", "information", "correlation", "conditional" or "step"."""
    target, key = target_of(piece["data"]), jax.random.key(piece["seed"])
    grid = edm(piece["steps"], sigma_min=piece["sigma_min"], sigma_max=piece["sigma_max"])
    v, sigmas = grid.backward_variances, np.asarray(grid.backward_sigmas)
    _, scores = reverse_paths(target, named_key(key, "statistics"), v, piece["particles"])
    line = np.asarray(scores[:, :, 0])
    increments = np.concatenate([line[:1], np.diff(line, axis=0)])
    information = _information(target, sigmas, scores)
    sizes = np.sqrt(np.diff(information["exact"], prepend=0.0))
    tables = [
        _paths(target, piece, named_key(key, "paths")),
        information,
        correlations(increments, sizes),
        _both_ways(target, piece, named_key(key, "pair")),
        _steps(target, grid, piece["particles"], named_key(key, "discretization")),
    ]
    table = pd.concat(tables, ignore_index=True)
    high, low = piece["pair"]
    return table.assign(target=piece["data"]["name"], pair_high=high, pair_low=low)


def pieces(settings: Settings) -> list[dict[str, Any]]:
    """One piece per data law."""
    common = {name: value for name, value in settings.items() if name != "data"}
    return [{"data": data} | common for data in settings["data"]]


def _outside(rows: pd.DataFrame, exact: Any) -> str:
    """How many intervals leave out what is exact, of how many."""
    return f"{int((np.abs(rows['value'] - exact) > rows['half_width']).sum())} of {len(rows)}"


def _of(table: pd.DataFrame, part: str) -> pd.DataFrame:
    return table[table["part"] == part]


def _sentence(target: str, table: pd.DataFrame) -> str:
    """The finding on one data law."""
    information, pairs, steps = (_of(table, x) for x in ("information", "correlation", "step"))
    means = _of(table, "conditional")
    shares = []
    for direction in ("reverse", "forward"):
        rows = means[means["direction"] == direction]
        lost = (np.abs(rows["change"]) > rows["half_width"]).sum()
        shares.append(f"{int(lost)} of {len(rows)}")
    total, exact = steps["value"].sum(), steps["exact"].sum()
    width = float(np.sqrt((steps["half_width"] ** 2).sum()))
    missed, largest = _outside(information, information["exact"]), pairs["value"].abs().max()
    return (
        f"{target}: the 99 % interval leaves out I(v) at {missed} noise levels and 0 in "
        f"{_outside(pairs, 0.0)} pairs of increments, whose largest correlation is {largest:.4f}. "
        f"The mean change of the score given the present point leaves out 0 in {shares[0]} cells "
        f"down in noise, and in {shares[1]} cells back up. E_D from increments alone is "
        f"{total:.4f} ± {width:.4f}, by quadrature {exact:.4f}"
    )


def finding(table: pd.DataFrame) -> str:
    """What the draws say of the three properties, law by law."""
    words = [_sentence(str(name), rows) for name, rows in table.groupby("target", sort=False)]
    return f"{'. '.join(words)}. One interval in a hundred misses by chance."


_MODES = {"name": "two modes", "weights": [0.5, 0.5], "means": [-1.0, 1.0], "stds": [0.3, 0.3]}
_UNEVEN = {"name": "uneven modes", "weights": [0.2, 0.8], "means": [-1.0, 0.7], "stds": [0.1, 0.4]}
_COMMON = {"steps": 12, "sigma_min": 0.05, "sigma_max": 10.0, "pair": [1.0, 0.4], "seed": 0}
_COMMON |= {"levels": 161, "drawn": 24}

EXPERIMENT = Experiment(
    name="martingale",
    title="The score along the reverse process is a martingale",
    file=Path(__file__),
    presets={
        "quick": {"data": [_MODES], "particles": 2**17} | _COMMON,
        "full": {"data": [_MODES, _UNEVEN], "particles": 2**20} | _COMMON,
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
)

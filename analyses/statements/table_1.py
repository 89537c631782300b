"""Table 1: the designs of EDM and Song."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from analyses.statement import Claim, Observations, Statement, Study, worst_entry
from design_space.arrays import Array
from design_space.bounds import table_1
from design_space.schedules.named import edm, schedule, song
from design_space.schedules.schedule import Schedule
from design_space.weightings.conversions import from_w_corrected

STEPS = (1, 20, 400)
_COUNT = 170  # random ranges and exponents for each number of steps; the first is the standard one

Row = dict[str, Array]
Sides = tuple[Array, Array]


def _rows(steps: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng([1, steps])
    low, high = 10 ** (-3 + 2 * random.random(_COUNT)), 10 ** (0.3 + 2 * random.random(_COUNT))
    rows = {"low": low, "high": high, "rho": 1 + 19 * random.random(_COUNT)}
    for key, standard in (("low", 0.002), ("high", 80.0), ("rho", 7.0)):
        rows[key][0] = standard
    return rows


def _grids(steps: int, row: Row) -> dict[str, Schedule]:
    ends = {"steps": steps, "sigma_min": row["low"], "sigma_max": row["high"]}
    return {
        "edm": edm(**ends, rho=row["rho"]),
        "song": song(**ends),
        "linear, exponential": schedule("linear", "exponential", **ends),
        "sqrt, polynomial": schedule("sqrt", "polynomial", **ends, rho=row["rho"]),
        "edm, half rho": edm(**ends, rho=row["rho"] / 2),
    }


def _worst(*pairs: Sides) -> Sides:
    """The entry that is farthest off of several equalities of arrays."""
    left, right = (jnp.concatenate(column) for column in zip(*pairs, strict=True))
    return worst_entry(left, right)[:2]


def _printed(steps: int, row: Row, grids: dict[str, Schedule]) -> Sides:
    """Times and noise levels by the formulas, in which sigma_bar_t is t and sqrt t."""
    ours, theirs = grids["edm"], grids["song"]
    first = table_1.edm_times(steps, row["low"], row["high"], row["rho"])
    second = table_1.song_times(steps, row["low"], row["high"])
    return _worst(
        (ours.forward_times, first),
        (ours.forward_sigmas, first),
        (theirs.forward_times, second),
        (theirs.forward_sigmas, jnp.sqrt(second)),
    )


def _ends(steps: int, row: Row, grids: dict[str, Schedule]) -> Sides:
    wanted = jnp.stack([row["low"], row["high"]])
    return _worst(*((grid.forward_sigmas[jnp.array([0, -1])], wanted) for grid in grids.values()))


def _collapse(of: Callable[[Schedule], Array]):
    """What two pairs of designs with equal noise levels have in common."""

    def sides(steps: int, row: Row, grids: dict[str, Schedule]) -> Sides:
        return _worst(
            (of(grids["linear, exponential"]), of(grids["song"])),
            (of(grids["sqrt, polynomial"]), of(grids["edm, half rho"])),
        )

    return sides


def _total(grid: Schedule) -> Array:
    """The total weighting that w = 1 gives a design."""
    return from_w_corrected(jnp.ones_like).total(grid)


_SIDES = {
    "printed": _printed,
    "ends": _ends,
    "collapse": _collapse(lambda grid: grid.forward_sigmas),
    "weightings": _collapse(_total),
}


@functools.cache
def _observed(steps: int) -> tuple[dict[str, np.ndarray], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Random rows and both sides of every claim on them."""
    rows = _rows(steps)

    def one(row: Row) -> dict[str, Sides]:
        grids = _grids(steps, row)
        return {name: sides(steps, row, grids) for name, sides in _SIDES.items()}

    found = jax.jit(jax.vmap(one))({key: jnp.asarray(value) for key, value in rows.items()})
    return rows, {name: (np.asarray(a), np.asarray(b)) for name, (a, b) in found.items()}


def _claim(name: str, says: str, **options) -> Claim:
    def run() -> Observations:
        parts = [_observed(steps)[1][name] for steps in STEPS]
        left, right = (np.concatenate(column) for column in zip(*parts, strict=True))
        labels = tuple(
            f"N {steps}, σ from {low:.3g} to {high:.3g}, ρ {rho:.3g}"
            for steps in STEPS
            for low, high, rho in zip(*_observed(steps)[0].values(), strict=True)
        )
        return Observations(left, right, np.zeros(len(left)), labels, len(left))

    return Claim(name, says, Study(run), "=", **options)


TABLE_1 = Statement(
    id="table-1",
    title="EDM's and Song's designs",
    source="Table 1 of arXiv 2406.12839",
    says="EDM takes σ̄_t = t and polynomial times, Song σ̄_t = √t and exponential times, both from "
    "σ_min to σ_max.",
    latex=r"t_j = \Big(\sigma_{\max}^{1/\rho} - (\sigma_{\max}^{1/\rho} - \sigma_{\min}^{1/\rho}) "
    r"\tfrac{N-j}N\Big)^\rho, \quad t_j = \sigma_{\max}^2 "
    r"\Big(\frac{\sigma_{\min}^2}{\sigma_{\max}^2}\Big)^{(N-j)/N}",
    printed=_claim("printed", "times and noise levels are those of edm() and song()"),
    derivation="A sampler sees noise levels only. Exponential times with σ̄_t = t have Song's, "
    "and polynomial times with σ̄_t = √t have EDM's with ρ/2; only bounds and weightings, "
    "which know the times, tell such pairs apart.",
    supporting=(
        _claim("ends", "the noise levels run from σ_min to σ_max", to=0.0),
        _claim("collapse", "mixed choices have the levels of Song, and of EDM with ρ/2"),
    ),
    broken=(_claim("weightings", "such pairs have the same total weighting for w = 1"),),
    expected="holds",
)

STATEMENTS = (TABLE_1,)

"""Rules for the choice of a schedule, against what is exact: the exponential times of appendix I.1,
Remark 3's exponent, appendix H.3's factor, the best grid for E_D, and the tangent law.

Source: appendices H.3 and I.1 and Remark 3 of arXiv 2406.12839; arXiv 2601.13602 for the tangent
law; the path identity for the rest.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from design_space.arrays import Array
from design_space.bounds import optimality, schedule_choice, weighting
from design_space.bounds.sampling import theorem_2_corrected
from design_space.errors.gaussian import commuting_errors, discretization_total
from design_space.numerics.defects import expm1_defect
from design_space.numerics.divergences import gaussian_kl_terms
from design_space.sampling.gaussian_law import probability_flow_law
from design_space.schedules.named import edm, song
from design_space.schedules.time import Polynomial
from design_space.weightings.named import edm_weighting

LOW, HIGH = 0.002, 80.0
"""The standard range of noise levels."""

CRITERIA = ("reduced objective", "leading term", "full bound", "discretization", "marginal_kl")


def _summand(piece: Settings) -> pd.DataFrame:
    """What a step that lowers ln t by x costs: in appendix I.1, and exactly on a point mass."""
    x = jnp.linspace(0, piece["high"], piece["points"])
    columns = {"x": x, "surrogate": jnp.expm1(-x) ** 2, "exact": 0.5 * expm1_defect(-2 * x)}
    return pd.DataFrame({name: np.asarray(y) for name, y in columns.items()})


def _gain(piece: Settings) -> pd.DataFrame:
    """The exponential schedule's sum over the least one, against ln(T/delta)/N."""
    x = jnp.geomspace(piece["low"], piece["high"], piece["points"])

    def at(length: Array, steps: Array) -> Array:
        ratio = jnp.exp(length * steps)
        even = schedule_choice.exponential_surrogate(ratio, steps)
        return even / schedule_choice.least_surrogate(ratio, steps)

    run = jax.jit(jax.vmap(jax.vmap(at, (0, None)), (None, 0)))
    counts = [n for n in piece["steps"] if n * piece["high"] < 700]  # above that exp overflows
    gains = np.asarray(run(x, jnp.asarray(counts, dtype=float)))
    tables = [
        pd.DataFrame({"x": np.asarray(x), "gain": gain, "steps": n})
        for n, gain in zip(counts, gains, strict=True)
    ]
    return pd.concat([*tables, _standard_gains(piece)], ignore_index=True)


def _standard_gains(piece: Settings) -> pd.DataFrame:
    """The same over the standard range, against N, for sigma_bar = t and sqrt t."""
    steps = jnp.arange(1.0, piece["most"] + 1)
    tables = []
    for power, name in ((1, "t"), (2, "sqrt t")):
        ratio = (HIGH / LOW) ** power
        even = jax.vmap(lambda n, r=ratio: schedule_choice.exponential_surrogate(r, n))(steps)
        least = jax.vmap(lambda n, r=ratio: schedule_choice.least_surrogate(r, n))(steps)
        table = pd.DataFrame({"steps": np.asarray(steps), "gain": np.asarray(even / least)})
        tables.append(table.assign(variance=name))
    return pd.concat(tables, ignore_index=True)


def _exponent(piece: Settings) -> pd.DataFrame:
    """Five criteria for EDM's rho on N(0, s^2), and where each is least in the range."""
    rho = jnp.geomspace(piece["low"], piece["high"], piece["points"])
    steps, spread, ratio = piece["steps"], piece["std"] ** 2, HIGH / LOW

    def at(rho: Array) -> list[Array]:
        grid = edm(steps, LOW, HIGH, rho)
        levels = (grid.backward_variances, grid.backward_variance_steps)
        found = commuting_errors(jnp.zeros(1), jnp.full(1, spread), *levels)
        return [
            schedule_choice.reduced_objective(ratio, rho),
            schedule_choice.leading_discretization(1.0, ratio, rho, steps),
            theorem_2_corrected(1, spread, grid, jnp.zeros(steps)).total,
            found.discretization,
            found.marginal_kl,
        ]

    found = [np.asarray(x) for x in jax.jit(jax.vmap(at))(rho)]
    columns = dict(zip(CRITERIA, found, strict=True))
    return pd.DataFrame({"x": np.asarray(rho), "steps": steps} | columns)


@eqx.filter_jit
def _factors(steps: int) -> dict[str, list[Array]]:
    """sigma_t^2/w at the levels of EDM's and of Song's schedule, by convention."""
    grids, bell = (edm(steps), song(steps)), edm_weighting()
    return {
        name: [weighting.score_error_factors(g, w_of(bell, g)) for g in grids]
        for name, w_of in weighting.CONVENTIONS.items()
    }


def _factor(piece: Settings) -> pd.DataFrame:
    """EDM's largest sigma_t^2/w over Song's against N, under each convention for w."""
    rows = []
    for steps in piece["steps"]:
        factors = _factors(steps)
        for name in weighting.CONVENTIONS:
            of_edm, of_song = (np.asarray(x) for x in factors[name])
            row = {"x": steps, "convention": name, "ratio": of_edm.max() / of_song.max()}
            row |= {"level_edm": int(of_edm.argmax()) + 1, "level_song": int(of_song.argmax()) + 1}
            rows.append(row)
    crossover = weighting.h3_crossover(LOW, HIGH, 7.0)
    rows.append({"x": crossover, "convention": "crossover", "ratio": 1.0})
    return pd.DataFrame(rows)


def _constants(std: float) -> dict[str, float]:
    """Limits of N E_D: (1/4) int |I'(v)| (dv/du)^2 du, u the share of the steps; the best one
    (1/4) (int sqrt|I'| dv)^2, where |I'| (dv/du)^2 is constant.
    """
    spread, share = std**2, np.linspace(0, 1, 20_001)
    length = np.log((spread + HIGH**2) / (spread + LOW**2))  # int sqrt|I'| dv, I = 1/(s^2 + v)

    def limit(sigmas: np.ndarray, slopes: np.ndarray) -> float:
        integrand = (2 * sigmas * slopes / (spread + sigmas**2)) ** 2
        return float(0.25 * np.trapezoid(integrand, share))

    roots = LOW ** (1 / 7) + (HIGH ** (1 / 7) - LOW ** (1 / 7)) * share
    geometric = LOW * (HIGH / LOW) ** share
    return {
        "edm": limit(roots**7, 7 * roots**6 * (HIGH ** (1 / 7) - LOW ** (1 / 7))),
        "song": limit(geometric, geometric * np.log(HIGH / LOW)),
        "path-optimal": float(optimality.discretization_constant(length)),
    }


def _levels(design: str, steps: Array, most: int, spread: float) -> Array:
    """Noise levels of a design with `steps` steps, descending, the last repeated up to `most`."""
    share = jnp.minimum(jnp.arange(most + 1) / steps, 1.0)  # of the way down
    low, high = jnp.asarray(LOW), jnp.asarray(HIGH)
    if design == "edm":
        return Polynomial(7.0).interpolate(1 - share, low, high)
    if design == "song":
        return low * jnp.exp((1 - share) * jnp.log(high / low))
    if design == "path-optimal":
        span = jnp.log((spread + high**2) / (spread + low**2))
        return jnp.sqrt(low**2 + (spread + low**2) * jnp.expm1((1 - share) * span))
    c = spread**0.5
    first, last = jnp.arctan(high / c), jnp.arctan(low / c)
    return c * jnp.tan(last + (1 - share) * (first - last))


def _against_steps(piece: Settings) -> pd.DataFrame:
    """N E_D of the sampler, and the marginal KL of Euler's probability flow, against N."""
    steps = jnp.asarray(piece["steps"], dtype=float)
    spread, most = piece["std"] ** 2, max(piece["steps"])
    values, limits, tables = jnp.full(1, spread), _constants(piece["std"]), []
    for design in ("edm", "song", "path-optimal", "tangent"):

        def at(n: Array, design: str = design) -> tuple[Array, Array]:
            sigmas = _levels(design, n, most, spread)
            h = (sigmas[:-1] - sigmas[1:]) * (sigmas[:-1] + sigmas[1:])
            law = probability_flow_law(jnp.zeros(1), values, sigmas)
            kl = gaussian_kl_terms(values + sigmas[-1] ** 2, law.excess, law.shift)
            return n * discretization_total(values, sigmas**2, h), kl[0]

        scaled, flow = jax.jit(jax.vmap(at))(steps)
        columns = {"x": np.asarray(steps), "scaled": np.asarray(scaled), "flow": np.asarray(flow)}
        table = pd.DataFrame(columns).assign(design=design, limit=limits.get(design, np.nan))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


_COMPUTE = {
    "summand": _summand,
    "gain": _gain,
    "exponent": _exponent,
    "factor": _factor,
    "steps": _against_steps,
}


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one piece; part is its name, x what is on its axis."""
    return _COMPUTE[piece["part"]](piece).assign(part=piece["part"])


def pieces(settings: Settings) -> Sequence[dict[str, Any]]:
    """One piece per rule."""
    return [{"part": name} | dict(settings[name]) for name in _COMPUTE]


def _least(rows: pd.DataFrame, column: str) -> str:
    """Where a column is least, or that it falls to the end of the range."""
    i = int(rows[column].to_numpy().argmin())
    at = rows["x"].to_numpy()[i]
    return f"falls up to {at:.3g}" if i == len(rows) - 1 else f"least at {at:.3g}"


def finding(table: pd.DataFrame) -> str:
    """What becomes of each rule."""
    of = {str(name): rows for name, rows in table.groupby("part", sort=False)}
    standard = of["gain"][of["gain"]["variance"].notna()]
    better = standard[standard["gain"] > 1 + 1e-12].groupby("variance", sort=False)
    from_on = ", ".join(f"{rows['steps'].max() + 1:.0f} (σ̄ = {name})" for name, rows in better)
    ten = standard[standard["steps"] == 10].set_index("variance")["gain"]
    exponent = of["exponent"]
    optima = ", ".join(f"{name} {_least(exponent, name)}" for name in CRITERIA)
    factor, steps = of["factor"].set_index("convention"), of["steps"]
    crossover = factor.loc["crossover", "x"]
    factor = factor.drop(index="crossover")
    ratios = "; ".join(
        f"{name}: {rows['ratio'].iloc[0]:.4g} to {rows['ratio'].iloc[-1]:.4g}"
        for name, rows in factor.groupby(level=0, sort=False)
    )
    last = steps.sort_values("x").groupby("design", sort=False).last()
    scaled = ", ".join(
        f"{name} {last.loc[name, 'scaled']:.4g} (limit {last.loc[name, 'limit']:.4g})"
        for name in ("path-optimal", "edm", "song")
    )
    tangent = last.loc["tangent", "flow"]
    flows = " and ".join(f"{last.loc[n, 'flow'] / tangent:.3g} ({n})" for n in ("edm", "song"))
    return (
        f"The exponential schedule has the least sum of appendix I.1 over the standard range only "
        f"from N = {from_on} on; at N = 10 its sum is {ten['t']:.3g} and {ten['sqrt t']:.3g} times "
        f"the least one. Of rho at N = {int(exponent['steps'].iloc[0])}: {optima}. EDM's "
        f"largest σ²/w over Song's from N = {int(factor['x'].min())} to {int(factor['x'].max())}: "
        f"{ratios}; the printed values cross at N = {crossover:.4g}. "
        f"N E_D at N = {last['x'].iloc[0]:.0f}: {scaled}. Euler's probability flow has a marginal "
        f"KL of {tangent:.4g} there on the tangent grid, {flows} times that on the others."
    )


_STEPS = {"quick": [2, 3, 5, 7, 10, 14, 20, 30, 50, 70, 100, 200, 500]}
_STEPS["full"] = sorted({round(n) for n in np.geomspace(2, 2000, 26).tolist()})

EXPERIMENT = Experiment(
    name="design_rules",
    title="Rules for the choice of a schedule",
    file=Path(__file__),
    presets={
        name: {
            "summand": {"high": 3.0, "points": 121},
            "gain": {"low": 0.2, "high": 20.0, "points": points, "steps": [2, 4, 10, 30]}
            | {"most": 500},
            "exponent": {"std": 0.5, "steps": 100, "low": 1.0, "high": 60.0, "points": points},
            "factor": {"steps": few},
            "steps": {"std": 0.5, "steps": steps},
        }
        for name, steps, few, points in (
            ("quick", _STEPS["quick"], [2, 5, 10, 20, 50, 500], 121),
            ("full", _STEPS["full"], _STEPS["quick"], 801),
        )
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
)

"""The whole story in one table: laws, the error budget with its bounds, and who wins.

Three parts: the density of a law with two modes beside those of the sampler with few and with many
steps; the exact error budget against the number of steps, with the marginal KL and the bounds; and
the errors of EDM's and Song's schedules on N(0, s^2) over the data scale and the number of steps.

Source: the path identity (docs/theory/exact_errors.md); Theorem 2, section 4 of arXiv 2406.12839.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from design_space.errors.gaussian import commuting_errors
from design_space.evaluate import evaluate
from design_space.sampling.density_law import density_law
from design_space.sampling.steppers import Frozen
from design_space.schedules.named import edm, song
from design_space.scores.exact import exact_score
from design_space.scores.perturbed import scaled_score
from design_space.targets.mixture import GaussianMixture

SCHEDULES = {"edm": edm, "song": song}
CRITERIA = ("discretization", "marginal_kl")
BOUNDS = ("theorem-2", "theorem-2-corrected", "discretization-scale-aware")
QUANTITIES = ("initialization", "discretization", "score", "path_kl", "marginal_kl")


def target_of(data: Settings) -> GaussianMixture:
    """The data law: 1/2 N(-separation, width^2) + 1/2 N(separation, width^2)."""
    apart, width = data["separation"], data["width"]
    return GaussianMixture.isotropic([0.5, 0.5], [[-apart], [apart]], width)


def densities(piece: Settings) -> pd.DataFrame:
    """The density of the data (law "data") and of the sampler with the exact score (law "N = 5").

    Args:
      piece: `data`, `steps` (several), `reach` (half-width of the drawn interval), `points`.
    """
    target = target_of(piece["data"])
    x = np.linspace(-piece["reach"], piece["reach"], piece["points"])
    variance = float(edm(1).backward_variances[-1])
    log_p = jax.vmap(lambda y: target.log_density(y[None], variance))(jnp.asarray(x))
    found = {0: np.exp(np.asarray(log_p))}
    for steps in piece["steps"]:
        law = density_law(exact_score(target), Frozen().moves(edm(steps)))
        found[steps] = np.exp(np.interp(x, law.grid.points(), law.log_values))
    return pd.concat(
        [
            pd.DataFrame({"part": "density", "steps": steps, "x": x, "density": density})
            for steps, density in found.items()
        ],
        ignore_index=True,
    )


def budget(piece: Settings) -> pd.DataFrame:
    """The budget of EDM's schedule at one number of steps, with a scaled score, and the bounds.

    Args:
      piece: `data`, `steps` (one), `factor` of the score.
    """
    target = target_of(piece["data"])
    score = scaled_score(exact_score(target), piece["factor"])
    found = evaluate(target, edm(piece["steps"]), score)
    row: dict[str, object] = {"part": "budget", "steps": piece["steps"], "factor": piece["factor"]}
    for name in QUANTITIES:
        estimate = getattr(found, name)
        row |= {name: float(estimate.value), f"{name}_error": float(estimate.error)}
    return pd.DataFrame([row | {name: float(found.bounds[name]) for name in BOUNDS}])


def _padded(name: str, steps: int, most: int) -> np.ndarray:
    """Noise variances of a schedule, then steps of a billionth, which change nothing that is seen.

    So that all numbers of steps go through one program.
    """
    variances = np.asarray(SCHEDULES[name](steps).backward_variances)
    return np.concatenate([variances, variances[-1] * (1 - 1e-9 * np.arange(1, most - steps + 1))])


@eqx.filter_jit
def _errors(stds: jax.Array, variances: jax.Array) -> tuple[jax.Array, jax.Array]:
    """E_D and marginal KL of N(0, s^2) with the exact score, [schedules, scales]."""

    def one(v: jax.Array, s: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = commuting_errors(jnp.zeros(1), s[None] ** 2, v, v[:-1] - v[1:])
        return found.discretization, found.marginal_kl

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(variances, stds)


def contest(piece: Settings) -> pd.DataFrame:
    """E_D and marginal KL of both schedules, over data scales and numbers of steps.

    Args:
      piece: `low`, `high` (data scales), `points`, `steps` (several).
    """
    stds = np.geomspace(piece["low"], piece["high"], piece["points"])
    most = max(piece["steps"])
    designs = [(name, steps) for steps in piece["steps"] for name in SCHEDULES]
    grids = np.stack([_padded(name, steps, most) for name, steps in designs])
    found = [np.asarray(v) for v in _errors(jnp.asarray(stds), jnp.asarray(grids))]
    return pd.concat(
        [
            pd.DataFrame({"part": "contest", "schedule": name, "steps": steps, "std": stds})
            .assign(discretization=found[0][k])
            .assign(marginal_kl=found[1][k])
            for k, (name, steps) in enumerate(designs)
        ],
        ignore_index=True,
    )


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one piece; part is "density", "budget" or "contest"."""
    return {"density": densities, "budget": budget, "contest": contest}[piece["part"]](piece)


def pieces(settings: Settings) -> list[dict]:
    """The laws, the budget at each number of steps, and the contest."""
    data = {"data": settings["data"]}
    return [
        {"part": "density"} | data | settings["density"],
        *(
            {"part": "budget", "factor": settings["factor"], "steps": n} | data
            for n in settings["steps"]
        ),
        {"part": "contest"} | settings["contest"],
    ]


def ratios(table: pd.DataFrame, criterion: str) -> pd.DataFrame:
    """Song's error over EDM's, numbers of steps by data scales; above 1 EDM wins.

    Args:
      table: of this analysis.
      criterion: one of CRITERIA.
    """
    rows = table[table["part"] == "contest"]
    both = rows.pivot(index="steps", columns=["schedule", "std"], values=criterion)
    return both["song"] / both["edm"]


def finding(table: pd.DataFrame) -> str:
    """What the three parts show, in numbers."""
    rows = table[table["part"] == "budget"].sort_values("steps")
    few, many = rows.iloc[0], rows.iloc[-1]
    words = [
        f"With N = {row['steps']:.0f}: E_I = {row['initialization']:.2g}, "
        f"E_D = {row['discretization']:.3g}, E_S = {row['score']:.3g}, "
        f"marginal KL = {row['marginal_kl']:.3g}, Theorem 2 = {row['theorem-2']:.3g} "
        f"(corrected {row['theorem-2-corrected']:.3g}, scale-aware "
        f"{row['discretization-scale-aware']:.3g})"
        for row in (few, many)
    ]
    shares = [f"{(ratios(table, name) > 1).to_numpy().mean():.0%}" for name in CRITERIA]
    return (
        ". ".join(words) + f". Of the designs on N(0, s²) EDM has the smaller E_D in {shares[0]} "
        f"and the smaller marginal KL in {shares[1]}."
    )


_COMMON = {"data": {"separation": 1.0, "width": 0.2}, "factor": 0.9}
_STEPS = [4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 25, 32, 40, 50, 63, 80, 100, 125, 160, 200]

EXPERIMENT = Experiment(
    name="overview",
    title="Overview",
    file=Path(__file__),
    presets={
        "quick": _COMMON
        | {
            "density": {"steps": [5, 15, 50], "reach": 2.4, "points": 481},
            "steps": [5, 12, 30, 80, 200],
            "contest": {"low": 2e-3, "high": 200.0, "points": 101, "steps": _STEPS},
        },
        "full": _COMMON
        | {
            "density": {"steps": [5, 15, 50], "reach": 2.4, "points": 961},
            "steps": [5, 7, 10, 14, 20, 30, 50, 70, 100, 140, 200, 300, 500],
            "contest": {"low": 2e-3, "high": 200.0, "points": 401, "steps": _STEPS},
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    workers=2,
)

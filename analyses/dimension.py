"""How errors, bound and steps grow with the dimension, for spectra that do and do not decay.

Errors of Gaussian data are sums over the eigenvalues l. To second order in h/v a step adds to the
path KL (h/v)^2/4 times sum (v/(l + v))^2 with the paper's sampler, the number of directions of
noise, and times sum (l/(l + v))^2 with ancestral sampling, the number of directions of data.

Source: Remark 2 and Theorem 2 of arXiv 2406.12839; arXiv 2405.14861 and 2501.12982.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from analyses.needed_steps import NODES, errors_in_steps, needed, path_terms, sum_over
from analyses.spectra import SPECTRA
from design_space.arrays import Array
from design_space.bounds.sampling import sampling_bounds
from design_space.errors.budget import error_budget
from design_space.errors.gaussian import commuting_errors
from design_space.numerics.divergences import gaussian_kl_terms, gaussian_w2_squared_terms
from design_space.numerics.rates import log_log_slope
from design_space.sampling.gaussian_law import affine_law
from design_space.sampling.steppers import AbstractStepper, Ancestral, Frozen
from design_space.schedules.named import edm, song
from design_space.schedules.schedule import Schedule
from design_space.targets.integrals import mixture_integrals
from design_space.targets.mixture import GaussianMixture

DESIGNS = {"edm": edm, "song": song}
SAMPLERS: Mapping[str, AbstractStepper] = {
    "paper": Frozen(),
    "ancestral": Ancestral(1.0),
    "ddim": Ancestral(0.0),
}
BOUNDS = ("theorem-2", "theorem-2-corrected", "discretization-scale-aware")
GOALS = {"path_kl": 1.0, "marginal_kl": 0.01}
"""What the steps that are needed are counted for, in nats."""

_FITTED = ("path_kl", "marginal_kl", "w2", *BOUNDS)
FROM = 192  # least dimension of a fit: below it low-dimensional data fill all directions


@eqx.filter_jit
def _per_eigenvalue(values: Array, schedule: Schedule) -> dict[str, Array]:
    """E_I, and for each sampler E_D, marginal KL and squared W2 of N(0, l), for every l."""
    v, h = schedule.backward_variances, schedule.backward_variance_steps
    zero, final = jnp.zeros_like(values), values + v[-1]
    first = jax.vmap(lambda at: commuting_errors(jnp.zeros(1), at[None], v, h))(values)
    row = {"initialization": first.initialization, "discretization paper": first.discretization}
    each = path_terms("ancestral", values[None, :], v[:-1, None], v[1:, None], h[:, None])
    row["discretization ancestral"] = jnp.sum(each, axis=0)
    for name, stepper in SAMPLERS.items():
        law = affine_law(zero, values, stepper.moves(schedule))
        row[f"marginal_kl {name}"] = gaussian_kl_terms(final, law.excess, law.shift)
        row[f"w2_squared {name}"] = gaussian_w2_squared_terms(final, law.excess, law.shift)
    return row


def _directions(values: np.ndarray, schedule: Schedule) -> dict[str, float]:
    """How many directions each sampler pays for, and the path KL of one such direction.

    Averages over the steps of sum (v/(l + v))^2 for the paper's sampler and of sum (l/(l + v))^2
    for ancestral sampling, weighted with what a step costs at l = 0 and at l = infinity.
    """
    v, h = np.asarray(schedule.backward_variances), np.asarray(schedule.backward_variance_steps)
    logs = np.log(v[:-1] / v[1:])
    weights = {"paper": 0.5 * (logs - h / v[:-1]), "ancestral": 0.5 * (h / v[1:] - logs)}
    unique, counts = np.unique(values, return_counts=True)
    share = unique / (unique + v[:-1, None])
    pays = {"paper": (1 - share) ** 2 @ counts, "ancestral": share**2 @ counts}
    found = {}
    for name, weight in weights.items():
        found[f"directions {name}"] = float(weight @ pays[name] / weight.sum())
        found[f"unit {name}"] = float(weight.sum())
    return found


def _bounds(dim: int, second: float, mmse: np.ndarray, schedule: Schedule) -> dict[str, float]:
    found = sampling_bounds(dim, second, schedule, np.zeros(schedule.steps), mmse)
    return {name: float(found[name].total) for name in BOUNDS}


def _row(sums: Mapping[str, float], sampler: str, bounds: Mapping[str, float]) -> dict[str, Any]:
    """One sampler's errors from sums over the directions."""
    row: dict[str, Any] = {"sampler": sampler, "initialization": sums["initialization"]}
    if sampler != "ddim":
        row["discretization"] = sums[f"discretization {sampler}"]
        row["path_kl"] = row["initialization"] + row["discretization"]
        for name in ("directions", "unit"):
            row[name] = sums.get(f"{name} {sampler}", np.nan)
    if f"marginal_kl {sampler}" in sums:
        row["marginal_kl"] = sums[f"marginal_kl {sampler}"]
        row["w2"] = sums[f"w2_squared {sampler}"] ** 0.5
    return row | dict(bounds) if sampler == "paper" else row


def _gaussian(piece: Settings) -> pd.DataFrame:
    """Every spectrum in every dimension, on one design: one call over all distinct eigenvalues."""
    schedule = DESIGNS[piece["design"]](piece["steps"])
    laws = {(name, d): SPECTRA[name](d) for name in SPECTRA for d in piece["dims"]}
    distinct = np.unique(np.concatenate(list(laws.values())))
    found = _per_eigenvalue(jnp.asarray(distinct), schedule)
    terms = {name: np.asarray(x) for name, x in found.items()}
    v = np.asarray(schedule.backward_variances[:-1])
    rows = []
    for (law, dim), values in laws.items():
        at = np.searchsorted(distinct, values)
        sums = {name: float(x[at].sum()) for name, x in terms.items()}
        mmse = np.sum(values * v[:, None] / (values + v[:, None]), axis=1)
        bounds = _bounds(dim, float(values.sum()), mmse, schedule)
        sums |= _directions(values, schedule)
        own = {"law": law, "dim": dim, "second_moment": values.sum()}
        rows += [own | _row(sums, sampler, bounds) for sampler in SAMPLERS]
    return pd.DataFrame(rows).assign(part="budget", design=piece["design"], steps=piece["steps"])


def _clustered(piece: Settings) -> pd.DataFrame:
    """Two clusters of standard deviation s in every direction: a line, and d - 1 directions."""
    schedule, std = DESIGNS[piece["design"]](piece["steps"]), piece["std"]
    means = np.asarray(piece["means"])[:, None]
    line = GaussianMixture.isotropic(np.full(len(means), 1 / len(means)), means, std)
    across = _per_eigenvalue(jnp.array([std**2]), schedule)
    levels = schedule.backward_variances[:-1]
    mmse = np.asarray(mixture_integrals(line, levels, None, 2).mmse.value)
    v, rows = np.asarray(levels), []
    for sampler in piece["samplers"]:
        along = error_budget(line, schedule, stepper=SAMPLERS[sampler])
        own = {"initialization": along.initialization.value}
        if sampler != "ddim":
            own[f"discretization {sampler}"] = along.discretization.value
        own[f"marginal_kl {sampler}"] = along.marginal_kl.value
        own[f"w2_squared {sampler}"] = along.w2.value**2
        for dim in piece["dims"]:
            sums = {n: float(x) + (dim - 1) * float(across[n][0]) for n, x in own.items()}
            second = float(line.second_moment()) + (dim - 1) * std**2
            whole = mmse + (dim - 1) * std**2 * v / (std**2 + v)
            bounds = _bounds(dim, second, whole, schedule) if sampler == "paper" else {}
            row = {"law": "clustered", "dim": dim, "second_moment": second}
            rows.append(row | _row(sums, sampler, bounds))
    return pd.DataFrame(rows).assign(part="budget", design=piece["design"], steps=piece["steps"])


def _steps(piece: Settings) -> pd.DataFrame:
    """How many steps reach `GOALS`, for every spectrum and dimension, on one design."""
    counts = np.unique(np.round(np.geomspace(2, piece["most"], piece["counts"])))
    found = [errors_in_steps(jnp.asarray(NODES), piece["design"], jnp.asarray(n)) for n in counts]
    rows = []
    for law, spectrum in SPECTRA.items():
        for dim in piece["dims"]:
            values = spectrum(dim)
            for key in found[0]:
                errors = np.array([sum_over(values, np.asarray(at[key])) for at in found])
                goal, sampler = key.split(" ")
                steps, beyond = needed(counts, errors, GOALS[goal])
                row = {"law": law, "dim": dim, "sampler": sampler, "goal": goal}
                rows.append(row | {"needed": steps, "extrapolated": beyond})
    return pd.DataFrame(rows).assign(part="steps", design=piece["design"])


def pieces(settings: Settings) -> Sequence[dict[str, Any]]:
    """Per design all spectra and the steps that they need; then the clusters."""
    common = {"dims": settings["dims"], "steps": settings["steps"]}
    gaussian = [{"part": "gaussian", "design": d} | common for d in DESIGNS]
    steps = {"part": "steps", "dims": settings["dims"]} | settings["needed"]
    counted = [steps | {"design": d} for d in DESIGNS]
    clusters = [
        {"part": "clustered", "design": d} | common | settings["clusters"]
        for d in settings["clustered"]
    ]
    return [*gaussian, *counted, *clusters]


_COMPUTE = {"gaussian": _gaussian, "steps": _steps, "clustered": _clustered}


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one piece: "budget" or "steps", the exponents in d ("fit"), the claims."""
    table = _COMPUTE[piece["part"]](piece)
    fits = exponents(table)
    parts = [table, fits]
    if piece["part"] == "gaussian":
        parts.append(claims(table, fits).assign(design=piece["design"]))
    return pd.concat(parts, ignore_index=True)


def _slope(rows: pd.DataFrame, across: str, column: str) -> dict[str, float]:
    slope = log_log_slope(rows[across].to_numpy(), rows[column].to_numpy())
    return {"value": float(slope.value), "error": float(slope.error)}


def exponents(table: pd.DataFrame) -> pd.DataFrame:
    """Fitted exponents in d, from 192 dimensions on, with 99 % intervals.

    Args:
      table: with part "budget" or "steps".
    """
    keys, rows = ["design", "law", "sampler"], []
    for part, columns in (("budget", _FITTED), ("steps", ("needed",))):
        chosen = table[(table["part"] == part) & (table["dim"] >= FROM)]
        by = keys if part == "budget" else [*keys, "goal"]
        for key, group in chosen.groupby(by, sort=False) if len(chosen) else ():
            own = {"part": "fit"} | dict(zip(by, key, strict=True))
            rows += [
                own | {"quantity": column} | _slope(group, "dim", column)
                for column in columns
                if column in group and group[column].notna().all()
            ]
    return pd.DataFrame(rows)


def claims(table: pd.DataFrame, fits: pd.DataFrame) -> pd.DataFrame:
    """Printed sentences about the dimension, with what was measured and a verdict.

    Args:
      table: the budgets of all spectra on one design.
      fits: their exponents.
    """
    paper = table[table["sampler"] == "paper"]
    fitted = fits[fits["quantity"] != "w2"].set_index(["law", "sampler", "quantity"])
    large = paper[paper["dim"] >= FROM]

    def exponent(law: str, sampler: str, quantity: str) -> dict[str, float]:
        return fitted.loc[(law, sampler, quantity), ["value", "error"]].to_dict()

    rows = []
    for name in BOUNDS[:2]:
        least = float((paper[name] / paper["path_kl"]).min())
        rows.append((f"{name} is above the path KL in every law and dimension", least, 0.0, least))
    fixed, linear = large[large["law"] == "isotropic"], large[large["law"] == "image-like"]
    for law, chosen in (("isotropic", fixed), ("image-like", linear)):
        found = _slope(chosen, "second_moment", "initialization")
        off = abs(found["value"] - 1) <= found["error"] + 0.01
        rows.append((f"Remark 2: E_I grows like m2^2 ({law})", *found.values(), off))
    found = exponent("isotropic", "paper", "path_kl")
    off = abs(found["value"] - 1) <= 0.01
    rows.append(("Remark 2: E_D grows like d (isotropic)", *found.values(), off))
    for sampler, quantity, text in (
        ("paper", "path_kl", "2405.14861: in general the ambient d is unavoidable (paper's noise)"),
        ("ancestral", "path_kl", "2405.14861: one choice of coefficients adapts (ancestral)"),
        ("ddim", "marginal_kl", "2501.12982: DDIM adapts"),
    ):
        found = exponent("subspace", sampler, quantity)
        grows = found["value"] > 0.9
        rows.append((text, *found.values(), grows if sampler == "paper" else not grows))
    done = pd.DataFrame(rows, columns=["claim", "value", "error", "holds"])
    first = done["claim"].str.startswith("theorem")
    good = np.where(first, done["holds"].astype(float) >= 1, done["holds"].astype(bool))
    verdict = np.where(good, "holds", "fails")
    return done.drop(columns="holds").assign(part="claim", verdict=verdict)


def _at(table: pd.DataFrame, law: str, sampler: str, column: str) -> float:
    """An entry in the largest dimension."""
    rows = table[(table["law"] == law) & (table["sampler"] == sampler)]
    return float(rows.loc[rows["dim"].idxmax(), column])


def finding(table: pd.DataFrame) -> str:
    """What grows with d, what with the directions of data, and what the bound makes of it."""
    table = table[table["design"] == "edm"]
    budget, steps = table[table["part"] == "budget"], table[table["part"] == "steps"]
    top, n = int(budget["dim"].max()), int(budget["steps"].iloc[0])
    path = {
        (law, sampler): _at(budget, law, sampler, "path_kl")
        for law in SPECTRA
        for sampler in ("paper", "ancestral")
    }
    w2 = {law: _at(budget, law, "paper", "w2") for law in SPECTRA}
    loose = {law: _at(budget, law, "paper", BOUNDS[1]) / path[law, "paper"] for law in SPECTRA}
    counts = steps[steps["goal"] == "path_kl"]
    far = {s: _at(counts, "subspace", s, "needed") for s in ("paper", "ancestral")}
    listed = ", ".join(
        f"{law} {path[law, 'paper']:.4g} and {path[law, 'ancestral']:.4g}" for law in SPECTRA
    )
    failing = table[(table["part"] == "claim") & (table["verdict"] == "fails")]["claim"].tolist()
    return (
        f"At d = {top}, EDM, N = {n}, the path KL of the paper's sampler and of ancestral sampling "
        f"is {listed} nats. The paper's noise pays for every direction of noise and grows like d "
        f"on every law; posterior noise pays for the directions of data. On 16 dimensions in a "
        f"subspace 1 nat takes {far['ancestral']:.0f} steps with posterior noise at any d, and "
        f"{far['paper']:.3g} with the paper's at d = {top}. W2 of the paper's sampler there is "
        f"{w2['subspace']:.3g}, and {w2['isotropic']:.3g} on isotropic data. The corrected bound "
        f"of Theorem 2 is {min(loose.values()):.3g} to {max(loose.values()):.3g} times the path "
        f"KL. Of the claims that were checked these fail: {'; '.join(failing) or 'none'}."
    )


_CLUSTERS = {"means": [-1.0, 1.0], "std": 0.1}

EXPERIMENT = Experiment(
    name="dimension",
    title="From three dimensions to three thousand",
    file=Path(__file__),
    presets={
        "quick": {
            "dims": [3, 12, 48, 192, 432, 768, 1728, 3072],
            "steps": 100,
            "needed": {"most": 16384, "counts": 27},
            "clustered": ["edm"],
            "clusters": _CLUSTERS | {"samplers": ["paper", "ancestral"]},
        },
        "full": {
            "dims": [3 * n**2 for n in (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64)],
            "steps": 100,
            "needed": {"most": 131072, "counts": 49},
            "clustered": ["edm", "song"],
            "clusters": _CLUSTERS | {"samplers": ["paper", "ancestral", "ddim"]},
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    whole_parts=("claim",),
)

"""Noise in the sampler against its error, with and without an error of the score.

EDM's churn and the eta between DDIM and ancestral sampling, at equal numbers of evaluations of the
score, and the claims that Karras et al. make for churn.

Source: section 4 and Algorithm 2 of arXiv 2206.00364; eq. (16) of arXiv 2010.02502 for eta.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.churned import EARLY, LATE, MOST, Cell, Found, errors
from analyses.experiment import Experiment, Settings
from analyses.spectra import PIXEL, decaying
from design_space.arrays import Array
from design_space.errors.marginal import marginal_errors
from design_space.sampling.flows import Churn
from design_space.schedules.named import edm
from design_space.scores.exact import exact_score
from design_space.scores.function import function_score
from design_space.targets.mixture import GaussianMixture

ERRORS: Mapping[str, dict[str, float]] = {
    "too steep": {"factor": 1.0},
    "too flat": {"factor": -1.0},
    "early, too steep": {"factor": 1.0, "low": EARLY},
    "early, too flat": {"factor": -1.0, "low": EARLY},
    "late, too steep": {"factor": 1.0, "high": LATE},
    "late, too flat": {"factor": -1.0, "high": LATE},
    "shift": {"shift": 0.1},
    "early shift": {"shift": 0.1, "low": EARLY},
}
"""Score errors of size 1: the factor off by 1, or every coordinate by 0.1, at all, early or late
levels. A score that is too steep removes too much noise."""

WHERE = {
    "everywhere": {},
    "edm": {"s_min": 0.05, "s_max": 50.0, "s_noise": 1.003},
}
"""Levels with churn, and its factor: all, and what Karras et al. take for ImageNet."""

CRITERIA = ("marginal_kl", "w2")
SHOWN = 0.1
"""Size of the errors whose whole scan is kept."""

_ZOOM = 21  # points of the scan around a minimum


def _error(kind: str, size: float) -> dict[str, float]:
    """The entries of a cell for a score error."""
    if kind == "none":
        return {}
    own = dict(ERRORS[kind])
    if "shift" in own:
        return own | {"shift": size * own["shift"]}
    return own | {"factor": 1 + size * own["factor"]}


def _stacked(cells: Sequence[dict[str, float]], noise: np.ndarray) -> Cell:
    """Cells along the first axis, noise [points] or [cells, points] along the second."""
    blank = Cell(0.0)._asdict()
    columns = {n: np.array([c.get(n, x) for c in cells])[:, None] for n, x in blank.items()}
    return Cell(**(columns | {"noise": np.broadcast_to(noise, (len(cells), noise.shape[-1]))}))


def _by_law(found: Found, dim: int) -> dict[str, dict[str, np.ndarray]]:
    """The first direction is a law of its own, the others are one law."""
    parts = {"N(0, 0.5²)": slice(0, 1), f"decaying, d = {dim}": slice(1, None)}
    return {
        law: {
            "marginal_kl": found.marginal_kl[..., at].sum(axis=-1),
            "w2": np.sqrt(found.w2_squared[..., at].sum(axis=-1)),
            "spread": found.spread[..., at][..., -1],
        }
        for law, at in parts.items()
    }


def _minima(
    sampler: str, steps: int, values: np.ndarray, cells: list[dict], grid: np.ndarray, dim: int
) -> tuple[dict[str, dict[str, np.ndarray]], list[dict[str, Any]]]:
    """The scan over the noise, and the least error of each cell by scanning once more around it."""
    scan = _by_law(errors(sampler, steps, values, _stacked(cells, grid)), dim)
    rows = []
    for law, found in scan.items():
        for criterion in CRITERIA:
            i = found[criterion].argmin(axis=1)
            low, high = grid[np.maximum(i - 1, 0)], grid[np.minimum(i + 1, len(grid) - 1)]
            near = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, _ZOOM)
            again = errors(sampler, steps, values, _stacked(cells, near))
            closer = _by_law(again, dim)[law][criterion]
            j, at = closer.argmin(axis=1), np.arange(len(cells))
            best, least = near[at, j], closer[at, j]
            for k in range(len(cells)):
                row = {"law": law, "criterion": criterion, "cell": k, "best": best[k]}
                row |= {"least": least[k], "without": found[criterion][k, 0]}
                rows.append(row | {"gain": found[criterion][k, 0] / least[k]})
    return scan, rows


def _scanned(piece: Settings) -> pd.DataFrame:
    """Every error at one number of evaluations, for one sampler and one range of levels."""
    kinds = [("none", 0.0), *((kind, size) for kind in ERRORS for size in piece["sizes"])]
    cells = [_error(*kind) | WHERE[piece["where"]] for kind in kinds]
    churn = piece["sampler"] == "churn"
    steps = piece["evaluations"] // (2 if churn else 1)
    grid = np.linspace(0, MOST if churn else 1.0, piece["points"])
    values = np.concatenate([[PIXEL], decaying(piece["dim"])])
    scan, rows = _minima(piece["sampler"], steps, values, cells, grid, piece["dim"])
    names = pd.DataFrame(kinds, columns=["error", "size"])
    optima = pd.DataFrame(rows).assign(part="optimum")
    optima = optima.join(names, on="cell").drop(columns="cell")
    tables = [optima]
    for law, found in scan.items():
        for k, (kind, size) in enumerate(kinds):
            if kind == "none" or size == SHOWN:
                own = {"part": "scan", "law": law, "error": kind, "size": size, "noise": grid}
                curves = {name: x[k] for name, x in found.items()}
                tables.append(pd.DataFrame(own | curves))
    if (piece["sampler"], piece["where"]) == ("churn", "everywhere"):
        tables.append(_scan_claims(scan, optima, kinds))
    own = {name: piece[name] for name in ("sampler", "where", "evaluations")}
    return pd.concat(tables, ignore_index=True).assign(**own)


def _judged(rows: Sequence[tuple[str, float, bool]]) -> pd.DataFrame:
    """Claims with what was measured and whether they hold."""
    done = pd.DataFrame(rows, columns=["claim", "value", "verdict"]).assign(part="claim")
    return done.assign(verdict=np.where(done["verdict"].astype(bool), "holds", "fails"))


def _scan_claims(
    scan: Mapping[str, Any], optima: pd.DataFrame, kinds: Sequence[tuple[str, float]]
) -> pd.DataFrame:
    """What Karras et al. say of churn, on the decaying law at one number of evaluations."""
    law = list(scan)[1]
    chosen = optima[(optima["law"] == law) & (optima["criterion"] == "marginal_kl")]
    least = chosen.loc[chosen["error"] == "none", "best"].iloc[0]
    early = chosen[chosen["error"].str.startswith("early") & (chosen["size"] == SHOWN)]
    gain, spread = early["gain"].min(), scan[law]["spread"]
    exact, steep = spread[0], spread[kinds.index(("too steep", SHOWN))]
    rows = [
        ("noise itself adds error: best churn, exact score", least, least == 0),
        ("churn corrects errors of earlier steps: least gain", gain, gain > 1),
        ("full churn loses detail: narrowest direction, exact score", exact[-1], exact[-1] < 1),
        (
            "full churn loses detail: narrowest direction over that without, too steep score",
            steep[-1] / steep[0],
            steep[-1] < steep[0],
        ),
    ]
    return _judged(rows).assign(law=law)


def _noise(piece: Settings) -> pd.DataFrame:
    """The best s_noise against the factor of the score, at several amounts of churn."""
    values, rows = np.array([PIXEL]), []
    for evaluations in piece["evaluations"]:
        shape = (len(piece["shares"]), len(piece["factors"]), 1)
        share = np.array(piece["shares"])[:, None, None]
        factor = np.array(piece["factors"])[None, :, None]
        grid = np.linspace(*piece["range"], piece["points"])
        grid = np.broadcast_to(grid, (*shape[:2], len(grid)))
        for _ in range(3):  # each narrows to two cells
            cells = Cell(share, s_noise=grid, factor=factor)
            kl = errors("churn", evaluations // 2, values, cells).marginal_kl[..., 0]
            i = kl.argmin(axis=-1)[..., None]
            low = np.take_along_axis(grid, np.maximum(i - 1, 0), -1)
            high = np.take_along_axis(grid, np.minimum(i + 1, grid.shape[-1] - 1), -1)
            best, least = np.take_along_axis(grid, i, -1), np.take_along_axis(kl, i, -1)
            grid = low + (high - low) * np.linspace(0, 1, grid.shape[-1])
        for a, b in np.ndindex(*shape[:2]):
            row = {"noise": piece["shares"][a], "factor": piece["factors"][b]}
            row |= {"best": best[a, b, 0], "least": least[a, b, 0], "evaluations": evaluations}
            rows.append(row)
    table = pd.DataFrame(rows).assign(part="s_noise")
    found = pd.concat([table, _noise_claims(table)], ignore_index=True)
    return found.assign(law="N(0, 0.5²)", sampler="churn", where="everywhere")


def _noise_claims(table: pd.DataFrame) -> pd.DataFrame:
    """What Karras et al. say of s_noise: it makes up for a score that removes too much noise."""
    found = []
    for evaluations, own in table.sort_values("factor").groupby("evaluations"):
        rise = own.groupby("noise")["best"].apply(lambda x: np.diff(x).min()).min()
        exact = own[own["factor"] == 1]["best"].max()
        rows = [
            ("the steeper the score, the larger the best s_noise: least rise", rise, rise > 0),
            ("s_noise above 1 is best: largest best one, exact score", exact, exact > 1),
        ]
        found.append(_judged(rows).assign(evaluations=evaluations))
    return pd.concat(found, ignore_index=True)


def _modes(piece: Settings) -> pd.DataFrame:
    """Two modes on the line, by the propagated density: churn with an error of early steps."""
    target = GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], piece["std"])
    exact, rows = exact_score(target), []
    for kind in piece["errors"]:
        own = Cell(0.0, **_error(kind, piece["size"]))

        def score(x: Array, sigma: Array, own: Cell = own) -> Array:
            inside = (own.low < sigma) & (sigma <= own.high)
            wrong = own.factor * exact(x, sigma) + own.shift
            return jnp.where(inside, wrong, exact(x, sigma))

        for share in piece["shares"]:
            steps = piece["evaluations"] // 2
            stepper = Churn(share * steps, 0.0, np.inf, 1.0)
            given = (target, edm(steps), function_score(score))
            found = marginal_errors(*given, jax.random.key(0), 64, stepper)
            row = {"error": kind, "size": piece["size"] * (kind != "none"), "noise": share}
            row |= {"marginal_kl": float(found.marginal_kl.value)}
            rows.append(row | {"w2": float(found.w2_squared.value) ** 0.5})
    own = {"evaluations": piece["evaluations"], "sampler": "churn", "where": "everywhere"}
    return pd.DataFrame(rows).assign(part="modes", law="two modes", **own)


_COMPUTE = {"scan": _scanned, "s_noise": _noise, "modes": _modes}


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one piece; part is "scan", "optimum", "s_noise", "modes" or "claim"."""
    return _COMPUTE[piece["part"]](piece)


def pieces(settings: Settings) -> Sequence[dict[str, Any]]:
    """A scan per number of evaluations and sampler; s_noise; two modes per score error."""
    samplers = [("churn", where) for where in WHERE] + [("ancestral", "everywhere")]
    scans = [
        {"part": "scan", "evaluations": n, "sampler": sampler, "where": where} | settings["scan"]
        for n in settings["evaluations"]
        for sampler, where in samplers
    ]
    modes = [
        {"part": "modes", "errors": [kind]} | settings["modes"] for kind in settings["on_modes"]
    ]
    return [*scans, {"part": "s_noise"} | settings["s_noise"], *modes]


def finding(table: pd.DataFrame) -> str:
    """Where churn helps and where it hurts, and what s_noise does, with numbers."""
    own = table[table["law"].str.startswith("decaying") & (table["where"] == "everywhere")]
    own = own[own["criterion"].eq("marginal_kl") | own["part"].eq("scan")]
    n = 100 if (own["evaluations"] == 100).any() else int(own["evaluations"].max())
    own = own[(own["evaluations"] == n) & (own["sampler"] == "churn")]
    best = own[(own["part"] == "optimum") & own["size"].isin([0, SHOWN])].set_index("error")
    scan = own[(own["part"] == "scan") & (own["error"] == "none")].sort_values("noise")
    cost = scan["marginal_kl"].iloc[-1] / scan["marginal_kl"].iloc[0]
    gains = ", ".join(
        f"{kind} {best.loc[kind, 'gain']:.3g} (at {best.loc[kind, 'best']:.3g})" for kind in ERRORS
    )
    s_noise = table[(table["part"] == "s_noise") & (table["factor"] == 1)]["best"]
    claims = table[table["part"] == "claim"].groupby("claim", sort=False)["verdict"]
    counts = "; ".join(f"{c} ({(v == 'holds').sum()} of {len(v)})" for c, v in claims)
    return (
        f"On {own['law'].iloc[0]}, {n} evaluations, exact score, full churn multiplies the "
        f"marginal KL by {cost:.3g}. With score errors of size {SHOWN:g} the best churn divides it "
        f"by: {gains}. The best s_noise with the exact score is {s_noise.min():.4g} to "
        f"{s_noise.max():.4g}. Claims, and where they hold: {counts}."
    )


_FACTORS = [0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03]
_NOISE = {"shares": [0.05, 0.2, MOST], "factors": _FACTORS, "range": [0.6, 1.2], "points": 61}

EXPERIMENT = Experiment(
    name="stochasticity",
    title="Noise in the sampler",
    file=Path(__file__),
    presets={
        "quick": {
            "evaluations": [20, 36, 100, 200],
            "scan": {"sizes": [0.001, 0.01, 0.03, 0.1, 0.3], "points": 61, "dim": 16},
            "s_noise": {"evaluations": [36, 100, 200]} | _NOISE,
            "on_modes": ["none", "early shift"],
            "modes": {"evaluations": 36, "std": 0.1, "size": 0.1, "shares": [0.0, 0.07, 0.2, MOST]},
        },
        "full": {
            "evaluations": [20, 36, 100, 200, 500],
            "scan": {
                "sizes": [0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5],
                "points": 241,
                "dim": 64,
            },
            "s_noise": {"evaluations": [36, 100, 200, 500]} | _NOISE,
            "on_modes": ["none", "too steep", "early, too flat", "early shift"],
            "modes": {"evaluations": 100, "std": 0.1, "size": 0.1}
            | {"shares": np.linspace(0, MOST, 13).tolist()},
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    whole_parts=("claim",),
    workers=2,
)

"""The residual |sigma S + xi| against the noise level, before, during and after training.

Root mean squares over fresh data and noise, at levels between and beyond those trained, beside both
asymptotes of Proposition 1; and the f_ij that several weightings make of them.

Source: Proposition 1 and section 4.1 of arXiv 2406.12839; Karras et al. 2022 for the bell.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from analyses.trained_residuals import (
    READINGS,
    SIGMA_DATA,
    Measured,
    grid_of,
    schedule_of,
    stages,
    target_of,
)
from design_space.bounds.residual import proposition_1_large, proposition_1_small
from design_space.numerics.statistics import geometric_mean, mean_estimate
from design_space.schedules.named import edm
from design_space.training.population import mmse_levels
from design_space.weightings.named import edm_weighting

SHARE = 0.1
"""Within this share of an asymptote the residual counts as being there."""

STANDARD = 40
"""Levels of EDM's own range, 0.002 to 80, at which the f_ij are compared, too."""


def band(values: np.ndarray) -> dict[str, np.ndarray]:
    """The geometric mean over seeds and its interval, as columns or as numbers."""
    return {name: part[()] for name, part in geometric_mean(values)._asdict().items()}


def expected_squares(settings: Settings) -> np.ndarray:
    """E|sigma S + xi|^2 over initializations, data and noise: W_{L+1} has mean zero, and every
    layer keeps the mean square, E|W_{L+1} q_L|^2 = |[x, sigma]|^2.
    """
    v, dim = grid_of(settings) ** 2, settings["dim"]
    second = float(target_of(settings).second_moment())
    if settings["model"] == "relu":
        return dim + v * (second + v * (dim + 1))
    s2 = SIGMA_DATA**2
    skipped = (s2**2 * dim + v * second) / (v + s2) ** 2
    inner = (second + v * dim) / (v + s2) + (0.5 * np.log(v) / 4) ** 2
    return skipped + s2 / (v + s2) * inner


def reach(sigmas: np.ndarray, off: np.ndarray) -> float:
    """How far from the first level on a deviation stays within SHARE, by interpolation in ln sigma.

    Args:
      sigmas: levels, ascending or descending.
      off: the deviation there.

    Returns:
      The level; the last one if it never leaves, NaN if it is never there.
    """
    out = np.flatnonzero(off > SHARE)
    if not len(out):
        return float(sigmas[-1])
    if out[0] == 0:
        return float("nan")
    k = int(out[0])
    part = (SHARE - off[k - 1]) / (off[k] - off[k - 1])
    return float(sigmas[k - 1] * (sigmas[k] / sigmas[k - 1]) ** part)


def dip(sigmas: np.ndarray, norms: np.ndarray) -> tuple[float, float]:
    """Where and how low the residual is least: the vertex of the parabola through the least three
    neighbors, in logarithms.

    Args:
      sigmas: levels, evenly in their logarithm.
      norms: the residual there.
    """
    k = int(np.clip(norms.argmin(), 1, len(norms) - 2))
    low, middle, high = np.log(norms[k - 1 : k + 2])
    slope, bend = (high - low) / 2, high - 2 * middle + low
    shift = float(np.clip(-slope / bend, -1, 1)) if bend > 0 else 0.0
    least = middle + slope * shift + 0.5 * bend * shift**2
    return float(sigmas[k] * (sigmas[k + 1] / sigmas[k]) ** shift), float(np.exp(least))


def _curves(settings: Settings, found: Measured, step: int) -> list[pd.DataFrame]:
    """The residual at every measured level, and on the training set."""
    sigmas = grid_of(settings)
    mean = mean_estimate(jnp.asarray(found.squares))
    target = target_of(settings)
    floor = np.asarray(mmse_levels(target, jnp.asarray(sigmas**2), None, 2).value) / sigmas**2
    curve = band(np.sqrt(found.squares)) | {
        "square": np.asarray(mean.value),
        "square_error": np.asarray(mean.error),
        "floor": np.sqrt(floor),
    }
    if step == 0:
        curve["expected"] = expected_squares(settings)
    levels = np.asarray(schedule_of(settings).forward_sigmas[1:])
    own = band(np.sqrt(found.trained))
    return [
        pd.DataFrame(curve).assign(part="curve", sigma=sigmas),
        pd.DataFrame(own).assign(part="training set", sigma=levels),
    ]


def _ends(settings: Settings, found: Measured, step: int) -> list[dict]:
    """Where the asymptotes hold, measured and by the proposition's explicit numbers."""
    if settings["model"] != "relu":
        return []
    sigmas, norms = grid_of(settings), np.sqrt(found.squares)
    xi, x, limit = (np.sqrt(y)[:, None] for y in (found.noise, found.data, found.limit))
    small = [reach(sigmas, row) for row in np.abs(norms / xi - 1)]
    large = [reach(sigmas[::-1], r[::-1]) for r in np.abs(norms / (sigmas**2 * limit) - 1)]
    common = [jnp.asarray(y).ravel() for y in (found.lipschitz, x, xi)]
    delta = jax.vmap(proposition_1_small)(jnp.asarray(SHARE * xi).ravel(), *common)
    edge = jax.vmap(proposition_1_large)(jnp.asarray(SHARE * limit).ravel(), *common)
    rows = [
        {"part": "limit"} | band(limit[:, 0]),
        {"part": "end", "end": "small"} | band(np.array(small)),
        {"part": "end", "end": "large"} | band(np.array(large)),
        {"part": "explicit", "end": "small"} | band(np.asarray(delta)),
        {"part": "explicit", "end": "large"} | band(np.asarray(edge)),
    ]
    if step > 0:  # before training there is none: the expected residual grows with sigma
        level, least = np.array([dip(sigmas, row) for row in norms]).T
        rows.append({"part": "dip", "end": "level"} | band(level))
        rows.append({"part": "dip", "end": "residual"} | band(least))
    return rows


def _shares(settings: Settings, found: Measured) -> list[pd.DataFrame]:
    """f_j over its mean by several weightings, and max f_j/min f_j: at the levels that are trained
    and at EDM's own. Residuals between measured levels are interpolated in logarithms.
    """
    logs, parts = np.log(grid_of(settings)), []
    for kind, schedule in {"trained": schedule_of(settings), "standard": edm(STANDARD)}.items():
        levels = np.asarray(schedule.forward_sigmas[1:])
        between = [np.interp(np.log(levels), logs, row) for row in np.log(found.squares)]
        for reading, weighting in READINGS.items():
            f = np.asarray(weighting().total(schedule)) * np.exp(np.array(between))
            about = {"reading": reading, "levels": kind}
            shares = pd.DataFrame(band(f / f.mean(axis=1, keepdims=True)))
            parts.append(shares.assign(part="share", sigma=levels, **about))
            uneven = pd.DataFrame([band(f.max(axis=1) / f.min(axis=1))])
            parts.append(uneven.assign(part="uneven", **about))
    return parts


def bells(settings: Settings) -> pd.DataFrame:
    """The bell in its two readings, per level and per unit of ln sigma, over its largest value."""
    sigmas, bell = grid_of(settings), edm_weighting().density
    values = np.asarray(jax.vmap(bell)(jnp.asarray(sigmas)))
    parts = [
        pd.DataFrame({"sigma": sigmas, "value": y / y.max(), "reading": reading})
        for reading, y in (("EDM, at a level", values), ("EDM, density", sigmas * values))
    ]
    return pd.concat(parts, ignore_index=True).assign(part="bell")


def compute(piece: Settings) -> pd.DataFrame:
    """One model trained with one weighting, at every stage.

    Args:
      piece: settings; part "bell" is the weighting alone.
    """
    if piece["part"] == "bell":
        return bells(piece)
    found, lost = stages(piece)
    parts = []
    for step, measured in found.items():
        ends = pd.DataFrame(_ends(piece, measured, step))
        rows = [*_curves(piece, measured, step), ends, *_shares(piece, measured)]
        parts.append(pd.concat(rows, ignore_index=True).assign(step=step))
    about = {"model": piece["model"], "weighting": piece["weighting"], "lost": lost}
    about |= {"dim": piece["dim"], "low_level": piece["low"], "high_level": piece["high"]}
    return pd.concat(parts, ignore_index=True).assign(**about)


def pieces(settings: Settings) -> list[dict]:
    """One piece for each model and weighting, and one for the bell."""
    common = {key: value for key, value in settings.items() if key != "models"}
    runs = [
        common | {"part": "run", "model": model, "weighting": weighting}
        for model, weightings in settings["models"].items()
        for weighting in weightings
    ]
    return [*runs, common | {"part": "bell"}]


def _told(row: pd.Series) -> str:
    return f"{row['value']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def finding(table: pd.DataFrame) -> str:
    """Where the residual is least, what its ends are, and how even each weighting makes it."""
    last = table["step"].max()

    def one(model: str, weighting: str, step: float, part: str, **more: str) -> pd.Series:
        rows = table[(table["model"] == model) & (table["weighting"] == weighting)]
        rows = rows[(rows["step"] == step) & (rows["part"] == part)]
        for key, value in more.items():
            rows = rows[rows[key] == value]
        return rows.iloc[0]

    start = table[(table["model"] == "relu") & table["expected"].notna()]
    steady = start.groupby("weighting")["expected"].apply(lambda e: (e.diff().dropna() > 0).all())
    grows, words = "grows" if steady.all() else "does not always grow", []
    for weighting in table[table["model"] == "relu"]["weighting"].unique():
        key = ("relu", weighting)
        limits = [_told(one(*key, step, "limit")) for step in (0, last)]
        words.append(
            f"Trained with {weighting}: before training the expected residual {grows} with sigma; "
            f"after {last:.0f} steps it is least, {_told(one(*key, last, 'dip', end='residual'))}, "
            f"at sigma = {_told(one(*key, last, 'dip', end='level'))}. |S(xi, 1)|, the factor of "
            f"sigma^2 at large noise, goes from {limits[0]} to {limits[1]}. The residual is within "
            f"10 % of sqrt(d) up to sigma = {_told(one(*key, last, 'end', end='small'))} (explicit "
            f"number of the proposition: {one(*key, last, 'explicit', end='small')['value']:.2g}), "
            f"within 10 % of its growth from {_told(one(*key, last, 'end', end='large'))} on "
            f"(explicit: {one(*key, last, 'explicit', end='large')['value']:.2g})."
        )
        for levels in ("trained", "standard"):
            for step, when in ((0, "start"), (last, "end")):
                ratios = ", ".join(
                    f"{name} {one(*key, step, 'uneven', reading=name, levels=levels)['value']:.3g}"
                    for name in READINGS
                )
                words.append(f"Largest over least f_j, {levels} levels, at the {when}: {ratios}.")
    return " ".join(words) + _contrast(table[table["part"] == "curve"], last)


def _contrast(curves: pd.DataFrame, last: float) -> str:
    """The preconditioned network beside the bare one, and the closed form before training."""
    rows = curves[(curves["step"] == last) & (curves["weighting"] == "EDM")]
    far = rows["sigma"].unique()
    rows = rows[rows["sigma"] == min(far, key=lambda sigma: abs(np.log(sigma / 80)))]
    bare, inner = (rows[rows["model"] == m].iloc[0] for m in ("relu", "preconditioned"))
    start = curves[curves["expected"].notna()]
    off = np.abs(start["square"] - start["expected"]) / start["square_error"]
    return (
        f" At sigma = {inner['sigma']:.3g} the trained network's residual is {_told(bare)}, with "
        f"preconditioning {_told(inner)}, that of the exact score {inner['floor']:.2g}. Before "
        f"training the mean square is off its closed form by at most {off.max():.2g} half-widths "
        f"of its 99 % interval."
    )


_COMMON = {
    "dim": 4,
    "points": 64,
    "depth": 1,
    "levels": 10,
    "low": 0.1,
    "high": 2.0,
    "range": [0.001, 200.0],
    "measured": 54,
    "seed": 0,
    "models": {"relu": ["EDM", "inverse square"], "preconditioned": ["EDM"]},
}

EXPERIMENT = Experiment(
    name="inverse_bell",
    title="The residual against the noise level",
    file=Path(__file__),
    presets={
        "quick": _COMMON
        | {"width": 64, "seeds": 12, "fresh": 512, "stages": [30, 3000], "dtype": "float32"},
        "full": _COMMON
        | {"width": 2048, "seeds": 64, "fresh": 4096, "stages": [300, 20000], "points": 256}
        | {"dtype": "float32"},
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
)

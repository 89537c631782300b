"""EDM's bell-shaped total weighting, the schedules of Table 1, and what each schedule makes of the
shipped weightings.

Source: figure 2, Table 1, section 4.1 and appendix H.3 of arXiv 2406.12839.
"""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.optimize import brentq, minimize_scalar

from analyses.experiment import Experiment, Settings
from design_space.schedules import named as schedules
from design_space.weightings import named as weightings
from design_space.weightings.base import AbstractWeighting

SCHEDULES = {"edm": schedules.edm, "song": schedules.song}

WEIGHTINGS: dict[str, Callable[[], AbstractWeighting]] = {
    "edm": weightings.edm_weighting,
    "edm pointwise": lambda: weightings.edm_weighting().pointwise(),
    "song": weightings.song,
    "uniform": weightings.uniform,
    "min-snr": weightings.min_snr,
    "p2": weightings.p2,
}
"""The shipped weightings with their standard numbers; "edm" is the density in sigma."""

READINGS = {"at a level": 0, "per unit of ln sigma": 1}
"""The bell as a function of sigma is beta_EDM(sigma) sigma^power."""


def bell(log_sigma: float | np.ndarray, power: int) -> np.ndarray:
    """Returns beta_EDM(sigma) sigma^power at sigma = exp(log_sigma)."""
    sigma = np.exp(np.atleast_1d(log_sigma))
    beta = jax.vmap(weightings.edm_weighting().density)(jnp.asarray(sigma))
    return np.asarray(beta) * sigma**power


def _peaks() -> pd.DataFrame:
    """Place and height of the bell's top and the levels where it is half as high, per reading."""
    rows = []
    for reading, power in READINGS.items():
        grid = np.linspace(np.log(1e-4), np.log(1e4), 2001)
        start = grid[np.argmax(bell(grid, power))]

        def minus_log(u: float, power: int = power) -> float:
            return -float(np.log(bell(u, power))[0])

        top = minimize_scalar(
            minus_log, bounds=(start - 0.1, start + 0.1), method="bounded", options={"xatol": 1e-10}
        )

        def above_half(u: float, power: int = power, least: float = float(top.fun)) -> float:
            return np.log(2) - (minus_log(u, power) - least)

        rows.append(
            {
                "part": "peak",
                "reading": reading,
                "sigma": float(np.exp(top.x)),
                "beta": float(np.exp(-top.fun)),
                "half_low": float(np.exp(brentq(above_half, top.x - 8, top.x))),
                "half_high": float(np.exp(brentq(above_half, top.x, top.x + 8))),
            }
        )
    return pd.DataFrame(rows)


def _curve(piece: Settings) -> pd.DataFrame:
    """The bell on a grid of noise levels, once per reading, relative to its top."""
    log_sigma = np.linspace(np.log(piece["sigma_min"]), np.log(piece["sigma_max"]), piece["points"])
    tables = []
    for reading, power in READINGS.items():
        values = bell(log_sigma, power)
        tables.append(
            pd.DataFrame(
                {
                    "part": "bell",
                    "reading": reading,
                    "sigma": np.exp(log_sigma),
                    "beta": values,
                    "relative": values / values.max(),
                }
            )
        )
    return pd.concat([*tables, _peaks()], ignore_index=True)


def _design(piece: Settings) -> pd.DataFrame:
    """Table 1 for one schedule: its times and noise levels, and each weighting's total on it."""
    name, steps = piece["schedule"], piece["steps"]
    schedule = SCHEDULES[name](steps, piece["sigma_min"], piece["sigma_max"])
    common = {"schedule": name, "steps": steps}
    sigmas = np.asarray(schedule.forward_sigmas)
    levels = {"level": np.arange(steps + 1), "time": np.asarray(schedule.forward_times)}
    tables = [pd.DataFrame({"part": "schedule", **common, **levels, "sigma": sigmas})]
    for label, weighting in WEIGHTINGS.items():
        beta = np.asarray(weighting().total(schedule))
        entries = {"level": np.arange(1, steps + 1), "sigma": sigmas[1:], "beta": beta}
        relative = {"relative": beta / beta.max()}
        whole = {"part": "weighting", **common, "weighting": label}
        tables.append(pd.DataFrame({**whole, **entries, **relative}))
    return pd.concat(tables, ignore_index=True)


def pieces(settings: Settings) -> list[dict]:
    """One piece for the bell, one for each schedule and number of steps."""
    ends = {"sigma_min": settings["sigma_min"], "sigma_max": settings["sigma_max"]}
    curve = [{"part": "bell", "points": settings["points"], **ends}]
    return curve + [
        {"part": "schedule", "schedule": name, "steps": steps, **ends}
        for steps in settings["steps"]
        for name in SCHEDULES
    ]


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one piece; part is "bell" and "peak", or "schedule" and "weighting"."""
    return _curve(piece) if piece["part"] == "bell" else _design(piece)


def finding(table: pd.DataFrame) -> str:
    """Where the bell's top lies in either reading, and how many levels each schedule puts there."""
    peaks = table[table["part"] == "peak"].set_index("reading")
    point, density = peaks.loc["at a level"], peaks.loc["per unit of ln sigma"]
    grids = table[table["part"] == "schedule"]
    steps = int(grids["steps"].min())
    inside = {
        name: int(grid["sigma"].between(point["half_low"], point["half_high"]).sum())
        for name, grid in grids[(grids["steps"] == steps) & (grids["level"] > 0)].groupby(
            "schedule"
        )
    }
    totals = table[(table["part"] == "weighting") & (table["steps"] == steps)]
    tops = totals.loc[totals.groupby(["schedule", "weighting"])["beta"].idxmax()]
    top = tops.set_index(["schedule", "weighting"])["sigma"]
    return (
        f"Read at a level, EDM's weighting is a bell in ln σ with its top at σ = "
        f"{point['sigma']:.4f} and half its height from {point['half_low']:.4f} to "
        f"{point['half_high']:.3f}; with N = {steps}, EDM's schedule places {inside['edm']} of its "
        f"levels there and Song's {inside['song']}. Read as a density, weight per unit of ln σ, "
        f"the same formula has its top at σ = {density['sigma']:.2f}, and the total weighting "
        f"β_j, which includes the spacing of the levels, is largest at σ = "
        f"{top['edm', 'edm']:.2f} on EDM's schedule and {top['song', 'edm']:.2f} on Song's: "
        f"which noise levels count depends on the measure, which must therefore be named."
    )


EXPERIMENT = Experiment(
    name="bell_weighting",
    title="The bell-shaped weighting and the two schedules",
    file=Path(__file__),
    presets={
        "quick": {"sigma_min": 0.002, "sigma_max": 80.0, "points": 400, "steps": [40]},
        "full": {"sigma_min": 0.002, "sigma_max": 80.0, "points": 1000, "steps": [40, 18, 1000]},
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
)

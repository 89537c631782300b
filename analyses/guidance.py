"""Guidance: the law that its sampler makes, against the class and against the tilted law.

Mean, variance, mode weights, accuracy and divergences as the strength grows, on the line for
classes apart and overlapping, with noise and without; an interval of noise levels and rescaling;
and densities in the plane.

Source: arXiv 2207.12598 for guidance, 2404.07724 for the interval, 2305.08891 for rescaling.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from analyses.guided_laws import (
    Path as Carried,
)
from analyses.guided_laws import (
    Problem,
    carried,
    class_log_density,
    grid,
    log_posterior,
    numbers,
    share_above,
    tilted,
)
from design_space.arrays import Array
from design_space.numerics.grid import interpolate
from design_space.sampling.plane_law import plane_law
from design_space.sampling.plane_patches import COARSE
from design_space.sampling.steppers import Frozen
from design_space.scores.guided import guided_exact
from design_space.targets.labeled import LabeledMixture
from design_space.targets.mixture import GaussianMixture

LAWS: Mapping[str, Problem] = {
    of.name: of
    for of in (
        Problem("apart", (0.5, 0.5), (-1.0, 1.0), (0.5, 0.5), (0, 1)),
        Problem("overlapping", (0.5, 0.5), (-1.0, 1.0), (1.0, 1.0), (0, 1)),
        Problem("two modes", (0.5, 0.25, 0.25), (-1.0, 0.5, 3.0), (0.5, 0.5, 0.5), (0, 1, 1)),
        Problem("wide class", (0.5, 0.5), (0.0, 0.0), (0.3, 1.0), (0, 1)),
    )
}
"""The data laws, each guided to its class 1."""

VARIANTS: Mapping[str, dict[str, Any]] = {
    "everywhere": {},
    "middle levels": {"interval": [0.2, 2.0]},
    "high levels": {"interval": [1.0, 100.0]},
    "low levels": {"interval": [0.0, 1.0]},
    "rescaled by half": {"rescale": 0.5},
}
"""Where guidance acts, and whether its prediction is rescaled."""

SHOWN = 4.0
"""The strength whose densities are drawn."""

_BETWEEN_MODES = 1.75  # halfway between the modes of the class "two modes"


@functools.cache
def plane_problem() -> LabeledMixture:
    """Two classes of two modes each in the plane."""
    means = [[-1.0, -0.6], [1.0, -0.6], [1.6, 1.6], [-1.0, 1.2]]
    return LabeledMixture(GaussianMixture.isotropic([0.25] * 4, means, 0.5), [0, 1, 1, 0])


def _row(of: Problem, strength: float, steps: int, sampler: str, **variant: Any) -> dict[str, Any]:
    """Numbers of one guided law, and how much they change from half the steps."""
    paths: list[Carried] = [
        carried(of, strength, n, sampler, **variant) for n in (steps // 2, steps)
    ]
    rough, fine = (numbers(of, strength, path) for path in paths)
    row = {"law": of.name, "sampler": sampler, "strength": strength, "steps": steps} | fine
    row |= {f"{name}_change": abs(fine[name] - rough[name]) for name in fine}
    return row | {"far_mode": share_above(paths[1], _BETWEEN_MODES)}


def _of_tilted(of: Problem, strength: float) -> dict[str, Any]:
    """The same numbers of the tilted law."""
    v = float(grid(2).backward_variances[-1])
    law = tilted(of, strength, v)
    mass = np.exp(law.log_values) * (law.x[1] - law.x[0])
    logs, own = log_posterior(of, v, law.x)[0], class_log_density(of, v, law.x)
    mean = float(mass @ law.x)
    return {
        "law": of.name,
        "sampler": "tilted",
        "strength": strength,
        "mean": mean,
        "variance": float(mass @ (law.x - mean) ** 2),
        "accuracy": float(mass @ np.exp(logs)),
        "inverse": float(mass @ np.exp(-logs)),
        "kl_tilted": 0.0,
        "kl_class": float(mass @ (law.log_values - own)),
        "far_mode": float(np.sum(mass[law.x > _BETWEEN_MODES])),
    }


def _strengths(piece: Settings) -> pd.DataFrame:
    """Every strength on one law, with noise, without, and tilted."""
    of = LAWS[piece["law"]]
    rows = [
        _row(of, w, piece["steps"], sampler)
        for w in piece["strengths"]
        for sampler in ("noise", "flow")
    ]
    rows += [_of_tilted(of, w) for w in piece["strengths"]]
    return pd.DataFrame(rows).assign(part="strength", variant="everywhere")


def _variants(piece: Settings) -> pd.DataFrame:
    """One variant of guidance, with noise."""
    of, name = LAWS[piece["law"]], piece["variant"]
    rows = [_row(of, w, piece["steps"], "noise", **VARIANTS[name]) for w in piece["strengths"]]
    return pd.DataFrame(rows).assign(part="variant", variant=name)


def _densities(piece: Settings) -> pd.DataFrame:
    """Densities on one grid: of the class, of all other components, guided, and tilted."""
    of, x = LAWS[piece["law"]], np.linspace(*piece["range"], piece["points"])
    v = float(grid(2).backward_variances[-1])
    own, logs = class_log_density(of, v, x), log_posterior(of, v, x)[0]
    aim = own + (SHOWN - 1) * logs - tilted(of, SHOWN, v).log_z
    whole = own + np.log(of.prior) - logs
    found = {"class": np.exp(own), "tilted": np.exp(aim)}
    found["others"] = np.exp(whole) * -np.expm1(logs) / (1 - of.prior)
    for sampler in ("noise", "flow"):
        density = carried(of, SHOWN, piece["steps"], sampler).density
        inside = (x >= density.grid.origin) & (x <= density.grid.end)
        values = interpolate(
            density.grid, density.log_values, np.where(inside, x, density.grid.end)
        )
        found[sampler] = np.where(inside, np.exp(values), 0.0)
    tables = [pd.DataFrame({"x": x, "density": q, "sampler": name}) for name, q in found.items()]
    return pd.concat(tables, ignore_index=True).assign(part="density", law=of.name, strength=SHOWN)


@eqx.filter_jit
def _sure(labeled: LabeledMixture, v: Array, x: Array) -> Array:
    """Log p_v(1 | x) at points of the plane."""
    return jax.vmap(lambda y: labeled.log_posterior(y, v)[1])(x)


def _plane(piece: Settings) -> pd.DataFrame:
    """Densities in the plane at one strength, by the sampler of the paper."""
    w, schedule, axis = piece["strength"], grid(piece["steps"]), np.linspace(-3, 4, piece["cells"])
    labeled, moves = plane_problem(), Frozen().moves(schedule)
    start, parts = float(schedule.backward_variances[0]), labeled.given(1).components()
    density = plane_law(guided_exact(labeled, 1, w), moves, start, parts, COARSE)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    logs = _sure(labeled, schedule.backward_variances[-1], jnp.asarray(x))
    q = np.maximum(density(x), 0.0)
    table = pd.DataFrame({"x": x[:, 0], "y": x[:, 1], "density": q, "strength": w})
    accuracy = float(q @ np.exp(np.asarray(logs)) / q.sum())
    return table.assign(part="plane", accuracy=accuracy, sampler="frozen", law="plane")


_COMPUTE = {
    "strength": _strengths,
    "variant": _variants,
    "density": _densities,
    "plane": _plane,
}


def compute(piece: Settings) -> pd.DataFrame:
    """The table of one piece; part is "strength", "variant", "density" or "plane"."""
    return _COMPUTE[piece["part"]](piece)


def pieces(settings: Settings) -> Sequence[dict[str, Any]]:
    """A piece for each law, each variant, the densities on the line and each of the plane."""
    own = {"steps": settings["steps"], "strengths": settings["strengths"]}
    found = [{"part": "strength", "law": name} | own for name in LAWS]
    for name, variant in VARIANTS.items():
        kept = settings["rescaled"] if "rescale" in variant else own  # it jumps, and is dear
        found += [{"part": "variant", "law": "apart", "variant": name} | kept]
    found += [{"part": "density", "steps": settings["steps"]} | settings["density"]]
    plane = [{"part": "plane", "strength": w} | settings["plane"] for w in (1.0, SHOWN)]
    return [*found, *plane]


def finding(table: pd.DataFrame) -> str:
    """What guidance makes of the laws at one strength, with numbers."""
    rows = table[(table["part"] == "strength") & (table["strength"] == SHOWN)]
    at = rows.set_index(["law", "sampler"])
    one = table[(table["part"] == "strength") & (table["strength"] == 1)]
    before = one.set_index(["law", "sampler"])

    def three(law: str, name: str) -> str:
        return ", ".join(f"{at.loc[(law, s), name]:.3g}" for s in ("tilted", "noise", "flow"))

    wide = at.loc[("wide class", "noise"), "variance"]
    return (
        f"Guided to a class N(1, 0.5²) against N(-1, 0.5²) at strength {SHOWN:g}, the tilted law, "
        f"the reverse SDE and the flow have means {three('apart', 'mean')}, variances "
        f"{three('apart', 'variance')} and KL from the class {three('apart', 'kl_class')} nats; "
        f"KL from the tilted law is {at.loc[('apart', 'noise'), 'kl_tilted']:.3g} with noise and "
        f"{at.loc[('apart', 'flow'), 'kl_tilted']:.3g} without. Where the classes overlap (s = 1): "
        f"means {three('overlapping', 'mean')}. The mode farther from the other class gets the "
        f"weights {three('two modes', 'far_mode')} in place of "
        f"{before.loc[('two modes', 'noise'), 'far_mode']:.3g}. A class wider than the other gets "
        f"wider still: variance {before.loc[('wide class', 'noise'), 'variance']:.3g} to "
        f"{wide:.3g}."
    )


_DENSITY = {"law": "apart", "range": [-2.5, 4.0], "points": 261}

EXPERIMENT = Experiment(
    name="guidance",
    title="What guidance samples",
    file=Path(__file__),
    presets={
        "quick": {
            "steps": 80,
            "strengths": [0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0],
            "rescaled": {"steps": 40, "strengths": [1.0, 2.0, 4.0]},
            "density": _DENSITY,
            "plane": {"steps": 24, "cells": 141},
        },
        "full": {
            "steps": 400,
            "strengths": [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0],
            "rescaled": {"steps": 80, "strengths": [1.0, 1.5, 2.0, 3.0, 4.0, 6.0]},
            "density": _DENSITY | {"points": 651},
            "plane": {"steps": 60, "cells": 281},
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    workers=2,
)

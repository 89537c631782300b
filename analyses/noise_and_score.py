"""What noise does to a law with two modes: its density, score and denoiser at several noise levels,
and mmse, Fisher information, entropy and initialization error along all of them.

The law is (1/2) N(-m, s^2) + (1/2) N(m, s^2). Its noised law has one mode from v = m^2 - s^2 on:
two Gaussians of equal weight and variance c have one mode if and only if their distance is at most
2 sqrt(c).
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from design_space.errors.initialization import initialization_error
from design_space.targets.integrals import mixture_integrals
from design_space.targets.mixture import GaussianMixture

_HALF = 5e-3  # relative half-width of the central difference of H, whose error is its square


def target_of(piece: Settings) -> GaussianMixture:
    """The law with modes at -separation and separation, each of standard deviation width."""
    place, width = piece["separation"], piece["width"]
    return GaussianMixture.isotropic([0.5, 0.5], [[-place], [place]], width)


def merging_sigma(piece: Settings) -> float:
    """Noise level sqrt(m^2 - s^2) from which the noised law has one mode; 0 if it always has."""
    return float(np.sqrt(max(piece["separation"] ** 2 - piece["width"] ** 2, 0.0)))


def _curves(piece: Settings) -> pd.DataFrame:
    """Density, score and denoiser over x at some noise levels, the merging one among them."""
    target = target_of(piece)
    x = jnp.linspace(-piece["reach"], piece["reach"], piece["points"])[:, None]
    tables = []
    for sigma in sorted({*piece["sigmas"], merging_sigma(piece)}):
        v = sigma**2
        columns = {
            "x": x[:, 0],
            "density": jnp.exp(jax.vmap(lambda point, v=v: target.log_density(point, v))(x)),
            "score": jax.vmap(lambda point, v=v: target.score(point, v))(x)[:, 0],
            "denoiser": jax.vmap(lambda point, v=v: target.denoiser(point, v))(x)[:, 0],
        }
        found = {name: np.asarray(column) for name, column in columns.items()}
        tables.append(pd.DataFrame({"part": "curve", "sigma": sigma} | found))
    return pd.concat(tables, ignore_index=True)


@eqx.filter_jit
def _scores(target: GaussianMixture, x: jax.Array, variance: jax.Array) -> jax.Array:
    """The score at many points of the line."""
    return jax.vmap(lambda point: target.score(point, variance))(x[:, None])[:, 0]


def modes(target: GaussianMixture, sigma: float, reach: float, points: int = 4001) -> int:
    """Number of local maxima of the noised density, counted on a grid.

    Args:
      target: the law, on the line.
      sigma: noise level, in data units.
      reach: the grid goes from -reach to reach, in data units.
      points: of the grid.
    """
    scores = _scores(target, jnp.linspace(-reach, reach, points), jnp.asarray(sigma**2))
    signs = np.sign(np.asarray(scores))
    signs = signs[signs != 0]
    return int(np.sum((signs[:-1] > 0) & (signs[1:] < 0)))


def _levels(piece: Settings) -> pd.DataFrame:
    """Numbers of p_v along a grid of noise levels.

    The column `de_bruijn` is twice the slope of the entropy, by a central difference in ln v, to
    be compared with the Fisher information.
    """
    target, key = target_of(piece), jax.random.key(0)
    sigmas = np.geomspace(piece["sigma_min"], piece["sigma_max"], piece["levels"])
    v = sigmas**2
    at = mixture_integrals(target, jnp.concatenate([v, v * (1 + _HALF), v * (1 - _HALF)]), None, 2)
    entropy, above, below = np.split(np.asarray(at.entropy.value), 3)
    start = [initialization_error(target, jnp.asarray(each), key, 2).value for each in v]
    columns = {
        "sigma": sigmas,
        "entropy": entropy,
        "mmse": np.asarray(at.mmse.value)[: len(v)],
        "information": np.asarray(at.fisher_information.value)[: len(v)],
        "de_bruijn": (above - below) / (_HALF * v),
        "initialization": np.asarray(start),
        "bound": float(target.second_moment()) / (2 * v),
        "modes": [modes(target, sigma, 2 * piece["separation"]) for sigma in sigmas],
    }
    return pd.DataFrame({"part": "level"} | columns)


def compute(piece: Settings) -> pd.DataFrame:
    """One law; part is "curve" (sigma, x) or "level" (sigma)."""
    table = pd.concat([_curves(piece), _levels(piece)], ignore_index=True)
    law = {"separation": piece["separation"], "width": piece["width"]}
    return table.assign(**law, merging=merging_sigma(piece))


def pieces(settings: Settings) -> list[dict]:
    """One piece for each law."""
    common = {name: value for name, value in settings.items() if name != "laws"}
    return [law | common for law in settings["laws"]]


def finding(table: pd.DataFrame) -> str:
    """Where the modes merge, how well the identities hold, and how much noise forgets the data."""
    sentences = []
    for (place, width), rows in table.groupby(["separation", "width"], sort=False):
        levels = rows[rows["part"] == "level"]
        v = levels["sigma"] ** 2
        tweedie = np.abs(levels["information"] / (1 / v - levels["mmse"] / v**2) - 1).max()
        slope = np.abs(levels["de_bruijn"] / levels["information"] - 1).max()
        two = levels.loc[levels["modes"] == 2, "sigma"].max()
        one = levels.loc[levels["modes"] == 1, "sigma"].min()
        last = levels.iloc[-1]
        forgot = levels.loc[levels["initialization"] < 1e-3, "sigma"].min()
        sentences.append(
            f"The modes at ±{place:g} of width {width:g} merge at σ = "
            f"{rows['merging'].iloc[0]:.4g} (two are counted at {two:.4g}, one at {one:.4g}). "
            f"Twice the slope of the entropy is the Fisher information to {slope:.1g}, and "
            f"1/v - mmse/v² to {tweedie:.1g}, relative. The initialization error is below 0.001 "
            f"nats from σ = {forgot:.3g} on; at σ = {last['sigma']:.3g} it is "
            f"{last['initialization']:.3g}, and Lemma 10 allows {last['bound']:.3g}."
        )
    return " ".join(sentences)


_COMMON = {
    "sigmas": [0.05, 0.3, 2.0],
    "reach": 3.5,
    "sigma_min": 0.02,
    "sigma_max": 80.0,
}

EXPERIMENT = Experiment(
    name="noise_and_score",
    title="What noise does to a law with two modes",
    file=Path(__file__),
    presets={
        "quick": _COMMON
        | {"laws": [{"separation": 1.0, "width": 0.2}], "points": 281, "levels": 61},
        "full": _COMMON
        | {
            "laws": [{"separation": 1.0, "width": 0.2}, {"separation": 1.0, "width": 0.05}],
            "points": 701,
            "levels": 181,
        },
    },
    pieces=pieces,
    compute=compute,
    finding=finding,
    whole_parts=("level",),
)

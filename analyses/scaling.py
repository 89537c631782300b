"""What a design costs: designs per second against batch, devices and workers; growth with sizes.

Times are those of the machine at hand, least and median of some repeats; what carries over is their
growth, fitted as exponents.
"""

import importlib.util
import itertools
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analyses.experiment import Experiment, Settings
from design_space.numerics.rates import log_log_slope
from design_space.numerics.startup import prepare_jax
from design_space.schedules.named import edm
from design_space.scores.relu_network import relu_network
from design_space.sweeps.cluster import clustered
from design_space.sweeps.content import compute, opened
from design_space.sweeps.plan import plan
from design_space.sweeps.program import trace
from design_space.targets.gaussian import Gaussian
from design_space.training.descent import GradientDescent
from design_space.training.objective import denoising_data
from design_space.weightings.named import edm_weighting

REPEATS = 5


class Times(NamedTuple):
    """Seconds: the least and the median of the repeats."""

    least: float
    median: float


def timed(work: Callable[[], Any]) -> Times:
    """Times a call to the end of its computation; a first call, which compiles, does not count.

    Args:
      work: the call.
    """
    jax.block_until_ready(work())
    found = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(work())
        found.append(time.perf_counter() - start)
    return Times(min(found), float(np.median(found)))


def gaussian_sweep(dim: int, steps: int, designs: int, piece: int) -> dict[str, Any]:
    """The manifest of a sweep over EDM's exponent on N(0, S), S of falling spectrum.

    Args:
      dim: number of eigenvalues, from 10 down to 0.001.
      steps: number N of steps.
      designs: number of values of the exponent.
      piece: designs of a piece.
    """
    spectrum = np.geomspace(10.0, 1e-3, dim).tolist() if dim > 1 else [0.25]
    target = {"kind": "gaussian", "mean": [0.0] * dim, "variances": spectrum}
    given = {
        "target": target,
        "schedule": {"kind": "edm", "steps": steps},
        "sweep": {"schedule.rho": {"from": 2.0, "to": 12.0, "count": designs}},
    }
    return plan(given, piece=piece)


def trained_sweep(samples: int, designs: int) -> dict[str, Any]:
    """The manifest of a sweep over the seeds of trainings in closed form.

    Args:
      samples: number n of points.
      designs: number of seeds.
    """
    given = {
        "target": {"kind": "gaussian", "dim": 1, "std": 0.5},
        "schedule": {"kind": "edm", "steps": 10},
        "score": {"kind": "trained"},
        "weighting": {"kind": "edm"},
        "model": {"kind": "affine", "preconditioned": True},
        "training": {"samples": samples, "steps": 1000},
        "sweep": {"training.seed": {"seeds": designs}},
    }
    return plan(given, piece=designs)


def mapped(manifest: dict[str, Any], designs: int, batch: int) -> Times:
    """Times the compiled program of a sweep's first group.

    Args:
      manifest: of a sweep whose designs go together.
      designs: how many of them, a multiple of `batch`.
      batch: how many at a time.
    """
    found = opened(manifest)
    group = found.designs.groups[0]
    traced = trace(found.designs, group, manifest["seed"], manifest["draws"])
    assert traced is not None  # Gaussian data and affine scores
    values = found.designs.values(group, np.arange(designs))
    given = {name: jnp.asarray(values[name]) for name in found.designs.moving}
    program = jax.jit(lambda own: jax.lax.map(traced.row, own, batch_size=batch))
    return timed(lambda: program(given))


def training_step(width: int) -> Times:
    """Times a step of gradient descent on the paper's network, one hidden matrix, d = 4.

    Args:
      width: of the network.
    """
    schedule, key = edm(10), jax.random.key(0)
    points = Gaussian.isotropic(4, 0.5).sample(key, 20)
    data = denoising_data(points, schedule, edm_weighting(), key)
    descent = GradientDescent(relu_network(key, 4, width, 1, "float64"), data, jnp.asarray(1e-6))
    state = descent.init()
    step = jax.jit(lambda s: descent.step(s)[0])
    return timed(lambda: step(state))


def _batch(piece: Settings) -> Iterator[dict[str, Any]]:
    """Designs per second against the number of designs worked on at a time."""
    for dim, steps in piece["shapes"]:
        manifest = gaussian_sweep(dim, steps, piece["designs"], piece["designs"])
        for batch in piece["batches"]:
            found = mapped(manifest, piece["designs"], batch)
            about = {"series": f"d = {dim}, N = {steps}", "x": batch}
            yield about | _rate(piece["designs"], found)


def _rate(designs: int, found: Times) -> dict[str, float]:
    """Designs per second, between those of the median and of the least time."""
    fastest = designs / found.least
    return {"value": fastest, "low": designs / found.median, "high": fastest}


def _cost(each: int, found: Times) -> dict[str, float]:
    """Seconds for one, between the least and the median."""
    least = found.least / each
    return {"value": least, "low": least, "high": found.median / each}


def _of_size(which: str, x: int, piece: Settings) -> dict[str, float]:
    """Seconds for a design, or a step, of one size."""
    if which == "m":
        return _cost(1, training_step(x))
    each = piece["designs"]
    if which == "n":
        manifest = trained_sweep(x, each)
    else:
        dim, steps = (x, 30) if which == "d" else (16, x)
        manifest = gaussian_sweep(dim, steps, each, each)
    return _cost(each, mapped(manifest, each, piece["batch"]))


def _size(piece: Settings) -> Iterator[dict[str, Any]]:
    """Seconds for a design, or a step, against one size; and the exponents of its growth."""
    which = piece["size"]
    rows = [{"series": which, "x": x} | _of_size(which, x, piece) for x in piece["values"]]
    yield from rows
    last = rows[-piece["last"] :]
    slope = log_log_slope([row["x"] for row in last], [row["value"] for row in last])
    value, error = float(slope.value), float(slope.error)
    about = {"series": which, "x": last[0]["x"], "row": "exponent"}
    yield about | {"value": value, "low": value - error, "high": value + error}


def _environment(devices: int) -> dict[str, str]:
    """What makes a new process see so many devices."""
    if jax.default_backend() == "cpu":
        return {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    visible = ",".join(str(i) for i in range(devices))
    return {"CUDA_VISIBLE_DEVICES": visible, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def _start(environment: dict[str, str]) -> None:
    """Prepares a new process, before it looks for devices."""
    os.environ.update(environment)
    prepare_jax()


def whole_pieces(designs: int, pieces: int) -> tuple[float, float]:
    """Designs per second of pieces computed one after another by all devices: median and best.

    Args:
      designs: of a piece.
      pieces: number of pieces after the first, which compiles.
    """
    manifest = gaussian_sweep(16, 50, designs * (pieces + 1), designs)
    times = []
    for piece in range(pieces + 1):
        start = time.perf_counter()
        compute(manifest, piece)
        times.append(time.perf_counter() - start)
    return designs / float(np.median(times[1:])), designs / min(times[1:])


def _devices(piece: Settings) -> Iterator[dict[str, Any]]:
    """Designs per second against the number of devices that share a piece."""
    spawn = multiprocessing.get_context("spawn")  # a process with its own devices
    for count in piece["counts"]:
        options = {"initializer": _start, "initargs": (_environment(count),)}
        with ProcessPoolExecutor(1, mp_context=spawn, **options) as pool:
            work = pool.submit(whole_pieces, piece["designs"], piece["pieces"])
            median, best = work.result()
        yield {"series": "devices", "x": count, "value": best, "low": median, "high": best}


def _unheard(message: str) -> None:
    """Takes messages that a table has no place for."""


def _workers(piece: Settings) -> Iterator[dict[str, Any]]:
    """Designs per second against the number of worker processes, in steady state."""
    if importlib.util.find_spec("distributed") is None:
        yield {"series": "workers", "row": "missing"}
        return
    designs, each = piece["designs"], piece["pieces"]
    for count in piece["counts"]:
        total = each * (count + 1)
        manifest = gaussian_sweep(16, 50, designs * total, designs)
        results = clustered(compute, manifest, range(total), f"local:{count}", _unheard)
        times = [time.perf_counter() for _ in results]
        begun = 2 * count  # by then every worker has compiled its program
        spans = [b - a for a, b in itertools.pairwise(times[begun::count])]
        together = designs * count
        yield {"series": "workers", "x": count} | {
            "value": together * len(spans) / sum(spans),
            "low": together / max(spans),
            "high": together / min(spans),
        }


_PARTS = {"batch": _batch, "size": _size, "devices": _devices, "workers": _workers}


def compute_piece(piece: Settings) -> pd.DataFrame:
    """One part of the table.

    Args:
      piece: `part` and its settings.
    """
    rows = [{"row": "point"} | row for row in _PARTS[piece["part"]](piece)]
    return pd.DataFrame(rows).assign(part=piece["part"])


def pieces(settings: Settings) -> Sequence[Settings]:
    """One piece for each part, and for each size that grows."""
    found = [{"part": part, **settings[part]} for part in ("batch", "devices", "workers")]
    common = {name: value for name, value in settings["size"].items() if name != "values"}
    sizes = settings["size"]["values"].items()
    return found + [{"part": "size", "size": s, "values": v, **common} for s, v in sizes]


def finding(table: pd.DataFrame) -> str:
    """Exponents, and what batches, devices and workers gain."""
    points = table[table["row"] == "point"]
    exponents = table[table["row"] == "exponent"].set_index("series")
    grown = ", ".join(
        f"{name}^({row['value']:.2f} ± {row['high'] - row['value']:.2f})"
        for name, row in exponents.iterrows()
    )
    gains = []
    for series, own in points[points["part"] == "batch"].groupby("series", sort=False):
        best = own.loc[own["value"].idxmax()]
        gain = best["value"] / own["value"].iloc[0]
        gains.append(f"{gain:.1f} times at a batch of {best['x']:.0f} ({series})")
    shared = []
    for part in ("devices", "workers"):
        own = points[points["part"] == part]
        if own.empty:
            shared.append(f'{part} not measured: pip install "design-space[cluster]"')
            continue
        ratio = own["value"].iloc[-1] / own["value"].iloc[0]
        shared.append(f"{own['x'].iloc[-1]:.0f} {part} {ratio:.2f} times the rate of one")
    return (
        f"Cost grows as {grown}. Batching gains {'; '.join(gains)}, over one design at a time in "
        f"the same compiled loop. {', '.join(shared)}."
    )


_SIZES = {
    "d": [1, 16, 32, 64, 128, 256],
    "N": [10, 25, 50, 100, 200, 400],
    "n": [30, 100, 200, 400, 800, 1600],
    "m": [32, 64, 128, 256, 512, 1024],
}

_QUICK = {
    "batch": {"shapes": [[1, 20], [64, 100]], "batches": [1, 16, 64, 256, 1024], "designs": 1024},
    "size": {"values": _SIZES, "designs": 64, "batch": 16, "last": 5},
    "devices": {"counts": [1, 2], "designs": 16384, "pieces": 5},
    "workers": {"counts": [1, 2], "designs": 16384, "pieces": 6},
}

_FULL = {
    "batch": {
        "shapes": [[1, 20], [16, 50], [64, 100]],
        "batches": [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536],
        "designs": 65536,
    },
    "size": {
        "values": {
            "d": [*_SIZES["d"], 512, 1024, 3072],
            "N": [*_SIZES["N"], 800, 1600, 3200],
            "n": [*_SIZES["n"], 3200, 6400],
            "m": [*_SIZES["m"], 2048, 4096],
        },
        "designs": 1024,
        "batch": 16,
        "last": 6,
    },
    "devices": {"counts": [1, 2, 4, 8], "designs": 262144, "pieces": 8},
    "workers": {"counts": [1, 2, 4, 8], "designs": 65536, "pieces": 8},
}

EXPERIMENT = Experiment(
    name="scaling",
    title="What a design costs",
    file=Path(__file__),
    presets={"quick": _QUICK, "full": _FULL},
    pieces=pieces,
    compute=compute_piece,
    finding=finding,
    alone=True,
)

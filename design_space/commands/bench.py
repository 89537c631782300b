"""`design-space bench`: the benchmark table of this machine."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from design_space.arrays import Array
from design_space.commands.bench_designs import LEVELS, Plan, time_designs
from design_space.commands.bench_training import Comparison, comparisons
from design_space.errors.gaussian import CommutingErrors, commuting_errors
from design_space.errors.marginal import marginal_errors
from design_space.provenance import device, versions
from design_space.schedules.named import edm
from design_space.scores.exact import exact_score
from design_space.targets.mixture import GaussianMixture

DESIGNS, EIGENVALUES, STEPS = 20_000, 64, 100
"""Size of the batch of Gaussian designs."""

REPEATS = 5
"""Timings of which the median is shown, where a run is short."""


class Timing(eqx.Module):
    """How long one task took.

    Attributes:
      task: what was done.
      seconds: median over the repeats.
      repeats: how often it was done.
      target: the time that it should stay under, in seconds; None where none is set.
    """

    task: str
    seconds: float
    repeats: int
    target: float | None = None


def _seconds(work: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call, to the end of its computation."""
    start = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - start


def _median(task: str, work: Callable[[], Any], repeats: int, target: float | None) -> Timing:
    times = [_seconds(work) for _ in range(repeats)]
    return Timing(task, statistics.median(times), repeats, target)


def gaussian_batch(designs: int, dim: int, steps: int) -> tuple[Array, Array, Array, Array]:
    """Designs that all differ: eigenvalues in [1e-4, 1e2], EDM grids with rho in [3, 12].

    Args:
      designs: number of designs.
      dim: number of eigenvalues of each.
      steps: number of steps of each.

    Returns:
      Means [designs, dim], eigenvalues [designs, dim], variances [designs, steps + 1] and
      variance steps [designs, steps].
    """
    key = jax.random.key(0)
    exponents = jax.random.uniform(key, (designs, dim), minval=-4.0, maxval=2.0)
    grids = jax.vmap(lambda rho: edm(steps, rho=rho))(jnp.linspace(3.0, 12.0, designs))
    variances = grids.forward_sigmas[:, ::-1] ** 2
    differences = jax.vmap(lambda grid: grid.backward_variance_steps)(grids)
    return jnp.zeros((designs, dim)), 10**exponents, variances, differences


def time_gaussians() -> list[Timing]:
    """Times one vmapped call over many Gaussian designs: compilation, then running."""
    batch = jax.block_until_ready(gaussian_batch(DESIGNS, EIGENVALUES, STEPS))

    def wanted(*design: Array) -> tuple[Array, Array, Array]:
        errors: CommutingErrors = commuting_errors(*design)
        return errors.initialization, errors.discretization, errors.marginal_kl

    start = time.perf_counter()
    compiled = jax.jit(jax.vmap(wanted)).lower(*batch).compile()
    compilation = Timing("the same, compilation", time.perf_counter() - start, 1)
    task = f"{DESIGNS:,} Gaussian designs, N = {STEPS}, {EIGENVALUES} eigenvalues, one call"
    return [_median(task, lambda: compiled(*batch), REPEATS, 1.0), compilation]


def time_mixture(steps: int, target: float) -> list[Timing]:
    """Times the marginal KL of a mixture in one dimension: first call, then the calls after it."""
    law = GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], [0.1, 0.1])
    schedule, score, key = edm(steps), exact_score(law), jax.random.key(0)

    def work() -> Array:
        return marginal_errors(law, schedule, score, key, samples=64).marginal_kl.value

    task = f"mixture marginal KL in 1-D, N = {steps}"
    cold = Timing(f"{task}, first call", _seconds(work), 1, target)
    return [cold, _median(f"{task}, later calls", work, 3, target)]


def time_whole_designs() -> Timing:
    """Times 100,000 designs from data to error budget, compilation included."""
    plan = Plan()
    task = f"{plan.designs:,} trained designs, N = {LEVELS}, d = 1, with compilation"
    return Timing(task, time_designs(plan), 1, 60.0)


def time_help() -> Timing:
    """Times `design-space --help` as a process of its own."""
    command = [sys.executable, "-m", "design_space.cli", "--help"]

    def work() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    return _median("design-space --help", work, REPEATS, 0.7)


def machine() -> dict[str, Any]:
    """What the numbers depend on: platform, processor count, device and versions."""
    return {
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "device": device(),
        "versions": versions(),
    }


def run(as_json: bool = False) -> None:
    """Times every task and prints the table.

    Args:
      as_json: print one JSON object and nothing else.
    """
    timings: list[Timing] = []
    with Console(stderr=True).status("timing") as status:
        timings += time_gaussians()
        status.update("timing mixtures")
        timings += time_mixture(100, 2.0) + time_mixture(500, 10.0)
        status.update("timing trained designs")
        timings.append(time_whole_designs())
        status.update("timing training")
        compared = comparisons()
        status.update("timing the start")
        timings.append(time_help())
    about = machine()
    if as_json:
        rows = [
            {"task": t.task, "seconds": t.seconds, "repeats": t.repeats, "target": t.target}
            for t in timings
        ]
        ratios = [{f: getattr(c, f) for f in Comparison.__annotations__} for c in compared]
        whole = {"timings": rows, "comparisons": ratios, "machine": about}
        print(json.dumps(whole, indent=2))
        return
    Console().print(_table(timings))
    Console().print(_ratios(compared))
    numbers = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    print(f"{about['platform']}, {about['cores']} cores, {about['device']}")
    print(numbers)


def _table(timings: list[Timing]) -> Table:
    table = Table(title="Seconds, median of the repeats", title_justify="left")
    table.add_column("task")
    for name in ("seconds", "target", "repeats"):
        table.add_column(name, justify="right")
    for timing in timings:
        target = "" if timing.target is None else f"< {timing.target:g}"
        table.add_row(timing.task, f"{timing.seconds:.3g}", target, str(timing.repeats))
    return table


def _ratios(compared: list[Comparison]) -> Table:
    table = Table(title="Milliseconds a step, taking turns", title_justify="left")
    for name in ("task", "beside"):
        table.add_column(name)
    for name in ("task, ms", "beside, ms", "ratio", "target"):
        table.add_column(name, justify="right")
    for row in compared:
        times = (f"{1e3 * t:.3g}" for t in (row.seconds, row.beside_seconds))
        table.add_row(row.task, row.beside, *times, f"{row.measured:.2f}", row.ratio)
    return table

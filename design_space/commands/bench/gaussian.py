"""Exact errors of many Gaussian designs: the sweep engine beside its program, and NumPy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array
from design_space.commands.bench.numpy_forms import edm_sigmas, gaussian_in_blocks
from design_space.commands.bench.timing import Family, Line, Target, Work
from design_space.errors.gaussian import CommutingErrors, commuting_errors
from design_space.sweeps.content import compute, opened
from design_space.sweeps.plan import plan

SIGMA_MIN = 0.002
"""The last noise level of every design."""


class Size(NamedTuple):
    """A product of designs that all differ.

    Attributes:
      exponents: how many rho in [3, 12].
      levels: how many sigma_max in [40, 160].
      dim: eigenvalues of the data, in [1e-4, 1e2].
      steps: N.
      part: designs that the NumPy floors go through; the whole is extrapolated.
      apart: the same where NumPy takes one design at a time.
      block: designs that NumPy takes at a time.
    """

    exponents: int
    levels: int
    dim: int = 64
    steps: int = 100
    part: int = 2048
    apart: int = 64
    block: int = 128

    @property
    def designs(self) -> int:
        """How many there are."""
        return self.exponents * self.levels


def sizes(platform: str) -> Size:
    """One piece of a sweep, of a size that the platform is fed with."""
    return Size(128, 128) if platform == "cpu" else Size(512, 512)


def eigenvalues(size: Size) -> np.ndarray:
    """The eigenvalues of the data, the same for all designs."""
    return np.geomspace(1e-4, 1e2, size.dim)


def specification(size: Size) -> dict[str, Any]:
    """The sweep, as a file would give it."""
    variances = eigenvalues(size).tolist()
    return {
        "target": {"kind": "gaussian", "mean": [0.0] * size.dim, "variances": variances},
        "schedule": {"kind": "edm", "sigma_min": SIGMA_MIN, "steps": size.steps},
        "sweep": {
            "schedule.rho": {"from": 3.0, "to": 12.0, "count": size.exponents},
            "schedule.sigma_max": {"from": 40.0, "to": 160.0, "count": size.levels},
        },
    }


def levels(size: Size) -> np.ndarray:
    """Noise levels of all designs in the order of the sweep, shape [designs, steps + 1]."""
    rho = np.repeat(np.linspace(3.0, 12.0, size.exponents), size.levels)
    high = np.tile(np.linspace(40.0, 160.0, size.levels), size.exponents)
    return edm_sigmas(rho, np.full(size.designs, SIGMA_MIN), high, size.steps)


def _divisions(count: int, block: int) -> None:
    """Divides numbers that lie in the cache, `count` times in all."""
    numbers = np.linspace(1.0, 2.0, block)
    made = np.empty(block)
    for _ in range(-(-count // block)):
        np.divide(1.0, numbers, out=made)


def vectorized(own: np.ndarray, sigmas: np.ndarray) -> Callable[[], tuple[Array, ...]]:
    """The errors of all designs by one vmapped call, as a script would ask for them.

    Args:
      own: eigenvalues of the data, shape [dim].
      sigmas: levels from large to small, shape [designs, steps + 1].

    Returns:
      The call, whose results are E_I, E_D and the marginal KL, each of shape [designs].
    """
    variances = jnp.asarray(sigmas**2)
    eigenvalues, steps = jnp.asarray(own), variances[:, :-1] - variances[:, 1:]

    def wanted(variances: Array, steps: Array) -> tuple[Array, ...]:
        zeros = jnp.zeros_like(eigenvalues)
        found: CommutingErrors = commuting_errors(zeros, eigenvalues, variances, steps)
        return found.initialization, found.discretization, found.marginal_kl

    every = jax.jit(jax.vmap(wanted))
    return lambda: every(variances, steps)


def numpy_works(size: Size) -> dict[str, Work]:
    """The same formulas in NumPy, and the least that they need.

    Args:
      size: the designs.
    """
    own, sigmas = eigenvalues(size), levels(size)
    part, apart = min(size.part, size.designs), min(size.apart, size.designs)
    numbers = part * size.dim * size.steps
    extrapolated = f"extrapolated from {part:,} designs"
    return {
        "numpy": Work(
            f"the same formulas in NumPy, {size.block} designs at a time, {extrapolated}",
            lambda: gaussian_in_blocks(own, sigmas[:part], size.block),
            share=part / size.designs,
        ),
        "loop": Work(
            f"the same in NumPy, one design at a time, extrapolated from {apart:,} designs",
            lambda: gaussian_in_blocks(own, sigmas[:apart], 1),
            share=apart / size.designs,
        ),
        "division": Work(
            f"one division for each step and eigenvalue, in the cache, by NumPy, {extrapolated}",
            lambda: _divisions(numbers, size.block * size.dim),
            share=part / size.designs,
        ),
    }


def prepare(size: Size, folder: Path) -> dict[str, Work]:
    """The works: a piece from manifest to bytes, its program, one vmapped call, forms in NumPy.

    Args:
      size: the designs.
      folder: not used; nothing is written.
    """
    manifest = plan(specification(size), folder, piece=size.designs)
    batches, rows = opened(manifest).batches, np.arange(size.designs)
    what = f"{size.designs:,} Gaussian designs, N = {size.steps}, {size.dim} eigenvalues"
    amount = (size.designs, "designs")
    return {
        "piece": Work(f"{what}: a piece of a sweep", lambda: compute(manifest, 0), amount=amount),
        "program": Work(
            f"{what}: the compiled program of the sweep alone, numbers in and numbers out",
            lambda: batches.together(0, rows).numbers,
            amount=amount,
        ),
        "errors": Work(
            f"{what}: E_I, E_D and marginal KL by one vmapped call",
            vectorized(eigenvalues(size), levels(size)),
            amount=amount,
        ),
        **numpy_works(size),
    }


FAMILY = Family(
    prepare,
    sizes,
    Size(3, 2, dim=4, steps=5, part=4, apart=2, block=2),
    (
        Line("gaussian-sweep", "piece", "program", Target("ratio", 1.15)),
        Line("gaussian-program", "program", "division"),
        Line("gaussian-numpy", "piece", "numpy"),
        Line("gaussian-errors", "errors", "numpy", Target("seconds", 1.0)),
        Line("gaussian-loop", "piece", "loop"),
    ),
)

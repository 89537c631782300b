"""A mixture on the line: its density carried through the sampler, and particles."""

import importlib
import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array
from design_space.commands.bench.numpy_forms import Mixture, dense_marginal_kl, particles
from design_space.commands.bench.timing import Family, Line, Target, Work
from design_space.errors.marginal import marginal_errors
from design_space.sampling.simulate import simulate
from design_space.schedules.named import edm
from design_space.scores.exact import exact_score
from design_space.targets.mixture import GaussianMixture

LAW = Mixture(np.array([0.5, 0.5]), np.array([-1.0, 1.0]), np.array([0.1, 0.1]))
"""The data law: two narrow modes."""


class DensitySize(NamedTuple):
    """One design.

    Attributes:
      steps: N.
      sigma_min: its last noise level.
      sigma_max: its first.
      points: of the grids of the dense rule.
      part: steps that the dense rule goes through; the whole is extrapolated.
    """

    steps: int
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    points: int = 1024
    part: int = 100


class ParticleSize(NamedTuple):
    """A simulation.

    Attributes:
      count: particles.
      steps: N.
    """

    count: int
    steps: int = 100


def target() -> GaussianMixture:
    """The data law as a target of ours."""
    means = [[float(mean)] for mean in LAW.means]
    return GaussianMixture.isotropic(LAW.weights.tolist(), means, LAW.stds.tolist())


def prepare_density(size: DensitySize, folder: Path) -> dict[str, Work]:
    """The works: the marginal KL with its error bar, and the dense rule in NumPy.

    Args:
      size: the design.
      folder: not used; nothing is written.
    """
    law, key = target(), jax.random.key(0)
    schedule, score = edm(size.steps, size.sigma_min, size.sigma_max), exact_score(law)
    part = min(size.part, size.steps)
    sigmas = np.asarray(schedule.backward_sigmas)[: part + 1]

    def ours() -> Array:
        return marginal_errors(law, schedule, score, key, samples=64).marginal_kl.value

    dense = f"one dense kernel on {size.points} points a step, in NumPy"
    if part < size.steps:
        dense += f", extrapolated from {part} steps"
    return {
        "density": Work(f"marginal KL of a mixture on the line, N = {size.steps}", ours),
        "dense": Work(
            dense,
            lambda: dense_marginal_kl(LAW, sigmas, size.points),
            share=part / size.steps,
        ),
    }


def _normals(size: ParticleSize) -> Callable[[], Any]:
    """The random numbers of a simulation alone, one step after another."""

    def step(total: Array, key: Array) -> tuple[Array, None]:
        return total + jax.random.normal(key, total.shape), None

    draw = jax.jit(lambda keys: jax.lax.scan(step, jnp.zeros((size.count, 1)), keys)[0])
    keys = jax.random.split(jax.random.key(0), size.steps + 1)
    return lambda: draw(keys)


def torch_particles(torch: Any, law: Mixture, sigmas: np.ndarray, count: int) -> Any:
    """`numpy_forms.particles` in PyTorch.

    Args:
      torch: the module.
      law: the data law.
      sigmas: levels from large to small, shape [steps + 1].
      count: number of particles.

    Returns:
      Y_N, a tensor of shape [count] on the device of PyTorch that is fastest.
    """
    there = {"dtype": torch.float64, "device": "cuda" if torch.cuda.is_available() else "cpu"}
    weights, means, stds = (torch.tensor(part, **there)[:, None] for part in law)
    y = sigmas[0] * torch.randn(count, **there)
    for high, low in itertools.pairwise(sigmas):
        h, total = high**2 - low**2, stds**2 + high**2
        slope = (means - y[None, :]) / total
        logs = torch.log(weights) - 0.5 * torch.log(total) - 0.5 * slope**2 * total
        score = (torch.softmax(logs, dim=0) * slope).sum(dim=0)
        y = y + h * score + h**0.5 * torch.randn(count, **there)
    if there["device"] == "cuda":
        torch.cuda.synchronize()
    return y


def prepare_particles(size: ParticleSize, folder: Path) -> dict[str, Work]:
    """The works: our simulation, its random numbers, and loops in NumPy and, if it is there, torch.

    Args:
      size: the simulation.
      folder: not used; nothing is written.
    """
    schedule, score, key = edm(size.steps), exact_score(target()), jax.random.key(0)
    sigmas = np.asarray(schedule.backward_sigmas)
    rng = np.random.default_rng(0)
    what = f"{size.count:,} particles through {size.steps} steps on a mixture on the line"
    works = {
        "particles": Work(
            what,
            lambda: simulate(score, schedule, key, count=size.count, dim=1).particles,
            amount=(size.count * size.steps, "particle steps"),
        ),
        "normals": Work("its normal random numbers alone, by JAX", _normals(size)),
        "numpy": Work("the same loop in NumPy", lambda: particles(LAW, sigmas, size.count, rng)),
    }
    if importlib.util.find_spec("torch") is not None:
        torch = importlib.import_module("torch")
        loop = "the same loop in PyTorch"
        works["torch"] = Work(loop, lambda: torch_particles(torch, LAW, sigmas, size.count))
    return works


DENSITY = Family(
    prepare_density,
    lambda platform: DensitySize(100),
    DensitySize(4, sigma_min=0.5, sigma_max=5.0, points=512),
    (Line("mixture-density", "density", "dense", Target("seconds", 2.0)),),
)

LONG_DENSITY = DENSITY._replace(
    sizes=lambda platform: DensitySize(500),
    lines=(Line("mixture-density-500", "density", "dense", Target("seconds", 10.0)),),
    rounds=3,
)

PARTICLES = Family(
    prepare_particles,
    lambda platform: ParticleSize(100_000 if platform == "cpu" else 1_000_000),
    ParticleSize(64, 3),
    (
        Line("particles", "particles", "normals"),
        Line("particles-numpy", "particles", "numpy"),
        Line("particles-torch", "particles", "torch"),
    ),
    rounds=3,
)

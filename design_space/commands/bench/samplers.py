"""Samplers: particles beside k-diffusion's loops, and single designs beside a loop over them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from design_space.commands.bench.gaussian import Size as GaussianSize
from design_space.commands.bench.gaussian import levels, vectorized
from design_space.commands.bench.line import LAW, ParticleSize, target
from design_space.commands.bench.numpy_forms import (
    Mixture,
    gaussian_in_blocks,
    heun_particles,
)
from design_space.commands.bench.timing import Family, Line, Target, Work
from design_space.commands.parity.libraries import K_DIFFUSION, loaded
from design_space.sampling.flows import FlowHeun
from design_space.sampling.simulate import simulate
from design_space.sampling.steppers import AbstractStepper, Ancestral
from design_space.schedules.named import edm
from design_space.scores.exact import exact_score


def torch_denoiser(torch: Any, law: Mixture, there: dict[str, Any]) -> Callable[..., Any]:
    """E(X_0 | X_v = x) of a mixture on the line, as k-diffusion asks for it.

    Args:
      torch: the module.
      law: the data law.
      there: dtype and device.
    """
    weights, means, stds = (torch.tensor(part, **there) for part in law)

    def denoised(x: Any, sigma: Any) -> Any:
        v = sigma[0] ** 2
        total = stds**2 + v
        slope = (means - x) / total
        logs = torch.log(weights) - 0.5 * torch.log(total) - 0.5 * slope**2 * total
        return x + v * (torch.softmax(logs, dim=1) * slope).sum(dim=1, keepdim=True)

    return denoised


def _their_loops(size: ParticleSize, sigmas: np.ndarray) -> dict[str, Work]:
    """k-diffusion's samplers on the same particles, if it is installed."""
    library, _ = loaded(K_DIFFUSION)
    if library is None:
        return {}
    torch = library.torch
    there = {"dtype": torch.float64, "device": "cuda" if torch.cuda.is_available() else "cpu"}
    model, grid = torch_denoiser(torch, LAW, there), torch.tensor(sigmas, **there)

    def run(sample: Callable[..., Any]) -> Callable[[], Any]:
        def all_steps() -> Any:
            start = sigmas[0] * torch.randn((size.count, 1), **there)
            end = sample(model, start, grid, disable=True)
            if there["device"] == "cuda":
                torch.cuda.synchronize()
            return end

        return all_steps

    given = (("their-ancestral", "sample_euler_ancestral"), ("their-heun", "sample_heun"))
    return {
        key: Work(f"k-diffusion's {name}", run(getattr(library.sampling, name)))
        for key, name in given
    }


def prepare(size: ParticleSize, folder: Path) -> dict[str, Work]:
    """The works: ancestral sampling and Heun's method, ours, in NumPy and k-diffusion's.

    Args:
      size: the simulation.
      folder: not used; nothing is written.
    """
    schedule, score, key = edm(size.steps), exact_score(target()), jax.random.key(0)
    what = f"{size.count:,} particles through {size.steps} steps on a mixture on the line"

    def ours(stepper: AbstractStepper) -> Callable[[], Any]:
        run = {"count": size.count, "dim": 1, "stepper": stepper}
        return lambda: simulate(score, schedule, key, **run).particles

    amount = (size.count * size.steps, "particle steps")
    sigmas, rng = np.asarray(schedule.backward_sigmas), np.random.default_rng(0)
    return {
        "ancestral": Work(f"{what}: ancestral", ours(Ancestral()), amount=amount),
        "heun": Work(f"{what}: Heun", ours(FlowHeun()), amount=amount),
        "numpy": Work(
            "the same loop in NumPy", lambda: heun_particles(LAW, sigmas, size.count, rng)
        ),
        **_their_loops(size, sigmas),
    }


PARTICLES = Family(
    prepare,
    lambda platform: ParticleSize(100_000 if platform == "cpu" else 1_000_000),
    ParticleSize(64, 3),
    (
        Line("heun-numpy", "heun", "numpy"),
        Line("ancestral-k-diffusion", "ancestral", "their-ancestral", Target("ratio", 0.2)),
        Line("heun-k-diffusion", "heun", "their-heun", Target("ratio", 0.2)),
    ),
    rounds=3,
)


class SpectrumSize(NamedTuple):
    """Designs on data of one spectrum, each evaluated alone by the floor.

    Attributes:
      designs: how many.
      dim: eigenvalues of the data, in [1e-4, 1e2].
      steps: N.
      part: designs that the loop goes through; the whole is extrapolated.
    """

    designs: int
    dim: int
    steps: int = 100
    part: int = 64


def prepare_spectrum(size: SpectrumSize, folder: Path) -> dict[str, Work]:
    """The works: the errors of all designs by one call, and a loop over single designs in NumPy.

    Args:
      size: the designs.
      folder: not used; nothing is written.
    """
    each = GaussianSize(size.designs, 1, dim=size.dim, steps=size.steps)
    own, sigmas = np.geomspace(1e-4, 1e2, size.dim), levels(each)
    part = min(size.part, size.designs)
    what = f"a design of {size.dim} eigenvalues and {size.steps} steps"
    loop = f"the same in NumPy, a loop over {part} designs"
    return {
        "errors": Work(
            f"{what}: E_I, E_D and marginal KL, {size.designs:,} designs in one call",
            vectorized(own, sigmas),
            share=size.designs,
        ),
        "loop": Work(loop, lambda: gaussian_in_blocks(own, sigmas[:part], 1), share=part),
    }


def _spectrum(name: str, size: SpectrumSize, target: Target) -> Family:
    tiny = SpectrumSize(3, 2, 4, 2)
    return Family(
        prepare_spectrum, lambda platform: size, tiny, (Line(name, "errors", "loop", target),)
    )


SMALL = _spectrum("design-3", SpectrumSize(65_536, 3), Target("ratio", 0.01))
MIDDLE = _spectrum("design-64", SpectrumSize(4096, 64), Target("ratio", 0.05))
LARGE = _spectrum("design-3072", SpectrumSize(4, 3072, 1000, 2), Target("seconds", 0.05))

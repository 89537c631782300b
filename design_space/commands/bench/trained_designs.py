"""Whole designs, trained and sampled in closed form: many at once beside one at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from design_space.arrays import Array, Key
from design_space.commands.bench.timing import Family, Line, Target, Work
from design_space.pipeline import evaluate_training
from design_space.schedules.named import edm, song
from design_space.schedules.schedule import Schedule
from design_space.scores.linear import per_level_affine
from design_space.targets.gaussian import Gaussian
from design_space.training.ensemble import stack
from design_space.training.objective import denoising_data
from design_space.weightings.named import edm_weighting

LEVELS = 20
"""Number N of noise levels of every design."""

QUANTITIES = ("initialization", "discretization", "score", "path_kl", "marginal_kl", "w2")


class Size(NamedTuple):
    """A product of designs.

    Attributes:
      exponents: EDM schedules, by rho; Song's is one more.
      centers: EDM bells, by P_mean.
      steps: how many steps of gradient descent are looked at, from 0 to a million.
      samples: number n of data points.
      apart: designs that are gone through one at a time; the whole is extrapolated.
    """

    exponents: int = 9
    centers: int = 10
    steps: int = 250
    samples: int = 100
    apart: int = 20

    @property
    def designs(self) -> int:
        """How many there are."""
        return (self.exponents + 1) * self.centers * self.steps


def schedules(size: Size) -> Schedule:
    """EDM's schedules and Song's, batched along the first axis.

    Args:
      size: how many.
    """
    exponents = [float(rho) for rho in jnp.linspace(3.0, 12.0, size.exponents)]
    return stack([*(edm(LEVELS, rho=rho) for rho in exponents), song(LEVELS)])


def numbers_of(size: Size) -> tuple[Array, Array]:
    """The centers of the bells, and the steps of gradient descent.

    Args:
      size: how many.
    """
    steps = jnp.round(jnp.expm1(jnp.linspace(0.0, jnp.log1p(1e6), size.steps))).astype(int)
    return jnp.linspace(-2.0, 0.0, size.centers), steps


def one_design(samples: int, key: Key) -> Callable[[Schedule, Array, Array], Array]:
    """The program of one design: (schedule, center, step) -> numbers.

    A design is trained on its own loss with its own learning rate, half of its stability limit, on
    draws of N(.3, .25), from weights zero.

    Args:
      samples: number n of data points.
      key: random key of the data, which all designs share.

    Returns:
      The function. Its numbers are six quantities of the budget, empirical loss and population
      excess, shape [8].
    """
    target = Gaussian.isotropic(1, 0.5, jnp.array([0.3]))
    points = target.sample(key, samples)

    def design(schedule: Schedule, center: Array, step: Array) -> Array:
        weighting = edm_weighting(p_mean=center)
        data = denoising_data(points, schedule, weighting, key)
        model = per_level_affine(1, schedule)
        found = evaluate_training(target, schedule, weighting, model, data=data, steps=step)
        row = [getattr(found.last, name).value for name in QUANTITIES]
        return jnp.stack([*row, found.losses[0], found.excesses[0].value])

    return design


def prepare(size: Size, folder: Path) -> dict[str, Work]:
    """The works: all designs by one compiled program, and one at a time by another.

    Args:
      size: the product of designs.
      folder: not used; nothing is written.
    """
    design = one_design(size.samples, jax.random.key(0))
    along = jax.vmap(design, (None, None, 0))
    every = jax.jit(jax.vmap(jax.vmap(along, (None, 0, None)), (0, None, None)))
    alone = jax.jit(design)
    grids, (centers, steps) = schedules(size), numbers_of(size)
    apart = min(size.apart, size.designs)
    first = jax.tree.map(lambda leaf: leaf[0], grids)
    some = [(centers[i % size.centers], steps[i % size.steps]) for i in range(apart)]

    def loop() -> list[Any]:
        return [jax.block_until_ready(alone(first, *numbers)) for numbers in some]

    what = f"{size.designs:,} trained designs, N = {LEVELS}, d = 1, n = {size.samples}"
    one = f"the same program for one design at a time, extrapolated from {apart} designs"
    amount = (size.designs, "designs")
    return {
        "together": Work(what, lambda: every(grids, centers, steps), amount=amount),
        "apart": Work(one, loop, share=apart / size.designs),
    }


FAMILY = Family(
    prepare,
    lambda platform: Size() if platform == "cpu" else Size(steps=2500),
    Size(exponents=1, centers=2, steps=2, samples=5, apart=2),
    (Line("trained-designs", "together", "apart", Target("first_seconds", 15.0)),),
    rounds=3,
)

"""Timing of whole designs, trained and sampled in closed form, for `design-space bench`."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from design_space.arrays import Array, Key
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


class Plan(NamedTuple):
    """A product of designs; defaults give 100,000.

    Attributes:
      exponents: EDM schedules, by rho; Song's is one more.
      centers: EDM bells, by P_mean.
      steps: how many steps of gradient descent are looked at, from 0 to a million.
      samples: numbers n of data points.
    """

    exponents: int = 9
    centers: int = 10
    steps: int = 250
    samples: Sequence[int] = (10, 30, 100, 300)

    @property
    def designs(self) -> int:
        """How many there are."""
        return (self.exponents + 1) * self.centers * self.steps * len(self.samples)


def schedules(plan: Plan) -> Schedule:
    """EDM's schedules and Song's, batched along the first axis.

    Args:
      plan: how many.
    """
    exponents = [float(rho) for rho in jnp.linspace(3.0, 12.0, plan.exponents)]
    return stack([*(edm(LEVELS, rho=rho) for rho in exponents), song(LEVELS)])


def whole_designs(plan: Plan, samples: int, key: Key) -> Array:
    """Every design of a plan with one number of samples, by one compiled program.

    Each is trained on its own loss with its own learning rate, half of its stability limit, on
    draws of N(.3, .25), from weights zero.

    Args:
      plan: the product of designs.
      samples: number n of data points.
      key: random key of the data, which all designs share.

    Returns:
      Six quantities of the budget, empirical loss and population excess, shape [schedules,
      weightings, steps, 8].
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

    along = jax.vmap(design, (None, None, 0))
    every = jax.jit(jax.vmap(jax.vmap(along, (None, 0, None)), (0, None, None)))
    steps = jnp.round(jnp.expm1(jnp.linspace(0.0, jnp.log1p(1e6), plan.steps))).astype(int)
    return every(schedules(plan), jnp.linspace(-2.0, 0.0, plan.centers), steps)


def time_designs(plan: Plan) -> float:
    """Seconds for all designs of a plan, compilation included.

    Args:
      plan: the product of designs.
    """
    start = time.perf_counter()
    for samples in plan.samples:
        jax.block_until_ready(whole_designs(plan, samples, jax.random.key(0)))
    return time.perf_counter() - start

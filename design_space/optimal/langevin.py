"""Song's predictor-corrector, its Langevin steps computed from the data law."""

import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Key, Scalar
from design_space.optimal.step_variance import information
from design_space.sampling.steppers import PredictorCorrector
from design_space.schedules.schedule import Schedule
from design_space.targets.base import AbstractTarget


def predictor_corrector(
    target: AbstractTarget,
    schedule: Schedule,
    snr: Scalar = 0.16,
    corrections: int = 1,
    *,
    key: Key | None = None,
    samples: int = 4096,
) -> PredictorCorrector:
    """Song's predictor-corrector with e_j = 2 (snr |z| / |s|)^2 in mean squares.

    Song et al. take the norms of a batch: of the noise, E|z|^2 = d, and of the score. Here the
    latter is E|L_{v_{j+1}}|^2 = I(v_{j+1}) under the data law at the level, so that
    e_j = 2 snr^2 d / I(v_{j+1}) is a number of the design and the sampler has an exact law.

    Args:
      target: the data law.
      schedule: the noise schedule.
      snr: the signal-to-noise ratio r, above 0; may be traced.
      corrections: Langevin steps per level, at least 1.
      key: random key where I can only be sampled; jax.random.key(0) unless given.
      samples: draws per noise level then.

    Raises:
      ValueError: if snr or corrections is out of its domain.

    Source: Algorithm 4 of arXiv 2011.13456, which sets snr = 0.16 for variance-exploding designs.
    """
    checks.positive("snr", snr)
    fisher = information(target, schedule.backward_variances[1:], key, samples)
    return PredictorCorrector(2 * jnp.asarray(snr) ** 2 * target.dim / fisher, corrections)

"""The noise of a step that makes the path KL least, the mean being the paper's."""

import jax
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Key, named_key
from design_space.sampling.steppers import OptimalVariance
from design_space.schedules.schedule import Schedule
from design_space.targets.base import AbstractTarget
from design_space.targets.fisher import fisher_matrices
from design_space.targets.gaussian import Gaussian
from design_space.targets.integrals import mixture_integrals

FORMS = ("isotropic", "full")
"""Which covariances are compared: multiples of the identity, or all."""


def optimal_variance(
    target: AbstractTarget,
    schedule: Schedule,
    form: str = "isotropic",
    *,
    key: Key | None = None,
    samples: int = 4096,
) -> OptimalVariance:
    """The sampler with mean y + h s and the best noise for the exact score.

    Isotropic: h (1 - h I/d); full: h (1 - h J), J = E L L^T the Fisher matrix, that is the mean
    covariance of the reverse process over the step. The full one makes E_D zero for every Gaussian.

    Args:
      target: the data law.
      schedule: the noise schedule.
      form: "isotropic" or "full".
      key: random key where I or J can only be sampled; jax.random.key(0) unless given.
      samples: draws per noise level then. Any variance makes a sampler: a sampled one is near the
        optimum, and its budget is exact for it.

    Raises:
      ValueError: if the form is unknown.

    Source: arXiv 2201.06503 for the isotropic one.
    """
    checks.one_of("form", form, FORMS)
    v, h = schedule.backward_variances[:-1], schedule.backward_variance_steps
    if form == "full":
        draws = _own_key(key)
        matrices = fisher_matrices(target, v, draws, samples).value
        return OptimalVariance(-(h**2)[:, None, None] * matrices)
    return OptimalVariance(-(h**2) * information(target, v, key, samples) / target.dim)


def _own_key(key: Key | None) -> Key:
    """A key of its own: what is optimized on draws must not be judged on the same ones."""
    return named_key(jax.random.key(0) if key is None else key, "step variance")


def information(
    target: AbstractTarget, variances: Float[Array, " n"], key: Key | None, samples: int
) -> Float[Array, " n"]:
    """I(v) by the best way there is; a sampled one is kept below its largest value, d/v.

    Args:
      target: the data law.
      variances: noise variances, shape [n].
      key: random key where it can only be sampled; jax.random.key(0) unless given.
      samples: draws per noise level then.
    """
    if isinstance(target, Gaussian):
        return jax.vmap(lambda v: target.fisher_information(v).value)(variances)
    key = _own_key(key)
    found = mixture_integrals(target, variances, key, samples).fisher_information.value
    return jnp.minimum(found, target.dim / variances)

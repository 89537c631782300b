"""Entropy, mmse, I and I' of a mixture: by quadrature where it reduces to a line, else sampled."""

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import EPS, Array, Float, Key, named_key
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import mean_estimate
from design_space.targets.base import AbstractTarget
from design_space.targets.line import LineIntegrals, line_integrals
from design_space.targets.reduction import Reduction, reduce_to_line

_CHUNK = 256  # Monte-Carlo points held at a time


def _with_complement(integrals: LineIntegrals, reduction: Reduction, v: Array) -> LineIntegrals:
    """Adds what the independent Gaussian complement contributes."""
    d, total = reduction.complement_dim, reduction.complement_variance + v
    if d == 0:  # nothing to add, not even where the variance is zero and has no logarithm
        return integrals

    def added(estimate: Estimate, extra: Array) -> Estimate:
        return Estimate(
            estimate.value + extra, estimate.error + 16 * EPS * jnp.abs(extra), "quadrature"
        )

    return LineIntegrals(
        added(integrals.entropy, d * 0.5 * jnp.log(2 * jnp.pi * jnp.e * total)),
        added(integrals.mmse, d * reduction.complement_variance * (v / total)),
        added(integrals.fisher_information, d / total),
        added(integrals.fisher_information_slope, -d / total**2),
    )


@eqx.filter_jit
def _sampled(
    target: AbstractTarget, variances: Float[Array, " n"], key: Key, samples: int
) -> Array:
    """Draws of -log p_v, tr Cov, |score|^2 and -|Hess|^2 at each v, shape [n, samples, 4]."""

    def point(x: Array, v: Array) -> Array:
        score, hessian = target.score(x, v), target.hessian(x, v)
        covariance = target.posterior_covariance(x, v)
        return jnp.stack(
            [
                -target.log_density(x, v),
                jnp.trace(covariance),
                score @ score,
                -jnp.sum(hessian * hessian),
            ]
        )

    def level(args: tuple[Array, Key]) -> Array:
        v, k = args
        draws = target.sample(k, samples, v)
        return jax.lax.map(lambda x: point(x, v), draws, batch_size=min(_CHUNK, samples))

    return jax.lax.map(level, (variances, jax.random.split(key, variances.shape[0])))


def sampled_integrals(
    target: AbstractTarget, variances: Float[Array, " n"], key: Key, samples: int
) -> LineIntegrals:
    """Monte-Carlo means with 99 % intervals, from fresh draws at each noise level.

    Args:
      target: any law.
      variances: noise variances, shape [n].
      key: random key.
      samples: draws per level, at least 2.

    Returns:
      The integrals, method "monte carlo"; errors at different levels are independent.
    """
    draws = _sampled(target, variances, named_key(key, "integrals"), samples)
    estimate = mean_estimate(jnp.moveaxis(draws, 1, 0))
    return LineIntegrals(
        *(
            Estimate(estimate.value[:, i], estimate.error[:, i], "monte carlo")
            for i in range(draws.shape[2])
        )
    )


def mixture_integrals(
    target: AbstractTarget, variances: Float[Array, " n"], key: Key | None, samples: int
) -> LineIntegrals:
    """The integrals of a mixture at many noise levels, by the best way there is.

    Args:
      target: a mixture.
      variances: noise variances, shape [n].
      key: random key, needed if the mixture does not reduce to a line.
      samples: Monte-Carlo draws per level then.

    Raises:
      ValueError: if a key is needed and missing.
    """
    reduction = reduce_to_line(target.components())
    if reduction is not None:
        return _with_complement(line_integrals(reduction.line, variances), reduction, variances)
    if key is None:
        raise ValueError(
            "key = None: must be a random key, since this law has neither a closed form nor a "
            "reduction to one dimension; pass key=jax.random.key(0)"
        )
    return sampled_integrals(target, variances, key, samples)

"""The Fisher information as a matrix: J(v) = E[L L^T] = -E[Hess log p_v], L the score."""

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import EPS, Array, Float, Key, named_key
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import mean_estimate
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.line import line_integrals
from design_space.targets.reduction import by_quadrature, reduce_to_line


def fisher_matrices(
    target: AbstractTarget, variances: Float[Array, " n"], key: Key, samples: int
) -> Estimate:
    """J(v) at many noise variances; its trace is I(v).

    By Tweedie J = I/v - E Cov(X_0 | X_v)/v^2, which is how it is sampled: the estimate then lies
    between 0 and I/v, as J does.

    Args:
      target: the data law.
      variances: noise variances v > 0, shape [n].
      key: random key, used where only Monte Carlo is left.
      samples: draws per level then, at least 2.

    Returns:
      An Estimate of shape [n, dim, dim], in inverse data units squared: closed form for Gaussians,
      quadrature for mixtures that reduce to a line, else Monte Carlo.
    """
    if isinstance(target, Gaussian):
        matrices = eqx.filter_jit(_gaussian)(target, variances)
        return Estimate(matrices, 64 * EPS * target.dim * jnp.abs(matrices), "closed form")
    reduction = reduce_to_line(target.components())
    if reduction is not None and by_quadrature(reduction):
        along = line_integrals(reduction.line, variances).fisher_information
        line = jnp.outer(reduction.direction, reduction.direction)[None]
        across = (jnp.eye(target.dim)[None] - line) / (
            reduction.complement_variance + variances[:, None, None]
        )
        value = along.value[:, None, None] * line + across
        error = along.error[:, None, None] * jnp.abs(line) + 16 * EPS * jnp.abs(value)
        return Estimate(value, error, "quadrature")
    return _sampled(target, variances, named_key(key, "fisher"), samples)


def _gaussian(target: Gaussian, variances: Array) -> Array:
    inverse = 1 / (target.eigenvalues[None, :] + variances[:, None])
    if target.basis is None:
        return jax.vmap(jnp.diag)(inverse)
    return jnp.einsum("ij,nj,kj->nik", target.basis, inverse, target.basis)


@eqx.filter_jit
def _covariances(target: AbstractTarget, variances: Array, key: Key, samples: int) -> Array:
    def level(args: tuple[Array, Key]) -> Array:
        v, k = args
        draws = target.sample(k, samples, v)
        scale = 1 / v
        unit = scale * jnp.eye(target.dim)
        return jax.lax.map(
            lambda x: unit - scale * scale * target.posterior_covariance(x, v),
            draws,
            batch_size=min(256, samples),
        )

    return jax.lax.map(level, (variances, jax.random.split(key, variances.shape[0])))


def _sampled(target: AbstractTarget, variances: Array, key: Key, samples: int) -> Estimate:
    return mean_estimate(jnp.moveaxis(_covariances(target, variances, key, samples), 1, 0))

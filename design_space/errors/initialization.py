"""E_I: what it costs to start from N(0, v_0 I) instead of the noised data."""

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import EPS, Array, Float, Key, Scalar, named_key
from design_space.errors.gaussian import initialization_terms
from design_space.numerics.defects import expm1_defect
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import interval_factor
from design_space.scores.exact import complement_target
from design_space.targets.base import AbstractTarget
from design_space.targets.components import Components
from design_space.targets.gaussian import Gaussian
from design_space.targets.line import Line, at_point, panel_count, rule
from design_space.targets.reduction import Reduction, reduce_to_line


def log_ratio_to_noise(
    parts: Components, x: Float[Array, " dim"], variance: Scalar
) -> Float[Array, ""]:
    """Log p_v(x) - log N(x; 0, v I), without cancellation where v dwarfs the data.

    Per component and eigendirection, log N(x; m, l + v) - log N(x; 0, v) is
    -(1/2) log(1 + l/v) + (l x^2/v + 2 x m - m^2) / (2 (l + v)).

    Args:
      parts: the data law.
      x: one point, shape [dim].
      variance: v, above 0.

    Returns:
      The log ratio.
    """
    y, m = parts.into_basis(jnp.broadcast_to(x[None, :], parts.means.shape)), parts.means
    m = parts.into_basis(m)
    v, values = variance, parts.variances
    quadratic = (values / v * y * y + 2 * y * m - m * m) / (values + v)
    z = 0.5 * jnp.sum(quadratic - jnp.log1p(values / v), axis=1)
    small = jnp.exp(parts.log_weights) @ jnp.expm1(jnp.minimum(z, 1.0))
    large = jax.nn.logsumexp(parts.log_weights + z)
    # Only a ratio near one needs care; log1p would floor one near zero.
    close = (jnp.max(z) < 1) & (small > -0.5)
    return jnp.where(close, jnp.log1p(jnp.maximum(small, -0.5)), large)


@eqx.filter_jit
def _gaussian_total(target: Gaussian, variance: Array) -> Array:
    mean = target.into_basis(target.mean_vector)
    return jnp.sum(initialization_terms(mean, target.eigenvalues, variance))


@eqx.filter_jit
def _line_rules(line: Line, variance: Array, panels: int) -> Array:
    """E_I by a fine and a coarse rule, and the rounding of the fine one."""
    parts = Components(line.log_weights, line.centers[:, None], line.variances[:, None])

    def by(order: int) -> tuple[Array, Array]:
        nodes, weights = rule(line, variance, panels, order)

        def node(x: Array, w: Array) -> tuple[Array, Array]:
            ratio = log_ratio_to_noise(parts, x[None], variance)
            p = w * jnp.exp(at_point(line, x, variance).log_density)
            # p (r + e^-r - 1) integrates to the same as p r if the rule holds the mass of both.
            return p * expm1_defect(-jnp.clip(ratio, -600, 600)), p * ratio

        defect, plain = jax.vmap(node)(nodes.ravel(), weights.ravel())
        # Both hold where N(0, v) is as wide as p_v; where it is narrower the nodes of p_v miss it,
        # but there E_I is of order one, and p r alone cancels nothing.
        wide = jnp.max(line.variances) < variance
        near = wide & (jnp.max(jnp.abs(line.centers)) < 2 * jnp.sqrt(variance))
        rounding = jnp.where(near, jnp.sum(jnp.abs(defect)), jnp.sum(jnp.abs(plain)))
        return jnp.where(near, jnp.sum(defect), jnp.sum(plain)), 512 * EPS * rounding

    (fine, rounding), (coarse, _) = by(20), by(12)
    return jnp.stack([fine, jnp.abs(fine - coarse) + rounding])


def _on_line(reduction: Reduction, variance: Array) -> Estimate:
    panels = panel_count(reduction.line, variance[None])
    value, error = _line_rules(reduction.line, variance, panels)
    return Estimate(value, error, "quadrature")


@eqx.filter_jit
def _sampled(target: AbstractTarget, variance: Array, key: Key, samples: int) -> Array:
    parts = target.components()
    draws = target.sample(key, samples, variance)
    ratio = jax.lax.map(
        lambda x: log_ratio_to_noise(parts, x, variance), draws, batch_size=min(256, samples)
    )
    # Both have mean E_I: E e^-r = 1. The one with the smaller spread is taken.
    both = jnp.stack([expm1_defect(-jnp.clip(ratio, -600, 600)), ratio])
    spread = jnp.std(both, axis=1, ddof=1)
    best = jnp.argmin(spread)
    return jnp.stack([jnp.mean(both[best]), spread[best] / jnp.sqrt(samples)])


def initialization_error(
    target: AbstractTarget, variance: Array, key: Key, samples: int
) -> Estimate:
    """E_I = KL(p_{v_0} | N(0, v_0 I)).

    Args:
      target: the data law.
      variance: v_0.
      key: random key, used where only Monte Carlo is left.
      samples: draws then.

    Returns:
      The error in nats: closed form for Gaussians, quadrature for mixtures that reduce to a line,
      else Monte Carlo.
    """
    if isinstance(target, Gaussian):
        total = _gaussian_total(target, variance)
        return Estimate(total, 64 * EPS * total, "closed form")
    reduction = reduce_to_line(target.components())
    if reduction is not None:
        across = complement_target(reduction)
        along = _on_line(reduction, variance)
        if across is None:
            return along
        return along + initialization_error(across, variance, key, samples)
    mean, spread = _sampled(target, variance, named_key(key, "initialization"), samples)
    return Estimate(mean, interval_factor(samples) * spread, "monte carlo")

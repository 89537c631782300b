"""E_D: what it costs to freeze the score over each step.

E_D = (1/2) sum_j int_{v_{j+1}}^{v_j} (I(v) - I(v_j)) dv, and since I' < 0 the contribution of a
step is (1/2) int |I'(u)| (u - v_{j+1}) du, in which nothing cancels.
"""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array, Float, Key, is_concrete, named_key
from design_space.errors.gaussian import discretization_terms
from design_space.numerics.estimate import Estimate
from design_space.numerics.quadrature import gauss_legendre
from design_space.scores.exact import complement_target
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.integrals import sampled_integrals
from design_space.targets.line import line_integrals
from design_space.targets.reduction import by_quadrature, reduce_to_line

_FINE, _COARSE, _SAMPLED = 8, 5, 4  # nodes per panel
_TRUNCATION = 1e-8  # relative, of the rule that is sampled
_PANEL = 1.0  # widest panel, in log variance
_SPAN = 25.0  # of log variance, assumed where the grid is traced


def _panels(variances: Array) -> int:
    """Panels per step, so that none is wider than _PANEL in log variance."""
    if is_concrete(variances):
        v = np.asarray(variances)
        return max(1, math.ceil(float(np.max(np.log(v[:-1] / v[1:]))) / _PANEL))
    return max(1, math.ceil(_SPAN / (variances.shape[0] - 1)))


@eqx.filter_jit
def step_nodes(
    variances: Float[Array, " nodes"], panels: int, order: int
) -> tuple[Float[Array, "steps inner"], Float[Array, "steps inner"]]:
    """Nodes u in each step and weights for (1/2) int f(u) (u - v_{j+1}) du.

    Gauss-Legendre in log u, on `panels` equal parts of each step.

    Args:
      variances: v_0 > ... > v_N > 0, shape [steps + 1].
      panels: parts per step.
      order: nodes per part.

    Returns:
      nodes and weights, each of shape [steps, panels * order].
    """
    unit, weights = gauss_legendre(order)
    inside = (np.arange(panels)[:, None] + unit[None, :]).ravel() / panels
    each = np.tile(weights, panels) / panels
    span = jnp.log(variances[:-1] / variances[1:])
    # u - v_{j+1} = v_{j+1} (e^{t span} - 1): no cancellation in short steps.
    rise = variances[1:, None] * jnp.expm1(span[:, None] * inside[None, :])
    u = variances[1:, None] + rise
    return u, 0.5 * jnp.asarray(each)[None, :] * span[:, None] * u * rise


def _by_line(target: AbstractTarget, variances: Array) -> Estimate:
    reduction = reduce_to_line(target.components())
    assert reduction is not None
    panels = _panels(variances)
    rules = [step_nodes(variances, panels, order) for order in (_FINE, _COARSE)]
    nodes = jnp.concatenate([u.ravel() for u, _ in rules])
    slope = line_integrals(reduction.line, nodes).fisher_information_slope
    fine, error = _weighted(slope.value, slope.error, rules[0][1], 0)
    coarse, _ = _weighted(slope.value, slope.error, rules[1][1], rules[0][0].size)
    return Estimate(fine, error + jnp.abs(fine - coarse) + 64 * EPS * fine, "quadrature")


def _weighted(value: Array, error: Array, weights: Array, first: int) -> tuple[Array, Array]:
    """Sums over the nodes of each step of a rule whose nodes begin at `first`."""
    own = slice(first, first + weights.size)
    return (
        jnp.sum(weights * -value[own].reshape(weights.shape), axis=1),
        jnp.sum(weights * error[own].reshape(weights.shape), axis=1),
    )


@eqx.filter_jit
def _gaussian_terms(eigenvalues: Array, variances: Array, steps: Array) -> Array:
    return jnp.sum(discretization_terms(eigenvalues, variances, steps), axis=1)


def discretization_errors(
    target: AbstractTarget,
    variances: Float[Array, " nodes"],
    steps: Float[Array, " steps"],
    key: Key,
    samples: int,
) -> Estimate:
    """The contribution of every step to E_D.

    Args:
      target: the data law.
      variances: v_0 > ... > v_N > 0, shape [steps + 1].
      steps: h_j, shape [steps].
      key: random key, used where only Monte Carlo is left.
      samples: draws per noise level then.

    Returns:
      An Estimate of shape [steps], in nats: closed form for Gaussians, quadrature for mixtures
      that reduce to a line, else Monte Carlo. Add them up with `summed`.
    """
    if isinstance(target, Gaussian):
        terms = _gaussian_terms(target.eigenvalues, variances, steps)
        return Estimate(terms, 64 * EPS * terms, "closed form")
    reduction = reduce_to_line(target.components())
    if reduction is not None and by_quadrature(reduction):
        along, across = _by_line(target, variances), complement_target(reduction)
        if across is None:
            return along
        return along + discretization_errors(across, variances, steps, key, samples)
    u, weights = step_nodes(variances, _panels(variances), _SAMPLED)
    draws = named_key(key, "discretization")
    slope = sampled_integrals(target, u.ravel(), draws, samples).fisher_information_slope
    value = jnp.sum(weights * -slope.value.reshape(u.shape), axis=1)
    error = jnp.sqrt(jnp.sum((weights * slope.error.reshape(u.shape)) ** 2, axis=1))
    # Four nodes on a panel of one e-fold: I' has its poles pi away, so 12.6^-8 = 2e-9 is left.
    return Estimate(value, error + _TRUNCATION * value, "monte carlo")


def summed(terms: Estimate) -> Estimate:
    """The sum over steps; independent Monte-Carlo errors add in squares, others as they are."""
    if terms.method == "monte carlo":
        error = jnp.sqrt(jnp.sum(terms.error**2))
        return Estimate(jnp.sum(terms.value), error, terms.method)
    return terms.total()

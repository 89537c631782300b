"""The marginal KL on the line as one differentiable function of the grid of variances.

The sampler's density is followed as its ratio r_j = q_j / p_{v_j} to the exact law. A step with the
exact score reads, with x = y + sqrt(h) u and u standard normal,

    r_{j+1}(y) = E r_j(x) exp(log p_{v_j}(x) - log p_{v_{j+1}}(y) - sqrt(h) u s(x) - h s(x)^2 / 2),

in which nothing is narrow: the noise of the step has been taken out, and log r_j is as smooth as
log p_{v_j}. So one rule serves steps of every size: the trapezoid rule in u, and log r_j
interpolated between nodes that crowd around every component as its width asks for. The nodes are
held fixed under differentiation, since r_j does not depend on them.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from design_space.arrays import Array
from design_space.numerics.divergences import gaussian_kl_terms
from design_space.sampling.gaussian_law import exact_score_law
from design_space.targets.gaussian import Gaussian
from design_space.targets.line import Line

_REACH = 7.5  # standard deviations of every component that the nodes cover
_NOISE = 7.5  # standard deviations of a step's noise that the rule covers
_FLAT = 3.0  # standard deviations around a component on which nodes are nearly equidistant
_STENCIL = 8  # points of the interpolating polynomial
_HALVINGS, _POLISHES = 24, 3  # bisection, then Newton, for the place of a node
# Row k holds the coefficients, by powers of the place, of the k-th Lagrange polynomial.
_PLACES = np.arange(_STENCIL) - (_STENCIL // 2 - 1.0)
_LAGRANGE = np.linalg.inv(np.vander(_PLACES, increasing=True)).T


class Fineness(NamedTuple):
    """How finely the ratio is resolved.

    Attributes:
      spacing: of the nodes, in units of sum_k asinh((x - c_k)/(3 s_k)).
      noises: least number of nodes of the trapezoid rule for a step's noise.
      in_all: that number times the steps, at least: few steps are long and fold more.
    """

    spacing: float
    noises: int
    in_all: int

    def noise_nodes(self, steps: int) -> int:
        """Nodes of the rule for a step's noise."""
        return max(self.noises, self.in_all // steps)


COARSE = Fineness(0.12, 28, 400)
FINE = Fineness(0.07, 44, 900)


class _Level(NamedTuple):
    """One noise level: the widths of its components, its nodes and their places."""

    stds: Array
    low: Array
    cell: Array
    nodes: Array


def _place(line: Line, stds: Array, x: Array) -> Array:
    return jnp.vectorize(lambda y: jnp.sum(jnp.arcsinh((y - line.centers) / (_FLAT * stds))))(x)


def _density_of_nodes(line: Line, stds: Array, x: Array) -> Array:
    return jnp.vectorize(lambda y: jnp.sum(1 / jnp.hypot(_FLAT * stds, y - line.centers)))(x)


def _ends(line: Line, stds: Array, reach: Array | float) -> tuple[Array, Array]:
    return jnp.min(line.centers - reach * stds), jnp.max(line.centers + reach * stds)


def _spreads(line: Line, variances: Array) -> tuple[Array, Array]:
    """How much wider the sampler's law is than p_v, and what a step sees than sqrt(h).

    Per component as if it stood alone: the sampler's variance Q of a Gaussian, and the density of x
    given y, of precision 1/Q + a^2/h with the contraction a = 1 - h/P. Largest over components.
    """
    h = variances[:-1] - variances[1:]

    def step(excess: Array, now: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        v, h = now
        total = line.variances + v
        ratio = 1 + jnp.maximum(excess, 0.0) / total
        share = h / total
        seen = share / ratio + (1 - share) ** 2
        after = (1 - share) ** 2 * excess + h * share
        return after, (jnp.max(ratio) ** 0.5, jnp.min(seen) ** -0.5)

    last, (wider, seen) = jax.lax.scan(step, -line.variances, (variances[:-1], h))
    final = jnp.max(1 + jnp.maximum(last, 0.0) / (line.variances + variances[-1])) ** 0.5
    return jnp.append(wider, final), seen


def node_count(line: Line, least_variance: float, how: Fineness) -> int:
    """Nodes that the level of least noise needs; every other needs fewer."""
    stds = jnp.sqrt(line.variances + least_variance)
    low, high = _ends(line, stds, _REACH)
    span = float(_place(line, stds, high) - _place(line, stds, low))
    return max(2 * _STENCIL, int(np.ceil(span / how.spacing)) + 1)


def _level(line: Line, variance: Array, wider: Array, count: int) -> _Level:
    stds = jnp.sqrt(line.variances + variance)
    left, right = _ends(line, stds, _REACH * wider)
    low = _place(line, stds, left)
    cell = (_place(line, stds, right) - low) / (count - 1)
    wanted = low + cell * jnp.arange(count)

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        above = _place(line, stds, middle) > wanted
        return jnp.where(above, ends[0], middle), jnp.where(above, middle, ends[1])

    start = (jnp.full(count, left), jnp.full(count, right))
    a, b = jax.lax.fori_loop(0, _HALVINGS, halve, start)
    x = (a + b) / 2
    for _ in range(_POLISHES):
        x = x - (_place(line, stds, x) - wanted) / _density_of_nodes(line, stds, x)
    return _Level(stds, low, cell, x)


def _law(line: Line, x: Array, variance: Array) -> tuple[Array, Array]:
    """Log p_v and its slope at an array of points."""
    c = line.variances + variance
    offsets = line.log_weights - 0.5 * jnp.log(2 * jnp.pi * c)

    def point(y: Array) -> tuple[Array, Array]:
        z = y - line.centers
        log_joint = offsets - 0.5 * z * z / c
        return jax.nn.logsumexp(log_joint), -jnp.sum(jax.nn.softmax(log_joint) * z / c)

    return jnp.vectorize(point)(x)


def _interpolated(values: Array, place: Array) -> Array:
    """Values at fractional places by polynomials of degree 7; constant beyond the ends."""
    inside = jnp.clip(place, 0.0, values.shape[0] - 1.0)
    first = jnp.clip(jnp.floor(inside) - (_STENCIL // 2 - 1), 0, values.shape[0] - _STENCIL)
    t = inside - (first + _STENCIL // 2 - 1)
    starts = np.arange(values.shape[0] - _STENCIL + 1)
    windows = values[starts[:, None] + np.arange(_STENCIL)[None, :]]
    terms = (windows @ _LAGRANGE)[first.astype(int)]
    total = terms[..., -1]
    for k in reversed(range(_STENCIL - 1)):
        total = total * t + terms[..., k]
    return total


def _line_kl(line: Line, variances: Array, count: int, noises: int) -> Array:
    unit = jnp.linspace(-_NOISE, _NOISE, noises)
    fixed = jax.lax.stop_gradient(variances)
    wider, seen = _spreads(line, fixed)
    levels = jax.vmap(lambda v, wide: _level(line, v, wide, count))(fixed, wider)

    def step(
        log_ratio: Array, now: tuple[Array, Array, Array, _Level, Array]
    ) -> tuple[Array, None]:
        v, below, seen, level, y = now
        h, u = v - below, seen * unit
        log_weights = -0.5 * u * u + jnp.log((u[1] - u[0]) / jnp.sqrt(2 * jnp.pi))
        shift = jnp.sqrt(h) * u
        x = y[:, None] + shift[None, :]
        log_p, score = _law(line, x, v)
        place = (_place(line, level.stds, x) - level.low) / level.cell
        weight = log_p - shift[None, :] * score - 0.5 * h * score**2 + log_weights[None, :]
        total = jax.nn.logsumexp(weight + _interpolated(log_ratio, place), axis=1)
        return total - _law(line, y, below)[0], None

    x, v = levels.nodes[0], variances[0]
    start = -0.5 * (x * x / v + jnp.log(2 * jnp.pi * v)) - _law(line, x, v)[0]
    before = jax.tree.map(lambda leaf: leaf[:-1], levels)
    moves = (variances[:-1], variances[1:], seen, before, levels.nodes[1:])
    log_ratio, _ = jax.lax.scan(step, start, moves)
    last = jax.tree.map(lambda leaf: leaf[-1], levels)
    mass = jnp.exp(_law(line, last.nodes, variances[-1])[0]) * last.cell
    mass = mass / _density_of_nodes(line, last.stds, last.nodes)
    return -jnp.sum(mass * log_ratio)


@eqx.filter_jit
def line_kl_and_slopes(
    line: Line,
    across: Gaussian | None,
    variances: Float[Array, " nodes"],
    count: int,
    noises: int,
) -> tuple[Array, Array]:
    """The marginal KL of a grid under the exact score, and its derivatives in the v_j.

    Args:
      line: the data law along the line.
      across: the independent Gaussian law across it, or None.
      variances: v_0 > ... > v_N > 0, shape [steps + 1].
      count: nodes of each level, from `node_count`.
      noises: nodes of the rule for the noise of a step.

    Returns:
      KL(p_{v_N} | q_N) in nats, and d KL / d v_j, shape [steps + 1].
    """

    def kl(v: Array) -> Array:
        along = _line_kl(line, v, count, noises)
        if across is None:
            return along
        mean = across.into_basis(across.mean_vector)
        law = exact_score_law(mean, across.eigenvalues, v, v[:-1] - v[1:])
        final = across.eigenvalues + v[-1]
        return along + jnp.sum(gaussian_kl_terms(final, law.excess, law.shift))

    return jax.value_and_grad(kl)(variances)

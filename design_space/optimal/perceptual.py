"""What the self-perceptual loss asks of a score that can be anything: its optimum, point by point.

The loss at one point y is a function G of the predicted noise n (see perceptual_loss). It may have
several local minima, and the least one may jump from one to another as y moves: so it is sought by
a scan whose nodes lie at equal steps of every level's features, and the lowest minima are refined.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import EPS, Array, Float, Scalar, float64, is_concrete
from design_space.numerics.quadrature import gauss_legendre
from design_space.optimal.perceptual_loss import Perceptual, excess, known_at
from design_space.targets.line import Line, at_point

_RANGE = 13.0  # standard deviations of y' that features are followed over
_DENSE = 1 << 15  # points on which the features' variation is measured
_KEPT = 6  # local minima of the scan that are refined
_HALVINGS = 60  # of a bracket: from 1e4 to below the rounding of the noise
_EQUAL = 1e-12  # relative difference of values that counts as none
_TOGETHER = 16  # points of one block, for memory
_IN_BIN, _FEWER_IN_BIN = 24, 16  # Gauss-Legendre nodes of a bin


class Fineness(NamedTuple):
    """How finely an optimum is sought.

    Attributes:
      nodes: of the trapezoid rule for x_0 given y, for each component.
      steps: nodes of the scan at equal steps of each level's features.
      even: nodes of the scan spread evenly over what x_0 may be.
    """

    nodes: int
    steps: int
    even: int


FINE, COARSE = Fineness(768, 24, 96), Fineness(512, 16, 64)


def _landmarks(line: Line, loss: Perceptual, steps: int) -> Array:
    """Places y' at equal steps of the features of each level, [levels, steps]."""

    def level(sigma: Array) -> Array:
        reach = _RANGE * jnp.sqrt(line.variances + sigma**2)
        x = jnp.linspace(jnp.min(line.centers - reach), jnp.max(line.centers + reach), _DENSE)
        values = jax.vmap(lambda y: loss.features(y, sigma))(x)
        lengths = jnp.linalg.norm(jnp.diff(values, axis=0), axis=1)
        # a little for the way itself, so that the length rises everywhere
        lengths = lengths + jnp.maximum(1e-9 * jnp.sum(lengths), 1e-300) / _DENSE
        sums = jnp.concatenate([jnp.zeros(1), jnp.cumsum(lengths)])
        return jnp.interp(jnp.linspace(0, sums[-1], steps), sums, x)

    return jax.vmap(level)(loss.levels)


class PointwiseOptimum(NamedTuple):
    """The least loss at points, and where it is.

    Attributes:
      noise: the n that makes the loss least, shape [points]; the score is -n/sigma.
      loss: the loss there, shape [points], or its mean over a bin.
      error: of n: what a coarser rule and scan change, and rounding, shape [points]. It is large
        where two minima are equally deep to that precision, or the features are flat.
      mean_noise: E[eps | y], the n of the mean square, shape [points].
    """

    noise: Float[Array, " points"]
    loss: Float[Array, " points"]
    error: Float[Array, " points"]
    mean_noise: Float[Array, " points"]


def _scan(value: Callable[[Array], Array], nodes: Array) -> Array:
    """The deepest minimum of a function between nodes [n], ascending: local minima of the values
    at the nodes, the lowest few, each refined by bisection of the derivative.
    """
    values = jax.vmap(value)(nodes)
    left = jnp.concatenate([jnp.array([jnp.inf]), values[:-1]])
    right = jnp.concatenate([values[1:], jnp.array([jnp.inf])])
    least = (values <= left) & (values <= right)
    _, chosen = jax.lax.top_k(jnp.where(least, -values, -jnp.inf), _KEPT)
    slope = jax.grad(value)
    last = nodes.shape[0] - 1

    def refine(i: Array) -> Array:
        ends = nodes[jnp.maximum(i - 1, 0)], nodes[jnp.minimum(i + 1, last)]

        def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            middle = 0.5 * (ends[0] + ends[1])
            rising = slope(middle) > 0
            return jnp.where(rising, ends[0], middle), jnp.where(rising, middle, ends[1])

        a, b = jax.lax.fori_loop(0, _HALVINGS, halve, ends)
        return 0.5 * (a + b)

    places = jax.vmap(refine)(chosen)
    found, before = jax.vmap(value)(places), values[chosen]
    places = jnp.where(found <= before, places, nodes[chosen])
    found = jnp.minimum(found, before)
    # of minima that are equal but for rounding, the first: the same on every machine
    equal = found <= jnp.min(found) * (1 + _EQUAL)
    return jnp.min(jnp.where(equal, places, jnp.inf))


def _optimum(
    line: Line,
    loss: Perceptual,
    marks: Array,
    y: Array,
    weights: Array,
    sigma: Array,
    how: Fineness,
) -> tuple[Array, Array, Array, Array]:
    """The best n for points y [q] of weights [q] that share it, its loss, E eps, and its rounding.

    Where the features are flat to rounding, the mean of the noise is among the minima and is taken.
    """
    known = jax.vmap(lambda x: known_at(line, loss, x, sigma, how.nodes))(y)
    low, high, mean = jnp.min(known.low), jnp.max(known.high), weights @ known.noise

    def value(n: Array) -> Array:
        return weights @ jax.vmap(lambda at: excess(loss, at, sigma, n))(known)

    rates = (loss.levels - sigma)[:, None]
    middle = weights @ y
    nodes = jnp.where(rates == 0, mean, (marks - middle) / jnp.where(rates == 0, 1.0, rates))
    even = jnp.linspace(low, high, how.even)
    nodes = jnp.sort(jnp.concatenate([jnp.clip(nodes.ravel(), low, high), even]))
    best = _scan(value, nodes)
    best = jnp.where(value(mean) <= value(best), mean, best)

    def turn(n: Array) -> Array:
        return loss.at(middle + (loss.levels - sigma) * n)

    at, rise = jax.jvp(turn, (best,), (jnp.ones_like(best),))
    size = loss.probabilities @ jnp.sum(jnp.abs(at * rise), axis=1)
    bend = loss.probabilities @ jnp.sum(rise**2, axis=1) + loss.square(sigma)
    blind = jnp.where(bend > 0, 64 * EPS * size / jnp.where(bend > 0, bend, 1.0), jnp.inf)
    rounding = jnp.minimum(blind, high - low)
    rounding += 64 * EPS * (1 + jnp.max(jnp.abs(y)) / sigma)
    return best, value(best) + weights @ known.spread, mean, rounding


@eqx.filter_jit
def _optima(
    line: Line, loss: Perceptual, y: Array, weights: Array, sigma: Array
) -> PointwiseOptimum:
    """Optima for many groups of points, y and weights [groups, q], sigma [groups]."""
    fine, coarse = (_landmarks(line, loss, how.steps) for how in (FINE, COARSE))

    def one(at: tuple[Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        best, least, mean, rounding = _optimum(line, loss, fine, *at, FINE)
        other = _optimum(line, loss, coarse, *at, COARSE)[0]
        return best, least, jnp.abs(best - other) + rounding, mean

    return PointwiseOptimum(*jax.lax.map(one, (y, weights, sigma), batch_size=_TOGETHER))


@eqx.filter_jit
def _noises(line: Line, loss: Perceptual, y: Array, sigma: Array) -> Array:
    marks, alone = _landmarks(line, loss, FINE.steps), jnp.ones(1)

    def one(at: tuple[Array, Array]) -> Array:
        best, _, mean, _ = _optimum(line, loss, marks, at[0][None], alone, at[1], FINE)
        return best - mean

    return jax.lax.map(one, (y, sigma), batch_size=_TOGETHER)


def _given(points: Any, sigma: Any) -> tuple[Array, Array]:
    """Points and their noise levels, checked."""
    points = float64(checks.nonempty("points", points, 1))
    sigmas = checks.numbers("sigma", sigma, (0, 1))
    if is_concrete(sigmas) and np.any(np.asarray(sigmas) <= 0):
        raise checks.refusal("sigma", sigma, "above 0", "leave the level without noise out")
    if sigmas.ndim:
        checks.same_dimension("len(sigma)", len(sigmas), "the points", len(points))
    return points, jnp.broadcast_to(float64(sigmas), points.shape)


def pointwise_noise(
    line: Line, loss: Perceptual, points: Any, sigma: Any
) -> Float[Array, " points"]:
    """The n that makes the loss least at each point, less E[eps | y]; without the error.

    Args:
      line: the data law.
      loss: the loss.
      points: y, shape [points], in data units.
      sigma: their noise level, above 0: one, or one for each point.

    Raises:
      ValueError: if there are no points, or a level is not above 0.
    """
    return _noises(line, loss, *_given(points, sigma))


def pointwise_optima(line: Line, loss: Perceptual, points: Any, sigma: Any) -> PointwiseOptimum:
    """The prediction that makes the self-perceptual loss least at each point, for free.

    With one level sigma' and one monotone feature y'_hat = f^{-1}(E[f(y') | y]).

    Args:
      line: the data law.
      loss: the loss.
      points: y, shape [points], in data units.
      sigma: their noise level, above 0: one, or one for each point.

    Returns:
      The optima, sought between the least and the largest noise that y may hold.

    Raises:
      ValueError: if there are no points, or a level is not above 0.
    """
    y, sigmas = _given(points, sigma)
    return _optima(line, loss, y[:, None], jnp.ones((len(y), 1)), sigmas)


def binned_optima(line: Line, loss: Perceptual, edges: Any, sigma: Scalar) -> PointwiseOptimum:
    """The same for a score that is one number in each bin: the n that a bin's points share.

    Args:
      line: the data law.
      loss: the loss.
      edges: of the bins, ascending, shape [bins + 1], in data units.
      sigma: noise level, above 0.

    Returns:
      The optima by Gauss-Legendre quadrature in each bin under the law of y, shape [bins], with the
      mean loss in the bin and the mean of the noise there. A coarser rule is part of the error.

    Raises:
      ValueError: if the edges are fewer than 2 or do not ascend.
    """
    edges = float64(checks.nonempty("edges", edges, 1))
    checks.count("len(edges)", len(edges), least=2)
    checks.decreasing("edges, from right to left", edges[::-1])
    level = float64(sigma)
    fine, coarse = (_in_bins(line, loss, edges, level, n) for n in (_IN_BIN, _FEWER_IN_BIN))
    return fine._replace(error=fine.error + jnp.abs(fine.noise - coarse.noise))


def _in_bins(
    line: Line, loss: Perceptual, edges: Array, sigma: Array, count: int
) -> PointwiseOptimum:
    unit, shares = (jnp.asarray(a) for a in gauss_legendre(count))
    y = edges[:-1, None] + jnp.diff(edges)[:, None] * unit[None, :]
    density = jax.vmap(jax.vmap(lambda x: at_point(line, x, sigma**2).log_density))(y)
    masses = shares[None, :] * jnp.exp(density - jnp.max(density, axis=1, keepdims=True))
    weights = masses / jnp.sum(masses, axis=1, keepdims=True)
    return _optima(line, loss, y, weights, jnp.broadcast_to(sigma, weights.shape[:1]))

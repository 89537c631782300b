"""Networks as they are drawn: norms of their layers, exactly, and what perturbations do to them."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special, stats

from analyses.columns import normals
from design_space.arrays import Array, Key, named_key
from design_space.scores.relu_network import ReluNetwork, relu_network

_ROUNDS = 8  # of the ascent to the worst perturbation
_LOW, _HIGH, _CELLS = -6.0, 3.0, 4500  # of ln(|q_l|^2/|q_{l-1}|^2)


@functools.cache
def _cells(width: int) -> tuple[np.ndarray, float]:
    """Masses of one layer's ln(|q_l|^2/|q_{l-1}|^2) in cells of equal width, and what is below.

    Given q_{l-1}, entries of W_l q_{l-1} are normal, about half of them are kept by the ReLU: the
    ratio is (2/m) times a chi-square variable whose degrees of freedom are binomial (m, 1/2).
    """
    edges = np.exp(np.linspace(_LOW, _HIGH, _CELLS + 1))
    kept = np.arange(1, width + 1)
    share = stats.binom.pmf(kept, width, 0.5)
    half = width * edges[:, None] / 4
    below = special.gammainc(kept[None, :] / 2, half) @ share
    above = special.gammaincc(kept[None, :] / 2, half) @ share
    mass = np.where(edges[1:] < 1, np.diff(below), -np.diff(above))
    return mass, float(below[0] + 0.5**width)


@functools.cache
def _product(width: int, layers: int) -> np.ndarray:
    """Masses of the logarithm of the product over so many layers, in sums of cells."""
    mass = _cells(width)[0]
    return mass if layers == 1 else np.convolve(_product(width, layers - 1), mass)


def leaving(width: int, layers: int, epsilon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P(|q_l| outside [1 - eps, 1 + eps] |q_{-1}|), l = layers - 1, from below and from above.

    Args:
      width: m.
      layers: how many random layers there are from the input to q_l.
      epsilon: inside (0, 1), shape [tolerances].
    """
    mass, step = _product(width, layers), (_HIGH - _LOW) / _CELLS
    start = layers * _LOW + step * np.arange(len(mass))  # the least that a cell holds
    end = start + layers * step
    lost = 1 - (1 - _cells(width)[1]) ** layers  # below all cells of some layer
    low, high = 2 * np.log1p(-epsilon)[:, None], 2 * np.log1p(epsilon)[:, None]
    surely = ((end[None, :] < low) | (start[None, :] > high)) @ mass
    perhaps = ((start[None, :] < low) | (end[None, :] > high)) @ mass
    return surely, perhaps + lost + 1e-15


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def drawn_norms(key: Key, networks: int, width: int, depth: int) -> Array:
    """|q_l|/|q_{-1}|, l = 0, ..., depth, of so many networks on a point of their own.

    Returns:
      shape [networks, depth + 1].
    """

    def one(key: Key) -> Array:
        network = relu_network(key, 3, width, depth)
        x, sigma = 2 * jax.random.normal(named_key(key, "point"), (3,)), 0.5
        size = jnp.sqrt(jnp.sum(x**2) + sigma**2)
        return jnp.stack([jnp.linalg.norm(q) for q in network.outputs(x, sigma)]) / size

    return jax.vmap(one)(jax.random.split(key, networks))


class Drawn(NamedTuple):
    """Networks as the paper draws them, each with a point; every leaf has the networks first.

    Attributes:
      networks: W_0, ..., W_{L+1}.
      starts: for each trained matrix a permutation with random signs, of operator norm 1.
      points: x with |x| between sqrt(d)/2 and 3 sqrt(d)/2, shape [networks, dim].
      sigmas: noise levels in [0, 1], shape [networks].
    """

    networks: ReluNetwork
    starts: tuple[Array, ...]
    points: Array
    sigmas: Array

    @property
    def sizes(self) -> np.ndarray:
        """|[x, sigma]|, shape [networks]."""
        squares = np.sum(np.asarray(self.points) ** 2, axis=1) + np.asarray(self.sigmas) ** 2
        return np.sqrt(squares)


def drawn(seed: int, count: int, dim: int, width: int, depth: int, gain: float = 1.0) -> Drawn:
    """Draws networks and points.

    Args:
      seed: of the generator; the sizes enter it too.
      count: how many.
      dim: d.
      width: m.
      depth: L.
      gain: the entries of W_0, ..., W_L have variance 2 gain^2/m.
    """
    random = np.random.default_rng([seed, dim, width, depth])
    scale = gain * (2 / width) ** 0.5
    first = scale * normals(random, count, width, dim + 1)
    hidden = [scale * normals(random, count, width, width) for _ in range(depth)]
    last = dim**-0.5 * normals(random, count, dim, width)
    points = normals(random, count, dim)
    points *= (
        dim**0.5 * (0.5 + random.random((count, 1))) / np.linalg.norm(points, axis=1, keepdims=True)
    )

    def permutation() -> np.ndarray:
        places = np.argsort(random.random((count, width)), axis=1)
        signs = np.where(random.random((count, width)) < 0.5, -1.0, 1.0)
        return np.eye(width)[places] * signs[:, :, None]

    starts = tuple(jnp.asarray(permutation()) for _ in range(depth))
    matrices = tuple(jnp.asarray(w) for w in hidden)
    networks = jax.vmap(ReluNetwork)(jnp.asarray(first), matrices, jnp.asarray(last))
    return Drawn(networks, starts, jnp.asarray(points), jnp.asarray(random.random(count)))


def _moved(network: ReluNetwork, directions: tuple[Array, ...], omega: Array) -> ReluNetwork:
    moved = (w + omega * a for w, a in zip(network.weights(), directions, strict=True))
    return network.with_weights(tuple(moved))


@jax.jit
def _shifts(given: Drawn, omegas: Array) -> tuple[Array, Array]:
    def one(given: Drawn, omega: Array) -> tuple[Array, Array]:
        network, point = given.networks, (given.points, given.sigmas)
        before = network.outputs(*point)

        def squares(directions: tuple[Array, ...]) -> list[Array]:
            after = _moved(network, directions, omega).outputs(*point)
            return [jnp.sum((a - b) ** 2) for a, b in zip(after[1:], before[1:], strict=True)]

        def ascend(_: Array, directions: tuple[Array, ...]) -> tuple[Array, ...]:
            found = jax.grad(lambda a: squares(a)[-1])(directions)
            return tuple(g / jnp.maximum(jnp.linalg.norm(g), 1e-300) for g in found)

        worst = jax.lax.fori_loop(0, _ROUNDS, ascend, given.starts)
        largest = [jnp.sqrt(jnp.max(jnp.stack(squares(a)))) for a in (given.starts, worst)]
        return largest[0], largest[1]

    return jax.vmap(one)(given, omegas)


def shifts(given: Drawn, omegas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest |q_l' - q_l| over the layers when all trained matrices move by omega.

    The matrices move along the permutations, and along directions found by ascent on |q_L' - q_L|:
    the gradient in a matrix is of rank one, and of all directions of operator norm 1 (and of
    Frobenius norm 1) the normalized gradient ascends most.

    Args:
      given: networks and points.
      omegas: how far, for each network, shape [networks].

    Returns:
      along the permutations and along the worst directions, shape [networks] each.
    """
    found = _shifts(given, jnp.asarray(omegas))
    return np.asarray(found[0]), np.asarray(found[1])

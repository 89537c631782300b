"""Proposition 1: the residual at both ends of the noise levels."""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from analyses import initial_networks
from analyses.columns import each
from analyses.statement import Claim, Observations, Relation, Statement, Study
from design_space.arrays import Array
from design_space.bounds import residual
from design_space.scores.relu_network import ReluNetwork
from design_space.training.objective import DenoisingData, empirical_loss


def _claim(name: str, says: str, run: Callable[[], Observations], relation: Relation, **options):
    return Claim(name, says, Study(run), relation, **options)


# Proposition 1

_NETWORKS, _DIM, _WIDTH, _DEPTH = 130, 3, 24, 2
TRAINED = (0, 20, 400)
"""Steps of gradient descent before, during and after training."""

_LEVELS, _POINTS = (0.1, 0.5, 2.0, 8.0), 3
_RATE = 0.2 / _WIDTH
_SHARES = (1e-3, 0.1, 0.999)  # of delta_1
_TIMES = (1.0, 3.0, 30.0, 1000.0)  # of M


class Networks(NamedTuple):
    """Networks with a datum and its noise; every leaf has the networks first.

    Attributes:
      networks: drawn, in training, trained, and with arbitrary matrices.
      lipschitz: products of the operator norms of their matrices.
      x: the datum.
      noise: its noise.
      stages: what each network is.
    """

    networks: ReluNetwork
    lipschitz: np.ndarray
    x: np.ndarray
    noise: np.ndarray
    stages: tuple[str, ...]


@jax.jit
@jax.vmap
def _train(network: ReluNetwork, points: Array, noise: Array) -> list[ReluNetwork]:
    """The network at the steps TRAINED of gradient descent on the empirical loss."""
    sigmas = jnp.asarray(_LEVELS)
    data = DenoisingData(points, noise, sigmas, 1 / (sigmas**2 * (1 + sigmas**2)))

    def step(_: Array, network: ReluNetwork) -> ReluNetwork:
        slopes = jax.grad(empirical_loss)(network, data)
        moves = zip(network.weights(), slopes.weights(), strict=True)
        return network.with_weights(tuple(w - _RATE * g for w, g in moves))

    found = [network]
    for start, stop in itertools.pairwise(TRAINED):
        found.append(jax.lax.fori_loop(start, stop, step, found[-1]))
    return found


def _lipschitz(network: ReluNetwork) -> np.ndarray:
    matrices = (network.first, *network.hidden, network.last)
    norms = [np.linalg.norm(np.asarray(w), 2, axis=(1, 2)) for w in matrices]
    return np.prod(norms, axis=0)


@functools.cache
def networks() -> Networks:
    """Networks before, during and after training, and with matrices of any size and sign."""
    drawn = initial_networks.drawn(1, _NETWORKS, _DIM, _WIDTH, _DEPTH)
    random = np.random.default_rng(1)
    points = 4 * random.random((_NETWORKS, _POINTS, _DIM)) - 2
    noise = 3.4 * random.random((_NETWORKS, _POINTS, len(_LEVELS), _DIM)) - 1.7
    trained = _train(drawn.networks, jnp.asarray(points), jnp.asarray(noise))
    factors = 10 ** (2 * random.random((_DEPTH, _NETWORKS, 1, 1)) - 1)
    pairs = zip(drawn.networks.weights(), drawn.starts, factors, strict=True)
    moved = tuple(jnp.asarray(f * (np.asarray(w) @ np.asarray(s) + s)) for w, s, f in pairs)
    odd = jax.vmap(ReluNetwork.with_weights)(drawn.networks, moved)
    every = [*trained, odd]
    count = len(every)
    stages = [f"{steps} steps" for steps in TRAINED] + ["any matrices"]
    return Networks(
        jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *every),
        np.concatenate([_lipschitz(one) for one in every]),
        np.tile(points[:, 0], (count, 1)),
        np.tile(noise[:, 0, 0], (count, 1)),
        tuple(f"{stage}, network {i}" for stage in stages for i in range(_NETWORKS)),
    )


Score = Callable[[ReluNetwork, Array, Array, Array], Array]
"""S(X, sigma) of a network, a datum x that the score may know, X and sigma."""


def _network_score(network: ReluNetwork, x: Array, noisy: Array, sigma: Array) -> Array:
    return network(noisy, sigma)


def _standard_score(network: ReluNetwork, x: Array, noisy: Array, sigma: Array) -> Array:
    """The exact score of N(0, I), not homogeneous."""
    return -noisy / (1 + sigma**2)


def _datum_score(network: ReluNetwork, x: Array, noisy: Array, sigma: Array) -> Array:
    """The exact score of the datum, which grows like 1/sigma."""
    return -(noisy - x) / sigma**2


@functools.partial(jax.jit, static_argnums=0)
def _measured(score: Score, networks: ReluNetwork, *columns: Array) -> tuple[Array, Array, Array]:
    """|sigma S + xi|, |S(xi, 1)| and |S(xi, sigma)| for many levels of each network."""

    def one(network: ReluNetwork, x: Array, noise: Array, sigma: Array) -> tuple[Array, ...]:
        norms = (
            sigma * score(network, x, x + sigma * noise, sigma) + noise,
            score(network, x, noise, jnp.ones(())),
            score(network, x, noise, sigma),
        )
        return tuple(jnp.linalg.norm(y) for y in norms)

    over_levels = jax.vmap(one, in_axes=(None, None, None, 0))
    return jax.vmap(over_levels)(networks, *columns)


class _Ends(NamedTuple):
    """What is known at one end: columns of shape [networks, levels]."""

    epsilon: np.ndarray
    edge: np.ndarray
    sigma: np.ndarray
    lipschitz: np.ndarray
    data_norm: np.ndarray
    noise_norm: np.ndarray
    found: np.ndarray
    at_one: np.ndarray
    at_sigma: np.ndarray


@functools.cache
def _ends(small: bool, score: Score = _network_score) -> _Ends:
    """Levels below delta_1 or above M, for an eps of its own for each network."""
    given = networks()
    count = len(given.stages)
    random = np.random.default_rng([1, small])
    slope = given.lipschitz if score is _network_score else np.ones(count)
    norms = np.linalg.norm(given.x, axis=1), np.linalg.norm(given.noise, axis=1)
    epsilon = (norms[1] if small else slope) * 10 ** (-2.5 * random.random(count) - 0.05)
    edge_of = residual.proposition_1_small if small else residual.proposition_1_large
    edge = each(edge_of, epsilon, slope, *norms)
    sigma = edge[:, None] * np.array(_SHARES if small else _TIMES)[None, :]
    columns = (jnp.asarray(y) for y in (given.x, given.noise, sigma))
    found = [np.asarray(y) for y in _measured(score, given.networks, *columns)]
    wide = [np.broadcast_to(y[:, None], sigma.shape) for y in (epsilon, edge, slope, *norms)]
    return _Ends(*wide[:2], sigma, *wide[2:], *found)


def _observed(ends: _Ends, left: np.ndarray, right: np.ndarray) -> Observations:
    stages = networks().stages
    labels = tuple(
        f"{stage}, eps {ends.epsilon[i, 0]:.3g}, sigma {sigma:.3g}"
        for i, stage in enumerate(stages)
        for sigma in ends.sigma[i]
    )
    # Sums of entries of the size of K times the input, and of sigma^2 times it.
    size = 1 + ends.sigma * (ends.data_norm + ends.sigma * (ends.noise_norm + 1))
    error = 1e-14 * ends.lipschitz * size
    return Observations(left.ravel(), right.ravel(), error.ravel(), labels, len(labels))


def _small(score: Score = _network_score) -> Callable[[], Observations]:
    """|xi| - eps_1 against the residual, below delta_1."""

    def run() -> Observations:
        ends = _ends(True, score)
        return _observed(ends, ends.noise_norm - ends.epsilon, ends.found)

    return run


def _large(
    level: str = "edge", limit: str = "at_one", score: Score = _network_score
) -> Callable[[], Observations]:
    """M^2 (|S(xi, 1)| - eps_2) against the residual, above M."""

    def run() -> Observations:
        ends = _ends(False, score)
        columns = getattr(ends, level), getattr(ends, limit), ends.epsilon
        return _observed(ends, each(residual.proposition_1_floor, *columns), ends.found)

    return run


def _both() -> Observations:
    """The two parts of the proposition, one after the other."""
    parts = _small()(), _large()()
    joined = (
        np.concatenate([getattr(p, key) for p in parts]) for key in ("left", "right", "error")
    )
    labels = parts[0].labels + parts[1].labels
    return Observations(*joined, labels, len(labels))


def _limit() -> Observations:
    """How far |sigma S + xi|/sigma^2 is from |S(xi, 1)| above M."""
    ends = _ends(False)
    columns = ends.sigma, ends.lipschitz, ends.data_norm, ends.noise_norm
    gap = each(residual.proposition_1_gap, *columns)
    off = np.abs(ends.found / ends.sigma**2 - ends.at_one)
    seen = _observed(ends, off, gap)
    size = ends.lipschitz * (1 + ends.noise_norm + ends.data_norm)
    return Observations(off.ravel(), gap.ravel(), (1e-14 * size).ravel(), seen.labels, seen.designs)


PROPOSITION_1 = Statement(
    id="proposition-1",
    title="The residual at both ends of the noise levels",
    source="Proposition 1 of arXiv 2406.12839",
    says="For any parameters: for every ε₁ there is a δ₁ with |σ̄ S + ξ| > |ξ| - ε₁ for σ̄ < δ₁; "
    "for every ε₂ there is an M with |σ̄ S + ξ| ≥ M² (|S(t, ξ)| - ε₂) for σ̄ > M.",
    latex=r"\bar\sigma_j < \delta_1 \Rightarrow |\bar\sigma_j S + \xi| > |\xi| - \epsilon_1, "
    r"\qquad \bar\sigma_j > M \Rightarrow |\bar\sigma_j S + \xi| \ge "
    r"M^2 (|S(t_j, \xi)| - \epsilon_2)",
    printed=_claim("printed", "both parts, with explicit δ₁ and M", _both, "<="),
    derivation="The network is positively homogeneous in (X, σ̄), so σ̄ S(x + σ̄ ξ, σ̄) = "
    "σ̄² S(ξ + x/σ̄, 1): S(t, ξ) is read as S(ξ, 1). With K the product of the operator norms of the "
    "matrices, δ₁ = 2 ε₁/(K |x| + √(K² |x|² + 4 K ε₁ (|ξ| + 1))) and "
    "M = (K |x| + √(K² |x|² + 4 ε₂ |ξ|))/(2 ε₂) do. With M² on the right the second part says "
    "little, since M may be chosen small; the residual even grows like σ̄², and |σ̄ S + ξ|/σ̄² "
    "tends to |S(ξ, 1)| as fast as K |x|/σ̄ + |ξ|/σ̄². Read with σ̄ as the network's input, "
    "S(ξ, σ̄) grows like σ̄ and the claim fails at this M. Both parts are about this network: the "
    "exact score of N(0, I), which is not homogeneous, has a residual that tends to 0 for large "
    "noise, and the exact score of a single datum, which grows like 1/σ̄, has none at all.",
    supporting=(
        _claim("small", "the first part", _small(), "<="),
        _claim("growth", "the second part with σ̄² in place of M²", _large("sigma"), "<="),
        _claim("limit", "|σ̄ S + ξ|/σ̄² is near |S(ξ, 1)|", _limit, "<="),
    ),
    broken=(
        _claim(
            "level as input",
            "the second part with S(ξ, σ̄) in place of S(ξ, 1)",
            _large(limit="at_sigma"),
            "<=",
        ),
        _claim(
            "not homogeneous",
            "the second part for the exact score of N(0, I), with K = 1",
            _large(score=_standard_score),
            "<=",
        ),
        _claim(
            "grows like 1/σ",
            "the first part for the exact score of the datum, with K = 1",
            _small(_datum_score),
            "<=",
        ),
    ),
    expected="holds",
)

STATEMENTS = (PROPOSITION_1,)

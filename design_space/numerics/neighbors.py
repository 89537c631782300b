"""Kullback-Leibler divergences from samples, by nearest neighbors.

If rho is the distance from x to the k-th nearest of m draws of q, the mass of that ball is
Beta(k, m - k + 1), so that

    log qhat(x) = digamma(k) - digamma(m + 1) - log |unit ball| - d log rho

has the mean log q(x) if q is constant on the ball (Kozachenko and Leonenko, 1987; Wang, Kulkarni
and Verdu, IEEE Trans. Inf. Theory 55, 2009). It never is, above all in tails: in ten dimensions the
bias is of the size of the divergence. So q is measured against a reference g, whose density is
known and which is fitted to other draws of q:

    log q(x) is taken as log g(x) + log qhat(x) - log ghat(x),

where ghat comes from as many draws of g. This is right for every g in the limit of many draws; the
bias of qhat is that of ghat where g is close to q, and is gone with it.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree
from scipy.special import digamma, gammaln

from design_space import checks
from design_space.numerics.estimate import Estimate
from design_space.numerics.mixture_fit import fit_mixture, gaussian_start
from design_space.numerics.statistics import mean_estimate

BLOCKS = 8
"""Independent blocks that samples are divided into; their spread makes the interval."""

NEIGHBORS = 4
"""The neighbor that is asked for; the one of twice that rank measures the bias."""


@runtime_checkable
class Reference(Protocol):
    """A law with a known density that can be drawn from."""

    def log_density(self, x: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, " points"]:
        """The log density at the points, in nats."""
        ...

    def draws(self, random: np.random.Generator, count: int) -> Float[np.ndarray, "count dim"]:
        """Independent draws."""
        ...


Fit = Callable[[Float[np.ndarray, "count dim"]], Reference]
"""Samples -> a reference that resembles their law."""


def gaussian_fit(samples: Float[np.ndarray, "count dim"]) -> Reference:
    """The Gaussian with the moments of the samples, as a reference."""
    return fit_mixture(samples, gaussian_start(samples), 0)


def neighbor_log_densities(
    points: Float[np.ndarray, "points dim"],
    samples: Float[np.ndarray, "samples dim"],
    neighbors: tuple[int, ...],
    *,
    own: bool = False,
) -> Float[np.ndarray, "neighbors points"]:
    """The estimates log qhat_k(x) of a log density from its samples.

    Args:
      points: x, shape [points, dim].
      samples: draws of q, shape [samples, dim].
      neighbors: the k, each at most the number of samples.
      own: the points are the samples; each is left out of its own estimate.

    Returns:
      In nats, shape [neighbors, points].

    Raises:
      ValueError: if there are fewer samples than neighbors, or a sample lies on a point.
    """
    count, dim = len(samples) - own, samples.shape[1]
    if count < max(neighbors):
        remedy = "draw more samples"
        raise checks.refusal("len(samples)", len(samples), f"at least {max(neighbors)}", remedy)
    columns = np.asarray(neighbors) - 1 + own
    ranked = np.asarray(KDTree(samples).query(points, k=int(columns.max()) + 2)[0])
    distances = ranked[:, columns].T
    if not np.all(distances > 0):
        remedy = "give draws of a law with a density"
        raise checks.refusal("samples", 0.0, "at positive distances from the points", remedy)
    log_ball = 0.5 * dim * np.log(np.pi) - gammaln(0.5 * dim + 1)
    log_mass = digamma(np.asarray(neighbors)) - digamma(count + 1)
    return log_mass[:, None] - log_ball - dim * np.log(distances)


class _How(NamedTuple):
    """How a log density is estimated.

    Attributes:
      fit: makes the reference.
      ranks: the k.
      seed: of the draws of the reference.
      own: whether the points are the samples.
    """

    fit: Fit
    ranks: tuple[int, int]
    seed: int
    own: bool = False


class _LogDensity:
    """The mean over points of log q, from draws of q and a reference, block by block.

    Attributes:
      points, samples: the blocks.
      fit: makes the reference.
      gaps: log qhat - log ghat, its mean over the points, shape [blocks, neighbors].
    """

    def __init__(self, points: list[np.ndarray], samples: list[np.ndarray], how: _How):
        self.points, self.samples, self.fit = points, samples, how.fit
        reference, random = how.fit(np.concatenate(samples)), np.random.default_rng(how.seed)
        made = [reference.draws(random, len(y) - how.own) for y in samples]
        self.gaps = np.stack(
            [
                np.mean(
                    neighbor_log_densities(x, y, how.ranks, own=how.own)
                    - neighbor_log_densities(x, z, how.ranks),
                    axis=1,
                )
                for x, y, z in zip(points, samples, made, strict=True)
            ]
        )

    def __call__(self, kept: np.ndarray) -> np.ndarray:
        """The mean over the kept blocks, shape [neighbors].

        The reference is fitted to them where its density is asked for; the gaps, which are no
        smooth function of it, stay those of the fit to all.
        """
        reference = self.fit(np.concatenate([self.samples[b] for b in kept]))
        known = reference.log_density(np.concatenate([self.points[b] for b in kept]))
        return np.mean(known) + np.mean(self.gaps[kept], axis=0)


def _jackknife(statistic: Callable[[np.ndarray], np.ndarray], blocks: int) -> np.ndarray:
    """Pseudo-values B T - (B - 1) T_{-b} of a statistic of blocks, shape [blocks, ...].

    Their mean has lost the bias of order 1/count that the fit has; their spread knows the noise of
    the fit, which all blocks share.
    """
    every = np.arange(blocks)
    whole = statistic(every)
    return np.stack([blocks * whole - (blocks - 1) * statistic(np.delete(every, b)) for b in every])


def _blocks(samples: np.ndarray, count: int) -> list[np.ndarray]:
    """Disjoint blocks of equal size."""
    return np.split(samples[: len(samples) // count * count], count)


def _extrapolated(values: np.ndarray, dim: int) -> Estimate:
    """The limit of small balls from those of k and 2 k neighbors, shape [blocks, 2].

    The bias is of the order of the ball's mass (k/m) in one and two dimensions, where tails rule,
    and of its squared radius (k/m)^(2/d) in more. Half of what this predicts is taken off, and as
    much is added to the error: the interval holds both ends.
    """
    power = 2.0 ** min(1.0, 2.0 / dim)
    half = 0.5 * (values[:, 1] - values[:, 0]) / (power - 1)
    found = mean_estimate(jnp.asarray(values[:, 0] - half))
    return Estimate(found.value, found.error + abs(float(np.mean(half))), "monte carlo")


def _check(points: np.ndarray, samples: np.ndarray, neighbors: int, blocks: int) -> None:
    checks.count("neighbors", neighbors)
    checks.count("blocks", blocks, least=2)
    checks.same_dimension("points.shape[1]", points.shape[1], "samples", samples.shape[1])
    # A block must hold 2 k neighbors and, with one left out, still be a sample.
    least = blocks * (2 * neighbors + 2)
    for field, value in (("len(points)", len(points)), ("len(samples)", len(samples))):
        checks.count(field, value, least=least)


def neighbor_kl(
    points: Float[np.ndarray, "points dim"],
    log_density: Float[np.ndarray, " points"],
    samples: Float[np.ndarray, "samples its_dim"],
    *,
    fit: Fit = gaussian_fit,
    neighbors: int = NEIGHBORS,
    blocks: int = BLOCKS,
    seed: int = 0,
) -> Estimate:
    """KL(p | q) for a density p that is known and a law q that is known by its draws.

    The mean over independent blocks of log p - log g - log qhat_k + log ghat_k at draws of p, with
    qhat_k from the draws of the block alone and g fitted to all.

    Args:
      points: independent draws x of p, shape [points, dim].
      log_density: log p(x), shape [points].
      samples: independent draws of q, shape [samples, dim].
      fit: makes the reference g from draws of q.
      neighbors: k; the k-th and the 2k-th neighbors are used.
      blocks: independent blocks, at least 2.
      seed: of the draws of the reference.

    Returns:
      The divergence in nats. The error is the 99 % interval by the jackknife over blocks plus half
      of the bias that comparing k with 2k predicts. That prediction is heuristic: it holds where
      log q - log g is smooth on the scale of the balls.

    Raises:
      ValueError: if there are too few points or samples, or dimensions differ.
    """
    _check(points, samples, neighbors, blocks)
    x, y = _blocks(points, blocks), _blocks(samples, blocks)
    known = np.array([np.mean(part) for part in _blocks(log_density, blocks)])
    of_q = _LogDensity(x, y, _How(fit, (neighbors, 2 * neighbors), seed))
    values = _jackknife(lambda kept: np.mean(known[kept]) - of_q(kept), blocks)
    return _extrapolated(values, points.shape[1])


def neighbor_kl_between(
    points: Float[np.ndarray, "points dim"],
    samples: Float[np.ndarray, "samples its_dim"],
    *,
    fits: tuple[Fit, Fit] = (gaussian_fit, gaussian_fit),
    neighbors: int = NEIGHBORS,
    blocks: int = BLOCKS,
    seed: int = 0,
) -> Estimate:
    """KL(p | q) where both laws are known by draws only.

    Args:
      points: independent draws of p, shape [points, dim].
      samples: independent draws of q, shape [samples, dim].
      fits: make the references of p and of q.
      neighbors: k; the k-th and the 2k-th neighbors are used.
      blocks: independent blocks, at least 2.
      seed: of the draws of the references.

    Returns:
      As `neighbor_kl`, with log p estimated as log q is, each point left out of its own estimate.

    Raises:
      ValueError: as `neighbor_kl`.
    """
    _check(points, samples, neighbors, blocks)
    ranks = (neighbors, 2 * neighbors)
    x, y = _blocks(points, blocks), _blocks(samples, blocks)
    of_p = _LogDensity(x, x, _How(fits[0], ranks, seed, own=True))
    of_q = _LogDensity(x, y, _How(fits[1], ranks, seed))
    values = _jackknife(lambda kept: of_p(kept) - of_q(kept), blocks)
    return _extrapolated(values, points.shape[1])

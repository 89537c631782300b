"""A guess of the sampler's law at every level, from a pilot run; it guides particle filters."""

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space.arrays import Array, Float, Key
from design_space.sampling.moves import OneStage
from design_space.sampling.simulate import moved
from design_space.scores.base import AbstractScore
from design_space.targets.base import AbstractTarget
from design_space.targets.components import Components

_PRIOR = 10.0  # particles that the law of the noised component counts for
_FORWARD = 0.1  # share of proposals by the forward process, a guard where the guess is poor


def log_noise(x: Float[Array, " dim"], variance: Array) -> Array:
    """Log N(x; 0, variance I)."""
    return -0.5 * (x @ x / variance + x.shape[0] * jnp.log(2 * jnp.pi * variance))


def _log_normals(z: Float[Array, "components dim"], variances: Array) -> Array:
    return -0.5 * jnp.sum(z * z / variances + jnp.log(2 * jnp.pi * variances), axis=1)


class Guess(eqx.Module):
    """sum_k w_k N(m_k + B_k a_k, B_k diag(c_k) B_k^T), near the sampler's law at one level.

    m_k and B_k are those of the data's components.

    Attributes:
      log_weights: log w_k, shape [components].
      offsets: a_k, shape [components, dim].
      variances: c_k, shape [components, dim].
    """

    log_weights: Float[Array, "*levels components"]
    offsets: Float[Array, "*levels components dim"]
    variances: Float[Array, "*levels components dim"]

    def joint(self, parts: Components, x: Float[Array, " dim"]) -> Float[Array, " components"]:
        """Log w_k + log of the k-th density at x."""
        z = parts.into_basis(x[None, :] - parts.means) - self.offsets
        return self.log_weights + _log_normals(z, self.variances)


def _fit(target: AbstractTarget, particles: Float[Array, "count dim"], variance: Array) -> Guess:
    """Moments of the particles that belong to each component, with a weak prior."""
    parts = target.components()
    shares = jax.vmap(lambda x: target.posterior(x, variance).weights)(particles)
    z = jax.vmap(lambda x: parts.into_basis(x[None, :] - parts.means))(particles)
    counts = jnp.sum(shares, axis=0)[:, None] + _PRIOR
    offsets = jnp.einsum("nk,nkd->kd", shares, z) / counts
    square = jnp.einsum("nk,nkd->kd", shares, (z - offsets[None, :, :]) ** 2)
    variances = (square + _PRIOR * (parts.variances + variance)) / counts
    weights = jnp.sum(shares, axis=0) + _PRIOR * jnp.exp(parts.log_weights)
    return Guess(jnp.log(weights / jnp.sum(weights)), offsets, variances)


def _start(target: AbstractTarget, variance: Array) -> Guess:
    """N(0, v_0 I), exactly, in the coordinates of every component."""
    parts = target.components()
    variances = jnp.broadcast_to(variance, parts.variances.shape)
    return Guess(parts.log_weights, -parts.into_basis(parts.means), variances)


def pilot(
    target: AbstractTarget, chain: OneStage, score: AbstractScore, key: Key, count: int
) -> Guess:
    """Runs the sampler on `count` particles and fits a guess after every move.

    Args:
      target: the data law.
      chain: the moves of the sampler, one after the other (`as_chain`).
      score: the score model.
      key: random key.
      count: particles of the pilot run.

    Returns:
      Guesses stacked in the sampler's order, one more than moves; the first is exact.
    """
    begin, onward = jax.random.split(key)
    x = jnp.sqrt(chain.before[0]) * jax.random.normal(begin, (count, target.dim), dtype=jnp.float64)

    def step(x: Array, level: tuple[OneStage, Key]) -> tuple[Array, Guess]:
        move, k = level
        normal = jax.random.normal(k, x.shape, dtype=jnp.float64)
        factor = jnp.sqrt(move.variance)
        x = jax.vmap(lambda y, u: moved(score, move, factor, y, u))(x, normal)
        return x, _fit(target, x, move.after)

    keys = jax.random.split(onward, chain.before.shape[0])
    _, guesses = jax.lax.scan(step, x, (chain, keys))
    first = _start(target, chain.before[0])
    return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, guesses)


class Proposal(eqx.Module):
    """Where the sampler may have come from: a mixture law of x_j given x_{j+1} = x.

    In the k-th component the exact score makes x_{j+1} - m = t (x_j - m) + p m + c U with
    t = 1 + p - b/(l + v_j), in the words of `OneStage`. If x_j - m ~ N(a, w), Bayes' rule gives
    precision 1/w + t^2/c^2 and mean (a/w + t (x - m - p m)/c^2) over it. A share of N(x, c^2)
    guards the tails: for the sampler of the paper this is the forward process.

    Attributes:
      log_weights: of the components, shape [components].
      offsets: means minus m_k, in the basis of the component.
      variances: in the basis of the component.
      forward: x.
      noise: c^2.
    """

    log_weights: Float[Array, " components"]
    offsets: Float[Array, "components dim"]
    variances: Float[Array, "components dim"]
    forward: Float[Array, " dim"]
    noise: Float[Array, ""]

    @staticmethod
    def of(
        parts: Components,
        guesses: tuple[Guess, Guess],
        x: Float[Array, " dim"],
        move: OneStage,
    ) -> "Proposal":
        """Builds the proposal from the guesses above (x_j) and here (x_{j+1})."""
        above, here = guesses
        z = parts.into_basis(x[None, :] - (1 + move.stretch) * parts.means)
        t = 1 + move.stretch - move.gain / (parts.variances + move.before)
        noise = move.variance
        variances = 1 / (1 / above.variances + t * t / noise)
        offsets = variances * (above.offsets / above.variances + t * z / noise)
        log_weights = jax.nn.log_softmax(here.joint(parts, x))
        return Proposal(log_weights, offsets, variances, x, noise)

    def draw(self, parts: Components, key: Key) -> Float[Array, " dim"]:
        """One draw of x_j."""
        choose, move, guard = jax.random.split(key, 3)
        k = jax.random.categorical(choose, self.log_weights)
        normal = jax.random.normal(move, self.forward.shape, dtype=jnp.float64)
        z = self.offsets[k] + jnp.sqrt(self.variances[k]) * normal
        local = parts.means[k] + (z if parts.bases is None else parts.bases[k] @ z)
        onward = self.forward + jnp.sqrt(self.noise) * normal
        use_forward = jax.random.uniform(guard, dtype=jnp.float64) < _FORWARD
        return jnp.where(use_forward, onward, local)

    def log_density(self, parts: Components, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """Log density of the proposal at x."""
        z = parts.into_basis(x[None, :] - parts.means) - self.offsets
        local = jax.nn.logsumexp(self.log_weights + _log_normals(z, self.variances))
        onward = log_noise(x - self.forward, self.noise)
        return jnp.logaddexp(jnp.log1p(-_FORWARD) + local, jnp.log(_FORWARD) + onward)

"""The marginal KL in any dimension and for any score, by particle filters run upwards in noise.

From y ~ p_{v_N} a path x_N = y, x_{N-1}, ..., x_0 is proposed upwards by kernels g_j. With a guess
c_j of the sampler's law at level j (exact at the top, c_0 = N(0, v_0 I)), a step carries the factor

    w_j = c_j(x_j) N(x_{j+1}; m_j(x_j), n_j) / (c_{j+1}(x_{j+1}) g_j(x_j | x_{j+1})),

with m_j and n_j the mean and the variance of the sampler's move (x + h_j s_j(x) and h_j in that
of the paper), and the expectation of the product given y is q_N(y) / c_N(y), for any g_j and c_j.
The better the guess, the smaller the spread: for Gaussian data and its true law there is none.
Particles are resampled after each step, so that the relative variance of the estimate falls like
one over their number instead of growing like exp(path KL). The estimate of r = q_N / p_{v_N} is
unbiased (Del Moral, Feynman-Kac Formulae, 2004, Theorem 7.4.2).

Under p_{v_N} alone r may have no variance: the sampler spreads wider than the data. So y is drawn
in pairs from p_{v_N} and from q_N, and under m = (p + q) / 2

    KL = E_m[2 (r - 1 - log r) / (1 + r)],      0 = E_m[2 (r - 1) / (1 + r)],

where large r do no harm; the second is a control variate of the first. The bias of a function of
an estimated r, of order one over the particles, is removed by comparing the mean of two independent
filters with each of them.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from design_space import checks
from design_space.arrays import Array, Float, Key, named_key
from design_space.errors.guide import Guess, Proposal, log_noise, pilot
from design_space.numerics.defects import expm1_defect
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import mean_estimate
from design_space.sampling.moves import OneStage, as_chain
from design_space.sampling.simulate import simulate
from design_space.sampling.steppers import AbstractStepper, Frozen
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.targets.base import AbstractTarget

PARTICLES = 64
"""Particles of one filter."""

_PILOT = 4096  # particles of the pilot run


def _resample(key: Key, log_weights: Float[Array, " particles"]) -> Array:
    """Indices by systematic resampling."""
    count = log_weights.shape[0]
    edges = jnp.cumsum(jax.nn.softmax(log_weights))
    ticks = (jnp.arange(count) + jax.random.uniform(key, dtype=jnp.float64)) / count
    return jnp.clip(jnp.searchsorted(edges, ticks), 0, count - 1)


class _Level(eqx.Module):
    """What one move upwards needs: the move, guesses above and here."""

    move: OneStage
    above: Guess
    here: Guess
    key: Array


def _levels(chain: OneStage, guesses: Guess, key: Key) -> _Level:
    """All moves, from the bottom up."""
    return _Level(
        jax.tree.map(lambda a: a[::-1], chain),
        jax.tree.map(lambda a: a[:-1][::-1], guesses),
        jax.tree.map(lambda a: a[1:][::-1], guesses),
        jax.random.split(key, chain.before.shape[0]),
    )


@eqx.filter_jit
def log_density_ratios(
    target: AbstractTarget,
    chain: OneStage,
    score: AbstractScore,
    points: Float[Array, "points dim"],
    key: Key,
    *,
    filters: int,
    particles: int,
) -> Float[Array, "points filters"]:
    """Estimates log q_N(y) / p_{v_N}(y) by independent particle filters.

    Args:
      target: the data law.
      chain: the moves of the sampler, one after the other (`as_chain`).
      score: the score model.
      points: y, shape [points, dim].
      key: random key.
      filters: independent filters per point.
      particles: particles per filter.

    Returns:
      log r, shape [points, filters]; exp of each is unbiased.
    """
    guesses = pilot(target, chain, score, named_key(key, "pilot"), _PILOT)

    def point(args: tuple[Array, Key]) -> Array:
        y, k = args
        return jax.vmap(lambda each: _filter(target, score, chain, guesses, y, each, particles))(
            jax.random.split(k, filters)
        )

    keys = jax.random.split(named_key(key, "filters"), points.shape[0])
    return jax.lax.map(point, (points, keys), batch_size=min(16, points.shape[0]))


def _filter(
    target: AbstractTarget,
    score: AbstractScore,
    chain: OneStage,
    guesses: Guess,
    y: Float[Array, " dim"],
    key: Key,
    particles: int,
) -> Float[Array, ""]:
    """One particle filter from y: an unbiased estimate of q_N(y) / p_{v_N}(y), its logarithm."""
    parts = target.components()

    def up(x: Array, here: Array, level: _Level, key: Key) -> tuple[Array, Array, Array]:
        move = level.move
        proposal = Proposal.of(parts, (level.above, level.here), x, move)
        u = proposal.draw(parts, key)
        above = jax.nn.logsumexp(level.above.joint(parts, u))
        came = log_noise(x - move.mean(score, u), move.variance)
        return u, above, above + came - here - proposal.log_density(parts, u)

    def climb(state: tuple[Array, Array, Array], level: _Level):
        x, here, log_r = state
        draw, choose = jax.random.split(level.key)
        keys = jax.random.split(draw, particles)
        u, above, log_w = jax.vmap(lambda a, b, k: up(a, b, level, k))(x, here, keys)
        picks = _resample(choose, log_w)
        log_r = log_r + jax.nn.logsumexp(log_w) - jnp.log(particles)
        return (u[picks], above[picks], log_r), None

    bottom = jax.tree.map(lambda a: a[-1], guesses)
    here = jax.nn.logsumexp(bottom.joint(parts, y))
    start = (
        jnp.broadcast_to(y[None, :], (particles, y.shape[0])),
        jnp.broadcast_to(here, (particles,)),
        here - target.log_density(y, chain.after[-1]),
    )
    return jax.lax.scan(climb, start, _levels(chain, guesses, key))[0][2]


def _with_control(values: Float[Array, " n"], control: Float[Array, " n"]) -> Array:
    """Values + c control, where the control has mean zero; c of each half is fitted on the other,
    so that the mean stays unbiased.
    """
    half = values.shape[0] // 2

    def slope(part: slice) -> Array:
        c = control[part] - jnp.mean(control[part])
        square = c @ c
        return -(c @ values[part]) / jnp.where(square > 0, square, 1.0)

    first, second = slice(0, half), slice(half, None)
    return jnp.concatenate(
        [
            values[first] + slope(second) * control[first],
            values[second] + slope(first) * control[second],
        ]
    )


def marginal_kl_by_particles(
    target: AbstractTarget,
    schedule: Schedule,
    score: AbstractScore,
    key: Key,
    *,
    points: int,
    particles: int = PARTICLES,
    stepper: AbstractStepper | None = None,
) -> Estimate:
    """KL(p_{v_N} | q_N) by particle filters run upwards in noise.

    Args:
      target: the data law.
      schedule: the noise schedule.
      score: the score model.
      key: random key.
      points: outer draws y, half from p_{v_N} and half from q_N, at least 16.
      particles: particles in each of the two filters per point, at least 2.
      stepper: the sampler, of moves that each ask once and add round noise; the frozen-score
        sampler unless given.

    Returns:
      The divergence with a 99 % interval, to which half of the removed bias is added.

    Raises:
      ValueError: if there are too few points or particles, or the sampler has other moves.
    """
    checks.count("points", points, least=16)
    checks.count("particles", particles, least=2)
    stepper = Frozen() if stepper is None else stepper
    chain = as_chain(stepper.moves(schedule))
    if chain is None:
        domain = "one whose moves each ask the score once and add round noise"
        raise checks.refusal("sampler.kind", stepper.kind, domain, "take another estimate")
    v, pairs = schedule.backward_variances[-1], points // 2
    exact = target.sample(named_key(key, "points"), pairs, v)
    run = {"count": pairs, "dim": target.dim, "stepper": stepper}
    made = simulate(score, schedule, named_key(key, "made"), **run)
    log_r = log_density_ratios(
        target,
        chain,
        score,
        jnp.concatenate([exact, made.particles]),
        named_key(key, "paths"),
        filters=2,
        particles=particles,
    )
    both = _terms(jax.nn.logsumexp(log_r, axis=1) - jnp.log(2))
    bias = jnp.mean(_terms(log_r), axis=2) - both
    values, control = jnp.mean((both - bias).reshape(2, 2, pairs), axis=1)
    corrected = mean_estimate(_with_control(values, control))
    removed = 0.5 * jnp.abs(jnp.mean(bias[0]))
    return Estimate(corrected.value, corrected.error + removed, "monte carlo")


def _terms(log_r: Float[Array, "points ..."]) -> Float[Array, "2 points ..."]:
    """The terms of the KL and of its control variate under the equal mixture of p and q."""
    share = 2 * jax.nn.sigmoid(-log_r)  # p / m = 2 / (1 + r)
    # For r > 1, share (r - 1 - log r) without the overflow of r.
    small = share * expm1_defect(jnp.minimum(log_r, 0.0))
    large = 2 * jnp.tanh(log_r / 2) - share * log_r
    return jnp.stack([jnp.where(log_r < 0, small, large), 2 * jnp.tanh(log_r / 2)])

"""EDM's and Song's designs, trained on the same data and sampled with, seed by seed.

Scores are affine in x, in one dimension, so that the sampler's law q is Gaussian and everything is
in closed form from the first two moments. On data that are not Gaussian, E log q is that of the
Gaussian with the same moments, so that the path KL and the marginal KL are larger than on that
Gaussian by its entropy less theirs at the last noise level, on any grid; in the loss the best
affine score leaves a gap of its own.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from analyses import chain
from analyses.chain import Learner
from design_space.arrays import Array, Float
from design_space.errors.gaussian_marginal import gaussian_law
from design_space.schedules.named import edm, song
from design_space.schedules.schedule import Schedule
from design_space.targets.gaussian import Gaussian
from design_space.targets.integrals import mixture_integrals
from design_space.targets.mixture import GaussianMixture
from design_space.weightings.base import AbstractWeighting, CustomWeighting
from design_space.weightings.named import edm_weighting

POINTS = 100
_NODES = 4001  # of the normal quantiles for W2
KEPT = np.array([0.0, 1e1, 1e2, 1e3, 1e4, 1e6, 1e8, 1e12])
"""Steps of gradient descent at which chains are measured."""

STDS = {"N(0, 0.002²)": 0.002, "N(0, 0.05²)": 0.05, "N(0, 0.5²)": 0.5, "N(0, 5²)": 5.0}
MODES = "two modes"
TARGETS = (*STDS, MODES)
"""Data laws; the two modes are N(-1, 0.1²)/2 + N(1, 0.1²)/2."""

SCALES = (0.0, 0.5, 1.0, 2.0)
"""Of the features that a shared model has, in units of ln(sigma)/4."""

MODELS = {"per level": Learner(), "shared": Learner(SCALES)}
"""Affine scores inside EDM's preconditioning, by name."""

CRITERIA = ("bound", "path", "marginal", "w2")


class Law(eqx.Module):
    """What a chain needs to know of its data law.

    Attributes:
      std: standard deviation of the data.
      negentropy: entropy of the Gaussian with the same moments less that of the data, at sigma_0.
      across: E[Z Q(Phi(Z))], Q the quantiles at sigma_0, Z normal; the standard deviation there for
        Gaussian data.
      gap: I(v_j) less that of the Gaussian with the same moments, ascending levels, [N].
    """

    std: Float[Array, "..."]
    negentropy: Float[Array, "..."]
    across: Float[Array, "..."]
    gap: Float[Array, "..."]


class Chains(eqx.Module):
    """Errors of trained designs, shape [..., KEPT]; KL in nats, W2 in data units.

    Attributes:
      bound: Theorem 3's, corrected; printed: as printed.
      path, marginal: KL divergences.
      w2: of the law of the data, at the last noise level, and the sampler's.
      score: E_S.
      sampling: E_I + E_D.
      loss: the four terms of Theorem 3 together.
    """

    bound: Float[Array, "..."]
    printed: Float[Array, "..."]
    path: Float[Array, "..."]
    marginal: Float[Array, "..."]
    w2: Float[Array, "..."]
    score: Float[Array, "..."]
    sampling: Float[Array, "..."]
    loss: Float[Array, "..."]


def trained(
    learner: Learner, law: Law, schedule: Schedule, beta: Array, points: Array, noise: Array
) -> Chains:
    """One chain, from weights zero: training starts from S = -x/(sigma^2 + 1/4).

    Args:
      learner: the model.
      law: of the data.
      schedule: of N steps.
      beta: total weighting, [N].
      points: data, shape [points, 1].
      noise: shape [points, N, 1].
    """
    target, weighting = Gaussian.isotropic(1, law.std), CustomWeighting(beta)
    blocks = schedule.steps if learner.scales is None else len(learner.scales)
    given = (target, schedule, weighting)
    training = chain.training(learner, *given, points, noise, jnp.zeros((blocks, 1, 2)))
    lost = 0.5 * jnp.sum(beta * schedule.forward_variances[1:] * law.gap)
    gap = 0.5 * jnp.sum(schedule.forward_variance_steps * law.gap)
    final = law.std**2 + schedule.forward_variances[0]

    def at(step: Array) -> Chains:
        score, terms = training.score(step), training.terms(step)
        terms["approximation"] += lost
        found = chain.errors_of(*given, score, terms)
        sampler = gaussian_law(target, schedule, score)
        assert sampler is not None
        std = jnp.sqrt(final + jnp.sum(sampler.excess))
        return Chains(
            found.bound,
            found.printed,
            found.path_kl + law.negentropy,
            found.marginal_kl + law.negentropy,
            jnp.sqrt(found.w2**2 + 2 * std * (jnp.sqrt(final) - law.across)),
            found.score + gap,
            found.path_kl + law.negentropy - found.score - gap,
            sum((terms[name] for name in chain.TERMS), jnp.zeros(())),
        )

    return jax.lax.map(at, jnp.asarray(KEPT))


@eqx.filter_jit
def _table(
    learner: Learner, laws: Law, schedules: Schedule, betas: Array, points: Array, noise: Array
) -> Chains:
    """Chains, shape [schedules, targets, seeds, KEPT]."""
    shape = (betas.shape[0], *points.shape[:2])

    def one(index: tuple[Array, Array, Array]) -> Chains:
        i, j, k = index
        law = jax.tree.map(lambda leaf: leaf[i, j], laws)
        schedule = jax.tree.map(lambda leaf: leaf[i], schedules)
        return trained(learner, law, schedule, betas[i], points[j, k], noise[k])

    # one batch axis compiles in less time than three
    every = jax.vmap(one)(tuple(axis.ravel() for axis in jnp.indices(shape)))
    return jax.tree.map(lambda leaf: leaf.reshape(*shape, -1), every)


def two_modes() -> GaussianMixture:
    """The mixture N(-1, 0.1^2)/2 + N(1, 0.1^2)/2."""
    return GaussianMixture.isotropic([0.5, 0.5], [[-1.0], [1.0]], [0.1, 0.1])


def _across(variance: float) -> float:
    """E[Z Q(Phi(Z))] of the two modes with noise, by substituting x = Q(Phi(Z))."""
    spread = np.sqrt(0.01 + variance)
    x = np.linspace(-1 - 12 * spread, 1 + 12 * spread, _NODES)
    below = 0.5 * (special.ndtr((x - 1) / spread) + special.ndtr((x + 1) / spread))
    above = 0.5 * (special.ndtr((1 - x) / spread) + special.ndtr((-1 - x) / spread))
    z = np.where(below < 0.5, special.ndtri(below), -special.ndtri(above))
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)  # E[Z Q] = int phi(z(x)) dx, by parts
    return float(np.sum(density) * (x[1] - x[0]))


def laws(schedule: Schedule) -> Law:
    """The laws of all targets on one grid.

    Args:
      schedule: of N steps.
    """
    low, levels = schedule.forward_variances[0], schedule.forward_variances[1:]
    mixture, twin = two_modes(), Gaussian.isotropic(1, np.sqrt(1.01))
    stds = jnp.asarray([*STDS.values(), np.sqrt(1.01)])
    entropies = [law.entropy(low).value for law in (twin, mixture)]
    information = mixture_integrals(mixture, levels, None, 2).fisher_information.value
    gap = information - 1 / (1.01 + levels)
    count = len(STDS)
    return Law(
        stds,
        jnp.zeros(count + 1).at[count].set(entropies[0] - entropies[1]),
        jnp.sqrt(stds**2 + low).at[count].set(_across(float(low))),
        jnp.zeros((count + 1, schedule.steps)).at[count].set(jnp.maximum(gap, 0.0)),
    )


def designs(steps: int) -> tuple[Schedule, Schedule]:
    """EDM's and Song's over the standard range."""
    return edm(steps), song(steps)


def chains(kind: str, steps: int, seeds: int, pointwise: bool = False, seed: int = 0) -> Chains:
    """EDM's and Song's chains, shape [2, TARGETS, seeds, KEPT], as NumPy arrays.

    Args:
      kind: "per level" or "shared".
      steps: N.
      seeds: how many trainings.
      pointwise: whether EDM's weighting is read at each level, as in appendix H.3; else it is a
        density in sigma.
      seed: of data and noise.
    """
    random = np.random.default_rng([17, seed])
    normal = random.standard_normal((seeds, POINTS, 1))
    signs = np.sign(random.random((seeds, POINTS, 1)) - 0.5)
    noise = jnp.asarray(random.standard_normal((seeds, POINTS, steps, 1)))
    points = jnp.asarray([s * normal for s in STDS.values()] + [signs + 0.1 * normal])
    weighting: AbstractWeighting = edm_weighting()
    if pointwise:
        weighting = edm_weighting().pointwise()
    grids = designs(steps)
    betas = jnp.stack([weighting.total(grid) for grid in grids])
    stacked, known = (
        jax.tree.map(lambda *x: jnp.stack(x), *each) for each in (grids, [laws(g) for g in grids])
    )
    return jax.tree.map(np.asarray, _table(MODELS[kind], known, stacked, betas, points, noise))

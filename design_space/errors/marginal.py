"""How far the sampler's law is from the data law at the end: marginal KL and W2."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import EPS, Array, Float, Key, named_key
from design_space.errors.design import Marginals, SamplerDesign
from design_space.errors.gaussian_marginal import gaussian_law, gaussian_marginals
from design_space.errors.line import line_errors
from design_space.errors.line_law import LineLaws, line_laws
from design_space.errors.particles import marginal_kl_by_particles
from design_space.errors.plane import plane_marginals
from design_space.errors.sampled_metrics import check_particles, kl_by_neighbors
from design_space.errors.score import split_of
from design_space.numerics.centered import root_of_square
from design_space.numerics.estimate import Estimate
from design_space.numerics.statistics import mean_estimate
from design_space.numerics.transport_samples import sampled_w2_squared, transport_library
from design_space.sampling.gaussian_law import GaussianLaw
from design_space.sampling.line_flow import SqueezeError
from design_space.sampling.moves import as_chain, is_turned
from design_space.sampling.simulate import simulate
from design_space.sampling.steppers import PAPER, AbstractStepper
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.scores.plane import split_in_plane
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.plane import reduce_to_plane
from design_space.targets.reduction import LARGEST_LINE, Reduction, reduce_to_line

_TRACED = "the density law plans its grids from concrete values; call it outside jit and vmap"
_TRACED_DRAWS = "distances between draws are computed from concrete values; call it outside jit"
_FEWEST = 512  # draws of each law that distances between them ask for
_OUTER = 4  # one point of the particle filters per this many samples


class LineDesign(NamedTuple):
    """A design that reduces to the line, and to a Gaussian across it.

    Attributes:
      reduction: of the data law.
      score: of the coordinate along the line.
      across: the design across the line, None in one dimension.
    """

    reduction: Reduction
    score: AbstractScore
    across: SamplerDesign | None


def on_line(design: SamplerDesign) -> LineDesign | None:
    """The parts of a design along and across a line, if law, score and noise reduce to one.

    Args:
      design: the sampler, and the data law.
    """
    target, schedule, score, stepper = design
    reduction = reduce_to_line(target.components())
    split = split_of(target, score, reduction)
    if reduction is None or split is None:
        return None
    if target.dim > 1 and is_turned(stepper.moves(schedule)):
        return None  # such noise does not split along and across
    if split.complement is None or split.complement_target is None:
        return LineDesign(reduction, split.line, None)
    across = SamplerDesign(split.complement_target, schedule, split.complement, stepper)
    return LineDesign(reduction, split.line, across)


def line_marginals(parts: LineDesign, variance: Array, laws: LineLaws) -> Marginals:
    """KL and W2 of a design that reduces to the line.

    Args:
      parts: from `on_line`.
      variance: v_N.
      laws: of the sampler along the line.
    """
    along = line_errors(parts.reduction.line, variance, laws)
    if parts.across is None:
        return Marginals(along.marginal_kl, along.w2_squared)
    across = gaussian_marginals(parts.across)
    assert across is not None  # the parts of a split score are affine across the line
    return Marginals(along.marginal_kl + across.marginal_kl, along.w2_squared + across.w2_squared)


def _line(design: SamplerDesign) -> Marginals | None:
    """By the density carried along the line, if there is one."""
    parts = on_line(design)
    if parts is None:
        return None
    if not design.concrete:
        nothing = Estimate.unavailable(_TRACED)
        return Marginals(nothing, nothing)
    try:
        laws = line_laws(parts.score, design.schedule, design.stepper)
        return line_marginals(parts, design.variance, laws)
    except SqueezeError:
        return None  # a map without noise folds: there is no bounded density, but particles
    except ValueError as error:
        nothing = Estimate.unavailable(str(error))
        return Marginals(nothing, nothing)


@eqx.filter_jit
def _log_ratio_draws(
    target: AbstractTarget, law: GaussianLaw, schedule: Schedule, key: Key, samples: int
) -> Array:
    """Draws of log p_{v_N}(Y) - log q_N(Y), Y ~ p_{v_N}; `law` is q_N seen from a Dirac at 0."""
    v = schedule.backward_variances[-1]
    covariance = v * jnp.eye(target.dim)
    covariance += jnp.diag(law.excess) if law.excess.ndim == 1 else law.excess
    draws = target.sample(key, samples, v)

    def one(y: Array) -> Array:
        gap = jax.scipy.stats.multivariate_normal.logpdf(y, law.shift, covariance)
        return target.log_density(y, v) - gap

    return jax.lax.map(one, draws, batch_size=min(256, samples))


def _affine(design: SamplerDesign, key: Key, samples: int) -> Marginals | None:
    """An affine score makes the sampler Gaussian on any data; the KL to it is then a plain mean."""
    law = gaussian_law(Gaussian.dirac(jnp.zeros(design.target.dim)), *design[1:])
    if law is None:
        return None
    kl = mean_estimate(_log_ratio_draws(design.target, law, design.schedule, key, samples))
    return Marginals(kl, _transport(design, key, samples))


def marginal_errors(
    target: AbstractTarget,
    schedule: Schedule,
    score: AbstractScore,
    key: Key,
    samples: int,
    stepper: AbstractStepper = PAPER,
) -> Marginals:
    """KL(p_{v_N} | q_N) and W2(p_{v_N}, q_N)^2.

    Args:
      target: the data law.
      schedule: the noise schedule.
      score: the score model.
      key: random key, used where only Monte Carlo is left.
      samples: its size; one point of the particle filters per 4 samples, and at least 512 for
        distances between draws.
      stepper: the sampler.

    Returns:
      Closed form for Gaussian data and affine scores in any dimension; the propagated density in
      one dimension and for mixtures that reduce to one, and the KL by it in the plane. Else the
      KL is a plain mean against the Gaussian law of an affine score, or comes from particle
      filters, or from nearest neighbors where a move has no noise; W2 from optimal transport
      between draws, if the library for it is installed.
    """
    design = SamplerDesign(target, schedule, score, stepper)
    found = gaussian_marginals(design) if isinstance(target, Gaussian) else None
    found = _line(design) if found is None else found
    if found is not None:
        return found
    key = named_key(key, "marginal")
    found = _plane(design, key, samples)
    found = _affine(design, key, samples) if found is None else found
    return _sampled(design, key, samples) if found is None else found


def _plane(design: SamplerDesign, key: Key, samples: int) -> Marginals | None:
    """By the density carried in the plane, if the law and the score reduce to one."""
    target, schedule, score, stepper = design
    few = target.components().means.shape[0] <= LARGEST_LINE
    if not (few and design.concrete):
        return None
    try:
        inside = plane_marginals(*design)
    except ValueError:  # too fine a density, or a map that folds: particles have neither trouble
        return None
    if inside is None:
        return None
    transport = _transport(design, key, samples)
    split = split_in_plane(target, score, reduce_to_plane(target.components()))
    if split is None or split.complement is None or split.complement_target is None:
        return Marginals(inside.marginal_kl, transport)
    part = SamplerDesign(split.complement_target, schedule, split.complement, stepper)
    across = gaussian_marginals(part)
    assert across is not None  # the parts of a split score are affine across the plane
    return Marginals(inside.marginal_kl + across.marginal_kl, transport)


def _sampled(design: SamplerDesign, key: Key, samples: int) -> Marginals:
    """Where nothing reduces, by particles."""
    target, schedule, score, stepper = design
    points = max(16, samples // _OUTER)
    transport = _transport(design, key, samples)
    if as_chain(stepper.moves(schedule)) is not None:
        kl = marginal_kl_by_particles(target, schedule, score, key, points=points, stepper=stepper)
        return Marginals(kl, transport)
    if not design.concrete:
        return Marginals(Estimate.unavailable(_TRACED_DRAWS), transport)
    exact, made = _draws(design, key, max(samples, _FEWEST))
    seed = int(jax.random.randint(key, (), 0, 1 << 30))
    kl = kl_by_neighbors(target, float(design.variance), exact, made, seed)
    return Marginals(kl, transport)


def _draws(design: SamplerDesign, key: Key, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Independent draws of p_{v_N} and of q_N.

    Raises:
      ValueError: if particles run away.
    """
    target, schedule, score, stepper = design
    exact = target.sample(named_key(key, "exact"), samples, design.variance)
    run = {"count": samples, "dim": target.dim, "stepper": stepper}
    made = simulate(score, schedule, named_key(key, "made"), **run).particles
    check_particles(np.asarray(made))
    return np.asarray(exact), np.asarray(made)


def _transport(design: SamplerDesign, key: Key, samples: int) -> Estimate:
    """W2^2 between draws of both laws, if the library for it is installed."""
    if not design.concrete:
        return Estimate.unavailable(_TRACED_DRAWS)
    if samples < _FEWEST:
        return Estimate.unavailable(f"transport between draws takes at least {_FEWEST} samples")
    try:
        transport_library()
        draws = _draws(design, named_key(key, "transport"), samples)
        return sampled_w2_squared(*draws)
    except ValueError as error:
        return Estimate.unavailable(str(error))


def square_root(squared: Estimate) -> Estimate:
    """The square root of an estimate of a square, with the error carried over.

    A distance between draws is known by a square that may come out below 0: see root_of_square.
    """
    if squared.method == "monte carlo":
        return root_of_square(squared)
    root: Float[Array, ""] = jnp.sqrt(squared.value)
    # |sqrt(x + e) - sqrt(x)| <= min(e / sqrt(x), sqrt(e)).
    error = jnp.minimum(squared.error / jnp.where(root > 0, root, jnp.inf), squared.error**0.5)
    error = jnp.where(root > 0, error, squared.error**0.5) + EPS * root
    return Estimate(root, error, squared.method, squared.condition, squared.reason)

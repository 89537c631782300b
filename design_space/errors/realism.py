"""How realistic and how diverse the samples of a sampler are, as numbers."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import Key, named_key
from design_space.errors.design import SamplerDesign
from design_space.errors.gaussian_marginal import gaussian_law
from design_space.errors.line_law import line_laws
from design_space.errors.line_realism import line_realism
from design_space.errors.marginal import marginal_errors, on_line, square_root
from design_space.errors.plane import PlaneErrors, plane_marginals
from design_space.errors.realism_record import (
    ALPHA,
    Classifier,
    Realism,
    check_alpha,
    data_modes,
    effective_modes,
)
from design_space.errors.sampled_metrics import check_particles
from design_space.errors.sampled_realism import Draws, LogDensity, sampled_realism
from design_space.numerics.estimate import Estimate
from design_space.numerics.grid import interpolate
from design_space.numerics.mixture_fit import FittedMixture
from design_space.numerics.transport_samples import sampled_w2_squared
from design_space.sampling.moves import check_dimension
from design_space.sampling.simulate import simulate
from design_space.sampling.steppers import given_or_paper
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.scores.exact import exact_score
from design_space.targets.base import AbstractTarget
from design_space.targets.components import Components
from design_space.targets.gaussian import Gaussian
from design_space.targets.reduction import LARGEST_LINE

FEWEST = 512
"""Fewest draws of each law."""

DRAWS = 4096
"""Draws of each law unless given, and the most by which KL and W2 are measured."""


def _on_line(design: SamplerDesign, alpha: float, classifier: Classifier | None) -> Realism | None:
    """In one dimension, from the density, where it can be carried."""
    parts = on_line(design) if design.target.dim == 1 else None
    if parts is None:
        return None
    try:
        laws = line_laws(parts.score, design.schedule, design.stepper)
        line = parts.reduction.line
        return line_realism(line, design.variance, laws, alpha=alpha, classifier=classifier)
    except ValueError:
        return None  # the density is out of reach; particles are not


class _Law(NamedTuple):
    """What is known of a law beside its draws.

    Attributes:
      log_density: log q at points, or None.
      plane: in two dimensions, its errors by quadrature, or None.
    """

    log_density: LogDensity | None
    plane: PlaneErrors | None


def _gaussian_density(design: SamplerDesign) -> LogDensity | None:
    """The density of the law of an affine score: a Gaussian."""
    origin = Gaussian.dirac(jnp.zeros(design.target.dim))
    for data in (design.target, origin):
        law = gaussian_law(data, *design[1:]) if isinstance(data, Gaussian) else None
        if law is None or not isinstance(data, Gaussian):
            continue
        excess = jnp.diag(law.excess) if law.excess.ndim == 1 else law.excess
        matrix = jnp.diag(data.eigenvalues + design.variance) + excess
        basis = jnp.eye(data.dim) if data.basis is None else data.basis
        mean = np.asarray(data.mean_vector + basis @ law.shift)
        covariance = np.asarray(basis @ matrix @ basis.T)
        return FittedMixture(np.ones(1), mean[None], covariance[None]).log_density
    return None


def _product_density(design: SamplerDesign) -> LogDensity | None:
    """The density along a line times a round Gaussian across it, moved along the line's origin."""
    parts = on_line(design)
    if parts is None or parts.across is None or not isinstance(parts.across.target, Gaussian):
        return None
    law = gaussian_law(parts.across.target, *parts.across[1:])
    if law is None or law.excess.ndim != 1:
        return None
    shift, spread = np.asarray(law.shift), np.asarray(parts.across.target.eigenvalues + law.excess)
    origin = np.asarray(parts.reduction.origin)
    length = float(np.linalg.norm(origin))
    # other directions of a shift are not those of the data space, but of one vector in it
    named = shift[:1] if length > 0 else shift[:0]
    if np.any(shift[len(named) :] != 0) or np.ptp(spread) > 1e-12 * np.max(spread):
        return None
    mean = origin * (1 + named[0] / length) if length > 0 else origin
    try:
        density = line_laws(parts.score, design.schedule, design.stepper).fine
    except ValueError:
        return None
    axis, variance = np.asarray(parts.reduction.direction), spread[0] + float(design.variance)

    def log_density(x: np.ndarray) -> np.ndarray:
        along = x @ axis
        square = np.sum((x - along[:, None] * axis - mean) ** 2, axis=1)
        across = -0.5 * (square / variance + len(spread) * np.log(2 * np.pi * variance))
        return interpolate(density.grid, density.log_values, along) + across

    return log_density


def _law(design: SamplerDesign) -> _Law:
    """The density of the sampler's law in the best way in which it is known."""
    density = _gaussian_density(design) or _product_density(design)
    few = design.target.components().means.shape[0] <= LARGEST_LINE
    if density is not None or design.target.dim != 2 or not few:
        return _Law(density, None)
    try:
        plane = plane_marginals(*design)
    except ValueError:  # too fine a density, or a map that folds: particles have neither trouble
        plane = None
    if plane is None:
        return _Law(None, None)
    carried = plane.density
    # tails below 1e-16 of the maximum are rounding
    return _Law(lambda x: np.log(np.maximum(carried(x), 1e-300)), plane)


def _transport(x: np.ndarray, y: np.ndarray) -> Estimate:
    try:
        return square_root(sampled_w2_squared(x, y))
    except ValueError as error:
        return Estimate.unavailable(str(error))


def _distances(design: SamplerDesign, law: _Law, draws: Draws, key: Key) -> dict[str, Any]:
    """KL(p | q) and W2, and mode weights where the plane knows them better."""
    count = min(len(draws.data), DRAWS)
    if law.plane is None:
        marginals = marginal_errors(*design[:3], key, count, design.stepper)
        return {"kl": marginals.marginal_kl, "w2": square_root(marginals.w2_squared)}
    found = {"kl": law.plane.marginal_kl, "w2": _transport(draws.data[:count], draws.made[:count])}
    weights = law.plane.mode_weights
    if weights.value.shape == design.target.components().log_weights.shape:
        found["mode_weights"] = weights
    return found


def _diagonals(parts: Components, variance: jax.Array) -> jax.Array:
    """The diagonal of S_k + v for each component, shape [components, dim]."""
    if parts.bases is None:
        return parts.variances + variance
    return jnp.einsum("kij,kj->ki", parts.bases**2, parts.variances + variance)


def _sampled(
    design: SamplerDesign, alpha: float, classifier: Classifier | None, seed: int, samples: int
) -> Realism:
    """From draws of both laws, and the density of the sampler's where it is known."""
    target, v, dim = design.target, float(design.variance), design.target.dim
    key = named_key(jax.random.key(seed), "realism")
    run = {"count": samples, "dim": dim, "stepper": design.stepper}
    made = simulate(design.score, design.schedule, named_key(key, "made"), **run).particles
    check_particles(np.asarray(made))
    data = np.asarray(target.sample(named_key(key, "exact"), samples, v))
    law = _law(design)
    draws = Draws.of(target, v, data, np.asarray(made), law.log_density)
    found = sampled_realism(target, v, draws, alpha, classifier, key)
    found |= _distances(design, law, draws, key)
    parts = target.components()
    known = data_modes(parts.log_weights, parts.means, _diagonals(parts, design.variance))
    effective = effective_modes(found["mode_weights"])
    return Realism(
        **found, **known, effective_modes=effective, alpha=alpha, samples=samples, seed=seed
    )


def design_realism(
    design: SamplerDesign,
    *,
    alpha: float = ALPHA,
    classifier: Classifier | None = None,
    samples: int = DRAWS,
    seed: int = 0,
) -> Realism:
    """Measures how realistic and how diverse the law of a design is; see `realism`.

    Args:
      design: the sampler, and the data law.
      alpha: mass of the data in the region of low density.
      classifier: (x, v) -> log p_v(c | x), or None.
      samples: draws of each law where Monte Carlo is the only way.
      seed: seed of what is sampled.

    Raises:
      ValueError: as for `realism`.
    """
    alpha = check_alpha(alpha)
    checks.count("samples", samples, least=FEWEST)
    checks.count("seed", seed, least=0)
    check_dimension(design.stepper.moves(design.schedule), design.target.dim)
    if not design.concrete:
        raise ValueError("realism = traced: must be concrete; call realism outside jit")
    found = _on_line(design, alpha, classifier)
    return _sampled(design, alpha, classifier, seed, samples) if found is None else found


def realism(
    target: AbstractTarget,
    schedule: Schedule,
    score: AbstractScore | None = None,
    sampler: Any = None,
    *,
    alpha: float = ALPHA,
    classifier: Classifier | None = None,
    samples: int = DRAWS,
    seed: int = 0,
) -> Realism:
    """Measures how realistic and how diverse a sampler's law is beside the data law.

    In one dimension by quadrature of the sampler's density; else by draws of both laws, with exact
    densities of the data, and of the sampler where it is Gaussian or the law has two dimensions.

    Args:
      target: the data law; for a conditional sampler, that of its class.
      schedule: the noise schedule.
      score: the score model; the exact score unless given.
      sampler: the sampler; the frozen-score sampler of the paper unless given.
      alpha: mass of the data in the region of low density, from 1e-9 to 1/2; by draws, 1e-5 or so
        is the least.
      classifier: (x, v) -> log p_v(c | x) for one point x, for one class or all, for instance
        `log_posterior` of a labeled mixture; or None.
      samples: draws of each law where Monte Carlo is the only way, at least 512; KL and W2, whose
        cost grows with the cube, take 4096 at most.
      seed: seed of what is sampled.

    Returns:
      The numbers, each with its error and method.

    Raises:
      ValueError: if alpha, samples or seed is out of range, something is traced, or particles run
        away.
    """
    score = exact_score(target) if score is None else score
    design = SamplerDesign(target, schedule, score, given_or_paper(sampler))
    how = {"samples": samples, "seed": seed}
    return design_realism(design, alpha=alpha, classifier=classifier, **how)

"""How far a sampler's law is from the data law, in several distances, each by its best method."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space import checks
from design_space.arrays import EPS, Array, Key, is_concrete, named_key
from design_space.errors.design import SamplerDesign
from design_space.errors.gaussian_marginal import gaussian_law
from design_space.errors.gaussian_metrics import (
    gaussian_total_variation,
    log_ratio,
    share_of_ratio,
)
from design_space.errors.line_law import line_laws
from design_space.errors.line_metrics import LineMetrics, line_metrics
from design_space.errors.marginal import line_marginals, marginal_errors, on_line, square_root
from design_space.errors.plane import plane_marginals
from design_space.errors.sampled_metrics import (
    check_particles,
    covariance_estimate,
    kl_by_neighbors,
    log_densities,
    sampled_mode_weights,
    total_variation_by_particles,
)
from design_space.numerics.centered import root_of_square
from design_space.numerics.estimate import Estimate
from design_space.numerics.grid import interpolate
from design_space.numerics.mixture_fit import FittedMixture
from design_space.numerics.sliced import gaussian_sliced_w2_squared, sampled_sliced_w2_squared
from design_space.numerics.statistics import mean_estimate
from design_space.numerics.transport_samples import sampled_w2_squared
from design_space.sampling.gaussian_law import GaussianLaw
from design_space.sampling.moves import as_chain, check_dimension
from design_space.sampling.simulate import simulate
from design_space.sampling.steppers import given_or_paper
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.scores.exact import exact_score, line_target
from design_space.targets.base import AbstractTarget
from design_space.targets.gaussian import Gaussian
from design_space.targets.reduction import LARGEST_LINE, Reduction, reduce_to_line

_NAMES: tuple[str, ...] = (
    "marginal_kl",
    "w2",
    "sliced_w2",
    "total_variation",
    "mode_weights",
    "mean",
    "covariance",
)
_FILTERED = 4  # one point of the particle filters per this many samples

FEWEST = 512
"""Fewest draws of each law; the repetitions of a transport distance leave 16 to a sample."""

DRAWS = 4096
"""Draws of each law unless given."""

Found = dict[str, Estimate]


class Metrics(eqx.Module):
    """Distances between p = p_{v_N}, the data law at the last noise level, and the sampler's law q.

    Attributes:
      marginal_kl: KL(p | q), in nats.
      w2: W2(p, q), in data units.
      sliced_w2: the root of the mean of W2(u^T p, u^T q)^2 over unit vectors u, in data units.
      total_variation: (1/2) int |p - q|, from 0 to 1.
      mode_weights: E_q of the posterior probability of each component, shape [components].
      mean: E_q Y, shape [dim].
      covariance: Cov_q Y, shape [dim, dim].
      data_mode_weights: the same under p, which are the weights of the components.
      data_mean: E_p Y, shape [dim].
      data_covariance: Cov_p Y, which holds the noise v_N, shape [dim, dim].
      seed: seed of what is sampled.
      samples: draws of each law where Monte Carlo is the only way.
    """

    marginal_kl: Estimate
    w2: Estimate
    sliced_w2: Estimate
    total_variation: Estimate
    mode_weights: Estimate
    mean: Estimate
    covariance: Estimate
    data_mode_weights: Estimate
    data_mean: Estimate
    data_covariance: Estimate
    seed: int = eqx.field(static=True)
    samples: int = eqx.field(static=True)

    def to_dict(self) -> dict[str, object]:
        """Plain data: {"value", "error", "method"} by name, lists where there are several numbers;
        nulls and a "reason" where one cannot be had.
        """
        names = (*_NAMES, "data_mode_weights", "data_mean", "data_covariance")
        row: dict[str, object] = {name: _entry(getattr(self, name)) for name in names}
        row["seed"], row["samples"] = self.seed, self.samples
        return row


def _entry(estimate: Estimate) -> dict[str, object]:
    if estimate.value.ndim == 0 or estimate.reason is not None:
        return estimate.to_dict()
    value, error = np.asarray(estimate.value).tolist(), np.asarray(estimate.error).tolist()
    return {"value": value, "error": error, "method": estimate.method}


def _known(value: Array, error: Array) -> Estimate:
    return Estimate(value, error, "closed form")


def _full(target: Gaussian, diagonal_or_matrix: Array) -> Array:
    """An operator of the eigenbasis as a matrix of the data space."""
    d = diagonal_or_matrix
    matrix = jnp.diag(d) if d.ndim == 1 else d
    return matrix if target.basis is None else target.basis @ matrix @ target.basis.T


def _moments(target: Gaussian, law: GaussianLaw, design: SamplerDesign) -> Found:
    """Mean and covariance of a Gaussian law in the data space, with their rounding."""
    unit = 32 * EPS * (design.schedule.steps + 16)
    shift = law.shift if target.basis is None else target.basis @ law.shift
    mean, size = target.mean_vector + shift, jnp.max(law.absolute) + float(design.variance)
    covariance = _full(target, target.eigenvalues + float(design.variance)) + _full(
        target, law.excess
    )
    off = unit * (jnp.abs(target.mean_vector) + jnp.linalg.norm(law.shift))
    return {
        "mean": _known(mean, off),
        "covariance": _known(covariance, jnp.full_like(covariance, unit * float(size))),
    }


def _gaussian(design: SamplerDesign, random: np.random.Generator, samples: int) -> Found:
    """Gaussian data under an affine score: the sampler's law is Gaussian, too."""
    target = design.target
    law = gaussian_law(target, *design[1:]) if isinstance(target, Gaussian) else None
    if law is None or not isinstance(target, Gaussian):
        return {}
    final = np.asarray(target.eigenvalues) + float(design.variance)
    shift, excess, root = np.asarray(law.shift), np.asarray(law.excess), np.sqrt(final)
    relative = excess / final if excess.ndim == 1 else excess / root[:, None] / root[None, :]
    variation = gaussian_total_variation(relative, shift / root, random, samples)
    # TV moves by at most half of the sum of relative changes of variances, and of shifts in
    # standard deviations.
    unit = 32 * EPS * (design.schedule.steps + 16)
    lost = unit * float(np.sum(np.asarray(law.absolute) / final) + np.sum(np.abs(shift) / root))
    wide = np.diag(final) + (np.diag(excess) if excess.ndim == 1 else excess)
    sliced = gaussian_sliced_w2_squared(shift, np.diag(final), wide, random)
    one = jnp.ones(1)
    return {
        **_moments(target, law, design),
        "total_variation": Estimate(variation.value, variation.error + lost, variation.method),
        "sliced_w2": square_root(sliced),
        "mode_weights": _known(one, 0 * one),
    }


def _line(design: SamplerDesign, key: Key, samples: int) -> Found:
    """A law and a score that reduce to the line: from the density along it."""
    parts = on_line(design)
    if parts is None:
        return {}
    line = parts.reduction.line
    try:
        laws = line_laws(parts.score, design.schedule, design.stepper)
        errors = line_marginals(parts, design.variance, laws)
        along = line_metrics(line, design.variance, laws)
    except ValueError:
        return {}  # the density is out of reach; particles are not
    found = {"marginal_kl": errors.marginal_kl, "w2": square_root(errors.w2_squared)}
    if len(line.centers) == design.target.components().log_weights.shape[0]:
        found["mode_weights"] = along.mode_weights
    if parts.across is not None:
        return found | _product_variation(parts.reduction, along, parts.across, key, samples)
    scalars = {"mean": along.mean, "covariance": along.variance}
    shapes = {"mean": (1,), "covariance": (1, 1)}
    found |= {
        name: Estimate(e.value.reshape(shapes[name]), e.error.reshape(shapes[name]), e.method)
        for name, e in scalars.items()
    }
    return found | {"total_variation": along.total_variation}


def _plane(design: SamplerDesign, on_lines: bool = False) -> Found:
    """Two dimensions, few components: by the density carried in the plane, where it can be.

    A law on a line, or a Gaussian, has a cheaper way, unless the score does not keep to the line:
    guidance away from a class that is off it.
    """
    parts = design.target.components()
    if design.target.dim != 2 or parts.means.shape[0] > LARGEST_LINE:
        return {}
    narrow = isinstance(design.target, Gaussian) or reduce_to_line(parts) is not None
    if narrow and not on_lines:
        return {}
    try:
        found = plane_marginals(*design)
    except ValueError:  # too fine a density, or a map that folds: particles have neither trouble
        return {}
    names = ("marginal_kl", "total_variation", "mode_weights", "mean", "covariance")
    return {} if found is None else {name: getattr(found, name) for name in names}


def _product_variation(
    reduction: Reduction, along: LineMetrics, part: SamplerDesign, key: Key, samples: int
) -> Found:
    """TV of products: a density on the line times a Gaussian across it, by draws of p."""
    assert isinstance(part.target, Gaussian)
    law = gaussian_law(part.target, *part[1:])
    if law is None or law.excess.ndim != 1:
        return {}
    v = float(part.variance)
    x = line_target(reduction).sample(named_key(key, "along"), samples, v)[:, 0]
    log_p = log_densities(line_target(reduction), v, np.asarray(x)[:, None])
    density = along.density
    ratio = interpolate(density.grid, density.log_values, np.asarray(x)) - log_p
    final = np.asarray(part.target.eigenvalues) + v
    normal = jax.random.normal(named_key(key, "across"), (samples, len(final)), dtype=jnp.float64)
    across = log_ratio(
        np.asarray(normal), np.asarray(law.excess) / final, np.asarray(law.shift) / final**0.5
    )
    return {"total_variation": share_of_ratio(ratio + across)}


def _affine(design: SamplerDesign, key: Key, samples: int) -> Found:
    """An affine score on any data: the sampler's law is a Gaussian that is known."""
    origin, v = Gaussian.dirac(jnp.zeros(design.target.dim)), float(design.variance)
    law = gaussian_law(origin, *design[1:])
    if law is None:
        return {}
    found = _moments(origin, law, design)
    mean, covariance = (np.asarray(found[name].value)[None] for name in ("mean", "covariance"))
    x = np.asarray(design.target.sample(named_key(key, "exact"), samples, v))
    log_q = FittedMixture(np.ones(1), mean, covariance).log_density(x)
    return found | {"total_variation": share_of_ratio(log_q - log_densities(design.target, v, x))}


def _known_law(design: SamplerDesign, key: Key, random: np.random.Generator, samples: int) -> Found:
    """By the best way in which the law itself is known."""
    return (
        _plane(design)
        or _gaussian(design, random, samples)
        or (_affine(design, key, samples) | _line(design, key, samples))
        or _plane(design, on_lines=True)
    )


def _sampled(design: SamplerDesign, key: Key, samples: int, wanted: set[str]) -> Found:
    """What is left, from draws of both laws."""
    target, v, dim = design.target, float(design.variance), design.target.dim
    run = {"count": samples, "dim": dim, "stepper": design.stepper}
    made = simulate(design.score, design.schedule, named_key(key, "made"), **run).particles
    y, x = np.asarray(made), np.asarray(target.sample(named_key(key, "exact"), samples, v))
    check_particles(y)
    seed = int(jax.random.randint(named_key(key, "seed"), (), 0, 2**31 - 1))
    random = np.random.default_rng(seed)
    ways = {
        "marginal_kl": lambda: kl_by_neighbors(target, v, x, y, seed),
        "w2": lambda: root_of_square(sampled_w2_squared(x, y)),
        "sliced_w2": lambda: root_of_square(sampled_sliced_w2_squared(x, y, random)),
        "total_variation": lambda: _filtered_variation(design, x, key),
        "mode_weights": lambda: sampled_mode_weights(target, v, y),
        "mean": lambda: mean_estimate(made),
        "covariance": lambda: covariance_estimate(y),
    }
    return {name: _or_reason(ways[name]) for name in _NAMES if name in wanted}


def _or_reason(way: Callable[[], Estimate]) -> Estimate:
    """The estimate, or the reason why it was refused."""
    try:
        return way()
    except ValueError as error:
        return Estimate.unavailable(str(error))


def _filtered_variation(design: SamplerDesign, exact: np.ndarray, key: Key) -> Estimate:
    chain = as_chain(design.stepper.moves(design.schedule))
    if chain is None:
        return Estimate.unavailable(
            "no density of this sampler's law, and a step of it has no noise to filter by"
        )
    points = jnp.asarray(exact[: len(exact) // _FILTERED])
    return total_variation_by_particles(design.target, chain, design.score, points, key)


def _data(target: AbstractTarget, v: float) -> Found:
    """The same numbers of the data law."""
    weights, mean, unit = jnp.exp(target.components().log_weights), target.mean(), 64 * EPS
    covariance = target.covariance() + v * jnp.eye(target.dim)
    return {
        "data_mode_weights": _known(weights, unit * weights),
        "data_mean": _known(mean, unit * jnp.max(jnp.abs(mean)) * jnp.ones_like(mean)),
        "data_covariance": _known(
            covariance, unit * jnp.max(jnp.abs(covariance)) * jnp.ones_like(covariance)
        ),
    }


def sampler_metrics(
    target: AbstractTarget,
    schedule: Schedule,
    score: AbstractScore | None = None,
    sampler: Any = None,
    *,
    seed: int = 0,
    samples: int = DRAWS,
) -> Metrics:
    """Measures the law of a sampler against the data law at its last noise level.

    Closed forms where both laws are Gaussian; the density where law and score reduce to the line,
    or the law has two dimensions; else draws of both laws, with 99 % intervals.

    Args:
      target: the data law.
      schedule: the noise schedule.
      score: the score model; the exact score unless given.
      sampler: the sampler; the frozen-score sampler of the paper unless given.
      seed: seed of what is sampled.
      samples: draws of each law where Monte Carlo is the only way, at least 512.

    Returns:
      The metrics, each with its error and method.

    Raises:
      ValueError: if samples is below 512, something is traced, or particles run away.
    """
    checks.count("samples", samples, least=FEWEST)
    checks.count("seed", seed, least=0)
    score = exact_score(target) if score is None else score
    design = SamplerDesign(target, schedule, score, given_or_paper(sampler))
    check_dimension(design.stepper.moves(schedule), target.dim)
    if not is_concrete(target, schedule, score, sampler):
        raise ValueError("metrics = traced: must be concrete; call sampler_metrics outside jit")
    key = jax.random.key(seed)
    own = named_key(key, "metrics")
    found = _known_law(design, own, np.random.default_rng(seed), samples)
    if "marginal_kl" not in found:
        marginals = marginal_errors(*design[:3], key, samples, design.stepper)
        more = {"marginal_kl": marginals.marginal_kl, "w2": square_root(marginals.w2_squared)}
        found |= {name: each for name, each in more.items() if bool(jnp.isfinite(each.value))}
    if target.dim == 1 and "w2" in found:
        found["sliced_w2"] = found["w2"]
    wanted = set(_NAMES) - set(found)
    found |= _sampled(design, own, samples, wanted) if wanted else {}
    return Metrics(**found, **_data(target, float(design.variance)), seed=seed, samples=samples)

"""What unlimited capacity makes of the self-perceptual loss: mass between two modes, W2, and KL.

The data are N(-m, s^2)/2 + N(m, s^2)/2, the frozen feature is the hidden unit of their exact
denoiser, and the score is the optimum of the loss at every point of every level of the sampler.
"""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri

from design_space.arrays import Array
from design_space.errors.line import line_errors
from design_space.errors.line_law import line_laws
from design_space.optimal.perceptual_loss import Perceptual, TwoLayerFeature
from design_space.optimal.perceptual_score import PerceptualScore, perceptual_score
from design_space.sampling.flows import FlowEuler, FlowHeun
from design_space.sampling.line_density import LineDensity
from design_space.sampling.moves import AbstractMove
from design_space.sampling.steppers import AbstractStepper, Ancestral
from design_space.schedules.named import edm
from design_space.schedules.schedule import Schedule
from design_space.scores.base import AbstractScore
from design_space.scores.exact import exact_score
from design_space.targets.line import Line
from design_space.targets.mixture import GaussianMixture

SEPARATIONS = (1.0, 2.0, 4.0)
"""m: the modes lie at -m and m, in data units."""

WIDTHS = (0.05, 0.1, 0.2, 0.3, 0.5)
"""s, the standard deviation of each mode."""

STEPS = 16
"""Of EDM's grid from 80 to 0.002."""

LEVELS = np.tan((np.arange(16) + 0.5) * np.pi / 32)
"""The sigma' of the loss, equally likely: at the middles of 16 equal parts of the quarter turn."""

FLOWS: dict[str, AbstractStepper] = {"flow, Euler": FlowEuler(), "flow, Heun": FlowHeun()}
"""Samplers without noise."""

_PARTICLES = 1 << 17


class Mass(NamedTuple):
    """Numbers of one law of a sampler, each with its error.

    Attributes:
      between: the mass of |x| < m/2.
      w2: the distance W2 to the data; without its error.
      kl: KL(data | sampler), of a sampler with noise; else not a number.
    """

    between: tuple[float, float]
    w2: float
    kl: tuple[float, float] = (float("nan"), float("nan"))


def two_modes(m: float, s: float) -> GaussianMixture:
    """N(-m, s^2)/2 + N(m, s^2)/2.

    Args:
      m: half the distance of the modes.
      s: their standard deviation.
    """
    return GaussianMixture.isotropic([0.5, 0.5], [[-m], [m]], s)


def schedule() -> Schedule:
    """The grid of the samplers."""
    return edm(STEPS)


@functools.lru_cache(maxsize=64)
def unlimited(m: float, s: float, c: float = 0.0) -> PerceptualScore:
    """The optimal score for the loss with c |v_hat - v|^2 added.

    Args:
      m: half the distance of the modes.
      s: their standard deviation.
      c: the part of the mean square.
    """
    loss = Perceptual(TwoLayerFeature(m, s * s), LEVELS, mean_square=c)
    return perceptual_score(two_modes(m, s), loss, schedule().backward_sigmas, rounds=8)


@eqx.filter_jit
def _pushed(score: AbstractScore, moves: tuple[AbstractMove, ...], start: Array) -> Array:
    def step(x: Array, each: tuple[AbstractMove, ...]) -> tuple[Array, None]:
        for move in each:
            x = jax.vmap(lambda y, m=move: m.mean(score, y))(x)
        return x, None

    return jax.lax.scan(step, start, moves)[0]


def _quantiles(score: AbstractScore, stepper: AbstractStepper) -> np.ndarray:
    """Where a sampler without noise takes the middles of equal shares of its start."""
    shares = (np.arange(_PARTICLES) + 0.5) / _PARTICLES
    start = jnp.asarray(float(schedule().backward_sigmas[0]) * ndtri(shares))
    return np.asarray(_pushed(score, stepper.moves(schedule()), start[:, None]))[:, 0]


def _data_quantiles(m: float, s: float) -> np.ndarray:
    """The middles of equal shares of the data with the last noise, by bisection of their law."""
    spread = (s * s + float(schedule().backward_sigmas[-1]) ** 2) ** 0.5
    x = np.linspace(-m - 9 * spread, m + 9 * spread, 1 << 19)
    density = sum(np.exp(-0.5 * ((x - a) / spread) ** 2) for a in (-m, m))
    share = np.cumsum(density)
    return np.interp((np.arange(_PARTICLES) + 0.5) / _PARTICLES, share / share[-1], x)


def flow_mass(score: AbstractScore, m: float, s: float, sampler: str) -> Mass:
    """The numbers of a sampler without noise: it moves equal shares of its start.

    The error of the mass is a share for each crossing of an edge.

    Args:
      score: the score.
      m: half the distance of the modes.
      s: their standard deviation.
      sampler: a name in FLOWS.
    """
    ends = _quantiles(score, FLOWS[sampler])
    inside = np.abs(ends) < m / 2
    crossings = int(np.sum(inside[1:] != inside[:-1])) + 1
    w2 = float(np.sqrt(np.mean((np.sort(ends) - _data_quantiles(m, s)) ** 2)))
    return Mass((float(np.mean(inside)), crossings / _PARTICLES), w2)


def _between(density: LineDensity, m: float) -> float:
    """The mass of |x| < m/2 by the trapezoid rule, edges to a cell's part."""
    x = density.grid.points()
    share = np.clip((m / 2 - np.abs(x)) / density.grid.spacing + 0.5, 0.0, 1.0)
    return float(share @ np.exp(density.log_values)) * density.grid.spacing


def noisy_mass(score: AbstractScore, m: float, s: float) -> Mass:
    """The numbers of ancestral sampling, by its density.

    Args:
      score: the score.
      m: half the distance of the modes.
      s: their standard deviation.
    """
    target = two_modes(m, s)
    laws = line_laws(score, schedule(), Ancestral())
    coarse, fine = (_between(law, m) for law in (laws.coarse, laws.fine))
    variance = schedule().backward_variances[-1]
    found = line_errors(Line.of(target.components()), variance, laws)
    kl = float(found.marginal_kl.value), float(found.marginal_kl.error)
    return Mass((fine, abs(fine - coarse)), float(found.w2_squared.value) ** 0.5, kl)


class Comparison(NamedTuple):
    """One sampler with two scores on the same data.

    Attributes:
      m, s, c: of the data and the loss.
      sampler: its name.
      exact: with the exact score.
      perceptual: with the optimum of the loss; errors hold what a coarser table changes.
    """

    m: float
    s: float
    c: float
    sampler: str
    exact: Mass
    perceptual: Mass


def _with_table_error(fine: Mass, coarse: Mass) -> Mass:
    """The finer numbers, their errors with the difference of the tables."""

    def joined(one: tuple[float, float], two: tuple[float, float]) -> tuple[float, float]:
        return one[0], one[1] + abs(one[0] - two[0])

    return Mass(joined(fine.between, coarse.between), fine.w2, joined(fine.kl, coarse.kl))


@functools.lru_cache(maxsize=256)
def compared(m: float, s: float, sampler: str, c: float = 0.0) -> Comparison:
    """Both scores under one sampler.

    Args:
      m: half the distance of the modes.
      s: their standard deviation.
      sampler: a name in FLOWS, or "ancestral".
      c: the part of the mean square.
    """

    def numbers(score: AbstractScore) -> Mass:
        return (
            noisy_mass(score, m, s) if sampler == "ancestral" else flow_mass(score, m, s, sampler)
        )

    table = unlimited(m, s, c)
    found = _with_table_error(numbers(table.score), numbers(table.coarse))
    return Comparison(m, s, c, sampler, numbers(exact_score(two_modes(m, s))), found)

"""Errors of any sampler on Gaussian laws, for many grids of many lengths in one compiled call.

Grids are made equally long by staying at their last level: a step of no length moves nothing.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array
from design_space.numerics.defects import log1p_defect
from design_space.numerics.divergences import gaussian_kl_terms, gaussian_w2_squared_terms
from design_space.optimal.langevin import predictor_corrector
from design_space.optimal.step_variance import optimal_variance
from design_space.sampling.flows import Churn, FlowEuler, FlowHeun, FlowMidpoint
from design_space.sampling.gaussian_law import GaussianLaw, affine_law
from design_space.sampling.moves import AbstractMove, OneStage
from design_space.sampling.steppers import (
    AbstractStepper,
    Ancestral,
    EulerMaruyama,
    Frozen,
    PredictorCorrector,
)
from design_space.schedules.scale import AbstractScale
from design_space.schedules.schedule import Schedule
from design_space.schedules.variance import AbstractVarianceSchedule
from design_space.targets.gaussian import Gaussian

SNR = 0.16
"""Song et al.'s signal-to-noise ratio."""


class Grids(NamedTuple):
    """Many grids, stacked.

    Attributes:
      sigmas: noise levels, descending, shape [grids, nodes].
      times: of the same nodes.
      steps: N of each grid, shape [grids].
    """

    sigmas: Array
    times: Array
    steps: Array


class Design(NamedTuple):
    """What a sampler may be made from: one grid and one law.

    Attributes:
      schedule: the grid, longer than N where others are.
      steps: N.
      target: N(0, diag(l)).
    """

    schedule: Schedule
    steps: Array
    target: Gaussian


Make = Callable[[Design], AbstractStepper]


class Found(NamedTuple):
    """Errors of a sampler, each [grids, laws].

    Attributes:
      excess: variance over that of p_{v_N}, by direction, [grids, laws, dim].
      marginal_kl: in nats.
      w2: in data units.
      path_kl: in nats; NaN where the sampler has none.
    """

    excess: np.ndarray
    marginal_kl: np.ndarray
    w2: np.ndarray
    path_kl: np.ndarray


def stacked(grids: Sequence[Schedule]) -> Grids:
    """Grids of one kind as arrays, the shorter ones drawn out at their last level.

    Args:
      grids: schedules with the same variance schedule and scale.
    """
    nodes = max(grid.steps for grid in grids) + 1

    def long(values: Array) -> np.ndarray:
        return np.pad(np.asarray(values), (0, nodes - len(values)), mode="edge")

    sigmas = np.stack([long(grid.backward_sigmas) for grid in grids])
    times = np.stack([long(grid.backward_times) for grid in grids])
    steps = np.array([float(grid.steps) for grid in grids])
    return Grids(*(jnp.asarray(x) for x in (sigmas, times, steps)))


def churning(
    s_churn: float, s_min: float = 0.0, s_max: float = np.inf, s_noise: float = 1.0
) -> Make:
    """EDM's sampler with the share s_churn/N of a grid's own N, and none once it is at its end."""

    def make(design: Design) -> Churn:
        whole = s_churn * design.schedule.steps / design.steps
        end = design.schedule.backward_sigmas[-1]
        return Churn(whole, jnp.maximum(s_min, end * (1 + 1e-12)), s_max, s_noise)

    return make


def corrected(snr: float, corrections: int = 1) -> Make:
    """Song's predictor-corrector, without Langevin steps once the grid is at its end."""

    def make(design: Design) -> PredictorCorrector:
        given = (design.target, design.schedule, snr, corrections)
        e = predictor_corrector(*given).langevin_steps
        moving = design.schedule.backward_variance_steps > 0
        return PredictorCorrector(jnp.where(moving, e, 0.0), corrections)

    return make


SAMPLERS: dict[str, Make] = {
    "frozen": lambda design: Frozen(),
    "euler-maruyama": lambda design: EulerMaruyama(),
    "ancestral": lambda design: Ancestral(),
    "optimal-variance": lambda design: optimal_variance(design.target, design.schedule),
    "optimal-covariance": lambda design: optimal_variance(design.target, design.schedule, "full"),
    "ode-euler": lambda design: FlowEuler(),
    "heun": lambda design: FlowHeun(),
    "midpoint": lambda design: FlowMidpoint(),
    "euler-in-time": lambda design: FlowEuler("time"),
    "heun-in-time": lambda design: FlowHeun("time"),
    "churn": churning(40.0, 0.05, 50.0, 1.003),
    "predictor-corrector": corrected(SNR),
}
"""Samplers by name; those "in time" step in the time of the design, in its scaled state."""


def _path_kl(moves: tuple[AbstractMove, ...], values: Array, started: bool, v_0: Array) -> Array:
    """KL of the path, by the two Gaussian kernels of every step and direction.

    The reverse process moves u = y - m to (P'/P) u and adds h P'/P.
    """
    move = moves[0]
    if len(moves) > 1 or not (isinstance(move, OneStage) and move.noisy):
        return jnp.asarray(jnp.nan)
    before, after = (values[None, :] + x[:, None] for x in (move.before, move.after))
    h, gain = move.drop[:, None], move.gain[:, None]
    noise = move.variance
    noise = jnp.diagonal(noise, axis1=1, axis2=2) if noise.ndim == 3 else noise[:, None]
    moving = h > 0
    noise = jnp.where(moving, noise, 1.0)
    true = jnp.where(moving, h * after / before, 1.0)
    off = move.stretch[:, None] - (gain - h) / before
    each = log1p_defect((true - noise) / noise, true / noise) + off**2 * before / noise
    x = values / v_0
    start = 0.0 if started else jnp.sum(log1p_defect(x, 1 + x))
    return 0.5 * (start + jnp.sum(jnp.where(moving, each, 0.0)))


@eqx.filter_jit
def _errors(
    make: Make,
    variance: AbstractVarianceSchedule,
    scale: AbstractScale,
    grids: Grids,
    laws: Array,
    started: bool,
) -> Found:
    def one(sigmas: Array, times: Array, steps: Array, values: Array) -> Found:
        schedule = Schedule(variance, sigmas[::-1], times[::-1], scale)
        zero = jnp.zeros_like(values)
        target = Gaussian.diagonal(zero, values)
        order = target.eigenvalues
        moves = make(Design(schedule, steps, target)).moves(schedule)
        even = all(not isinstance(m, OneStage) or m.isotropic for m in moves)
        exact = GaussianLaw(zero, zero if even else jnp.diag(zero), zero)
        start = exact if started else None
        law = affine_law(zero, order, moves, basis=target.basis, start=start)
        excess = law.excess if law.excess.ndim == 1 else jnp.diagonal(law.excess)
        final = order + schedule.backward_variances[-1]
        kl = jnp.sum(gaussian_kl_terms(final, excess, zero))
        w2 = jnp.sqrt(jnp.sum(gaussian_w2_squared_terms(final, excess, zero)))
        path = _path_kl(moves, order, started, schedule.backward_variances[0])
        return Found(excess, kl, w2, path)

    over_laws = jax.vmap(one, in_axes=(None, None, None, 0))
    return jax.vmap(over_laws, in_axes=(0, 0, 0, None))(*grids, laws)


def errors(make: Make, grids: Sequence[Schedule], laws: np.ndarray, started: bool = False) -> Found:
    """Errors of a sampler with the exact score on N(0, diag(l)).

    Args:
      make: makes the sampler; compiled once for each, and each shape.
      grids: schedules with the same variance schedule and scale.
      laws: data variances l, shape [laws, dim].
      started: whether the sampler starts from p_{v_0} instead of N(0, v_0 I).
    """
    first = grids[0] if grids else Schedule.from_sigmas([1.0, 0.5])
    given = (first.variance, first.scale, stacked(grids), jnp.asarray(laws), started)
    return Found(*(np.asarray(x) for x in _errors(make, *given)))

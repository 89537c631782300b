"""Errors of many stochastic samplers at once, on Gaussian laws, under scores with a known error."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from design_space.arrays import Array
from design_space.numerics.divergences import gaussian_kl_terms, gaussian_w2_squared_terms
from design_space.sampling.flows import Churn
from design_space.sampling.gaussian_law import affine_law
from design_space.sampling.steppers import AbstractStepper, Ancestral
from design_space.schedules.named import edm
from design_space.scores.base import Deviation

_ROOM = 1 << 25
"""Numbers in an array over cells, steps and directions that are held at a time."""

MOST = 2**0.5 - 1
"""Largest share by which churn raises the noise level."""

EARLY, LATE = 1.0, 0.1
"""Noise levels above which errors are early and up to which they are late, in data units."""


class Cell(NamedTuple):
    """A sampler and a score error, or many: numbers, or arrays of one shape.

    Attributes:
      noise: churn's share of the noise level, s_churn/N, or eta.
      s_min: least level with churn.
      s_max: largest level with churn.
      s_noise: factor of the noise of churn.
      factor: the exact score times this, at the levels of the error.
      shift: added to every coordinate of the score there, in inverse data units.
      low: least level of the error.
      high: largest level of the error.
    """

    noise: Array | np.ndarray | float
    s_min: Array | np.ndarray | float = 0.0
    s_max: Array | np.ndarray | float = np.inf
    s_noise: Array | np.ndarray | float = 1.0
    factor: Array | np.ndarray | float = 1.0
    shift: Array | np.ndarray | float = 0.0
    low: Array | np.ndarray | float = 0.0
    high: Array | np.ndarray | float = np.inf


class Found(NamedTuple):
    """Errors of each cell on each direction.

    Attributes:
      marginal_kl: in nats, by direction; what the mean adds for a shift of 1 apart.
      w2_squared: in squared data units.
      spread: standard deviation of the sampler over the true one.
    """

    marginal_kl: np.ndarray
    w2_squared: np.ndarray
    spread: np.ndarray


def _stepper(sampler: str, steps: int, cell: Cell) -> AbstractStepper:
    if sampler == "ancestral":
        return Ancestral(cell.noise)
    return Churn(cell.noise * steps, cell.s_min, cell.s_max, cell.s_noise)


@eqx.filter_jit
def _errors(sampler: str, steps: int, values: Array, cells: Cell) -> Found:
    schedule = edm(steps)
    zero, final = jnp.zeros_like(values), values + schedule.backward_variances[-1]

    def one(cell: Cell) -> Found:
        moves = _stepper(sampler, steps, cell).moves(schedule)

        def seen(sigma: Array) -> Deviation:
            inside = (cell.low < sigma) & (sigma <= cell.high)
            slope = jnp.where(inside, 1 - cell.factor, 0.0) / (values + sigma**2)
            return Deviation(slope, zero + jnp.where(inside, cell.shift, 0.0), zero)

        found = tuple(tuple(jax.vmap(seen)(at) for at in move.sigmas) for move in moves)
        law = affine_law(zero, values, moves, found)
        apart = (final, law.excess, law.shift)
        spread = jnp.sqrt((final + law.excess) / final)
        return Found(gaussian_kl_terms(*apart), gaussian_w2_squared_terms(*apart), spread)

    return jax.vmap(one)(cells)


def errors(sampler: str, steps: int, values: np.ndarray, cells: Cell) -> Found:
    """Marginal errors of samplers on N(0, l), on EDM's noise levels.

    Args:
      sampler: "churn" or "ancestral".
      steps: N; churn asks the score twice in each.
      values: l, shape [directions].
      cells: numbers or arrays that broadcast to one shape.

    Returns:
      Arrays of that shape with the directions along one more axis.
    """
    full = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in cells))
    flat = np.stack([np.ravel(x) for x in full])
    parts = -(-flat.shape[1] * steps * len(values) // _ROOM)
    size = -(-flat.shape[1] // parts)
    whole = np.pad(flat, [(0, 0), (0, parts * size - flat.shape[1])], mode="edge")
    found = [
        _errors(sampler, steps, jnp.asarray(values), Cell(*(jnp.asarray(x) for x in part)))
        for part in np.split(whole, parts, axis=1)  # of one shape, compiled once
    ]
    together = [np.concatenate(x)[: flat.shape[1]] for x in zip(*found, strict=True)]
    return Found(*(x.reshape(*full[0].shape, len(values)) for x in together))

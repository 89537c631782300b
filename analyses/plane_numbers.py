"""What a picture of a law in the plane says in numbers, beside the data law."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from analyses.plane_targets import PlaneTarget
from design_space.arrays import Array
from design_space.sampling.plane_patches import PlaneDensity, responsibilities
from design_space.targets.mixture import GaussianMixture

_REGION = 0.99
_NOTHING = 1e-6  # mass outside the square that is left out of the weights


class Field(NamedTuple):
    """A density at the middles of the square cells of a square around zero.

    Attributes:
      axis: coordinates along either axis, ascending.
      values: the density, a row for each y.
    """

    axis: np.ndarray
    values: np.ndarray

    @property
    def cell(self) -> float:
        """The area of a cell."""
        return float(self.axis[1] - self.axis[0]) ** 2

    @staticmethod
    def of(density: Callable[[np.ndarray], np.ndarray], half: float, points: int) -> "Field":
        """Evaluates a function of points, shape [points, 2], on a square of side 2 half."""
        axis = half * (2 * np.arange(points) + 1 - points) / points
        x, y = np.meshgrid(axis, axis)
        values = density(np.stack([x.ravel(), y.ravel()], axis=1))
        return Field(axis, values.reshape(points, points))

    def shown(self, factor: int) -> "Field":
        """The middle half along either axis, by means over squares of cells."""
        quarter = len(self.axis) // 4
        points = 2 * quarter // factor
        inner = self.values[quarter:-quarter, quarter:-quarter]
        parts = inner.reshape(points, factor, points, factor)
        axis = self.axis[quarter:-quarter].reshape(points, factor).mean(axis=1)
        return Field(axis, parts.mean(axis=(1, 3)))


def data_field(target: PlaneTarget, variance: float, points: int) -> Field:
    """The density of the data law with noise of a variance."""

    def density(x: np.ndarray) -> np.ndarray:
        return np.exp(np.asarray(_log_densities(target.law, jnp.asarray(variance), jnp.asarray(x))))

    return Field.of(density, 2 * target.half, points)


@eqx.filter_jit
def _log_densities(law: GaussianMixture, variance: Array, x: Array) -> Array:
    return jax.vmap(lambda y: law.log_density(y, variance))(x)


class Moments(NamedTuple):
    """Integrals of a density over the whole plane.

    Attributes:
      mass: of the density, one but for the numerical error.
      variance: the trace of its covariance, in squared data units.
      weights: the mass that it gives to each mode, E_q of their responsibilities.
    """

    mass: float
    variance: float
    weights: np.ndarray


def by_mode(target: PlaneTarget, values: np.ndarray) -> np.ndarray:
    """Sums over the components of each mode."""
    return np.bincount(target.modes, weights=values)


def data_moments(target: PlaneTarget, variance: float) -> Moments:
    """Those of the data law with noise of a variance."""
    law = target.law
    own = np.exp(np.asarray(law.parts.log_weights))
    total = float(jnp.trace(law.covariance())) + 2 * variance
    return Moments(1.0, total, by_mode(target, own))


def moments(target: PlaneTarget, variance: float, density: PlaneDensity, field: Field) -> Moments:
    """Mass and variance are sums over the grid of every patch, spectral for smooth integrands.

    Responsibilities may turn over less than the spacing of such a grid, since they do not know how
    smooth the sampler's law is: weights are sums over the cells of the square, and over wider ones
    around it if there is mass.

    Args:
      target: the data law.
      variance: of its noise.
      density: of the sampler's law.
      field: the same on the square.
    """
    mass, first, second = 0.0, np.zeros(2), 0.0
    for patch in density.patches:
        x, q = patch.grid.points(), patch.values.ravel() * patch.grid.cell
        mass += float(np.sum(q))
        first += q @ x
        second += float(q @ np.sum(x * x, axis=1))
    mean = first / mass
    weights = _weights(target, variance, field, np.ones_like(field.values, bool))
    if mass - float(np.sum(field.values)) * field.cell > _NOTHING:
        points = len(field.axis)
        wide = Field.of(density, 8 * target.half, points)
        beyond = np.ones((points, points), bool)
        beyond[3 * points // 8 : -3 * points // 8, 3 * points // 8 : -3 * points // 8] = False
        weights = weights + _weights(target, variance, wide, beyond)
    return Moments(mass, second / mass - float(mean @ mean), by_mode(target, weights))


def _weights(target: PlaneTarget, variance: float, field: Field, where: np.ndarray) -> np.ndarray:
    """The mass that some cells give to each component."""
    x, y = np.meshgrid(field.axis, field.axis)
    at = np.stack([x[where], y[where]], axis=1)
    shares = responsibilities(target.law.components(), jnp.asarray(variance), at)
    return field.values[where] @ shares * field.cell


def outside(data: Field, other: Field) -> float:
    """Share of a law's mass outside the smallest region that holds 99 % of the data's."""
    order = np.argsort(-data.values, axis=None)
    held = np.cumsum(data.values.ravel()[order]) * data.cell
    region = order[: int(np.searchsorted(held, _REGION)) + 1]
    return 1 - float(np.sum(other.values.ravel()[region])) * other.cell


def divergences(data: Field, other: Field, mass: float, floor: float) -> tuple[float, float]:
    """KL(p | q) and the total variation.

    The data have no mass to speak of outside the square; what q has there counts in full.

    Args:
      data: p on the square.
      other: q there.
      mass: of q in the whole plane.
      floor: what q is known to be at least where it is less; p has next to no mass there.
    """
    p, q = data.values, other.values
    logs = np.log(np.maximum(p, 1e-300)) - np.log(np.maximum(q, floor))
    beyond = mass - float(np.sum(q)) * other.cell
    kl = float(np.sum(p * logs + q - p)) * data.cell + beyond
    return kl, 0.5 * (float(np.sum(np.abs(p - q))) * data.cell + abs(beyond))

"""Data laws in the plane that show what a sampler does to shapes and weights."""

from typing import NamedTuple

import numpy as np

from design_space.targets.mixture import GaussianMixture


class PlaneTarget(NamedTuple):
    """A law in the plane and how to look at it.

    Attributes:
      law: the mixture.
      modes: which mode each component belongs to, shape [components].
      half: half the width of the square around zero that shows it, in data units; the square of
        twice the width has all but 1e-8 of the mass.
    """

    law: GaussianMixture
    modes: np.ndarray
    half: float


def four_modes() -> PlaneTarget:
    """Modes of unequal weight on the corners of a square."""
    corners = [[-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]
    law = GaussianMixture.isotropic([0.4, 0.3, 0.2, 0.1], corners, 0.25)
    return PlaneTarget(law, np.arange(4), 2.1)


def ring() -> PlaneTarget:
    """A ring of eight components that flow into each other, with a hole: one mode."""
    angles = 2 * np.pi * np.arange(8) / 8
    means = 1.2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    law = GaussianMixture.isotropic(np.full(8, 1 / 8), means, 0.25)
    return PlaneTarget(law, np.zeros(8, int), 2.1)


def crossed_pair() -> PlaneTarget:
    """Two components five times as long as wide that cross at a right angle."""
    means = [[0.0, -0.5], [0.5, 0.0]]
    long, short = 0.65**2, 0.13**2
    law = GaussianMixture.diagonal([0.7, 0.3], means, [[long, short], [short, long]])
    return PlaneTarget(law, np.arange(2), 2.3)


def two_moons() -> PlaneTarget:
    """Two arcs of six components each that reach into each other, of unequal weight."""
    angles = np.pi * np.arange(6) / 5
    upper = np.stack([np.cos(angles) - 0.5, np.sin(angles) - 0.2], axis=1)
    means = np.concatenate([upper, -upper])
    weights = np.repeat([0.7, 0.3], 6) / 6
    law = GaussianMixture.isotropic(weights, means, 0.15)
    return PlaneTarget(law, np.repeat([0, 1], 6), 2.1)


TARGETS = {
    "four modes": four_modes,
    "ring": ring,
    "crossed pair": crossed_pair,
    "two moons": two_moons,
}
"""Every law of the gallery by its name."""
